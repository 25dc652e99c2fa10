//! The terminal while a command has all of it: the other screen, no echo, keys as they are pressed. As it was before in the end,
//! however that comes.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Read as _, Write as _};

use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetwinsize, tcsetattr,
};
use tokio::sync::mpsc;

/// The other screen and no cursor; and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[2J";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// The size that is taken for that of a terminal that does not tell it.
const USUAL: (usize, usize) = (80, 24);

/// How many keys wait to be taken.
const KEYS_WAITING: usize = 16;

/// Standard output as a screen of its own.
#[derive(Debug)]
pub(super) struct Terminal {
    /// The lines as they are drawn.
    drawn: Vec<String>,
    /// How standard input was, if it is a terminal.
    before: Option<Termios>,
}

impl Terminal {
    /// Takes the terminal.
    pub(super) fn take() -> io::Result<Self> {
        let before = if io::stdin().is_terminal() { tcgetattr(io::stdin()).ok() } else { None };
        if let Some(before) = &before {
            let mut keys = before.clone();
            // Ctrl-C stays a signal; Ctrl-Z would leave the other screen to whoever comes next.
            keys.local_modes &= !(LocalModes::ICANON | LocalModes::ECHO);
            keys.special_codes[SpecialCodeIndex::VSUSP] = 0;
            tcsetattr(io::stdin(), OptionalActions::Now, &keys)?;
        }
        let terminal = Self { drawn: Vec::new(), before };
        write(ENTER)?;
        Ok(terminal)
    }

    /// The keys that are pressed from now on; none when standard input is no terminal.
    pub(super) fn keys(&self) -> mpsc::Receiver<u8> {
        let (pressed, keys) = mpsc::channel(KEYS_WAITING);
        if self.before.is_some() {
            // A thread that ends with the process: nothing interrupts a read.
            std::thread::spawn(move || {
                for key in io::stdin().lock().bytes() {
                    let Ok(key) = key else { return };
                    if pressed.blocking_send(key).is_err() {
                        return;
                    }
                }
            });
        }
        keys
    }

    /// Draws lines that fit it. What is there already is not drawn again, so that nothing flickers.
    pub(super) fn draw(&mut self, lines: Vec<String>) -> io::Result<()> {
        // Writing to a text does not fail.
        let mut text = String::new();
        for (row, line) in lines.iter().enumerate() {
            if self.drawn.get(row) != Some(line) {
                let _ = write!(text, "\x1b[{};1H{line}\x1b[K", row.saturating_add(1));
            }
        }
        if self.drawn.len() > lines.len() {
            let _ = write!(text, "\x1b[{};1H\x1b[J", lines.len().saturating_add(1));
        }
        self.drawn = lines;
        if text.is_empty() { Ok(()) } else { write(&text) }
    }

    /// Has everything drawn anew: the terminal has another size now.
    pub(super) fn resized(&mut self) -> io::Result<()> {
        self.drawn.clear();
        write("\x1b[2J")
    }

    /// Columns and rows.
    pub(super) fn size() -> (usize, usize) {
        match tcgetwinsize(io::stdout()) {
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col.into(), size.ws_row.into()),
            Ok(_) | Err(_) => USUAL,
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // If it is gone there is nothing to give back.
        let _ = write(LEAVE);
        if let Some(before) = &self.before {
            let _ = tcsetattr(io::stdin(), OptionalActions::Flush, before);
        }
    }
}

fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
