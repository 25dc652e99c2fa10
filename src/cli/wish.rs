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
    /// Writes wishes down and waits for the answers, which come in the same order.
    pub(super) async fn wishes(&self, kinds: &[WishKind]) -> Result<Vec<(WishId, Answer)>, Failure> {
        let mut ids = Vec::with_capacity(kinds.len());
        for kind in kinds {
            ids.push(self.store.add_wish(kind, now()).await?);
        }
        self.ring();
        let deadline = Instant::now().checked_add(PATIENCE);
        let mut answers = Vec::with_capacity(ids.len());
        for id in ids {
            answers.push((id, self.answer(id, deadline).await?));
        }
        Ok(answers)
    }

    /// What became of a wish, once it is settled.
    pub(super) async fn outcome(&self, id: WishId) -> Result<Option<Answer>, Failure> {
        Ok(self.store.wish_outcome(id).await?.map(|settled| {
            if settled.granted { Answer::Granted(settled.outcome) } else { Answer::Refused(settled.outcome) }
        }))
    }

    async fn answer(&self, id: WishId, deadline: Option<Instant>) -> Result<Answer, Failure> {
        loop {
            if let Some(answer) = self.outcome(id).await? {
                return Ok(answer);
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
