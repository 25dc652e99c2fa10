//! A connection to a server, given back to its pool only when nothing is under way on it.
//!
//! A call may be dropped at any moment, by its deadline or by whoever lost interest. What the server answers afterwards would
//! then be taken for the answer to the next statement, so such a connection is closed instead, and the server undoes what was
//! not committed.

use sqlx::pool::PoolConnection;
use sqlx::{Database, Executor, Pool};

use super::within;
use crate::store::StoreError;

/// A connection of a pool, for one call or one write.
pub(super) struct Held<D: Database>
where
    for<'c> &'c mut D::Connection: Executor<'c, Database = D>,
{
    /// Until it is given back.
    connection: Option<PoolConnection<D>>,
    /// Nothing is under way.
    quiet: bool,
    /// A write began and has not ended.
    writes: bool,
    /// The write is being undone: a runtime that ends drops that, too.
    undone: bool,
}

impl<D: Database> Held<D>
where
    for<'c> &'c mut D::Connection: Executor<'c, Database = D>,
{
    /// A connection for a call.
    pub(super) async fn of(pool: &Pool<D>) -> Result<Self, StoreError> {
        let connection = pool.acquire().await.map_err(StoreError::from_server)?;
        Ok(Self { connection: Some(connection), quiet: true, writes: false, undone: false })
    }

    /// A connection on which a write has begun.
    pub(super) async fn writing(pool: &Pool<D>, first: &'static str) -> Result<Self, StoreError> {
        let mut held = Self::of(pool).await?;
        held.writes = true;
        let begun = held.busy()?.execute("BEGIN").await;
        held.quiet(begun)?;
        let counted = held.busy()?.execute(first).await;
        held.quiet(counted)?;
        Ok(held)
    }

    /// The connection for one statement, whose result goes through [`Self::quiet`].
    pub(super) fn busy(&mut self) -> Result<&mut D::Connection, StoreError> {
        self.quiet = false;
        self.connection.as_deref_mut().ok_or_else(|| StoreError::Unavailable("it was given back".to_owned()))
    }

    /// The result of a statement that ended.
    pub(super) fn quiet<T>(&mut self, result: sqlx::Result<T>) -> Result<T, StoreError> {
        // After an error that the server did not tell, nobody knows what comes next.
        self.quiet = matches!(result, Ok(_) | Err(sqlx::Error::Database(_)));
        result.map_err(StoreError::from_server)
    }

    /// Makes a write last.
    pub(super) async fn commit(mut self) -> Result<(), StoreError> {
        let committed = self.busy()?.execute("COMMIT").await;
        self.quiet(committed)?;
        self.writes = false;
        Ok(())
    }

    async fn roll_back(mut self) -> Result<(), StoreError> {
        let undone = self.busy()?.execute("ROLLBACK").await;
        self.quiet(undone)?;
        self.writes = false;
        Ok(())
    }
}

impl<D: Database> Drop for Held<D>
where
    for<'c> &'c mut D::Connection: Executor<'c, Database = D>,
{
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        if self.quiet && !self.writes {
            return;
        }
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) if self.quiet && !self.undone => {
                let again = Self { connection: Some(connection), quiet: true, writes: true, undone: true };
                runtime.spawn(async move {
                    // One that cannot be undone is closed.
                    let _ = within(again.roll_back()).await;
                });
            }
            _ => drop(connection.detach()),
        }
    }
}
