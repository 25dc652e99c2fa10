//! Reads values of the right type out of a mapping, and reports each one that is wrong, unknown or missing.
//!
//! Plain words mean what they mean in YAML 1.1, the version of nodepool v0: `yes`, `no`, `on` and `off` are booleans.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use super::diagnostic::Report;
use super::keys::{self, Absent, Effect, Kind, Section};
use super::source_text::{Located, Position, is_secret_key, shown_key};
use super::spelling;
use super::tree::{Entry, Node, Value};

/// The longest time that can be configured.
const MAX_TIME: Duration = Duration::from_hours(10 * 365 * 24);

/// What a plain scalar means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Meaning {
    /// Nothing.
    Null,
    /// Yes or no.
    Boolean(bool),
    /// A whole number; `None` when it is too large, or has leading zeros, which YAML 1.1 reads as octal and 1.2 does not.
    Integer(Option<i64>),
    /// A number with a fraction.
    Float(f64),
    /// Text.
    Text,
}

/// What this scalar means.
pub(super) fn meaning(text: &str, plain: bool) -> Meaning {
    if !plain {
        return Meaning::Text;
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Meaning::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => {
            return Meaning::Boolean(true);
        }
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => {
            return Meaning::Boolean(false);
        }
        _ => {}
    }
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !digits.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        return Meaning::Text;
    }
    let sign = if text.starts_with('-') { "-" } else { "" };
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = digits.strip_prefix(prefix)
            && digits.chars().all(|digit| digit.is_digit(radix))
            && !digits.is_empty()
        {
            return Meaning::Integer(i64::from_str_radix(&format!("{sign}{digits}"), radix).ok());
        }
    }
    if digits.chars().all(|digit| digit.is_ascii_digit() || digit == '_') {
        let ambiguous = digits.len() > 1 && digits.starts_with('0');
        let number = format!("{sign}{}", digits.replace('_', "")).parse().ok();
        return Meaning::Integer(number.filter(|_| !ambiguous));
    }
    match digits.contains('.').then(|| text.parse::<f64>()) {
        Some(Ok(number)) => Meaning::Float(number),
        _ => Meaning::Text,
    }
}

/// What a node is, for an error.
fn describe(node: &Node, secret: bool) -> String {
    let Value::Scalar { text, plain } = &node.value else {
        return match &node.value {
            Value::List(_) => "a list".to_owned(),
            _ => "a mapping".to_owned(),
        };
    };
    let what = match meaning(text, *plain) {
        Meaning::Null => return "nothing".to_owned(),
        Meaning::Boolean(_) => "the boolean",
        Meaning::Integer(_) => "the integer",
        Meaning::Float(_) => "the number",
        Meaning::Text => "the text",
    };
    if secret {
        return what.replacen("the", "a secret", 1);
    }
    let mut shown: String = text.chars().filter(|character| !character.is_control()).take(60).collect();
    if text.chars().count() > 60 {
        shown.push_str("...");
    }
    if what == "the text" { format!("the text \"{shown}\"") } else { format!("{what} {shown}") }
}

fn is_null(node: &Node) -> bool {
    matches!(&node.value, Value::Scalar { text, plain } if meaning(text, *plain) == Meaning::Null)
}

/// Reads a list of items; a single item that is no list is an error.
pub(super) fn items<'a>(node: &'a Node, what: &str, report: &mut Report) -> &'a [Arc<Node>] {
    match &node.value {
        Value::List(items) => items,
        Value::Broken => &[],
        _ => {
            report.error(&node.at, format!("{what} must be a list, but this is {}", describe(node, false)));
            &[]
        }
    }
}

/// Reads text.
pub(super) fn text(node: &Node, what: &str, report: &mut Report) -> Option<Located<String>> {
    if let Value::Scalar { text, plain } = &node.value {
        match meaning(text, *plain) {
            Meaning::Text if !text.is_empty() => {
                return Some(Located { value: text.clone(), at: node.at.clone() });
            }
            Meaning::Text => {
                report.error(&node.at, format!("{what} must not be empty"));
                return None;
            }
            Meaning::Null => {}
            Meaning::Boolean(_) | Meaning::Integer(_) | Meaning::Float(_) => {
                report
                    .error(
                        &node.at,
                        format!("{what} must be text, but this is {}", describe(node, is_secret_key(what))),
                    )
                    .help("put it in quotes");
                return None;
            }
        }
    }
    wrong(node, what, "text", report);
    None
}

