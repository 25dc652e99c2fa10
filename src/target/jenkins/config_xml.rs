//! Changing an agent: its `config.xml` is read, one element of it is replaced, and all of it is sent back.

use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesEnd, BytesStart, BytesText, Event};
use quick_xml::{Reader, Writer};
use reqwest::StatusCode;

use super::connection::{Call, Connection};
use super::names;
use crate::model::AgentTag;
use crate::target::{TargetError, tag_in};

/// Replaces an element below the root of the agent's configuration, if the agent carries the mark.
///
/// # Errors
/// `NotFound`, and `Rejected` for an agent that does not carry the mark.
pub(super) async fn change(
    connection: &Connection,
    name: &str,
    tag: &AgentTag,
    element: &str,
    text: &str,
) -> Result<(), TargetError> {
    names::check(name)?;
    let path = ["computer", name, "config.xml"];
    let call = Call::get(&path);
    let answer = connection.call(&call).await?;
    if answer.status != StatusCode::OK {
        return Err(connection.refusal(&call, &answer));
    }
    let odd =
        || TargetError::Unavailable(format!("{}: the answer is no configuration of an agent", call.name()));
    let config = std::str::from_utf8(&answer.body).map_err(|_| odd())?;
    let description = child(config, "description").ok_or_else(odd)?;
    if tag_in(&description).as_ref() != Some(tag) {
        return Err(TargetError::Rejected(format!(
            "the agent `{name}` does not carry the mark of node {} of this installation: it is left alone",
            tag.node
        )));
    }
    let changed = with_child(config, element, text).ok_or_else(odd)?;
    let call = Call::post(&path).xml(changed);
    let answer = connection.call(&call).await?;
    if answer.status.is_success() { Ok(()) } else { Err(connection.refusal(&call, &answer)) }
}

/// The text of the first element of this name below the root; empty when there is none. `None` for what is not XML.
fn child(document: &str, name: &str) -> Option<String> {
    let mut reader = Reader::from_str(document);
    let (mut depth, mut inside, mut text) = (0_usize, false, String::new());
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) => {
                depth = depth.saturating_add(1);
                inside |= depth == 2 && start.name().as_ref() == name;
            }
            Event::End(_) if inside && depth == 2 => return Some(text),
            Event::End(_) => depth = depth.saturating_sub(1),
            Event::Text(part) if inside => text.push_str(&part),
            Event::CData(part) if inside => text.push_str(&part),
            Event::GeneralRef(reference) if inside => match reference.resolve_char_ref().ok()? {
                Some(character) => text.push(character),
                None => text.push_str(resolve_predefined_entity(&reference)?),
            },
            Event::Eof => return (depth == 0).then_some(text),
            _ => {}
        }
    }
}

/// The document with this text in the element of this name below the root, which is added where it is missing. All else
/// stays as it is, byte for byte where XML allows. `None` for what is not XML.
fn with_child(document: &str, name: &str, text: &str) -> Option<String> {
    let mut reader = Reader::from_str(document);
    let mut writer = Writer::new(Vec::new());
    let (mut depth, mut skipping, mut done) = (0_usize, false, false);
    loop {
        let event = reader.read_event().ok()?;
        match &event {
            Event::Start(start) => {
                depth = depth.saturating_add(1);
                skipping |= depth == 2 && start.name().as_ref() == name;
            }
            Event::Empty(start) if depth == 1 && start.name().as_ref() == name => {
                element(&mut writer, name, text)?;
                done = true;
                continue;
            }
            Event::End(_) => {
                let closed = depth;
                depth = depth.saturating_sub(1);
                if skipping && closed == 2 {
                    element(&mut writer, name, text)?;
                    (skipping, done) = (false, true);
                    continue;
                }
                if closed == 1 && !done {
                    element(&mut writer, name, text)?;
                    done = true;
                }
            }
            Event::Eof => break,
            _ => {}
        }
        if !skipping {
            writer.write_event(event).ok()?;
        }
    }
    (done && depth == 0).then_some(())?;
    String::from_utf8(writer.into_inner()).ok()
}

fn element(writer: &mut Writer<Vec<u8>>, name: &str, text: &str) -> Option<()> {
    // XML has no way to say a control character.
    let text: String = text.chars().filter(|character| !character.is_control()).collect();
    writer.write_event(Event::Start(BytesStart::new(name))).ok()?;
    writer.write_event(Event::Text(BytesText::new(&text))).ok()?;
    writer.write_event(Event::End(BytesEnd::new(name))).ok()
}

#[cfg(feature = "fuzz")]
pub(super) fn fuzz(body: &[u8]) {
    let document = String::from_utf8_lossy(body);
    let changed = with_child(&document, "label", "a & b");
    std::hint::black_box((child(&document, "description"), changed));
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGENT: &str = "<?xml version=\"1.1\" encoding=\"UTF-8\"?>\n<slave>\n  <name>n1</name>\n  \
        <description>A &lt;b&gt; &amp; &#x43; node</description>\n  <launcher class=\"x.Y\" plugin=\"p@1\">\n    \
        <label>inner</label>\n    <empty/>\n  </launcher>\n  <label>a b</label>\n</slave>";

    #[test]
    fn a_child_of_the_root_is_read_and_replaced_and_nothing_else() {
        assert_eq!(child(AGENT, "description").unwrap(), "A <b> & C node");
        assert_eq!(child(AGENT, "label").unwrap(), "a b", "not the one further in");
        assert_eq!(child(AGENT, "absent").unwrap(), "");
        let changed = with_child(AGENT, "label", "c & d").unwrap();
        assert_eq!(changed, AGENT.replace("<label>a b</label>", "<label>c &amp; d</label>"));
        let changed = with_child(AGENT, "description", "x\u{1}\ny").unwrap();
        assert_eq!(child(&changed, "description").unwrap(), "xy");
    }

    #[test]
    fn a_child_that_is_empty_or_missing_is_filled() {
        assert_eq!(with_child("<s><label/></s>", "label", "a").unwrap(), "<s><label>a</label></s>");
        assert_eq!(with_child("<s><x/></s>", "label", "a").unwrap(), "<s><x/><label>a</label></s>");
        assert_eq!(with_child("<s><label>a</label></s>", "label", "").unwrap(), "<s><label></label></s>");
    }

    #[test]
    fn what_is_not_a_document_is_not_taken_for_one() {
        for odd in ["", "<s>", "<s></t>", "no xml", "<s/>"] {
            assert_eq!(with_child(odd, "label", "a"), None, "{odd}");
        }
        assert_eq!(child("<s><description>a", "description"), None);
    }
}
