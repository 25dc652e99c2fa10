//! Servers of ours that are gone: what clouds forget to delete with them is known by their ids.
//!
//! Written with the row that had the server, in one transaction, so that no crash can lose it. Kept for a bounded time.

use std::time::Duration;

use super::db::Write;
use super::row::Row;
use super::{Store, StoreError};
use crate::model::{DepartedServer, Image, Owner, Timestamp};

/// How long a server is remembered that is gone. Much longer than a daemon or a cloud's network service is ever away.
const KEPT: Duration = Duration::from_hours(30 * 24);

const ONE: &str = "SELECT owner, owner_id, attempt, departed FROM departed_server \
    WHERE provider_name = $1 AND external_id = $2";
const FORGET: &str = "DELETE FROM departed_server WHERE provider_name = $1 AND external_id = $2";
const FORGET_OLD: &str = "DELETE FROM departed_server WHERE departed < $1";
const INSERT: &str = "INSERT INTO departed_server (provider_name, external_id, owner, owner_id, attempt, departed) \
    VALUES ($1, $2, $3, $4, $5, $6)";

impl Store {
    /// The server of this id, if it was ours and is gone, as far back as is remembered: 30 days.
    pub async fn departed_server(
        &self,
        provider: &str,
        id: &str,
    ) -> Result<Option<DepartedServer>, StoreError> {
        let row = self.db.row(ONE, &[provider.into(), id.into()]).await?;
        row.map(|row| departed(&row, provider, id)).transpose()
    }

    /// Remembers a server that no row has and that is about to be deleted.
    pub async fn add_departed_server(&self, server: &DepartedServer) -> Result<(), StoreError> {
        let mut write = self.db.begin().await?;
        record(&mut write, server).await?;
        write.commit().await
    }
}

/// Remembers a server in the write that takes it out of its row.
pub(super) async fn record(write: &mut Write, server: &DepartedServer) -> Result<(), StoreError> {
    write.execute(FORGET_OLD, &[server.departed.minus(KEPT).into()]).await?;
    write.execute(FORGET, &[server.provider.as_str().into(), server.id.as_str().into()]).await?;
    let (owner, number) = server.owner.words();
    let values = [
        server.provider.as_str().into(),
        server.id.as_str().into(),
        owner.into(),
        number.into(),
        server.attempt.as_str().into(),
        server.departed.into(),
    ];
    write.execute(INSERT, &values).await?;
    Ok(())
}

/// Remembers the servers that a build had before this write and has not after it.
pub(super) async fn record_of_image(
    write: &mut Write,
    before: &Image,
    after: Option<&Image>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let servers = [
        (Owner::Builder(before.id), &before.server_id, after.and_then(|after| after.server_id.as_ref())),
        (
            Owner::Verifier(before.id),
            &before.verify_server_id,
            after.and_then(|after| after.verify_server_id.as_ref()),
        ),
    ];
    for (owner, before_it, after_it) in servers {
        let Some(id) = before_it.as_ref().filter(|id| after_it != Some(id)) else { continue };
        let server = DepartedServer {
            provider: before.provider.clone(),
            id: id.clone(),
            owner,
            attempt: before.attempt.clone(),
            departed: now,
        };
        record(write, &server).await?;
    }
    Ok(())
}

fn departed(row: &Row, provider: &str, id: &str) -> Result<DepartedServer, StoreError> {
    let columns = row.named("departed_server", id);
    let (kind, number) = (columns.text("owner")?, columns.integer("owner_id")?);
    Ok(DepartedServer {
        provider: provider.to_owned(),
        id: id.to_owned(),
        owner: Owner::from_words(&kind, number)
            .ok_or_else(|| columns.corrupt(&format!("unknown owner {kind:?}")))?,
        attempt: columns.text("attempt")?,
        departed: columns.time("departed")?,
    })
}
