//! Text tables as nodepool v0 printed them: scripts and people read them by their columns.

use comfy_table::{ContentArrangement, ContentLineStyle, LineStyle, Table as Drawn, TableStyle};

const RULE: LineStyle = LineStyle::new('+', '-', '+', '+');
const LINE: ContentLineStyle = ContentLineStyle::new('|', '|', '|');
/// The look of Python's PrettyTable: a rule above and below the header and one at the end.
const STYLE: TableStyle = TableStyle::new()
    .top_border(RULE)
    .header_lines(LINE)
    .header_separator(RULE)
    .content_lines(LINE)
    .bottom_border(RULE);

/// What stands in a cell that has no value.
const NONE: &str = "None";

/// A table in the making.
#[derive(Debug)]
pub struct Table(Drawn);

impl Table {
    /// A table without rows.
    pub fn new<'a>(columns: impl IntoIterator<Item = &'a str>) -> Self {
        let mut drawn = Drawn::new();
        // Lines are never broken to fit a terminal: what reads them counts on one line a row.
        drawn.load_style(STYLE).set_content_arrangement(ContentArrangement::Disabled).set_header(columns);
        Self(drawn)
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Option<String>>) {
        self.0.add_row(
            cells.into_iter().map(|cell| cell.map_or_else(|| NONE.to_owned(), |text| one_line(&text))),
        );
    }

    /// The text, which ends with a line break.
    pub fn render(&self) -> String {
        let mut text = self.0.to_string();
        if self.0.is_empty() {
            // PrettyTable closes the empty body with a rule of its own.
            let rule = text.lines().next().unwrap_or_default().to_owned();
            if text.lines().filter(|line| **line == rule).count() < 3 {
                text.push('\n');
                text.push_str(&rule);
            }
        }
        text.push('\n');
        text
    }
}

/// `text` without what would break the line or steer the reader's terminal: names and reasons come from outside.
fn one_line(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    // Both texts are what prettytable 0.7.2 prints with `align = "l"`.
    #[test]
    fn looks_like_prettytable() {
        let mut table = Table::new(["ID", "Provider", "Age (hours)"]);
        assert_eq!(
            table.render(),
            "+----+----------+-------------+\n\
             | ID | Provider | Age (hours) |\n\
             +----+----------+-------------+\n\
             +----+----------+-------------+\n"
        );
        table.row([Some("1".to_owned()), None, Some("1.23".to_owned())]);
        table.row([Some("12".to_owned()), Some("é漢字 long".to_owned()), Some(String::new())]);
        assert_eq!(
            table.render(),
            "+----+------------+-------------+\n\
             | ID | Provider   | Age (hours) |\n\
             +----+------------+-------------+\n\
             | 1  | None       | 1.23        |\n\
             | 12 | é漢字 long |             |\n\
             +----+------------+-------------+\n"
        );
    }

    #[test]
    fn a_cell_cannot_leave_its_line() {
        let mut table = Table::new(["Name"]);
        table.row([Some("a\nb\u{1b}[2Jc\u{9b}d".to_owned())]);
        assert_eq!(table.render().lines().nth(3), Some("| a b [2Jc d |"));
        assert_eq!(table.render().lines().count(), 5);
    }
}
