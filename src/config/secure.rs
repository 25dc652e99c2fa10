//! secure.conf: the passwords that do not belong into nodepool.yaml.
//!
//! The file is an INI file as Python reads it, of which this reads what nodepool v0 used: sections, keys, comments on lines
//! of their own, and doubled per cent signs. Its keys are few, so every other one is an error.

use std::collections::BTreeMap;
use std::sync::Arc;

use secrecy::SecretString;

use super::diagnostic::Report;
use super::raw::RawLogin;
use super::source_text::{Located, Position, SourceText, shown_key};
use super::spelling;
use super::types::WebTokens;

/// The fewest characters of a token.
const SHORTEST_TOKEN: usize = 16;

/// What secure.conf says.
#[derive(Default)]
pub(super) struct Secure {
    /// The URL of the database.
    pub(super) dburi: Option<Located<SecretString>>,
    /// The token of those who tell of jobs over HTTP.
    pub(super) event_token: Option<SecretString>,
    /// The tokens of those who read and steer over HTTP.
    pub(super) web: WebTokens,
    /// How to log in to each Jenkins, by the name of the target; and where the section begins.
    pub(super) jenkins: BTreeMap<String, (Position, RawLogin)>,
}

struct Section {
    name: String,
    at: Position,
    values: BTreeMap<String, (Position, Located<String>)>,
    /// Keys that are there with a value that cannot be used, which is reported.
    broken: Vec<String>,
}

/// Reads the file and reports each error in it.
pub(super) fn read(source: &Arc<SourceText>, report: &mut Report) -> Secure {
    let mut secure = Secure::default();
    for mut section in sections(source, report) {
        if section.name == "database" {
            secure.dburi = section.secret("dburi");
            section.finish(&["dburi"], report);
        } else if section.name == "events" {
            secure.event_token = event_token(section, report);
        } else if section.name == "web" {
            secure.web = web_tokens(section, report);
        } else if let Some(name) = jenkins_name(&section.name) {
            let at = section.at.clone();
            let found = read_jenkins(section, report);
            secure.jenkins.insert(name, (at, found));
        } else {
            report
                .error(&section.at, format!("unknown section `{}`", shown_key(&section.name)))
                .help("the sections are [database], [events], [web] and [jenkins \"NAME\"]");
        }
    }
    secure
}

/// The token of those who tell of jobs.
fn event_token(mut section: Section, report: &mut Report) -> Option<SecretString> {
    let at = section.at.clone();
    let token = section.text("token");
    let known = section.values.is_empty();
    section.finish(&["token"], report);
    if token.is_none() && known {
        report.error(&at, "the section [events] needs the key `token`");
    }
    checked_token("token", token, report)
}

/// The tokens of those who read and steer, which must differ: who knows the one must not thereby know the other.
fn web_tokens(mut section: Section, report: &mut Report) -> WebTokens {
    let (read, write) = (section.text("read-token"), section.text("write-token"));
    section.finish(&["read-token", "write-token"], report);
    if let (Some(read), Some(write)) = (&read, &write)
        && read.value == write.value
    {
        report
            .error(&write.at, "`write-token` is the same as `read-token`: who may read could steer, too")
            .help("openssl rand -hex 24");
    }
    WebTokens {
        read_token: checked_token("read-token", read, report),
        write_token: checked_token("write-token", write, report),
    }
}

/// A token, which has to be long, since whoever reaches the port may guess, and must fit into a URL and a header.
fn checked_token(key: &str, token: Option<Located<String>>, report: &mut Report) -> Option<SecretString> {
    let token = token?;
    report.hide(&token.at);
    let fits = |character: char| character.is_ascii_alphanumeric() || "-._~".contains(character);
    if token.value.len() < SHORTEST_TOKEN {
        report
            .error(&token.at, format!("`{key}` has to have at least {SHORTEST_TOKEN} characters"))
            .help("openssl rand -hex 24");
    } else if !token.value.chars().all(fits) {
        report
            .error(
                &token.at,
                format!("`{key}` may only have letters, digits, `-`, `.`, `_` and `~`, which fit into a URL"),
            )
            .help("openssl rand -hex 24");
    }
    Some(token.value.into())
}

