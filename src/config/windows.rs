//! Windows of the week in which a label keeps more spare nodes: `mon-fri 08:00-19:00 Europe/Paris: 12`.
//!
//! Days and hours are those of the window's own time zone. A window whose end is not after its begin ends on the next day and
//! belongs to the day on which it began. An hour that clocks skip is no part of a window; one that comes twice is, both times.

use std::ops::RangeInclusive;

use chrono::{DateTime, Datelike as _, MappedLocalTime, NaiveDate, TimeDelta, TimeZone as _, Timelike as _};
use chrono_tz::Tz;

use super::diagnostic::{Finding, Report};
use super::fields;
use super::keys::MOST;
use super::source_text::{Located, Position};

use super::tree::{Entry, Node, Value};
use super::zones;
use crate::model::Timestamp;

/// The most windows of one label.
const MOST_WINDOWS: usize = 100;
const MINUTES_OF_DAY: u16 = 24 * 60;
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
/// Every day of the week.
const DAILY: &str = "daily";
/// All ends and begins of gaps in local time are on the quarters of an hour.
const QUARTER: u32 = 15;
/// No clock was ever put forward by more than a day.
const QUARTERS_OF_DAY: u32 = 24 * 4;

/// A window of the week, and how many spare nodes are kept in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// As it is written, with single blanks: `mon-fri 08:00-19:00 Europe/Paris`.
    pub text: String,
    /// How many spare nodes are kept in it.
    pub spares: u32,
    /// Whether it begins on each day of the week, Monday first.
    days: [bool; 7],
    /// When it begins, in minutes of the day.
    from: u16,
    /// When it ends, in minutes since the begin of the day on which it began.
    until: u16,
    zone: Tz,
}

impl Window {
    /// Reads a window as it is written.
    ///
    /// # Errors
    /// What is wrong, and what is accepted.
    pub fn parse(text: &str, spares: u32) -> Result<Self, (String, String)> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let [days, hours, zone] = words.as_slice() else {
            let example = "for example `mon-fri 08:00-19:00 Europe/Paris: 12`";
            return Err((
                format!("a window must have days, hours and a time zone; this has {} words", words.len()),
                example.to_owned(),
            ));
        };
        let (from, until) = read_hours(hours)?;
        Ok(Self {
            text: words.join(" "),
            spares,
            days: read_days(days)?,
            from,
            until,
            zone: zones::read(zone)?,
        })
    }

    /// Whether `moment` lies in the window.
    pub fn holds(&self, moment: Timestamp) -> bool {
        self.spans(moment, -2..=1).any(|(begin, end)| begin <= moment && moment < end)
    }

    /// When it begins or ends next after `moment`.
    pub fn next_change(&self, moment: Timestamp) -> Option<Timestamp> {
        let ends = self.spans(moment, -2..=9).flat_map(|(begin, end)| [begin, end]);
        ends.filter(|change| *change > moment).min()
    }

    /// When it begins and ends on days around a moment, counted from the day of the moment.
    fn spans(
        &self,
        around: Timestamp,
        days: RangeInclusive<i64>,
    ) -> impl Iterator<Item = (Timestamp, Timestamp)> {
        let today = DateTime::from_timestamp_millis(around.millis())
            .map(|moment| moment.with_timezone(&self.zone).date_naive());
        days.filter_map(move |offset| {
            let date = today?.checked_add_signed(TimeDelta::days(offset))?;
            let place = usize::try_from(date.weekday().num_days_from_monday()).ok()?;
            let begins = self.days.get(place).copied().unwrap_or(false);
            let begin = self.moment(date, self.from, false).filter(|_| begins)?;
            let end = self.moment(date, self.until, true)?;
            (begin < end).then_some((begin, end))
        })
    }

    /// The moment so many minutes of local time after midnight. Of a time that comes twice it is the first or the last one; in
    /// place of a time that does not exist it is the first one after it.
    fn moment(&self, date: NaiveDate, minutes: u16, last: bool) -> Option<Timestamp> {
        let midnight = date.and_hms_opt(0, 0, 0)?;
        let mut local = midnight.checked_add_signed(TimeDelta::minutes(i64::from(minutes)))?;
        for _ in 0..=QUARTERS_OF_DAY {
            let found = match self.zone.from_local_datetime(&local) {
                MappedLocalTime::Single(moment) => Some(moment),
                MappedLocalTime::Ambiguous(first, _) if !last => Some(first),
                MappedLocalTime::Ambiguous(_, last) => Some(last),
                MappedLocalTime::None => None,
            };
            if let Some(moment) = found {
                return Some(Timestamp::from_millis(moment.timestamp_millis()));
            }
            let to_quarter = QUARTER.saturating_sub(local.minute().checked_rem(QUARTER)?);
            local = local.checked_add_signed(TimeDelta::minutes(i64::from(to_quarter)))?;
        }
        None
    }
}

