//! Label expressions: `a`, `a || b`, `a && !b`, parentheses, and names in quotes.

use std::collections::BTreeSet;

/// How deep an expression may be nested.
const DEEPEST: usize = 30;

/// Which nodes a job may run on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expression {
    /// Nodes with this label.
    Atom(String),
    /// All others.
    Not(Box<Expression>),
    /// Nodes that fit both.
    And(Box<Expression>, Box<Expression>),
    /// Nodes that fit one of them.
    Or(Box<Expression>, Box<Expression>),
}

impl Expression {
    /// Reads an expression. What cannot be read is the label of that name, as Jenkins has it.
    pub(super) fn parse(text: &str) -> Option<Expression> {
        let text = text.trim();
        if text.is_empty() {
            return None;
        }
        let mut rest = text;
        let parsed = either(&mut rest, DEEPEST).filter(|_| rest.trim().is_empty());
        Some(parsed.unwrap_or_else(|| Expression::Atom(text.to_owned())))
    }

    /// Whether a node with these labels fits.
    pub(super) fn fits(&self, labels: &BTreeSet<String>) -> bool {
        match self {
            Expression::Atom(name) => labels.contains(name),
            Expression::Not(inner) => !inner.fits(labels),
            Expression::And(one, other) => one.fits(labels) && other.fits(labels),
            Expression::Or(one, other) => one.fits(labels) || other.fits(labels),
        }
    }

    /// Every label that is named in it.
    pub(super) fn atoms(&self) -> BTreeSet<&str> {
        match self {
            Expression::Atom(name) => BTreeSet::from([name.as_str()]),
            Expression::Not(inner) => inner.atoms(),
            Expression::And(one, other) | Expression::Or(one, other) => {
                one.atoms().union(&other.atoms()).copied().collect()
            }
        }
    }
}

fn either(rest: &mut &str, deeper: usize) -> Option<Expression> {
    let mut left = both(rest, deeper)?;
    while let Some(after) = rest.trim_start().strip_prefix("||") {
        *rest = after;
        left = Expression::Or(Box::new(left), Box::new(both(rest, deeper)?));
    }
    Some(left)
}

fn both(rest: &mut &str, deeper: usize) -> Option<Expression> {
    let mut left = one(rest, deeper)?;
    while let Some(after) = rest.trim_start().strip_prefix("&&") {
        *rest = after;
        left = Expression::And(Box::new(left), Box::new(one(rest, deeper)?));
    }
    Some(left)
}

fn one(rest: &mut &str, deeper: usize) -> Option<Expression> {
    let deeper = deeper.checked_sub(1)?;
    *rest = rest.trim_start();
    if let Some(after) = rest.strip_prefix('!') {
        *rest = after;
        return Some(Expression::Not(Box::new(one(rest, deeper)?)));
    }
    if let Some(after) = rest.strip_prefix('(') {
        *rest = after;
        let inner = either(rest, deeper)?;
        *rest = rest.trim_start().strip_prefix(')')?;
        return Some(inner);
    }
    if let Some(after) = rest.strip_prefix('"') {
        let (name, after) = after.split_once('"')?;
        *rest = after;
        return Some(Expression::Atom(name.to_owned()));
    }
    let end = rest.find(|c: char| c.is_whitespace() || "&|!()<>\"".contains(c)).unwrap_or(rest.len());
    let (name, after) = rest.split_at_checked(end)?;
    *rest = after;
    (!name.is_empty()).then(|| Expression::Atom(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(expression: &str, labels: &[&str]) -> bool {
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        Expression::parse(expression).unwrap().fits(&labels)
    }

    #[test]
    fn expressions_are_judged() {
        assert!(fits("a", &["a", "b"]));
        assert!(fits("a || c", &["c"]));
        assert!(!fits("a && c", &["c"]));
        assert!(fits("(a||b)&&!c", &["b"]));
        assert!(!fits("(a||b)&&!c", &["b", "c"]));
        assert!(fits("\"with blank\"", &["with blank"]));
        assert!(fits("a &", &["a &"]), "what cannot be read is a name");
        assert_eq!(Expression::parse("  "), None);
        assert!(!fits(&"(".repeat(10_000), &[]));
    }

    #[test]
    fn atoms_are_all_names() {
        let expression = Expression::parse("b || a && !c").unwrap();
        assert_eq!(expression.atoms().into_iter().collect::<Vec<_>>(), ["a", "b", "c"]);
    }
}
