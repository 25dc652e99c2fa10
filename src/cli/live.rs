//! `nodepool watch`: the pool as it is now, in the size of the terminal, and drawn again when something is different.
//!
//! Rows and history come from the store; demand, quota and pace from the daemon, which alone knows them. Without one the rest
//! is shown. On a pipe it is `nodepool list --watch`: a line for each change.

mod picture;
mod screen;

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use super::list::{self, Filter};
use super::terminal::Terminal;
use super::{Failure, Format, Session, watch};
use crate::config::Config;
use picture::Picture;

/// The pause between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// The keys that end it: q, Q, Escape, and Ctrl-C and Ctrl-D where they come as keys.
const ENDS: [u8; 5] = [b'q', b'Q', 0x1b, 0x03, 0x04];

/// What to watch.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Arguments {
    /// Which nodes.
    #[command(flatten)]
    pub filter: Filter,
}

/// Goes on until it is told to end, or nobody reads any more.
pub async fn run(session: &Session, config: &Config, arguments: &Arguments) -> Result<(), Failure> {
    let nodes = session.store.nodes().await?;
    arguments.filter.check(config, &list::lines_of(&nodes))?;
    if session.console.format() != Format::Table || !io::stdout().is_terminal() {
        let listed = list::Arguments { filter: arguments.filter.clone(), watch: true, ..Default::default() };
        return watch::run(session, &listed, nodes).await;
    }
    let listen = |kind| signal(kind).map_err(Failure::from);
    let ends = Ends {
        interrupt: listen(SignalKind::interrupt())?,
        terminate: listen(SignalKind::terminate())?,
        hangup: listen(SignalKind::hangup())?,
    };
    let resized = listen(SignalKind::window_change())?;
    let mut terminal = Terminal::take()?;
    let keys = terminal.keys();
    tokio::select! {
        () = ends.come(keys) => Ok(()),
        drawn = draw(session, config, arguments, &mut terminal, resized) => drawn,
    }
}

/// What ends it.
struct Ends {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Ends {
    async fn come(mut self, mut keys: mpsc::Receiver<u8>) {
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => return,
                _ = self.terminate.recv() => return,
                _ = self.hangup.recv() => return,
                Some(key) = keys.recv() => if ENDS.contains(&key) {
                    return;
                },
            }
        }
    }
}

/// Looks and draws, over and over.
async fn draw(
    session: &Session,
    config: &Config,
    arguments: &Arguments,
    terminal: &mut Terminal,
    mut resized: Signal,
) -> Result<(), Failure> {
    loop {
        let picture = Picture::take(session, config, &arguments.filter).await?;
        let next = tokio::time::Instant::now().checked_add(PAUSE);
        loop {
            terminal.draw(screen::lines(&picture, Terminal::size(), session.console.colours()))?;
            tokio::select! {
                _ = resized.recv() => terminal.resized()?,
                () = tokio::time::sleep_until(next.unwrap_or_else(tokio::time::Instant::now)) => break,
            }
        }
    }
}
