//! What a build prints while it goes on, until it ends: `nodepool image-update --follow`.
//!
//! It only reads: ended by Ctrl-C, it leaves the build alone.

use std::io::Write as _;
use std::time::Duration;

use serde::Serialize;

use super::session::now;
use super::wish::Answer;
use super::{Failure, Session, rfc3339, table};
use crate::model::{Image, ImageId, ImageState, Timestamp, WishId};
use crate::store::{BuildLine, HistoryLine, Subject};

/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(200);

/// The most lines of a log, and of a history, that one look takes.
const AT_ONCE: u32 = 1000;

/// A line of the log of a build.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct LineView {
    number: i64,
    time: String,
    step: String,
    line: String,
}

/// A build that is followed.
pub(super) struct Build {
    id: ImageId,
    name: String,
    /// The last line that was shown, of the log and of the history.
    shown: i64,
    told: i64,
}

/// How a build ended: why it failed, if it did.
type End = Result<(), String>;

impl LineView {
    pub(super) fn new(line: &BuildLine) -> Self {
        Self {
            number: line.number,
            time: rfc3339(line.at),
            step: line.step.clone(),
            line: table::one_line(&line.text).into_owned(),
        }
    }

    pub(super) fn text(&self) -> String {
        format!("{} {:<8} {}\n", self.time, self.step, self.line)
    }
}

/// Says which lines are missing before `line`, when the last one before it was the one of the number `last`.
pub(super) fn gap(last: i64, line: &BuildLine) -> Option<String> {
    let missing = line.number.saturating_sub(last).saturating_sub(1);
    match (missing, last) {
        (..1, _) => None,
        (_, 0) => Some(format!(
            "({missing} lines are not here: of each build the newest {} lines or {} MiB are kept)\n",
            crate::store::MOST_LINES,
            crate::store::MOST_BYTES >> 20
        )),
        _ => Some(format!("({missing} lines are not here: they came faster than they could be kept)\n")),
    }
}

/// Waits until the daemon has begun the build that a wish asked for. `asked` is a moment before that wish.
pub(super) async fn begun(
    session: &Session,
    (provider, image): (&str, &str),
    asked: Timestamp,
    answer: Answer,
    wish: WishId,
) -> Result<Build, Failure> {
    let mut answer = answer;
    let mut told = false;
    loop {
        match answer {
            Answer::Granted(_) => break,
            Answer::Refused(why) => {
                return Err(Failure::refused(why, "`nodepool image-list` shows the images"));
            }
            Answer::Open(why) if !session.daemon_is_alive().await? => {
                return Err(Failure::refused(
                    why,
                    "start nodepoold; there is nothing to follow until it runs",
                ));
            }
            Answer::Open(why) => {
                if !told {
                    session
                        .console
                        .note(&format!("{why}; waiting for the build of {image} at {provider} to begin"));
                    told = true;
                }
                tokio::time::sleep(PAUSE).await;
                answer = session.outcome(wish).await?.unwrap_or(Answer::Open(String::new()));
            }
        }
    }
    let images = session.store.images().await?;
    let newest = images
        .iter()
        .filter(|row| row.provider == provider && row.image == image)
        .filter(|row| matches!(row.state, ImageState::Building(_)) || row.created >= asked)
        .max_by_key(|row| row.id);
    match newest {
        Some(row) => Ok(Build { id: row.id, name: format!("{provider}/{image}"), shown: 0, told: 0 }),
        None => Err(Failure::refused(
            format!("the build of {image} at {provider} is over already"),
            "`nodepool image-list` shows whether there is a new image; `nodepool history --image ID` what happened",
        )),
    }
}

