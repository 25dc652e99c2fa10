//! Whether the daemon does its work.

use std::time::Duration;

use crate::model::Timestamp;
use crate::store::Store;
use crate::telemetry::LastTick;

/// The daemon looks at everything every few seconds, even when nothing happens.
const STALE: Duration = Duration::from_secs(60);
/// How long the store may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks the store something small.
pub(super) async fn store(store: &Store) -> Result<(), String> {
    match tokio::time::timeout(PATIENCE, store.installation()).await {
        Ok(Ok(_name)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("the database did not answer within {} s", PATIENCE.as_secs())),
    }
}

/// Why the daemon does not do its work; nothing when it does.
pub(super) fn reasons(last: &LastTick, now: Timestamp, store: Result<(), String>) -> Vec<String> {
    let mut reasons = Vec::new();
    let since = now.since(last.at);
    if last.at == Timestamp::default() {
        reasons.push("it has not looked at anything yet".to_owned());
    } else if since > STALE {
        reasons.push(format!("it last looked at everything {} s ago", since.as_secs()));
    }
    reasons.extend(last.trouble.clone());
    reasons.extend(store.err());
    reasons
}
