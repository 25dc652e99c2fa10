//! Files of the repository, and the code in them without comments and without the text in quotes.

use std::path::{Path, PathBuf};

/// The first folder of the repository.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A path as people name it: from the root.
pub fn relative(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// Every file below a folder, in order. Hidden files and what cargo builds are nobody's text.
pub fn files_under(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name();
            let hidden = name.to_string_lossy().starts_with('.');
            let kind = entry.file_type().unwrap();
            if kind.is_dir() && !hidden && entry.path() != root().join("target") {
                folders.push(entry.path());
            } else if kind.is_file() && !hidden {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    found
}

/// What the compiler sees: comments and the insides of strings become blanks, lines stay where they are.
pub fn code_of(text: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < letters.len() {
        let end = skip(&letters, at);
        if end == at {
            code.push(letters[at]);
            at += 1;
        } else {
            code.extend(letters[at..end].iter().map(|letter| if *letter == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    code
}

/// Where the comment, string or character that begins at `at` ends; `at` itself if none begins there.
fn skip(letters: &[char], at: usize) -> usize {
    let rest = &letters[at..];
    let after = |length: usize| (at + length).min(letters.len());
    match rest {
        ['/', '/', ..] => after(rest.iter().position(|letter| *letter == '\n').unwrap_or(rest.len())),
        ['/', '*', ..] => after(length_until(rest, 2, &['*', '/'])),
        ['"', ..] => after(length_of_string(rest)),
        ['r', '"', ..] if !is_word_before(letters, at) => after(length_until(rest, 2, &['"'])),
        ['r', '#', ..] if !is_word_before(letters, at) => {
            let hashes = rest[1..].iter().take_while(|letter| **letter == '#').count();
            if rest.get(hashes + 1) != Some(&'"') {
                return at;
            }
            let mut closing = vec!['"'];
            closing.extend(std::iter::repeat_n('#', hashes));
            after(length_until(rest, hashes + 2, &closing))
        }
        // A character; a lifetime has no second quote.
        ['\'', '\\', ..] => after(length_until(rest, 3, &['\''])),
        ['\'', _, '\'', ..] => after(3),
        _ => at,
    }
}

fn is_word_before(letters: &[char], at: usize) -> bool {
    at.checked_sub(1).is_some_and(|before| letters[before].is_alphanumeric() || letters[before] == '_')
}

/// How long it is from the beginning of `rest` to the end of `closing`, which is looked for after `opening` letters.
fn length_until(rest: &[char], opening: usize, closing: &[char]) -> usize {
    (opening..rest.len())
        .find(|at| rest[*at..].starts_with(closing))
        .map_or(rest.len(), |found| found + closing.len())
}

fn length_of_string(rest: &[char]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

#[test]
fn comments_and_strings_are_not_code() {
    let text = "use a::b; // c::d\n/* e::f */ let g = \"h::i \\\" j::k\"; let l = r#\"m::\"n\"#; 'o' '\\'' p::q::<'r>";
    let code = code_of(text);
    for gone in ["c::d", "e::f", "h::i", "j::k", "m::", "'o'"] {
        assert!(!code.contains(gone), "{gone} in {code}");
    }
    for kept in ["use a::b;", "let g =", "let l =", "p::q::<'r>"] {
        assert!(code.contains(kept), "{kept} not in {code}");
    }
    assert_eq!(code.lines().count(), text.lines().count());
}
