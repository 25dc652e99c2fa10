//! A YAML file as a tree in which everything knows its place.
//!
//! serde would stop at the first error and forget where things stood. An operator who edits a long file wants to hear of
//! every error at once, so the tree is built from the events of serde-saphyr's parser, and the shape of the file is read
//! from it by [`super::fields`]. Aliases share their node, so that a file cannot grow in memory by naming itself; the size
//! that a file would have with its aliases written out, and its depth, are bounded.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde_yaml::granit_parser::{Event, Parser, ScalarStyle, Span, Tag, options};

use super::diagnostic::Report;
use super::source_text::{Position, SourceText, is_secret_key, shown_key};

/// The most nodes that a file may have, counting those behind an alias as often as they are named.
const MAX_NODES: usize = 200_000;

/// How deep lists and mappings may be nested, through aliases too.
const MAX_DEPTH: usize = 64;

/// A value and its place.
pub(super) struct Node {
    /// Where it is written. What is used through an alias is written at its anchor.
    pub(super) at: Position,
    /// The value.
    pub(super) value: Value,
    /// How many nodes it would be without aliases.
    size: usize,
    depth: usize,
}

/// A value of one of YAML's three kinds.
pub(super) enum Value {
    /// Text, a number, a boolean or nothing.
    Scalar {
        /// What is written.
        text: String,
        /// Whether it stands without quotes, so that it may mean something other than text.
        plain: bool,
    },
    /// A list.
    List(Vec<Arc<Node>>),
    /// A mapping, with merged entries in place of its merge keys, and without duplicates.
    Mapping(Vec<Entry>),
    /// Something that was reported as an error already.
    Broken,
}

/// An entry of a mapping.
#[derive(Clone)]
pub(super) struct Entry {
    /// Its key.
    pub(super) key: String,
    /// Where the key stands.
    pub(super) key_at: Position,
    /// Its value.
    pub(super) value: Arc<Node>,
}

/// Reads a file into a tree. `None` when its syntax is broken or it is empty, which is reported.
pub(super) fn read(source: &Arc<SourceText>, report: &mut Report) -> Option<Arc<Node>> {
    let mut builder =
        Builder { source, report, open: Vec::new(), anchors: HashMap::new(), merged: 0, root: None };
    let options = options! { emit_comments: false, emit_unresolved_aliases: true };
    // A byte order mark is no part of the text.
    let text = source.text.strip_prefix('\u{feff}').unwrap_or(&source.text);
    let mut documents = 0_usize;
    for event in Parser::new_from_str_with_options(text, options) {
        match event {
            Ok((Event::DocumentStart(..), span)) => {
                documents = documents.saturating_add(1);
                if documents > 1 {
                    let at = position(source, span);
                    builder.report.error(&at, "a second document starts here; the file must hold one");
                    return None;
                }
            }
            Ok((event, span)) => builder.take(event, span)?,
            Err(error) => {
                let mark = error.marker();
                let at = Position::on_line(source, mark.line(), mark.col().saturating_add(1), 1);
                let finding = report.error(&at, format!("this is not valid YAML: {}", error.info()));
                if let Some(help) = help(&error.info()) {
                    finding.help(help);
                }
                return None;
            }
        }
    }
    let root = builder.root.take();
    if root.is_none() {
        report.error(&Position::whole(source), "the file is empty");
    }
    root
}

/// What to do about an error of the parser, in whose words the mistakes that people make are hard to see.
fn help(info: &str) -> Option<&'static str> {
    let helps = [
        ("tab", "indent with blanks: YAML does not take tabs"),
        ("mapping values are not allowed", "put a value with a colon in it into quotes"),
        ("did not find expected key", "put a value that begins with a brace or a quote into quotes, whole"),
        (
            "invalid indentation in multiline quoted scalar",
            "close the quote that was opened on a line before",
        ),
        ("unexpected end of stream", "close the quote or the bracket that was opened before"),
        ("expected '-' indicator", "indent this line like the other lines of the same item"),
        ("scanning an anchor or alias", "put the value into quotes, if it is text that begins with a star"),
    ];
    helps.into_iter().find(|(part, _)| info.contains(part)).map(|(_, help)| help)
}

