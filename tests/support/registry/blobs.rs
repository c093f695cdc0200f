//! Another host, to which a registry sends for its blobs: what an object store is to most registries.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

/// A server of files, on a thread of its own.
pub struct BlobServer {
    pub url: String,
    state: Arc<Shared>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
}

#[derive(Default)]
struct Shared {
    root: Mutex<PathBuf>,
    /// What each request had as `Authorization`.
    seen: Mutex<Vec<Option<String>>>,
    asked: AtomicUsize,
}

impl BlobServer {
    pub fn start() -> Self {
        let listener = std::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 2], 0))).unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Shared::default());
        let (stop, stopped) = tokio::sync::oneshot::channel();
        serve(listener, Router::new().fallback(file).with_state(state.clone()), stopped);
        Self { url, state, stop: Some(stop) }
    }

    /// Serves the files below a directory.
    pub fn serve(&self, root: PathBuf) {
        *self.state.root.lock().unwrap() = root;
    }

    /// What each request had as `Authorization`.
    pub fn seen(&self) -> Vec<Option<String>> {
        self.state.seen.lock().unwrap().clone()
    }
}

impl BlobServer {
    /// Bytes that were asked for so far.
    pub fn asked(&self) -> usize {
        self.state.asked.load(SeqCst)
    }
}

impl Drop for BlobServer {
    fn drop(&mut self) {
        drop(self.stop.take());
    }
}

async fn file(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let text = |name| request.headers().get(name).map(|it: &header::HeaderValue| it.to_str().unwrap().to_owned());
    shared.seen.lock().unwrap().push(text(header::AUTHORIZATION));
    let path = shared.root.lock().unwrap().join(request.uri().path().trim_start_matches('/'));
    let Ok(bytes) = std::fs::read(path) else { return StatusCode::NOT_FOUND.into_response() };
    let Some(range) = text(header::RANGE) else { return bytes.into_response() };
    let (first, last) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
    let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
    let last = last.min(bytes.len() - 1);
    shared.asked.fetch_add(last + 1 - first, SeqCst);
    let range = format!("bytes {first}-{last}/{}", bytes.len());
    (StatusCode::PARTIAL_CONTENT, [(header::CONTENT_RANGE, range)], bytes[first..=last].to_vec()).into_response()
}

/// Serves on a thread of its own until told to stop.
pub(super) fn serve(listener: std::net::TcpListener, app: Router, stopped: tokio::sync::oneshot::Receiver<()>) {
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            tokio::select! {
                served = async { axum::serve(listener, app).await } => served.unwrap(),
                _ = stopped => {}
            }
        });
    });
}
