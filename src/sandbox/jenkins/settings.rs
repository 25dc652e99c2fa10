//! What is chosen for the Jenkins at start and does not change while it runs.

use std::net::SocketAddr;
use std::path::PathBuf;

use secrecy::SecretString;

/// How the Jenkins is started.
#[derive(Debug)]
pub struct JenkinsSettings {
    /// Where it answers; port 0 takes a free one.
    pub address: SocketAddr,
    /// What its paths start with: empty, or such as `/jenkins`.
    pub prefix: String,
    /// Its only user.
    pub user: String,
    /// The user's password, which needs a crumb with every POST.
    pub password: SecretString,
    /// The user's API token, which needs none.
    pub token: SecretString,
    /// Credentials that are there at start.
    pub keys: Vec<KeyFile>,
    /// Where job events are published.
    pub zmq: Option<SocketAddr>,
    /// The Gearman server with which executors register.
    pub gearman: Option<Gearman>,
    /// Who submits jobs.
    pub traffic: Option<Traffic>,
}

/// A user name with a private key, under an id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFile {
    /// The id of the credential.
    pub id: String,
    /// The user to log in as.
    pub user: String,
    /// The file with the private key.
    pub path: PathBuf,
}

/// A Gearman server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gearman {
    /// Where it answers.
    pub address: SocketAddr,
    /// Whether it has to be started first.
    pub start: bool,
}

/// Which jobs are submitted, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// One each few seconds.
    Steady,
    /// Many at once, and then nothing for a while.
    Burst,
    /// As a list says.
    List(Vec<Planned>),
}

/// One job of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// Seconds from the start of the sandbox.
    pub after: f64,
    /// The job's name.
    pub job: String,
    /// The label that it runs on.
    pub label: String,
    /// How long it runs.
    pub seconds: f64,
}

impl Eq for Planned {}

/// The most jobs that a list may have.
const MOST_PLANNED: usize = 10_000;
/// The longest time in a list: a day.
const LONGEST_SECONDS: f64 = 86_400.0;

impl Traffic {
    /// Reads a list: lines `AFTER JOB LABEL SECONDS`, empty lines, and comments that begin with `#`.
    pub fn from_list(text: &str) -> Result<Traffic, String> {
        let mut planned = Vec::new();
        for (line, number) in text.lines().zip(1_u32..) {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            planned.push(planned_job(line).map_err(|why| format!("line {number}: {why}: {line:?}"))?);
            if planned.len() > MOST_PLANNED {
                return Err(format!("more than {MOST_PLANNED} jobs"));
            }
        }
        planned.sort_by(|one, other| one.after.total_cmp(&other.after));
        Ok(Traffic::List(planned))
    }
}

fn planned_job(line: &str) -> Result<Planned, &'static str> {
    let mut words = line.split_whitespace();
    let (Some(after), Some(job), Some(label), Some(seconds), None) =
        (words.next(), words.next(), words.next(), words.next(), words.next())
    else {
        return Err("expected AFTER JOB LABEL SECONDS");
    };
    let time = |word: &str| word.parse().ok().filter(|seconds| (0.0..=LONGEST_SECONDS).contains(seconds));
    let safe = |word: &str| word.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'));
    if !safe(job) || !safe(label) {
        return Err("a name is made of letters, digits, and - _ .");
    }
    Ok(Planned {
        after: time(after).ok_or("AFTER is 0 to 86400 seconds")?,
        job: job.into(),
        label: label.into(),
        seconds: time(seconds).ok_or("SECONDS is 0 to 86400 seconds")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_in_the_order_of_time() {
        let list =
            Traffic::from_list("# two jobs\n5 unit debian 2.5\n\n0 lint fedora 1 # at once\n").unwrap();
        let Traffic::List(jobs) = list else { panic!("a list") };
        assert_eq!(jobs.iter().map(|job| job.job.as_str()).collect::<Vec<_>>(), ["lint", "unit"]);
        assert!((jobs[1].seconds - 2.5).abs() < f64::EPSILON);
    }

    #[test]
    fn a_line_that_cannot_be_read_is_named() {
        for (line, why) in [
            ("1 unit debian", "line 1: expected AFTER JOB LABEL SECONDS"),
            ("-1 unit debian 2", "AFTER is"),
            ("1 unit debian 1e9", "SECONDS is"),
            ("1 a/b debian 1", "a name is made"),
        ] {
            let error = Traffic::from_list(line).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
