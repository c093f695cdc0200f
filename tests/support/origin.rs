//! A server of test content on loopback that can be told to misbehave, and counts what it sends.

use std::{
    collections::HashMap,
    ops::Range,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use modelcache::agent::fetch::{Content, Digest, Secret};
use sha2::{Digest as _, Sha256};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpSocket, TcpStream},
    runtime::Runtime,
};

/// One request as the server saw it.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) path: String,
    /// First byte, and one past the last.
    pub(crate) range: Option<Range<u64>>,
    pub(crate) authorization: Option<String>,
    pub(crate) at: Instant,
    /// How many requests for this path came before.
    pub(crate) nth: usize,
}

/// How a request is answered.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// As a good server does.
    Good,
    /// With these bytes instead, as a good server would.
    Bytes(Arc<Vec<u8>>),
    /// The whole with 200, whatever was asked.
    NoRanges,
    /// The whole with 200, without saying how long it is.
    NoLength,
    /// A 206 that is shifted by this many bytes.
    Shifted(u64),
    /// This many bytes, then the connection is closed.
    Cut(u64),
    /// This many bytes, then nothing, with the connection open.
    Hang(u64),
    /// As a good server does, but no faster than this many bytes per second.
    Slow(u64),
    /// As a good server does, with these fields.
    With(Vec<(&'static str, String)>),
    /// A redirect.
    To(String),
    /// A status with fields and an HTML body.
    Status(u16, Vec<(&'static str, String)>),
}

type Script = Box<dyn Fn(&Request) -> Reply + Send + Sync>;

#[derive(Default)]
struct Shared {
    files: Mutex<HashMap<String, Arc<File>>>,
    log: Mutex<Vec<Request>>,
    asked: Mutex<HashMap<String, usize>>,
    sent: AtomicU64,
    /// Requests that are answered now, and the most that were at a time.
    busy: Mutex<(usize, usize)>,
    delay: Mutex<Duration>,
}

struct File {
    bytes: Arc<Vec<u8>>,
    etag: Option<String>,
    script: Script,
}

/// The server; it ends when it is dropped.
pub(crate) struct Server {
    pub(crate) port: u16,
    shared: Arc<Shared>,
    runtime: Option<Runtime>,
    socket: Option<TcpSocket>,
}

impl Server {
    pub(crate) fn start() -> Self {
        let mut server = Self::down();
        server.listen();
        server
    }

    /// Has its port, and refuses connections.
    pub(crate) fn down() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        // Little is under way at a time, so that what was sent is nearly what has arrived.
        socket.set_send_buffer_size(64 * 1024).unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let port = socket.local_addr().unwrap().port();
        Self { port, shared: Arc::default(), runtime: Some(runtime), socket: Some(socket) }
    }

    /// Comes up.
    pub(crate) fn listen(&mut self) {
        let (Some(socket), Some(runtime)) = (self.socket.take(), &self.runtime) else { return };
        let serve = Arc::clone(&self.shared);
        let _context = runtime.enter();
        let listener = socket.listen(256).unwrap();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&serve);
                tokio::spawn(async move { serve_connection(stream, &shared).await });
            }
        });
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Puts a file up, and tells how requests for it are answered. The path `*` is every other one.
    pub(crate) fn put(
        &self,
        path: &str,
        bytes: impl Into<Arc<Vec<u8>>>,
        script: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) {
        self.put_tagged(path, bytes, None, script);
    }

    pub(crate) fn put_tagged(
        &self,
        path: &str,
        bytes: impl Into<Arc<Vec<u8>>>,
        etag: Option<&str>,
        script: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) {
        let file = File { bytes: bytes.into(), etag: etag.map(str::to_owned), script: Box::new(script) };
        self.shared.files.lock().unwrap().insert(path.to_owned(), Arc::new(file));
    }

    /// Lets every answer wait.
    pub(crate) fn delay(&self, delay: Duration) {
        *self.shared.delay.lock().unwrap() = delay;
    }

    /// Bytes of bodies that were given to sockets.
    pub(crate) fn sent(&self) -> u64 {
        self.shared.sent.load(SeqCst)
    }

    /// The most requests that were under way at a time since this was asked last.
    pub(crate) fn most_at_once(&self) -> usize {
        let mut busy = self.shared.busy.lock().unwrap();
        let most = busy.1;
        busy.1 = busy.0;
        most
    }

    pub(crate) fn requests(&self, path: &str) -> Vec<Request> {
        self.shared.log.lock().unwrap().iter().filter(|request| request.path == path).cloned().collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn serve_connection(stream: TcpStream, shared: &Shared) {
    // Head and body are two writes: without this the second waits for the first one's delayed acknowledgement.
    stream.set_nodelay(true).unwrap();
    let mut stream = BufReader::new(stream);
    while let Some(request) = read_request(&mut stream, shared).await {
        let mut busy = Some(Busy::new(shared));
        let delay = *shared.delay.lock().unwrap();
        tokio::time::sleep(delay).await;
        let file = {
            let files = shared.files.lock().unwrap();
            files.get(&request.path).or_else(|| files.get("*")).cloned()
        };
        let go_on = match file {
            Some(file) => answer(stream.get_mut(), shared, &file, &request, &mut busy).await,
            None => head(stream.get_mut(), 404, &[], b"<html>not here</html>").await,
        };
        if !go_on {
            return;
        }
    }
}

/// Counts a request until the last of its bytes are on their way: who has read them may ask for more at once.
struct Busy<'a>(&'a Shared);

impl<'a> Busy<'a> {
    fn new(shared: &'a Shared) -> Self {
        let mut busy = shared.busy.lock().unwrap();
        busy.0 += 1;
        busy.1 = busy.1.max(busy.0);
        Self(shared)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.busy.lock().unwrap().0 -= 1;
    }
}