/// Reads the windows of a label, each with the place of its text.
pub(super) fn read(node: Option<&Node>, report: &mut Report) -> Vec<Located<Window>> {
    let Some(node) = node else { return Vec::new() };
    let Value::Mapping(entries) = &node.value else {
        fields::wrong(node, "`schedule`", "a mapping from windows to numbers of spare nodes", report);
        return Vec::new();
    };
    if entries.len() > MOST_WINDOWS {
        report.error(
            &node.at,
            format!("a label has at most {MOST_WINDOWS} windows; this has {}", entries.len()),
        );
        return Vec::new();
    }
    entries.iter().filter_map(|entry| read_entry(entry, report)).collect()
}

fn read_entry(entry: &Entry, report: &mut Report) -> Option<Located<Window>> {
    let spares = fields::whole(&entry.value, "the number of spare nodes", (0, MOST), report);
    let spares = spares.and_then(|spares| u32::try_from(spares.value).ok());
    match Window::parse(&entry.key, spares.unwrap_or_default()) {
        Ok(window) => spares.map(|_| Located { value: window, at: entry.key_at.clone() }),
        Err((message, help)) => {
            tell(&entry.key_at, message, help, report);
            None
        }
    }
}

fn tell(at: &Position, message: String, help: String, report: &mut Report) {
    let finding: &mut Finding = report.error(at, message);
    finding.help(help);
}

/// Reads `mon-fri`, `sat,sun` or `daily`.
fn read_days(text: &str) -> Result<[bool; 7], (String, String)> {
    let mut days = [false; 7];
    let lower = text.to_lowercase();
    if lower == DAILY {
        return Ok([true; 7]);
    }
    for part in lower.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let place = |word: &str| DAYS.iter().position(|day| *day == word);
        let (Some(first), Some(last)) = (place(first), place(last)) else {
            let help = format!(
                "the days are {}; a range such as mon-fri, a list of these with commas, or {DAILY}",
                DAYS.join(", ")
            );
            return Err((format!("`{part}` is no day"), help));
        };
        // A range may go over the end of the week.
        let mut place = first;
        loop {
            if let Some(day) = days.get_mut(place) {
                *day = true;
            }
            if place == last {
                break;
            }
            place = place.saturating_add(1).checked_rem(DAYS.len()).unwrap_or(last);
        }
    }
    Ok(days)
}

/// Reads `08:00-19:00`: two times in minutes, the second one after the first.
fn read_hours(text: &str) -> Result<(u16, u16), (String, String)> {
    let help = || {
        "write two times from 00:00 to 24:00, such as 08:00-19:00; a window such as 22:00-06:00 ends on the next day"
            .to_owned()
    };
    let ends = text.split_once('-').and_then(|(from, until)| Some((minutes(from)?, minutes(until)?)));
    match ends {
        None => Err((format!("`{text}` is no span of hours"), help())),
        Some((MINUTES_OF_DAY, _)) => {
            Err((format!("`{text}` begins at 24:00, which is 00:00 of the next day"), help()))
        }
        Some((from, until)) if from == until => {
            Err((format!("`{text}` is empty"), "write 00:00-24:00 for the whole day".to_owned()))
        }
        Some((from, until)) if until < from => Ok((from, until.saturating_add(MINUTES_OF_DAY))),
        Some(ends) => Ok(ends),
    }
}

