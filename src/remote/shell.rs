//! Words for a POSIX shell.

/// `word` in single quotes, so that a shell takes it as one word and as it is: for the line of a [`Command`](super::Command).
pub fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// The line that has `sh` run `script` with `arguments` as `$1`, `$2` and so on, whatever the user's login shell is.
pub(super) fn call(script: &str, arguments: &[&str]) -> String {
    let mut line = format!("exec sh -c {} nodepool", quote(script));
    for argument in arguments {
        line.push(' ');
        line.push_str(&quote(argument));
    }
    line
}

/// Whether `name` can be the name of an environment variable.
pub(super) fn is_name(name: &str) -> bool {
    name.starts_with(|char: char| char.is_ascii_alphabetic() || char == '_')
        && name.chars().all(|char| char.is_ascii_alphanumeric() || char == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_word_is_taken_as_it_is() {
        let word = "it's $HOME `id` \\ \"x\"\n;";
        let line = call("printf %s \"$1\"", &[word]);
        let output = std::process::Command::new("sh").arg("-c").arg(line).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), word);
    }

    #[test]
    fn names_are_those_of_posix() {
        assert!(is_name("NODEPOOL_SSH_KEY") && is_name("_a1"));
        assert!(!is_name("") && !is_name("1a") && !is_name("a-b") && !is_name("a;b") && !is_name("ä"));
    }
}
