//! A wheelhouse from a package index: what the hashes lock is fetched, and nothing else.

use crate::bench::{Bench, ran};
use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

/// How an index lists its files.
#[derive(Clone, Copy)]
enum Speaks {
    Json,
    Html,
}

/// Names and bytes.
type Files = Arc<Mutex<Vec<(&'static str, Vec<u8>)>>>;

/// A package index of one package, `demo-pkg`, on loopback for as long as it lives.
struct Index {
    url: String,
    files: Files,
    /// What is asked for in `Authorization`, if anything.
    login: Arc<Mutex<Option<&'static str>>>,
    _runtime: tokio::runtime::Runtime,
}

const WHEEL: &str = "demo_pkg-1.0-py3-none-any.whl";
const CPYTHON: &str = "demo_pkg-1.0-cp312-cp312-manylinux_2_17_x86_64.whl";
const WINDOWS: &str = "demo_pkg-1.0-cp312-cp312-win_amd64.whl";
const SOURCE: &str = "demo_pkg-1.0.tar.gz";

impl Index {
    fn start(speaks: Speaks) -> Self {
        let files = [WHEEL, CPYTHON, WINDOWS, SOURCE].map(|name| (name, name.repeat(100).into_bytes()));
        let files = Arc::new(Mutex::new(files.to_vec()));
        let project = move |State(files): State<Files>, Path(name): Path<String>| async move {
            if name != "demo-pkg" {
                return StatusCode::NOT_FOUND.into_response();
            }
            listing(speaks, &files.lock().unwrap())
        };
        let file = |State(files): State<Files>, Path(name): Path<String>| async move {
            let found = files.lock().unwrap().iter().find(|it| it.0 == name).map(|it| it.1.clone());
            found.map_or(StatusCode::NOT_FOUND.into_response(), IntoResponse::into_response)
        };
        let router = Router::new()
            .route("/simple/{name}/", get(project))
            .route("/packages/{name}", get(file))
            .with_state(files.clone());
        let login: Arc<Mutex<Option<&'static str>>> = Arc::default();
        let asked = login.clone();
        let router = router.layer(axum::middleware::from_fn(move |request: Request, next: Next| {
            let wanted = *asked.lock().unwrap();
            async move {
                let shown = request.headers().get(header::AUTHORIZATION).and_then(|it| it.to_str().ok());
                match wanted {
                    Some(wanted) if shown != Some(wanted) => StatusCode::UNAUTHORIZED.into_response(),
                    _ => next.run(request).await,
                }
            }
        }));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind(("127.0.0.1", 0))).unwrap();
        let url = format!("http://{}/simple", listener.local_addr().unwrap());
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self { url, files, login, _runtime: runtime }
    }

    /// A source of these requirements, with more fields.
    fn source(&self, more: &Value) -> Value {
        let mut pip = json!({"endpoint": self.url});
        pip.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"name": "wheels", "pip": pip})
    }

    /// The package locked to these files.
    fn locked(&self, names: &[&str]) -> String {
        let files = self.files.lock().unwrap();
        let mut text = "Demo.Pkg==1.0".to_owned();
        for (_, bytes) in files.iter().filter(|(name, _)| names.contains(name)) {
            write!(text, " \\\n    --hash=sha256:{}", hash(bytes)).unwrap();
        }
        text
    }
}

fn hash(bytes: &[u8]) -> String {
    modelcache::agent::fetch::hex(&Sha256::digest(bytes))
}

fn listing(speaks: Speaks, files: &[(&'static str, Vec<u8>)]) -> Response {
    match speaks {
        Speaks::Json => {
            let files: Vec<Value> = files
                .iter()
                .map(|(name, bytes)| {
                    json!({"filename": name, "url": format!("/packages/{name}"), "hashes": {"sha256": hash(bytes)},
                           "size": bytes.len()})
                })
                .collect();
            let body = json!({"meta": {"api-version": "1.1"}, "name": "demo-pkg", "files": files}).to_string();
            ([(header::CONTENT_TYPE, "application/vnd.pypi.simple.v1+json")], body).into_response()
        }
        Speaks::Html => {
            let mut body = "<!DOCTYPE html><html><body>".to_owned();
            for (name, bytes) in files {
                write!(body, "<a href=\"../../packages/{name}#sha256={}\">{name}</a><br/>", hash(bytes)).unwrap();
            }
            ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], body).into_response()
        }
    }
}

#[test]
fn the_files_that_the_hashes_lock_and_the_target_can_install_are_fetched() {
    for speaks in [Speaks::Json, Speaks::Html] {
        let (bench, index) = (Bench::new(), Index::start(speaks));
        let all = index.locked(&[WHEEL, CPYTHON, WINDOWS, SOURCE]);
        bench.cache(&[index.source(&json!({"requirements": all, "pythonVersion": "3.12"}))]);
        bench.prefetch();
        assert_eq!(bench.published(), ["wheels", &format!("wheels/{CPYTHON}"), &format!("wheels/{WHEEL}")]);
        assert_eq!(bench.prefetch().fetched(), 0);

        let (bench, only) = (Bench::new(), index.locked(&[SOURCE]));
        bench.cache(&[index.source(&json!({"requirements": only, "path": "deep/er"}))]);
        bench.prefetch();
        assert_eq!(bench.published(), ["deep", "deep/er", &format!("deep/er/{SOURCE}")]);
    }
}

