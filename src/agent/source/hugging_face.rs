//! Which files does a hub repository have at a revision? Two calls, whatever the number of files.
//!
//! `revision` says which commit a branch is now, `tree` lists it with sizes and hashes. No file is asked for by itself: a
//! hub limits how often it is asked, and a fleet behind one address shares that limit.

use super::super::failure::{Failure, reason};
use super::super::fetch::{Digest, FetchError, Origin, unhex_array};
use super::Origins;
use super::access::Access;
use super::fnmatch::Patterns;
use super::listing::{ListedFile, Listing};
use super::preset;
use crate::api::Reason;
pub use crate::api::name::is_commit;
use crate::api::source::{HuggingFace, RepoType};
use serde::Deserialize;
use url::Url;

/// Largest answer that is read, in bytes. A page of the tree has 1000 entries of about 300 bytes.
const ANSWER_LIMIT: usize = 32 << 20;
/// Largest repository, in files: more is a listing that never ends.
const FILES_LIMIT: usize = 1_000_000;
/// A small file is asked for when a repository may be gated; see [`probe`].
const PROBE_LIMIT: usize = 1 << 20;

/// What `revision` answers, as far as it is of use.
#[derive(Deserialize)]
struct Revision {
    sha: Option<String>,
    /// `false`, or how access is granted.
    #[serde(default)]
    gated: serde_json::Value,
}

/// An entry of `tree`.
#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "type")]
    kind: String,
    path: String,
    #[serde(default)]
    size: Option<u64>,
    #[serde(default)]
    oid: Option<String>,
    #[serde(default)]
    lfs: Option<Lfs>,
}

/// The real content of a file that git holds a pointer of.
#[derive(Deserialize)]
struct Lfs {
    oid: String,
    size: u64,
}

/// A repository and how to ask for it.
struct Repository<'a> {
    origins: &'a Origins,
    hub: &'a HuggingFace,
    access: &'a Access,
    base: Url,
}

/// The commit that the revision is now, and its files.
pub async fn resolve(origins: &Origins, hub: &HuggingFace, access: &Access) -> Result<Listing, Failure> {
    let repository = Repository::new(origins, hub, access)?;
    let (commit, may_be_gated) = if is_commit(hub.effective_revision()) {
        (hub.effective_revision().to_owned(), true)
    } else {
        repository.revision().await?
    };
    let listing = repository.tree(&commit).await?;
    if may_be_gated {
        repository.probe(&listing).await?;
    }
    Ok(listing)
}

/// The files of a commit.
pub async fn list(origins: &Origins, hub: &HuggingFace, commit: &str, access: &Access) -> Result<Listing, Failure> {
    if !is_commit(commit) {
        return Err(Failure::new(Reason::InvalidSpec, format!("the pin `{commit}` is not a commit of 40 hex digits")));
    }
    Repository::new(origins, hub, access)?.tree(commit).await
}

impl<'a> Repository<'a> {
    fn new(origins: &'a Origins, hub: &'a HuggingFace, access: &'a Access) -> Result<Self, Failure> {
        let endpoint = match (&hub.endpoint, &origins.endpoint) {
            (None, Some(default)) => default.trim_end_matches('/'),
            _ => hub.effective_endpoint(),
        };
        let base = Url::parse(endpoint).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let base = base.ok_or_else(|| {
            Failure::new(Reason::InvalidSpec, format!("`endpoint` is not an http or https URL: {endpoint}"))
        })?;
        Ok(Self { origins, hub, access, base })
    }

    /// The commit of the branch or tag, and whether the repository asks its users to accept terms.
    async fn revision(&self) -> Result<(String, bool), Failure> {
        let url = self.api(&["revision", self.hub.effective_revision()]);
        let answer: Revision = self.get_json(&url).await?.0;
        let commit = answer.sha.filter(|sha| is_commit(sha)).ok_or_else(|| self.nonsense("names no commit"))?;
        Ok((commit, !matches!(answer.gated, serde_json::Value::Bool(false) | serde_json::Value::Null)))
    }

