//! What a Jenkins answers, as the fuzzers of `fuzz/` feed it to its readers. Not in any program.

use reqwest::StatusCode;
use reqwest::header::HeaderMap;

use super::crumb::Crumb;
use super::transport::Answer;
use super::{agents, config_xml, extras, failure, probe, queue};

/// A Jenkins' answers.
pub fn jenkins(body: &[u8]) {
    agents::fuzz(body);
    queue::fuzz(body);
    config_xml::fuzz(body);
    extras::fuzz(body);
    probe::fuzz(body);
    let text = String::from_utf8_lossy(body);
    std::hint::black_box((failure::tidy(&text, "secret"), super::expression::matches(&text, "ci")));
    let answer = Answer { status: StatusCode::OK, headers: HeaderMap::new(), body: body.to_vec().into() };
    std::hint::black_box(Crumb::read(&answer).map(|crumb| crumb.field));
}
