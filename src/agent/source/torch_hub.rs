//! What is behind a checkpoint or a repository of torch.hub? One file; a repository is the zip file of a commit.

use super::super::failure::{Failure, reason};
use super::super::fetch::{Digest, HashPrefix, Origin};
use super::access::Access;
use super::hugging_face::is_commit;
use super::listing::{ListedFile, Listing};
use super::unpack::Unpack;
use super::{Origins, http};
use crate::api::Reason;
use crate::api::source::{ArchiveFormat, HubRepo, TorchHub};
use crate::contract::plan::Pin;
use url::Url;

/// Media type that GitHub answers with the bare commit to
/// (<https://docs.github.com/en/rest/commits/commits#get-a-commit>).
const COMMIT: &str = "application/vnd.github.sha";
/// Longest answer that is read, in bytes.
const LIMIT: usize = 4096;

/// Asks the origin for the tag of a checkpoint, or the commit of a repository.
pub async fn resolve(origins: &Origins, hub: &TorchHub, access: &Access) -> Result<Listing, Failure> {
    if let Some(file) = hub.checkpoint_file() {
        return Ok(held(hub, http::resolve(origins, &file, access).await?));
    }
    let repo = repository(hub)?;
    if let Some(commit) = commit(origins, hub, repo).await? {
        return listing(hub, repo, &format!("commit:{commit}"));
    }
    // A mirror without GitHub's API: the tag of what it has now.
    let url = zip(hub, repo, repo.reference)?;
    let origin = Origin { url: url.clone(), token: None, validator: None, authorizer: None };
    let probe = origins.client.probe(url.as_str(), &origin, &origins.options).await?;
    let tag = http::strong(probe.etag.as_deref(), &url).map_err(|_| unpinned(&url))?;
    listing(hub, repo, &format!("etag:{tag}"))
}

/// The file of a pin. Nobody is asked: the pin says everything.
pub fn list(hub: &TorchHub, pin: &Pin, access: &Access) -> Result<Listing, Failure> {
    match hub.checkpoint_file() {
        Some(file) => Ok(held(hub, http::list(&file, pin, access)?)),
        None => listing(hub, repository(hub)?, &pin.revision),
    }
}

/// A checkpoint without a whole hash is held against the digits in its name.
fn held(hub: &TorchHub, mut listing: Listing) -> Listing {
    let prefix = hub.hash_prefix().and_then(|it| HashPrefix::new(&it));
    for file in listing.files.iter_mut().filter(|it| it.digest.is_none()) {
        file.digest = prefix.map(Digest::Sha256Prefix);
    }
    listing
}

/// The commit that a ref is now. `None` when the origin does not speak GitHub's API.
async fn commit(origins: &Origins, hub: &TorchHub, repo: HubRepo<'_>) -> Result<Option<String>, Failure> {
    let HubRepo { owner, name, reference } = repo;
    if is_commit(reference) {
        return Ok(Some(reference.to_owned()));
    }
    let endpoint = hub.effective_endpoint();
    let is_github = endpoint == "https://github.com";
    let api = if is_github { "https://api.github.com".to_owned() } else { format!("{endpoint}/api/v3") };
    let url = parse(&format!("{api}/repos/{owner}/{name}/commits/{reference}"))?;
    let label = format!("{owner}/{name}:{reference}");
    let origin = Origin { url, token: None, validator: None, authorizer: None };
    match origins.client.get(&label, &origin, COMMIT, LIMIT, &origins.options).await {
        Ok(answer) => {
            let commit = String::from_utf8_lossy(&answer.body).trim().to_owned();
            Ok(is_commit(&commit).then_some(commit))
        }
        Err(error) if !is_github && matches!(reason(&error), Reason::NotFound | Reason::Unauthorized) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn listing(hub: &TorchHub, repo: HubRepo<'_>, revision: &str) -> Result<Listing, Failure> {
    let (url, validator) = match revision.split_once(':') {
        Some(("commit", commit)) if is_commit(commit) => (zip(hub, repo, commit)?, None),
        Some(("etag", tag)) => (zip(hub, repo, repo.reference)?, Some(tag.to_owned())),
        _ => {
            let message = format!("the pin `{revision}` is neither a commit nor an ETag");
            return Err(Failure::new(Reason::InvalidSpec, message));
        }
    };
    let origin = url.to_string();
    // What GitHub packs has a directory of its own naming around everything.
    let unpack = Some(Unpack { format: ArchiveFormat::Zip, drop_top: true, only: None });
    // Packed when it is asked for: nobody knows the size before, or the bytes.
    let file = ListedFile { path: hub.target(), size: None, digest: None, validator, git_oid: None, url, unpack };
    Listing::new(revision.to_owned(), vec![file], true, None, origin)
}

fn zip(hub: &TorchHub, repo: HubRepo<'_>, reference: &str) -> Result<Url, Failure> {
    // As `_git_archive_link` of torch/hub.py has it.
    parse(&format!("{}/{}/{}/zipball/{reference}", hub.effective_endpoint(), repo.owner, repo.name))
}

fn repository(hub: &TorchHub) -> Result<HubRepo<'_>, Failure> {
    hub.repository().ok_or_else(|| Failure::new(Reason::InvalidSpec, "`repo` must be `owner/name:ref`"))
}

fn parse(url: &str) -> Result<Url, Failure> {
    Url::parse(url).map_err(|error| Failure::new(Reason::InvalidSpec, format!("{url}: {error}")))
}

fn unpinned(url: &Url) -> Failure {
    let message = format!(
        "{url} gives no commit and no strong ETag, so that nothing would tell its content from another: use a commit as ref"
    );
    Failure::new(Reason::InvalidSpec, message)
}
