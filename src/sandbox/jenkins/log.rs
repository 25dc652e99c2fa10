//! A text that grows at its end, such as the log of a build. When it is too long it loses its beginning; places in it keep
//! their numbers.

/// The most that is kept, in bytes.
const LONGEST: usize = 128 * 1024;

/// A log.
#[derive(Debug, Default)]
pub(super) struct Log {
    text: String,
    dropped: usize,
}

impl Log {
    /// Adds text.
    pub(super) fn add(&mut self, text: &str) {
        self.text.push_str(text);
        if self.text.len() <= LONGEST {
            return;
        }
        let least = self.text.len().saturating_sub(LONGEST / 2);
        let cut = self.text.char_indices().map(|(at, _)| at).find(|at| *at >= least);
        let cut = cut.unwrap_or(self.text.len());
        self.text.drain(..cut);
        self.dropped = self.dropped.saturating_add(cut);
    }

    /// Adds a line with the time, as the log of an agent has them.
    pub(super) fn line(&mut self, text: &str) {
        let now = chrono::Local::now().format("%m/%d/%y %H:%M:%S");
        self.add(&format!("[{now}] {text}\n"));
    }

    /// How long the text is with what was dropped.
    pub(super) fn size(&self) -> usize {
        self.dropped.saturating_add(self.text.len())
    }

    /// What is kept of the text from a place on.
    pub(super) fn since(&self, start: usize) -> &str {
        let from = start.saturating_sub(self.dropped);
        (from..self.text.len()).find_map(|at| self.text.get(at..)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_still_counts() {
        let mut log = Log::default();
        log.add("first\n");
        for _ in 0..LONGEST {
            log.add("ä");
        }
        assert_eq!(log.size(), "first\n".len() + 2 * LONGEST);
        assert!(log.since(0).len() <= LONGEST);
        assert_eq!(log.since(log.size() - 2), "ä");
        assert_eq!(log.since(log.size() - 1), "", "the middle of a character is no place");
        assert_eq!(log.since(usize::MAX), "");
    }
}
