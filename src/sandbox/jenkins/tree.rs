//! Which part of a document is sent: Jenkins' `tree=a,b[c]` and `depth=N`.

use serde_json::{Map, Value, json};

/// How deep a filter may be nested.
const DEEPEST: usize = 20;

/// What is wanted of an object: its fields, each with what is wanted inside.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Tree(Vec<(String, Tree)>);

impl Tree {
    /// Reads a filter; `None` when it cannot be read.
    pub(super) fn parse(text: &str) -> Option<Tree> {
        let mut rest = text;
        let tree = fields(&mut rest, DEEPEST)?;
        rest.is_empty().then_some(tree)
    }

    /// The part of a document that is wanted. The class of an object always is.
    pub(super) fn of(&self, whole: &Value) -> Value {
        match whole {
            Value::Array(items) => items.iter().map(|item| self.of(item)).collect(),
            Value::Object(object) => {
                let mut part = Map::new();
                for (key, value) in object {
                    if key == "_class" {
                        part.insert(key.clone(), value.clone());
                    } else if let Some((_, inner)) =
                        self.0.iter().find(|(name, _)| name == key || name == "*")
                    {
                        part.insert(key.clone(), inner.of(value));
                    }
                }
                Value::Object(part)
            }
            other => other.clone(),
        }
    }
}

fn fields(rest: &mut &str, deeper: usize) -> Option<Tree> {
    let mut found = Vec::new();
    loop {
        let end = rest.find([',', '[', ']', '{']).unwrap_or(rest.len());
        let (name, after) = rest.split_at_checked(end)?;
        *rest = after;
        let mut inner = Tree::default();
        if let Some(after) = rest.strip_prefix('[') {
            *rest = after;
            inner = fields(rest, deeper.checked_sub(1)?)?;
            *rest = rest.strip_prefix(']')?;
        }
        // A range of a list, `{0,5}`: everything is sent.
        if let Some(after) = rest.strip_prefix('{') {
            *rest = after.split_once('}')?.1;
        }
        let name = name.trim();
        if name.is_empty() {
            return None;
        }
        found.push((name.to_owned(), inner));
        match rest.strip_prefix(',') {
            Some(after) => *rest = after,
            None => return Some(Tree(found)),
        }
    }
}

/// The document at a depth: what is below it is left empty. `hidden` names the fields whose objects are empty at depth 0.
pub(super) fn at_depth(mut whole: Value, depth: u32, hidden: &[&str]) -> Value {
    if depth == 0 {
        hide(&mut whole, hidden);
    }
    whole
}

fn hide(value: &mut Value, hidden: &[&str]) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| hide(item, hidden)),
        Value::Object(object) => {
            for (key, inner) in object.iter_mut() {
                match inner {
                    Value::Array(items) if hidden.contains(&key.as_str()) => {
                        items.fill(json!({}));
                    }
                    other => hide(other, hidden),
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_names_what_is_sent() {
        let whole = json!({"_class": "Set", "busy": 1, "computer": [
            {"_class": "One", "name": "n1", "idle": true, "executors": [{"idle": true, "number": 0}]}]});
        let tree = Tree::parse("computer[name,executors[idle]]").unwrap();
        assert_eq!(
            tree.of(&whole),
            json!({"_class": "Set", "computer": [{"_class": "One", "name": "n1", "executors": [{"idle": true}]}]})
        );
        assert_eq!(Tree::parse("busy,missing").unwrap().of(&whole), json!({"_class": "Set", "busy": 1}));
        assert!(Tree::parse("builds[number]{0,5},name").is_some());
    }

    #[test]
    fn a_tree_that_cannot_be_read_is_refused() {
        for text in ["", "a[", "a]", "a,,b", "a[b", &"a[".repeat(100)] {
            assert_eq!(Tree::parse(text), None, "{text}");
        }
    }

    #[test]
    fn at_depth_0_executors_are_empty() {
        let whole = json!({"computer": [{"executors": [{"idle": true}]}]});
        assert_eq!(at_depth(whole.clone(), 0, &["executors"]), json!({"computer": [{"executors": [{}]}]}));
        assert_eq!(at_depth(whole.clone(), 1, &["executors"]), whole);
    }
}
