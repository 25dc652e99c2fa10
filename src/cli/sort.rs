//! The order of a list: `--sort COLUMN[,-COLUMN]`.

use std::cmp::Ordering;

use clap::ValueEnum;

use super::suggest;

/// One column to sort by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key<C> {
    column: C,
    falling: bool,
}

/// Reads `COLUMN`, or `-COLUMN` for the other direction.
pub(super) fn key<C: ValueEnum>(text: &str) -> Result<Key<C>, String> {
    let (name, falling) = match text.strip_prefix('-') {
        Some(name) => (name, true),
        None => (text, false),
    };
    if let Ok(column) = C::from_str(name, true) {
        return Ok(Key { column, falling });
    }
    let known: Vec<String> = C::value_variants()
        .iter()
        .filter_map(|variant| Some(variant.to_possible_value()?.get_name().to_owned()))
        .collect();
    let known = || known.iter().map(String::as_str);
    let meant = suggest::nearest(name, known());
    let question = meant.map_or_else(String::new, |meant| format!("did you mean {meant}? "));
    Err(format!("{question}the columns are: {}", suggest::listed(known())))
}

/// Sorts by the keys, the first one first. Rows that are alike keep the order that they had.
pub(super) fn sort<T, C: Copy>(rows: &mut [T], keys: &[Key<C>], compare: impl Fn(C, &T, &T) -> Ordering) {
    rows.sort_by(|one, other| {
        keys.iter()
            .map(|key| {
                let order = compare(key.column, one, other);
                if key.falling { order.reverse() } else { order }
            })
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
    enum Column {
        Name,
        Age,
    }

    #[test]
    fn keys_are_columns_in_either_direction() {
        assert_eq!(key("age"), Ok(Key { column: Column::Age, falling: false }));
        assert_eq!(key("-Age"), Ok(Key { column: Column::Age, falling: true }));
        assert_eq!(key::<Column>("-agge").unwrap_err(), "did you mean age? the columns are: name, age");
        assert_eq!(key::<Column>("hostname").unwrap_err(), "the columns are: name, age");
    }

    #[test]
    fn the_first_key_counts_most() {
        let mut rows = [("b", 1), ("a", 1), ("a", 2)];
        let keys = [Key { column: Column::Age, falling: true }, Key { column: Column::Name, falling: false }];
        sort(&mut rows, &keys, |column, one, other| match column {
            Column::Name => one.0.cmp(other.0),
            Column::Age => one.1.cmp(&other.1),
        });
        assert_eq!(rows, [("a", 2), ("a", 1), ("b", 1)]);
    }
}