fn position(source: &Arc<SourceText>, span: Span) -> Position {
    Position {
        source: Arc::clone(source),
        line: span.start.line(),
        column: span.start.col().saturating_add(1),
        end_line: span.end.line(),
        end_column: span.end.col().saturating_add(1),
    }
}

/// A list or mapping that was not closed yet.
struct Open {
    at: Position,
    anchor: usize,
    content: Content,
}

enum Content {
    List(Vec<Arc<Node>>),
    Mapping {
        entries: Vec<Entry>,
        /// The merge keys' values, in order.
        merged: Vec<Arc<Node>>,
        /// Every key seen and its line.
        seen: BTreeMap<String, usize>,
        /// The key whose value comes next.
        key: Option<Key>,
    },
}

enum Key {
    Plain {
        text: String,
        at: Position,
    },
    Merge,
    /// A duplicate or a key that is no text: its value is dropped.
    Dropped,
}

struct Builder<'a> {
    source: &'a Arc<SourceText>,
    report: &'a mut Report,
    open: Vec<Open>,
    anchors: HashMap<usize, Arc<Node>>,
    /// How many entries were merged so far. Unlike aliases, these are copies.
    merged: usize,
    root: Option<Arc<Node>>,
}

impl Builder<'_> {
    /// Takes the next event. `None` when the file is beyond a bound, which is reported.
    fn take(&mut self, event: Event<'_>, span: Span) -> Option<()> {
        let at = position(self.source, span);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = self.is_plain(style, tag.as_deref(), &at);
                self.place(at, Value::Scalar { text: text.into_owned(), plain }, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.refuse_tag(tag.as_deref(), "seq", &at);
                self.open.push(Open { at, anchor, content: Content::List(Vec::new()) });
                Some(())
            }
            Event::MappingStart(_, anchor, tag) => {
                self.refuse_tag(tag.as_deref(), "map", &at);
                let content = Content::Mapping {
                    entries: Vec::new(),
                    merged: Vec::new(),
                    seen: BTreeMap::new(),
                    key: None,
                };
                self.open.push(Open { at, anchor, content });
                Some(())
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor).map(Arc::clone) else {
                    self.report.error(&at, "this alias names a value that contains the alias itself");
                    return self.place(at, Value::Broken, 0);
                };
                self.attach(node);
                Some(())
            }
            Event::UnresolvedAlias(name) => {
                self.report
                    .error(&at, format!("no anchor `&{name}` comes before this alias"))
                    .help("put the value into quotes, if it is text that begins with a star");
                self.place(at, Value::Broken, 0)
            }
            _ => Some(()),
        }
    }

    /// Whether a scalar may mean something other than text.
    fn is_plain(&mut self, style: ScalarStyle, tag: Option<&Tag>, at: &Position) -> bool {
        match tag.map(|tag| (tag.core_suffix(), tag.original())) {
            None => style == ScalarStyle::Plain,
            Some((Some("str"), _)) => false,
            Some((Some("int" | "float" | "bool" | "null"), _)) => true,
            Some((_, original)) => {
                self.report.error(at, format!("the tag `{original}` means nothing here"));
                false
            }
        }
    }

    fn refuse_tag(&mut self, tag: Option<&Tag>, accepted: &str, at: &Position) {
        if let Some(tag) = tag.filter(|tag| tag.core_suffix() != Some(accepted)) {
            self.report.error(at, format!("the tag `{}` means nothing here", tag.original()));
        }
    }

    /// Makes a node of a value and attaches it.
    fn place(&mut self, at: Position, value: Value, anchor: usize) -> Option<()> {
        let children: Vec<&Arc<Node>> = match &value {
            Value::List(items) => items.iter().collect(),
            Value::Mapping(entries) => entries.iter().map(|entry| &entry.value).collect(),
            Value::Scalar { .. } | Value::Broken => Vec::new(),
        };
        let size = children.iter().fold(1_usize, |size, child| size.saturating_add(child.size));
        let depth = children.iter().map(|child| child.depth).max().unwrap_or(0).saturating_add(1);
        if size > MAX_NODES {
            self.report
                .error(&at, format!("this is more than {MAX_NODES} values when its aliases are written out"));
            return None;
        }
        if depth > MAX_DEPTH {
            self.report.error(&at, format!("this is nested more than {MAX_DEPTH} levels deep"));
            return None;
        }
        let node = Arc::new(Node { at, value, size, depth });
        if anchor != 0 {
            self.anchors.insert(anchor, Arc::clone(&node));
        }
        self.attach(node);
        Some(())
    }

    /// Gives a node to the list or mapping that is open, as item, key or value.
    fn attach(&mut self, node: Arc<Node>) {
        let Some(parent) = self.open.last_mut() else {
            self.root = Some(node);
            return;
        };
        match &mut parent.content {
            Content::List(items) => items.push(node),
            Content::Mapping { entries, merged, seen, key } => match key.take() {
                None => *key = Some(read_key(&node, seen, self.report)),
                Some(Key::Plain { text, at }) => {
                    if is_secret_key(&text) && matches!(node.value, Value::Scalar { .. }) {
                        self.report.hide(&node.at);
                    }
                    entries.push(Entry { key: text, key_at: at, value: node });
                }
                Some(Key::Merge) => merged.push(node),
                Some(Key::Dropped) => {}
            },
        }
    }

    /// Closes the innermost list or mapping.
    fn close(&mut self) -> Option<()> {
        let Open { at, anchor, content } = self.open.pop()?;
        let value = match content {
            Content::List(items) => Value::List(items),
            Content::Mapping { entries, merged, .. } => Value::Mapping(self.merge(&at, entries, &merged)?),
        };
        self.place(at, value, anchor)
    }

    /// Adds the entries of merged mappings: own entries win over merged ones, and earlier mappings over later ones.
    /// `None` when the merge keys of the file ask for more than the bound, which is reported.
    fn merge(&mut self, at: &Position, mut entries: Vec<Entry>, merged: &[Arc<Node>]) -> Option<Vec<Entry>> {
        if merged.is_empty() {
            return Some(entries);
        }
        let mut keys: BTreeSet<String> = entries.iter().map(|entry| entry.key.clone()).collect();
        let mut mappings: Vec<&Arc<Node>> = Vec::new();
        for node in merged {
            match &node.value {
                Value::List(items) => mappings.extend(items),
                _ => mappings.push(node),
            }
        }
        for node in mappings {
            match &node.value {
                Value::Mapping(more) => {
                    self.merged = self.merged.saturating_add(more.len());
                    if self.merged > MAX_NODES {
                        self.report
                            .error(at, format!("the merge keys up to here add more than {MAX_NODES} values"));
                        return None;
                    }
                    for entry in more {
                        if keys.insert(entry.key.clone()) {
                            entries.push(entry.clone());
                        }
                    }
                }
                Value::Broken => {}
                Value::Scalar { .. } | Value::List(_) => {
                    self.report.error(&node.at, "the merge key `<<` takes a mapping, or a list of mappings");
                }
            }
        }
        Some(entries)
    }
}

/// Reads the key of an entry and reports a duplicate.
fn read_key(node: &Node, seen: &mut BTreeMap<String, usize>, report: &mut Report) -> Key {
    let Value::Scalar { text, plain } = &node.value else {
        if !matches!(node.value, Value::Broken) {
            report.error(&node.at, "a key must be text");
        }
        return Key::Dropped;
    };
    if let Some(line) = seen.get(text) {
        report
            .error(&node.at, format!("the key `{}` is given twice", shown_key(text)))
            .help(format!("it is given first on line {line}; keep one of the two"));
        return Key::Dropped;
    }
    seen.insert(text.clone(), node.at.line);
    if *plain && text == "<<" { Key::Merge } else { Key::Plain { text: text.clone(), at: node.at.clone() } }
}
