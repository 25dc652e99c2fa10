//! The name of the installation, which is in the tag of everything that it makes.

use super::{Store, StoreError};

const ONE: &str = "SELECT name FROM installation WHERE id = 1";

impl Store {
    /// The id of this installation: random lowercase hexadecimal characters, made with the database and kept.
    pub async fn installation(&self) -> Result<String, StoreError> {
        match self.db.row(ONE, &[]).await? {
            Some(row) => row.named("installation", "1").text("name"),
            None => Err(StoreError::Corrupt("table installation, row 1: missing".to_owned())),
        }
    }
}
