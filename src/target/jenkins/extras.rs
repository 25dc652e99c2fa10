//! What is asked of a controller besides its agents: a test job, the log of a launch, what an inbound agent needs.

use quick_xml::Reader;
use quick_xml::events::Event;
use reqwest::StatusCode;

use super::connection::{Call, Connection};
use super::names;
use super::transport::Reading;
use crate::target::{Inbound, TargetError};

/// How much of a launch's log is told.
const LOG_CHARACTERS: usize = 4000;

/// How much of it is read: characters have up to four bytes, and some of them are not shown.
const LOG_BYTES: usize = 4 * LOG_CHARACTERS + (16 << 10);

/// The fewest digits of a secret: Jenkins' have 64.
const SECRET_DIGITS: usize = 32;

/// Starts a job with the parameter `NODE`. A job in a folder is named with its folders: `folder/job`.
///
/// # Errors
/// `Rejected` when there is no such job.
pub(super) async fn start_test(connection: &Connection, job: &str, name: &str) -> Result<(), TargetError> {
    let mut path: Vec<&str> = Vec::new();
    for part in job.split('/').filter(|part| !part.is_empty()) {
        names::check(part)?;
        path.extend(["job", part]);
    }
    path.push("buildWithParameters");
    // Jenkins would otherwise let a job rest for some seconds.
    let call = Call::post(&path).query("NODE", name).query("delay", "0sec");
    let answer = connection.call(&call).await?;
    match answer.status {
        // Older versions lead back to the job, newer ones to the item of the queue.
        StatusCode::CREATED | StatusCode::FOUND => Ok(()),
        StatusCode::NOT_FOUND => {
            Err(TargetError::Rejected(format!("there is no job `{job}` to test nodes with")))
        }
        _ => Err(connection.refusal(&call, &answer)),
    }
}

/// The end of the log of an agent's launches.
///
/// # Errors
/// `NotFound`.
pub(super) async fn launch_log(connection: &Connection, name: &str) -> Result<String, TargetError> {
    names::check(name)?;
    let path = ["computer", name, "logText", "progressiveText"];
    let call = Call::get(&path).query("start", "0").reading(Reading::Tail(LOG_BYTES));
    let answer = connection.call(&call).await?;
    if answer.status != StatusCode::OK {
        return Err(connection.refusal(&call, &answer));
    }
    let log = shown(&String::from_utf8_lossy(&answer.body));
    let surplus = log.chars().count().saturating_sub(LOG_CHARACTERS);
    Ok(log.chars().skip(surplus).collect())
}

/// The text without what only a terminal or Jenkins' own pages understand: escape sequences, and notes between them.
fn shown(log: &str) -> String {
    let mut text = String::new();
    let mut rest = log;
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        text.push_str(before);
        // A note is hidden between `ESC[8m` and `ESC[0m`.
        let note = after.strip_prefix("[8mha:").and_then(|note| note.split_once("\u{1b}[0m"));
        rest = match note {
            Some((_, after)) => after,
            None => {
                after.trim_start_matches('[').trim_start_matches(|c: char| c.is_ascii_digit() || c == ';')
            }
        };
        if note.is_none() {
            let mut characters = rest.chars();
            if characters.next().is_some_and(|end| end.is_ascii_alphabetic()) {
                rest = characters.as_str();
            }
        }
    }
    text.push_str(rest);
    text.chars().filter(|character| matches!(character, '\n' | '\t') || !character.is_control()).collect()
}

/// What an inbound agent needs.
///
/// # Errors
/// `NotFound`; `Rejected` when the agent is not one that connects by itself.
pub(super) async fn inbound(connection: &Connection, name: &str) -> Result<Inbound, TargetError> {
    names::check(name)?;
    let path = ["computer", name, "jenkins-agent.jnlp"];
    let call = Call::get(&path);
    let answer = connection.call(&call).await?;
    if answer.status != StatusCode::OK {
        return Err(connection.refusal(&call, &answer));
    }
    let arguments = arguments(&String::from_utf8_lossy(&answer.body));
    let secret = arguments.into_iter().find(|argument| {
        argument.len() >= SECRET_DIGITS && argument.chars().all(|digit| digit.is_ascii_hexdigit())
    });
    let Some(secret) = secret else {
        return Err(TargetError::Rejected(format!("{}: there is no secret in the answer", call.name())));
    };
    Ok(Inbound { url: connection.root().to_string(), name: name.to_owned(), secret: secret.into() })
}

/// The texts of all elements `argument`, as far as the document can be read.
fn arguments(document: &str) -> Vec<String> {
    let mut reader = Reader::from_str(document);
    let (mut arguments, mut open) = (Vec::new(), None::<String>);
    loop {
        match reader.read_event() {
            Ok(Event::Start(start)) if start.name().as_ref() == "argument" => open = Some(String::new()),
            Ok(Event::Text(part)) => {
                if let Some(text) = &mut open {
                    text.push_str(part.trim());
                }
            }
            Ok(Event::End(end)) if end.name().as_ref() == "argument" => arguments.extend(open.take()),
            Ok(Event::Eof) | Err(_) => return arguments,
            Ok(_) => {}
        }
    }
}

#[cfg(feature = "fuzz")]
pub(super) fn fuzz(body: &[u8]) {
    let text = String::from_utf8_lossy(body);
    std::hint::black_box((shown(&text), arguments(&text)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_shown_without_what_a_terminal_would_hide() {
        let log = "\u{1b}[31mred\u{1b}[0m \u{1b}[8mha:AAAA==\u{1b}[0mSSH\r\n\tgone\u{7}\u{1b}";
        assert_eq!(shown(log), "red SSH\n\tgone");
    }

    #[test]
    fn arguments_are_read_as_far_as_they_go() {
        let document = "<jnlp><application-desc><argument> ab </argument><argument>n1</argument><argument>x";
        assert_eq!(arguments(document), ["ab", "n1"]);
        assert!(arguments("").is_empty());
    }
}