/// Reads text, or the words of a number or boolean as they are written.
pub(super) fn words(node: &Node, what: &str, report: &mut Report) -> Option<Located<String>> {
    match &node.value {
        Value::Scalar { text, plain } if meaning(text, *plain) != Meaning::Null => {
            Some(Located { value: text.clone(), at: node.at.clone() })
        }
        _ => {
            wrong(node, what, "text or a number", report);
            None
        }
    }
}

pub(super) fn wrong(node: &Node, what: &str, expected: &str, report: &mut Report) {
    if !matches!(node.value, Value::Broken) {
        let found = describe(node, is_secret_key(what));
        report.error(&node.at, format!("{what} must be {expected}, but this is {found}"));
    }
}

/// Reads a whole number from the first to the second of `bounds`.
pub(super) fn whole(
    node: &Node,
    what: &str,
    bounds: (i64, i64),
    report: &mut Report,
) -> Option<Located<i64>> {
    let (least, most) = bounds;
    let Value::Scalar { text, plain } = &node.value else {
        wrong(node, what, "an integer", report);
        return None;
    };
    match meaning(text, *plain) {
        Meaning::Integer(Some(value)) if (least..=most).contains(&value) => {
            Some(Located { value, at: node.at.clone() })
        }
        Meaning::Integer(None) if text.trim_start_matches(['+', '-']).starts_with('0') => {
            report
                .error(&node.at, format!("{what} has leading zeros, which YAML 1.1 reads as an octal number"))
                .help("write the number without them");
            None
        }
        Meaning::Integer(_) => {
            report.error(&node.at, format!("{what} must be from {least} to {most}, but this is {text}"));
            None
        }
        _ => {
            let quoted = !plain && matches!(meaning(text, true), Meaning::Integer(Some(_)));
            let found = describe(node, false);
            let finding = report.error(&node.at, format!("{what} must be an integer, but this is {found}"));
            if quoted {
                finding.help("take the quotes away");
            }
            None
        }
    }
}