#[test]
fn a_config_map_of_the_same_yaml_holds_the_requirements() {
    let (bench, index) = (Bench::new(), Index::start(Speaks::Json));
    let source = index.source(&json!({"requirementsFrom": {"name": "lock", "key": "requirements.txt"}}));
    bench.cache(&[source]);
    bench.run(&["prefetch"]).failed(2, "InvalidSpec", &["key `requirements.txt` of ConfigMap `lock`"]);
    let cache = std::fs::read_to_string(bench.path("cache.yaml")).unwrap();
    let lock = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "lock"},
                      "data": {"requirements.txt": index.locked(&[WHEEL])}});
    std::fs::write(bench.path("cache.yaml"), format!("{cache}\n---\n{lock}\n")).unwrap();
    bench.prefetch();
    assert_eq!(bench.published(), ["wheels", &format!("wheels/{WHEEL}")]);
}

#[test]
fn what_cannot_be_a_wheelhouse_is_refused_with_what_to_do() {
    let (bench, index) = (Bench::new(), Index::start(Speaks::Json));
    for (requirements, code, reason, word) in [
        ("demo-pkg==1.0".to_owned(), 2, "InvalidSpec", "line 1: `demo-pkg==1.0` has no --hash"),
        (format!("demo-pkg==1.0 --hash=sha256:{}", "ab".repeat(32)), 12, "NotFound", "none of the 4 files"),
        (format!("other==1.0 --hash=sha256:{}", "ab".repeat(32)), 12, "NotFound", "other"),
        (index.locked(&[WINDOWS]), 2, "InvalidSpec", "is for Linux"),
    ] {
        bench.cache(&[index.source(&json!({"requirements": requirements}))]);
        bench.run(&["prefetch"]).failed(code, reason, &["source `wheels`", word]);
    }
    assert_eq!(bench.published(), Vec::<String>::new());
}

#[test]
fn other_bytes_than_those_that_were_locked_are_never_published() {
    let (bench, index) = (Bench::new(), Index::start(Speaks::Json));
    let locked = index.locked(&[WHEEL]);
    bench.cache(&[index.source(&json!({"requirements": locked}))]);
    let resolved = ran(bench.command(&["resolve"]).output().unwrap());
    assert_eq!(resolved.code, 0, "{}", resolved.message());
    // The index still names the old hash: it lies about its bytes.
    let url = format!("{}/files/{WHEEL}", bench.hub.url);
    bench.hub.control(&format!("file?name={WHEEL}&size=2100"));
    let direct = format!("demo-pkg @ {url} {}", locked.split_once("\\\n").unwrap().1.trim());
    bench.cache(&[index.source(&json!({"requirements": direct}))]);
    bench.run(&["prefetch"]).failed(30, "ChecksumMismatch", &["source `wheels`"]);
    assert_eq!(bench.published(), Vec::<String>::new());
}

#[test]
fn a_login_is_shown_to_the_index_and_to_no_other_host_that_files_lie_on() {
    let (bench, index) = (Bench::new(), Index::start(Speaks::Json));
    // user:s3cret
    *index.login.lock().unwrap() = Some("Basic dXNlcjpzM2NyZXQ=");
    let elsewhere = bench.hub.put("demo_pkg-2.0-py3-none-any.whl", vec![9; 3000]);
    let url = format!("{}/files/demo_pkg-2.0-py3-none-any.whl", bench.hub.url);
    let requirements = format!("{}\nother @ {url} --hash=sha256:{elsewhere}\n", index.locked(&[WHEEL]));
    let open = json!({"requirements": requirements});
    bench.cache(&[index.source(&open)]);
    bench.run(&["prefetch"]).failed(10, "Unauthorized", &["`passwordSecretRef`"]);
    let mut closed = open;
    closed["usernameSecretRef"] = json!({"name": "index", "key": "username"});
    closed["passwordSecretRef"] = json!({"name": "index", "key": "password"});
    bench.cache(&[index.source(&closed)]);
    bench.run(&["prefetch"]).failed(13, "SecretNotFound", &["PIP_INDEX_USERNAME"]);
    let mut command = bench.command(&["prefetch"]);
    let ran = ran(command.env("PIP_INDEX_USERNAME", "user").env("PIP_INDEX_PASSWORD", "s3cret").output().unwrap());
    assert_eq!(ran.code, 0, "{:?} {}", ran.results, ran.stderr);
    assert_eq!(bench.published().len(), 3);
    assert_eq!(bench.hub.counters().authorized_cdn_requests, 0);
    assert!(!ran.stderr.contains("s3cret") && !format!("{:?}", ran.results).contains("s3cret"));
}
