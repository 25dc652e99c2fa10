//! `nodepool failures`: what failed, equal failures together.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::session::now;
use super::{Failure, Session, Table, rfc3339};
use crate::store::{FailedTry, Subject};

/// Which failures.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// How far to look back
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = super::duration)]
    pub since: Duration,
}

/// Failures with the same fingerprint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct GroupView {
    /// How many there are.
    pub count: usize,
    /// When the last one was, RFC 3339.
    pub last: String,
    /// At which provider.
    pub provider: String,
    /// In which availability zone.
    pub az: Option<String>,
    /// Of which image.
    pub image: String,
    /// At which step.
    pub step: String,
    /// The words of the last one.
    pub message: String,
    /// The node or image of the last one, as `nodepool history` takes it.
    pub example: String,
}

/// Prints the groups, the largest first.
pub async fn run(session: &Session, arguments: &Arguments) -> Result<(), Failure> {
    let failed = session.store.failures_since(now().minus(arguments.since)).await?;
    let views: Vec<GroupView> =
        groups(&failed).into_iter().map(|(count, last)| GroupView::new(count, last)).collect();
    session.console.rows(|| table(&views), || views.clone())
}

/// The step, the place, the image, and the words without what differs from one time to the next.
type Fingerprint<'a> = (&'a str, Option<&'a str>, &'a str, &'a str, String);

/// Equal failures together: how many, and the last one of them; the largest groups first.
pub fn groups(failed: &[FailedTry]) -> Vec<(usize, &FailedTry)> {
    let mut groups: BTreeMap<Fingerprint<'_>, (usize, &FailedTry)> = BTreeMap::new();
    for one in failed {
        let key = (
            one.provider.as_str(),
            one.az.as_deref(),
            one.image.as_str(),
            one.step.as_str(),
            words(&one.message),
        );
        let group = groups.entry(key).or_insert((0, one));
        *group = (group.0.saturating_add(1), one);
    }
    let mut sorted: Vec<(usize, &FailedTry)> = groups.into_values().collect();
    sorted.sort_by_key(|(count, last)| (std::cmp::Reverse(*count), std::cmp::Reverse(last.at)));
    sorted
}

/// The words of a message without numbers, ids and addresses: each of those is `#`.
fn words(message: &str) -> String {
    let plain = |word: &str| {
        let letters = word.trim_matches(|letter: char| !letter.is_alphanumeric());
        if letters.chars().any(|letter| letter.is_ascii_digit()) { "#".to_owned() } else { word.to_owned() }
    };
    message.split_whitespace().map(plain).collect::<Vec<_>>().join(" ")
}

impl GroupView {
    /// The view of a group.
    pub fn new(count: usize, last: &FailedTry) -> Self {
        let example = match last.subject {
            Subject::Node(id) => id.to_string(),
            Subject::Image(id) => format!("--image {id}"),
        };
        Self {
            count,
            last: rfc3339(last.at),
            provider: last.provider.clone(),
            az: last.az.clone(),
            image: last.image.clone(),
            step: last.step.clone(),
            message: last.message.clone(),
            example,
        }
    }
}

fn table(views: &[GroupView]) -> Table {
    let mut table = Table::new(["Count", "Last", "Provider", "AZ", "Image", "Step", "Message", "Example"]);
    for view in views {
        let view = view.clone();
        table.row([
            Some(view.count.to_string()),
            Some(view.last),
            Some(view.provider),
            view.az,
            Some(view.image),
            Some(view.step),
            Some(view.message),
            Some(view.example),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_has_no_numbers() {
        let one = "its server 3f2a-77 is in ERROR: No valid host was found (req-12ab)";
        let other = "its server 99-1 is in ERROR: No valid host was found (req-9)";
        assert_eq!(words(one), words(other));
        assert_ne!(words(one), words("its server 3f2a-77 is in ERROR: out of disk (req-12ab)"));
    }
}