    async fn tree(&self, commit: &str) -> Result<Listing, Failure> {
        let mut url = self.api(&["tree", commit]);
        url.set_query(Some("recursive=true&expand=false"));
        let patterns = Patterns::new(&self.hub.include, &self.hub.exclude);
        let mut taken = Vec::new();
        let mut complete = true;
        loop {
            let (entries, next) = self.get_json::<Vec<Entry>>(&url).await?;
            for entry in entries.into_iter().filter(|entry| entry.kind == "file") {
                if patterns.want(&entry.path) {
                    taken.push(entry);
                } else {
                    complete = false;
                }
            }
            if taken.len() > FILES_LIMIT {
                return Err(self.nonsense(&format!("lists more than {FILES_LIMIT} files")));
            }
            // A mirror may name another host as the next page's: only the cursor is taken, so that the token and the
            // files come from where they were asked for.
            match next {
                Some(query) if url.query() != Some(&query) => url.set_query(Some(&query)),
                Some(_) => return Err(self.nonsense("lists pages in a circle")),
                None => break,
            }
        }
        if let Some(preset) = self.hub.preset {
            let paths: Vec<&str> = taken.iter().map(|entry| entry.path.as_str()).collect();
            let read = preset::choose(preset, &paths);
            let read = read.map_err(|error| Failure::new(Reason::NoFiles, format!("{}: {error}", self.shown())))?;
            let read: Vec<bool> = paths.iter().map(|path| read.contains(path)).collect();
            complete &= read.iter().all(|read| *read);
            let mut read = read.into_iter();
            taken.retain(|_| read.next().unwrap_or_default());
        }
        let files = taken.into_iter().map(|entry| self.listed(commit, entry)).collect::<Result<_, _>>()?;
        Listing::new(commit.to_owned(), files, complete, self.access.token.clone(), self.shown())
    }

    fn listed(&self, commit: &str, entry: Entry) -> Result<ListedFile, Failure> {
        let nonsense = || self.nonsense(&format!("gives no usable size and hash of {:?}", entry.path));
        let (size, digest) = match &entry.lfs {
            Some(lfs) => (Some(lfs.size), unhex_array(lfs.oid.trim_start_matches("sha256:")).map(Digest::Sha256)),
            None => (entry.size, entry.oid.as_deref().and_then(unhex_array).map(Digest::GitBlob)),
        };
        let (Some(size), Some(digest)) = (size, digest) else { return Err(nonsense()) };
        let git_oid = entry.oid.filter(|oid| is_commit(oid));
        let mut url = self.path(self.prefix());
        if let Ok(mut parts) = url.path_segments_mut() {
            parts.extend(["resolve", commit]).extend(entry.path.split('/'));
        }
        Ok(ListedFile {
            path: entry.path,
            size: Some(size),
            digest: Some(digest),
            validator: None,
            git_oid,
            url,
            unpack: None,
        })
    }

