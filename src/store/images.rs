//! The rows of snapshot images.

use super::db::Write;
use super::history::{self, About, Note};
use super::row::Row;
use super::text::bounded;
use super::{Store, StoreError, departed};
use crate::model::{FloatingFacts, HostKey, Image, ImageId, ImageState, ImageStep, Timestamp};

/// What is known of a snapshot image when its row is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewImage {
    /// Name of the provider.
    pub provider: String,
    /// Name of the image in the provider's configuration.
    pub image: String,
    /// Name of the builder and of the snapshot.
    pub hostname: String,
    /// The availability zone of its builder, if one was chosen.
    pub az: Option<String>,
    /// When the build was decided, in seconds since the epoch.
    pub version: i64,
    /// The attempt id for the tags of all that the build makes. It has to be unique for ever.
    pub attempt: String,
    /// Now.
    pub created: Timestamp,
    /// The settings that it will have in it, one a line.
    pub recipe: String,
    /// Why it is built, in words for a person.
    pub reason: String,
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, provider_name, image_name, hostname, version, keypair, server_external_id, host_key, ",
            "external_id, verify_external_id, az, state, step, state_time, created, attempt, attempted, ",
            "snapshot_attempted, verify_attempted, floating_ip_id, floating_ip_attempted, verify_host_key, ",
            "verify_floating_ip_id, verify_floating_ip_attempted, nodes_ready, recipe, reason, revision FROM snapshot_image ",
            $rest
        )
    };
}

const TABLE: &str = "snapshot_image";
const ALL: &str = select!("ORDER BY id");
const ONE: &str = select!("WHERE id = $1");
const INSERT: &str = "INSERT INTO snapshot_image (provider_name, image_name, hostname, version, state, step, \
    state_time, created, attempt, reason, az, recipe, revision) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 1)";
const UPDATE: &str = "UPDATE snapshot_image SET keypair = $1, server_external_id = $2, host_key = $3, \
    external_id = $4, verify_external_id = $5, state = $6, step = $7, state_time = $8, attempted = $9, \
    snapshot_attempted = $10, verify_attempted = $11, reason = $12, az = $13, floating_ip_id = $14, \
    floating_ip_attempted = $15, verify_host_key = $16, verify_floating_ip_id = $17, \
    verify_floating_ip_attempted = $18, revision = revision + 1 WHERE id = $19 AND revision = $20";
// The bound is what the row type can count.
const COUNT_READY: &str = "UPDATE snapshot_image SET nodes_ready = nodes_ready + CASE WHEN nodes_ready < 4294967295 \
    THEN 1 ELSE 0 END WHERE id = $1";
const REMOVE: &str = "DELETE FROM snapshot_image WHERE id = $1 AND revision = $2";

impl Store {
    /// All snapshot images, oldest first.
    pub async fn images(&self) -> Result<Vec<Image>, StoreError> {
        self.db.rows(ALL, &[]).await?.iter().map(image).collect()
    }

    /// One snapshot image, if it exists.
    pub async fn image(&self, id: ImageId) -> Result<Option<Image>, StoreError> {
        self.db.row(ONE, &[id.0.into()]).await?.as_ref().map(image).transpose()
    }

    /// Makes the row of a snapshot image, in state `building (create)`, and its first line of history. It gets a number
    /// that no other image ever had.
    pub async fn insert_image(&self, new: &NewImage) -> Result<Image, StoreError> {
        let state = ImageState::Building(ImageStep::Create);
        let mut write = self.db.begin().await?;
        let values = [
            new.provider.as_str().into(),
            new.image.as_str().into(),
            new.hostname.as_str().into(),
            new.version.into(),
            state.word().into(),
            state.step().map(ImageStep::word).into(),
            new.created.into(),
            new.created.into(),
            new.attempt.as_str().into(),
            bounded(&new.reason).into(),
            new.az.as_deref().into(),
            bounded(&new.recipe).into(),
        ];
        let id = ImageId(write.insert(INSERT, &values).await?);
        let entry = history::first(new.created, &state, &new.reason);
        history::append(&mut write, &About::image(id, &new.provider, &new.hostname), &entry).await?;
        let image = read(&mut write, id).await?;
        write.commit().await?;
        Ok(image)
    }

