//! What is being asked? The hub's own URLs, the file server's, plain files, and the control API.

use super::answer::{Send, faulty, json, refuse, send, set, with_limits};
use super::content::{Content, hex};
use super::control;
use super::repo::{Kind, Repo, is_large};
use super::state::{Fault, State, Tag, What};
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, Response, StatusCode, header};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// A request, taken apart.
struct Asked<'a> {
    state: &'a Arc<State>,
    method: &'a Method,
    headers: &'a HeaderMap,
    /// Path as sent.
    path: &'a str,
    query: BTreeMap<String, String>,
    /// `http://host:port` as the client called us.
    origin: String,
}

/// Answers a request to either listener: the paths do not overlap.
pub async fn answer(state: Arc<State>, request: Request<Body>) -> Response<Body> {
    let (parts, _) = request.into_parts();
    let latency = state.lock().latency;
    if !latency.is_zero() && !parts.uri.path().starts_with("/_control") {
        tokio::time::sleep(latency).await;
    }
    // Hashing a large file for the first time takes a second: not on the thread that serves the others.
    let answered = tokio::task::spawn_blocking(move || {
        let query = parts.uri.query().unwrap_or_default();
        let host = parts.headers.get(header::HOST).and_then(|it| it.to_str().ok()).unwrap_or("localhost");
        Asked {
            state: &state,
            method: &parts.method,
            headers: &parts.headers,
            path: parts.uri.path(),
            query: url::form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
            origin: format!("http://{host}"),
        }
        .answer()
    });
    answered.await.unwrap_or_else(|error| refuse(500, None, &format!("the test hub failed: {error}")))
}

