//! How the sandbox behaves: how long things take, what its quota is, and what goes wrong.
//!
//! One typed structure, read from a file (JSON or YAML), from flags, and over HTTP while the sandbox runs.
//! Every random choice is drawn from one seeded generator, so that a run can be repeated.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::jenkins::faults::JenkinsFaults;
use super::operation::Operation;
use super::settings::ZONES;

/// How the cloud behaves. Every field has a default: an empty document is a quick cloud without faults.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Faults {
    /// Start of the random numbers. Setting it starts them again.
    pub seed: u64,
    /// From the answer to a create until the server is ACTIVE.
    pub boot_seconds: Span,
    /// From ACTIVE until the server's address is listed.
    pub address_seconds: Span,
    /// From ACTIVE until the server answers ssh.
    pub ssh_seconds: Span,
    /// From the answer to a delete until the server is gone.
    pub delete_seconds: Span,
    /// From ACTIVE until the host keys are on the console.
    pub console_seconds: Span,
    /// From the making of a floating IP until it is listed among its server's addresses.
    pub floating_ip_seconds: Span,
    /// From the answer to a snapshot until the image is active.
    pub snapshot_seconds: Span,
    /// Listings of servers show the cloud as it was this long ago (at most 600 s).
    pub listing_lag_seconds: f64,
    /// What the project may use.
    pub quota: Quota,
    /// Creates that are accepted and then end in ERROR.
    pub boot_error: Failure,
    /// The same for the servers in one availability zone, by its name.
    pub zone_errors: BTreeMap<String, Failure>,
    /// Snapshots that are accepted and whose image then goes away.
    pub snapshot_error: Failure,
    /// Servers that become ACTIVE and refuse ssh connections for ever.
    pub ssh_never: Failure,
    /// Servers that become ACTIVE, take ssh connections and never say a word on them.
    pub ssh_mute: Failure,
    /// Servers whose ports stay when they are deleted, as after a deletion during which Nova could not reach Neutron.
    pub port_left: Failure,
    /// Servers whose volume stays when they are deleted: detached, `available`, and nobody's.
    pub volume_left: Failure,
    /// Answers that go wrong. The first entry that strikes is used.
    pub answers: Vec<AnswerFault>,
    /// The same for the Jenkins beside the cloud.
    pub jenkins: JenkinsFaults,
}

impl Default for Faults {
    fn default() -> Self {
        Faults {
            seed: 1,
            boot_seconds: Span::Fixed(1.0),
            address_seconds: Span::Fixed(0.0),
            ssh_seconds: Span::Fixed(0.0),
            console_seconds: Span::Fixed(0.0),
            floating_ip_seconds: Span::Fixed(0.0),
            delete_seconds: Span::Fixed(0.2),
            snapshot_seconds: Span::Fixed(0.5),
            listing_lag_seconds: 0.0,
            quota: Quota::default(),
            boot_error: Failure { text: "No valid host was found. ".into(), ..Failure::default() },
            zone_errors: BTreeMap::new(),
            snapshot_error: Failure::default(),
            ssh_never: Failure::default(),
            ssh_mute: Failure::default(),
            port_left: Failure::default(),
            volume_left: Failure::default(),
            answers: Vec::new(),
            jenkins: JenkinsFaults::default(),
        }
    }
}

/// A time in seconds: a number, or `{min, max}` for an even spread.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Span {
    /// Always the same.
    Fixed(f64),
    /// Anything between, evenly.
    Between(Range),
}

/// The ends of a spread, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// The least.
    pub min: f64,
    /// The most.
    pub max: f64,
}

/// What the project may use; -1 is no limit, as Nova writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Quota {
    /// Servers.
    pub instances: i64,
    /// Virtual processors of all servers.
    pub cores: i64,
    /// Memory of all servers, in MiB.
    pub ram_mb: i64,
    /// Floating IPs.
    pub floating_ips: i64,
}

impl Default for Quota {
    fn default() -> Self {
        Quota { instances: 200, cores: 1000, ram_mb: 4_096_000, floating_ips: 50 }
    }
}

/// Something that happens to the next `count` occasions, and after those to a share `rate` of the others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Failure {
    /// The next so many times, surely. Counts down.
    pub count: u64,
    /// Then this share of the times, 0.0 to 1.0.
    pub rate: f64,
    /// What the fault says where a text is shown.
    pub text: String,
}

