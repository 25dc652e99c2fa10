//! Answers as Jenkins words them: JSON with its version, pages for browsers, redirects, and failures whose reason is in
//! the header `X-Error`.

use axum::body::Body;
use axum::http::{StatusCode, header};
use serde_json::Value;

use crate::sandbox::http::Answer;

/// The version that is told in the header `X-Jenkins`.
pub(super) const VERSION: &str = "2.426.2";

/// A JSON document.
pub(super) fn json(value: &Value) -> Answer {
    Answer::ok(value).with("x-jenkins", VERSION)
}

/// A page for people.
pub(super) fn html(status: StatusCode, title: &str) -> Answer {
    let title = escaped(title);
    let text = format!("<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\n");
    Answer {
        status,
        headers: vec![(header::CONTENT_TYPE, "text/html;charset=utf-8".into())],
        body: Body::from(text),
    }
}

/// A page that is there.
pub(super) fn page(title: &str) -> Answer {
    html(StatusCode::OK, title).with("x-jenkins", VERSION)
}

/// Plain text.
pub(super) fn text(text: String) -> Answer {
    Answer {
        status: StatusCode::OK,
        headers: vec![(header::CONTENT_TYPE, "text/plain;charset=utf-8".into())],
        body: Body::from(text),
    }
}

/// An XML document.
pub(super) fn xml(text: String) -> Answer {
    Answer {
        status: StatusCode::OK,
        headers: vec![(header::CONTENT_TYPE, "application/xml".into())],
        body: Body::from(text),
    }
}

/// A program.
pub(super) fn jar(content: &'static str) -> Answer {
    Answer {
        status: StatusCode::OK,
        headers: vec![(header::CONTENT_TYPE, "application/java-archive".into())],
        body: Body::from(content),
    }
}

/// Status 200 and nothing else.
pub(super) fn done() -> Answer {
    Answer::empty(StatusCode::OK)
}

/// Leads a browser to another page.
pub(super) fn redirect(location: String) -> Answer {
    Answer::empty(StatusCode::FOUND).with("location", location)
}

/// What Jenkins calls a `Failure`: something that a person did wrong.
pub(super) fn failure(reason: &str) -> Answer {
    html(StatusCode::BAD_REQUEST, "Error").with("x-jenkins", VERSION).with("x-error", reason)
}

/// There is nothing at this address.
pub(super) fn not_found() -> Answer {
    html(StatusCode::NOT_FOUND, "Error 404 Not Found")
}

/// The address is there and wants another method.
pub(super) fn only_post() -> Answer {
    html(StatusCode::METHOD_NOT_ALLOWED, "Error 405 This URL requires POST").with("allow", "POST")
}

/// What is sent is no form.
pub(super) fn no_form() -> Answer {
    html(StatusCode::BAD_REQUEST, "Error 400 This page expects a form submission")
}

/// An exception inside Jenkins, which says nothing but an id.
pub(super) fn oops() -> Answer {
    html(StatusCode::INTERNAL_SERVER_ERROR, "Oops!").with("x-jenkins", VERSION)
}

/// Text for a place between tags, or in an attribute.
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '"' => safe.push_str("&quot;"),
            // XML has no way to write these.
            char if char.is_control() && !matches!(char, '\n' | '\t' | '\r') => safe.push('?'),
            char => safe.push(char),
        }
    }
    safe
}