impl Asked<'_> {
    fn answer(&self) -> Response<Body> {
        if let Some(what) = self.path.strip_prefix("/_control/") {
            return control::answer(self.state, self.method, what, &self.query);
        }
        let parts: Vec<String> = self.path.trim_matches('/').split('/').map(decoded).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        match parts.as_slice() {
            ["files", name @ ..] => self.plain(&name.join("/")),
            ["cdn", sha256] => self.cdn(sha256),
            ["api", "whoami-v2"] => self.whoami(),
            ["api", kind, rest @ ..] => match (Kind::parse(kind), split(rest, &["revision", "tree"])) {
                (Some(kind), Some((id, "revision", revision))) => self.revision(kind, &id, &revision),
                (Some(kind), Some((id, _, revision))) => self.tree(kind, &id, &revision),
                // `/api/models/{id}` is its `main`.
                (Some(kind), None) => self.revision(kind, &rest.join("/"), "main"),
                (None, _) => self.nothing(),
            },
            [kind @ ("datasets" | "spaces"), rest @ ..] => {
                self.resolve(Kind::parse(kind).unwrap_or(Kind::Models), split(rest, &["resolve"]))
            }
            rest => self.resolve(Kind::Models, split(rest, &["resolve"])),
        }
    }

    fn nothing(&self) -> Response<Body> {
        self.state.request("other", self.path);
        refuse(404, None, "Not Found")
    }

    /// Whose token is it? `None` when none was sent; an unknown one is refused before anything else.
    fn grant(&self) -> Result<Option<bool>, Box<Response<Body>>> {
        let Some(sent) = self.headers.get(header::AUTHORIZATION) else { return Ok(None) };
        let token = sent.to_str().unwrap_or_default().trim_start_matches("Bearer ").to_owned();
        match self.state.lock().tokens.get(&token) {
            Some(granted) => Ok(Some(*granted)),
            None => Err(Box::new(refuse(401, None, "Invalid credentials in Authorization header"))),
        }
    }

    /// The repository, if it is there and the token may see it.
    fn repo(&self, kind: Kind, id: &str) -> Result<Repo, Box<Response<Body>>> {
        let grant = self.grant()?;
        let repo = self.state.lock().repos.get(&(kind, id.to_owned())).cloned();
        match repo {
            Some(repo) if !repo.private || grant.is_some() => Ok(repo),
            // The hub does not say which: to know that a private repository is there needs a token.
            _ if grant.is_none() => Err(Box::new(refuse(401, Some("RepoNotFound"), "Repository not found"))),
            _ => Err(Box::new(refuse(404, Some("RepoNotFound"), "Repository not found"))),
        }
    }

    fn at(&self, kind: Kind, id: &str, revision: &str) -> Result<(Repo, String), Box<Response<Body>>> {
        let repo = self.repo(kind, id)?;
        match repo.commit_of(revision).map(str::to_owned) {
            Some(commit) => Ok((repo, commit)),
            None => Err(Box::new(refuse(404, Some("RevisionNotFound"), &format!("Invalid rev id: {revision}")))),
        }
    }

    fn whoami(&self) -> Response<Body> {
        self.state.request("other", self.path);
        match self.grant() {
            Ok(Some(_)) => json(&json!({"type": "user", "name": "reader"})),
            Ok(None) => refuse(401, None, "Invalid username or password."),
            Err(refused) => *refused,
        }
    }

    fn revision(&self, kind: Kind, id: &str, revision: &str) -> Response<Body> {
        let fault = self.state.request("revision", self.path);
        if let Some(wrong) = faulty(fault.as_ref()) {
            return wrong;
        }
        let (repo, commit) = match self.at(kind, id, revision) {
            Ok(found) => found,
            Err(refused) => return *refused,
        };
        let siblings: Vec<Value> = repo.commits[&commit].keys().map(|path| json!({"rfilename": path})).collect();
        json(&json!({
            "_id": "0", "id": id, "modelId": id, "author": id.split('/').next(), "sha": commit,
            "lastModified": "2026-01-01T00:00:00.000Z", "createdAt": "2026-01-01T00:00:00.000Z",
            "private": repo.private, "gated": if repo.gated { json!("manual") } else { json!(false) },
            "disabled": false, "downloads": 0, "likes": 0, "tags": [], "siblings": siblings
        }))
    }

    fn tree(&self, kind: Kind, id: &str, revision: &str) -> Response<Body> {
        let fault = self.state.request("tree", self.path);
        if let Some(wrong) = faulty(fault.as_ref()) {
            return wrong;
        }
        let (repo, commit) = match self.at(kind, id, revision) {
            Ok(found) => found,
            Err(refused) => return *refused,
        };
        let entries = entries(&repo.commits[&commit]);
        let from: usize = self.query.get("cursor").and_then(|it| it.parse().ok()).unwrap_or_default();
        let page = self.state.lock().page;
        let shown: Vec<&Value> = entries.iter().skip(from).take(page).collect();
        let mut answer = json(&json!(shown));
        if from + page < entries.len() {
            let next = format!(
                "<{}{}?recursive=true&expand=false&cursor={}>; rel=\"next\"",
                self.origin,
                self.path,
                from + page
            );
            set(&mut answer, "link", &next);
        }
        answer
    }

    fn resolve(&self, kind: Kind, parts: Option<(String, &str, String)>) -> Response<Body> {
        let Some((id, _, rest)) = parts else { return self.nothing() };
        let counted = if self.method == Method::HEAD { "resolveHead" } else { "resolve" };
        let fault = self.state.request(counted, self.path);
        if let Some(wrong) = faulty(fault.as_ref()) {
            return wrong;
        }
        let (revision, path) = rest.split_once('/').unwrap_or((&rest, ""));
        let (repo, commit) = match self.at(kind, &id, revision) {
            Ok(found) => found,
            Err(refused) => return *refused,
        };
        if repo.gated && !matches!(self.grant(), Ok(Some(true))) {
            let message = format!("Access to {kind:?} {id} is restricted and you are not in the authorized list.");
            return refuse(
                if self.headers.contains_key(header::AUTHORIZATION) { 403 } else { 401 },
                Some("GatedRepo"),
                &message,
            );
        }
        let Some(content) = repo.commits[&commit].get(path).cloned() else {
            let mut answer = refuse(404, Some("EntryNotFound"), "Entry not found");
            set(&mut answer, "x-repo-commit", &commit);
            return answer;
        };
        if is_large(path, &content) {
            return self.redirect(&content, &commit, &format!("{id}/{path}"));
        }
        with_limits(send(Send {
            state: self.state,
            method: self.method,
            request: self.headers,
            name: format!("{id}/{path}"),
            headers: vec![("etag", quoted(&content.hashes().git)), ("x-repo-commit", commit)],
            content,
            ranges: true,
            authorized_cdn: false,
            fault,
        }))
    }

    /// Large files live on the file server: a signed URL that expires.
    fn redirect(&self, content: &Content, commit: &str, name: &str) -> Response<Body> {
        let (life, origin) = {
            let inner = self.state.lock();
            (inner.url_life, inner.files_origin.clone())
        };
        // A file server that listens everywhere is found under the name that the hub was found under.
        let host = self.origin.rsplit_once(':').map_or("http://localhost", |(host, _)| host);
        let origin = origin.replace("http://0.0.0.0", host);
        let sha256 = &content.hashes().sha256;
        let expires = now_millis() + life.as_millis();
        let signature = signature(sha256, expires);
        let name: String = url::form_urlencoded::byte_serialize(name.as_bytes()).collect();
        let location = format!("{origin}/cdn/{sha256}?expires={expires}&signature={signature}&name={name}");
        let mut answer = Response::new(Body::from("Found. Redirecting"));
        *answer.status_mut() = StatusCode::FOUND;
        set(&mut answer, "location", &location);
        set(&mut answer, "x-linked-size", &content.size().to_string());
        set(&mut answer, "x-linked-etag", &quoted(sha256));
        set(&mut answer, "x-repo-commit", commit);
        set(&mut answer, "accept-ranges", "bytes");
        with_limits(answer)
    }

    fn cdn(&self, sha256: &str) -> Response<Body> {
        let fault = self.state.request("cdn", self.path);
        let authorized = self.headers.contains_key(header::AUTHORIZATION);
        if authorized {
            self.state.lock().counters.authorized_cdn_requests += 1;
        }
        if let Some(wrong) = faulty(fault.as_ref()) {
            return wrong;
        }
        let expires: u128 = self.query.get("expires").and_then(|it| it.parse().ok()).unwrap_or_default();
        let signed = self.query.get("signature").is_some_and(|it| *it == signature(sha256, expires));
        if !signed || expires < now_millis() {
            let mut answer = Response::new(Body::from("<Error><Code>AccessDenied</Code></Error>"));
            *answer.status_mut() = StatusCode::FORBIDDEN;
            return answer;
        }
        let name = self.query.get("name").cloned().unwrap_or_default();
        let found = {
            let inner = self.state.lock();
            let (id, path) =
                inner.repos.keys().find_map(|(_, id)| Some((id, name.strip_prefix(id)?.strip_prefix('/')?))).unzip();
            let repos = inner.repos.values().filter(|repo| Some(&repo.id) == id);
            repos
                .flat_map(|repo| repo.commits.values())
                .filter_map(|files| files.get(path?))
                .cloned()
                .collect::<Vec<_>>()
        };
        let Some(content) = found.into_iter().find(|it| it.hashes().sha256 == sha256) else {
            return refuse(404, None, "no such blob");
        };
        send(Send {
            state: self.state,
            method: self.method,
            request: self.headers,
            content,
            name,
            headers: vec![("etag", quoted(sha256))],
            ranges: true,
            authorized_cdn: authorized,
            fault,
        })
    }

    fn plain(&self, name: &str) -> Response<Body> {
        let fault: Option<Fault> = self.state.request("file", self.path);
        if let Some(wrong) = faulty(fault.as_ref()) {
            return wrong;
        }
        if self.headers.contains_key(header::AUTHORIZATION) && self.state.lock().files_origin == self.origin {
            self.state.lock().counters.authorized_cdn_requests += 1;
        }
        let Some(plain) = self.state.lock().plain.get(name).cloned() else {
            return refuse(404, None, "no such file");
        };
        let refused = plain.private && !matches!(self.grant(), Ok(Some(_)));
        if refused && plain.login_page {
            let mut page = Response::new(Body::from("<!DOCTYPE html><html><body>Please sign in.</body></html>"));
            set(&mut page, "content-type", "text/html; charset=utf-8");
            return page;
        }
        if refused {
            return refuse(401, None, "a token is needed");
        }
        if let Some(location) = &plain.leads_to {
            let mut answer = Response::new(Body::empty());
            *answer.status_mut() = StatusCode::TEMPORARY_REDIRECT;
            set(&mut answer, "location", location);
            return answer;
        }
        let of_content = || plain.content.hashes().sha256.get(..32).unwrap_or_default().to_owned();
        let tag = quoted(&plain.etag.clone().unwrap_or_else(of_content));
        let headers = match plain.tag {
            Tag::Strong => vec![("etag", tag)],
            Tag::Weak => vec![("etag", format!("W/{tag}"))],
            Tag::None => vec![],
        };
        let ranges = plain.ranges && fault.as_ref().is_none_or(|it| it.what != What::IgnoresRange);
        send(Send {
            state: self.state,
            method: self.method,
            request: self.headers,
            content: plain.content,
            name: name.to_owned(),
            headers,
            ranges,
            authorized_cdn: false,
            fault,
        })
    }
}

