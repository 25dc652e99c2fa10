//! Finds the word that somebody most likely meant.

/// A longer word is no misspelling of ours, and comparing it would be slow.
const LONGEST: usize = 64;

/// The number of letters to insert, remove, replace or swap with their neighbour to turn one word into the other.
pub(super) fn distance(one: &str, other: &str) -> usize {
    strsim::osa_distance(one, other)
}

/// The candidate that is nearest to `word`, if one is near enough to be meant.
pub(super) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = word.chars().count();
    if length > LONGEST {
        return None;
    }
    let allowed = (length / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
