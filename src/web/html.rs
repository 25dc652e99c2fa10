//! HTML that cannot be broken out of: markup comes from the program, everything else is escaped.

use std::fmt::{self, Display, Write as _};

/// A page in the making, or a part of one.
#[derive(Clone, Debug, Default)]
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

    /// Text from anywhere as part of a URL in a quoted attribute: of a path, or of a value in a query.
    pub(super) fn url_part(&mut self, text: &str) -> &mut Self {
        for byte in text.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                self.0.push(char::from(byte));
            } else {
                let _ = write!(self.0, "%{byte:02X}");
            }
        }
        self
    }

    /// A part that was made before.
    pub(super) fn append(&mut self, part: &Self) -> &mut Self {
        self.0.push_str(&part.0);
        self
    }

    /// What was made so far.
    pub(super) fn as_str(&self) -> &str {
        &self.0
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

    #[test]
    fn part_of_a_url_stays_that() {
        let mut html = Html::default();
        html.markup("/?q=").url_part("a b&c=\"é\"/..");
        assert_eq!(html.into_string(), "/?q=a%20b%26c%3D%22%C3%A9%22%2F..");
    }
}
