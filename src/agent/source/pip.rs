//! Which files of a package index does a locked requirements file allow? Each hash picks a file; the index says where it is.
//!
//! The index speaks the simple API, as JSON (<https://peps.python.org/pep-0691/>) or as a page of links
//! (<https://peps.python.org/pep-0503/>), which is all that some mirrors have.

use super::super::failure::{Failure, reason};
use super::super::fetch::{Digest, Origin, Secret, unhex_array};
use super::Origins;
use super::access::Access;
use super::listing::{ListedFile, Listing};
use super::requirements::{self, Requirement};
use super::wheel::{Target, fits};
use crate::agent::sha256::Sha256;
use crate::api::Reason;
use crate::api::name::hex;
use crate::api::source::Pip;
use futures::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use std::collections::BTreeMap;
use url::Url;

/// JSON is asked for, a page of links is taken too.
const ACCEPT: &str = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1";
/// Largest answer that is read, in bytes. PyPI's largest projects have 20 MB.
const ANSWER_LIMIT: usize = 64 << 20;
/// Packages that are asked for at once.
const AT_ONCE: usize = 4;

/// A package, as JSON.
#[derive(Deserialize)]
struct Project {
    files: Vec<File>,
}

/// One file of it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
struct File {
    filename: String,
    url: String,
    #[serde(default)]
    hashes: BTreeMap<String, String>,
    #[serde(default)]
    size: Option<u64>,
}

/// The files that the requirements allow now.
pub async fn resolve(origins: &Origins, pip: &Pip, access: &Access) -> Result<Listing, Failure> {
    let text = pip.requirements.as_ref().or(access.requirements.as_ref());
    let invalid = |what: String| Failure::new(Reason::InvalidSpec, what);
    let text = text.ok_or_else(|| invalid("there are no requirements".into()))?;
    let requirements = requirements::parse(text).map_err(|bad| invalid(format!("requirements, {bad}")))?;
    let login = login(access);
    let chosen: Vec<Vec<ListedFile>> = stream::iter(&requirements)
        .map(|it| files(origins, pip, login.as_ref(), it))
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    let mut files: Vec<ListedFile> = chosen.into_iter().flatten().collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files.dedup_by(|a, b| (&a.path, a.digest) == (&b.path, b.digest));
    let mut hasher = Sha256::new();
    for file in &files {
        hasher.update(format!("{}\0{}\0", file.path, file.digest.map(|it| it.to_string()).unwrap_or_default()));
    }
    let revision = format!("sha256:{}", hex(&hasher.finalize()));
    let token_for = Url::parse(pip.effective_endpoint()).ok().map(|it| it.origin());
    let listing = Listing::new(revision, files, true, login, pip.effective_endpoint().to_owned())?;
    Ok(Listing { token_for, ..listing })
}

/// What an index that asks for a login is shown.
fn login(access: &Access) -> Option<Secret> {
    let (user, password) = (access.others.get(Pip::USERNAME)?, access.others.get(Pip::PASSWORD)?);
    Some(Secret::basic(user.reveal(), password.reveal()))
}

/// The files that one requirement allows and that fit the target: wheels, and the source where there is no wheel.
async fn files(
    origins: &Origins,
    pip: &Pip,
    login: Option<&Secret>,
    requirement: &Requirement,
) -> Result<Vec<ListedFile>, Failure> {
    let name = &requirement.name;
    let invalid = |what: String| Failure::new(Reason::InvalidSpec, format!("`{name}`: {what}"));
    let (mut listed, known) = if let Some(url) = &requirement.url {
        (vec![direct(requirement, url).ok_or_else(|| invalid(format!("{url} ends in no file name")))?], 1)
    } else {
        let all = project(origins, pip, login, name).await?;
        let known = all.len();
        (all.into_iter().filter(|(_, sha256, _)| requirement.hashes.contains(sha256)).collect(), known)
    };
    if listed.is_empty() {
        return Err(Failure::new(
            Reason::NotFound,
            format!(
                "`{name}`: none of the {known} files at {} has a hash of the requirements: lock them again, or name the \
                 index that they were locked against in `endpoint`",
                pip.effective_endpoint()
            ),
        ));
    }
    let target = Target { minor: minor(pip), architecture: pip.architecture };
    let all = listed.len();
    if requirement.url.is_none() {
        let wheels = listed.iter().any(|(file, ..)| fits(&file.filename, target));
        listed.retain(|(file, ..)| if wheels { fits(&file.filename, target) } else { is_source(&file.filename) });
    }
    if listed.is_empty() {
        let target = match (&pip.python_version, pip.architecture) {
            (None, None) => "Linux".to_owned(),
            (python, architecture) => format!("{python:?} {architecture:?}")
                .replace("Some(", "")
                .replace(['"', ')'], "")
                .replace("None", "any"),
        };
        return Err(invalid(format!("none of the {all} files with a hash of the requirements is for {target}")));
    }
    let placed = |(file, sha256, url): (File, [u8; 32], Url)| ListedFile {
        path: format!("{}/{}", pip.effective_path(), file.filename),
        size: file.size,
        digest: Some(Digest::Sha256(sha256)),
        validator: None,
        git_oid: None,
        url,
        unpack: None,
    };
    Ok(listed.into_iter().map(placed).collect())
}