    /// Writes what may change of an image (all but its number, provider, name, host name, version, creation time and
    /// attempt) and a line of history, and gives the row as it is now.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the row is gone or not at the revision of `image` any more.
    pub async fn update_image(&self, image: &Image, entry: &Note) -> Result<Image, StoreError> {
        let mut write = self.db.begin().await?;
        let before = if image.server_id.is_none() || image.verify_server_id.is_none() {
            write.row(ONE, &[image.id.0.into()]).await?.as_ref().map(self::image).transpose()?
        } else {
            None
        };
        let values = [
            image.keypair.as_deref().into(),
            image.server_id.as_deref().into(),
            image.host_key.as_ref().map(|key| key.0.as_str()).into(),
            image.external_id.as_deref().into(),
            image.verify_server_id.as_deref().into(),
            image.state.word().into(),
            image.state.step().map(ImageStep::word).into(),
            image.state_time.into(),
            image.attempted.into(),
            image.snapshot_attempted.into(),
            image.verify_attempted.into(),
            bounded(&image.reason).into(),
            image.az.as_deref().into(),
            image.floating_ip.id.as_deref().into(),
            image.floating_ip.attempted.into(),
            image.verify_host_key.as_ref().map(|key| key.0.as_str()).into(),
            image.verify_floating_ip.id.as_deref().into(),
            image.verify_floating_ip.attempted.into(),
            image.id.0.into(),
            image.revision.into(),
        ];
        if write.execute(UPDATE, &values).await? == 0 {
            return Err(conflict(image));
        }
        if let Some(before) = before {
            departed::record_of_image(&mut write, &before, Some(image), entry.at).await?;
        }
        history::append(&mut write, &About::image(image.id, &image.provider, &image.hostname), entry).await?;
        let image = read(&mut write, image.id).await?;
        write.commit().await?;
        Ok(image)
    }

    /// Counts one more node that became ready from a snapshot. Nobody's compare-and-set is disturbed by that.
    pub async fn count_node_ready(&self, id: ImageId) -> Result<(), StoreError> {
        self.db.execute(COUNT_READY, &[id.0.into()]).await.map(|_written| ())
    }

    /// Removes the row of an image of which nothing is left on its cloud, and writes the last line of its history.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the row is gone or not at the revision of `image` any more.
    pub async fn remove_image(&self, image: &Image, entry: &Note) -> Result<(), StoreError> {
        let mut write = self.db.begin().await?;
        if write.execute(REMOVE, &[image.id.0.into(), image.revision.into()]).await? == 0 {
            return Err(conflict(image));
        }
        departed::record_of_image(&mut write, image, None, entry.at).await?;
        history::append(&mut write, &About::image(image.id, &image.provider, &image.hostname), entry).await?;
        write.commit().await
    }
}

fn conflict(image: &Image) -> StoreError {
    StoreError::Conflict { table: TABLE, id: image.id.0, revision: image.revision }
}

/// The row as this write leaves it.
async fn read(write: &mut Write, id: ImageId) -> Result<Image, StoreError> {
    let row = write.row(ONE, &[id.0.into()]).await?;
    image(&row.ok_or_else(|| StoreError::Corrupt(format!("table {TABLE}, row {id}: written, not found")))?)
}

fn image(row: &Row) -> Result<Image, StoreError> {
    let (id, columns) = row.numbered(TABLE, "id")?;
    let (state, step) = (columns.text("state")?, columns.optional_text("step")?);
    let state = ImageState::from_words(&state, step.as_deref())
        .ok_or_else(|| columns.corrupt(&format!("unknown state {state:?} with step {step:?}")))?;
    Ok(Image {
        id: ImageId(id),
        provider: columns.text("provider_name")?,
        image: columns.text("image_name")?,
        hostname: columns.text("hostname")?,
        version: columns.integer("version")?,
        keypair: columns.optional_text("keypair")?,
        server_id: columns.optional_text("server_external_id")?,
        host_key: columns.optional_text("host_key")?.map(HostKey),
        external_id: columns.optional_text("external_id")?,
        floating_ip: FloatingFacts {
            id: columns.optional_text("floating_ip_id")?,
            attempted: columns.optional_time("floating_ip_attempted")?,
        },
        verify_server_id: columns.optional_text("verify_external_id")?,
        az: columns.optional_text("az")?,
        verify_host_key: columns.optional_text("verify_host_key")?.map(HostKey),
        verify_floating_ip: FloatingFacts {
            id: columns.optional_text("verify_floating_ip_id")?,
            attempted: columns.optional_time("verify_floating_ip_attempted")?,
        },
        state,
        state_time: columns.time("state_time")?,
        created: columns.time("created")?,
        attempt: columns.text("attempt")?,
        attempted: columns.optional_time("attempted")?,
        snapshot_attempted: columns.optional_time("snapshot_attempted")?,
        verify_attempted: columns.optional_time("verify_attempted")?,
        nodes_ready: u32::try_from(columns.integer("nodes_ready")?)
            .map_err(|_error| columns.corrupt("column nodes_ready: out of range"))?,
        recipe: columns.text("recipe")?,
        reason: columns.text("reason")?,
        revision: columns.integer("revision")?,
    })
}
