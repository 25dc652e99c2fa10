//! Numbers in words.

use std::fmt::Display;

/// A number with what it counts: `1 job`, `2 jobs`.
pub fn counted<N: Copy + Display + TryInto<u64>>(number: N, one: &str, many: &str) -> String {
    let what = if number.try_into().ok() == Some(1) { one } else { many };
    format!("{number} {what}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_one_and_nothing_is_many() {
        assert_eq!(counted(1_usize, "job", "jobs"), "1 job");
        assert_eq!(counted(0_u32, "job", "jobs"), "0 jobs");
        assert_eq!(counted(11_u64, "job", "jobs"), "11 jobs");
    }
}
