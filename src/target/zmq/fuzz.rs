//! What a publisher says, as the fuzzers of `fuzz/` feed it to its reader. Not in any program.

use super::zmtp::{Line, Message};

/// The whole of a connection; gives the messages in it that are not longer than `longest` bytes.
pub async fn connection(said: &[u8], longest: u64) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    let Ok(mut line) = Line::over(tokio::io::join(said, tokio::io::sink())).await else { return messages };
    while let Ok(message) = line.message(longest).await {
        if let Message::Whole(message) = message {
            messages.push(message);
        }
    }
    messages
}
