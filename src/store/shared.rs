//! What daemons and commands on several machines need to know of each other, where the database is on a server.

use super::leases::ENGINE_LEASE;
use super::{Store, StoreError};
use crate::model::WishId;

/// What a daemon looks at all the time, for commands on other machines cannot ring its bell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signs {
    /// The newest wish, settled or not.
    pub newest_wish: Option<WishId>,
    /// Who has, or last had, the lease of [`ENGINE_LEASE`].
    pub holder: Option<String>,
    /// Who serves the page where, as [`Store::announce_page`] wrote it.
    pub page: Option<Page>,
}

/// Where a daemon serves its page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The holder of its lease.
    pub holder: String,
    /// Host and port; empty for one that serves none.
    pub address: String,
}

const SIGNS: &str = "SELECT (SELECT max(id) FROM wish) AS newest_wish, (SELECT holder FROM lease WHERE name = $1) AS holder, \
    page FROM installation WHERE id = 1";
const PAGE: &str = "SELECT page FROM installation WHERE id = 1";
const ANNOUNCE: &str = "UPDATE installation SET page = $1 WHERE id = 1";
/// Between a holder and its address.
const BETWEEN: &str = " serves at ";

impl Store {
    /// Whether the database is on a server, where daemons and commands of other machines may use it, too.
    pub fn is_shared(&self) -> bool {
        !self.db.is_sqlite()
    }

    /// What a daemon on a shared database looks at all the time.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when the database is not shared.
    pub async fn signs(&self) -> Result<Signs, StoreError> {
        let row = self.shared_row(SIGNS, &[ENGINE_LEASE.into()]).await?;
        let columns = row.named("installation", "1");
        Ok(Signs {
            newest_wish: columns.optional_integer("newest_wish")?.map(WishId),
            holder: columns.optional_text("holder")?,
            page: columns.optional_text("page")?.as_deref().and_then(read),
        })
    }

    /// Where the page was last said to be served, in a shared database.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when the database is not shared.
    pub async fn page(&self) -> Result<Option<Page>, StoreError> {
        let row = self.shared_row(PAGE, &[]).await?;
        Ok(row.named("installation", "1").optional_text("page")?.as_deref().and_then(read))
    }

    /// Says in a shared database where the page is served.
    pub async fn announce_page(&self, page: &Page) -> Result<(), StoreError> {
        let text = format!("{}{BETWEEN}{}", page.holder, page.address);
        self.db.execute(ANNOUNCE, &[text.into()]).await.map(|_written| ())
    }

    async fn shared_row(
        &self,
        sql: &'static str,
        values: &[super::db::Value],
    ) -> Result<super::row::Row, StoreError> {
        if !self.is_shared() {
            return Err(StoreError::Corrupt("a file of SQLite tells nothing to other machines".to_owned()));
        }
        let row = self.db.row(sql, values).await?;
        row.ok_or_else(|| StoreError::Corrupt("table installation, row 1: missing".to_owned()))
    }
}

fn read(text: &str) -> Option<Page> {
    let (holder, address) = text.rsplit_once(BETWEEN)?;
    Some(Page { holder: holder.to_owned(), address: address.to_owned() })
}
