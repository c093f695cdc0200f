//! How does an unpacked tree come into its place? In as few steps as the directory allows, each of which is whole.

use super::super::failure::Failure;
use super::super::layout::archive::Tree;
use super::super::layout::manifest::{Entry, Manifest, What};
use super::super::layout::publish::Publisher;
use super::super::layout::safe_path::{Root, split};
use super::super::layout::{LayoutError, Placement};
use super::super::prefetch::inventory::Inventory;
use super::remove;
use super::sink::sync_directory;
use crate::api::Reason;
use rustix::fs::{Dir, FileType, Stat, fsync, renameat};
use rustix::io::Errno;
use std::collections::{BTreeMap, HashMap, HashSet};

/// What is done next.
#[derive(Debug, PartialEq)]
enum Step {
    /// Nothing of ours is in the way, or one file.
    Move { from: String, to: String },
    /// All that is there is of an earlier version: both change places.
    Exchange { from: String, to: String },
}

/// What may be done with what is there.
struct Ground<'a> {
    root: &'a Root,
    /// Paths of earlier versions of this source, which nothing else lists.
    replaceable: HashSet<String>,
}

/// Puts the trees of a source into place, and removes what earlier versions of it had there and it has not. Gives the
/// entries of every tree, with the number of the tree; those that were in place already too.
///
/// # Errors
/// `ListingMismatch` when two archives hold different files of one name, `InvalidSpec` when another source holds it, or
/// something that is not ours stands in the way. Nothing was moved then.
pub fn put(
    root: &Root,
    publisher: &mut Publisher<'_>,
    cache: &str,
    source: &str,
    placement: &Placement,
    inventory: &Inventory,
) -> Result<(Vec<Tree>, Vec<Entry>), Failure> {
    let trees: Vec<Tree> = placement.contents.iter().filter_map(|it| it.tree.clone()).collect();
    let mut wanted: HashMap<&str, (&What, usize)> = HashMap::new();
    let mut aside: BTreeMap<&str, Vec<&Tree>> = BTreeMap::new();
    let mut entries = Vec::new();
    for (number, tree) in trees.iter().enumerate() {
        let Some(found) = inventory.trees.get(tree) else {
            let message = format!("{} was not unpacked although it was fetched", tree.name);
            return Err(Failure::new(Reason::InternalError, message));
        };
        if !found.in_place {
            aside.entry(&tree.directory).or_default().push(tree);
        }
        for entry in &found.entries {
            match wanted.insert(&entry.path, (&entry.what, number)) {
                // One file, that belongs to both: it stays as long as one of them does.
                Some((what, _)) if *what == entry.what => {}
                Some((_, other)) => {
                    let other = trees.get(other).map(|it| it.name.as_str()).unwrap_or_default();
                    let message = format!("{other} and {} hold different files {}", tree.name, entry.path);
                    return Err(Failure::new(Reason::ListingMismatch, message));
                }
                None => {}
            }
            entries.push(Entry { archive: u32::try_from(number).ok(), ..entry.clone() });
        }
    }
    if aside.is_empty() {
        return Ok((trees, entries));
    }

    let mut kept: HashSet<&str> =
        placement.contents.iter().filter(|it| it.tree.is_none()).map(|it| it.path.as_str()).collect();
    if let Some(both) = wanted.keys().find(|path| kept.contains(*path)) {
        let message = format!("{both} is listed as a file, and comes out of an archive too");
        return Err(Failure::new(Reason::ListingMismatch, message));
    }
    let in_place = inventory.trees.values().filter(|it| it.in_place);
    kept.extend(in_place.flat_map(|it| &it.entries).map(|it| it.path.as_str()));
    let theirs = of_others(root, cache, source, &wanted)?;
    let former = former(root, cache, source, &kept, &theirs)?;
    let ground = Ground { root, replaceable: former };
    // What stands in the way is found before anything that is aside is touched: it stays as good as it is.
    for (directory, trees) in &aside {
        for tree in trees {
            ground.plan(&tree.tree_aside(cache), directory, &mut Vec::new())?;
        }
    }
    let mut steps = Vec::new();
    for (directory, trees) in &aside {
        // None of the lists holds for what is aside from here on.
        for tree in trees {
            rename_index(root, cache, tree)?;
        }
        // Several archives of one directory are one tree before anybody sees it.
        let first = trees.first().map(|it| it.tree_aside(cache)).unwrap_or_default();
        for tree in trees.iter().skip(1) {
            let nothing = Ground { root, replaceable: HashSet::new() };
            let mut merge = Vec::new();
            nothing.plan(&tree.tree_aside(cache), &first, &mut merge)?;
            merge.into_iter().try_for_each(|step| step.take(root, publisher))?;
        }
        ground.plan(&first, directory, &mut steps)?;
    }

    publisher.sync()?;
    // From here on a file of the earlier version may have the name of one of the new: nobody trusts it any more.
    distrust(root, publisher, cache, source, &ground.replaceable, &wanted)?;
    steps.into_iter().try_for_each(|step| step.take(root, publisher))?;
    for path in &ground.replaceable {
        let below = |it: &str| path.strip_prefix(it).is_some_and(|rest| rest.starts_with('/'));
        let mut directories = aside.keys().copied();
        if let Some(directory) = directories.find(|it| below(it)).filter(|_| !wanted.contains_key(path.as_str())) {
            // It may be a directory of the new version.
            if root.stat(path)?.is_some_and(|it| FileType::from_raw_mode(it.st_mode) != FileType::Directory) {
                root.remove(path)?;
            }
            prune(root, split(path).0, directory)?;
        }
    }
    publisher.sync()?;
    for tree in aside.values().flatten() {
        remove::tree(root, &tree.aside(cache))?;
    }
    Ok((trees, entries))
}

