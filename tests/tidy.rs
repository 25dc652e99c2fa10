//! The rules of the house, held by reading the source as text.
//!
//! Each rule is a function from text to complaints, so that the tests at the end can show that it complains. What the
//! compiler and clippy hold already is not repeated here: docs of public items, the length of functions, `unwrap`.

#[path = "tidy/imports.rs"]
mod imports;
#[path = "tidy/rooms.rs"]
mod rooms;
#[path = "tidy/text.rs"]
mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rooms::ROOMS;
use text::{code_of, files_under, relative, root};

/// The longest file that a person reads in one go.
const LONGEST_FILE: usize = 600;

/// What is in the first folder of the repository; whatever else lies there was left behind by accident.
const ROOT: [&str; 22] = [
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "NOTICE",
    "README.md",
    "benches",
    "build.rs",
    "clippy.toml",
    "deploy",
    "docs",
    "elements",
    "examples",
    "fuzz",
    "migrations",
    "rustfmt.toml",
    "scripts",
    "src",
    "target",
    "tests",
    "tools",
];

/// Words that say that something is not finished. They are written apart, or this file would break its own rule.
const UNFINISHED: [&str; 6] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("X", "XX"),
    concat!("unimpl", "emented!"),
    concat!("to", "do!("),
    concat!("#[al", "low("),
];

/// Names that do not say what a thing does.
const EMPTY_NAMES: [&str; 4] = ["Manager", "Helper", "Util", "Handler"];

/// Places of other people's machines. A user of this program has none of them.
const ELSEWHERE: [&str; 2] = [concat!("/wo", "rk/"), concat!("../sh", "ared")];

#[test]
fn every_room_uses_only_what_its_line_allows() {
    let crates = imports::crates_of(&std::fs::read_to_string(root().join("Cargo.toml")).unwrap());
    assert!(crates.contains("tokio") && crates.contains("serde_yaml"), "Cargo.toml was not understood");
    held(sources("src").iter().filter_map(|(path, text)| {
        let room = imports::room_of(path)?;
        Some(imports::complaints(ROOMS, &crates, room, path, text))
    }));
}

#[test]
fn every_room_has_a_line_in_the_table() {
    let lib = std::fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let declared: BTreeSet<&str> =
        lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    assert!(declared.contains("plan"), "src/lib.rs was not understood");
    let known: BTreeSet<&str> = ROOMS.iter().map(|room| room.name).collect();
    let missing: Vec<_> = declared.difference(&known).collect();
    assert!(missing.is_empty(), "tests/tidy/rooms.rs has no line for {missing:?}");
    let unknown: Vec<_> =
        ROOMS.iter().flat_map(|room| room.rooms).filter(|name| !known.contains(*name)).collect();
    assert!(unknown.is_empty(), "tests/tidy/rooms.rs allows rooms that it does not know: {unknown:?}");
    assert!(ROOMS.iter().all(|room| room.because.ends_with('.')), "each line says why, in a sentence");
}

#[test]
fn every_file_is_introduced_and_short() {
    held(sources("src").iter().map(|(path, text)| {
        let mut found = unintroduced(path, text);
        found.extend(too_long(path, text));
        found
    }));
    held(sources("tests").iter().map(|(path, text)| unintroduced(path, text)));
}

#[test]
fn nothing_is_left_unfinished() {
    held(sources("src").iter().map(|(path, text)| unfinished(path, text)));
    held(sources("tests").iter().map(|(path, text)| unfinished(path, text)));
}

#[test]
fn names_say_what_a_thing_does() {
    held(sources("src").iter().map(|(path, text)| empty_names(path, text)));
    held(sources("tests").iter().map(|(path, text)| empty_names(path, text)));
}

#[test]
fn functions_fit_a_screen() {
    let clippy = std::fs::read_to_string(root().join("clippy.toml")).unwrap();
    assert!(clippy.contains("too-many-lines-threshold = 70"), "clippy.toml holds the length of functions");
    let cargo = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(cargo.contains("missing_docs") && cargo.contains("pedantic"), "Cargo.toml turns the lints on");
}

