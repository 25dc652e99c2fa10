//! Tables: on a wide screen rows and columns, on a phone a card for each row, which is why each cell knows its column.

use std::borrow::Cow;

use super::super::html::Html;
use super::clock;
use crate::model::Timestamp;

/// A cell.
pub(super) enum Cell<'a> {
    /// Nothing.
    Empty,
    /// Text.
    Text(Cow<'a, str>),
    /// How many.
    Number(usize),
    /// A word in a colour.
    Marked(Cow<'a, str>, &'static str),
    /// Text that may be long.
    Wide(Cow<'a, str>),
    /// How long ago something was.
    Since(Timestamp),
    /// How long until something will be.
    Until(Timestamp),
    /// What was made before: a link, a bar.
    Made(Html),
}

/// A table in the making.
pub(super) struct Table<'c> {
    columns: &'c [&'static str],
    html: Html,
    rows: usize,
}

impl<'c> Table<'c> {
    /// A table without rows. The name is told to those who do not see it.
    pub(super) fn new(name: &'static str, columns: &'c [&'static str]) -> Self {
        let mut html = Html::default();
        html.markup("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"")
            .text(name)
            .markup("\"><table><thead><tr>");
        for column in columns {
            html.markup("<th scope=\"col\">").markup(column).markup("</th>");
        }
        html.markup("</tr></thead><tbody>");
        Self { columns, html, rows: 0 }
    }

    /// Adds a row.
    pub(super) fn row<'a>(&mut self, cells: impl IntoIterator<Item = Cell<'a>>) {
        self.rows = self.rows.saturating_add(1);
        self.html.markup("<tr>");
        for (cell, column) in cells.into_iter().zip(self.columns) {
            cell.write(column, &mut self.html);
        }
        self.html.markup("</tr>");
    }

    /// Writes the table, or what is said when it has no rows.
    pub(super) fn finish(mut self, html: &mut Html, none: &'static str) {
        if self.rows == 0 {
            html.markup("<p>").markup(none).markup("</p>");
            return;
        }
        self.html.markup("</tbody></table></div>");
        html.append(&self.html);
    }
}

impl<'a> Cell<'a> {
    /// Text.
    pub(super) fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Self::Text(text.into())
    }

    /// Text that may be missing.
    pub(super) fn maybe(text: Option<&'a str>) -> Self {
        text.filter(|text| !text.is_empty()).map_or(Self::Empty, Self::text)
    }

    /// Text that may be long, or missing.
    pub(super) fn wide(text: impl Into<Cow<'a, str>>) -> Self {
        let text = text.into();
        if text.is_empty() { Self::Empty } else { Self::Wide(text) }
    }

    /// A word in a colour.
    pub(super) fn marked(word: impl Into<Cow<'a, str>>, colour: &'static str) -> Self {
        Self::Marked(word.into(), colour)
    }

    /// A link to the page of a node or an image.
    pub(super) fn link(folder: &'static str, id: i64) -> Self {
        let mut html = Html::default();
        html.markup("<a href=\"/").markup(folder).markup("/").text(id).markup("\">").text(id).markup("</a>");
        Self::Made(html)
    }

    fn write(&self, column: &'static str, html: &mut Html) {
        let class = match self {
            Self::Empty => {
                html.markup("<td></td>");
                return;
            }
            Self::Number(0) => "none",
            Self::Marked(_, colour) => colour,
            Self::Wide(_) => "wide",
            Self::Text(_) | Self::Number(_) | Self::Since(_) | Self::Until(_) | Self::Made(_) => "",
        };
        html.markup("<td data-column=\"").markup(column);
        if !class.is_empty() {
            html.markup("\" class=\"").markup(class);
        }
        html.markup("\">");
        match self {
            Self::Empty => {}
            Self::Text(text) | Self::Marked(text, _) | Self::Wide(text) => {
                html.text(text);
            }
            Self::Number(number) => {
                html.text(number);
            }
            Self::Since(at) => clock(html, *at, "since"),
            Self::Until(at) => clock(html, *at, "until"),
            Self::Made(made) => {
                html.append(made);
            }
        }
        html.markup("</td>");
    }
}
