//! How fast a cloud may be asked: a token bucket without a clock of its own.

use std::time::Duration;

use crate::model::Timestamp;

/// A rest of this length may be used up at once.
const BURST: Duration = Duration::from_secs(5);

/// The most calls that may be made at once.
const LARGEST_BURST: u32 = 100;

/// The longest that a cloud is left alone. What seems longer comes from a clock that was set back.
const LONGEST_HOLD: Duration = Duration::from_hours(1);

/// A bucket of tokens, one for each call.
///
/// It is kept as one moment: when the bucket will be full again. That moment moves by one `rate` with each token taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Nanoseconds between two tokens.
    rate: i128,
    /// Nanoseconds that a full bucket is ahead of an empty one.
    depth: i128,
    /// When the bucket is full, in nanoseconds since the epoch.
    full: i128,
    /// Until when no token is given out.
    held_until: Option<Timestamp>,
}

impl Pace {
    /// A full bucket that gets a token each `rate`. A rate of zero sets no limit.
    ///
    /// It holds as many tokens as come in 5 seconds, at least one and at most 100.
    pub fn new(rate: Duration) -> Self {
        let rate_nanos = nanos(rate);
        let capacity = nanos(BURST).checked_div(rate_nanos).unwrap_or_default();
        let capacity = capacity.clamp(1, i128::from(LARGEST_BURST));
        Self {
            rate: rate_nanos,
            depth: capacity.saturating_mul(rate_nanos),
            full: i128::MIN,
            held_until: None,
        }
    }

    /// Takes a token.
    ///
    /// # Errors
    /// The time until there is one.
    pub fn take(&mut self, now: Timestamp) -> Result<(), Duration> {
        if let Some(until) = self.held_until {
            let left = until.since(now);
            if left > Duration::ZERO && left <= LONGEST_HOLD {
                return Err(left);
            }
            self.held_until = None;
        }
        let now = at(now);
        // An empty bucket is full again after `depth`; later than that means that the clock was set back.
        let full = self.full.clamp(now, now.saturating_add(self.depth));
        let next = full.saturating_add(self.rate);
        let wait = next.saturating_sub(now.saturating_add(self.depth));
        if wait > 0 {
            self.full = full;
            return Err(Duration::from_nanos(u64::try_from(wait).unwrap_or(u64::MAX)));
        }
        self.full = next;
        Ok(())
    }

    /// Gives out nothing until then, and starts with a single token: the cloud asked to slow down.
    ///
    /// A shorter hold does not end a longer one. No hold lasts longer than an hour.
    pub fn hold_off(&mut self, until: Timestamp) {
        self.held_until = self.held_until.max(Some(until));
        let one_token = at(until).saturating_add(self.depth).saturating_sub(self.rate);
        self.full = self.full.max(one_token);
    }
}

fn nanos(duration: Duration) -> i128 {
    i128::try_from(duration.as_nanos()).unwrap_or(i128::MAX)
}

fn at(moment: Timestamp) -> i128 {
    i128::from(moment.millis()).saturating_mul(1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_seconds(1_795_255_200);

    /// How many tokens there are at once.
    fn burst(pace: &mut Pace, now: Timestamp) -> usize {
        (0..1000).take_while(|_| pace.take(now).is_ok()).count()
    }

    #[test]
    fn holds_five_seconds_of_calls_within_bounds() {
        for (rate, tokens) in [
            (Duration::from_secs(1), 5),
            (Duration::from_secs(10), 1),
            (Duration::from_millis(250), 20),
            (Duration::from_millis(1), 100),
            (Duration::ZERO, 1000),
            (Duration::MAX, 1),
        ] {
            assert_eq!(burst(&mut Pace::new(rate), START), tokens, "{rate:?}");
        }
    }

    #[test]
    fn gives_a_token_each_rate_and_tells_the_wait() {
        let mut pace = Pace::new(Duration::from_secs(10));
        assert_eq!(pace.take(START), Ok(()));
        assert_eq!(pace.take(START), Err(Duration::from_secs(10)));
        assert_eq!(pace.take(START.plus(Duration::from_secs(4))), Err(Duration::from_secs(6)));
        assert_eq!(pace.take(START.plus(Duration::from_secs(10))), Ok(()));
        assert_eq!(pace.take(START.plus(Duration::from_secs(10))), Err(Duration::from_secs(10)));
    }

    #[test]
    fn never_gives_more_than_the_rate_over_time() {
        let mut pace = Pace::new(Duration::from_secs(1));
        let taken: usize =
            (0..600).map(|tenths| burst(&mut pace, START.plus(Duration::from_millis(tenths * 100)))).sum();
        assert_eq!(taken, 5 + 59, "a full bucket and one for each of the seconds after the first moment");
    }

    #[test]
    fn holds_off_and_starts_slowly() {
        let mut pace = Pace::new(Duration::from_secs(1));
        let until = START.plus(Duration::from_secs(30));
        pace.hold_off(until);
        pace.hold_off(START.plus(Duration::from_secs(3)));
        assert_eq!(pace.take(START), Err(Duration::from_secs(30)));
        assert_eq!(burst(&mut pace, until), 1);
        assert_eq!(burst(&mut pace, until.plus(Duration::from_secs(5))), 5);
    }

    #[test]
    fn survives_a_clock_that_is_set_back() {
        let mut pace = Pace::new(Duration::from_secs(1));
        burst(&mut pace, START);
        let earlier = START.minus(Duration::from_hours(24));
        assert_eq!(pace.take(earlier), Err(Duration::from_secs(1)));
        assert_eq!(pace.take(earlier.plus(Duration::from_secs(1))), Ok(()));
        pace.hold_off(START);
        assert!(pace.take(earlier).is_err_and(|wait| wait <= BURST));
    }
}