#[test]
fn migrations_are_numbered_in_order_and_alike_for_each_database() {
    let mut by_database: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for path in files_under(&root().join("migrations")) {
        let parts: Vec<_> = relative(&path).split('/').map(str::to_owned).collect();
        let [_, database, file] = parts.as_slice() else {
            panic!("{} is not in a folder of a database", path.display())
        };
        by_database.entry(database.clone()).or_default().push(file.clone());
    }
    assert!(by_database.contains_key("sqlite"), "migrations/sqlite is missing");
    held(by_database.iter().map(|(database, files)| misnumbered(database, files)));
    let all: BTreeSet<&Vec<String>> = by_database.values().collect();
    assert!(all.len() == 1, "the databases have different migrations: {by_database:#?}");
}

#[test]
fn every_link_in_the_documents_leads_somewhere() {
    held(documents().iter().map(|(path, text)| {
        let folder = root().join(path).parent().unwrap().to_owned();
        broken_links(path, text, |link| folder.join(link).exists())
    }));
}

#[test]
fn nothing_mentions_a_place_outside_the_repository() {
    let files = files_under(&root());
    assert!(files.iter().any(|path| path.ends_with("src/plan/mod.rs")), "the repository was not found");
    held(files.iter().filter_map(|path| {
        let text = std::fs::read_to_string(path).ok()?;
        Some(elsewhere(&relative(path), &text))
    }));
}

#[test]
fn nothing_was_left_behind_in_the_first_folder() {
    let names = std::fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().file_name());
    let names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    assert_eq!(strangers(&names), Vec::<String>::new());
}

fn strangers(names: &[String]) -> Vec<String> {
    names.iter().filter(|name| !name.starts_with('.') && !ROOT.contains(&name.as_str())).cloned().collect()
}

fn unintroduced(path: &str, text: &str) -> Vec<String> {
    let introduced = text.starts_with("//! ");
    (!introduced)
        .then(|| format!("{path}: does not open with `//!`: why does it exist?"))
        .into_iter()
        .collect()
}

fn too_long(path: &str, text: &str) -> Vec<String> {
    let lines = text.lines().count();
    (lines > LONGEST_FILE)
        .then(|| format!("{path}: {lines} lines, {LONGEST_FILE} is the most"))
        .into_iter()
        .collect()
}

fn unfinished(path: &str, text: &str) -> Vec<String> {
    let found = text.lines().enumerate().flat_map(|(at, line)| {
        UNFINISHED.iter().filter(|word| line.contains(**word)).map(move |word| (at, word))
    });
    found.map(|(at, word)| format!("{path}:{}: `{word}`", at + 1)).collect()
}

fn empty_names(path: &str, text: &str) -> Vec<String> {
    let code = code_of(text);
    let words: Vec<&str> = code.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    words
        .windows(2)
        .filter(|pair| ["struct", "enum", "trait", "type", "mod"].contains(&pair[0]))
        .filter(|pair| {
            let name = pair[1].to_lowercase();
            EMPTY_NAMES.iter().any(|empty| {
                let empty = empty.to_lowercase();
                name.ends_with(&empty) || name.ends_with(&format!("{empty}s"))
            })
        })
        .map(|pair| format!("{path}: {} {} does not say what it does", pair[0], pair[1]))
        .collect()
}

fn misnumbered(database: &str, files: &[String]) -> Vec<String> {
    let mut files = files.to_vec();
    files.sort();
    // A number that was given out and not used is a gap; one that was used twice is an accident.
    let mut before = 0;
    let mut found = Vec::new();
    for file in &files {
        let number = file.get(..4).and_then(|number| number.parse::<u32>().ok());
        let named = file.get(4..5) == Some("_") && file.split('.').next_back() == Some("sql");
        match number.filter(|number| named && *number > before) {
            Some(number) => before = number,
            None => {
                found.push(format!("migrations/{database}/{file}: a number after {before:04} was expected"));
            }
        }
    }
    found
}