/// One way in which answers go wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AnswerFault {
    /// Which requests; all of the four services when left out. The sandbox's own controls are spared.
    #[serde(default)]
    pub operation: Option<Operation>,
    /// What happens to the answer.
    pub answer: Wrong,
    /// The next so many requests, surely. Counts down.
    #[serde(default)]
    pub count: u64,
    /// Then this share of the requests, 0.0 to 1.0.
    #[serde(default)]
    pub rate: f64,
}

/// What happens to an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum Wrong {
    /// The request is done, and the connection is cut before the answer.
    Lost,
    /// The request is done, and the answer comes later.
    Late(Late),
    /// The request is not done, and this status is the answer.
    Status(Status),
}

/// An answer that takes its time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Late {
    /// How much later.
    pub milliseconds: u64,
}

/// An answer that refuses.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Status {
    /// The HTTP status, 400 to 599.
    pub code: u16,
    /// The `Retry-After` header.
    #[serde(default)]
    pub retry_after_seconds: Option<u64>,
    /// The text of the error; a usual one when left out.
    #[serde(default)]
    pub message: Option<String>,
}

/// Why a set of faults was not taken.
#[derive(Debug, thiserror::Error)]
pub enum FaultsError {
    /// Not a document of the right shape.
    #[error("{0}")]
    Shape(String),
    /// A number out of its bounds.
    #[error("{field}: {reason}")]
    Bounds {
        /// Where.
        field: String,
        /// What is allowed.
        reason: &'static str,
    },
}

/// No wait that the sandbox makes is longer: a day.
const LONGEST_SECONDS: f64 = 86_400.0;

impl Faults {
    /// Reads JSON or YAML (JSON is YAML) and checks every bound.
    pub fn from_text(text: &str) -> Result<Faults, FaultsError> {
        let faults: Faults =
            serde_yaml::from_str(text).map_err(|error| FaultsError::Shape(error.to_string()))?;
        faults.check()
    }

    /// This, with the fields of `patch` laid over it (RFC 7396: objects merge, anything else replaces).
    pub fn patched(&self, patch: &serde_json::Value) -> Result<Faults, FaultsError> {
        let shape = |error: serde_json::Error| FaultsError::Shape(error.to_string());
        let mut whole = serde_json::to_value(self).map_err(shape)?;
        merge(&mut whole, patch);
        serde_json::from_value::<Faults>(whole).map_err(shape)?.check()
    }

    /// This, with one `KEY=VALUE` laid over it, where KEY is a path with dots and VALUE is YAML.
    pub fn with_setting(&self, setting: &str) -> Result<Faults, FaultsError> {
        let (key, value) = setting
            .split_once('=')
            .ok_or_else(|| FaultsError::Shape(format!("{setting}: expected KEY=VALUE")))?;
        let value: serde_json::Value =
            serde_yaml::from_str(value).map_err(|error| FaultsError::Shape(format!("{key}: {error}")))?;
        let patch = key.split('.').rev().fold(value, |inner, part| serde_json::json!({ part: inner }));
        self.patched(&patch)
    }

