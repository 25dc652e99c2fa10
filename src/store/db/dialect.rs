//! How a statement is spelled for PostgreSQL and for MariaDB: made once for each statement, and kept.

use std::collections::HashMap;
use std::sync::{LazyLock, PoisonError, RwLock};

use sqlx::{AssertSqlSafe, SqlSafeStr as _, SqlStr};

/// The spellings that were made. Statements are part of the program, so there are as many as the program has.
#[derive(Default)]
struct Spellings(RwLock<HashMap<&'static str, SqlStr>>);

impl Spellings {
    fn of(&self, sql: &'static str, spell: fn(&str) -> String) -> SqlStr {
        if let Some(known) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(sql) {
            return known.clone();
        }
        // Made of a statement of ours by a rule of ours: nothing from outside is in it.
        let spelled = AssertSqlSafe(spell(sql)).into_sql_str();
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(sql, spelled.clone());
        spelled
    }
}

/// A statement for MariaDB and MySQL, whose placeholders have no numbers. Ours are used once each and in order.
pub(super) fn question_marks(sql: &'static str) -> SqlStr {
    static SPELLINGS: LazyLock<Spellings> = LazyLock::new(Spellings::default);
    SPELLINGS.of(sql, |sql| {
        let mut parts = sql.split('$');
        let mut spelled = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            spelled.push('?');
            spelled.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit()));
        }
        spelled
    })
}

/// An INSERT for PostgreSQL that gives the number of its row.
pub(super) fn returning_id(sql: &'static str) -> SqlStr {
    static SPELLINGS: LazyLock<Spellings> = LazyLock::new(Spellings::default);
    SPELLINGS.of(sql, |sql| format!("{sql} RETURNING id"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_lose_their_numbers_and_nothing_else_changes() {
        for (sql, spelled) in [
            (
                "SELECT a FROM b WHERE c = $1 AND d < $12 LIMIT $13",
                "SELECT a FROM b WHERE c = ? AND d < ? LIMIT ?",
            ),
            ("SELECT count(*), 17 FROM b", "SELECT count(*), 17 FROM b"),
        ] {
            assert_eq!(question_marks(sql).as_str(), spelled);
            assert_eq!(question_marks(sql).as_str(), spelled, "the second time, too");
        }
        assert_eq!(
            returning_id("INSERT INTO a (b) VALUES ($1)").as_str(),
            "INSERT INTO a (b) VALUES ($1) RETURNING id"
        );
    }
}
