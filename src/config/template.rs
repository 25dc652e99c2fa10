//! Templates of host names: `{label.name}-{node_id}`.
//!
//! The form is that of nodepool v0, which used Python's `str.format`: a field stands in braces. What else Python could do
//! (conversions, formats, doubled braces, which no host name can have) is refused when the configuration is loaded.

use std::fmt;

/// A value that a template may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// `{label.name}`
    LabelName,
    /// `{provider.name}`
    ProviderName,
    /// `{image.name}`
    ImageName,
    /// `{node_id}`
    NodeId,
    /// `{subnode_id}`
    SubnodeId,
    /// `{timestamp}`: whole seconds since the epoch.
    Timestamp,
}

impl Field {
    /// The fields of a target's `hostname`.
    pub const OF_NODE: &[Self] = &[Self::LabelName, Self::ProviderName, Self::NodeId, Self::Timestamp];
    /// The fields of a target's `subnode-hostname`.
    pub const OF_SUBNODE: &[Self] =
        &[Self::LabelName, Self::ProviderName, Self::NodeId, Self::SubnodeId, Self::Timestamp];
    /// The fields of a provider's `template-hostname`.
    pub const OF_IMAGE: &[Self] = &[Self::ImageName, Self::ProviderName, Self::Timestamp];

    const ALL: [Self; 6] = [
        Self::LabelName,
        Self::ProviderName,
        Self::ImageName,
        Self::NodeId,
        Self::SubnodeId,
        Self::Timestamp,
    ];

    /// How it is written between the braces.
    pub const fn word(self) -> &'static str {
        match self {
            Self::LabelName => "label.name",
            Self::ProviderName => "provider.name",
            Self::ImageName => "image.name",
            Self::NodeId => "node_id",
            Self::SubnodeId => "subnode_id",
            Self::Timestamp => "timestamp",
        }
    }
}

/// A template that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Field(Field),
}

/// What is wrong with a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A field is none of those that this template may name.
    #[error("unknown placeholder `{{{0}}}`")]
    UnknownField(String),
    /// A brace has no partner.
    #[error("a brace has no partner")]
    UnmatchedBrace,
    /// A character cannot be in a host name.
    #[error("the character {0:?} cannot be in a host name")]
    BadCharacter(char),
    /// A value that the template names was not given.
    #[error("there is no value for the placeholder `{{{0}}}`")]
    MissingValue(&'static str),
}

/// The values to put into a template.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Values<'a> {
    /// The label's name.
    pub label_name: Option<&'a str>,
    /// The provider's name.
    pub provider_name: Option<&'a str>,
    /// The provider image's name.
    pub image_name: Option<&'a str>,
    /// The node's number.
    pub node_id: Option<i64>,
    /// The subnode's number.
    pub subnode_id: Option<i64>,
    /// Seconds since the epoch.
    pub timestamp: Option<i64>,
}

impl Template {
    /// Reads a template, which may name the `allowed` fields.
    pub fn parse(text: &str, allowed: &[Field]) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut characters = text.chars().peekable();
        while let Some(character) = characters.next() {
            match character {
                '}' => return Err(TemplateError::UnmatchedBrace),
                '{' => {
                    let mut word = String::new();
                    loop {
                        match characters.next() {
                            Some('}') => break,
                            Some(next) if next != '{' => word.push(next),
                            _ => return Err(TemplateError::UnmatchedBrace),
                        }
                    }
                    let field =
                        Field::ALL.into_iter().find(|field| field.word() == word && allowed.contains(field));
                    if !literal.is_empty() {
                        parts.push(Part::Literal(std::mem::take(&mut literal)));
                    }
                    parts.push(Part::Field(field.ok_or(TemplateError::UnknownField(word))?));
                }
                character if character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.') => {
                    literal.push(character);
                }
                character => return Err(TemplateError::BadCharacter(character)),
            }
        }
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Ok(Self { parts })
    }

    /// Whether it names this field.
    pub fn names(&self, field: Field) -> bool {
        self.parts.contains(&Part::Field(field))
    }

    /// Puts the values in.
    pub fn render(&self, values: &Values<'_>) -> Result<String, TemplateError> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Field(field) => {
                    text.push_str(&values.of(*field).ok_or(TemplateError::MissingValue(field.word()))?);
                }
            }
        }
        Ok(text)
    }
}

impl Values<'_> {
    fn of(&self, field: Field) -> Option<String> {
        match field {
            Field::LabelName => self.label_name.map(str::to_owned),
            Field::ProviderName => self.provider_name.map(str::to_owned),
            Field::ImageName => self.image_name.map(str::to_owned),
            Field::NodeId => self.node_id.map(|number| number.to_string()),
            Field::SubnodeId => self.subnode_id.map(|number| number.to_string()),
            Field::Timestamp => self.timestamp.map(|seconds| seconds.to_string()),
        }
    }
}

/// Reads a template of the configuration and puts the values in. Which fields it may name was checked at the load.
pub fn render(template: &str, values: &Values<'_>) -> Result<String, TemplateError> {
    Template::parse(template, &Field::ALL)?.render(values)
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{}}}", self.word())
    }
}