    /// Asks for the smallest file: the tree of a gated repository is open to everybody, its files are not, and that is
    /// better said once here than on every node.
    async fn probe(&self, listing: &Listing) -> Result<(), Failure> {
        let smallest = listing.files.iter().min_by_key(|file| file.size);
        let Some(file) = smallest.filter(|file| file.size.is_some_and(|size| size <= PROBE_LIMIT as u64)) else {
            return Ok(());
        };
        let origin = self.origin(file.url.clone());
        match self.origins.client.probe(&file.path, &origin, &self.origins.options).await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.explained(error).await),
        }
    }

    /// A document of the API, and the query of its next page.
    async fn get_json<T: serde::de::DeserializeOwned>(&self, url: &Url) -> Result<(T, Option<String>), Failure> {
        let (client, options) = (&self.origins.client, &self.origins.options);
        let origin = self.origin(url.clone());
        let answer = match client.get(&self.shown(), &origin, "application/json", ANSWER_LIMIT, options).await {
            Ok(answer) => answer,
            Err(error) => return Err(self.explained(error).await),
        };
        let document = serde_json::from_slice(&answer.body)
            .map_err(|error| self.nonsense(&format!("is not the JSON of a hub ({error})")))?;
        Ok((document, next_page(&answer.headers, &answer.url)))
    }

    /// A refusal, with what a person can do about it.
    async fn explained(&self, error: FetchError) -> Failure {
        let mut reason = reason(&error);
        let advice = self.access.advice();
        let repo = self.shown();
        // Some hubs say "no such repository" to a token that they do not know. Whose fault it is decides what to do.
        if reason == Reason::NotFound && self.access.token.is_some() && self.token_is_unknown().await {
            reason = Reason::Unauthorized;
        }
        let message = match reason {
            Reason::Unauthorized if self.access.token.is_some() => {
                format!("{repo}: the hub refuses the token; {advice} ({error})")
            }
            Reason::Unauthorized => format!("{repo} is missing, private, or asks for a token; {advice} ({error})"),
            Reason::Gated => format!(
                "{repo} is gated: accept its terms at {repo} with the account that the token belongs to; {advice}"
            ),
            Reason::NotFound => format!("{error}; {advice}"),
            _ => error.to_string(),
        };
        Failure::new(reason, message)
    }

    async fn token_is_unknown(&self) -> bool {
        let mut url = self.base.clone();
        if let Ok(mut parts) = url.path_segments_mut() {
            parts.pop_if_empty().extend(["api", "whoami-v2"]);
        }
        let (client, options) = (&self.origins.client, &self.origins.options);
        let answer = client.get("the token", &self.origin(url), "application/json", ANSWER_LIMIT, options).await;
        answer.is_err_and(|error| reason(&error) == Reason::Unauthorized)
    }

    fn nonsense(&self, what: &str) -> Failure {
        let repo = self.shown();
        Failure::new(Reason::Unreachable, format!("the answer about {repo} {what}: is `endpoint` a hub?"))
    }

    fn origin(&self, url: Url) -> Origin {
        Origin { url, token: self.access.token.clone(), validator: None, authorizer: None }
    }

    /// The repository's page: what people open in a browser, and what messages call it.
    fn shown(&self) -> String {
        self.path(self.prefix()).to_string()
    }

    fn prefix(&self) -> &'static [&'static str] {
        match self.hub.effective_repo_type() {
            RepoType::Model => &[],
            RepoType::Dataset => &["datasets"],
            RepoType::Space => &["spaces"],
        }
    }

    fn api(&self, rest: &[&str]) -> Url {
        let kind = match self.hub.effective_repo_type() {
            RepoType::Model => "models",
            RepoType::Dataset => "datasets",
            RepoType::Space => "spaces",
        };
        let mut url = self.path(&["api", kind]);
        if let Ok(mut parts) = url.path_segments_mut() {
            parts.extend(rest);
        }
        url
    }

    /// The endpoint, a prefix, and the repository's name.
    fn path(&self, prefix: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut parts) = url.path_segments_mut() {
            parts.pop_if_empty().extend(prefix).extend(self.hub.repo.split('/'));
        }
        url
    }
}

/// Query of the URL in `Link: <…>; rel="next"`.
fn next_page(headers: &reqwest::header::HeaderMap, base: &Url) -> Option<String> {
    let link = headers.get("link")?.to_str().ok()?;
    let next = link.split(',').find(|part| part.contains("rel=\"next\"") || part.contains("rel=next"))?;
    let (_, rest) = next.split_once('<')?;
    let (url, _) = rest.split_once('>')?;
    base.join(url).ok()?.query().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::{HeaderMap, HeaderValue};

    #[test]
    fn the_next_page_is_asked_for_where_the_first_one_was() {
        let base = Url::parse("https://mirror/api/models/x/tree/c?recursive=true").unwrap();
        let link = |value| HeaderMap::from_iter([(reqwest::header::LINK, HeaderValue::from_static(value))]);
        let next = next_page(&link("<https://huggingface.co/api/models/x?cursor=abc%3D&limit=5>; rel=\"next\""), &base);
        assert_eq!(next.as_deref(), Some("cursor=abc%3D&limit=5"));
        assert_eq!(next_page(&link("<https://h/x?cursor=1>; rel=\"prev\""), &base), None);
        assert_eq!(next_page(&HeaderMap::new(), &base), None);
    }

    #[test]
    fn only_forty_lower_case_hex_digits_are_a_commit() {
        assert!(is_commit(&"0a".repeat(20)));
        assert!(!is_commit(&"0A".repeat(20)));
        assert!(!is_commit("main"));
        assert!(!is_commit(&"g".repeat(40)));
    }
}
