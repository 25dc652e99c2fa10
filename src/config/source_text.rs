//! The text of one configuration file, kept so that an error can show the line that it is about, without showing a secret.
//!
//! What is hidden is decided twice: by the words of each line, which also works on a file that cannot be parsed, and by
//! the exact places of secret values, which the parser reports.

use std::fmt;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::spelling::distance;

/// The most bytes that a configuration file may have.
pub(super) const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// The most characters of a line that a snippet shows.
const MAX_SHOWN_CHARACTERS: usize = 200;

/// What stands in a snippet in place of a secret.
const MASK: &str = "********";

/// A key with one of these words in it holds a secret.
const SECRET_WORDS: [&str; 8] =
    ["password", "passwd", "apikey", "api_key", "api-key", "secret", "dburi", "token"];

/// Whether the value of this key must not be shown: it is named like a secret, or almost so.
pub(super) fn is_secret_key(key: &str) -> bool {
    let key = key.to_lowercase();
    // Words whose lengths differ by more cannot be near; measuring them all would be slow.
    let near = |word: &str| word.len().abs_diff(key.chars().count()) <= 2 && distance(&key, word) <= 2;
    names_secret(&key) || SECRET_WORDS.iter().any(|word| near(word))
}

/// Whether one of the words for a secret is in this text.
fn names_secret(text: &str) -> bool {
    let text = text.to_lowercase();
    SECRET_WORDS.iter().any(|word| text.contains(word))
}

/// A key as a message may show it: where a separator was lost, the value has become part of the key.
pub(super) fn shown_key(key: &str) -> String {
    let shown: String = key.chars().filter(|character| !character.is_control()).take(60).collect();
    match secret_value(&shown) {
        Some((_, value)) if value < shown.chars().count() => {
            shown.chars().take(value).chain(MASK.chars()).collect()
        }
        _ => shown,
    }
}

/// One file, whole.
pub(super) struct SourceText {
    /// Where it was read from, as an error shows it.
    pub(super) path: PathBuf,
    /// Its text.
    pub(super) text: String,
    lines: Vec<Line>,
}

struct Line {
    text: String,
    /// The column, counted in characters from 0, from which the line is secret.
    secret_from: Option<usize>,
}

impl fmt::Debug for SourceText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The text holds secrets.
        f.debug_struct("SourceText").field("path", &self.path).finish_non_exhaustive()
    }
}

impl SourceText {
    /// Takes the text of a file.
    pub(super) fn new(path: &Path, text: String) -> Arc<Self> {
        let lines = hide_by_words(&text);
        Arc::new(Self { path: path.to_owned(), text, lines })
    }

    /// Reads a file. `Ok(None)` when there is none; the error is in words for a person.
    pub(super) fn read(path: &Path) -> Result<Option<Arc<Self>>, String> {
        // What is not a file, such as a pipe, could block for ever when it is opened.
        match fs::metadata(path) {
            Ok(metadata) if !metadata.is_file() => return Err("is not a file".to_owned()),
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("cannot be read: {error}")),
        }
        let file = File::open(path).map_err(|error| format!("cannot be opened: {error}"))?;
        let mut bytes = Vec::new();
        file.take(MAX_FILE_BYTES.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(|error| format!("cannot be read: {error}"))?;
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_FILE_BYTES {
            return Err(format!("is larger than {MAX_FILE_BYTES} bytes"));
        }
        let text = String::from_utf8(bytes).map_err(|_| "is not valid UTF-8".to_owned())?;
        Ok(Some(Self::new(path, text)))
    }

    /// Line `number`, counted from 1, with its secrets hidden: those that its words tell, and what begins at the
    /// column `secret`, counted from 0.
    pub(super) fn shown_line(&self, number: usize, secret: Option<usize>) -> Option<String> {
        let line = self.lines.get(number.checked_sub(1)?)?;
        let from = secret.into_iter().chain(line.secret_from).min();
        let mut shown: String =
            line.text.chars().take(from.unwrap_or(usize::MAX).min(MAX_SHOWN_CHARACTERS)).collect();
        shown = hide_url_passwords(&shown);
        shown.retain(|character| character == '\t' || !character.is_control());
        if from.is_some() {
            shown.push_str(MASK);
        } else if line.text.chars().nth(MAX_SHOWN_CHARACTERS).is_some() {
            shown.push_str("...");
        }
        Some(shown)
    }
}

