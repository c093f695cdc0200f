//! How does a test steer the hub? `GET /_control/counters`, and `POST /_control/<verb>?name=value…`.

use super::answer::{json, refuse};
use super::content::Content;
use super::repo::{Repo, bytes};
use super::state::{Counters, Fault, Inner, Plain, State, Tag, What};
use axum::body::Body;
use axum::http::{Method, Response};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The verbs, as `--help` prints them.
pub const HELP: &str = "\
Control API (query parameters, no body):
  GET  /_control/counters
  POST /_control/reset                                    counters to zero, faults, throttle and latency off
  POST /_control/fault?what=429&count=3&on=any&path=&retryAfter=1
         what: a status, wrongBytes, truncated, reset, ignoresRange; on: api, resolve, cdn, file, any
  POST /_control/down?seconds=20                          close all connections
  POST /_control/throttle?bytesPerSecond=1000000          per connection; 0 lifts it
  POST /_control/latency?millis=20
  POST /_control/urls?seconds=2                           life of signed URLs
  POST /_control/page?entries=1000                        entries per page of a tree
  POST /_control/move?repo=org/name&files=a,b             main to a new commit; all files when none is named
  POST /_control/repo?spec=org/name=a.bin:10Mi            adds or replaces a repository
  POST /_control/require?repo=org/name&private=true&gated=false
  POST /_control/token?token=hf_x&granted=true&known=true
  POST /_control/file?name=a.bin&size=10Mi&seed=1&etag=strong&ranges=true&private=false";

/// Answers a request below `/_control/`.
pub fn answer(state: &State, method: &Method, verb: &str, query: &BTreeMap<String, String>) -> Response<Body> {
    if verb == "counters" {
        let counters = state.lock().counters.clone();
        return json(&serde_json::to_value(counters).unwrap_or_default());
    }
    if method != Method::POST {
        return refuse(405, None, "use POST");
    }
    let done = act(&mut state.lock(), verb, &Query(query));
    match done {
        Ok(said) => json(&said),
        Err(message) => refuse(400, None, &message),
    }
}

struct Query<'a>(&'a BTreeMap<String, String>);

impl Query<'_> {
    fn text(&self, name: &str) -> Result<&str, String> {
        self.0.get(name).map(String::as_str).ok_or_else(|| format!("`{name}` is missing"))
    }

    fn or<'a>(&'a self, name: &str, default: &'a str) -> &'a str {
        self.0.get(name).map_or(default, String::as_str)
    }

    fn number(&self, name: &str) -> Result<u64, String> {
        bytes(self.text(name)?).ok_or_else(|| format!("`{name}` is no number"))
    }

    fn truth(&self, name: &str, default: bool) -> bool {
        self.0.get(name).map_or(default, |it| it == "true")
    }
}

fn act(inner: &mut Inner, verb: &str, query: &Query<'_>) -> Result<serde_json::Value, String> {
    match verb {
        "reset" => {
            inner.counters = Counters::default();
            inner.faults.clear();
            (inner.throttle, inner.latency) = (0, Duration::ZERO);
        }
        "fault" => inner.faults.push(Fault {
            what: What::parse(query.text("what")?).ok_or("`what` is no fault")?,
            count: query.or("count", "1").parse().map_err(|_| "`count` is no number")?,
            on: query.or("on", "any").to_owned(),
            path: query.or("path", "").to_owned(),
            retry_after: query.0.get("retryAfter").and_then(|it| it.parse().ok()),
        }),
        "down" => inner.down_until = Some(Instant::now() + Duration::from_secs(query.number("seconds")?)),
        "throttle" => inner.throttle = query.number("bytesPerSecond")?,
        "latency" => inner.latency = Duration::from_millis(query.number("millis")?),
        "urls" => inner.url_life = Duration::from_secs(query.number("seconds")?),
        "page" => inner.page = usize::try_from(query.number("entries")?.max(1)).map_err(|it| it.to_string())?,
        "move" => {
            let repo = named(inner, query.text("repo")?)?;
            let files: Vec<&str> = query.or("files", "").split(',').filter(|it| !it.is_empty()).collect();
            return Ok(json!({"commit": repo.move_main(&files)}));
        }
        "repo" => {
            let repo = Repo::parse(query.text("spec")?)?;
            let commit = repo.refs.get("main").cloned();
            inner.repos.insert((repo.kind, repo.id.clone()), repo);
            return Ok(json!({"commit": commit}));
        }
        "require" => {
            let repo = named(inner, query.text("repo")?)?;
            (repo.private, repo.gated) = (query.truth("private", repo.private), query.truth("gated", repo.gated));
        }
        "token" => {
            let token = query.text("token")?.to_owned();
            if query.truth("known", true) {
                inner.tokens.insert(token, query.truth("granted", true));
            } else {
                inner.tokens.remove(&token);
            }
        }
        "file" => {
            let name = query.text("name")?.to_owned();
            let seed = query.or("seed", "1").parse().map_err(|_| "`seed` is no number")?;
            let content = Content::generated(seed, query.number("size")?);
            let tag = match query.or("etag", "strong") {
                "strong" => Tag::Strong,
                "weak" => Tag::Weak,
                "none" => Tag::None,
                other => return Err(format!("`{other}` is no kind of ETag")),
            };
            let sha256 = content.hashes().sha256.clone();
            let (ranges, private) = (query.truth("ranges", true), query.truth("private", false));
            inner.plain.insert(name, Plain { tag, ranges, private, ..Plain::of(content) });
            return Ok(json!({"sha256": sha256}));
        }
        _ => return Err(format!("there is no /_control/{verb}")),
    }
    Ok(json!({"ok": true}))
}

fn named<'a>(inner: &'a mut Inner, id: &str) -> Result<&'a mut Repo, String> {
    inner.repos.values_mut().find(|repo| repo.id == id).ok_or_else(|| format!("there is no repository `{id}`"))
}
