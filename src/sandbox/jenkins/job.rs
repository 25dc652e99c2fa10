//! A job as it is configured, and its builds.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use super::label::Expression;
use super::log::Log;
use super::notification::{self, Endpoint};
use super::xml;

/// How many builds of a job are kept.
const MOST_BUILDS: usize = 300;
/// What runs in a build of a job that names no shell script.
const USUAL_SCRIPT: &str = "sleep 1";

/// A job.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) name: String,
    pub(super) config: Config,
    pub(super) builds: BTreeMap<u64, Build>,
    pub(super) last_number: u64,
}

/// What its `config.xml` says.
#[derive(Debug)]
pub(super) struct Config {
    /// The document as it came.
    pub(super) xml: String,
    pub(super) label: Option<Expression>,
    /// The expression as it was written.
    pub(super) label_text: String,
    pub(super) script: String,
    pub(super) parameters: Vec<Parameter>,
    pub(super) disabled: bool,
    /// Who is told of its builds.
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) description: String,
}

/// A parameter that a job takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parameter {
    pub(super) name: String,
    pub(super) default: String,
    /// Its value is the node or label to run on.
    pub(super) chooses_node: bool,
}

/// One run of a job.
#[derive(Debug)]
pub(super) struct Build {
    pub(super) item: u64,
    pub(super) parameters: Vec<(String, String)>,
    /// The name of the node that it runs on.
    pub(super) node: String,
    pub(super) started: DateTime<Utc>,
    pub(super) ended: Option<DateTime<Utc>>,
    pub(super) result: Option<&'static str>,
    pub(super) log: Log,
    /// Cancelled when somebody stops it.
    pub(super) stop: CancellationToken,
}

impl Config {
    /// Reads a `config.xml`; `None` when it is no XML.
    pub(super) fn read(text: &str) -> Option<Config> {
        xml::read(text, |project| {
            let child = |key: &str| xml::child(project, key).unwrap_or_default();
            let label_text = child("assignedNode");
            let scripts: Vec<&str> = project
                .descendants()
                .filter(|node| node.has_tag_name("hudson.tasks.Shell"))
                .filter_map(|shell| xml::element(shell, "command"))
                .filter_map(|command| command.text())
                .collect();
            let script = if scripts.is_empty() { USUAL_SCRIPT.to_owned() } else { scripts.join("\n") };
            Config {
                xml: text.to_owned(),
                label: Expression::parse(&label_text),
                label_text,
                script,
                parameters: parameters(project),
                disabled: child("disabled") == "true",
                endpoints: notification::endpoints(project),
                description: child("description"),
            }
        })
    }

    /// What a build gets: every parameter of the job, as it was given or by default.
    pub(super) fn fill(&self, given: &[(String, String)]) -> Vec<(String, String)> {
        let value = |parameter: &Parameter| {
            let found = given.iter().find(|(name, _)| *name == parameter.name);
            found.map_or_else(|| parameter.default.clone(), |(_, value)| value.clone())
        };
        self.parameters.iter().map(|parameter| (parameter.name.clone(), value(parameter))).collect()
    }

    /// Where a build with these parameters runs.
    pub(super) fn place(&self, parameters: &[(String, String)]) -> (Option<Expression>, String) {
        let chosen =
            self.parameters.iter().filter(|parameter| parameter.chooses_node).find_map(|parameter| {
                let (_, value) = parameters.iter().find(|(name, _)| *name == parameter.name)?;
                Some((Some(Expression::parse(value)?), value.clone()))
            });
        chosen.unwrap_or_else(|| (self.label.clone(), self.label_text.clone()))
    }
}

fn parameters(project: roxmltree::Node<'_, '_>) -> Vec<Parameter> {
    let definitions = project.descendants().filter(|node| node.has_tag_name("parameterDefinitions"));
    let each = definitions.flat_map(|definitions| definitions.children()).filter(roxmltree::Node::is_element);
    each.filter_map(|definition| {
        let class = definition.tag_name().name();
        Some(Parameter {
            name: xml::child(definition, "name")?,
            default: xml::child(definition, "defaultValue").unwrap_or_default(),
            chooses_node: class.starts_with("org.jvnet.jenkins.plugins.nodelabelparameter."),
        })
    })
    .collect()
}

impl Job {
    /// A job without builds.
    pub(super) fn new(name: &str, config: Config) -> Job {
        Job { name: name.to_owned(), config, builds: BTreeMap::new(), last_number: 0 }
    }

    /// Adds a build and gives its number. Old ones go when there are many.
    pub(super) fn begin(&mut self, build: Build) -> u64 {
        self.last_number = self.last_number.saturating_add(1);
        self.builds.insert(self.last_number, build);
        while self.builds.len() > MOST_BUILDS {
            let oldest =
                self.builds.iter().find(|(_, build)| build.ended.is_some()).map(|(number, _)| *number);
            let Some(oldest) = oldest else { break };
            self.builds.remove(&oldest);
        }
        self.last_number
    }

    /// How long its last good builds took, in milliseconds; -1 when there is none.
    pub(super) fn estimate(&self) -> i64 {
        let good = self.builds.values().rev().filter(|build| build.result == Some("SUCCESS")).take(3);
        let taken: Vec<i64> = good.map(Build::duration).collect();
        let sum = taken.iter().fold(0_i64, |sum, each| sum.saturating_add(*each));
        i64::try_from(taken.len()).ok().and_then(|count| sum.checked_div(count)).unwrap_or(-1)
    }
}

impl Build {
    /// How long it took, in milliseconds; 0 while it runs.
    pub(super) fn duration(&self) -> i64 {
        self.ended.map_or(0, |ended| ended.signed_duration_since(self.started).num_milliseconds())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_is_read() {
        let config = Config::read(
            "<?xml version='1.1' encoding='UTF-8'?><project><assignedNode>a || b</assignedNode><disabled>true</disabled>\
             <properties><hudson.model.ParametersDefinitionProperty><parameterDefinitions>\
             <hudson.model.StringParameterDefinition><name>X</name><defaultValue>1</defaultValue></hudson.model.StringParameterDefinition>\
             <org.jvnet.jenkins.plugins.nodelabelparameter.NodeParameterDefinition><name>NODE</name>\
             </org.jvnet.jenkins.plugins.nodelabelparameter.NodeParameterDefinition></parameterDefinitions>\
             </hudson.model.ParametersDefinitionProperty></properties>\
             <builders><hudson.tasks.Shell><command>echo one\nfalse</command></hudson.tasks.Shell></builders></project>",
        )
        .unwrap();
        assert!(config.disabled);
        assert_eq!(config.script, "echo one\nfalse");
        let filled = config.fill(&[("NODE".into(), "n7".into()), ("Y".into(), "dropped".into())]);
        assert_eq!(filled, [("X".to_owned(), "1".to_owned()), ("NODE".to_owned(), "n7".to_owned())]);
        assert_eq!(config.place(&filled).0, Expression::parse("n7"));
        assert_eq!(config.place(&[]).1, "a || b");
        assert!(Config::read("<project>").is_none());
        assert_eq!(Config::read("<project/>").unwrap().script, USUAL_SCRIPT);
    }
}
