//! How long something has been in its state, in the two forms that nodepool v0 had.

use std::time::Duration;

/// The form of an age.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Age {
    /// Decimal hours with two places, as in nodepool 0.1: monitoring reads it as a number.
    #[default]
    Hours,
    /// Days, hours, minutes and seconds, as in nodepool 0.2 and later: 00:01:14:24.
    Clock,
}

impl Age {
    /// The title of the column.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Hours => "Age (hours)",
            Self::Clock => "Age",
        }
    }

    /// The text of a cell.
    pub fn text(self, age: Duration) -> String {
        match self {
            Self::Hours => {
                // Half a hundredth of an hour is 18 seconds.
                let hundredths = age.as_secs().saturating_add(18) / 36;
                format!("{}.{:02}", hundredths / 100, hundredths % 100)
            }
            Self::Clock => {
                let seconds = age.as_secs();
                let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
                format!("{days:02}:{:02}:{:02}:{:02}", hours % 24, minutes % 60, seconds % 60)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms() {
        for (seconds, hours, clock) in [
            (0, "0.00", "00:00:00:00"),
            (17, "0.00", "00:00:00:17"),
            (18, "0.01", "00:00:00:18"),
            (5184, "1.44", "00:01:26:24"),
            (3600 * 24 * 100 + 59, "2400.02", "100:00:00:59"),
        ] {
            let age = Duration::from_secs(seconds);
            assert_eq!((Age::Hours.text(age).as_str(), Age::Clock.text(age).as_str()), (hours, clock));
        }
    }
}
