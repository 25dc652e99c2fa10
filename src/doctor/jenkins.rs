//! A Jenkins: what its answers mean.

use super::{End, Finding, JenkinsAnswer};
use crate::target::TargetError;
use crate::target::jenkins::Told;

/// What was found at the Jenkins of this URL.
pub(super) fn findings(leg: &str, url: &str, answers: Vec<JenkinsAnswer>) -> Vec<Finding> {
    answers
        .into_iter()
        .map(|(check, answer)| match answer {
            Ok(Told::Good(text)) => Finding::good(leg, check, text),
            Ok(Told::Unknown(text)) => {
                let next =
                    "look at Manage Jenkins, Plugins; or give the user the permission Overall/System Read";
                Finding::doubtful(leg, check, text, next)
            }
            Err(TargetError::QuietingDown(text)) => {
                let next = "it takes no nodes until it was restarted, or `Cancel Shutdown` in Jenkins";
                Finding::doubtful(leg, check, format!("it is about to shut down; {text}"), next)
            }
            Err(error) => {
                let (end, next) = advice(&error);
                Finding::wrong(leg, check, error.to_string(), end, next).at(url)
            }
        })
        .collect()
}

const fn advice(error: &TargetError) -> (End, &'static str) {
    match error {
        TargetError::AuthFailed(_) => (
            End::Here,
            "correct `user` and `apikey` in secure.conf, or give the user that permission in Jenkins (docs/configuration.md lists all)",
        ),
        TargetError::Unavailable(_) => {
            (End::Between, "see whether Jenkins runs and its URL is reached from this machine: `curl -I URL`")
        }
        TargetError::Rejected(_) | TargetError::NotFound(_) => (
            End::There,
            "correct the target's `jenkins` in nodepool.yaml, or make in Jenkins what is missing",
        ),
        TargetError::Busy(_) | TargetError::QuietingDown(_) => (End::There, "wait"),
    }
}