/// On the disk before anything is moved: two versions of a tree may have files of the same sizes.
fn rename_index(root: &Root, cache: &str, tree: &Tree) -> Result<(), LayoutError> {
    let aside = root.directory(&tree.aside(cache))?;
    let failed = |error: Errno| root.failure(&tree.index(cache), error);
    renameat(&aside, "index.json", &aside, "moved.json").map_err(failed)?;
    sync_directory(fsync(&aside)).map_err(failed)
}

/// Paths that other sources of the cache list. A wanted one among them is refused, unless it is the same file.
fn of_others(
    root: &Root,
    cache: &str,
    source: &str,
    wanted: &HashMap<&str, (&What, usize)>,
) -> Result<HashSet<String>, Failure> {
    let mut theirs = HashSet::new();
    for manifest in Manifest::read_all(root, cache)?.into_iter().filter(|it| it.source != source) {
        for entry in manifest.entries {
            if wanted.get(entry.path.as_str()).is_some_and(|(what, _)| **what != entry.what) {
                let message = format!(
                    "{} belongs to source `{}`, with other content: give one of the two another `path`",
                    entry.path, manifest.source
                );
                return Err(Failure::new(Reason::InvalidSpec, message));
            }
            theirs.insert(entry.path);
        }
    }
    Ok(theirs)
}

/// Paths that this source had, and that neither it nor anybody else still has.
fn former(
    root: &Root,
    cache: &str,
    source: &str,
    kept: &HashSet<&str>,
    theirs: &HashSet<String>,
) -> Result<HashSet<String>, LayoutError> {
    let mut manifests = Manifest::read_retired(root, cache)?;
    manifests.retain(|it| it.source == source);
    manifests.extend(Manifest::read(root, cache, source)?);
    let paths = manifests.into_iter().flat_map(|it| it.entries).map(|it| it.path);
    Ok(paths.filter(|it| !kept.contains(it.as_str()) && !theirs.contains(it)).collect())
}

/// Marks what is about to be replaced or removed in the manifest of the source.
fn distrust(
    root: &Root,
    publisher: &mut Publisher<'_>,
    cache: &str,
    source: &str,
    replaceable: &HashSet<String>,
    wanted: &HashMap<&str, (&What, usize)>,
) -> Result<(), LayoutError> {
    Manifest::distrust(root, publisher, cache, source, |entry| {
        let stays = || wanted.get(entry.path.as_str()).is_some_and(|(what, _)| **what == entry.what);
        replaceable.contains(&entry.path) && !stays()
    })
}

/// Removes directories that are empty now, from one up to where the tree begins.
fn prune(root: &Root, mut path: &str, top: &str) -> Result<(), LayoutError> {
    while path.len() > top.len() {
        remove::empty_directory(root, path)?;
        path = split(path).0;
    }
    Ok(())
}

impl Step {
    fn take(self, root: &Root, publisher: &mut Publisher<'_>) -> Result<(), LayoutError> {
        match self {
            Self::Move { from, to } => publisher.bring(&from, &to),
            Self::Exchange { from, to } => {
                publisher.exchange(&from, &to)?;
                remove::tree(root, &from)
            }
        }
    }
}

impl Ground<'_> {
    /// The steps that bring `from` to `to`. Nothing is changed.
    fn plan(&self, from: &str, to: &str, steps: &mut Vec<Step>) -> Result<(), Failure> {
        let (from, to) = (from.to_owned(), to.to_owned());
        let is_directory = |stat: &Stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        let new = self.root.stat(&from)?.is_some_and(|it| is_directory(&it));
        match self.root.stat(&to)?.map(|it| is_directory(&it)) {
            None => steps.push(Step::Move { from, to }),
            Some(false) if !new => steps.push(Step::Move { from, to }),
            Some(false) if self.replaceable.contains(&to) => steps.push(Step::Exchange { from, to }),
            Some(true) if self.is_ours(&to)? => steps.push(Step::Exchange { from, to }),
            Some(true) if new => {
                for name in self.root.names(&from)? {
                    self.plan(&format!("{from}/{name}"), &format!("{to}/{name}"), steps)?;
                }
            }
            Some(_) => {
                let message = format!(
                    "{} stands in the way of what comes out of an archive, and is not ours: move it away, or use another \
                     `path`",
                    self.root.shown(&to).display()
                );
                return Err(Failure::new(Reason::InvalidSpec, message));
            }
        }
        Ok(())
    }

    /// Whether a directory holds nothing but files of earlier versions, or nothing at all. One that somebody made inside it
    /// and left empty is theirs.
    fn is_ours(&self, path: &str) -> Result<bool, LayoutError> {
        let handle = self.root.directory(path)?;
        let mut directories = Vec::new();
        for entry in Dir::read_from(&handle).map_err(|error| self.root.failure(path, error))? {
            let entry = entry.map_err(|error| self.root.failure(path, error))?;
            // A name that is no text is none of ours.
            let Ok(name) = entry.file_name().to_str() else { return Ok(false) };
            if matches!(name, "." | "..") {
                continue;
            }
            let path = format!("{path}/{name}");
            let stat = self.root.stat(&path)?;
            if stat.is_some_and(|it| FileType::from_raw_mode(it.st_mode) == FileType::Directory) {
                directories.push(path);
            } else if !self.replaceable.contains(&path) {
                return Ok(false);
            }
        }
        for path in directories {
            if self.is_empty(&path)? || !self.is_ours(&path)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn is_empty(&self, path: &str) -> Result<bool, LayoutError> {
        let handle = self.root.directory(path)?;
        for entry in Dir::read_from(&handle).map_err(|error| self.root.failure(path, error))? {
            let entry = entry.map_err(|error| self.root.failure(path, error))?;
            if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
