//! What a server wrote on its console, as Nova gives it.

use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::catalog::Service::Compute;
use super::compute::unreadable;
use super::connection::{Call, Connection};
use crate::cloud::{CONSOLE_LIMIT, CloudError};

/// The most lines to ask for. The host keys are among the last that cloud-init writes.
const LINES: u32 = 2000;

impl Connection {
    /// The end of a server's console.
    pub(super) async fn console_log(&self, server: &str) -> Result<String, CloudError> {
        let path = ["servers", server, "action"];
        let body = json!({"os-getConsoleOutput": {"length": LINES}});
        let call = Call::new(Compute, Method::POST, &path).json(&body);
        let answer = self.call(&call).await.map_err(|failure| match failure.error {
            // It is being built, or its host has not made the console yet.
            CloudError::Rejected(text) if failure.status == Some(StatusCode::CONFLICT) => {
                CloudError::Transient(text)
            }
            // Its host keeps no consoles.
            CloudError::Transient(text) if failure.status == Some(StatusCode::NOT_IMPLEMENTED) => {
                CloudError::Rejected(text)
            }
            error => error,
        })?;
        let read: Result<Console, _> = serde_json::from_slice(&answer.body);
        let console = read.map_err(|_| unreadable("the console", &answer))?;
        Ok(end(console.output.unwrap_or_default()))
    }
}

/// The last bytes of a text, from the beginning of a line on where there is one.
fn end(mut text: String) -> String {
    let surplus = text.len().saturating_sub(CONSOLE_LIMIT);
    if surplus == 0 {
        return text;
    }
    let start = text.ceil_char_boundary(surplus);
    let mut end = text.split_off(start);
    match end.split_once('\n') {
        Some((_, rest)) if !rest.is_empty() => rest.to_owned(),
        _ => std::mem::take(&mut end),
    }
}

#[derive(Deserialize)]
struct Console {
    output: Option<String>,
}

#[cfg(feature = "fuzz")]
pub(super) fn fuzz(body: &[u8]) {
    let console = serde_json::from_slice::<Console>(body);
    std::hint::black_box(console.map(|console| end(console.output.unwrap_or_default())).ok());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_whole_lines_of_the_end() {
        assert_eq!(end("one\ntwo\n".to_owned()), "one\ntwo\n");
        let line = format!("{}\n", "ü".repeat(999));
        let kept = end(line.repeat(100));
        assert!(kept.len() <= CONSOLE_LIMIT && kept.len() > CONSOLE_LIMIT - line.len());
        assert_eq!(kept, line.repeat(kept.len() / line.len()));
        let endless = end("ü".repeat(CONSOLE_LIMIT));
        assert!(endless.len() <= CONSOLE_LIMIT && endless.len() > CONSOLE_LIMIT - 2);
    }
}
