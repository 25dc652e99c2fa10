//! Operators' wishes: written by the CLI and the web page, settled by the daemon.

use super::db::Value;
use super::row::{Columns, Row};
use super::text::bounded;
use super::{Store, StoreError};
use crate::model::{ImageId, NodeId, Timestamp, Wish, WishId, WishKind};

/// How a wish was settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// Whether it was granted.
    pub granted: bool,
    /// What was done, or why nothing was, in words for a person.
    pub outcome: String,
    /// When.
    pub at: Timestamp,
}

/// The most wishes that one read gives; the rest follow when these are settled.
const MOST_WISHES: u32 = 1000;

const INSERT: &str = "INSERT INTO wish (kind, node_id, snapshot_image_id, provider_name, image_name, external_id, \
    comment, held_until, insists, owner, created) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
const OPEN: &str = "SELECT id, kind, node_id, snapshot_image_id, provider_name, image_name, external_id, \
    comment, held_until, insists, owner, created FROM wish WHERE settled IS NULL ORDER BY id LIMIT $1";
const SETTLE: &str =
    "UPDATE wish SET settled = $1, granted = $2, outcome = $3 WHERE id = $4 AND settled IS NULL";
const OUTCOME: &str = "SELECT id, settled, granted, outcome FROM wish WHERE id = $1 AND settled IS NOT NULL";

impl Store {
    /// Writes down a wish. Ring the daemon's bell, or wait for its next tick, and read the outcome.
    pub async fn add_wish(&self, kind: &WishKind, now: Timestamp) -> Result<WishId, StoreError> {
        let fields = Fields::of(kind);
        let values: [Value; 11] = [
            fields.kind.into(),
            fields.node.into(),
            fields.image_id.into(),
            fields.provider.map(bounded).into(),
            fields.image.map(bounded).into(),
            fields.external_id.into(),
            fields.comment.map(bounded).into(),
            fields.until.into(),
            fields.insists.into(),
            fields.owner.map(bounded).into(),
            now.into(),
        ];
        self.db.insert(INSERT, &values).await.map(WishId)
    }

    /// The wishes that are not settled, in the order in which they were written; at most 1,000 of them.
    pub async fn open_wishes(&self) -> Result<Vec<Wish>, StoreError> {
        self.db.rows(OPEN, &[MOST_WISHES.into()]).await?.iter().map(wish).collect()
    }

    /// Settles a wish; gives whether it was still open. One that was settled before keeps its first outcome.
    pub async fn settle_wish(
        &self,
        id: WishId,
        now: Timestamp,
        granted: bool,
        outcome: &str,
    ) -> Result<bool, StoreError> {
        let values = [now.into(), granted.into(), bounded(outcome).into(), id.0.into()];
        Ok(self.db.execute(SETTLE, &values).await? > 0)
    }

    /// How a wish was settled; `None` while it is open, and once it is so old that it was pruned.
    pub async fn wish_outcome(&self, id: WishId) -> Result<Option<Settled>, StoreError> {
        self.db.row(OUTCOME, &[id.0.into()]).await?.as_ref().map(settled).transpose()
    }
}

/// A wish as its row spells it: each kind uses the columns that it needs.
#[derive(Default)]
struct Fields<'w> {
    kind: &'static str,
    node: Option<i64>,
    image_id: Option<i64>,
    provider: Option<&'w str>,
    image: Option<&'w str>,
    external_id: Option<&'w str>,
    comment: Option<&'w str>,
    until: Option<Timestamp>,
    insists: bool,
    owner: Option<&'w str>,
}

impl<'w> Fields<'w> {
    fn of(kind: &'w WishKind) -> Self {
        match kind {
            WishKind::Hold { node, comment, until, owner } => Self {
                kind: "hold",
                node: Some(node.0),
                comment: comment.as_deref(),
                until: *until,
                owner: owner.as_deref(),
                ..Self::default()
            },
            WishKind::Unhold(node) => Self { kind: "unhold", node: Some(node.0), ..Self::default() },
            WishKind::Delete { node, now } => {
                Self { kind: "delete", node: Some(node.0), insists: *now, ..Self::default() }
            }
            WishKind::ImageUpdate { provider, image } => {
                Self { kind: "image-update", provider: Some(provider), image: Some(image), ..Self::default() }
            }
            WishKind::ImageDelete(image) => {
                Self { kind: "image-delete", image_id: Some(image.0), ..Self::default() }
            }
            WishKind::Check => Self { kind: "check", ..Self::default() },
            WishKind::Cleanup => Self { kind: "cleanup", ..Self::default() },
            WishKind::ConfirmCleanup => Self { kind: "cleanup-confirm", ..Self::default() },
            WishKind::AlienDelete { provider, server } => Self {
                kind: "alien-delete",
                provider: Some(provider),
                external_id: Some(server),
                ..Self::default()
            },
        }
    }
}

fn wish(row: &Row) -> Result<Wish, StoreError> {
    let (id, columns) = row.numbered("wish", "id")?;
    Ok(Wish { id: WishId(id), kind: kind(&columns)?, created: columns.time("created")? })
}

fn kind(columns: &Columns<'_>) -> Result<WishKind, StoreError> {
    let word = columns.text("kind")?;
    match word.as_str() {
        "hold" => Ok(WishKind::Hold {
            node: NodeId(columns.integer("node_id")?),
            comment: columns.optional_text("comment")?,
            until: columns.optional_time("held_until")?,
            owner: columns.optional_text("owner")?,
        }),
        "unhold" => Ok(WishKind::Unhold(NodeId(columns.integer("node_id")?))),
        "delete" => Ok(WishKind::Delete {
            node: NodeId(columns.integer("node_id")?),
            now: columns.boolean("insists")?,
        }),
        "image-update" => Ok(WishKind::ImageUpdate {
            provider: columns.text("provider_name")?,
            image: columns.text("image_name")?,
        }),
        "check" => Ok(WishKind::Check),
        "cleanup" => Ok(WishKind::Cleanup),
        "cleanup-confirm" => Ok(WishKind::ConfirmCleanup),
        "alien-delete" => Ok(WishKind::AlienDelete {
            provider: columns.text("provider_name")?,
            server: columns.text("external_id")?,
        }),
        "image-delete" => Ok(WishKind::ImageDelete(ImageId(columns.integer("snapshot_image_id")?))),
        unknown => Err(columns.corrupt(&format!("unknown kind {unknown:?}"))),
    }
}

fn settled(row: &Row) -> Result<Settled, StoreError> {
    let (_id, columns) = row.numbered("wish", "id")?;
    Ok(Settled {
        granted: columns.boolean("granted")?,
        outcome: columns.text("outcome")?,
        at: columns.time("settled")?,
    })
}
