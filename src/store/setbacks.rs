//! Setbacks: failures in a row, so that the plan waits longer after each.

use super::row::Row;
use super::text::bounded;
use super::{Store, StoreError};
use crate::model::{Setback, SetbackKind, Timestamp};

const ALL: &str = "SELECT kind, provider_name, name, failures, last, reason FROM setback \
    ORDER BY kind, provider_name, name";
const ONE: &str = "SELECT failures FROM setback WHERE kind = $1 AND provider_name = $2 AND name = $3";
// The bound is what the row type can count.
const AGAIN: &str = "UPDATE setback SET failures = failures + CASE WHEN failures < 4294967295 THEN 1 ELSE 0 END, \
    last = $1, reason = $2 WHERE kind = $3 AND provider_name = $4 AND name = $5";
const FIRST: &str = "INSERT INTO setback (kind, provider_name, name, failures, last, reason) \
    VALUES ($1, $2, $3, 1, $4, $5)";
const CLEAR: &str = "DELETE FROM setback WHERE kind = $1 AND provider_name = $2 AND name = $3";

impl Store {
    /// Everything that went wrong last time.
    pub async fn setbacks(&self) -> Result<Vec<Setback>, StoreError> {
        self.db.rows(ALL, &[]).await?.iter().map(setback).collect()
    }

    /// Counts one more failure. `name` is the image, label, zone or flavor, or empty for the whole provider.
    pub async fn record_setback(
        &self,
        kind: SetbackKind,
        provider: &str,
        name: &str,
        now: Timestamp,
        reason: &str,
    ) -> Result<(), StoreError> {
        let (kind, reason) = (kind.word(), bounded(reason));
        let mut write = self.db.begin().await?;
        let values = [now.into(), reason.as_str().into(), kind.into(), provider.into(), name.into()];
        if write.execute(AGAIN, &values).await? == 0 {
            let values = [kind.into(), provider.into(), name.into(), now.into(), reason.into()];
            write.execute(FIRST, &values).await?;
        }
        write.commit().await
    }

    /// Forgets the failures after a success. When there are none it only reads: successes are many.
    pub async fn clear_setback(
        &self,
        kind: SetbackKind,
        provider: &str,
        name: &str,
    ) -> Result<(), StoreError> {
        let key = [kind.word().into(), provider.into(), name.into()];
        if self.db.row(ONE, &key).await?.is_some() {
            self.db.execute(CLEAR, &key).await?;
        }
        Ok(())
    }
}

fn setback(row: &Row) -> Result<Setback, StoreError> {
    let columns = row.named("setback", "of unreadable name");
    let (spelled, provider, name) =
        (columns.text("kind")?, columns.text("provider_name")?, columns.text("name")?);
    let columns = row.named("setback", &format!("{spelled} {provider} {name}"));
    let kind = SetbackKind::ALL
        .into_iter()
        .find(|kind| kind.word() == spelled)
        .ok_or_else(|| columns.corrupt(&format!("unknown kind {spelled:?}")))?;
    let failures = u32::try_from(columns.integer("failures")?)
        .map_err(|_error| columns.corrupt("column failures: out of range"))?;
    Ok(Setback {
        kind,
        provider,
        name,
        failures,
        last: columns.time("last")?,
        reason: columns.text("reason")?,
    })
}
