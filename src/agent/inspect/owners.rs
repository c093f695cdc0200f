//! Which revisions need a file? Many files, few different answers: so each answer is kept once.

use super::super::layout::manifest::What;
use super::super::layout::safe_path::Root;
use super::super::layout::{LayoutError, held};
use super::super::verify::{foreign, hub};
use super::known::Cache;
use std::collections::{BTreeSet, HashMap};

/// The number of an answer.
pub type Set = u32;

/// A revision, by index of its cache and of it in the cache.
pub type Owner = (usize, usize);

/// Who needs what, by path.
#[derive(Debug, Default)]
pub struct Owners {
    by_path: HashMap<String, Set>,
    sets: Vec<Vec<Owner>>,
    numbers: HashMap<Vec<Owner>, Set>,
}

impl Owners {
    /// What the caches of a volume list. A blob that a client of the hub has moved to its shared store needs what is there.
    pub fn of(root: &Root, caches: &[Cache]) -> Result<Self, LayoutError> {
        let mut owners = Self::default();
        let mut stores: HashMap<String, bool> = HashMap::new();
        for (cache, known) in caches.iter().enumerate() {
            for (revision, held) in known.revisions.iter().enumerate() {
                let owner = (cache, revision);
                let has_store = match foreign::hub_of(&held.manifest) {
                    Some(hub) if !stores.contains_key(&hub) => {
                        let found = root.size(&format!("{hub}/blobs/{}", foreign::MARKER))?.is_some();
                        *stores.entry(hub).or_insert(found)
                    }
                    Some(hub) => stores.get(&hub).copied().unwrap_or_default(),
                    None => false,
                };
                for entry in &held.manifest.entries {
                    owners.add(&entry.path, owner);
                    if has_store
                        && matches!(entry.what, What::File { .. })
                        && let Some(target) = held::target(root, &entry.path)?
                    {
                        owners.add(&target, owner);
                    }
                }
            }
        }
        Ok(owners)
    }

    /// The answer for a path. `None` when nobody needs it.
    pub fn get(&self, path: &str) -> Option<Set> {
        self.by_path.get(path).copied()
    }

    /// The revisions of an answer, sorted.
    pub fn revisions(&self, set: Set) -> &[Owner] {
        self.sets.get(set as usize).map_or(&[], Vec::as_slice)
    }

    /// The answer for one file that has two names.
    pub fn both(&mut self, a: Set, b: Set) -> Set {
        let both: BTreeSet<Owner> = self.revisions(a).iter().chain(self.revisions(b)).copied().collect();
        self.number(both.into_iter().collect())
    }

    fn add(&mut self, path: &str, owner: Owner) {
        let alone = self.number(vec![owner]);
        let set = match self.get(path) {
            None => alone,
            Some(before) => self.both(before, alone),
        };
        self.by_path.insert(path.to_owned(), set);
    }

    fn number(&mut self, owners: Vec<Owner>) -> Set {
        if let Some(number) = self.numbers.get(&owners) {
            return *number;
        }
        let number = Set::try_from(self.sets.len()).unwrap_or(Set::MAX);
        self.sets.push(owners.clone());
        self.numbers.insert(owners, number);
        number
    }
}

/// Directories of the repositories that the caches have.
pub fn repositories(caches: &[Cache]) -> BTreeSet<String> {
    let manifests = caches.iter().flat_map(|it| &it.revisions).map(|it| &it.manifest);
    manifests.filter_map(|it| hub::repository(it).map(str::to_owned)).collect()
}
