//! How are bytes and refusals put on the wire?

use super::content::Content;
use super::state::{Fault, State, What};
use axum::body::Body;
use axum::http::{HeaderMap, Method, Response, StatusCode, header};
use bytes::Bytes;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// What goes with every answer of the hub's own.
const LIMITS: [(&str, &str); 2] =
    [("ratelimit", "\"api\";r=499;t=100"), ("ratelimit-policy", "\"fixed window\";\"api\";q=500;w=300")];

/// A file to be sent, and who asked.
pub struct Send<'a> {
    pub state: &'a Arc<State>,
    pub method: &'a Method,
    pub request: &'a HeaderMap,
    pub content: Content,
    /// What the counters call it.
    pub name: String,
    pub headers: Vec<(&'static str, String)>,
    pub ranges: bool,
    /// A request to the file server that showed a token.
    pub authorized_cdn: bool,
    pub fault: Option<Fault>,
}

/// JSON with the hub's rate-limit headers.
pub fn json(value: &serde_json::Value) -> Response<Body> {
    let mut answer = Response::new(Body::from(value.to_string()));
    set(&mut answer, "content-type", "application/json; charset=utf-8");
    with_limits(answer)
}

/// A refusal as the hub words it.
pub fn refuse(status: u16, code: Option<&str>, message: &str) -> Response<Body> {
    let mut answer = Response::new(Body::from(serde_json::json!({"error": message}).to_string()));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap();
    if let Some(code) = code {
        set(&mut answer, "x-error-code", code);
    }
    set(&mut answer, "x-error-message", message);
    with_limits(answer)
}

/// The answer that a fault calls for in place of any other, if it does.
pub fn faulty(fault: Option<&Fault>) -> Option<Response<Body>> {
    let fault = fault?;
    match fault.what {
        What::Status(status) => {
            let mut answer = Response::new(Body::from("<html><body>Something went wrong.</body></html>"));
            *answer.status_mut() = StatusCode::from_u16(status).unwrap();
            set(&mut answer, "content-type", "text/html");
            if let Some(seconds) = fault.retry_after {
                set(&mut answer, "retry-after", &seconds.to_string());
            }
            Some(answer)
        }
        What::Reset => {
            // A body that promises bytes and fails: the server can only close the connection.
            let broken = futures::stream::once(async { Err::<Bytes, _>(io::Error::other("reset")) });
            let mut answer = Response::new(Body::from_stream(broken));
            set(&mut answer, "content-length", "10");
            Some(answer)
        }
        What::WrongBytes | What::Truncated | What::IgnoresRange => None,
    }
}

/// The file, or the range of it that was asked for.
pub fn send(send: Send<'_>) -> Response<Body> {
    let Send { state, method, request, content, name, headers, ranges, authorized_cdn, fault } = send;
    let size = content.size();
    let what = fault.map(|it| it.what);
    let wanted = request.get(header::RANGE).and_then(|it| it.to_str().ok());
    let range = match wanted.filter(|_| ranges && what != Some(What::IgnoresRange)).map(|it| range(it, size)) {
        Some(None) => {
            let mut answer = refuse(416, None, "range not satisfiable");
            set(&mut answer, "content-range", &format!("bytes */{size}"));
            return answer;
        }
        other => other.flatten(),
    };
    let (start, end) = range.unwrap_or((0, size));

    let mut answer = if method == Method::HEAD {
        Response::new(Body::empty())
    } else {
        let sent_until = if what == Some(What::Truncated) { start + (end - start) / 2 } else { end };
        let corrupt = what == Some(What::WrongBytes);
        Response::new(stream(state.clone(), content, name, (start, sent_until, end), corrupt, authorized_cdn))
    };
    if range.is_some() {
        *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
        set(&mut answer, "content-range", &format!("bytes {start}-{}/{size}", end - 1));
    }
    set(&mut answer, "content-length", &(end - start).to_string());
    set(&mut answer, "accept-ranges", if ranges { "bytes" } else { "none" });
    for (name, value) in headers {
        set(&mut answer, name, &value);
    }
    answer
}

/// `bytes=a-b`, `bytes=a-` and `bytes=-n` as start and end. `None` when it cannot be satisfied.
fn range(text: &str, size: u64) -> Option<(u64, u64)> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let (start, end) = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) => (first, last.saturating_add(1).min(size)),
        (Ok(first), Err(_)) => (first, size),
        (Err(_), Ok(last)) => (size.saturating_sub(last), size),
        (Err(_), Err(_)) => return None,
    };
    (start < end && start < size).then_some((start, end))
}

/// The bytes `span.0..span.1`, at the rate in force. Ends in an error when more were promised (`span.2`).
fn stream(
    state: Arc<State>,
    content: Content,
    name: String,
    span: (u64, u64, u64),
    corrupt: bool,
    authorized_cdn: bool,
) -> Body {
    let (start, until, promised) = span;
    let began = Instant::now();
    let pieces = futures::stream::unfold(Some(start), move |at| {
        let (state, content, name) = (state.clone(), content.clone(), name.clone());
        async move {
            let at = at?;
            if at >= until {
                let broken = until < promised;
                return broken.then(|| (Err(io::Error::other("truncated")), None));
            }
            let throttle = state.lock().throttle;
            // A throttled connection gets small pieces, so that the rate is even.
            let most = if throttle == 0 { u64::MAX } else { (throttle / 20).max(1024) };
            if let Some(due) = ((at - start) * 1000).checked_div(throttle) {
                tokio::time::sleep_until(began + Duration::from_millis(due)).await;
            }
            let mut piece = content.piece(at, until.min(at.saturating_add(most)));
            if corrupt {
                piece = piece.iter().map(|byte| byte ^ 0x55).collect();
            }
            state.sent(&name, piece.len() as u64, authorized_cdn);
            let next = at + piece.len() as u64;
            Some((Ok(piece), Some(next)))
        }
    });
    Body::from_stream(pieces)
}

/// Sets a header; what cannot be one is left out.
pub fn set(answer: &mut Response<Body>, name: &'static str, value: &str) {
    if let Ok(value) = value.parse() {
        answer.headers_mut().insert(name, value);
    }
}

/// Adds the hub's rate-limit headers.
pub fn with_limits(mut answer: Response<Body>) -> Response<Body> {
    for (name, value) in LIMITS {
        set(&mut answer, name, value);
    }
    answer
}
