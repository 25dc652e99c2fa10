//! What was left behind on clouds, as the daemon saw it last: for whoever asks before it is deleted.

use super::row::Row;
use super::text::bounded;
use super::{Store, StoreError};
use crate::model::{Fate, Leftover, LeftoverKind};

/// The most that are kept; more are counted in the metrics only.
const MOST: usize = 1000;

const ALL: &str = "SELECT provider_name, kind, external_id, made_for, first_seen, listings, fate, reason FROM leftover \
    ORDER BY provider_name, kind, external_id";
const FORGET: &str = "DELETE FROM leftover";
const INSERT: &str = "INSERT INTO leftover (provider_name, kind, external_id, made_for, first_seen, listings, fate, \
    reason) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";

impl Store {
    /// What was left behind, as it was seen last.
    pub async fn leftovers(&self) -> Result<Vec<Leftover>, StoreError> {
        self.db.rows(ALL, &[]).await?.iter().map(leftover).collect()
    }

    /// Remembers what was left behind, in place of what was known before. At most 1,000 are kept.
    pub async fn keep_leftovers(&self, leftovers: &[Leftover]) -> Result<(), StoreError> {
        let mut write = self.db.begin().await?;
        write.execute(FORGET, &[]).await?;
        for one in leftovers.iter().take(MOST) {
            let values = [
                one.provider.as_str().into(),
                one.kind.word().into(),
                one.id.as_str().into(),
                one.made_for.as_str().into(),
                one.first_seen.into(),
                i64::from(one.listings).into(),
                one.fate.word().into(),
                bounded(&one.reason).into(),
            ];
            write.execute(INSERT, &values).await?;
        }
        write.commit().await
    }
}

fn leftover(row: &Row) -> Result<Leftover, StoreError> {
    let columns = row.named("leftover", "of unreadable name");
    let id = columns.text("external_id")?;
    let columns = row.named("leftover", &id);
    let (kind, fate) = (columns.text("kind")?, columns.text("fate")?);
    let unknown = |what: &str, word: &str| columns.corrupt(&format!("unknown {what} {word:?}"));
    Ok(Leftover {
        provider: columns.text("provider_name")?,
        kind: LeftoverKind::ALL
            .into_iter()
            .find(|known| known.word() == kind)
            .ok_or_else(|| unknown("kind", &kind))?,
        made_for: columns.text("made_for")?,
        first_seen: columns.time("first_seen")?,
        listings: u32::try_from(columns.integer("listings")?)
            .map_err(|_error| columns.corrupt("column listings: out of range"))?,
        fate: Fate::ALL
            .into_iter()
            .find(|known| known.word() == fate)
            .ok_or_else(|| unknown("fate", &fate))?,
        reason: columns.text("reason")?,
        id,
    })
}
