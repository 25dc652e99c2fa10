//! `nodepool gc`: what carries our mark on the clouds and belongs to no row, and what becomes of it.

use serde::Serialize;

use super::session::now;
use super::several::whole;
use super::{Age, Failure, Session, Table, confirm, rfc3339};
use crate::model::{Fate, Leftover, WishKind, counted};

/// What to do about it.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// Only show what the daemon found, with its evidence
    #[arg(long, conflicts_with_all = ["confirm", "yes"])]
    pub dry_run: bool,
    /// Let a cleanup go on that stopped itself, because it would delete more than the leak-limit allows
    #[arg(long)]
    pub confirm: bool,
    /// With --confirm: do not ask
    #[arg(short, long, requires = "confirm")]
    pub yes: bool,
}

/// One finding.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
struct LeftoverView {
    provider: String,
    kind: &'static str,
    id: String,
    made_for: String,
    first_seen: String,
    listings: u32,
    age_seconds: u64,
    fate: &'static str,
    reason: String,
}

/// Shows what there is, asks the daemon to look for leftovers now, or confirms that they are to go. No cloud is asked by
/// this program.
pub async fn run(session: &Session, arguments: &Arguments) -> Result<(), Failure> {
    let found = session.store.leftovers().await?;
    if arguments.dry_run {
        return show(session, &found);
    }
    let mut problems = Vec::new();
    let wish = if arguments.confirm {
        let stopped: Vec<Leftover> = found.into_iter().filter(|one| one.fate == Fate::Stopped).collect();
        if stopped.is_empty() {
            return Err(Failure::refused(
                "no cleanup is stopped, so there is nothing to confirm",
                "`nodepool gc --dry-run` shows what was left behind and what becomes of it",
            ));
        }
        show(session, &stopped)?;
        if !arguments.yes {
            confirm::insist(&format!("delete {} for good", counted(stopped.len(), "thing", "things")))?;
        }
        WishKind::ConfirmCleanup
    } else {
        WishKind::Cleanup
    };
    for (_id, answer) in session.wishes(&[wish]).await? {
        match answer {
            super::wish::Answer::Granted(done) => session.console.note(&done),
            super::wish::Answer::Open(why) => session.console.note(&why),
            super::wish::Answer::Refused(why) => problems.push(why),
        }
    }
    whole(&problems, "`nodepool gc --dry-run` shows what was left behind and what becomes of it")
}

fn show(session: &Session, found: &[Leftover]) -> Result<(), Failure> {
    let views: Vec<LeftoverView> = found.iter().map(view).collect();
    session.console.rows(|| table(found), || views.clone())
}

fn view(one: &Leftover) -> LeftoverView {
    LeftoverView {
        provider: one.provider.clone(),
        kind: one.kind.word(),
        id: one.id.clone(),
        made_for: one.made_for.clone(),
        first_seen: rfc3339(one.first_seen),
        listings: one.listings,
        age_seconds: now().since(one.first_seen).as_secs(),
        fate: one.fate.word(),
        reason: one.reason.clone(),
    }
}

fn table(found: &[Leftover]) -> Table {
    let mut table =
        Table::new(["Provider", "Kind", "ID", "Made for", "First seen", "Listings", "Age", "Fate", "Reason"]);
    for one in found {
        table.row([
            Some(one.provider.clone()),
            Some(one.kind.word().to_owned()),
            Some(one.id.clone()),
            Some(one.made_for.clone()),
            Some(rfc3339(one.first_seen)),
            Some(one.listings.to_string()),
            Some(Age::Clock.text(now().since(one.first_seen))),
            Some(one.fate.word().to_owned()),
            Some(one.reason.clone()),
        ]);
    }
    table
}