/// A mapping that is being read.
pub(super) struct Fields<'a> {
    section: &'static Section,
    entries: &'a [Entry],
    /// Where it begins.
    pub(super) at: Position,
    asked: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    /// Starts to read a mapping; anything else is an error.
    pub(super) fn open(node: &'a Node, section: &'static Section, report: &mut Report) -> Option<Self> {
        let Value::Mapping(entries) = &node.value else {
            wrong(node, section.what, "a mapping", report);
            return None;
        };
        Some(Self { section, entries, at: node.at.clone(), asked: Vec::new() })
    }

    /// Ends the reading: reports what is missing, what is not known, and what has no effect.
    pub(super) fn finish(self, report: &mut Report) {
        debug_assert!(
            self.section.keys.iter().all(|key| self.asked.contains(&key.name)),
            "every key of {} is read",
            self.section.what
        );
        let unknown = self.entries.iter().filter(|entry| self.section.key(&entry.key).is_none());
        let meant: Vec<&str> = unknown.filter_map(|entry| self.nearest(&entry.key)).collect();
        for key in self.section.keys {
            let is_missing = matches!(key.default, Absent::Required) && !self.has(key.name);
            if is_missing && !meant.contains(&key.name) {
                self.missing(key.name, report);
            }
        }
        for entry in self.entries {
            match self.section.key(&entry.key).map(|key| key.effect) {
                None => self.unknown(entry, report),
                Some(Effect::Works) => {}
                Some(Effect::Later(why)) => {
                    report.warning(
                        &entry.key_at,
                        format!("`{}` is accepted, but has no effect: {why}", entry.key),
                    );
                }
                Some(Effect::Replaced(by)) => {
                    report
                        .warning(&entry.key_at, format!("`{}` means nothing any more: {by}", entry.key))
                        .help("take it out");
                }
            }
        }
    }

    /// The known key that is most likely meant.
    fn nearest(&self, word: &str) -> Option<&'static str> {
        spelling::nearest(word, self.section.keys.iter().map(|key| key.name))
    }

    fn unknown(&self, entry: &Entry, report: &mut Report) {
        let what = self.section.what;
        let finding =
            report.error(&entry.key_at, format!("unknown key `{}` in {what}", shown_key(&entry.key)));
        let elsewhere = keys::SECTIONS.iter().find(|section| section.key(&entry.key).is_some());
        finding.help(match (self.nearest(&entry.key), elsewhere) {
            (Some(near), _) => format!("did you mean `{near}`?"),
            (None, Some(section)) => format!("it is a key of {}", section.what),
            (None, None) => {
                let names = self.section.keys.iter();
                let list = names.map(|key| format!("`{}`", key.name)).collect::<Vec<_>>().join(", ");
                format!("the keys of {what} are {list}")
            }
        });
    }

    /// What a key takes, by the table.
    fn kind(&self, key: &str) -> Kind {
        self.section.key(key).map_or(Kind::Anything, |key| key.kind)
    }

    /// The value of a key, unless it is absent or null.
    pub(super) fn find(&mut self, key: &'static str) -> Option<&'a Node> {
        debug_assert!(self.section.key(key).is_some(), "{key} is in the table");
        self.asked.push(key);
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        (!is_null(&entry.value)).then_some(&*entry.value)
    }

    /// Whether a key has a value, right or wrong.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == key && !is_null(&entry.value))
    }

    /// Reads text.
    pub(super) fn text(&mut self, key: &'static str, report: &mut Report) -> Option<Located<String>> {
        let node = self.find(key)?;
        text(node, &format!("`{key}`"), report)
    }

    /// Reports that a key is missing.
    pub(super) fn missing(&self, key: &str, report: &mut Report) {
        let finding = report.error(&self.at, format!("{} needs the key `{key}`", self.section.what));
        if let Some(key) = self.section.key(key) {
            finding.help(format!("add `{}`: {}", key.name, key.meaning));
        }
    }

    /// Reads a secret.
    pub(super) fn secret(&mut self, key: &'static str, report: &mut Report) -> Option<Located<SecretString>> {
        let node = self.find(key)?;
        report.hide(&node.at);
        text(node, &format!("`{key}`"), report).map(|text| Located { value: text.value.into(), at: text.at })
    }

    /// Reads a whole number.
    pub(super) fn integer(&mut self, key: &'static str, report: &mut Report) -> Option<Located<i64>> {
        let node = self.find(key)?;
        let Kind::Integer(least, most) = self.kind(key) else {
            debug_assert!(false, "{key} is no integer in the table");
            return None;
        };
        whole(node, &format!("`{key}`"), (least, most), report)
    }

    /// Reads a whole share in percent.
    pub(super) fn percent(&mut self, key: &'static str, report: &mut Report) -> Option<Located<u32>> {
        let node = self.find(key)?;
        let Kind::Percent(most) = self.kind(key) else {
            debug_assert!(false, "{key} is no share in the table");
            return None;
        };
        if let Value::Scalar { text, .. } = &node.value
            && let Some(digits) = text.trim_end().strip_suffix('%')
            && let Some(value) = digits.parse().ok().filter(|share| *share <= most)
            && digits.chars().all(|digit| digit.is_ascii_digit())
        {
            return Some(Located { value, at: node.at.clone() });
        }
        let number = matches!(&node.value, Value::Scalar { text, plain }
            if matches!(meaning(text, *plain), Meaning::Integer(Some(number)) if number >= 0));
        let found = describe(node, false);
        let finding = report.error(
            &node.at,
            format!("`{key}` must be a whole share from 0% to {most}%, but this is {found}"),
        );
        finding.help(if number { "write the sign `%` behind it" } else { "for example `20%`" });
        None
    }

    /// Reads a yes or no.
    pub(super) fn boolean(&mut self, key: &'static str, report: &mut Report) -> Option<Located<bool>> {
        let node = self.find(key)?;
        if let Value::Scalar { text, plain } = &node.value
            && let Meaning::Boolean(value) = meaning(text, *plain)
        {
            return Some(Located { value, at: node.at.clone() });
        }
        wrong(node, &format!("`{key}`"), "a boolean (true, false, yes, no, on, off)", report);
        None
    }

    /// Reads a boolean, or the word that may stand in its place: `None`.
    pub(super) fn boolean_or(
        &mut self,
        key: &'static str,
        report: &mut Report,
    ) -> Option<Located<Option<bool>>> {
        let node = self.find(key)?;
        let word = match self.kind(key) {
            Kind::BooleanOr(word) => word,
            _ => "",
        };
        if let Value::Scalar { text, plain } = &node.value {
            if let Meaning::Boolean(value) = meaning(text, *plain) {
                return Some(Located { value: Some(value), at: node.at.clone() });
            }
            if text == word {
                return Some(Located { value: None, at: node.at.clone() });
            }
        }
        let accepted = format!("a boolean (true, false, yes, no, on, off) or `{word}`");
        wrong(node, &format!("`{key}`"), &accepted, report);
        None
    }

    /// Reads one of some words.
    pub(super) fn one_of<T: Copy>(
        &mut self,
        key: &'static str,
        words: &[(&str, T)],
        report: &mut Report,
    ) -> Option<Located<T>> {
        debug_assert!(
            matches!(self.kind(key), Kind::OneOf(listed) if listed.iter().copied().eq(words.iter().map(|(word, _)| *word))),
            "{key} has the words of the table"
        );
        let found = self.text(key, report)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == found.value) {
            return Some(Located { value: *value, at: found.at });
        }
        let list = words.iter().map(|(word, _)| format!("`{word}`")).collect::<Vec<_>>().join(", ");
        let near = spelling::nearest(&found.value, words.iter().map(|(word, _)| *word));
        let finding = report.error(&found.at, format!("`{key}` must be one of {list}"));
        if let Some(near) = near {
            finding.help(format!("did you mean `{near}`?"));
        }
        None
    }

    /// Reads a time: a number of seconds, or text such as `10m`. Zero is accepted where the table says so.
    pub(super) fn time(&mut self, key: &'static str, report: &mut Report) -> Option<Duration> {
        const EXPECTED: &str = "a number of seconds, or a time such as \"10m\"";
        let node = self.find(key)?;
        let zero = matches!(self.kind(key), Kind::Time(true));
        debug_assert!(matches!(self.kind(key), Kind::Time(_)), "{key} is no time in the table");
        let what = format!("`{key}`");
        let Value::Scalar { text, plain } = &node.value else {
            wrong(node, &what, EXPECTED, report);
            return None;
        };
        let time = match meaning(text, *plain) {
            Meaning::Integer(Some(seconds)) => u64::try_from(seconds).ok().map(Duration::from_secs),
            Meaning::Float(seconds) => Duration::try_from_secs_f64(seconds).ok(),
            Meaning::Text => humantime::parse_duration(text).ok(),
            Meaning::Null | Meaning::Boolean(_) | Meaning::Integer(None) => None,
        };
        match time {
            None => wrong(node, &what, EXPECTED, report),
            Some(time) if time.is_zero() && !zero => {
                report.error(&node.at, format!("{what} must be longer than 0"));
            }
            Some(time) if time > MAX_TIME => {
                report.error(&node.at, format!("{what} must not be longer than ten years"));
            }
            Some(time) => return Some(time),
        }
        None
    }

    /// Reads a list; empty when it is absent.
    pub(super) fn list(&mut self, key: &'static str, report: &mut Report) -> &'a [Arc<Node>] {
        self.find(key).map_or(&[], |node| items(node, &format!("`{key}`"), report))
    }

    /// Reads a list of texts; empty when it is absent.
    pub(super) fn texts(&mut self, key: &'static str, report: &mut Report) -> Vec<Located<String>> {
        let nodes = self.list(key, report);
        nodes.iter().filter_map(|node| text(node, &format!("an item of `{key}`"), report)).collect()
    }

    /// Reads a mapping from text to text, numbers or booleans, which are taken as they are written.
    pub(super) fn words(
        &mut self,
        key: &'static str,
        report: &mut Report,
    ) -> Vec<(Located<String>, Located<String>)> {
        let Some(node) = self.find(key) else { return Vec::new() };
        let Value::Mapping(entries) = &node.value else {
            wrong(node, &format!("`{key}`"), "a mapping", report);
            return Vec::new();
        };
        let mut pairs = Vec::new();
        for entry in entries {
            if let Some(value) = words(&entry.value, &format!("`{}`", shown_key(&entry.key)), report) {
                pairs.push((Located { value: entry.key.clone(), at: entry.key_at.clone() }, value));
            }
        }
        pairs
    }
}
