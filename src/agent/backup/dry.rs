//! What would a backup read and send? The same walk and the same decisions, and nothing is written.

use super::asked::{Asked, promised};
use super::decide::{Decision, decide, size};
use super::known::Known;
use super::lines::Before;
use super::repository::list::Entry;
use super::repository::snapshot::{Count, NotCovered};
use super::send::damaged;
use super::walk::{Kind, walk};
use crate::agent::failure::Failure;
use std::collections::BTreeMap;

/// What a backup of one volume would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Files that it would cover.
    pub covered: Count,
    /// Of these, what would be read; at most so much is sent.
    pub read: Count,
    /// What it would not cover.
    pub not_covered: BTreeMap<NotCovered, Count>,
}

/// Counts. Nothing is written.
pub fn count(asked: &Asked<'_>, mut before: Option<Before<'_>>, known: &Known) -> Result<Plan, Failure> {
    let mut plan = Plan::default();
    let add = |count: &mut Count, bytes| {
        *count = Count { files: count.files + 1, bytes: count.bytes + bytes };
    };
    walk(asked.root, asked.forbidden, asked.patterns, &mut |mut found| {
        let owned = asked.owned.entries.get(&found.path);
        asked.held(&mut found, owned)?;
        let bytes = if found.kind == Kind::File { size(&found.stat) } else { 0 };
        if let Some(why) = asked.not_covered(&found, owned) {
            add(plan.not_covered.entry(why).or_default(), bytes);
            return Ok(());
        }
        let before = match &mut before {
            Some(before) => before.at(&found.path)?,
            None => None,
        };
        if found.kind != Kind::File {
            return Ok(());
        }
        add(&mut plan.covered, bytes);
        let before = before.as_ref().and_then(Entry::file);
        let (origin, owned) = (asked.origin(owned), asked.known(&found.path, owned));
        match decide(&found.stat, owned, origin, before, known) {
            Decision::Read(_) => add(&mut plan.read, bytes),
            Decision::List(_) => {}
            Decision::Damaged => return Err(damaged(&found.path, &promised(owned).unwrap_or_default())),
        }
        Ok(())
    })?;
    Ok(plan)
}
