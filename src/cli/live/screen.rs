//! The lines of the screen, made to its width and height. It asks nobody anything.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::super::cause::span;
use super::super::rfc3339;
use super::super::table::one_line;
use super::picture::{Label, Picture, Provider};
use crate::model::{Node, Timestamp};
use crate::store::{HistoryLine, Subject};

const BOLD: &str = "1";
const DIM: &str = "2";
const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";
const CYAN: &str = "36";
const PLAIN: &str = "";

/// How wide the bar of a label is.
const BAR: u32 = 24;

/// What stands between two columns.
const GAP: usize = 2;

/// A piece of a line, in one colour.
type Piece = (String, &'static str);

/// A cell: its pieces.
type Cell = Vec<Piece>;

/// A part of the screen.
struct Section {
    title: &'static str,
    columns: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

/// The lines, as many as there is room for and none wider than the screen.
pub(super) fn lines(picture: &Picture, (width, height): (usize, usize), colours: bool) -> Vec<String> {
    let mut lines = vec![title(picture)];
    for trouble in picture.silent.iter().chain(&picture.trouble) {
        lines.push(vec![(one_line(trouble).into_owned(), RED)]);
    }
    let sections =
        [labels(&picture.labels), providers(&picture.providers), nodes(picture), changes(&picture.changes)];
    let room = height.saturating_sub(lines.len());
    let shares = shares(&sections, room);
    for (section, share) in sections.iter().zip(shares) {
        lines.extend(section.lines(share));
    }
    lines.truncate(height);
    lines.iter().map(|line| fit(line, width, colours)).collect()
}

/// How many rows of each section are shown: one each in turn, until there is no room or nothing left. Each section costs two
/// lines besides, an empty one and its title.
fn shares(sections: &[Section], room: usize) -> Vec<usize> {
    let mut left = room.saturating_sub(sections.len().saturating_mul(2));
    let mut shares = vec![0_usize; sections.len()];
    while left > 0 {
        let before = left;
        for (share, section) in shares.iter_mut().zip(sections) {
            if left > 0 && *share < section.rows.len() {
                *share = share.saturating_add(1);
                left = left.saturating_sub(1);
            }
        }
        if left == before {
            break;
        }
    }
    shares
}

fn title(picture: &Picture) -> Cell {
    let sum = |of: fn(&Label) -> u32| picture.labels.iter().map(of).fold(0, u32::saturating_add);
    let demand = picture.labels.iter().filter_map(|label| label.demand).reduce(u32::saturating_add);
    let demand = demand.map_or_else(String::new, |jobs| format!(", jobs ask for {jobs}"));
    let counts = format!(
        "  {} ready, {} building, {} used{demand}",
        sum(|label| label.ready),
        sum(|label| label.building),
        sum(|label| label.used)
    );
    vec![
        ("nodepool".to_owned(), BOLD),
        (counts, PLAIN),
        (format!("  {}  q ends it", clock(picture.now)), DIM),
    ]
}

fn labels(labels: &[Label]) -> Section {
    let rows = labels.iter().map(|label| {
        let number = |count: u32, colour| plain(count.to_string(), if count > 0 { colour } else { PLAIN });
        vec![
            plain(&label.name, BOLD),
            number(label.ready, GREEN),
            number(label.building, YELLOW),
            number(label.used, CYAN),
            plain(label.demand.map_or_else(|| "?".to_owned(), |jobs| jobs.to_string()), PLAIN),
            plain(label.spares.map_or_else(|| "off".to_owned(), |spares| spares.to_string()), PLAIN),
            bar(label),
        ]
    });
    let columns = vec!["Label", "Ready", "Building", "Used", "Demand", "Spares", "Of what is wanted"];
    Section { title: "Labels", columns, rows: rows.collect() }
}

/// Used, ready, building, and what is missing of what is wanted.
fn bar(label: &Label) -> Cell {
    let wanted = label.demand.unwrap_or(label.used).saturating_add(label.spares.unwrap_or(0));
    let there = label.used.saturating_add(label.ready).saturating_add(label.building);
    let whole = wanted.max(there);
    let mut cell = Vec::new();
    let (mut sum, mut drawn) = (0_u32, 0_u32);
    let missing = wanted.saturating_sub(there);
    for (count, sign, colour) in [
        (label.used, "u", CYAN),
        (label.ready, "#", GREEN),
        (label.building, "=", YELLOW),
        (missing, ".", RED),
    ] {
        sum = sum.saturating_add(count);
        let until = sum.saturating_mul(BAR).checked_div(whole).unwrap_or_default();
        let cells = until.saturating_sub(drawn);
        drawn = until;
        if cells > 0 {
            cell.push((sign.repeat(cells as usize), colour));
        }
    }
    cell.push((" ".repeat(BAR.saturating_sub(drawn) as usize), PLAIN));
    cell.push((format!(" {there} of {wanted}"), if missing > 0 { RED } else { PLAIN }));
    cell
}

fn providers(providers: &[Provider]) -> Section {
    let rows = providers.iter().map(|provider| {
        let most = provider.max_servers.map_or_else(|| "drained".to_owned(), |most| most.to_string());
        let full = provider.max_servers.is_some_and(|most| provider.servers >= most);
        let mut pace = format!("a call each {} s", provider.seconds_between_calls);
        if provider.last_call_waited_seconds > 0.0 {
            pace = format!("{pace}, waits {:.1} s", provider.last_call_waited_seconds);
        }
        let breakers = match provider.breakers.len() {
            0 => plain("none", PLAIN),
            _ => plain(provider.breakers.join("; "), RED),
        };
        vec![
            plain(&provider.name, BOLD),
            plain(format!("{} of {most}", provider.servers), if full { RED } else { PLAIN }),
            plain(pace, PLAIN),
            breakers,
            quota(provider),
        ]
    });
    let columns = vec!["Provider", "Servers", "Pace", "Breakers", "Quota"];
    Section { title: "Providers", columns, rows: rows.collect() }
}

/// The limits that there are; those that are almost reached in red.
fn quota(provider: &Provider) -> Cell {
    let mut cell = Vec::new();
    for view in &provider.quota {
        let Some(limit) = view.limit else { continue };
        let near = view.used.saturating_mul(10) >= limit.saturating_mul(9);
        let comma = if cell.is_empty() { "" } else { ", " };
        let text = format!("{comma}{} {} of {limit}", view.resource, view.used);
        cell.push((text, if near { RED } else { PLAIN }));
    }
    if cell.is_empty() { plain("no limit known", DIM) } else { cell }
}

fn nodes(picture: &Picture) -> Section {
    let row = |node: &Node| {
        vec![
            plain(node.id.to_string(), PLAIN),
            plain(&node.label, PLAIN),
            plain(&node.provider, PLAIN),
            plain(node.state.to_string(), colour(node.state.word())),
            plain(span(picture.now.since(node.state_time)), PLAIN),
            plain(&node.reason, PLAIN),
        ]
    };
    let columns = vec!["ID", "Label", "Provider", "State", "For", "Why"];
    Section { title: "Newest nodes", columns, rows: picture.nodes.iter().map(row).collect() }
}

fn changes(changes: &[HistoryLine]) -> Section {
    let row = |line: &HistoryLine| {
        let about = match line.subject {
            Subject::Node(id) => format!("node {id}"),
            Subject::Image(id) => format!("image {id}"),
        };
        let note = &line.note;
        let to = if note.from == note.to { note.event.clone() } else { note.to.clone() };
        let colour = colour(to.split(' ').next().unwrap_or_default());
        vec![plain(clock(note.at), DIM), plain(about, PLAIN), plain(to, colour), plain(&note.reason, PLAIN)]
    };
    let columns = vec!["Time", "About", "Now", "Why"];
    Section { title: "Latest changes", columns, rows: changes.iter().map(row).collect() }
}

/// The time of the day, in UTC.
fn clock(at: Timestamp) -> String {
    let moment = rfc3339(at);
    moment.get(11..19).unwrap_or(&moment).to_owned()
}

fn plain(text: impl AsRef<str>, colour: &'static str) -> Cell {
    vec![(one_line(text.as_ref()).into_owned(), colour)]
}

fn colour(state: &str) -> &'static str {
    match state {
        "ready" => GREEN,
        "building" | "test" => YELLOW,
        "used" => CYAN,
        "hold" => "35",
        "delete" | "gone" => DIM,
        _ => PLAIN,
    }
}

fn width(cell: &Cell) -> usize {
    cell.iter().map(|(text, _)| text.width()).fold(0, usize::saturating_add)
}

impl Section {
    /// An empty line, the columns, and so many rows.
    fn lines(&self, share: usize) -> Vec<Cell> {
        let shown = self.rows.iter().take(share);
        let mut widths: Vec<usize> = self.columns.iter().map(|title| title.width()).collect();
        for row in shown.clone() {
            for (widest, cell) in widths.iter_mut().zip(row) {
                *widest = width(cell).max(*widest);
            }
        }
        let mut titles = Vec::new();
        for (column, widest) in self.columns.iter().zip(&widths) {
            pad(&mut titles, vec![((*column).to_owned(), BOLD)], *widest);
        }
        let hidden = self.rows.len().saturating_sub(share);
        if hidden > 0 {
            titles.push((format!("({hidden} more)"), DIM));
        } else if self.rows.is_empty() {
            titles = vec![(self.title.to_owned(), BOLD), (": none".to_owned(), PLAIN)];
        }
        let mut lines = vec![Vec::new(), titles];
        for row in shown {
            let mut line = Vec::new();
            for (cell, widest) in row.iter().zip(&widths) {
                pad(&mut line, cell.clone(), *widest);
            }
            lines.push(line);
        }
        lines
    }
}

fn pad(line: &mut Cell, cell: Cell, widest: usize) {
    let missing = widest.saturating_sub(width(&cell)).saturating_add(GAP);
    line.extend(cell);
    line.push((" ".repeat(missing), PLAIN));
}

/// A line cut to the screen's width.
fn fit(line: &Cell, width: usize, colours: bool) -> String {
    let mut text = String::new();
    let mut left = width;
    for (piece, colour) in line {
        let mut taken = String::new();
        for letter in piece.chars() {
            let wide = letter.width().unwrap_or_default();
            if wide > left {
                left = 0;
                break;
            }
            left = left.saturating_sub(wide);
            taken.push(letter);
        }
        if taken.is_empty() {
            continue;
        }
        if colours && !colour.is_empty() {
            for part in ["\x1b[", colour, "m", &taken, "\x1b[0m"] {
                text.push_str(part);
            }
        } else {
            text.push_str(&taken);
        }
    }
    // Spaces at the end are drawn by nobody.
    if colours { text } else { text.trim_end().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::super::super::plan_view::QuotaView;
    use super::*;
    use crate::model::NodeId;
    use crate::store::Note;

    fn picture() -> Picture {
        let label = |name: &str, demand| Label {
            name: name.to_owned(),
            ready: 2,
            building: 1,
            used: 3,
            demand,
            spares: Some(4),
        };
        let note = |reason: &str| Note {
            at: Timestamp::default(),
            event: "ready".to_owned(),
            from: "building".to_owned(),
            to: "ready".to_owned(),
            reason: reason.to_owned(),
        };
        let change = |id| HistoryLine {
            id,
            subject: Subject::Node(NodeId(id)),
            provider: String::new(),
            hostname: String::new(),
            note: note("its script\x1b[2J ended, 漢字"),
        };
        Picture {
            labels: vec![label("trusty", Some(5)), label("xenial", None)],
            providers: vec![Provider {
                name: "cloud1".to_owned(),
                servers: 7,
                max_servers: Some(7),
                quota: vec![QuotaView { resource: "cores".to_owned(), used: 38, limit: Some(40) }],
                seconds_between_calls: 0.5,
                breakers: vec!["launch trusty open, 5 in a row: No valid host was found".to_owned()],
                ..Provider::default()
            }],
            changes: (1..=30).rev().map(change).collect(),
            ..Picture::default()
        }
    }

    #[test]
    fn shows_what_an_operator_asks_for() {
        let shown = lines(&picture(), (200, 24), false);
        let text = shown.join("\n");
        assert_eq!(shown.len(), 24, "{text}");
        assert!(text.contains("4 ready, 2 building, 6 used, jobs ask for 5"), "{text}");
        assert!(
            text.contains("trusty  2      1         3     5       4       uuuuuuuu#####===........ 6 of 9"),
            "{text}"
        );
        assert!(text.contains("xenial  2      1         3     ?       4"), "{text}");
        let cloud = "cloud1    7 of 7   a call each 0.5 s  launch trusty open, 5 in a row: No valid host was found  cores 38 of 40";
        assert!(text.contains(cloud), "{text}");
        assert!(text.contains("Newest nodes: none"), "{text}");
        assert!(text.contains("00:00:00  node 30  ready  its script [2J ended, 漢字"), "{text}");
        assert!(text.contains(" more)"), "{text}");
    }

    #[test]
    fn fits_every_size() {
        let silent = Picture { silent: Some("nodepoold does not run".to_owned()), ..picture() };
        for (width, height) in [(0, 0), (1, 1), (10, 3), (40, 9), (79, 13), (80, 24), (300, 100)] {
            let shown = lines(&silent, (width, height), false);
            assert!(shown.len() <= height, "{width}x{height}: {shown:#?}");
            for line in &shown {
                assert!(line.width() <= width && !line.contains('\x1b'), "{width}x{height}: {line:?}");
            }
        }
    }
}