/// `org/name/<verb>/rest` as id, verb and rest; an id has one part or two.
fn split<'a>(parts: &[&'a str], verbs: &[&str]) -> Option<(String, &'a str, String)> {
    let at = parts.iter().take(3).position(|part| verbs.contains(part)).filter(|at| *at > 0)?;
    Some((parts[..at].join("/"), parts[at], parts[at + 1..].join("/")))
}

/// The tree of a commit: files, and the directories that they are in.
fn entries(files: &BTreeMap<String, Content>) -> Vec<Value> {
    let mut entries = BTreeMap::new();
    for (path, content) in files {
        let parents = path.match_indices('/').map(|(at, _)| &path[..at]).filter(|it| !it.is_empty());
        for directory in parents {
            entries.insert(
                directory.to_owned(),
                json!({"type": "directory", "oid": "0".repeat(40), "size": 0, "path": directory}),
            );
        }
        let entry = if is_large(path, content) {
            let sha256 = &content.hashes().sha256;
            let pointer =
                format!("version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {}\n", content.size());
            let oid = Content::literal(pointer.clone()).hashes().git.clone();
            json!({"type": "file", "oid": oid, "size": content.size(), "path": path,
                   "lfs": {"oid": sha256, "size": content.size(), "pointerSize": pointer.len()}})
        } else {
            json!({"type": "file", "oid": content.hashes().git, "size": content.size(), "path": path})
        };
        entries.insert(path.clone(), entry);
    }
    entries.into_values().collect()
}

/// A part of a path without its percent encoding.
fn decoded(part: &str) -> String {
    // `+` is itself in a path; the form decoder would make it a space.
    let protected = format!("={}", part.replace('+', "%2B"));
    url::form_urlencoded::parse(protected.as_bytes()).next().map(|(_, value)| value.into_owned()).unwrap_or_default()
}

fn quoted(tag: &str) -> String {
    format!("\"{tag}\"")
}

fn signature(sha256: &str, expires: u128) -> String {
    hex(&Sha256::digest(format!("test hub {sha256} {expires}"))).chars().take(32).collect()
}

fn now_millis() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()
}
