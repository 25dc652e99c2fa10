//! The crons: what is done by the clock is written down as a wish when its moment comes.
//!
//! A cron does nothing itself. A wish of its kind that is still open is not written again, so nothing overlaps itself;
//! and a moment at which the daemon did not run is over.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Local, Utc};
use chrono_tz::Tz;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Cron, Crons};
use crate::model::{ImageState, WishKind, counted};
use crate::store::{Store, StoreError};

/// The longest sleep: a clock that was set, or a machine that was suspended, is noticed within this time.
const LONGEST_SLEEP: Duration = Duration::from_secs(20);

/// A moment that lies this far back when it is noticed was missed, and is not made up for.
const MISSED: Duration = Duration::from_secs(120);

/// The crons of one daemon.
pub struct Clockwork {
    /// Where wishes are written down.
    pub store: Store,
    /// The configuration in use.
    pub config: watch::Receiver<Arc<Config>>,
    /// Wakes the engine.
    pub ring: Box<dyn Fn() + Send + Sync>,
}

/// What is done by the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Job {
    ImageUpdate,
    Cleanup,
    Check,
}

const JOBS: [Job; 3] = [Job::ImageUpdate, Job::Cleanup, Job::Check];

impl Job {
    const fn name(self) -> &'static str {
        match self {
            Self::ImageUpdate => "image-update",
            Self::Cleanup => "cleanup",
            Self::Check => "check",
        }
    }

    const fn cron(self, crons: &Crons) -> Option<&Cron> {
        match self {
            Self::ImageUpdate => crons.image_update.as_ref(),
            Self::Cleanup => crons.cleanup.as_ref(),
            Self::Check => crons.check.as_ref(),
        }
    }
}

impl Clockwork {
    /// Runs until `stop` is cancelled.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut crons = self.config.borrow_and_update().crons.clone();
        let mut next = all_next(&crons, Utc::now());
        let mut last = Utc::now();
        loop {
            let now = Utc::now();
            if now < last {
                // The clock was set back, so moments come that were over.
                next = all_next(&crons, now);
            }
            last = now;
            for (job, due) in JOBS.iter().zip(&mut next) {
                let Some(moment) = *due else { continue };
                if now < moment {
                    continue;
                }
                *due = job.cron(&crons).and_then(|cron| next_moment(*job, cron, now));
                if now.signed_duration_since(moment).to_std().unwrap_or_default() > MISSED {
                    tracing::warn!(target: "nodepool.cron", "{} was due at {moment} and is left out", job.name());
                } else {
                    self.fire(*job).await;
                }
            }
            let soonest = next.iter().flatten().min();
            let sleep =
                soonest.map(|moment| moment.signed_duration_since(Utc::now()).to_std().unwrap_or_default());
            let sleep = sleep.unwrap_or(LONGEST_SLEEP).min(LONGEST_SLEEP);
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(sleep) => {}
                changed = self.config.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let new = self.config.borrow_and_update().crons.clone();
                    if new != crons {
                        crons = new;
                        next = all_next(&crons, Utc::now());
                    }
                }
            }
        }
    }

    async fn fire(&self, job: Job) {
        match self.write(job).await {
            Ok(0) => tracing::debug!(target: "nodepool.cron", "{}: nothing to ask for", job.name()),
            Ok(count) => {
                let wishes = counted(count, "wish was", "wishes were");
                tracing::info!(target: "nodepool.cron", "{}: {wishes} written", job.name());
                (self.ring)();
            }
            Err(error) => {
                tracing::error!(target: "nodepool.cron", "{} is left out: {error}", job.name());
            }
        }
    }

    /// Writes down what the job asks for, unless it is asked for or being done already.
    async fn write(&self, job: Job) -> Result<usize, StoreError> {
        let wanted = match job {
            Job::Cleanup => vec![WishKind::Cleanup],
            Job::Check => vec![WishKind::Check],
            Job::ImageUpdate => self.images_to_build().await?,
        };
        let open = self.store.open_wishes().await?;
        let mut written = 0_usize;
        for wish in wanted {
            if !open.iter().any(|known| known.kind == wish) {
                self.store.add_wish(&wish, std::time::SystemTime::now().into()).await?;
                written = written.saturating_add(1);
            }
        }
        Ok(written)
    }

    /// Every image in use that is not being built already.
    async fn images_to_build(&self) -> Result<Vec<WishKind>, StoreError> {
        let config = self.config.borrow().clone();
        let building: BTreeSet<(String, String)> = self
            .store
            .images()
            .await?
            .into_iter()
            .filter(|image| matches!(image.state, ImageState::Building(_)))
            .map(|image| (image.provider, image.image))
            .collect();
        let used = in_use(&config).into_iter().filter(|image| !building.contains(image));
        Ok(used.map(|(provider, image)| WishKind::ImageUpdate { provider, image }).collect())
    }
}

/// The images that labels use, but for paused ones.
fn in_use(config: &Config) -> BTreeSet<(String, String)> {
    let labels = config.labels.iter().filter(|label| label.min_ready.is_some());
    labels
        .flat_map(|label| label.providers.iter().map(|provider| (provider.clone(), label.image.clone())))
        .filter(|(provider, image)| {
            let known = config.provider(provider).and_then(|provider| provider.image(image));
            known.is_some_and(|image| !image.pause)
        })
        .collect()
}

fn all_next(crons: &Crons, now: DateTime<Utc>) -> [Option<DateTime<Utc>>; 3] {
    JOBS.map(|job| job.cron(crons).and_then(|cron| next_moment(job, cron, now)))
}