/// A time of the day in minutes: two digits, a colon, two digits.
fn minutes(text: &str) -> Option<u16> {
    let number = |text: &str| -> Option<u16> {
        let digits = (1..=2).contains(&text.len()) && text.chars().all(|digit| digit.is_ascii_digit());
        text.parse().ok().filter(|_| digits)
    };
    let (hour, minute) = text.split_once(':')?;
    let (hour, minute) = (number(hour)?, number(minute).filter(|minute| *minute < 60)?);
    let all = hour.checked_mul(60)?.checked_add(minute)?;
    (all <= MINUTES_OF_DAY).then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::from_millis(text.parse::<DateTime<chrono::Utc>>().unwrap().timestamp_millis())
    }

    fn shown(moment: Timestamp) -> String {
        DateTime::from_timestamp_millis(moment.millis()).unwrap().format("%a %FT%TZ").to_string()
    }

    /// The next changes after a moment, and whether the window holds after each.
    fn changes(window: &str, after: &str, count: usize) -> Vec<String> {
        let window = Window::parse(window, 1).unwrap();
        let mut moment = at(after);
        let mut told = Vec::new();
        for _ in 0..count {
            moment = window.next_change(moment).unwrap();
            let before = window.holds(Timestamp::from_millis(moment.millis() - 1));
            assert_ne!(before, window.holds(moment), "{}", shown(moment));
            told.push(format!("{} {}", shown(moment), if before { "ends" } else { "begins" }));
        }
        told
    }

    #[test]
    fn begins_and_ends_by_the_clock_of_its_zone() {
        assert_eq!(
            changes("mon-fri 08:00-19:00 Europe/Paris", "2026-01-02T12:00:00Z", 3),
            [
                "Fri 2026-01-02T18:00:00Z ends",
                "Mon 2026-01-05T07:00:00Z begins",
                "Mon 2026-01-05T18:00:00Z ends"
            ]
        );
        // The day is that of the zone: Monday begins while it is Sunday in Greenwich.
        assert_eq!(
            changes("mon 00:00-01:00 Asia/Tokyo", "2026-01-03T00:00:00Z", 2),
            ["Sun 2026-01-04T15:00:00Z begins", "Sun 2026-01-04T16:00:00Z ends"]
        );
        assert_eq!(
            changes("fri-mon,wed 00:00-24:00 UTC", "2026-01-06T12:00:00Z", 2),
            ["Wed 2026-01-07T00:00:00Z begins", "Thu 2026-01-08T00:00:00Z ends"]
        );
    }

    #[test]
    fn goes_over_midnight_from_the_day_on_which_it_began() {
        assert_eq!(
            changes("fri 22:00-06:00 UTC", "2026-01-02T00:00:00Z", 3),
            [
                "Fri 2026-01-02T22:00:00Z begins",
                "Sat 2026-01-03T06:00:00Z ends",
                "Fri 2026-01-09T22:00:00Z begins"
            ]
        );
    }

    #[test]
    fn survives_the_change_of_clocks() {
        // Paris puts its clocks forward from 2 to 3 on the 29th of March, and back from 3 to 2 on the 25th of October.
        assert_eq!(
            changes("daily 08:00-09:00 Europe/Paris", "2026-03-28T12:00:00Z", 2),
            ["Sun 2026-03-29T06:00:00Z begins", "Sun 2026-03-29T07:00:00Z ends"]
        );
        assert_eq!(
            changes("sun 02:20-04:00 Europe/Paris", "2026-03-28T12:00:00Z", 2),
            ["Sun 2026-03-29T01:00:00Z begins", "Sun 2026-03-29T02:00:00Z ends"]
        );
        // A window in the hour that does not exist is left out that day.
        assert_eq!(
            changes("sun 02:10-02:50 Europe/Paris", "2026-03-28T12:00:00Z", 1),
            ["Sun 2026-04-05T00:10:00Z begins"]
        );
        assert_eq!(
            changes("sun 02:15-02:45 Europe/Paris", "2026-10-24T12:00:00Z", 2),
            ["Sun 2026-10-25T00:15:00Z begins", "Sun 2026-10-25T01:45:00Z ends"]
        );
    }

    #[test]
    fn what_is_no_window_says_why() {
        for (text, part) in [
            ("mon-fri 08:00-19:00", "this has 2 words"),
            ("mon-fry 08:00-19:00 UTC", "`mon-fry` is no day"),
            (", 08:00-19:00 UTC", "`` is no day"),
            ("mon 08-19 UTC", "`08-19` is no span of hours"),
            ("mon 08:00-24:01 UTC", "`08:00-24:01` is no span of hours"),
            ("mon 08:61-19:00 UTC", "no span of hours"),
            ("mon +8:00-19:00 UTC", "no span of hours"),
            ("mon 24:00-06:00 UTC", "begins at 24:00"),
            ("mon 08:00-08:00 UTC", "is empty"),
            ("mon 08:00-19:00 Europe/Pariss", "there is no time zone `Europe/Pariss`"),
        ] {
            let (message, help) = Window::parse(text, 1).unwrap_err();
            assert!(message.contains(part), "{text}: {message}");
            assert!(!help.is_empty());
        }
        let (_, help) = Window::parse("mon 08:00-19:00 Europe/Pariss", 1).unwrap_err();
        assert_eq!(help, "did you mean `Europe/Paris`?");
    }
}
