//! How many spare nodes a label is to have now: `min-ready`, or more by the clock or by its load.

use std::fmt;

use crate::config::Label;
use crate::model::Timestamp;

/// How many spare nodes a label is to have, and why so many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watermark {
    /// How many spare nodes.
    pub spares: u32,
    /// Which of the settings asks for the most; of those that ask for as many, the first.
    pub cause: WatermarkCause,
}

/// The setting that asks for the most spare nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatermarkCause {
    /// `min-ready`.
    MinReady,
    /// This window of `schedule`.
    Schedule(String),
    /// `headroom`.
    Headroom {
        /// The share that is kept free.
        percent: u32,
        /// The nodes that jobs have.
        busy: u32,
    },
}

impl fmt::Display for WatermarkCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MinReady => f.write_str("min-ready"),
            Self::Schedule(window) => write!(f, "schedule {window}"),
            Self::Headroom { percent, busy } => write!(f, "headroom {percent}% of {busy} busy nodes"),
        }
    }
}

impl Watermark {
    /// How many spare nodes a label is to have while jobs have `busy` of its nodes; `None` for one that is switched off. A
    /// part of a node counts as a whole one.
    pub fn of(label: &Label, busy: u32, now: Timestamp) -> Option<Self> {
        let mut most = Self { spares: label.min_ready?, cause: WatermarkCause::MinReady };
        for window in label.schedule.iter().filter(|window| window.holds(now)) {
            if window.spares > most.spares {
                most = Self { spares: window.spares, cause: WatermarkCause::Schedule(window.text.clone()) };
            }
        }
        let share = u64::from(busy).saturating_mul(u64::from(label.headroom)).div_ceil(100);
        let share = u32::try_from(share).unwrap_or(u32::MAX);
        if share > most.spares {
            most = Self { spares: share, cause: WatermarkCause::Headroom { percent: label.headroom, busy } };
        }
        Some(most)
    }

    /// When the clock changes how many spare nodes a label is to have, at the earliest.
    pub fn next_change(label: &Label, after: Timestamp) -> Option<Timestamp> {
        label.schedule.iter().filter_map(|window| window.next_change(after)).min()
    }
}
