//! The log of image builds: the lines that their scripts print, within a bound for each build and for all of them.

use super::db::Write;
use super::row::Row;
use super::text::bounded;
use super::{Store, StoreError};
use crate::model::{ImageId, ImageStep, Timestamp};

/// The most lines of one build that are kept: the newest ones.
pub const MOST_LINES: i64 = 20_000;
/// The most bytes of one build that are kept: the newest ones.
pub const MOST_BYTES: i64 = 4 << 20;
/// How many builds have a log: the newest ones. With [`MOST_BYTES`] this bounds the table to about 200 MiB.
const MOST_BUILDS: u32 = 50;

/// A line that a script printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewLine {
    /// When it came.
    pub at: Timestamp,
    /// The step of the build that it belongs to.
    pub step: ImageStep,
    /// How many lines before it were lost because they came too fast.
    pub missed: u32,
    /// The text, without a line break.
    pub text: String,
}

/// A line of the log of a build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildLine {
    /// Its number in the build, from 1. Numbers that are missing before the first line were cut because newer ones
    /// took their place; numbers that are missing later came too fast to be kept.
    pub number: i64,
    /// When it came.
    pub at: Timestamp,
    /// The step of the build that it belongs to, in the words of [`ImageStep`].
    pub step: String,
    /// The text.
    pub text: String,
}

const LAST: &str = "SELECT number, bytes FROM build_log WHERE image_id = $1 ORDER BY number DESC LIMIT 1";
const INSERT: &str = "INSERT INTO build_log (image_id, number, created, step, line, bytes) \
    VALUES ($1, $2, $3, $4, $5, $6)";
const CUT: &str = "DELETE FROM build_log WHERE image_id = $1 AND number < $2";
const OLDEST: &str =
    "SELECT number FROM build_log WHERE image_id = $1 AND bytes >= $2 ORDER BY number LIMIT 1";
const LINES: &str = "SELECT number, created, step, line FROM build_log WHERE image_id = $1 AND number > $2 \
    ORDER BY number LIMIT $3";
const FORGET: &str = "DELETE FROM build_log WHERE image_id IN (SELECT image_id FROM \
    (SELECT DISTINCT image_id FROM build_log ORDER BY image_id DESC LIMIT 1 OFFSET $1) AS older)";

/// Removes lines from before a moment, oldest first; part of [`Store::prune`].
pub(super) const PRUNE: &str = "DELETE FROM build_log WHERE id IN (SELECT id FROM \
    (SELECT id FROM build_log WHERE created < $1 ORDER BY created LIMIT $2) AS oldest)";

impl Store {
    /// Adds lines to the log of a build, all in one write, and cuts the oldest ones when there are too many.
    pub async fn add_build_lines(&self, image: ImageId, lines: &[NewLine]) -> Result<(), StoreError> {
        let mut write = self.db.begin().await?;
        let (mut number, mut bytes) = match write.row(LAST, &[image.0.into()]).await? {
            Some(row) => {
                let columns = row.named("build_log", &image.to_string());
                (columns.integer("number")?, columns.integer("bytes")?)
            }
            None => (0, 0),
        };
        for line in lines {
            let text = bounded(&line.text);
            number = number.saturating_add(1).saturating_add(i64::from(line.missed));
            bytes = bytes.saturating_add(i64::try_from(text.len()).unwrap_or(i64::MAX));
            let values = [
                image.0.into(),
                number.into(),
                line.at.into(),
                line.step.word().into(),
                text.into(),
                bytes.into(),
            ];
            write.execute(INSERT, &values).await?;
        }
        cut(&mut write, image, number, bytes).await?;
        write.commit().await
    }

    /// At most `limit` lines of a build after the line of the number `after`, oldest first.
    pub async fn build_lines(
        &self,
        image: ImageId,
        after: i64,
        limit: u32,
    ) -> Result<Vec<BuildLine>, StoreError> {
        let values = [image.0.into(), after.into(), limit.into()];
        self.db.rows(LINES, &values).await?.iter().map(line).collect()
    }

    /// Removes the logs of all builds but the newest ones, one build at each call.
    pub async fn forget_old_build_logs(&self) -> Result<u64, StoreError> {
        self.db.execute(FORGET, &[MOST_BUILDS.into()]).await
    }
}

/// Removes what is beyond the bounds of one build.
async fn cut(write: &mut Write, image: ImageId, number: i64, bytes: i64) -> Result<(), StoreError> {
    let mut first = number.saturating_sub(MOST_LINES).saturating_add(1);
    if bytes > MOST_BYTES {
        let values = [image.0.into(), bytes.saturating_sub(MOST_BYTES).into()];
        if let Some(row) = write.row(OLDEST, &values).await? {
            // It ends before those bytes, or began before them.
            let oldest = row.named("build_log", &image.to_string()).integer("number")?;
            first = first.max(oldest.saturating_add(1));
        }
    }
    if first > 1 {
        write.execute(CUT, &[image.0.into(), first.into()]).await?;
    }
    Ok(())
}

fn line(row: &Row) -> Result<BuildLine, StoreError> {
    let (number, columns) = row.numbered("build_log", "number")?;
    Ok(BuildLine {
        number,
        at: columns.time("created")?,
        step: columns.text("step")?,
        text: columns.text("line")?,
    })
}
