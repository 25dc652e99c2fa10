//! Asking the daemon for something: a row in the store, the bell, and a while of patience for the answer.

use std::time::Duration;

use tokio::time::Instant;

use super::session::now;
use super::{Failure, Session};
use crate::model::{WishId, WishKind};

/// How long to wait for the answer of a daemon that runs.
const PATIENCE: Duration = Duration::from_secs(10);
/// The pause between two looks at the store.
const PAUSE: Duration = Duration::from_millis(50);

/// What became of a wish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The daemon did it, and says what it did.
    Granted(String),
    /// The daemon did not, and says why.
    Refused(String),
    /// It is written down and not answered yet; why it is not.
    Open(String),
}

impl Session {
    /// Writes a wish down and waits for the answer.
    pub async fn wish(&self, kind: &WishKind) -> Result<Answer, Failure> {
        let answers = self.wishes(std::slice::from_ref(kind)).await?;
        Ok(answers.into_iter().next().unwrap_or_else(|| Answer::Open("it was not written down".to_owned())))
    }

    /// Writes wishes down and waits for the answers, which come in the same order.
    pub async fn wishes(&self, kinds: &[WishKind]) -> Result<Vec<Answer>, Failure> {
        let mut ids = Vec::with_capacity(kinds.len());
        for kind in kinds {
            ids.push(self.store.add_wish(kind, now()).await?);
        }
        self.ring();
        let deadline = Instant::now().checked_add(PATIENCE);
        let mut answers = Vec::with_capacity(ids.len());
        for id in ids {
            answers.push(self.answer(id, deadline).await?);
        }
        Ok(answers)
    }

    /// A refusal becomes a failure; what is open is told.
    pub fn settle(&self, answer: &Answer, next: &str) -> Result<(), Failure> {
        match answer {
            Answer::Granted(_) => Ok(()),
            Answer::Refused(why) => Err(Failure::refused(why.as_str(), next)),
            Answer::Open(why) => {
                self.console.note(why);
                Ok(())
            }
        }
    }

    async fn answer(&self, id: WishId, deadline: Option<Instant>) -> Result<Answer, Failure> {
        loop {
            if let Some(settled) = self.store.wish_outcome(id).await? {
                let answer = if settled.granted { Answer::Granted } else { Answer::Refused };
                return Ok(answer(settled.outcome));
            }
            if !self.daemon_is_alive().await? {
                return Ok(Answer::Open(
                    "nodepoold does not run: the wish is written down and takes effect when it does"
                        .to_owned(),
                ));
            }
            if deadline.is_none_or(|deadline| Instant::now() >= deadline) {
                return Ok(Answer::Open(format!(
                    "nodepoold has not answered within {} s: the wish stays written down",
                    PATIENCE.as_secs()
                )));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