/// Shows what the builds print until all of them have ended.
///
/// # Errors
/// One of them failed.
pub(super) async fn follow(session: &Session, mut builds: Vec<Build>) -> Result<(), Failure> {
    let several = builds.len() > 1;
    let mut failed = Vec::new();
    while !builds.is_empty() {
        let mut going = Vec::new();
        for mut build in builds {
            // The state first: what was printed before it was so is in the log when it is read after that.
            let row = session.store.image(build.id).await?;
            build.show(session, several).await?;
            match build.end(session, row.as_ref()).await? {
                None => going.push(build),
                Some(end) => {
                    build.tell_end(&end)?;
                    failed.extend(end.err().map(|why| (build.id, why)));
                }
            }
        }
        builds = going;
        if !builds.is_empty() {
            if !session.daemon_is_alive().await? {
                return Err(Failure::refused(
                    "nodepoold does not run any more; the build goes on when it does",
                    "start nodepoold; `nodepool image-log ID` shows what was printed",
                ));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
    match failed.as_slice() {
        [] => Ok(()),
        [(id, why), ..] => Err(Failure::refused(
            format!("image {id} was not built: {why}"),
            format!(
                "`nodepool history --image {id}` shows each step; `nodepool image-log {id}` what was printed"
            ),
        )),
    }
}

impl Build {
    /// Prints the lines that are new, those of the history in their places among those of the log.
    async fn show(&mut self, session: &Session, several: bool) -> Result<(), Failure> {
        let prefix = if several { format!("{} ", self.name) } else { String::new() };
        let mut steps: Vec<HistoryLine> = session.store.history(Subject::Image(self.id), AT_ONCE).await?;
        steps.retain(|line| line.id > self.told);
        let mut steps = steps.into_iter().peekable();
        loop {
            let lines = session.store.build_lines(self.id, self.shown, AT_ONCE).await?;
            let more = lines.len() >= usize::try_from(AT_ONCE).unwrap_or(usize::MAX);
            for line in &lines {
                while let Some(step) = steps.next_if(|step| step.note.at <= line.at) {
                    self.tell_step(&prefix, &step)?;
                }
                if let Some(gap) = gap(self.shown, line) {
                    print(&format!("{prefix}{gap}"))?;
                }
                print(&format!("{prefix}{}", LineView::new(line).text()))?;
                self.shown = line.number;
            }
            if !more {
                break;
            }
        }
        for step in steps {
            self.tell_step(&prefix, &step)?;
        }
        Ok(())
    }

    /// A step of the build; facts that are recorded within a step are not shown.
    fn tell_step(&mut self, prefix: &str, line: &HistoryLine) -> Result<(), Failure> {
        self.told = line.id;
        let note = &line.note;
        if note.from == note.to {
            return Ok(());
        }
        let (time, reason) = (rfc3339(note.at), table::one_line(&note.reason));
        print(&format!("{prefix}{time} -------- {}: {reason}\n", note.to))
    }

    /// Whether it has ended.
    async fn end(&self, session: &Session, row: Option<&Image>) -> Result<Option<End>, Failure> {
        Ok(match row {
            Some(Image { state: ImageState::Building(_), .. }) => None,
            Some(Image { state: ImageState::Ready, .. }) => Some(Ok(())),
            Some(row) => Some(Err(row.reason.clone())),
            // It went away between two looks: its history tells how.
            None => {
                let history = session.store.history(Subject::Image(self.id), AT_ONCE).await?;
                let was_ready = history.iter().any(|line| line.note.to == ImageState::Ready.word());
                let doomed = history.into_iter().find(|line| line.note.to == ImageState::Delete.word());
                let why = doomed.map_or_else(|| "it is gone".to_owned(), |line| line.note.reason);
                Some(if was_ready { Ok(()) } else { Err(why) })
            }
        })
    }

    fn tell_end(&self, end: &End) -> Result<(), Failure> {
        let Self { id, name, .. } = self;
        let time = rfc3339(now());
        match end {
            Ok(()) => print(&format!("{time} image {id} ({name}) is ready\n")),
            Err(_) => print(&format!("{time} image {id} ({name}) was not built\n")),
        }
    }
}

fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}
