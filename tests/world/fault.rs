//! What goes wrong in the world, counted by kind: a fault that never happened proves nothing.

use std::collections::BTreeMap;

use super::State;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    CallLost,
    AnswerLost,
    CallHangs,
    CallThrottled,
    ListingStale,
    MadeTwice,
    ServerError,
    ServerStuck,
    ServerMute,
    AddressLate,
    SnapshotFails,
    DeletionSlow,
    DeletionForgotten,
    PortForgotten,
    VolumeForgotten,
    ServerVanishes,
    ServerBreaks,
    ServerLeaked,
    ServerDeaf,
    ProviderCutOff,
    ZoneBroken,
    FlavorBroken,
    ImageLost,
    ImageSpoilt,
    QuotaShrinks,
    FloatingIpLost,
    FloatingIpLeaked,
    ScriptFails,
    ScriptHangs,
    JenkinsHangs,
    JenkinsFails,
    JenkinsAnswerLost,
    JenkinsAway,
    AgentNeverOnline,
    AgentRefused,
    EventDropped,
    EventRepeated,
    EventLate,
    GearmanHangs,
    GearmanFails,
    StoreGone,
    StoreFull,
    StoreBusy,
    Killed,
    DiedBetweenWrites,
    ConfigurationChanges,
}

impl Fault {
    /// All kinds.
    pub const ALL: [Self; 46] = [
        Self::CallLost,
        Self::AnswerLost,
        Self::CallHangs,
        Self::CallThrottled,
        Self::ListingStale,
        Self::MadeTwice,
        Self::ServerError,
        Self::ServerStuck,
        Self::ServerMute,
        Self::AddressLate,
        Self::SnapshotFails,
        Self::DeletionSlow,
        Self::DeletionForgotten,
        Self::PortForgotten,
        Self::VolumeForgotten,
        Self::ServerVanishes,
        Self::ServerBreaks,
        Self::ServerLeaked,
        Self::ServerDeaf,
        Self::ProviderCutOff,
        Self::ZoneBroken,
        Self::FlavorBroken,
        Self::ImageLost,
        Self::ImageSpoilt,
        Self::QuotaShrinks,
        Self::FloatingIpLost,
        Self::FloatingIpLeaked,
        Self::ScriptFails,
        Self::ScriptHangs,
        Self::JenkinsHangs,
        Self::JenkinsFails,
        Self::JenkinsAnswerLost,
        Self::JenkinsAway,
        Self::AgentNeverOnline,
        Self::AgentRefused,
        Self::EventDropped,
        Self::EventRepeated,
        Self::EventLate,
        Self::GearmanHangs,
        Self::GearmanFails,
        Self::StoreGone,
        Self::StoreFull,
        Self::StoreBusy,
        Self::Killed,
        Self::DiedBetweenWrites,
        Self::ConfigurationChanges,
    ];

    /// The kind, in words for a person.
    pub const fn words(self) -> &'static str {
        match self {
            Self::CallLost => "calls that never reach the cloud",
            Self::AnswerLost => "cloud calls that are done, now or later, and whose answer is lost",
            Self::CallHangs => "cloud calls that are never answered",
            Self::CallThrottled => "cloud calls that are refused for their pace",
            Self::ListingStale => "listings that show the past",
            Self::MadeTwice => "create calls that make two servers",
            Self::ServerError => "servers that end in ERROR",
            Self::ServerStuck => "servers that never become ACTIVE",
            Self::ServerMute => "servers that never answer over ssh",
            Self::AddressLate => "addresses that are shown late",
            Self::SnapshotFails => "snapshots that vanish while they are saved",
            Self::DeletionSlow => "deletions that take minutes",
            Self::DeletionForgotten => "deletions that are accepted and never happen",
            Self::PortForgotten => "ports that the cloud forgets when their servers go",
            Self::VolumeForgotten => "volumes that it forgets likewise",
            Self::ServerVanishes => "servers that vanish",
            Self::ServerBreaks => "servers that break later",
            Self::ServerLeaked => "servers with our mark that no row ever asked for",
            Self::ServerDeaf => "ready nodes that answer no longer",
            Self::ProviderCutOff => "times when no node of a provider is reached",
            Self::ZoneBroken => "zones where no server comes up",
            Self::FlavorBroken => "flavors of which no server comes up",
            Self::ImageLost => "snapshots that somebody else deletes",
            Self::ImageSpoilt => "snapshots on whose nodes the ready script fails",
            Self::QuotaShrinks => "quotas that shrink",
            Self::FloatingIpLost => "floating IPs that somebody else deletes",
            Self::FloatingIpLeaked => "floating IPs with our mark that no row ever asked for",
            Self::ScriptFails => "scripts that fail",
            Self::ScriptHangs => "scripts that hang",
            Self::JenkinsHangs => "Jenkins calls that are never answered",
            Self::JenkinsFails => "Jenkins calls that fail",
            Self::JenkinsAnswerLost => "Jenkins calls that are done and whose answer is lost",
            Self::JenkinsAway => "times when Jenkins is away",
            Self::AgentNeverOnline => "agents that never come online",
            Self::AgentRefused => "agents that Jenkins refuses",
            Self::EventDropped => "job events that are lost",
            Self::EventRepeated => "job events that come twice",
            Self::EventLate => "job events that come late, also after later ones",
            Self::GearmanHangs => "Gearman calls that are never answered",
            Self::GearmanFails => "Gearman calls that fail",
            Self::StoreGone => "times when a part of the database can be neither read nor written",
            Self::StoreFull => "times when the database can be read and nothing be written",
            Self::StoreBusy => "times when somebody else keeps the database locked for writes",
            Self::Killed => "daemons killed between two awaits",
            Self::DiedBetweenWrites => "daemons that die between two writes of one tick",
            Self::ConfigurationChanges => "reloads",
        }
    }
}

/// How often each kind happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults(BTreeMap<Fault, u64>);

impl Faults {
    /// It happened once more.
    pub fn count(&mut self, fault: Fault) {
        *self.0.entry(fault).or_default() += 1;
    }

    /// Those of another history as well.
    pub fn add(&mut self, other: &Self) {
        for (fault, times) in &other.0 {
            *self.0.entry(*fault).or_default() += times;
        }
    }

    /// The kinds that never happened.
    pub fn missing(&self) -> Vec<Fault> {
        Fault::ALL.into_iter().filter(|fault| !self.0.contains_key(fault)).collect()
    }

    /// A line for each kind.
    pub fn table(&self) -> String {
        let line = |fault: Fault| {
            let times = self.0.get(&fault).copied().unwrap_or(0);
            format!("{times:>9}  {}", fault.words())
        };
        Fault::ALL.map(line).join("\n")
    }
}

impl State {
    /// Whether this goes wrong now; it does `percent` times of a hundred, until the troubles end.
    pub fn strikes(&mut self, fault: Fault, percent: u64) -> bool {
        let strikes = self.faulty && self.dice.happens(percent);
        if strikes {
            self.faults.count(fault);
        }
        strikes
    }
}
