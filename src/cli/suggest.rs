//! What may have been meant by a name that nobody knows.

use std::collections::BTreeSet;

use super::Failure;

/// The most names that are listed; the rest is counted.
const MOST_LISTED: usize = 20;
/// A longer word is no misspelling, and comparing it would be slow.
const LONGEST: usize = 64;

/// The name that is nearest to `word`, if one is near enough to be meant.
pub(super) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let length = word.chars().count();
    if length > LONGEST {
        return None;
    }
    let allowed = (length / 3).clamp(1, 3);
    known
        .into_iter()
        .map(|name| (strsim::osa_distance(word, name), name))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// The names that there are, in words.
pub(super) fn listed<'k>(known: impl IntoIterator<Item = &'k str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    let rest = known.len().saturating_sub(MOST_LISTED);
    let text = known.iter().take(MOST_LISTED).copied().collect::<Vec<_>>().join(", ");
    match (text.is_empty(), rest) {
        (true, _) => "none".to_owned(),
        (false, 0) => text,
        (false, rest) => format!("{text} and {rest} more"),
    }
}

/// The failure that says that there is no `kind` of this name, which one may be meant, and which there are.
pub(super) fn unknown<'k>(kind: &str, name: &str, known: impl IntoIterator<Item = &'k str>) -> Failure {
    let known: Vec<&str> = known.into_iter().collect();
    let meant = nearest(name, known.iter().copied());
    let question = meant.map_or_else(String::new, |meant| format!("; did you mean {meant}?"));
    Failure::refused(
        format!("there is no {kind} {name}{question}"),
        format!("the {kind}s are: {}", listed(known)),
    )
}

/// Whether all of these names are known, or else the failure that says which one is not.
pub(super) fn check(kind: &str, wanted: &[String], known: &BTreeSet<&str>) -> Result<(), Failure> {
    match wanted.iter().find(|name| !known.contains(name.as_str())) {
        None => Ok(()),
        Some(name) => Err(unknown(kind, name, known.iter().copied())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_meant_and_far_ones_are_not() {
        let known = ["ci-jessie", "ci-trusty", "all"];
        for (word, meant) in [
            ("ci-jesise", Some("ci-jessie")),
            ("ci-trutsy", Some("ci-trusty")),
            ("al", Some("all")),
            ("debian", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known), meant, "{word}");
        }
        assert_eq!(nearest(&"a".repeat(100_000), known), None);
    }

    #[test]
    fn many_names_are_cut_and_counted() {
        let names: Vec<String> = (0..25).map(|number| format!("p{number}")).collect();
        let text = listed(names.iter().map(String::as_str));
        assert!(text.ends_with("p19 and 5 more"), "{text}");
        assert_eq!(listed([]), "none");
    }
}
