//! Whether the daemon is at work, and the pool in numbers and over the last hours.

use super::super::health;
use super::super::html::Html;
use super::chart::{Chart, Line};
use super::{Shown, clock, heading};
use crate::model::Timestamp;

impl Shown<'_> {
    pub(super) fn summary(&self, html: &mut Html) {
        let reasons = health::reasons(self.last, self.now, Ok(()));
        html.markup("<p class=\"state\">");
        if reasons.is_empty() {
            html.markup("<strong class=\"good\">At work</strong>");
        }
        for reason in &reasons {
            html.markup("<strong class=\"bad\">Not at work: ").text(reason).markup("</strong> ");
        }
        html.markup(" <span>last look ");
        if self.last.at == Timestamp::default() {
            html.markup("never");
        } else {
            clock(html, self.last.at, "since");
        }
        html.markup("</span></p>");
        for doubt in self.doubts {
            html.markup("<p class=\"bad\">Warning: ").text(doubt).markup("</p>");
        }
        let census = &self.last.census;
        let count = |number: usize| number.to_string();
        let figures = [
            ("ready", "good", count(census.ready)),
            ("building", "busy", count(census.building)),
            ("used or held", "used", count(census.busy)),
            ("going", "away", count(census.going)),
            ("demand", "bad", census.demand.map_or_else(|| "-".to_owned(), |demand| demand.to_string())),
        ];
        html.markup("<dl class=\"figures\">");
        for (name, colour, number) in figures {
            html.markup("<div class=\"").markup(colour).markup("\"><dt>").markup(name).markup("</dt><dd>");
            html.text(number).markup("</dd></div>");
        }
        html.markup("</dl>");
    }

    pub(super) fn charts(&self, html: &mut Html) {
        heading(html, "The last hours");
        let points = self.trend.pool();
        if points.is_empty() {
            html.markup("<p>Nothing yet: they are kept from the start of the daemon on.</p>");
            return;
        }
        let areas = [
            Line::new("used or held", "used", points.iter().map(|point| point.busy)),
            Line::new("ready", "good", points.iter().map(|point| point.ready)),
            Line::new("building", "busy", points.iter().map(|point| point.building)),
            Line::new("going", "away", points.iter().map(|point| point.going)),
        ];
        let demand = Line::new("demand", "bad", points.iter().map(|point| point.demand));
        let times: Vec<Timestamp> = points.iter().map(|point| point.at).collect();
        html.markup("<div class=\"charts\">");
        Chart { title: "Nodes, and the demand", times: &times, areas: &areas, line: Some(&demand) }
            .write(html);
        let ends = [
            Line::new("became ready", "good", points.iter().map(|point| point.launched)),
            Line::new("failed", "bad", points.iter().map(|point| point.failed)),
        ];
        Chart { title: "Launches that ended", times: &times, areas: &ends, line: None }.write(html);
        html.markup("</div>");
    }
}
