//! What a file imports, and whether its room may.

use std::collections::BTreeSet;

use super::rooms::Room;
use super::text::code_of;

/// The room that a file of `src/` belongs to; `None` for `src/lib.rs`, which only names the rooms.
pub fn room_of(path: &str) -> Option<&str> {
    let first = path.strip_prefix("src/")?.split('/').next()?;
    let name = first.strip_suffix(".rs").unwrap_or(first);
    (name != "lib").then_some(name)
}

/// The crates that `Cargo.toml` brings in, by the names that code uses.
pub fn crates_of(cargo: &str) -> BTreeSet<String> {
    let mut inside = false;
    let mut crates = BTreeSet::new();
    for line in cargo.lines() {
        if line.starts_with('[') {
            inside = line == "[dependencies]";
        } else if let (true, Some((name, _))) = (inside, line.split_once('='))
            && !line.starts_with('#')
        {
            crates.insert(name.trim().replace('-', "_"));
        }
    }
    crates
}

/// What a file of a room uses although the room's line does not allow it.
pub fn complaints(
    rooms: &[Room],
    crates: &BTreeSet<String>,
    room: &str,
    path: &str,
    text: &str,
) -> Vec<String> {
    let Some(line) = rooms.iter().find(|known| known.name == room) else {
        return vec![format!("{path}: the room {room} has no line in tests/tidy/rooms.rs")];
    };
    let code = code_of(text);
    let mut found = Vec::new();
    for used in rooms_used(path, &code) {
        if used != room && !line.rooms.contains(&used.as_str()) {
            found.push(format!("{path}: {room} must not use {used}. {}", line.because));
        }
    }
    for used in heads(&code) {
        if crates.contains(&used) && !line.crates.contains(&used.as_str()) {
            found.push(format!("{path}: {room} must not use the crate {used}. {}", line.because));
        }
    }
    for never in line.never.iter().filter(|never| says(&code, never)) {
        found.push(format!("{path}: {room} must not say `{never}`. {}", line.because));
    }
    found
}

/// Whether the code says these words as they are, and not as part of a longer name.
fn says(code: &str, words: &str) -> bool {
    let part = |letter: char| letter.is_alphanumeric() || letter == '_';
    code.match_indices(words).any(|(at, _)| {
        !code[..at].ends_with(part)
            && !code[at + words.len()..].starts_with(|letter| part(letter) && !words.ends_with('!'))
    })
}

/// The rooms that the code names: by `crate::`, from `bin/` by the library's name, and by climbing out with `super`.
fn rooms_used(path: &str, code: &str) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    let prefixes: &[&str] = if path.starts_with("src/bin/") { &["nodepool::"] } else { &["crate::"] };
    for prefix in prefixes {
        for (at, _) in code.match_indices(prefix) {
            if !joined_to_the_left(code, at) {
                used.extend(names_after(&code[at + prefix.len()..]));
            }
        }
    }
    let depth = depth_of(path);
    let tests = code.find("mod tests {").unwrap_or(code.len());
    let mut from = 0;
    while let Some(found) = code[from..].find("super::") {
        let start = from + found;
        let mut end = start;
        let mut climbed = 0;
        while code[end..].starts_with("super::") {
            end += "super::".len();
            climbed += 1;
        }
        let inner = usize::from(start > tests);
        if climbed >= depth + inner {
            used.extend(names_after(&code[end..]));
        }
        from = end;
    }
    used
}

/// How many `super` lead from a file to the root of the crate.
fn depth_of(path: &str) -> usize {
    let inside = path.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
    inside.split('/').count()
}

/// The names that follow a `::`: one, or those of a group in braces.
fn names_after(rest: &str) -> Vec<String> {
    let Some(group) = rest.strip_prefix('{') else { return vec![word(rest)] };
    let mut names = Vec::new();
    let (mut depth, mut begins) = (0_usize, true);
    for (at, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => begins = true,
            letter if begins && (letter.is_alphanumeric() || letter == '_') => {
                names.push(word(&group[at..]));
                begins = false;
            }
            _ => {}
        }
    }
    names
}

fn word(rest: &str) -> String {
    rest.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect()
}

/// The first names of all paths: what stands before a `::` and after none.
fn heads(code: &str) -> BTreeSet<String> {
    let mut heads = BTreeSet::new();
    for (at, _) in code.match_indices("::") {
        let before = &code[..at];
        let head: String =
            before.chars().rev().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect();
        let start = at - head.len();
        if !head.is_empty() && !joined_to_the_left(code, start) {
            heads.insert(head.chars().rev().collect());
        }
    }
    for line in code.lines().map(str::trim_start) {
        let import = ["use ", "pub use ", "extern crate "].iter().find_map(|start| line.strip_prefix(start));
        heads.extend(import.map(word));
    }
    heads
}

/// Whether the name at `at` is the continuation of a longer name or path.
fn joined_to_the_left(code: &str, at: usize) -> bool {
    let before = &code[..at];
    before.ends_with("::") || before.ends_with(|letter: char| letter.is_alphanumeric() || letter == '_')
}

#[test]
fn a_forbidden_import_is_found_however_it_is_written() {
    const LINE: &[Room] = &[Room {
        name: "plan",
        rooms: &["model"],
        crates: &["serde"],
        never: &["std::fs"],
        because: "It is pure.",
    }];
    let crates =
        crates_of("[dependencies]\ntokio = \"1\"\nserde_json = \"1\"\nserde = \"1\"\n[lints]\nx = 1\n");
    let found = |path: &str, text: &str| complaints(LINE, &crates, "plan", path, text).len();
    for forbidden in [
        "use crate::store::Store;",
        "let a = crate::store::open();",
        "use crate::{model::Node, store::{Store, Row}};",
        "use super::super::store::Store;",
        "use tokio::time;",
        "let a = tokio::time::now();",
        "use serde_json;",
        "fn a() -> std::fs::File {}",
        "#[cfg(test)]\nmod tests {\n use super::super::super::store::Store;\n}",
    ] {
        assert_eq!(found("src/plan/jobs.rs", forbidden), 1, "{forbidden}");
    }
    assert_eq!(found("src/plan/mod.rs", "use super::store::Store;"), 1);
    for allowed in [
        "use crate::model::Node;",
        "use crate::{model::{Node, store}, plan};",
        "use super::room; use super::super::model;",
        "// use tokio::time;\nuse serde::Serialize; use std::fmt;",
        "let text = \"crate::store::Store\"; a::tokio::b();",
        "fn std::fsm() {}",
        "#[cfg(test)]\nmod tests {\n use super::super::room;\n}",
    ] {
        assert_eq!(found("src/plan/jobs.rs", allowed), 0, "{allowed}");
    }
    let unknown = complaints(LINE, &crates, "attic", "src/attic.rs", "");
    assert_eq!(unknown.len(), 1, "a room without a line is a complaint");
    assert_eq!(room_of("src/lib.rs"), None);
    assert_eq!(room_of("src/bell.rs"), Some("bell"));
}
