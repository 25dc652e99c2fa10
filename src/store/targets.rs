//! Where targets are: what is needed to take our agents back from one that left the configuration.

use std::path::PathBuf;
use std::time::Duration;

use super::row::Row;
use super::{Store, StoreError};
use crate::model::KnownTarget;

const ALL: &str = "SELECT name, url, ca_file, api_timeout FROM target ORDER BY name";
const FORGET: &str = "DELETE FROM target WHERE name = $1";
const INSERT: &str = "INSERT INTO target (name, url, ca_file, api_timeout) VALUES ($1, $2, $3, $4)";

impl Store {
    /// Every target that may still have agents of ours.
    pub async fn targets(&self) -> Result<Vec<KnownTarget>, StoreError> {
        self.db.rows(ALL, &[]).await?.iter().map(target).collect()
    }

    /// Remembers where these targets are, in place of what was known of them. Others are left alone.
    pub async fn keep_targets(&self, targets: &[KnownTarget]) -> Result<(), StoreError> {
        let mut write = self.db.begin().await?;
        for known in targets {
            write.execute(FORGET, &[known.name.as_str().into()]).await?;
            let ca_file = known.ca_file.as_ref().map(|path| path.to_string_lossy());
            let values = [
                known.name.as_str().into(),
                known.url.as_deref().into(),
                ca_file.as_deref().into(),
                i64::try_from(known.api_timeout.as_millis()).unwrap_or(i64::MAX).into(),
            ];
            write.execute(INSERT, &values).await?;
        }
        write.commit().await
    }

    /// Forgets a target at which no agent of ours is left.
    pub async fn forget_target(&self, name: &str) -> Result<(), StoreError> {
        self.db.execute(FORGET, &[name.into()]).await.map(|_written| ())
    }
}

fn target(row: &Row) -> Result<KnownTarget, StoreError> {
    let columns = row.named("target", "of unreadable name");
    let name = columns.text("name")?;
    let columns = row.named("target", &name);
    let millis = u64::try_from(columns.integer("api_timeout")?)
        .map_err(|_error| columns.corrupt("column api_timeout: out of range"))?;
    Ok(KnownTarget {
        url: columns.optional_text("url")?,
        ca_file: columns.optional_text("ca_file")?.map(PathBuf::from),
        api_timeout: Duration::from_millis(millis),
        name,
    })
}
