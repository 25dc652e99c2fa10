//! The frame around every request: find its operation, check the token, strike with a fault, answer, count.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::Response;
use axum::serve::{IncomingStream, Listener};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use super::faults::{Status, Wrong};
use super::operation::{Matched, Operation, Service};
use super::{Sandbox, cinder, control, glance, keystone, neutron, nova, random};

/// The most that a request's JSON may hold.
const BODY_LIMIT: usize = 4 << 20;
/// How long a request's body may take to arrive.
const BODY_DEADLINE: Duration = Duration::from_mins(1);

/// A request after the frame's work.
pub(crate) struct Request {
    pub(crate) operation: Operation,
    pub(crate) ids: Vec<String>,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Scheme, host and port as the client wrote them: what links start with.
    pub(crate) base: String,
}

impl Request {
    /// The first identifier of the path.
    pub(crate) fn id(&self) -> &str {
        self.ids.first().map_or("", String::as_str)
    }

    /// The first value of a query parameter.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The text of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The query of the next page: the same, with the last row's id as the marker.
    pub(crate) fn query_after(&self, last: &str) -> String {
        let mut query = String::new();
        for (key, value) in self.query.iter().filter(|(key, _)| key != "marker") {
            query.extend([&query_encoded(key), "=", &query_encoded(value), "&"]);
        }
        query.push_str("marker=");
        query.push_str(last);
        query
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Result<Value, Refusal> {
        serde_json::from_slice(&self.body).map_err(|_| Refusal::bad_request("Malformed request body"))
    }
}

/// A request that is not done, in the words of the API.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
    pub(crate) retry_after: Option<u64>,
    /// The name that Neutron gives this kind of error.
    kind: Option<&'static str>,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Refusal { status, message: message.into(), retry_after: None, kind: None }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Refusal::new(StatusCode::BAD_REQUEST, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Refusal::new(StatusCode::NOT_FOUND, message)
    }

    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Refusal::new(StatusCode::CONFLICT, message)
    }

    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        Refusal::new(StatusCode::FORBIDDEN, message)
    }

    /// This, as an error of Neutron's own kind.
    pub(crate) fn of_kind(mut self, kind: &'static str) -> Self {
        self.kind = Some(kind);
        self
    }

    pub(crate) fn unauthorized() -> Self {
        Refusal::new(StatusCode::UNAUTHORIZED, "The request you have made requires authentication.")
    }

    fn of_fault(status: &Status) -> Self {
        let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let message = match (&status.message, code.as_u16()) {
            (Some(message), _) => message.clone(),
            (None, 413 | 429) => "This request was rate-limited.".into(),
            (None, 500) => "Unexpected API Error. Please report this with the request id.".into(),
            (None, _) => code.canonical_reason().unwrap_or("Fault").into(),
        };
        Refusal { status: code, message, retry_after: status.retry_after_seconds, kind: None }
    }

    /// The body that this service would send.
    fn body(&self, service: Service) -> Value {
        let (code, title) = (self.status.as_u16(), self.status.canonical_reason().unwrap_or("Error"));
        let message = &self.message;
        match service {
            Service::Identity => json!({"error": {"code": code, "message": message, "title": title}}),
            Service::Compute if code == 401 => {
                json!({"error": {"code": code, "message": message, "title": title}})
            }
            Service::Compute | Service::Volume => {
                let mut inner = json!({"code": code, "message": message});
                if let (Some(seconds), Some(fields)) = (self.retry_after, inner.as_object_mut()) {
                    fields.insert("retryAfter".into(), json!(seconds.to_string()));
                }
                json!({ compute_error_key(code): inner })
            }
            Service::Image => {
                json!({"message": message, "code": format!("{code} {title}"), "title": title})
            }
            Service::Network => json!({"NeutronError": {
                "type": self.kind.map_or_else(|| title.replace(' ', ""), String::from), "message": message, "detail": ""}}),
            Service::Control => json!({"error": message}),
        }
    }
}

/// Nova names the one key of an error body after the status.
fn compute_error_key(code: u16) -> &'static str {
    match code {
        400 => "badRequest",
        401 => "unauthorized",
        403 => "forbidden",
        404 => "itemNotFound",
        405 => "badMethod",
        409 => "conflictingRequest",
        413 | 429 => "overLimit",
        415 => "badMediaType",
        501 => "notImplemented",
        503 => "serviceUnavailable",
        _ => "computeFault",
    }
}