    fn check(self) -> Result<Faults, FaultsError> {
        let spans = [
            ("boot-seconds", self.boot_seconds),
            ("address-seconds", self.address_seconds),
            ("ssh-seconds", self.ssh_seconds),
            ("delete-seconds", self.delete_seconds),
            ("snapshot-seconds", self.snapshot_seconds),
            ("console-seconds", self.console_seconds),
            ("floating-ip-seconds", self.floating_ip_seconds),
        ];
        for (field, span) in spans.into_iter().chain(self.jenkins.spans()) {
            let (min, max) = span.ends();
            if !(0.0..=LONGEST_SECONDS).contains(&min) || !(min..=LONGEST_SECONDS).contains(&max) {
                return Err(bounds(field, "0 to 86400 seconds, min not above max"));
            }
        }
        if !(0.0..=600.0).contains(&self.listing_lag_seconds) {
            return Err(bounds("listing-lag-seconds", "0 to 600 seconds"));
        }
        let rates = [
            ("boot-error", self.boot_error.rate),
            ("snapshot-error", self.snapshot_error.rate),
            ("ssh-never", self.ssh_never.rate),
            ("ssh-mute", self.ssh_mute.rate),
            ("port-left", self.port_left.rate),
            ("volume-left", self.volume_left.rate),
        ];
        let answers = self.answers.iter().map(|fault| ("answers", fault.rate));
        let zones = self.zone_errors.values().map(|failure| ("zone-errors", failure.rate));
        if self.zone_errors.keys().any(|zone| !ZONES.contains(&zone.as_str())) {
            return Err(bounds("zone-errors", "the zones are nova and nova-2"));
        }
        for (field, rate) in rates.into_iter().chain(answers).chain(zones).chain(self.jenkins.rates()) {
            if !(0.0..=1.0).contains(&rate) {
                return Err(bounds(field, "a rate is 0.0 to 1.0"));
            }
        }
        for fault in &self.answers {
            match &fault.answer {
                Wrong::Status(status) if !(400..=599).contains(&status.code) => {
                    return Err(bounds("answers", "a status code is 400 to 599"));
                }
                Wrong::Late(late) if late.milliseconds > 86_400_000 => {
                    return Err(bounds("answers", "at most a day late"));
                }
                Wrong::Lost | Wrong::Late(_) | Wrong::Status(_) => {}
            }
        }
        Ok(self)
    }
}

fn bounds(field: &str, reason: &'static str) -> FaultsError {
    FaultsError::Bounds { field: field.into(), reason }
}

fn merge(whole: &mut serde_json::Value, patch: &serde_json::Value) {
    match (whole.as_object_mut(), patch.as_object()) {
        (Some(fields), Some(changes)) => {
            for (key, change) in changes {
                merge(fields.entry(key.clone()).or_insert(serde_json::Value::Null), change);
            }
        }
        _ => *whole = patch.clone(),
    }
}

impl Span {
    fn ends(self) -> (f64, f64) {
        match self {
            Span::Fixed(seconds) => (seconds, seconds),
            Span::Between(range) => (range.min, range.max),
        }
    }
}

/// How a server's ssh port behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ssh {
    /// As it should.
    Answers,
    /// Connections are refused.
    Refuses,
    /// Connections are taken, and nothing is said.
    IsMute,
}

/// The faults in force and the random numbers behind them.
#[derive(Debug)]
pub struct Dice {
    faults: Faults,
    state: u64,
}

impl Dice {
    /// Starts with these faults and their seed.
    pub fn new(faults: Faults) -> Self {
        Dice { state: faults.seed, faults }
    }

    /// The faults in force, their counts as far as they have run down.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Puts other faults in force. The random numbers go on unless the seed is another one.
    pub fn replace(&mut self, faults: Faults) {
        if faults.seed != self.faults.seed {
            self.state = faults.seed;
        }
        self.faults = faults;
    }

    /// Draws a time.
    pub fn duration(&mut self, pick: impl Fn(&Faults) -> Span) -> Duration {
        let (min, max) = pick(&self.faults).ends();
        let seconds = min + (max - min) * self.fraction();
        Duration::try_from_secs_f64(seconds).unwrap_or_default()
    }

    /// Whether the boot of a server in this zone fails, and with which text.
    pub fn boot_error(&mut self, zone: &str) -> Option<String> {
        let usual = Faults::default().boot_error.text;
        let in_zone = self.fraction();
        if let Some(failure) = self.faults.zone_errors.get_mut(zone)
            && strikes(&mut failure.count, failure.rate, in_zone)
        {
            return Some(if failure.text.is_empty() { usual } else { failure.text.clone() });
        }
        let draw = self.fraction();
        let failure = &mut self.faults.boot_error;
        strikes(&mut failure.count, failure.rate, draw).then(|| failure.text.clone())
    }

    /// Whether this failure happens now.
    pub fn strikes(&mut self, pick: impl FnOnce(&mut Faults) -> &mut Failure) -> bool {
        let draw = self.fraction();
        let failure = pick(&mut self.faults);
        strikes(&mut failure.count, failure.rate, draw)
    }

    /// Whether this snapshot fails.
    pub fn snapshot_error(&mut self) -> bool {
        self.strikes(|faults| &mut faults.snapshot_error)
    }

    /// Whether the ports of a server stay when it is deleted, and whether its volume does.
    pub fn left_behind(&mut self) -> (bool, bool) {
        (self.strikes(|faults| &mut faults.port_left), self.strikes(|faults| &mut faults.volume_left))
    }

