//! The commands of `nodepool`, one file each.
//!
//! The CLI reads the store and writes wishes into it; the daemon alone changes anything. What only the daemon knows, its last
//! plan, is asked of its web port. Its tables are those of
//! nodepool v0, column for column, since scripts cut them apart; `-o json` and `-o yaml` tell everything.
//!
//! The answer goes to standard output, everything else to standard error. The exit status is that of [`Status`].

mod age;
pub mod alien;
pub mod alien_delete;
pub mod alien_image_list;
pub mod alien_list;
pub mod cause;
pub mod config_schema;
pub mod config_show;
pub mod config_validate;
mod confirm;
mod console;
mod daemon;
pub mod delete;
pub mod doctor;
mod facts;
mod failure;
pub mod failures;
mod follow;
pub mod gc;
pub mod history;
pub mod hold;
mod ids;
pub mod image_delete;
pub mod image_list;
pub mod image_log;
pub mod image_update;
pub mod info;
pub mod jobs;
pub mod list;
pub mod live;
pub mod ping;
pub mod plan;
pub mod plan_view;
pub mod reach;
pub mod run;
pub mod schedule;
mod session;
mod several;
mod sort;
pub mod ssh;
pub mod stats;
mod suggest;
mod table;
mod terminal;
pub mod unhold;
mod view;
mod watch;
pub mod what_if;
pub mod why;
mod wish;

use std::time::Duration;

pub use age::Age;
pub use alien::CloudReader;
pub use console::{Console, Format};
pub use facts::Facts;
pub use failure::{Failure, Status};
pub use ids::Ids;
pub use plan_view::{ActionView, PlanView, RefusalView};
pub use session::Session;
pub use sort::Key;
pub use table::Table;
pub use view::{ImageView, NodeView, rfc3339};
pub use wish::Answer;

/// Reads the number of a node or an image.
fn number(text: &str) -> Result<i64, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err("numbers are those in the ID column of the list".to_owned()),
    }
}

/// Reads a time span that is not empty.
fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err("it is no time at all".to_owned()),
        Ok(duration) => Ok(duration),
        Err(error) => Err(format!("{error}; write 2d, 8h or 90m")),
    }
}