/// An answer: status, headers, body.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: Vec<(HeaderName, String)>,
    pub(crate) body: Body,
}

impl Answer {
    /// A JSON document.
    pub(crate) fn json(status: StatusCode, value: &Value) -> Self {
        let headers = vec![(header::CONTENT_TYPE, "application/json".into())];
        Answer { status, headers, body: Body::from(value.to_string()) }
    }

    /// A JSON document with status 200.
    pub(crate) fn ok(value: &Value) -> Self {
        Answer::json(StatusCode::OK, value)
    }

    /// No body.
    pub(crate) fn empty(status: StatusCode) -> Self {
        Answer { status, headers: Vec::new(), body: Body::empty() }
    }

    /// This with one more header.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((HeaderName::from_static(name), value.into()));
        self
    }

    fn refusal(refusal: &Refusal, service: Service) -> Self {
        let answer = Answer::json(refusal.status, &refusal.body(service));
        match refusal.retry_after {
            Some(seconds) => answer.with("retry-after", seconds.to_string()),
            None => answer,
        }
    }

    /// This as the server sends it.
    pub(crate) fn into_response(self) -> Response {
        let mut response = Response::new(self.body);
        *response.status_mut() = self.status;
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::try_from(value) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

/// How often each operation was answered with each status.
pub(crate) type Counts = BTreeMap<&'static str, BTreeMap<u16, u64>>;

/// Answers one request.
pub(crate) async fn serve(
    State(sandbox): State<Arc<Sandbox>>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    request: axum::extract::Request,
) -> Response {
    if sandbox.stop.is_cancelled() {
        connection.cut();
    }
    let (parts, body) = request.into_parts();
    let segments = path_segments(&parts.uri);
    let request_id = format!("req-{}", random::uuid());
    let Some(matched) = Operation::find(parts.method.as_str(), &segments) else {
        let answer = no_such_path(&segments, &parts.method);
        tracing::debug!(method = %parts.method, path = %parts.uri.path(), status = answer.status.as_u16(), "no such path");
        sandbox.count("unknown", answer.status.as_u16());
        return finish(answer, &request_id, None);
    };
    let service = matched.operation.service();
    let (operation, answer) = match read(matched, parts, body, &sandbox).await {
        Ok((request, upload)) => {
            let operation = request.operation;
            (operation, struck(&sandbox, request, upload, &connection).await)
        }
        Err((operation, refusal)) => (operation, Answer::refusal(&refusal, service)),
    };
    tracing::debug!(operation = operation.name(), status = answer.status.as_u16(), %request_id, "answered");
    sandbox.count(operation.name(), answer.status.as_u16());
    finish(answer, &request_id, Some(service))
}

fn finish(answer: Answer, request_id: &str, service: Option<Service>) -> Response {
    let mut answer = answer.with("x-openstack-request-id", request_id);
    if service == Some(Service::Compute) {
        answer = answer.with("x-compute-request-id", request_id);
    }
    answer.into_response()
}

/// Reads a request and checks its token. An upload's body is handed on unread: it may be large.
async fn read(
    matched: Matched,
    parts: axum::http::request::Parts,
    body: Body,
    sandbox: &Sandbox,
) -> Result<(Request, Option<Body>), (Operation, Refusal)> {
    let mut operation = matched.operation;
    let (bytes, upload) = if operation == Operation::ImageUpload {
        (Bytes::new(), Some(body))
    } else {
        let read = tokio::time::timeout(BODY_DEADLINE, to_bytes(body, BODY_LIMIT)).await;
        let bytes = read.ok().and_then(Result::ok);
        (bytes.ok_or_else(|| (operation, Refusal::bad_request("The body could not be read")))?, None)
    };
    if operation == Operation::ServerAction {
        let action: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let name = action.as_object().and_then(|fields| fields.keys().next());
        operation = name.map_or(operation, |name| Operation::of_action(name));
    }
    if operation.needs_token() && !sandbox.knows_token(&parts.headers) {
        return Err((operation, Refusal::unauthorized()));
    }
    let query = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri).map(|query| query.0);
    let query = query.map_err(|_| (operation, Refusal::bad_request("The query could not be read")))?;
    let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let base = host.map_or_else(|| sandbox.base_url(), |host| format!("http://{host}"));
    let request = Request { operation, ids: matched.ids, query, headers: parts.headers, body: bytes, base };
    Ok((request, upload))
}

