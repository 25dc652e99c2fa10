//! HTML that cannot be broken out of: markup comes from the program, everything else is escaped.

use std::fmt::{self, Display, Write as _};

/// A page in the making.
#[derive(Debug, Default)]
pub(super) struct Html(String);

impl Html {
    /// Markup of our own, as it is.
    pub(super) fn markup(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Text from anywhere, escaped for the content of an element and for a quoted attribute.
    pub(super) fn text(&mut self, text: impl Display) -> &mut Self {
        // Writing to a string cannot fail.
        let _ = write!(Escaped(&mut self.0), "{text}");
        self
    }

    /// The page.
    pub(super) fn into_string(self) -> String {
        self.0
    }
}

struct Escaped<'s>(&'s mut String);

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            match character {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                character if character.is_control() => self.0.push(' '),
                character => self.0.push(character),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text() {
        let mut html = Html::default();
        html.markup("<p title=\"")
            .text("\" onload='x'")
            .markup("\">")
            .text("<b>&amp;\n\u{0}</b>")
            .markup("</p>");
        assert_eq!(
            html.into_string(),
            "<p title=\"&quot; onload=&#39;x&#39;\">&lt;b&gt;&amp;amp;  &lt;/b&gt;</p>"
        );
    }
}
