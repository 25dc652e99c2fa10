//! Each provider: how full it is, what the cloud allows, how fast we may ask; and each target.

use super::super::html::Html;
use super::chart::{self, Line};
use super::table::{Cell, Table};
use super::{Shown, heading};
use crate::config::Provider;
use crate::plan::{BreakerState, Space};

const COLUMNS: [&str; 9] =
    ["Provider", "Servers", "Nodes", "Subnodes", "Builders", "max-servers", "Quota", "Pace", "The last hour"];

impl Shown<'_> {
    pub(super) fn providers(&self, html: &mut Html) {
        heading(html, "Providers");
        let mut table = Table::new("Providers", &COLUMNS);
        for provider in &self.config.providers {
            table.row(self.provider(provider));
        }
        table.finish(html, "There are no providers in the configuration.");
    }

    fn provider<'s>(&'s self, provider: &'s Provider) -> Vec<Cell<'s>> {
        let name = provider.name.as_str();
        let here = || self.picture.nodes().iter().filter(|node| node.provider == name);
        let subnodes = here().filter(|node| node.primary.is_some()).count();
        let nodes = here().count().saturating_sub(subnodes);
        let images = self.picture.images().iter().filter(|image| image.provider == name);
        let builders = images
            .map(|image| {
                usize::from(image.server_id.is_some())
                    .saturating_add(usize::from(image.verify_server_id.is_some()))
            })
            .fold(0, usize::saturating_add);
        let most = match provider.max_servers {
            Some(most) => Cell::text(most.to_string()),
            None => Cell::marked("drained", "away"),
        };
        let space = self.last.plan.stock.providers.get(name);
        vec![
            Cell::text(name),
            space.map_or(Cell::Empty, |space| Cell::Made(servers(*space))),
            Cell::Number(nodes),
            Cell::Number(subnodes),
            Cell::Number(builders),
            most,
            self.quota(name),
            self.pace(provider),
            self.provider_trend(name),
        ]
    }

    /// What the project has of what it may have, where there is a limit.
    fn quota(&self, provider: &str) -> Cell<'static> {
        let mut made = Html::default();
        for (resource, usage) in self.last.usage.get(provider).into_iter().flatten() {
            let Some(limit) = usage.limit else { continue };
            let text = format!("{} {} of {limit}", resource.title(), usage.used);
            made.markup("<span class=\"measure quota\">");
            let colour =
                if usage.used.saturating_mul(10) >= limit.saturating_mul(9) { "bad" } else { "used" };
            chart::bar(&mut made, &text, limit.max(usage.used), &[(usage.used, colour)], None);
            made.markup("<span aria-hidden=\"true\">").text(text).markup("</span></span>");
        }
        if made.as_str().is_empty() { Cell::Empty } else { Cell::Made(made) }
    }

    /// How fast it may be asked, and whether that or a breaker holds something up.
    fn pace(&self, provider: &Provider) -> Cell<'static> {
        let mut made = Html::default();
        made.markup("a call each ").text(provider.rate.as_secs_f64()).markup(" s");
        let pace = self.metrics.pace(&provider.name);
        if pace.put_off > 0 {
            made.markup(", ").text(pace.put_off).markup(" calls had to wait");
        }
        if pace.wait_seconds > 0.0 {
            made.markup(", <span class=\"busy\">the last one due waits ")
                .text(format!("{:.1}", pace.wait_seconds))
                .markup(" s</span>");
        }
        let open = self.last.breakers.iter().filter(|breaker| {
            breaker.setback.provider == provider.name && breaker.state == BreakerState::Open
        });
        let open = open.count();
        if open > 0 {
            made.markup(", <a class=\"bad\" href=\"#broken\">").text(open).markup(" open breakers</a>");
        }
        Cell::Made(made)
    }

    fn provider_trend(&self, name: &str) -> Cell<'static> {
        let Some(points) = self.trend.provider(name) else { return Cell::Empty };
        let lines = [Line::new("servers", "used", points.iter().map(|space| space.taken))];
        let most: Vec<u32> = points.iter().map(|space| space.limit.unwrap_or(0)).collect();
        let mut made = Html::default();
        chart::spark(&mut made, "servers in the last hour", &lines, &most);
        Cell::Made(made)
    }

    pub(super) fn targets(&self, html: &mut Html) {
        heading(html, "Targets");
        let mut table = Table::new("Targets", &["Target", "Nodes", "Takes nodes", "Reason"]);
        for target in &self.config.targets {
            let nodes = self.picture.nodes().iter().filter(|node| node.target == target.name);
            let nodes = Cell::Number(nodes.filter(|node| node.primary.is_none()).count());
            let (takes, why) = match self.last.plan.stock.closed.get(&target.name) {
                None => (Cell::marked("not seen yet", "away"), Cell::Empty),
                Some(None) => (Cell::marked("yes", "good"), Cell::Empty),
                Some(Some(why)) => (Cell::marked("no", "bad"), Cell::wide(why)),
            };
            table.row([Cell::text(&target.name), nodes, takes, why]);
        }
        table.finish(html, "There are no targets in the configuration.");
    }
}

/// The bar of a provider: what is taken of what may be.
fn servers(space: Space) -> Html {
    let text = match space.limit {
        Some(limit) => format!("{} of {limit}", space.taken),
        None => format!("{}, drained", space.taken),
    };
    let whole = space.limit.unwrap_or(0).max(space.taken);
    let mut made = Html::default();
    made.markup("<span class=\"measure\">");
    let colour = if space.free() == 0 { "bad" } else { "used" };
    chart::bar(&mut made, &text, whole.into(), &[(space.taken.into(), colour)], None);
    made.markup("<span aria-hidden=\"true\">").text(text).markup("</span></span>");
    made
}
