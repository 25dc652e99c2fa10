//! Which functions an executor registers: those of the jobs that would run there.

use std::collections::BTreeSet;

use crate::sandbox::jenkins::controller::Controller;

/// The functions of a node; none while it is offline.
pub(super) fn of_node(controller: &Controller, name: &str) -> BTreeSet<String> {
    let Some(seat) = controller.nodes.get(name).filter(|seat| seat.is_online()) else {
        return BTreeSet::new();
    };
    let labels = seat.node.all_labels();
    let mut functions = BTreeSet::new();
    for job in controller.jobs.values().filter(|job| !job.config.disabled) {
        if !seat.takes(job.config.label.as_ref()) {
            continue;
        }
        functions.insert(format!("build:{}", job.name));
        let atoms = job.config.label.as_ref().map(|expression| expression.atoms()).unwrap_or_default();
        for atom in atoms.into_iter().filter(|atom| labels.contains(*atom)) {
            functions.insert(format!("build:{}:{atom}", job.name));
        }
    }
    functions
}

/// The job that a function is about.
pub(super) fn job_of(function: &str) -> Option<&str> {
    let rest = function.strip_prefix("build:")?;
    Some(rest.split_once(':').map_or(rest, |(job, _)| job))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::jenkins::job::{Config, Job};
    use crate::sandbox::jenkins::node::Node;
    use serde_json::json;

    #[test]
    fn a_function_names_its_job() {
        assert_eq!(job_of("build:unit:debian"), Some("unit"));
        assert_eq!(job_of("build:unit"), Some("unit"));
        assert_eq!(job_of("stop:jenkins"), None);
    }

    #[test]
    fn a_node_that_is_offline_registers_nothing() {
        let mut controller = Controller::default();
        let node = Node::from_form("n1", &json!({"labelString": "a", "mode": "EXCLUSIVE"})).unwrap();
        controller.add(node);
        let config = Config::read("<project><assignedNode>a || b</assignedNode></project>").unwrap();
        controller.jobs.insert("j".into(), Job::new("j", config));
        assert!(of_node(&controller, "n1").is_empty());
        assert!(of_node(&controller, "n2").is_empty());
    }
}
