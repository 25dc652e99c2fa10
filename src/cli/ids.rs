//! The numbers of nodes and images, as operators type them: `3 5 8-12 20,21`.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use super::Failure;

/// The most numbers of one command: as many wishes as the daemon reads at once.
const MOST: usize = 1000;

/// Which ones are meant.
#[derive(Clone, Debug, clap::Args)]
pub struct Ids {
    /// Numbers as in the ID column: one or several, and ranges, such as 3 5 8-12 20,21
    #[arg(value_name = "ID", required = true, value_delimiter = ',', value_parser = span)]
    pub spans: Vec<Span>,
}

/// A number, or the numbers from one to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span(RangeInclusive<i64>);

impl Ids {
    /// The numbers in the order in which they were typed, each once.
    ///
    /// # Errors
    /// There are more than 1,000.
    pub fn numbers(&self) -> Result<Vec<i64>, Failure> {
        let mut seen = BTreeSet::new();
        let mut numbers = Vec::new();
        for number in self.spans.iter().flat_map(|span| span.0.clone()).take(MOST.saturating_add(1)) {
            if seen.insert(number) {
                numbers.push(number);
            }
        }
        let typed = self.spans.iter().flat_map(|span| span.0.clone()).take(MOST.saturating_add(1)).count();
        if typed > MOST {
            return Err(Failure::usage(
                format!("more than {MOST} numbers at once"),
                "give fewer; a range such as 8-12 counts each number in it",
            ));
        }
        Ok(numbers)
    }
}

/// Reads `3` or `8-12`.
fn span(text: &str) -> Result<Span, String> {
    let Some((first, last)) = text.split_once('-') else {
        let number = super::number(text)?;
        return Ok(Span(number..=number));
    };
    let (first, last) = (super::number(first)?, super::number(last)?);
    if first > last {
        return Err(format!("the range is upside down: write {last}-{first}"));
    }
    Ok(Span(first..=last))
}

/// Numbers in words, with neighbours drawn together: `3, 8-12`.
pub(super) fn in_words(numbers: &[i64]) -> String {
    let sorted: BTreeSet<i64> = numbers.iter().copied().collect();
    let mut spans: Vec<(i64, i64)> = Vec::new();
    for number in sorted {
        match spans.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(number) => *last = number,
            _ => spans.push((number, number)),
        }
    }
    let words = spans
        .into_iter()
        .map(|(first, last)| if first == last { first.to_string() } else { format!("{first}-{last}") });
    words.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(texts: &[&str]) -> Ids {
        Ids { spans: texts.iter().map(|text| span(text).unwrap()).collect() }
    }

    #[test]
    fn numbers_and_ranges_in_their_order_and_once() {
        assert_eq!(ids(&["5", "3", "8-12", "9", "3"]).numbers().unwrap(), [5, 3, 8, 9, 10, 11, 12]);
        assert_eq!(ids(&["1-1000"]).numbers().unwrap().len(), 1000);
        for too_many in [&["1-1001"][..], &["1-9223372036854775807"], &["1-600", "1-600"]] {
            assert!(ids(too_many).numbers().is_err(), "{too_many:?}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in ["", "0", "-1", "x", "3-", "-", "12-8", "1-2-3", "9223372036854775808"] {
            assert!(span(text).is_err(), "{text}");
        }
    }

    #[test]
    fn neighbours_are_drawn_together() {
        assert_eq!(in_words(&[12, 3, 8, 9, 10]), "3, 8-10, 12");
        assert_eq!(in_words(&[i64::MAX]), i64::MAX.to_string());
        assert_eq!(in_words(&[]), "");
    }
}
