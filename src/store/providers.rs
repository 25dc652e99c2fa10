//! Where providers are: what is needed to clean up after one that left the configuration.

use std::time::Duration;

use super::row::Row;
use super::{Store, StoreError};
use crate::model::{KnownProvider, Place};

const ALL: &str = "SELECT name, cloud, keystone, region, project_id, project_name, api_timeout, rate FROM provider \
    ORDER BY name";
const FORGET: &str = "DELETE FROM provider WHERE name = $1";
const FORGET_SERVERS: &str = "DELETE FROM departed_server WHERE provider_name = $1";
const INSERT: &str = "INSERT INTO provider (name, cloud, keystone, region, project_id, project_name, api_timeout, \
    rate) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";

impl Store {
    /// Every provider that may still have something of ours.
    pub async fn providers(&self) -> Result<Vec<KnownProvider>, StoreError> {
        self.db.rows(ALL, &[]).await?.iter().map(provider).collect()
    }

    /// Remembers where these providers are, in place of what was known of them. Others are left alone.
    pub async fn keep_providers(&self, providers: &[KnownProvider]) -> Result<(), StoreError> {
        let mut write = self.db.begin().await?;
        for known in providers {
            write.execute(FORGET, &[known.name.as_str().into()]).await?;
            let values = [
                known.name.as_str().into(),
                known.cloud.as_deref().into(),
                known.place.keystone.as_str().into(),
                known.place.region.as_deref().into(),
                known.place.project_id.as_deref().into(),
                known.place.project_name.as_deref().into(),
                millis(known.api_timeout).into(),
                millis(known.rate).into(),
            ];
            write.execute(INSERT, &values).await?;
        }
        write.commit().await
    }

    /// Forgets a provider of which nothing is left, and the servers that were there.
    pub async fn forget_provider(&self, name: &str) -> Result<(), StoreError> {
        let mut write = self.db.begin().await?;
        write.execute(FORGET, &[name.into()]).await?;
        write.execute(FORGET_SERVERS, &[name.into()]).await?;
        write.commit().await
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn provider(row: &Row) -> Result<KnownProvider, StoreError> {
    let columns = row.named("provider", "of unreadable name");
    let name = columns.text("name")?;
    let columns = row.named("provider", &name);
    let duration = |column| {
        let millis = columns.integer(column)?;
        u64::try_from(millis)
            .map(Duration::from_millis)
            .map_err(|_error| columns.corrupt(&format!("column {column}: out of range")))
    };
    Ok(KnownProvider {
        cloud: columns.optional_text("cloud")?,
        place: Place {
            keystone: columns.text("keystone")?,
            region: columns.optional_text("region")?,
            project_id: columns.optional_text("project_id")?,
            project_name: columns.optional_text("project_name")?,
        },
        api_timeout: duration("api_timeout")?,
        rate: duration("rate")?,
        name,
    })
}