/// The next moment of a cron; one that never comes is told in the log.
fn next_moment(job: Job, cron: &Cron, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
    next_after(cron, after)
        .inspect_err(|why| tracing::error!(target: "nodepool.cron", "{} never runs: {why}", job.name()))
        .ok()
}

/// The first moment after `after`, in the time zone of the cron.
///
/// # Errors
/// Why there is none, in words for a person.
fn next_after(cron: &Cron, after: DateTime<Utc>) -> Result<DateTime<Utc>, String> {
    let mut fields: Vec<&str> = cron.schedule.split_whitespace().collect();
    // nodepool v0 has the second last, croner has it first.
    if fields.len() > 5 {
        fields.rotate_right(1);
    }
    let wrong = |error: croner::errors::CronError| format!("schedule {:?}: {error}", cron.schedule);
    let times: croner::Cron = fields.join(" ").parse().map_err(wrong)?;
    match &cron.zone {
        None => {
            let next = times.find_next_occurrence(&after.with_timezone(&Local), false);
            Ok(next.map_err(wrong)?.with_timezone(&Utc))
        }
        Some(name) => {
            let zone: Tz = name.parse().map_err(|_| format!("there is no time zone {name:?}"))?;
            let next = times.find_next_occurrence(&after.with_timezone(&zone), false);
            Ok(next.map_err(wrong)?.with_timezone(&Utc))
        }
    }
}

/// What the crons wait for, in words for a person: one line each.
pub fn outlook(config: &Config) -> Vec<String> {
    let now = Utc::now();
    let line = |job: Job| match job.cron(&config.crons) {
        None => format!("cron {}: switched off", job.name()),
        Some(cron) => match next_after(cron, now) {
            Ok(moment) => format!("cron {}: waits until {}", job.name(), moment.format("%FT%TZ")),
            Err(why) => format!("cron {}: never runs: {why}", job.name()),
        },
    };
    JOBS.map(line).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(schedule: &str, zone: &str, after: &str) -> String {
        let cron = Cron { schedule: schedule.to_owned(), zone: Some(zone.to_owned()) };
        let after = after.parse().unwrap();
        next_after(&cron, after).map_or_else(|why| why, |moment| moment.format("%FT%TZ").to_string())
    }

    #[test]
    fn fields_come_in_the_order_of_v0() {
        assert_eq!(next("14 2 * * *", "UTC", "2026-01-01T00:00:00Z"), "2026-01-01T02:14:00Z");
        assert_eq!(next("*/15 * * * *", "UTC", "2026-01-01T00:15:00Z"), "2026-01-01T00:30:00Z");
        // The sixth is the second.
        assert_eq!(next("14 2 * * * 30", "UTC", "2026-01-01T00:00:00Z"), "2026-01-01T02:14:30Z");
        assert_eq!(next("* * * * * */20", "UTC", "2026-01-01T00:00:05Z"), "2026-01-01T00:00:20Z");
        // The month counts, which nodepool 0.2.0 lost; Sunday is 0 and 7, as in a crontab.
        assert_eq!(next("0 0 1 3 *", "UTC", "2026-01-01T00:00:00Z"), "2026-03-01T00:00:00Z");
        for sunday in ["0 0 * * 0", "0 0 * * 7", "0 0 * * sun"] {
            assert_eq!(next(sunday, "UTC", "2026-01-01T00:00:00Z"), "2026-01-04T00:00:00Z");
        }
    }

    #[test]
    fn each_has_its_time_zone_and_survives_the_change_of_clocks() {
        assert_eq!(next("14 2 * * *", "Asia/Kolkata", "2026-01-01T00:00:00Z"), "2026-01-01T20:44:00Z");
        // Winter, then summer.
        assert_eq!(next("30 12 * * *", "Europe/Paris", "2026-03-28T00:00:00Z"), "2026-03-28T11:30:00Z");
        assert_eq!(next("30 12 * * *", "Europe/Paris", "2026-03-29T00:00:00Z"), "2026-03-29T10:30:00Z");
        // 2:14 does not exist on the 29th of March: it runs that night all the same, once.
        let night = next("14 2 * * *", "Europe/Paris", "2026-03-28T12:00:00Z");
        assert!(night.starts_with("2026-03-29T01:"), "{night}");
        assert_eq!(next("14 2 * * *", "Europe/Paris", &night), "2026-03-30T00:14:00Z");
        // 2:14 comes twice on the 25th of October, and it runs once.
        let night = next("14 2 * * *", "Europe/Paris", "2026-10-24T12:00:00Z");
        assert_eq!(night, "2026-10-25T00:14:00Z");
        assert_eq!(next("14 2 * * *", "Europe/Paris", &night), "2026-10-26T01:14:00Z");
        // What runs each quarter of an hour does so in the hour that comes twice as well.
        assert_eq!(next("*/15 * * * *", "Europe/Paris", "2026-10-25T00:45:00Z"), "2026-10-25T01:00:00Z");
    }

    #[test]
    fn what_never_comes_says_why() {
        let never = next("0 0 30 2 *", "UTC", "2026-01-01T00:00:00Z");
        assert!(never.starts_with("schedule \"0 0 30 2 *\": "), "{never}");
        assert_eq!(
            next("* * * * *", "Europe/Atlantis", "2026-01-01T00:00:00Z"),
            "there is no time zone \"Europe/Atlantis\""
        );
    }
}
