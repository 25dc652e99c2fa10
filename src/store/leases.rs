//! Leases: who may act on what (a cloud), and until when. They let several daemons share one database.

use std::time::Duration;

use super::{Store, StoreError};
use crate::model::Timestamp;

/// The name of the lease that a daemon holds while it acts. Who sees it unexpired knows that a daemon runs.
pub const ENGINE_LEASE: &str = "engine";

/// A lease that was taken and not released. It may have expired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Who took it.
    pub holder: String,
    /// From this moment on, anybody may take it.
    pub expires: Timestamp,
    /// Since when the holder has had it without a break; `None` when that is not known.
    pub taken: Option<Timestamp>,
}

// MariaDB assigns from left to right, so what reads the old values comes first.
const TAKE: &str = "UPDATE lease SET taken = CASE WHEN holder = $1 AND expires > $2 THEN taken ELSE $3 END, \
    holder = $4, expires = $5 WHERE name = $6 AND (holder = $7 OR expires <= $8)";
const INSERT: &str = "INSERT INTO lease (name, holder, expires, taken) VALUES ($1, $2, $3, $4)";
const ONE: &str = "SELECT holder, expires, taken FROM lease WHERE name = $1";
const RELEASE: &str = "DELETE FROM lease WHERE name = $1 AND holder = $2";

impl Store {
    /// Takes or renews a lease until `now` plus `duration`; gives whether `holder` has it now. It has not when another
    /// holder's lease has not expired.
    pub async fn take_lease(
        &self,
        name: &str,
        holder: &str,
        now: Timestamp,
        duration: Duration,
    ) -> Result<bool, StoreError> {
        let expires = now.plus(duration);
        let mut write = self.db.begin().await?;
        let values = [
            holder.into(),
            now.into(),
            now.into(),
            holder.into(),
            expires.into(),
            name.into(),
            holder.into(),
            now.into(),
        ];
        if write.execute(TAKE, &values).await? == 0 {
            if write.row(ONE, &[name.into()]).await?.is_some() {
                return Ok(false);
            }
            write.execute(INSERT, &[name.into(), holder.into(), expires.into(), now.into()]).await?;
        }
        write.commit().await?;
        Ok(true)
    }

    /// Gives a lease back, if `holder` has it.
    pub async fn release_lease(&self, name: &str, holder: &str) -> Result<(), StoreError> {
        self.db.execute(RELEASE, &[name.into(), holder.into()]).await.map(|_written| ())
    }

    /// Who has a lease.
    pub async fn lease(&self, name: &str) -> Result<Option<Lease>, StoreError> {
        let Some(row) = self.db.row(ONE, &[name.into()]).await? else {
            return Ok(None);
        };
        let columns = row.named("lease", name);
        let taken = Some(columns.time("taken")?).filter(|taken| *taken != Timestamp::default());
        Ok(Some(Lease { holder: columns.text("holder")?, expires: columns.time("expires")?, taken }))
    }
}
