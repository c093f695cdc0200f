//! A hub server that speaks the real protocol, so that tests and demo need no internet.
//!
//! What it speaks: revision and tree (paged), resolve with HEAD, ranges, ETags and redirects to a file server on another
//! origin with signed URLs that expire, private and gated repositories, the hub's error codes and rate-limit headers; and
//! plain files. Its misbehaviour is steered through [`control`].

#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::pedantic,
    reason = "test code: a panic is a failed test"
)]

mod answer;
pub mod content;
pub mod control;
pub mod demo;
mod listen;
pub mod repo;
mod route;
pub mod state;

use axum::Router;
use repo::Repo;
use state::{Counters, State};
use std::net::SocketAddr;
use std::sync::Arc;

/// Tokens that a new hub knows: one that may see private repositories, one that also holds the grant for gated ones.
pub const READER: &str = "hf_reader";
pub const GRANTED: &str = "hf_granted";

/// Where a hub listens.
pub struct Listen {
    pub hub: SocketAddr,
    pub files: SocketAddr,
    /// Host name in signed URLs; the files address itself when empty. Must differ from the hub's: the Python clients 1.31
    /// and 1.33 ignore ports when they decide whether a redirect stays at home.
    pub files_host: String,
}

/// A running hub, on a thread of its own; it ends with its process or when it is dropped.
pub struct Hub {
    /// `http://address:port` of the hub.
    pub url: String,
    pub state: Arc<State>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
}

impl Hub {
    /// A hub on free ports of the loopback, with `demo/tiny-llm`; the file server is at another address.
    pub fn start() -> Self {
        let any = |host: [u8; 4]| SocketAddr::from((host, 0));
        Self::start_at(&Listen { hub: any([127, 0, 0, 1]), files: any([127, 0, 0, 2]), files_host: String::new() })
    }

    /// A hub at these addresses.
    pub fn start_at(listen: &Listen) -> Self {
        let bind = |address: SocketAddr| {
            let listener = std::net::TcpListener::bind(address).unwrap_or_else(|error| panic!("{address}: {error}"));
            listener.set_nonblocking(true).unwrap();
            listener
        };
        let (hub, files) = (bind(listen.hub), bind(listen.files));
        let files_at = files.local_addr().unwrap();
        let files_host = if listen.files_host.is_empty() {
            files_at.to_string()
        } else {
            format!("{}:{}", listen.files_host, files_at.port())
        };
        let url = format!("http://{}", hub.local_addr().unwrap());
        let state = Arc::new(State::new(format!("http://{files_host}")));
        {
            let mut inner = state.lock();
            inner.tokens = [(READER.to_owned(), false), (GRANTED.to_owned(), true)].into();
            let tiny = demo::tiny_llm();
            inner.repos.insert((tiny.kind, tiny.id.clone()), tiny);
        }
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let shared = state.clone();
        std::thread::spawn(move || serve(&shared, [hub, files], stopped));
        Self { url, state, stop: Some(stop) }
    }

    /// Adds or replaces a repository; see [`Repo::parse`]. Returns its commit.
    pub fn repo(&self, spec: &str) -> String {
        let repo = Repo::parse(spec).unwrap();
        let commit = repo.refs["main"].clone();
        self.state.lock().repos.insert((repo.kind, repo.id.clone()), repo);
        commit
    }

    /// Steers the hub as `POST /_control/<verb>` does; returns what that would answer.
    pub fn control(&self, verb: &str) -> serde_json::Value {
        let (verb, query) = verb.split_once('?').unwrap_or((verb, ""));
        let query = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let answer = control::answer(&self.state, &axum::http::Method::POST, verb, &query);
        assert!(answer.status().is_success(), "{verb}: {}", answer.status());
        // Also from within a runtime: the body is there already.
        let body = futures::executor::block_on(axum::body::to_bytes(answer.into_body(), 1 << 20)).unwrap();
        serde_json::from_slice(&body).unwrap()
    }

    /// Serves these bytes as `/files/<name>`; gives their SHA-256.
    #[allow(dead_code, reason = "not every test target has archives")]
    pub fn serve(&self, name: &str, bytes: Vec<u8>) -> String {
        let content = content::Content::literal(bytes);
        let sha256 = content.hashes().sha256.clone();
        let plain = state::Plain { content, tag: state::Tag::Strong, ranges: true, private: false };
        self.state.lock().plain.insert(name.to_owned(), plain);
        sha256
    }

    /// What was asked and sent so far.
    pub fn counters(&self) -> Counters {
        self.state.lock().counters.clone()
    }

    /// Content of a repository's file at `main`.
    pub fn content(&self, id: &str, path: &str) -> content::Content {
        let inner = self.state.lock();
        let repo = inner.repos.values().find(|repo| repo.id == id).unwrap();
        repo.commits[&repo.refs["main"]][path].clone()
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        drop(self.stop.take());
    }
}

fn serve(state: &Arc<State>, listeners: [std::net::TcpListener; 2], stopped: tokio::sync::oneshot::Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        for listener in listeners {
            let shared = state.clone();
            let app = Router::new().fallback(move |request| route::answer(shared.clone(), request));
            let inner = tokio::net::TcpListener::from_std(listener).unwrap();
            let listener = listen::Listener { inner, state: state.clone() };
            tokio::spawn(async move { axum::serve(listener, app).await });
        }
        let _ = stopped.await;
    });
    runtime.shutdown_background();
}
