//! What services answer, as the fuzzers of `fuzz/` feed it to its readers. Not in any program.

use reqwest::StatusCode;
use reqwest::header::HeaderMap;

use super::transport::Answer;
use super::{
    compute, console, failure, floating_ip, image, login, mark, microversion, network, port, quota, server,
    volume,
};

/// Nova's answers.
pub fn nova(body: &[u8]) {
    server::fuzz(body);
    compute::fuzz(body);
    quota::fuzz(body);
    console::fuzz(body);
    std::hint::black_box(microversion::Offer::read(body));
    refusals(body);
}

/// Glance's answers.
pub fn glance(body: &[u8]) {
    image::fuzz(body);
    refusals(body);
}

/// Neutron's answers.
pub fn neutron(body: &[u8]) {
    network::fuzz(body);
    floating_ip::fuzz(body);
    port::fuzz(body);
    // Cinder's listing has the same shape as the others; it has no target of its own.
    volume::fuzz(body);
    quota::fuzz(body);
    std::hint::black_box(mark::from_description(&String::from_utf8_lossy(body)));
    refusals(body);
}

/// Keystone's answers.
pub fn keystone(body: &[u8]) {
    login::fuzz(body);
    refusals(body);
}

/// Whatever answers may say why something was refused, and is shown.
fn refusals(body: &[u8]) {
    crate::http::fuzz_trace(body);
    std::hint::black_box(failure::tidy(&failure::message(body)));
}

/// A success with this body.
pub(super) fn answer(body: &[u8]) -> Answer {
    Answer { status: StatusCode::OK, headers: HeaderMap::new(), body: body.to_vec().into() }
}
