//! Who may read and who may steer.
//!
//! While the port is bound to this machine only, reading needs nothing, except that the page is asked for by an address or
//! as `localhost`: otherwise a web page of somebody else could have a browser ask under a name of its own, which leads
//! here. As soon as the port is bound beyond this machine, reading needs a token. Steering needs one always.

use std::net::IpAddr;

use axum::Json;
use axum::extract::{Request, State as Extracted};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use subtle::ConstantTimeEq as _;

use super::Site;

/// Lets those through who may read.
pub(super) async fn readers(Extracted(site): Extracted<Site>, request: Request, next: Next) -> Response {
    let refused = {
        let config = site.state.config.borrow();
        let tokens = [config.web.read_token.as_ref(), config.web.write_token.as_ref()];
        refuse_reader(&tokens, site.everywhere, request.headers())
    };
    match refused {
        Some(refused) => refused,
        None => next.run(request).await,
    }
}

/// Lets everybody through whom no web page of somebody else may have sent: what probes and Prometheus read.
pub(super) async fn probes(Extracted(site): Extracted<Site>, request: Request, next: Next) -> Response {
    if !site.everywhere && !is_plain(request.headers()) {
        return refuse(StatusCode::FORBIDDEN, BY_NAME);
    }
    next.run(request).await
}

const BY_NAME: &str = "nodepoold is bound to this machine and answers only when it is asked for by an address or as \
    localhost, or with a token";
const NO_READ_TOKEN: &str = "the port is bound beyond this machine, so reading needs a token, and none is configured; \
    write `read-token = ...` into the section [web] of secure.conf";
const NO_WRITE_TOKEN: &str = "nobody may change anything over HTTP, because no token is configured; write \
    `write-token = ...` into the section [web] of secure.conf";
const WRONG_READER: &str = "the token is missing or wrong; send `Authorization: Bearer TOKEN`, or in a browser any user \
    and the token as the password";
const WRONG_WRITER: &str =
    "the token is missing or wrong; send `Authorization: Bearer TOKEN` with the write-token";

fn refuse_reader(
    tokens: &[Option<&SecretString>],
    everywhere: bool,
    headers: &HeaderMap,
) -> Option<Response> {
    let shown = shown_token(headers);
    let knows = |token: &SecretString| shown.as_ref().is_some_and(|shown| is_token(shown, token));
    if tokens.iter().flatten().fold(false, |known, token| knows(token) | known) {
        return None;
    }
    match everywhere {
        false if is_plain(headers) => None,
        false => Some(refuse(StatusCode::FORBIDDEN, BY_NAME)),
        true if tokens.iter().all(Option::is_none) => Some(refuse(StatusCode::FORBIDDEN, NO_READ_TOKEN)),
        true => {
            let ask = HeaderValue::from_static("Basic realm=\"nodepool\", charset=\"UTF-8\"");
            let mut refused = refuse(StatusCode::UNAUTHORIZED, WRONG_READER);
            refused.headers_mut().insert(header::WWW_AUTHENTICATE, ask);
            Some(refused)
        }
    }
}

/// What is answered to who may not steer. What a browser sends by itself, such as the password of `Basic`, does not count.
pub(super) fn refuse_writer(token: Option<&SecretString>, headers: &HeaderMap) -> Option<Response> {
    let Some(token) = token else { return Some(refuse(StatusCode::FORBIDDEN, NO_WRITE_TOKEN)) };
    let shown = headers.get(header::AUTHORIZATION).and_then(bearer);
    if shown.is_some_and(|shown| is_token(&shown, token)) {
        return None;
    }
    let mut refused = refuse(StatusCode::UNAUTHORIZED, WRONG_WRITER);
    refused.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    Some(refused)
}

fn refuse(status: StatusCode, why: &str) -> Response {
    (status, Json(json!({"error": why}))).into_response()
}