async fn read_request(stream: &mut BufReader<TcpStream>, shared: &Shared) -> Option<Request> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        if line.trim().is_empty() {
            break;
        }
        lines.push(line.trim().to_owned());
    }
    let path = lines.first()?.split(' ').nth(1)?.split('?').next()?.to_owned();
    let field = |name: &str| {
        lines.iter().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    };
    let range = field("range").and_then(|value| {
        let (first, last) = value.strip_prefix("bytes=")?.split_once('-')?;
        Some(first.parse().ok()?..last.parse::<u64>().map_or(u64::MAX, |last| last + 1))
    });
    let mut log = shared.log.lock().unwrap();
    let mut asked = shared.asked.lock().unwrap();
    let count = asked.entry(path.clone()).or_default();
    let nth = *count;
    *count += 1;
    let request = Request { path, range, authorization: field("authorization"), at: Instant::now(), nth };
    log.push(request.clone());
    Some(request)
}

async fn answer(
    stream: &mut TcpStream,
    shared: &Shared,
    file: &File,
    request: &Request,
    busy: &mut Option<Busy<'_>>,
) -> bool {
    let whole = file.bytes.len() as u64;
    let asked = request.range.clone().map(|range| range.start..range.end.min(whole));
    let tag = file.etag.iter().map(|tag| ("ETag", format!("\"{tag}\"")));
    let mut fields: Vec<_> = tag.collect();
    let mut pace = None;
    let (bytes, range, limit) = match (file.script)(request) {
        Reply::Good => (Arc::clone(&file.bytes), asked, None),
        Reply::Bytes(bytes) => (bytes, asked, None),
        Reply::NoRanges => (Arc::clone(&file.bytes), None, None),
        Reply::NoLength => {
            let head = format!("HTTP/1.1 200 X\r\nConnection: close\r\n{}\r\n", lines(&fields));
            let _ = stream.write_all(head.as_bytes()).await;
            send(stream, shared, &file.bytes).await;
            return false;
        }
        Reply::Shifted(by) => {
            let range = asked.unwrap_or(0..whole);
            let moved = range.start + by..(range.end + by).min(whole);
            (Arc::clone(&file.bytes), Some(moved), None)
        }
        Reply::Cut(after) => (Arc::clone(&file.bytes), asked, Some((after, false))),
        Reply::Hang(after) => (Arc::clone(&file.bytes), asked, Some((after, true))),
        Reply::Slow(rate) => {
            pace = Some(rate);
            (Arc::clone(&file.bytes), asked, None)
        }
        Reply::With(more) => {
            fields.extend(more);
            (Arc::clone(&file.bytes), asked, None)
        }
        Reply::To(url) => return head(stream, 302, &[("Location", url)], b"").await,
        Reply::Status(status, fields) => return head(stream, status, &fields, b"<html>no</html>").await,
    };
    if range.as_ref().is_some_and(|range| range.start >= whole) {
        return head(stream, 416, &[("Content-Range", format!("bytes */{whole}"))], b"").await;
    }
    if let Some(range) = &range {
        fields.push(("Content-Range", format!("bytes {}-{}/{whole}", range.start, range.end - 1)));
    }
    let status = if range.is_some() { 206 } else { 200 };
    let range = range.unwrap_or(0..whole);
    let body = &bytes[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()];
    let text = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n{}\r\n", body.len(), lines(&fields));
    if stream.write_all(text.as_bytes()).await.is_err() {
        return false;
    }
    match limit {
        None if pace.is_some() => {
            let rate = pace.unwrap_or(1);
            let mut blocks = body.chunks(usize::try_from(rate / 20).unwrap().max(1)).peekable();
            while let Some(block) = blocks.next() {
                tokio::time::sleep(Duration::from_millis(50)).await;
                if blocks.peek().is_none() {
                    busy.take();
                }
                if !send(stream, shared, block).await {
                    return false;
                }
            }
            true
        }
        None => send(stream, shared, body).await,
        Some((after, hang)) => {
            send(stream, shared, &body[..body.len().min(usize::try_from(after).unwrap())]).await;
            if hang {
                std::future::pending::<()>().await;
            }
            false
        }
    }
}

async fn send(stream: &mut TcpStream, shared: &Shared, bytes: &[u8]) -> bool {
    for block in bytes.chunks(64 * 1024) {
        if stream.write_all(block).await.is_err() {
            return false;
        }
        shared.sent.fetch_add(block.len() as u64, SeqCst);
    }
    true
}

async fn head(stream: &mut TcpStream, status: u16, fields: &[(&str, String)], body: &[u8]) -> bool {
    let text = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n{}\r\n", body.len(), lines(fields));
    let mut all = text.into_bytes();
    all.extend_from_slice(body);
    stream.write_all(&all).await.is_ok()
}

fn lines(fields: &[(&str, String)]) -> String {
    fields.iter().map(|(name, value)| [name, ": ", value, "\r\n"].concat()).collect()
}

/// Bytes that no compression and no accident makes: different for each seed.
pub(crate) fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// The content that a listing would name for these bytes.
pub(crate) fn content(url: &str, bytes: &[u8]) -> Content {
    let digest = Digest::Sha256(Sha256::digest(bytes).into());
    let origin = modelcache::agent::fetch::Origin {
        url: url.parse().unwrap(),
        token: Some(Secret::new("hf_secret")),
        validator: None,
        authorizer: None,
    };
    let label = url.rsplit('/').next().unwrap().to_owned();
    Content { label, size: Some(bytes.len() as u64), digest: Some(digest), origin }
}
