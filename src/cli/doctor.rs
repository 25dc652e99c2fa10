//! `nodepool doctor`: what was found on each leg, and what to do.

use serde::Serialize;

use super::session::now;
use super::{Console, Failure, Session, Table};
use crate::doctor::{End, Finding, Known, Verdict};
use crate::model::counted;
use crate::store::ENGINE_LEASE;

/// What to look at.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// Also boot a server at each provider from its newest image, log in to it and delete it
    #[arg(long)]
    pub boot: bool,
}

/// A finding as it is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
struct FindingView {
    leg: String,
    check: String,
    verdict: &'static str,
    text: String,
    /// `here`, `between` or `there`.
    end: Option<&'static str>,
    next: Option<String>,
}

/// What the store knows, and how the store is. A store that cannot be opened is a finding like others.
pub async fn known(session: &Result<Session, Failure>) -> (Known, Vec<Finding>) {
    let leg = "store".to_owned();
    let finding = |check: &str, verdict, text: String, end, next: Option<&str>| Finding {
        leg: leg.clone(),
        check: check.to_owned(),
        verdict,
        text,
        end,
        next: next.map(str::to_owned),
    };
    let session = match session {
        Ok(session) => session,
        Err(failure) => {
            let next = failure.next.as_deref();
            let wrong = finding("opened", Verdict::Wrong, failure.what.clone(), Some(End::Here), next);
            return (Known::default(), vec![wrong]);
        }
    };
    match read(session).await {
        Err(failure) => {
            let next = failure.next.as_deref();
            let wrong = finding("read", Verdict::Wrong, failure.what.clone(), Some(End::Here), next);
            (Known::default(), vec![wrong])
        }
        Ok((known, holder)) => {
            let place = session.place().map_or_else(String::new, |place| format!(" in {place}"));
            let nodes = counted(known.nodes.len(), "node", "nodes");
            let text = format!("{nodes}, {}{place}", counted(known.images.len(), "image", "images"));
            let read = finding("read", Verdict::Good, text, None, None);
            let none = || {
                let text = "no nodepoold works on it".to_owned();
                finding("daemon", Verdict::Wrong, text, Some(End::Here), Some("start nodepoold"))
            };
            let works = |holder: String| {
                finding("daemon", Verdict::Good, format!("{holder} works on it"), None, None)
            };
            let alive = holder.map_or_else(none, works);
            (known, vec![read, alive])
        }
    }
}

async fn read(session: &Session) -> Result<(Known, Option<String>), Failure> {
    let store = &session.store;
    let lease = store.lease(ENGINE_LEASE).await?.filter(|lease| lease.expires > now());
    let known = Known {
        nodes: store.nodes().await?,
        images: store.images().await?,
        installation: store.installation().await?,
    };
    Ok((known, lease.map(|lease| lease.holder)))
}

/// Prints what was found.
///
/// # Errors
/// When something is wrong, so that scripts see it.
pub fn show(console: Console, found: &[Finding]) -> Result<(), Failure> {
    let views: Vec<FindingView> = found.iter().map(FindingView::new).collect();
    console.rows(|| table(&views), || views.clone())?;
    let wrong = found.iter().filter(|finding| finding.verdict == Verdict::Wrong).count();
    if wrong == 0 {
        return Ok(());
    }
    let next = "the column Next says what to do about each; end `here` is this machine and its configuration";
    Err(Failure::refused(format!("{wrong} of {} checks found something wrong", found.len()), next))
}

impl FindingView {
    fn new(finding: &Finding) -> Self {
        Self {
            leg: finding.leg.clone(),
            check: finding.check.clone(),
            verdict: finding.verdict.word(),
            text: finding.text.clone(),
            end: finding.end.map(End::word),
            next: finding.next.clone(),
        }
    }
}

fn table(views: &[FindingView]) -> Table {
    let mut table = Table::new(["Leg", "Check", "Verdict", "Found", "End", "Next"]);
    for view in views {
        let text = |text: &str| Some(text.to_owned());
        let end = view.end.map(str::to_owned);
        let cells = [text(&view.leg), text(&view.check), text(view.verdict), text(&view.text), end];
        table.row(cells.into_iter().chain([view.next.clone()]));
    }
    table
}
