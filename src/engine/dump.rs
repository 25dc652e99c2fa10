//! Everything that is waited for, as text for a person: the answer to USR2.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use super::Engine;
use crate::model::{Timestamp, Wish};
use crate::plan::{Errand, Subject, Tries, TryEnd};
use crate::telemetry::LastTick;

impl Engine {
    /// What every errand waits for and since when, what is not done and why, and how the lanes to the clouds stand.
    pub(super) async fn dump(
        &self,
        now: Timestamp,
        deadlines: &BTreeMap<Errand, Timestamp>,
        last: &LastTick,
    ) -> String {
        let mut text = String::new();
        // Writing into a String does not fail.
        let _ = self.write_dump(&mut text, now, deadlines, last, self.store.open_wishes().await);
        text
    }

    fn write_dump(
        &self,
        text: &mut String,
        now: Timestamp,
        deadlines: &BTreeMap<Errand, Timestamp>,
        last: &LastTick,
        wishes: Result<Vec<Wish>, crate::store::StoreError>,
    ) -> fmt::Result {
        let seconds = |since: Timestamp| now.since(since).as_secs_f32();
        writeln!(text, "engine: last tick {:.1} s ago", seconds(last.at))?;
        if let Some(trouble) = &last.trouble {
            writeln!(text, "  trouble: {trouble}")?;
        }
        writeln!(text, "errands under way: {}", self.memory.in_flight.len())?;
        for (errand, since) in &self.memory.in_flight {
            let place = errand.paced_by().map_or_else(String::new, |provider| format!(" at {provider}"));
            let left = deadlines.get(errand).map(|deadline| deadline.since(now).as_secs_f32());
            let left = left.map_or_else(|| "none known".to_owned(), |left| format!("in {left:.1} s"));
            writeln!(text, "  {}{place}: since {:.1} s, deadline {left}", named(errand), seconds(*since))?;
            if errand.is_visit() {
                match self.memory.steps.get(errand) {
                    Some((step, since)) => writeln!(text, "    {step}, since {:.1} s", seconds(*since))?,
                    None => writeln!(text, "    connects over ssh")?,
                }
            }
        }
        // What the cloud accepted waits for its listing, and the refusals of the plan say so as long as a row does.
        let in_vain = |tries: &Tries| tries.last_end != TryEnd::Accepted;
        let count = self.memory.tries.values().filter(|tries| in_vain(tries)).count();
        let accepted = self.memory.tries.len().saturating_sub(count);
        writeln!(text, "errands that were tried in vain: {count}, and {accepted} that were accepted lately")?;
        for (errand, tries) in self.memory.tries.iter().filter(|(_, tries)| in_vain(tries)) {
            let what = match tries.last_end {
                TryEnd::Accepted => "accepted by the cloud",
                TryEnd::Busy => "a job is in the way",
                TryEnd::Failed => "failed",
            };
            let ago = seconds(tries.last);
            writeln!(text, "  {}: {what}, {} in a row, last {ago:.1} s ago", named(errand), tries.count)?;
        }
        self.write_lanes(text, now)?;
        match wishes {
            Err(error) => writeln!(text, "open wishes: unknown: {error}")?,
            Ok(wishes) => {
                writeln!(text, "open wishes: {}", wishes.len())?;
                for wish in wishes {
                    writeln!(text, "  {}: {:?}, since {:.1} s", wish.id.0, wish.kind, seconds(wish.created))?;
                }
            }
        }
        writeln!(text, "refusals of the plan: {}", last.plan.refusals.len())?;
        for refusal in &last.plan.refusals {
            writeln!(text, "  {}: {}", About(&refusal.subject), refusal.reason)?;
        }
        Ok(())
    }

    fn write_lanes(&self, text: &mut String, now: Timestamp) -> fmt::Result {
        writeln!(text, "lanes: {}", self.memory.clouds.len())?;
        for (provider, cloud) in &self.memory.clouds {
            let ago = |moment: Option<Timestamp>| {
                moment.map_or_else(
                    || "never".to_owned(),
                    |at| format!("{:.1} s ago", now.since(at).as_secs_f32()),
                )
            };
            writeln!(
                text,
                "  {provider}: servers read {}, all of them {}; images {}; keypairs {}; next call {}",
                ago(cloud.servers.began),
                ago(cloud.servers.complete),
                ago(cloud.images.complete),
                ago(cloud.keypairs.complete),
                self.memory.next_call(provider, now),
            )?;
            let troubles = [&cloud.servers.trouble, &cloud.images.trouble, &cloud.keypairs.trouble];
            for trouble in troubles.into_iter().flatten() {
                writeln!(text, "    trouble: {trouble}")?;
            }
        }
        Ok(())
    }
}

/// An errand by its purpose and the row that it is for.
fn named(errand: &Errand) -> String {
    let row = match (errand.node(), errand.image()) {
        (Some(node), _) => format!("node {node}: "),
        (None, Some(image)) => format!("image {image}: "),
        (None, None) => String::new(),
    };
    format!("{row}{}", errand.purpose())
}

struct About<'a>(&'a Subject);

impl fmt::Display for About<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Subject::Node(id) => write!(f, "node {id}"),
            Subject::Image(id) => write!(f, "image {id}"),
            Subject::Label(name) => write!(f, "label {name}"),
            Subject::Provider(name) => write!(f, "provider {name}"),
            Subject::Target(name) => write!(f, "target {name}"),
            Subject::ProviderImage(provider, image) => write!(f, "image {image} of {provider}"),
        }
    }
}