/// Whether this is the token, in a time that does not tell how much of it is right.
pub(super) fn is_token(shown: &[u8], token: &SecretString) -> bool {
    shown.ct_eq(token.expose_secret().as_bytes()).into()
}

/// The token of `Bearer TOKEN`, or of `Basic` with whatever user and the token as the password.
pub(super) fn shown_token(headers: &HeaderMap) -> Option<Vec<u8>> {
    let value = headers.get(header::AUTHORIZATION)?;
    bearer(value).or_else(|| password(value))
}

fn bearer(value: &HeaderValue) -> Option<Vec<u8>> {
    let (scheme, rest) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| rest.trim().as_bytes().to_vec())
}

fn password(value: &HeaderValue) -> Option<Vec<u8>> {
    let (scheme, rest) = value.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = STANDARD.decode(rest.trim()).ok()?;
    let colon = pair.iter().position(|byte| *byte == b':')?;
    Some(pair.into_iter().skip(colon.checked_add(1)?).collect())
}

/// Whether the `Host` header is an address or `localhost`, with or without a port.
fn is_plain(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST) else { return true };
    host.to_str().is_ok_and(is_plain_host)
}

fn is_plain_host(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_an_address_or_localhost() {
        for host in ["127.0.0.1", "127.0.0.1:8005", "localhost", "LOCALHOST:80", "[::1]:8005", "[::1]"] {
            assert!(is_plain_host(host), "{host}");
        }
        for host in ["evil.example.org", "localhost.evil.example.org:8005", "127.0.0.1.evil:1", ""] {
            assert!(!is_plain_host(host), "{host}");
        }
    }

    #[test]
    fn reading_needs_a_token_beyond_this_machine_and_no_name_on_it() {
        let (read, write) = (SecretString::from("r".repeat(20)), SecretString::from("w".repeat(20)));
        let both = [Some(&read), Some(&write)];
        let basic = format!("Basic {}", STANDARD.encode(format!("me:{}", "r".repeat(20))));
        let ask = |tokens: &[Option<&SecretString>], everywhere, host: &'static str, shown: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static(host));
            if !shown.is_empty() {
                headers.insert(header::AUTHORIZATION, HeaderValue::from_str(shown).unwrap());
            }
            refuse_reader(tokens, everywhere, &headers).map_or(200, |refused| refused.status().as_u16())
        };
        let (reader, writer) = (format!("Bearer {}", "r".repeat(20)), format!("bearer {}", "w".repeat(20)));
        for (everywhere, host, shown, status) in [
            (false, "localhost", "", 200),
            (false, "evil.example.org", "", 403),
            (false, "proxy.example.org", reader.as_str(), 200),
            (true, "localhost", "", 401),
            (true, "nodepool.example.org", &reader, 200),
            (true, "nodepool.example.org", &basic, 200),
            (true, "nodepool.example.org", &writer, 200),
            (true, "nodepool.example.org", "Bearer r", 401),
        ] {
            assert_eq!(ask(&both, everywhere, host, shown), status, "{everywhere} {host} {shown}");
        }
        assert_eq!(ask(&[None, None], true, "localhost", &reader), 403, "no token opens nothing");
    }

    #[test]
    fn steering_needs_the_token_that_no_browser_sends_by_itself() {
        let token = SecretString::from("w".repeat(20));
        let basic = format!("Basic {}", STANDARD.encode(format!("me:{}", "w".repeat(20))));
        let bearer = format!("Bearer {}", "w".repeat(20));
        for (token, shown, status) in [
            (Some(&token), bearer.as_str(), 200),
            (Some(&token), &basic, 401),
            (Some(&token), "Bearer wwwwwwww", 401),
            (None, &bearer, 403),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, HeaderValue::from_str(shown).unwrap());
            let answer = refuse_writer(token, &headers).map_or(200, |refused| refused.status().as_u16());
            assert_eq!(answer, status, "{shown}");
        }
    }
}