/// Finds in each line the column from which it is secret by its words.
fn hide_by_words(text: &str) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    // The column of the secret key whose value may continue on the following, deeper lines.
    let mut continued: Option<usize> = None;
    for text in text.lines() {
        let indent = text.chars().take_while(|character| character.is_whitespace()).count();
        let blank = text.trim().is_empty();
        if !blank && continued.is_some_and(|column| indent <= column) {
            continued = None;
        }
        let mut secret_from = continued.filter(|_| !blank).map(|_| indent);
        if secret_from.is_none()
            && let Some((key, value)) = secret_value(text)
        {
            secret_from = Some(value);
            continued = key.map(|key| if text.contains('{') { indent } else { key });
        }
        lines.push(Line { text: text.to_owned(), secret_from });
    }
    lines
}

/// The first secret of a line: the column of its key, if that is one, and the column of its value.
fn secret_value(line: &str) -> Option<(Option<usize>, usize)> {
    let mut key_column = 0;
    let mut key = String::new();
    let line: Vec<char> = line.chars().chain(std::iter::once(' ')).collect();
    for (column, &character) in line.iter().enumerate() {
        if character.is_alphanumeric()
            || matches!(character, '_' | '.')
            || (character == '-' && !key.is_empty())
        {
            if key.is_empty() {
                key_column = column;
            }
            key.push(character);
            continue;
        }
        if !key.is_empty() {
            let rest = line.get(column..).unwrap_or_default().iter();
            let between = |next: &&char| next.is_whitespace() || matches!(next, ':' | '=' | '"' | '\'');
            let separated = rest.clone().take_while(between).any(|next| matches!(next, ':' | '='));
            // A word that is only like a secret's must be a key; one that is a secret's may have lost its separator.
            if (separated && is_secret_key(&key)) || names_secret(&key) {
                let before = rest.take_while(|next| next.is_whitespace() || matches!(next, ':' | '='));
                return Some((separated.then_some(key_column), column.saturating_add(before.count())));
            }
        }
        key.clear();
    }
    None
}

/// Hides `user:password` in `scheme://user:password@host`.
fn hide_url_passwords(line: &str) -> String {
    let mut shown = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("://") {
        shown.push_str(before);
        shown.push_str("://");
        let authority_end = after.find(['/', ' ', '"', '\'']).unwrap_or(after.len());
        let (authority, tail) = after.split_at(authority_end);
        match authority.rsplit_once('@') {
            Some((_, host)) => {
                shown.push_str(MASK);
                shown.push('@');
                shown.push_str(host);
            }
            None => shown.push_str(authority),
        }
        rest = tail;
    }
    shown.push_str(rest);
    shown
}

/// A place in a file: from a character to a later one.
#[derive(Clone, Debug)]
pub(super) struct Position {
    /// The file.
    pub(super) source: Arc<SourceText>,
    /// First line, counted from 1; 0 means the file as a whole.
    pub(super) line: usize,
    /// First character, counted from 1.
    pub(super) column: usize,
    /// Last line.
    pub(super) end_line: usize,
    /// The character after the last one, counted from 1.
    pub(super) end_column: usize,
}

impl Position {
    /// The file as a whole.
    pub(super) fn whole(source: &Arc<SourceText>) -> Self {
        Self { source: Arc::clone(source), line: 0, column: 0, end_line: 0, end_column: 0 }
    }

    /// Some characters of one line.
    pub(super) fn on_line(source: &Arc<SourceText>, line: usize, column: usize, length: usize) -> Self {
        let end_column = column.saturating_add(length);
        Self { source: Arc::clone(source), line, column, end_line: line, end_column }
    }

    /// How many characters of the first line it covers, at least 1.
    pub(super) fn length(&self) -> usize {
        if self.line == self.end_line { self.end_column.saturating_sub(self.column).max(1) } else { 1 }
    }
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Located<T> {
    /// The value.
    pub(super) value: T,
    /// Its place.
    pub(super) at: Position,
}