/// Answers a request, unless a fault in force says otherwise.
async fn struck(
    sandbox: &Arc<Sandbox>,
    request: Request,
    upload: Option<Body>,
    connection: &Connection,
) -> Answer {
    let service = request.operation.service();
    let fault = match service {
        Service::Control => None,
        _ => sandbox.dice().answer(request.operation),
    };
    if let Some(Wrong::Status(status)) = &fault {
        return Answer::refusal(&Refusal::of_fault(status), service);
    }
    let answer = match service {
        Service::Control => control::answer(sandbox, &request),
        Service::Identity => keystone::answer(sandbox, &request),
        Service::Compute => nova::answer(sandbox, &request),
        Service::Image => glance::answer(sandbox, &request, upload).await,
        Service::Network => neutron::answer(sandbox, &request),
        Service::Volume => cinder::answer(sandbox, &request),
    };
    match fault {
        Some(Wrong::Lost) => connection.cut(),
        Some(Wrong::Late(late)) => tokio::time::sleep(Duration::from_millis(late.milliseconds)).await,
        Some(Wrong::Status(_)) | None => {}
    }
    answer.unwrap_or_else(|refusal| Answer::refusal(&refusal, service))
}

/// A path that nothing answers to, in the words of the service whose prefix it has.
fn no_such_path(segments: &[String], method: &Method) -> Answer {
    let service = match segments.first().map(String::as_str) {
        Some("identity") => Service::Identity,
        Some("compute") => Service::Compute,
        Some("image") => Service::Image,
        Some("network") => Service::Network,
        Some("volume") => Service::Volume,
        _ => Service::Control,
    };
    let refusal = Refusal::not_found(format!("The sandbox does not answer {method} on this path."));
    Answer::refusal(&refusal, service)
}

/// The parts of a path, decoded.
pub(crate) fn path_segments(uri: &Uri) -> Vec<String> {
    uri.path().split('/').filter(|part| !part.is_empty()).map(percent_decoded).collect()
}

fn percent_decoded(part: &str) -> String {
    let mut decoded = Vec::with_capacity(part.len());
    let mut rest = part.bytes();
    while let Some(byte) = rest.next() {
        let mut ahead = rest.clone();
        let digits = [ahead.next(), ahead.next()].map(|d| d.and_then(|d| char::from(d).to_digit(16)));
        match (byte, digits) {
            (b'%', [Some(high), Some(low)]) => {
                decoded.push(u8::try_from(high << 4 | low).unwrap_or(b'?'));
                rest = ahead;
            }
            _ => decoded.push(byte),
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn query_encoded(value: &str) -> String {
    let encoded = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    value.bytes().map(encoded).collect()
}

/// One client's connection, as far as a fault needs it.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    lost: Arc<AtomicBool>,
}

impl Connection {
    /// From now on nothing is written to this connection: the client sees it end.
    pub(crate) fn cut(&self) {
        self.lost.store(true, Ordering::Release);
    }
}

impl Connected<IncomingStream<'_, Door>> for Connection {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Self {
        Connection { lost: Arc::clone(&stream.io().lost) }
    }
}

/// The listener, whose connections can be cut before an answer.
pub(crate) struct Door(pub(crate) TcpListener);

impl Listener for Door {
    type Io = Line;
    type Addr = std::net::SocketAddr;

    async fn accept(&mut self) -> (Line, Self::Addr) {
        let (stream, address) = Listener::accept(&mut self.0).await;
        // Small answers must not wait for an acknowledgement.
        let _ = stream.set_nodelay(true);
        (Line { stream, lost: Arc::default() }, address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

/// A connection that writes until it is cut.
pub(crate) struct Line {
    stream: TcpStream,
    lost: Arc<AtomicBool>,
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.lost.load(Ordering::Acquire) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_decoded() {
        let uri: Uri = "/image/v2/images/a%20b%2Fc%zz".parse().unwrap();
        assert_eq!(path_segments(&uri), ["image", "v2", "images", "a b/c%zz"]);
    }

    #[test]
    fn error_bodies_are_those_of_the_service() {
        let refusal = Refusal { retry_after: Some(3), ..Refusal::new(StatusCode::TOO_MANY_REQUESTS, "slow") };
        assert_eq!(
            refusal.body(Service::Compute),
            json!({"overLimit": {"code": 429, "message": "slow", "retryAfter": "3"}})
        );
        let refusal = Refusal::not_found("no image");
        assert_eq!(refusal.body(Service::Image)["code"], "404 Not Found");
        assert_eq!(refusal.body(Service::Network)["NeutronError"]["message"], "no image");
    }
}
