//! Charts as inline SVG, which needs neither a script nor a library in the browser.
//!
//! The drawing is stretched to its place, so what is to be read stands beside it as text.

use std::fmt::Write as _;

use super::super::html::Html;
use super::clock;
use crate::model::Timestamp;

/// Width and height of the drawing, in its own units.
const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 100.0;

/// A row of values.
#[derive(Clone, Debug)]
pub(super) struct Line {
    name: &'static str,
    colour: &'static str,
    values: Vec<u32>,
}

/// Areas that stand on each other, and a line over them.
pub(super) struct Chart<'c> {
    pub(super) title: &'static str,
    pub(super) times: &'c [Timestamp],
    pub(super) areas: &'c [Line],
    pub(super) line: Option<&'c Line>,
}

impl Line {
    pub(super) fn new(
        name: &'static str,
        colour: &'static str,
        values: impl IntoIterator<Item = u32>,
    ) -> Self {
        Self { name, colour, values: values.into_iter().collect() }
    }

    fn highest(&self) -> u32 {
        self.values.iter().copied().max().unwrap_or(0)
    }
}

impl Chart<'_> {
    /// Writes the chart with its legend and its scales.
    pub(super) fn write(&self, html: &mut Html) {
        let (Some(first), Some(last)) = (self.times.first(), self.times.last()) else { return };
        let sums = stack(self.areas);
        let highest = sums.last().into_iter().flatten().copied().max().unwrap_or(0);
        let top = scale(highest.max(self.line.map_or(0, Line::highest)));
        html.markup("<figure><figcaption><span>").markup(self.title).markup("</span><ul class=\"legend\">");
        for line in self.areas.iter().chain(self.line) {
            html.markup("<li class=\"").markup(line.colour).markup("\">").markup(line.name).markup(" ");
            html.text(line.values.last().copied().unwrap_or(0)).markup("</li>");
        }
        html.markup("</ul></figcaption><div class=\"plot\"><span class=\"top\">").text(top).markup(
            "</span><svg viewBox=\"0 0 1000 100\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"",
        );
        html.markup(self.title).markup(": ");
        for line in self.areas.iter().chain(self.line) {
            html.markup(line.name).markup(" ").text(line.values.last().copied().unwrap_or(0));
            html.markup(", at most ").text(line.highest()).markup("; ");
        }
        html.markup("\"><path class=\"grid\" d=\"M0 25H1000M0 50H1000M0 75H1000\"/>");
        let places = self.places();
        let floor = vec![0; self.times.len()];
        let floors = std::iter::once(&floor).chain(&sums);
        for ((line, upper), lower) in self.areas.iter().zip(&sums).zip(floors) {
            html.markup("<path class=\"area ").markup(line.colour).markup("\" d=\"");
            html.text(area(&places, lower, upper, top)).markup("\"/>");
        }
        if let Some(line) = self.line {
            html.markup("<path class=\"line ").markup(line.colour).markup("\" d=\"");
            html.text(outline(&places, &line.values, top)).markup("\"/>");
        }
        html.markup("</svg></div><p class=\"axis\">");
        clock(html, *first, "since");
        if self.times.len() > 1 {
            clock(html, *last, "since");
        } else {
            html.markup("<span>now</span>");
        }
        html.markup("</p></figure>");
    }

    /// Where each moment is between left and right. One alone has both: it is as it was then.
    fn places(&self) -> Vec<f64> {
        if self.times.len() == 1 {
            return vec![0.0, WIDTH];
        }
        let first = self.times.first().copied().unwrap_or_default();
        let last = self.times.last().copied().unwrap_or_default();
        let whole = last.since(first).as_secs_f64().max(1.0);
        self.times.iter().map(|time| WIDTH * time.since(first).as_secs_f64() / whole).collect()
    }
}

/// Writes a small chart of one provider or label: what there is, and a line for what should be.
pub(super) fn spark(html: &mut Html, name: &'static str, areas: &[Line], wanted: &[u32]) {
    let sums = stack(areas);
    let highest = sums.last().into_iter().flatten().chain(wanted).copied().max().unwrap_or(0);
    let top = scale(highest);
    let count = if wanted.len() == 1 { 2 } else { wanted.len() };
    let last = count.saturating_sub(1).max(1);
    let places: Vec<f64> = (0..count).map(|at| WIDTH * as_float(at) / as_float(last)).collect();
    html.markup("<svg class=\"spark\" viewBox=\"0 0 1000 100\" preserveAspectRatio=\"none\" role=\"img\" ")
        .markup("aria-label=\"")
        .markup(name)
        .markup(", at most ")
        .text(highest)
        .markup("\">");
    let floor = vec![0; wanted.len()];
    let floors = std::iter::once(&floor).chain(&sums);
    for ((line, upper), lower) in areas.iter().zip(&sums).zip(floors) {
        html.markup("<path class=\"area ").markup(line.colour).markup("\" d=\"");
        html.text(area(&places, lower, upper, top)).markup("\"/>");
    }
    html.markup("<path class=\"line soft\" d=\"").text(outline(&places, wanted, top)).markup("\"/></svg>");
}

