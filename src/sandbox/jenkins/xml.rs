//! Reading the XML documents that clients send, as far as they matter here.

use roxmltree::{Document, Node, ParsingOptions};

/// The most elements and texts that a document may have.
const MOST_NODES: u32 = 20_000;

/// Reads a document and asks something of its first element. `None` when it is no XML.
pub(super) fn read<T>(text: &str, ask: impl FnOnce(Node<'_, '_>) -> T) -> Option<T> {
    // Jenkins declares XML 1.1, which few parsers know; what comes after the declaration is the same.
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let text = match text.strip_prefix("<?xml") {
        Some(declared) => declared.split_once("?>")?.1,
        None => text,
    };
    let options = ParsingOptions { nodes_limit: MOST_NODES, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text.trim_start(), options).ok()?;
    Some(ask(document.root_element()))
}

/// The text of the first child element of this name.
pub(super) fn child(node: Node<'_, '_>, name: &str) -> Option<String> {
    let found = node.children().find(|child| child.has_tag_name(name))?;
    Some(found.text().unwrap_or_default().trim().to_owned())
}

/// The first child element of this name.
pub(super) fn element<'a, 'input>(node: Node<'a, 'input>, name: &str) -> Option<Node<'a, 'input>> {
    node.children().find(|child| child.has_tag_name(name))
}
