//! The bound on texts that come from outside.

/// The most characters of a text from outside (a cloud's fault, an operator's comment, a job's name) that are stored.
pub(super) const MOST_CHARACTERS: usize = 4096;

/// `text` as it is stored: its first [`MOST_CHARACTERS`] characters, without NUL, which PostgreSQL cannot store.
pub(super) fn bounded(text: &str) -> String {
    text.chars().filter(|c| *c != '\0').take(MOST_CHARACTERS).collect()
}

/// The last [`MOST_CHARACTERS`] characters of a text, without NUL: of what a machine printed the end tells most.
pub(super) fn last(text: &str) -> String {
    let characters = text.chars().filter(|c| *c != '\0').count();
    let skipped = characters.saturating_sub(MOST_CHARACTERS);
    text.chars().filter(|c| *c != '\0').skip(skipped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_between_characters() {
        let long = "é".repeat(MOST_CHARACTERS + 1);
        assert_eq!(bounded(&long), "é".repeat(MOST_CHARACTERS));
        assert_eq!(bounded("a\0b"), "ab");
        assert_eq!(last(&format!("x{long}\0")).chars().count(), MOST_CHARACTERS);
        assert!(!last(&format!("x{long}")).contains('x'));
    }
}
