//! Which entries of a list are wanted, and may they be made at all?

use super::stage::{check_name, check_target};
use crate::agent::backup::repository::list::{At, Entry, What};
use crate::agent::failure::Failure;
use crate::agent::layout::held;
use crate::agent::source::fnmatch::Patterns;
use crate::api::Reason;
use std::collections::{BTreeSet, HashMap, HashSet};

/// Names that a message shows at most.
const SHOWN: usize = 20;

/// What somebody wants of a snapshot.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    patterns: Patterns,
}

/// What a first look at a list finds.
#[derive(Debug, Default)]
pub struct Survey {
    /// Files that are wanted.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files of the whole list, for comparing it with what the snapshot says.
    pub listed: u64,
    /// Sources that have to fetch files which are wanted.
    pub origins: BTreeSet<String>,
    /// Links that are wanted, and all others: what they lead to.
    links: HashMap<String, (bool, String)>,
    /// Files that wanted links lead to.
    led_to: HashSet<String>,
    refused: Vec<String>,
    refusals: usize,
}

impl Choice {
    /// What matches one of `include`, or everything when there are none, and none of `exclude`.
    pub fn of(include: &[String], exclude: &[String]) -> Self {
        Self { patterns: Patterns::new(include, exclude) }
    }

    /// Whether everything is wanted.
    pub fn is_all(&self) -> bool {
        self.patterns.are_none()
    }

    fn wants(&self, path: &str) -> bool {
        self.patterns.want(path)
    }
}

impl Survey {
    /// Takes a piece of the list.
    pub fn look(&mut self, choice: &Choice, entries: &[Entry]) {
        for entry in entries {
            let target = match &entry.what {
                What::Link { target } => Some(target.as_str()),
                _ => None,
            };
            let bad = check_name(&entry.path).and_then(|()| target.map_or(Ok(()), check_target)).err();
            if let Some(bad) = bad {
                self.refusals += 1;
                if self.refused.len() < SHOWN {
                    self.refused.push(format!("{:?} {bad}", entry.path));
                }
                continue;
            }
            self.listed += u64::from(entry.file().is_some());
            if let Some(target) = target.filter(|_| !choice.is_all())
                && let Some(target) = held::resolved(&entry.path, target)
            {
                self.links.insert(entry.path.clone(), (choice.wants(&entry.path), target));
            }
        }
    }

    /// Follows the links that are wanted: a file that a hub's client finds by its name in a snapshot is kept elsewhere.
    ///
    /// # Errors
    /// `ListingMismatch` when the list has names that are never used: then nothing of it is.
    pub fn follow(&mut self) -> Result<(), Failure> {
        if self.refusals > 0 {
            let more = self.refusals - self.refused.len();
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let message = format!("the list of files holds {}{more}; nothing was restored", self.refused.join(", "));
            return Err(Failure::new(Reason::ListingMismatch, message));
        }
        let mut open: Vec<&String> = self.links.values().filter(|it| it.0).map(|it| &it.1).collect();
        while let Some(path) = open.pop() {
            if self.led_to.insert(path.clone()) {
                open.extend(self.links.get(path).map(|it| &it.1));
            }
        }
        Ok(())
    }

    /// Whether an entry is to be made.
    pub fn wants(&self, choice: &Choice, entry: &Entry) -> bool {
        choice.wants(&entry.path) || self.led_to.contains(&entry.path)
    }

    /// Counts what is wanted of a piece of the list.
    pub fn count(&mut self, choice: &Choice, entries: &[Entry]) {
        for entry in entries {
            let Some(file) = entry.file().filter(|_| self.wants(choice, entry)) else { continue };
            self.files += 1;
            self.bytes += file.size;
            if let At::Origin { source } = &file.at {
                self.origins.insert(source.clone());
            }
        }
    }
}