fn minor(pip: &Pip) -> Option<u32> {
    pip.python_version.as_deref()?.strip_prefix("3.")?.parse().ok()
}

fn is_source(file: &str) -> bool {
    [".tar.gz", ".zip"].iter().any(|it| file.ends_with(it))
}

/// The file that a requirement names by its URL.
fn direct(requirement: &Requirement, url: &str) -> Option<(File, [u8; 32], Url)> {
    let url = Url::parse(url).ok()?;
    let filename = url.path_segments()?.next_back().filter(|it| !it.is_empty())?.to_owned();
    let sha256 = *requirement.hashes.first()?;
    let file = File { filename, url: url.to_string(), hashes: BTreeMap::new(), size: None };
    Some((file, sha256, url))
}

/// All files of a package that the index gives a SHA-256 of.
async fn project(
    origins: &Origins,
    pip: &Pip,
    login: Option<&Secret>,
    name: &str,
) -> Result<Vec<(File, [u8; 32], Url)>, Failure> {
    let endpoint = pip.effective_endpoint();
    let nonsense = |what: String| Failure::new(Reason::Unreachable, format!("`{name}`: {endpoint} {what}"));
    let url = Url::parse(&format!("{endpoint}/{name}/")).map_err(|error| nonsense(format!("is no URL ({error})")))?;
    let origin = Origin { url, token: login.cloned(), validator: None, authorizer: None };
    let answer = origins.client.get(name, &origin, ACCEPT, ANSWER_LIMIT, &origins.options).await;
    let answer = answer.map_err(|error| match reason(&error) {
        Reason::Unauthorized => Failure::new(
            Reason::Unauthorized,
            format!(
                "{error}: the login is what `usernameSecretRef` and `passwordSecretRef` name, and there is none without"
            ),
        ),
        reason => Failure::new(reason, error.to_string()),
    })?;
    let content_type = answer.headers.get("content-type").and_then(|it| it.to_str().ok()).unwrap_or_default();
    let files = if content_type.contains("json") {
        let project: Project = serde_json::from_slice(&answer.body)
            .map_err(|error| nonsense(format!("answers no JSON of the simple API ({error})")))?;
        project.files
    } else {
        links(&String::from_utf8_lossy(&answer.body))
    };
    let usable = files.into_iter().filter_map(|file| {
        let sha256 = unhex_array(&file.hashes.get("sha256")?.to_ascii_lowercase())?;
        let url = answer.url.join(&file.url).ok().filter(|it| matches!(it.scheme(), "http" | "https"))?;
        Some((file, sha256, url))
    });
    Ok(usable.collect())
}

/// The links of a page: `<a href="…#sha256=…">file</a>`.
fn links(page: &str) -> Vec<File> {
    let mut files = Vec::new();
    for anchor in page.split("<a ").skip(1) {
        let Some((attributes, rest)) = anchor.split_once('>') else { continue };
        let Some(href) = attribute(attributes, "href") else { continue };
        let (url, fragment) = href.split_once('#').unwrap_or((&href, ""));
        let filename = rest.split('<').next().unwrap_or_default().trim().to_owned();
        let hash = fragment.split_once('=').map(|(kind, value)| (kind.to_owned(), value.to_owned()));
        files.push(File { filename, url: url.to_owned(), hashes: hash.into_iter().collect(), size: None });
    }
    files
}

fn attribute(attributes: &str, name: &str) -> Option<String> {
    let (_, after) = attributes.split_once(&format!("{name}="))?;
    let quote = after.chars().next().filter(|it| matches!(it, '"' | '\''))?;
    let value = after.get(1..)?.split(quote).next()?;
    Some(value.replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_links_is_read_as_the_simple_api_has_it() {
        let page = r#"<!DOCTYPE html><html><body><h1>Links</h1>
            <a href="../../packages/a-1.0-py3-none-any.whl#sha256=AB" data-requires-python="&gt;=3.8">a-1.0-py3-none-any.whl</a><br/>
            <a class='x' href='/p/a-1.0.tar.gz?x=1&amp;y=2'>a-1.0.tar.gz</a></body></html>"#;
        let found = links(page);
        assert_eq!(found[0].filename, "a-1.0-py3-none-any.whl");
        assert_eq!(found[0].url, "../../packages/a-1.0-py3-none-any.whl");
        assert_eq!(found[0].hashes["sha256"], "AB");
        assert_eq!((found[1].url.as_str(), found[1].hashes.len()), ("/p/a-1.0.tar.gz?x=1&y=2", 0));
    }
}