/// The NAME of `jenkins "NAME"`.
fn jenkins_name(section: &str) -> Option<String> {
    let name = section.strip_prefix("jenkins")?.trim().strip_prefix('"')?.strip_suffix('"')?;
    (!name.is_empty()).then(|| name.to_owned())
}

/// What a Jenkins needs, here or in nodepool.yaml.
const LOGIN: [&str; 3] = ["url", "user", "apikey"];

/// What is missing is looked for in nodepool.yaml, with which this is merged key by key.
fn read_jenkins(mut section: Section, report: &mut Report) -> RawLogin {
    let found = RawLogin {
        broken: LOGIN.into_iter().filter(|key| section.broken.iter().any(|broken| broken == key)).collect(),
        url: section.text("url"),
        user: section.text("user"),
        apikey: section.secret("apikey"),
        credentials: section.text("credentials"),
    };
    section.finish(&["url", "user", "apikey", "credentials"], report);
    found
}

impl Section {
    fn text(&mut self, key: &str) -> Option<Located<String>> {
        self.values.remove(key).map(|(_, value)| value)
    }

    fn secret(&mut self, key: &str) -> Option<Located<SecretString>> {
        self.text(key).map(|text| Located { value: text.value.into(), at: text.at })
    }

    /// Every key that was not taken is an error.
    fn finish(self, known: &[&str], report: &mut Report) {
        let list = known.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
        for (key, (at, _)) in &self.values {
            let near = spelling::nearest(key, known.iter().copied());
            let near = near.map_or_else(String::new, |near| format!("did you mean `{near}`? "));
            report
                .error(at, format!("unknown key `{}` in [{}]", shown_key(key), shown_key(&self.name)))
                .help(format!("{near}The keys of this section are {list}"));
        }
    }
}

/// Splits the file into sections.
fn sections(source: &Arc<SourceText>, report: &mut Report) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    for (index, line) in source.text.lines().enumerate() {
        let number = index.saturating_add(1);
        let text = line.trim();
        if text.is_empty() || text.starts_with(['#', ';']) {
            continue;
        }
        let indent = line.chars().take_while(|character| character.is_whitespace()).count();
        let at = Position::on_line(source, number, indent.saturating_add(1), text.chars().count());
        if let Some(name) = text.strip_prefix('[') {
            let Some(name) = name.strip_suffix(']') else {
                report.error(&at, "a section must end with `]`");
                continue;
            };
            if let Some(first) = sections.iter().find(|section| section.name == name) {
                let help = format!("it begins first on line {}; keep one of the two", first.at.line);
                report.error(&at, format!("the section [{name}] is given twice")).help(help);
            }
            sections.push(Section { name: name.to_owned(), at, values: BTreeMap::new(), broken: Vec::new() });
        } else if indent > 0 {
            report.error(&at, "a value must not continue on a second line");
        } else {
            match sections.last_mut() {
                Some(section) => add_value(section, text, &at, report),
                None => {
                    report.error(&at, "a key must stand in a section, such as [database]");
                }
            }
        }
    }
    sections
}

fn add_value(section: &mut Section, text: &str, at: &Position, report: &mut Report) {
    let Some((key, value)) = text.split_once(['=', ':']) else {
        // The line is not shown in the message: it may be a password that lost its key.
        report.hide(at);
        report.error(at, "this is neither a section nor a key with a value");
        return;
    };
    let key_length = key.trim_end().chars().count();
    let before = text.chars().count().saturating_sub(value.trim_start().chars().count());
    let key = key.trim_end().to_lowercase();
    let value = value.trim();
    let mut key_at = at.clone();
    key_at.end_column = at.column.saturating_add(key_length);
    let mut value_at = at.clone();
    value_at.column = at.column.saturating_add(before);
    if let Some((first, _)) = section.values.get(&key) {
        let help = format!("it is given first on line {}; keep one of the two", first.line);
        report.error(&key_at, format!("the key `{key}` is given twice")).help(help);
        return;
    }
    if value.is_empty() {
        report.error(&key_at, format!("`{key}` has no value"));
        section.broken.push(key);
        return;
    }
    if value.contains("%(") {
        report
            .error(&key_at, format!("`{key}` uses %(...)s, which is not supported"))
            .help("write the value out");
        section.broken.push(key);
        return;
    }
    let value = Located { value: value.replace("%%", "%"), at: value_at };
    section.values.insert(key, (key_at, value));
}
