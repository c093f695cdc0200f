//! What can be mended on a volume with nobody's bytes? Before a prefetch asks an origin for anything.
//!
//! Links, branches and modes are known from the manifest, and a listing that contradicts a snapshot only has to go. With
//! nothing to mend nothing is written.

use super::super::failure::Failure;
use super::super::layout::manifest::{Entry, Manifest, What};
use super::super::layout::publish::Publisher;
use super::super::layout::safe_path::Root;
use super::super::layout::{LayoutError, held, state};
use super::look::{is_whole, look};
use super::{hub, modes};

/// Mends what the manifest of a source knows by itself. The caller holds the right to write.
pub fn mend(root: &Root, cache: &str, manifest: &Manifest, say: &(dyn Fn(String) + Sync)) -> Result<(), Failure> {
    surroundings(root, manifest, say)?;
    let wrong: Vec<&Entry> = manifest.entries.iter().filter(|it| look(root, manifest, it).is_err()).collect();
    let links: Vec<(&str, &str)> = wrong.iter().filter_map(|it| link_to_content(root, it)).collect();
    let refs: Vec<&str> = wrong.iter().filter(|it| hub::is_ref(manifest, it)).map(|it| it.path.as_str()).collect();
    if links.is_empty() && refs.is_empty() {
        return Ok(());
    }
    let mut publisher = Publisher::new(root, format!("{}/mend", state(cache)))?;
    for (path, target) in links {
        publisher.link(path, target)?;
        say(format!("{path} links to {target:?} again"));
    }
    publisher.sync()?;
    // A branch is the last word of a snapshot: only of one that is whole but for it.
    let rest = Manifest {
        entries: manifest.entries.iter().filter(|it| !hub::is_ref(manifest, it)).cloned().collect(),
        ..manifest.clone()
    };
    if !refs.is_empty() && is_whole(root, &rest)? {
        for path in refs {
            publisher.file(path, manifest.revision.as_bytes())?;
            say(format!("{path} names {} again", manifest.revision));
        }
    }
    Ok(publisher.finish()?)
}

/// What lies around the content: modes, and what other tools say of it.
pub fn surroundings(root: &Root, manifest: &Manifest, say: &(dyn Fn(String) + Sync)) -> Result<(), LayoutError> {
    modes::mend(root, manifest, say)?;
    if let Some((path, wrong)) = hub::contradiction(root, manifest)? {
        root.remove(&path)?;
        say(format!("{path} was removed: it {}", wrong.detail));
    }
    Ok(())
}

/// A link whose content is there.
fn link_to_content<'a>(root: &Root, entry: &'a Entry) -> Option<(&'a str, &'a str)> {
    let What::Link { link } = &entry.what else { return None };
    let content = held::resolved(&entry.path, link)?;
    held::stat(root, &content).ok()??;
    Some((&entry.path, link))
}