/// Writes a bar: how much of the whole each part is, and a mark. The text says the same.
pub(super) fn bar(html: &mut Html, text: &str, whole: u64, parts: &[(u64, &'static str)], mark: Option<u64>) {
    let width = |amount: u64| WIDTH * float(amount) / float(whole.max(1));
    html.markup("<svg class=\"bar\" viewBox=\"0 0 1000 100\" preserveAspectRatio=\"none\" role=\"img\" ")
        .markup("aria-label=\"")
        .text(text)
        .markup("\"><rect class=\"whole\" width=\"1000\" height=\"100\"/>");
    let mut left = 0_u64;
    for (amount, colour) in parts.iter().filter(|(amount, _)| *amount > 0) {
        html.markup("<rect class=\"").markup(colour).markup("\" x=\"").text(Short(width(left)));
        html.markup("\" width=\"").text(Short(width(*amount))).markup("\" height=\"100\"/>");
        left = left.saturating_add(*amount);
    }
    if let Some(mark) = mark {
        html.markup("<path class=\"mark\" d=\"M").text(Short(width(mark))).markup(" 0V100\"/>");
    }
    html.markup("</svg>");
}

/// The values of each line added to those of the lines before it.
fn stack(lines: &[Line]) -> Vec<Vec<u32>> {
    let mut sums: Vec<Vec<u32>> = Vec::with_capacity(lines.len());
    for line in lines {
        let sum = match sums.last() {
            Some(below) => {
                below.iter().zip(&line.values).map(|(below, value)| below.saturating_add(*value)).collect()
            }
            None => line.values.clone(),
        };
        sums.push(sum);
    }
    sums
}

/// The next number that is good to read: 1, 2 or 5, and noughts.
fn scale(highest: u32) -> u32 {
    let mut unit = 1_u32;
    loop {
        for factor in [1, 2, 5] {
            let top = unit.saturating_mul(factor);
            if top >= highest {
                return top.max(4);
            }
        }
        unit = unit.saturating_mul(10);
    }
}

/// Steps from one moment to the next: a value stays until there is another one. One alone stays to the end.
fn outline(places: &[f64], values: &[u32], top: u32) -> String {
    let mut path = String::new();
    for (place, value) in places.iter().zip(values.iter().chain(values.last())) {
        let (across, down) = (Short(*place), Short(height(*value, top)));
        // Writing to a string cannot fail.
        let _ =
            if path.is_empty() { write!(path, "M{across} {down}") } else { write!(path, "H{across}V{down}") };
    }
    path
}

/// What is between two outlines.
fn area(places: &[f64], lower: &[u32], upper: &[u32], top: u32) -> String {
    let mut path = outline(places, upper, top);
    let lower: Vec<u32> = lower.iter().chain(lower.last()).copied().take(places.len()).collect();
    let mut back = places.iter().zip(&lower).rev();
    if let Some((place, value)) = back.next() {
        let _ = write!(path, "L{} {}", Short(*place), Short(height(*value, top)));
        for (place, value) in back {
            let _ = write!(path, "V{}H{}", Short(height(*value, top)), Short(*place));
        }
        path.push('Z');
    }
    path
}

fn height(value: u32, top: u32) -> f64 {
    HEIGHT - HEIGHT * f64::from(value) / f64::from(top.max(1))
}

fn as_float(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

fn float(number: u64) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

/// A number of the drawing: whole ones are enough.
struct Short(f64);

impl std::fmt::Display for Short {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.0}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_area_is_between_its_steps_and_those_below() {
        let (places, lower, upper) = ([0.0, 500.0, 1000.0], [0, 1, 0], [2, 4, 2]);
        assert_eq!(outline(&places, &upper, 4), "M0 50H500V0H1000V50");
        assert_eq!(area(&places, &lower, &upper, 4), "M0 50H500V0H1000V50L1000 100V75H500V100H0Z");
        assert_eq!(area(&[], &[], &[], 4), "");
        assert_eq!(area(&[0.0, 1000.0], &[1], &[2], 4), "M0 50H1000V50L1000 75V75H0Z", "one value alone");
    }

    #[test]
    fn lines_stand_on_each_other_below_a_round_number() {
        let lines = [Line::new("a", "used", [1, 2]), Line::new("b", "good", [3, 4])];
        assert_eq!(stack(&lines), [vec![1, 2], vec![4, 6]]);
        let tops = [0, 4, 5, 6, 11, 21, 51, 999, u32::MAX].map(scale);
        assert_eq!(tops, [4, 5, 5, 10, 20, 50, 100, 1000, u32::MAX]);
    }
}
