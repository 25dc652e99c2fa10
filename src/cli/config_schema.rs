//! `nodepool config-schema`: the JSON Schema of nodepool.yaml, for editors and for checks before a review.
//!
//! It is made from the table of keys by which the file is read, draft 2020-12 of JSON Schema. What refers to something
//! else in the file, such as the image of a label, is beyond a schema; `config-validate` checks that.

use serde_json::{Value, json};

use super::facts::Facts;
use super::{Console, Failure};
use crate::config::keys::{self, Absent, Effect, Key, Kind, Section};

/// Prints the schema.
pub fn run(console: Console) -> Result<(), Failure> {
    let schema = schema();
    console.answer(|| serde_json::to_string_pretty(&schema).unwrap_or_default(), &schema)
}

/// The schema of the whole file.
pub fn schema() -> Facts {
    let mut root = Facts::map([
        ("$schema", "https://json-schema.org/draft/2020-12/schema".into()),
        ("title", "nodepool.yaml".into()),
    ]);
    describe(&keys::ROOT, &mut root);
    let definitions = keys::SECTIONS.iter().skip(1).map(|section| {
        let mut definition = Facts::map([]);
        describe(section, &mut definition);
        (section.name.to_owned(), definition)
    });
    root.add("$defs", Facts::Map(definitions.collect()));
    root
}

fn describe(section: &'static Section, into: &mut Facts) {
    into.add("type", "object");
    into.add("additionalProperties", false);
    let required = section.keys.iter().filter(|key| matches!(key.default, Absent::Required));
    let required: Vec<&str> = required.map(|key| key.name).collect();
    if !required.is_empty() {
        into.add("required", json!(required));
    }
    // What one key asks of another; the table has no words for it, and the reader checks it by hand too.
    match section.name {
        "image" => {
            into.add("anyOf", json!([{"required": ["diskimage"]}, {"required": ["base-image", "setup"]}]));
        }
        "network" => into.add(
            "anyOf",
            json!([{"required": ["net-id"]}, {"required": ["net-label"]}, {"required": ["name"]}]),
        ),
        _ => {}
    }
    let properties = section.keys.iter().map(|key| (key.name.to_owned(), property(key)));
    into.add("properties", Facts::Map(properties.collect()));
}

fn property(key: &Key) -> Facts {
    let mut property = Facts::map([("description", description(key).into())]);
    let accepted = accepted(key.kind);
    if matches!(key.default, Absent::Required) || matches!(key.kind, Kind::Anything) {
        if let Value::Object(fields) = accepted {
            for (name, value) in fields {
                property.add(&name, value);
            }
        }
    } else {
        // A key without a value is as good as absent.
        property.add("anyOf", json!([accepted, {"type": "null"}]));
    }
    property.add_if("default", default(key.default));
    if matches!(key.kind, Kind::Secret) {
        property.add("writeOnly", true);
    }
    if matches!(key.effect, Effect::Replaced(_)) {
        property.add("deprecated", true);
    }
    property
}

fn description(key: &Key) -> String {
    let mut text = key.meaning.to_owned();
    if let Absent::Words(words) = key.default
        && words != "none"
    {
        text = format!("{text}. Default: {words}");
    }
    match key.effect {
        Effect::Works => text,
        Effect::Later(why) => format!("{text}. It has no effect: {why}"),
        Effect::Replaced(by) => format!("{text}. It means nothing any more: {by}"),
    }
}

fn default(absent: Absent) -> Option<Value> {
    match absent {
        Absent::Required | Absent::Words(_) => None,
        Absent::Text(text) => Some(text.into()),
        Absent::Number(number) => Some(number.into()),
        Absent::Time(time) => Some(time.as_secs().into()),
        Absent::Boolean(boolean) => Some(boolean.into()),
    }
}

fn accepted(kind: Kind) -> Value {
    match kind {
        Kind::Text | Kind::Secret | Kind::Template => json!({"type": "string", "minLength": 1}),
        Kind::TextOrNumber => json!({"type": ["string", "number", "boolean"]}),
        Kind::OneOf(words) => json!({"enum": words}),
        Kind::Integer(least, most) => json!({"type": "integer", "minimum": least, "maximum": most}),
        // A reader of YAML 1.2 takes the words of YAML 1.1 for text.
        Kind::Boolean => json!({"anyOf": [{"type": "boolean"}, {"enum": ["yes", "no", "on", "off"]}]}),
        Kind::BooleanOr(word) => {
            json!({"anyOf": [{"type": "boolean"}, {"enum": ["yes", "no", "on", "off", word]}]})
        }
        Kind::Time(zero) => {
            let least = if zero { "minimum" } else { "exclusiveMinimum" };
            json!({"anyOf": [{"type": "number", least: 0}, {"type": "string", "pattern": "^[0-9]+ ?[a-z]+"}]})
        }
        Kind::Schedule => json!({"anyOf": [
            {"type": "string"}, {"const": false}, {"$ref": "#/$defs/schedule"}]}),
        Kind::Percent(_) => json!({"type": "string", "pattern": "^[0-9]{1,4}% *$"}),
        Kind::Windows => json!({
            "type": "object",
            "propertyNames": {"pattern": "^ *[A-Za-z,-]+ +[0-9]{1,2}:[0-9]{2}-[0-9]{1,2}:[0-9]{2} +[A-Za-z0-9/_+-]+ *$"},
            "additionalProperties": {"type": "integer", "minimum": 0, "maximum": keys::MOST},
        }),
        Kind::Texts => json!({"type": "array", "items": {"type": "string", "minLength": 1}}),
        Kind::Words => {
            json!({"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}})
        }
        Kind::Mapping(section) => json!({"$ref": format!("#/$defs/{}", section.name)}),
        Kind::List(section) => {
            json!({"type": "array", "items": {"$ref": format!("#/$defs/{}", section.name)}})
        }
        Kind::Anything => json!({}),
    }
}