/// Links of the form `[words](place)` to places in the repository that are not there.
fn broken_links(path: &str, text: &str, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let places = text.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
    places
        .filter(|place| !place.contains("://") && !place.starts_with("mailto:"))
        .map(|place| place.split('#').next().unwrap_or_default())
        .filter(|place| !place.is_empty() && !exists(place))
        .map(|place| format!("{path}: the link to {place} leads nowhere"))
        .collect()
}

fn elsewhere(path: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, line) in text.lines().enumerate() {
        for place in ELSEWHERE {
            let begins =
                |before: &str| !before.ends_with(|c: char| c.is_alphanumeric() || "_-.}/".contains(c));
            if line.match_indices(place).any(|(start, _)| begins(&line[..start])) {
                found.push(format!("{path}:{}: mentions {place}", at + 1));
            }
        }
    }
    found
}

/// Every Rust file of a folder, with its path from the root.
fn sources(folder: &str) -> Vec<(String, String)> {
    read(&root().join(folder), "rs")
}

/// Every document for people.
fn documents() -> Vec<(String, String)> {
    read(&root(), "md")
}

fn read(folder: &Path, extension: &str) -> Vec<(String, String)> {
    let wanted = |path: &PathBuf| path.extension().is_some_and(|found| found == extension);
    let files: Vec<_> = files_under(folder).into_iter().filter(wanted).collect();
    assert!(!files.is_empty(), "no .{extension} files in {}", folder.display());
    files.iter().map(|path| (relative(path), std::fs::read_to_string(path).unwrap())).collect()
}

fn held(complaints: impl Iterator<Item = Vec<String>>) {
    let complaints: Vec<String> = complaints.flatten().collect();
    assert!(complaints.is_empty(), "the rules of the house are broken:\n{}", complaints.join("\n"));
}

#[test]
fn each_rule_sees_a_violation() {
    assert_eq!(unintroduced("a.rs", "use std::fmt;\n").len(), 1);
    assert_eq!(unintroduced("a.rs", "//! Why.\n"), Vec::<String>::new());
    assert_eq!(too_long("a.rs", &"x\n".repeat(LONGEST_FILE + 1)).len(), 1);
    assert_eq!(too_long("a.rs", &"x\n".repeat(LONGEST_FILE)), Vec::<String>::new());
    for word in UNFINISHED {
        assert_eq!(unfinished("a.rs", &format!("//! Why.\nlet a = 1; // {word} later\n")).len(), 1, "{word}");
    }
    assert_eq!(empty_names("a.rs", "pub struct NodeManager;\nmod utils;\nstruct Managed;").len(), 2);
    assert_eq!(
        empty_names("a.rs", "// a struct FileHandler\nlet text = \"enum Util\";"),
        Vec::<String>::new()
    );
    assert_eq!(misnumbered("sqlite", &["0001_a.sql".to_owned(), "0001_b.sql".to_owned()]).len(), 1);
    assert_eq!(misnumbered("sqlite", &["1_a.sql".to_owned()]).len(), 1);
    assert_eq!(
        misnumbered("sqlite", &["0001_a.sql".to_owned(), "0003_b.sql".to_owned()]),
        Vec::<String>::new()
    );
    assert_eq!(broken_links("a.md", "[one](b.md#part) [two](https://c) [self](#part)", |_| false).len(), 1);
    assert_eq!(elsewhere("a.md", &format!("see {}notes", ELSEWHERE[0])).len(), 1);
    assert_eq!(elsewhere("a.md", &format!("see frame{}notes", ELSEWHERE[0])), Vec::<String>::new());
    assert_eq!(strangers(&["src".to_owned(), "notes.zip".to_owned()]), ["notes.zip"]);
}
