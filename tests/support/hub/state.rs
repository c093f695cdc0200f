//! What does the hub hold, what was asked of it, and how is it to misbehave?

use super::content::Content;
use super::repo::{Kind, Repo};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// Everything behind one lock: held for look-ups only, never while bytes are made or sent.
pub struct State(Mutex<Inner>);

/// The state itself.
pub struct Inner {
    pub repos: BTreeMap<(Kind, String), Repo>,
    /// Plain files at `/files/<name>`.
    pub plain: BTreeMap<String, Plain>,
    /// Tokens that are known: to whether they hold the grant for gated repositories.
    pub tokens: BTreeMap<String, bool>,
    pub counters: Counters,
    pub faults: Vec<Fault>,
    /// Until when connections are closed instead of answered.
    pub down_until: Option<Instant>,
    /// Bytes per second on each connection; 0 for no limit.
    pub throttle: u64,
    /// Added before every answer.
    pub latency: Duration,
    /// How long a signed URL of the file server is good for.
    pub url_life: Duration,
    /// Entries per page of a tree.
    pub page: usize,
    /// Where signed URLs lead: scheme, host and port.
    pub files_origin: String,
}

/// A file behind a plain URL.
#[derive(Clone)]
pub struct Plain {
    pub content: Content,
    pub tag: Tag,
    /// The ETag, in place of one that is made of the content's hash.
    pub etag: Option<String>,
    /// Whether `Range` is understood.
    pub ranges: bool,
    /// Only holders of a known token get it.
    pub private: bool,
    /// Others get a page that says so, as if all were well, in place of a 401.
    pub login_page: bool,
    /// Where the bytes are: a redirect instead of an answer.
    pub leads_to: Option<String>,
}

impl Plain {
    /// A file for everybody, at its own address.
    pub fn of(content: Content) -> Self {
        Self { content, tag: Tag::Strong, etag: None, ranges: true, private: false, login_page: false, leads_to: None }
    }
}

/// What kind of ETag a plain file has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Tag {
    Strong,
    Weak,
    None,
}

/// What was asked and what was sent, since the start or the last reset.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counters {
    /// Requests by kind: `revision`, `tree`, `resolveHead`, `resolve`, `cdn`, `file`, `other`.
    pub requests: BTreeMap<String, u64>,
    /// Body bytes of files sent, over all files.
    pub bytes_sent: u64,
    /// Body bytes by file: `org/name/path`, or the name of a plain file.
    pub bytes_by_file: BTreeMap<String, u64>,
    /// Requests to the file server that showed a token. Must stay 0.
    pub authorized_cdn_requests: u64,
    /// Bytes that the file server sent to such requests. Must stay 0.
    pub authorized_cdn_bytes: u64,
}

/// The next requests of a kind are answered wrongly.
#[derive(Clone, Debug)]
pub struct Fault {
    pub what: What,
    /// Requests that are still to be hit.
    pub count: u64,
    /// `api` (revision and tree), `resolve`, `cdn`, `file`, or `any`.
    pub on: String,
    /// Only requests whose path contains this.
    pub path: String,
    /// Seconds that a 429 or 503 asks for. `None`: it does not say.
    pub retry_after: Option<u64>,
}

/// How a request is answered wrongly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// This status, with an HTML body.
    Status(u16),
    /// All bytes there, some of them wrong.
    WrongBytes,
    /// Half of the bytes, then the connection ends.
    Truncated,
    /// The connection ends without an answer.
    Reset,
    /// 200 and everything, whatever range was asked for.
    IgnoresRange,
}

impl State {
    /// An empty hub.
    pub fn new(files_origin: String) -> Self {
        Self(Mutex::new(Inner {
            repos: BTreeMap::new(),
            plain: BTreeMap::new(),
            tokens: BTreeMap::new(),
            counters: Counters::default(),
            faults: vec![],
            down_until: None,
            throttle: 0,
            latency: Duration::ZERO,
            url_life: Duration::from_secs(3600),
            page: 1000,
            files_origin,
        }))
    }

    /// The state; a test that panicked elsewhere does not spoil it.
    pub fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Whether connections are to be closed.
    pub fn is_down(&self) -> bool {
        self.lock().down_until.is_some_and(|until| Instant::now() < until)
    }

    /// Counts a request, and takes the fault that is waiting for it.
    pub fn request(&self, kind: &str, path: &str) -> Option<Fault> {
        let mut inner = self.lock();
        *inner.counters.requests.entry(kind.to_owned()).or_default() += 1;
        let class = match kind {
            "revision" | "tree" => "api",
            "resolve" | "resolveHead" => "resolve",
            other => other,
        };
        let fault = inner
            .faults
            .iter_mut()
            .find(|it| it.count > 0 && (it.on == "any" || it.on == class) && path.contains(&it.path))?;
        fault.count -= 1;
        let fault = fault.clone();
        inner.faults.retain(|it| it.count > 0);
        Some(fault)
    }

    /// Counts bytes of a file that were handed to a connection.
    pub fn sent(&self, file: &str, bytes: u64, authorized_cdn: bool) {
        let counters = &mut self.lock().counters;
        counters.bytes_sent += bytes;
        match counters.bytes_by_file.get_mut(file) {
            Some(sent) => *sent += bytes,
            None => _ = counters.bytes_by_file.insert(file.to_owned(), bytes),
        }
        if authorized_cdn {
            counters.authorized_cdn_bytes += bytes;
        }
    }
}

impl What {
    /// Reads `429`, `500`, `wrongBytes`, `truncated`, `reset`, `ignoresRange`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "wrongBytes" => Some(Self::WrongBytes),
            "truncated" => Some(Self::Truncated),
            "reset" => Some(Self::Reset),
            "ignoresRange" => Some(Self::IgnoresRange),
            status => status.parse().ok().filter(|it| (300..600).contains(it)).map(Self::Status),
        }
    }
}
