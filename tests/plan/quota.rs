//! From the description of limits to what the plan sees of them.

use nodepool::model::{Flavor, Image, Node, NodeId, Owner, Quota, Resource, Usage};
use nodepool::plan::{QuotaView, answered};

use super::scenario::{LimitsPart, Scenario};
use super::situation::{ago, read_image, read_node};

/// What was read of the limits of a provider.
pub fn view(provider: &str, part: &LimitsPart, scenario: &Scenario) -> Result<QuotaView, String> {
    let mut view = QuotaView::default();
    if part.read > 0 {
        let nodes: Vec<Node> = scenario.nodes.iter().map(read_node).collect::<Result<_, _>>()?;
        let images: Vec<Image> = scenario.images.iter().map(read_image).collect::<Result<_, _>>()?;
        let mut counted = answered(provider, nodes.iter(), images.iter());
        let owner = |id: &i64| Owner::Node(NodeId(*id));
        for uncounted in part.uncounted.iter().map(owner) {
            counted.servers.remove(&uncounted);
            counted.floating_ips.remove(&uncounted);
        }
        counted.servers.extend(part.went.iter().map(owner));
        view.take(ago(part.read), quota(part), counted);
    }
    view.trouble.clone_from(&part.trouble);
    Ok(view)
}

fn quota(part: &LimitsPart) -> Quota {
    let told = [
        (Resource::Instances, part.instances),
        (Resource::Cores, part.cores),
        (Resource::Ram, part.ram),
        (Resource::Ports, part.ports),
        (Resource::FloatingIps, part.floating_ips),
    ];
    let usage = told.into_iter().filter_map(|(resource, told)| {
        let [used, limit] = told?;
        Some((resource, Usage { limit: Some(limit), used }))
    });
    let flavor = |name: &str, ram, cores| Flavor { id: name.to_owned(), name: name.to_owned(), ram, cores };
    Quota { usage: usage.collect(), flavors: vec![flavor("small", 2048, 2), flavor("large", 8192, 4)] }
}