    /// How this server's ssh behaves.
    pub fn ssh(&mut self) -> Ssh {
        let (never, mute) = (self.fraction(), self.fraction());
        let faults = &mut self.faults;
        if strikes(&mut faults.ssh_never.count, faults.ssh_never.rate, never) {
            Ssh::Refuses
        } else if strikes(&mut faults.ssh_mute.count, faults.ssh_mute.rate, mute) {
            Ssh::IsMute
        } else {
            Ssh::Answers
        }
    }

    /// What goes wrong with the answer to this request, if anything.
    pub fn answer(&mut self, operation: Operation) -> Option<Wrong> {
        for index in 0..self.faults.answers.len() {
            let draw = self.fraction();
            let Some(fault) = self.faults.answers.get_mut(index) else { break };
            let meant = fault.operation.is_none_or(|only| only == operation);
            if meant && strikes(&mut fault.count, fault.rate, draw) {
                return Some(fault.answer.clone());
            }
        }
        None
    }

    /// The next random number from 0 up to 1: SplitMix64, which is small and good enough for chances.
    fn fraction(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        let top = u32::try_from(mixed >> 32).unwrap_or(u32::MAX);
        f64::from(top) / (f64::from(u32::MAX) + 1.0)
    }
}

fn strikes(count: &mut u64, rate: f64, draw: f64) -> bool {
    if *count > 0 {
        *count = count.saturating_sub(1);
        return true;
    }
    draw < rate
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_yaml_and_json_and_refuses_what_it_does_not_know() {
        let faults = Faults::from_text("boot-seconds: {min: 1, max: 3}\nquota: {instances: 5}\n").unwrap();
        assert_eq!(faults.boot_seconds, Span::Between(Range { min: 1.0, max: 3.0 }));
        assert_eq!(faults.quota.instances, 5);
        let json = r#"{"answers": [{"operation": "server-create", "answer": "lost", "count": 1}]}"#;
        assert_eq!(Faults::from_text(json).unwrap().answers.len(), 1);
        assert!(Faults::from_text("boot-second: 1").is_err());
        assert!(Faults::from_text("answers: [{operation: no-such, answer: lost}]").is_err());
        assert!(Faults::from_text("boot-seconds: {min: 3, max: 1}").is_err());
        assert!(Faults::from_text("boot-error: {rate: 1.5}").is_err());
    }

    #[test]
    fn a_setting_reaches_into_the_structure() {
        let faults = Faults::default().with_setting("quota.instances=3").unwrap();
        assert_eq!(faults.quota, Quota { instances: 3, ..Quota::default() });
        let faults = faults.with_setting("answers=[{answer: {status: {code: 503}}, rate: 0.5}]").unwrap();
        assert!(matches!(&faults.answers.first().unwrap().answer, Wrong::Status(s) if s.code == 503));
        assert!(faults.with_setting("quota.instance=3").is_err());
        assert!(faults.with_setting("quota").is_err());
    }

    #[test]
    fn one_zone_fails_and_the_other_does_not() {
        let faults = Faults::from_text("zone-errors: {nova-2: {rate: 1.0}}").unwrap();
        let mut dice = Dice::new(faults);
        assert_eq!(dice.boot_error("nova-2").as_deref(), Some("No valid host was found. "));
        assert_eq!(dice.boot_error("nova"), None);
        assert!(Faults::from_text("zone-errors: {nowhere: {rate: 1.0}}").is_err());
    }

    #[test]
    fn a_count_runs_down_and_a_rate_is_kept_and_repeatable() {
        let faults = Faults::default()
            .with_setting("answers=[{operation: server-create, answer: lost, count: 2, rate: 0.25}]")
            .unwrap();
        let run = || {
            let mut dice = Dice::new(faults.clone());
            (0..4000).map(|_| dice.answer(Operation::ServerCreate).is_some()).collect::<Vec<_>>()
        };
        let (first, again) = (run(), run());
        assert_eq!(first, again);
        assert_eq!(&first[..2], [true, true]);
        let struck = first.iter().filter(|hit| **hit).count();
        assert!((900..1100).contains(&struck), "{struck} of 4000");
        assert_eq!(Dice::new(faults).answer(Operation::ServerDelete), None);
    }
}
