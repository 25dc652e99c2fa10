//! Which names Jenkins takes for an agent.

use crate::target::TargetError;

/// The characters that Jenkins calls unsafe.
const UNSAFE: &str = "?*/\\%!@#$^&|<>[]:;";

/// Refuses a name that Jenkins would refuse, or that could not be part of a URL.
///
/// # Errors
/// `Rejected`.
pub(super) fn check(name: &str) -> Result<(), TargetError> {
    let wrong =
        |why: String| Err(TargetError::Rejected(format!("Jenkins takes no agent of this name: {why}")));
    if name.trim().is_empty() {
        return wrong("it is empty".to_owned());
    }
    if name.chars().any(char::is_control) {
        return wrong("it has a control character".to_owned());
    }
    if let Some(character) = name.chars().find(|character| UNSAFE.contains(*character)) {
        return wrong(format!("`{character}` in `{name}` is unsafe"));
    }
    if name.trim() != name {
        return wrong(format!("`{name}` begins or ends with a blank"));
    }
    if name.ends_with('.') {
        return wrong(format!("`{name}` ends with a dot"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_jenkins_calls_unsafe_are_refused() {
        for name in ["ci-jessie-7", "ci.jessie_7", "Ägypten", "(a) b"] {
            assert_eq!(check(name), Ok(()), "{name}");
        }
        for name in
            ["", " ", "a/b", "a\\b", ".", "..", "a.", "a\n", "a?b", "a%20b", "a:b", "[a]", " a", "a|b"]
        {
            assert!(matches!(check(name), Err(TargetError::Rejected(_))), "{name:?}");
        }
    }
}
