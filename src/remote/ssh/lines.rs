//! Lines out of the bytes that a command prints, each within a bound.

use crate::remote::Output;

/// The longest line that is passed on, in bytes; the rest of a longer one is dropped.
const LONGEST_LINE: usize = 4096;

/// Cuts one stream of output into lines.
#[derive(Default)]
pub(super) struct Lines {
    line: Vec<u8>,
}

impl Lines {
    /// Takes more bytes and passes on each line that they complete.
    pub(super) fn add(&mut self, bytes: &[u8], output: &mut dyn Output) {
        let mut pieces = bytes.split(|byte| *byte == b'\n').peekable();
        while let Some(piece) = pieces.next() {
            let room = LONGEST_LINE.saturating_sub(self.line.len());
            self.line.extend(piece.iter().take(room));
            if pieces.peek().is_some() {
                self.pass_on(output);
            }
        }
    }

    /// Passes on a last line that has no end.
    pub(super) fn finish(&mut self, output: &mut dyn Output) {
        if !self.line.is_empty() {
            self.pass_on(output);
        }
    }

    /// Control characters are left out: a line goes to logs and terminals, which must not obey the machine.
    fn pass_on(&mut self, output: &mut dyn Output) {
        let text = String::from_utf8_lossy(&self.line);
        let clean: String = text.chars().filter(|char| !char.is_control() || *char == '\t').collect();
        self.line.clear();
        output.line(&clean);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Kept(Vec<String>);

    impl Output for Kept {
        fn line(&mut self, line: &str) {
            self.0.push(line.to_owned());
        }
    }

    #[test]
    fn lines_are_whole_wherever_the_bytes_were_cut() {
        let (mut lines, mut kept) = (Lines::default(), Kept(Vec::new()));
        for piece in ["on", "e\r\n\ntw", "o\nth", "ree \u{1b}[1mx"] {
            lines.add(piece.as_bytes(), &mut kept);
        }
        assert_eq!(kept.0, ["one", "", "two"]);
        lines.finish(&mut kept);
        assert_eq!(kept.0.last().unwrap(), "three [1mx");
    }

    #[test]
    fn a_line_without_end_is_cut() {
        let (mut lines, mut kept) = (Lines::default(), Kept(Vec::new()));
        for _ in 0..10 {
            lines.add(&[b'a'; 1000], &mut kept);
        }
        assert!(kept.0.is_empty() && lines.line.len() == LONGEST_LINE);
        lines.add(b"\nb\n", &mut kept);
        assert_eq!(kept.0.iter().map(String::len).collect::<Vec<_>>(), [4096, 1]);
    }
}
