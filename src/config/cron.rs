//! The section `cron`: when what is done by the clock is done.
//!
//! The order of the fields is that of nodepool v0: the five of crontab, and a sixth, the second, at the end.

use std::ops::RangeInclusive;

use chrono::DateTime;

use super::diagnostic::Report;
use super::fields::{self, Fields, Meaning};
use super::keys::{self, CHECK, CLEANUP, IMAGE_UPDATE};
use super::source_text::{Located, Position};
use super::tree::{Node, Value};
use super::types::{Cron, Crons};
use super::zones;

/// What stands before a schedule to name its time zone, as in a crontab.
const ZONE_PREFIX: &str = "CRON_TZ=";

const MONTHS: &[&str] = &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// A field of a schedule: its name, its numbers and the words for them.
type Part = (&'static str, RangeInclusive<u32>, &'static [&'static str]);

const PARTS: [Part; 6] = [
    ("minute", 0..=59, &[]),
    ("hour", 0..=23, &[]),
    ("day of the month", 1..=31, &[]),
    ("month", 1..=12, MONTHS),
    ("day of the week", 0..=7, DAYS),
    ("second", 0..=59, &[]),
];

/// Reads the section; what it does not name is as in nodepool v0.
pub(super) fn read(node: Option<&Node>, report: &mut Report) -> Crons {
    let usual = |schedule: &str, zone: Option<&String>| {
        Some(Cron { schedule: schedule.to_owned(), zone: zone.cloned() })
    };
    let Some(mut fields) = node.and_then(|node| Fields::open(node, &keys::CRON, report)) else {
        return Crons {
            image_update: usual(IMAGE_UPDATE, None),
            cleanup: usual(CLEANUP, None),
            check: usual(CHECK, None),
        };
    };
    let zone = time_zone(&mut fields, report);
    let mut one = |key: &'static str, default: &str| match fields.find(key) {
        None => usual(default, zone.as_ref()),
        Some(node) => entry(node, key, zone.as_ref(), report),
    };
    let crons = Crons {
        image_update: one("image-update", IMAGE_UPDATE),
        cleanup: one("cleanup", CLEANUP),
        check: one("check", CHECK),
    };
    fields.finish(report);
    crons
}

fn time_zone(fields: &mut Fields<'_>, report: &mut Report) -> Option<String> {
    let zone = fields.text("time-zone", report)?;
    zone_name(&zone.value, &zone.at, report)
}

fn zone_name(name: &str, at: &Position, report: &mut Report) -> Option<String> {
    match zones::read(name) {
        Ok(_) => Some(name.to_owned()),
        Err((message, help)) => {
            report.error(at, message).help(help);
            None
        }
    }
}

/// Reads a schedule: text, or a mapping that has a time zone of its own.
fn entry(node: &Node, key: &'static str, zone: Option<&String>, report: &mut Report) -> Option<Cron> {
    if matches!(node.value, Value::Mapping(_)) {
        let mut fields = Fields::open(node, &keys::SCHEDULE, report)?;
        let times = fields.text("schedule", report);
        let own = time_zone(&mut fields, report);
        fields.finish(report);
        return schedule(&times?, key, own.or_else(|| zone.cloned()), report);
    }
    if is_off(node) {
        return None;
    }
    let times = fields::text(node, &format!("`{key}`"), report)?;
    let Some(rest) = times.value.strip_prefix(ZONE_PREFIX) else {
        return schedule(&times, key, zone.cloned(), report);
    };
    let (name, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let name = zone_name(name, &times.at, report)?;
    schedule(&Located { value: rest.to_owned(), at: times.at }, key, Some(name), report)
}

/// Whether it is switched off: `no`, `off`, `false` or `never`.
fn is_off(node: &Node) -> bool {
    matches!(&node.value, Value::Scalar { text, plain }
        if text == "never" || fields::meaning(text, *plain) == Meaning::Boolean(false))
}

fn schedule(times: &Located<String>, key: &str, zone: Option<String>, report: &mut Report) -> Option<Cron> {
    let fields: Vec<&str> = times.value.split_whitespace().collect();
    if !(5..=6).contains(&fields.len()) {
        report
            .error(
                &times.at,
                format!(
                    "`{key}` must have five fields: minute, hour, day of the month, month, day of the week; this has {}",
                    fields.len()
                ),
            )
            .help("for example \"*/15 * * * *\"; a sixth field, for the second, is accepted");
        return None;
    }
    let mut good = true;
    for (field, part) in fields.iter().zip(&PARTS) {
        if !field.split(',').all(|item| is_item(item, part)) {
            good = false;
            let (name, numbers, _) = part;
            report
                .error(&times.at, format!("`{field}` is no {name}"))
                .help(format!("it is `*`, a number from {} to {}, a range such as 1-5, or a list of these with commas; a step follows a slash, as in */15", numbers.start(), numbers.end()));
        }
    }
    if good && !comes(&fields) {
        report
            .warning(&times.at, format!("the moment of `{key}` never comes"))
            .help("no month that is named has that day");
    }
    good.then(|| Cron { schedule: fields.join(" "), zone })
}

/// Whether there is any moment at which all fields fit: the 30th of February never comes.
fn comes(fields: &[&str]) -> bool {
    // croner has the second first.
    let mut fields = fields.to_vec();
    if fields.len() > 5 {
        fields.rotate_right(1);
    }
    let times: Result<croner::Cron, _> = fields.join(" ").parse();
    times.is_ok_and(|times| times.find_next_occurrence(&DateTime::UNIX_EPOCH, false).is_ok())
}

/// Whether this is an item of a field: `*`, a number or a range, each with or without a step.
fn is_item(item: &str, (_, numbers, words): &Part) -> bool {
    let (range, step) = match item.split_once('/') {
        Some((range, step)) => (range, Some(step)),
        None => (item, None),
    };
    if step.is_some_and(|step| !step.parse::<u32>().is_ok_and(|step| step > 0 && step <= *numbers.end())) {
        return false;
    }
    let number = |text: &str| -> Option<u32> {
        let lower = text.to_lowercase();
        let word = words.iter().zip(*numbers.start()..).find(|(word, _)| **word == lower);
        let digits = text.chars().all(|digit| digit.is_ascii_digit());
        word.map(|(_, number)| number).or_else(|| text.parse().ok().filter(|_| digits))
    };
    let good = |text: &str| number(text).is_some_and(|number| numbers.contains(&number));
    match range.split_once('-') {
        _ if range == "*" => true,
        Some((from, to)) => good(from) && good(to) && number(from) <= number(to),
        None => good(range),
    }
}
