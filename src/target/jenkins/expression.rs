//! Jenkins' label expressions: what a job may say about the agents that it may run on.
//!
//! Operators, the strongest first: `!`, `&&`, `||`, `->`, `<->`; brackets; an atom is a label, in quotes where it needs them.
//! An expression that cannot be read matches nothing.

use std::iter::Peekable;
use std::str::Chars;

/// The deepest nesting that is read.
const DEPTH: usize = 50;

/// The longest expression that is read, in bytes.
const LENGTH: usize = 10_000;

/// Whether an agent whose only label is this one may run a job with this expression.
pub fn matches(expression: &str, label: &str) -> bool {
    if expression.len() > LENGTH {
        return false;
    }
    let mut reader = Reader { characters: expression.chars().peekable(), label, depth: 0 };
    let value = reader.equivalence();
    value == Some(true) && reader.next_token() == Some(Token::End)
}

/// Reads and evaluates at once: each function is a level of precedence and answers `None` for what it cannot read.
struct Reader<'a> {
    characters: Peekable<Chars<'a>>,
    label: &'a str,
    depth: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Atom(String),
    Not,
    And,
    Or,
    Implies,
    Equals,
    Open,
    Close,
    End,
}

impl Reader<'_> {
    fn equivalence(&mut self) -> Option<bool> {
        let mut value = self.implication()?;
        while self.takes(&Token::Equals) {
            value = value == self.implication()?;
        }
        Some(value)
    }

    fn implication(&mut self) -> Option<bool> {
        let mut value = self.any()?;
        while self.takes(&Token::Implies) {
            value = self.any()? || !value;
        }
        Some(value)
    }

    fn any(&mut self) -> Option<bool> {
        let mut value = self.all()?;
        while self.takes(&Token::Or) {
            value |= self.all()?;
        }
        Some(value)
    }

    fn all(&mut self) -> Option<bool> {
        let mut value = self.one()?;
        while self.takes(&Token::And) {
            value &= self.one()?;
        }
        Some(value)
    }

    fn one(&mut self) -> Option<bool> {
        self.depth = self.depth.saturating_add(1);
        if self.depth > DEPTH {
            return None;
        }
        let value = match self.next_token()? {
            Token::Atom(atom) => Some(atom == self.label),
            Token::Not => self.one().map(|value| !value),
            Token::Open => {
                let value = self.equivalence()?;
                (self.next_token() == Some(Token::Close)).then_some(value)
            }
            _ => None,
        };
        self.depth = self.depth.saturating_sub(1);
        value
    }

    /// Takes the next token if it is this one.
    fn takes(&mut self, wanted: &Token) -> bool {
        let before = self.characters.clone();
        let found = self.next_token().as_ref() == Some(wanted);
        if !found {
            self.characters = before;
        }
        found
    }

    fn next_token(&mut self) -> Option<Token> {
        while self.characters.next_if(|character| character.is_whitespace()).is_some() {}
        let Some(first) = self.characters.next() else { return Some(Token::End) };
        match first {
            '!' => Some(Token::Not),
            '(' => Some(Token::Open),
            ')' => Some(Token::Close),
            '&' => self.rest("&", Token::And),
            '|' => self.rest("|", Token::Or),
            '<' => self.rest("->", Token::Equals),
            '-' if self.characters.peek() == Some(&'>') => self.rest(">", Token::Implies),
            '"' => self.quoted(),
            first => Some(Token::Atom(self.atom(first))),
        }
    }

    fn rest(&mut self, rest: &str, token: Token) -> Option<Token> {
        rest.chars().all(|wanted| self.characters.next() == Some(wanted)).then_some(token)
    }

    fn quoted(&mut self) -> Option<Token> {
        let mut text = String::new();
        loop {
            match self.characters.next()? {
                '"' => return Some(Token::Atom(text)),
                '\\' => text.push(self.characters.next()?),
                character => text.push(character),
            }
        }
    }

    /// A dash is part of a label unless it is that of an arrow.
    fn atom(&mut self, first: char) -> String {
        let mut text = String::from(first);
        while let Some(character) = self.characters.peek().copied() {
            let arrow = || {
                let mut ahead = self.characters.clone();
                ahead.next();
                ahead.next() == Some('>')
            };
            if character.is_whitespace() || "!()&|<>\"".contains(character) || (character == '-' && arrow()) {
                break;
            }
            text.push(character);
            self.characters.next();
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn expressions_mean_what_they_mean_to_jenkins() {
        for expression in [
            "ci",
            " ci ",
            "\"ci\"",
            "ci || docker",
            "docker||ci",
            "(ci)",
            "!docker",
            "ci && !docker",
            "!(ci && docker)",
            "docker -> ci",
            "ci <-> !docker",
            "a && b || ci",
            "ci || a && b",
            "docker<->n-1",
            "docker->n-1",
        ] {
            assert!(matches(expression, "ci"), "{expression}");
        }
        for expression in [
            "",
            "docker",
            "ci && docker",
            "!ci",
            "ci-2",
            "ci -> docker",
            "(a || ci) && b",
            "ci docker",
            "ci ||",
            "(ci",
            "ci)",
            "ci & docker",
            "\"ci",
            "ci || || ci",
        ] {
            assert!(!matches(expression, "ci"), "{expression}");
        }
        assert!(matches("ci-jessie", "ci-jessie") && matches("\"a b\" || x", "a b"));
        assert!(!matches(&"(".repeat(100_000), "ci") && !matches(&format!("{}ci", "!".repeat(5000)), "ci"));
    }
}
