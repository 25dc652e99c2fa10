//! What a Gearman server's answer to `status` means for nodes. Pure: text in, numbers out.
//!
//! The answer has a line for each function, `FUNCTION TAB TOTAL TAB RUNNING TAB WORKERS`, and a line with a single dot at
//! the end. A Jenkins registers `build:JOB` and, for each label that the job may run on, `build:JOB:LABEL`; Zuul submits
//! its jobs to them. The rules are those of nodepool v0, except that a line that cannot be read costs that line and not
//! the whole answer.

use std::collections::BTreeMap;
use std::num::IntErrorKind;

use super::super::Demand;

/// What one server told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    builds: Vec<Build>,
    readable: usize,
    unreadable: usize,
}

/// A function that runs builds.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Build {
    job: String,
    label: Option<String>,
    total: u32,
}

impl Status {
    /// Reads an answer. Anything can be read; what makes no sense is counted and left out.
    pub fn parse(answer: &[u8]) -> Self {
        let mut status = Self::default();
        for line in answer.split(|byte| *byte == b'\n') {
            if !matches!(line.trim_ascii(), b"" | b".") {
                status.take_line(&String::from_utf8_lossy(line));
            }
        }
        status
    }

    fn take_line(&mut self, line: &str) {
        // Job names may contain blanks, so only a tab ends a name.
        let mut fields = line.split('\t').map(str::trim);
        let (Some(function), Some(total)) = (fields.next(), fields.next()) else {
            self.unreadable = self.unreadable.saturating_add(1);
            return;
        };
        self.readable = self.readable.saturating_add(1);
        if let Some(build) = function.strip_prefix("build:").and_then(|name| Build::named(name, count(total)))
        {
            self.builds.push(build);
        }
    }

    /// How many lines could not be read.
    pub const fn unreadable(&self) -> usize {
        self.unreadable
    }

    /// Whether there were lines and none of them could be read.
    pub const fn is_nonsense(&self) -> bool {
        self.readable == 0 && self.unreadable > 0
    }
}

impl Build {
    /// From `JOB` or `JOB:LABEL`. Of a job name with colons only the part after the last one is kept: a name alone does
    /// not tell where the job ends, and nodepool v0 read it so.
    fn named(name: &str, total: u32) -> Option<Self> {
        let Some((job, label)) = name.rsplit_once(':') else {
            return Some(Self { job: name.to_owned(), label: None, total });
        };
        let job = job.rsplit(':').next().unwrap_or(job);
        (!label.is_empty()).then(|| Self { job: job.to_owned(), label: Some(label.to_owned()), total })
    }
}

/// A total that is no integer, or less than nothing, counts as nothing; one beyond all bounds as the most there can be.
fn count(total: &str) -> u32 {
    match total.parse::<u32>() {
        Ok(count) => count,
        Err(error) if *error.kind() == IntErrorKind::PosOverflow => u32::MAX,
        Err(_) => 0,
    }
}

/// The demand that several servers tell together.
///
/// Jobs without a label run on any label that some server knows for them; they are put down to the first one.
pub fn demand<'a>(statuses: impl IntoIterator<Item = &'a Status>) -> Demand {
    let mut jobs: BTreeMap<&'a str, u32> = BTreeMap::new();
    let mut first_label: BTreeMap<&str, &'a str> = BTreeMap::new();
    let mut unlabelled: Vec<&'a Build> = Vec::new();
    for build in statuses.into_iter().flat_map(|status| &status.builds) {
        match &build.label {
            Some(label) => {
                first_label.entry(&build.job).or_insert(label);
                add(&mut jobs, label, build.total);
            }
            None => unlabelled.push(build),
        }
    }
    for build in unlabelled {
        if let Some(label) = first_label.get(build.job.as_str()) {
            add(&mut jobs, label, build.total);
        }
    }
    Demand {
        jobs: jobs.into_iter().map(|(label, total)| (label.to_owned(), total)).collect(),
        waiting: BTreeMap::new(),
    }
}

/// How many workers an answer tells of for a function.
pub(super) fn workers(answer: &[u8], function: &str) -> u32 {
    let lines = answer.split(|byte| *byte == b'\n');
    let of = |line: &[u8]| {
        let line = String::from_utf8_lossy(line);
        let mut fields = line.split('\t').map(str::trim);
        (fields.next() == Some(function)).then(|| fields.nth(2).map_or(0, count))
    };
    lines.filter_map(of).fold(0, u32::saturating_add)
}

fn add<'a>(jobs: &mut BTreeMap<&'a str, u32>, label: &'a str, total: u32) {
    if total > 0 {
        let sum = jobs.entry(label).or_default();
        *sum = sum.saturating_add(total);
    }
}
