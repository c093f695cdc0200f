//! Is what is on a volume still what was put there? Offline, from the manifests; what is damaged is marked, so that the
//! next prefetch brings it again and nothing else.

use super::failure::Failure;
use super::fetch::{hex, over_cores, sha256_of_file};
use super::layout::manifest::{Entry, Manifest, What};
use super::layout::publish::Publisher;
use super::layout::safe_path::Root;
use super::layout::{current, state};
use super::prefetch::report::Report;
use crate::api::Reason;
use crate::contract::outcome::{Evidence, Outcome};
use std::path::Path;

/// How closely is looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Kind and size of each file, target of each link.
    Quick,
    /// The bytes of each file too.
    Deep,
}

/// Names shown in a message at most.
const SHOWN: usize = 10;

/// Looks at everything that the cache has on a volume. `wanted`: content hash of the plan (empty when not known)
/// and names of the sources; a source without a manifest is then damage too. Blocking.
pub fn verify(
    volume: &Path,
    cache: &str,
    wanted: Option<(&str, &[&str])>,
    depth: Depth,
    report: &Report,
    say: &(dyn Fn(String) + Sync),
) -> Result<Outcome, Failure> {
    let root = Root::open(volume)?;
    let mut manifests = Manifest::read_all(&root, cache)?;
    if let Some((_, sources)) = wanted {
        manifests.retain(|it| sources.contains(&it.source.as_str()));
    }
    if manifests.is_empty() && wanted.is_none_or(|(_, sources)| !sources.is_empty()) {
        let message = format!("nothing of cache `{cache}` was ever completed on {}: run prefetch", volume.display());
        return Ok(Outcome::failure(Reason::Damaged, message));
    }
    for manifest in &manifests {
        report.wanted(manifest.entries.len() as u64, manifest.bytes);
    }
    report.listed();

    let mut evidence = Evidence { plan: String::new(), files: 0, bytes: 0, fetched_bytes: 0, hashed_files: 0 };
    let mut damage = Vec::new();
    if let Some((_, sources)) = wanted {
        let missing = sources.iter().filter(|name| !manifests.iter().any(|it| it.source == **name));
        damage.extend(missing.map(|name| format!("source `{name}` is not complete")));
    }
    for mut manifest in manifests {
        let found = over_cores(&manifest.entries, |entry| {
            let found = look(&root, entry, depth);
            report.there(1, entry.size());
            found
        });
        let (mut changed, mut whole) = (false, true);
        for (entry, found) in manifest.entries.iter_mut().zip(found) {
            // A quick look cannot clear a file whose bytes were found wrong.
            let still =
                found?.or_else(|| (depth == Depth::Quick && entry.damaged).then(|| "was found damaged".to_owned()));
            evidence.hashed_files += u64::from(depth == Depth::Deep && matches!(entry.what, What::File { .. }));
            changed |= entry.damaged != still.is_some();
            entry.damaged = still.is_some();
            if let Some(how) = still {
                whole = false;
                let line = format!("{} {how}", entry.path);
                say(line.clone());
                damage.push(line);
            }
        }
        if whole {
            evidence.files += manifest.files;
            evidence.bytes += manifest.bytes;
        }
        if changed {
            mark(&root, cache, &manifest, whole, say);
        }
    }
    if damage.is_empty() {
        evidence.plan = match wanted {
            Some((plan, _)) if !plan.is_empty() => plan.to_owned(),
            _ => current::read(&root, cache)?.unwrap_or_default(),
        };
        let message = format!("{} files are as they were published", evidence.files);
        return Ok(Outcome { evidence: Some(evidence), ..Outcome::success(Reason::Warmed, message) });
    }
    let mut message =
        format!("{} damaged: {}", damage.len(), damage.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("; "));
    if damage.len() > SHOWN {
        message.push_str(" …");
    }
    message.push_str("; run prefetch, which brings these and nothing else");
    Ok(Outcome { evidence: Some(evidence), ..Outcome::failure(Reason::Damaged, message) })
}

/// What is wrong with an entry, if something is.
fn look(root: &Root, entry: &Entry, depth: Depth) -> Result<Option<String>, Failure> {
    let (size, sha256) = match &entry.what {
        What::Link { link } => {
            let found = root.link(&entry.path)?;
            return Ok((found.as_ref() != Some(link)).then(|| "is not the link that was made".to_owned()));
        }
        What::File { size, sha256 } => (*size, sha256),
    };
    let Some(file) = root.file(&entry.path)? else { return Ok(Some("is missing".to_owned())) };
    let found = file.metadata().map(|it| it.len()).unwrap_or_default();
    if found != size {
        return Ok(Some(format!("has {found} bytes instead of {size}")));
    }
    if depth == Depth::Quick {
        return Ok(None);
    }
    Ok(match sha256_of_file(&file) {
        Ok((_, found)) if hex(&found) == *sha256 => None,
        Ok(_) => Some("has other bytes than were published".to_owned()),
        Err(error) => Some(format!("cannot be read: {error}")),
    })
}

/// Notes what was found. On a volume that is mounted read-only it is only said.
fn mark(root: &Root, cache: &str, manifest: &Manifest, whole: bool, say: &(dyn Fn(String) + Sync)) {
    let noted = (|| {
        if !whole {
            current::remove(root, cache)?;
        }
        let mut publisher = Publisher::new(root, format!("{}/new", state(cache)))?;
        manifest.write(root, &mut publisher, cache)?;
        publisher.finish()
    })();
    if let Err(error) = noted {
        say(format!("what was found could not be noted on the volume: {error}"));
    }
}
