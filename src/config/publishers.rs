//! Checks who tells of jobs: the queues of Gearman, and the publishers of job events.

use super::diagnostic::Report;
use super::files::Files;
use super::raw::RawGearmanServer;
use super::source_text::Located;
use super::types::{GearmanServer, GearmanTls};

/// The Gearman servers, with the files for TLS where there are any: all three, or none.
pub(super) fn gearman_servers(
    raw: Vec<RawGearmanServer>,
    files: &mut Files<'_>,
    report: &mut Report,
) -> Vec<GearmanServer> {
    raw.into_iter()
        .map(|server| {
            let tls = tls(&server, files, report);
            GearmanServer { host: server.host, port: server.port, tls }
        })
        .collect()
}

fn tls(server: &RawGearmanServer, files: &mut Files<'_>, report: &mut Report) -> Option<GearmanTls> {
    let given = [("ssl_key", &server.ssl_key), ("ssl_cert", &server.ssl_cert), ("ssl_ca", &server.ssl_ca)];
    let missing: Vec<_> =
        given.iter().filter(|(_, value)| value.is_none()).map(|(key, _)| format!("`{key}`")).collect();
    if let (Some(key), Some(certificate), Some(authority)) =
        (&server.ssl_key, &server.ssl_cert, &server.ssl_ca)
    {
        return Some(GearmanTls {
            key: files.tls_key(key, "ssl_key", report),
            certificate: files.certificate(certificate, "ssl_cert", report),
            authority: files.certificate(authority, "ssl_ca", report),
        });
    }
    if missing.len() < given.len() {
        report
            .error(
                &server.at,
                format!("TLS needs `ssl_key`, `ssl_cert` and `ssl_ca`; missing: {}", missing.join(", ")),
            )
            .help("geard and its clients show each other their certificates; give all three files, or none");
    }
    None
}

/// The endpoints of publishers, each once.
pub(super) fn check(raw: Vec<Located<String>>, report: &mut Report) -> Vec<String> {
    let mut endpoints = Vec::new();
    for endpoint in raw {
        if !is_endpoint(&endpoint.value) {
            report
                .error(&endpoint.at, format!("`{}` is not where a publisher can be reached", endpoint.value))
                .help(
                    "write tcp://HOST:PORT; the port of Jenkins' plugin is 8888 unless it was changed there",
                );
        } else if endpoints.contains(&endpoint.value) {
            report.warning(&endpoint.at, format!("the publisher `{}` is given twice", endpoint.value));
        } else {
            endpoints.push(endpoint.value);
        }
    }
    endpoints
}

/// Whether it is `tcp://HOST:PORT`.
fn is_endpoint(text: &str) -> bool {
    let Some((host, port)) = text.strip_prefix("tcp://").and_then(|rest| rest.rsplit_once(':')) else {
        return false;
    };
    let bare = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').unwrap_or_default(),
        None if host.contains([':', '[']) => "",
        None => host,
    };
    let blank =
        |character: char| character.is_whitespace() || character.is_control() || "/*@?#".contains(character);
    !bare.is_empty() && !bare.contains(blank) && port.parse::<u16>().is_ok_and(|port| port > 0)
}
