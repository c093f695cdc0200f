//! What does torch.hub want beside its repositories? The list of those that somebody trusts, which it would write itself.
//!
//! `torch.hub.load` creates `hub/trusted_list` where there is none, which fails on a read-only mount (`torch/hub.py`,
//! `_check_repo_is_trusted`). All repositories of one home share it: each source's manifest has the list of the whole plan, so
//! that it is the same for all of them, whoever writes it last.

use crate::api::source::{Kind, Source, TorchHub};
use crate::contract::plan::Plan;
use std::collections::BTreeSet;

/// Path and content of the list that goes with a source: one line for each repository of its home in the plan.
pub fn trusted_list(plan: &Plan, source: &Source) -> Option<(String, Vec<u8>)> {
    let Some(Kind::TorchHub(hub)) = source.kind() else { return None };
    hub.repository()?;
    let names: BTreeSet<String> = plan.sources.iter().filter_map(|it| line(hub, &it.source)).collect();
    Some((format!("{}/trusted_list", hub.hub()), names.into_iter().collect::<String>().into_bytes()))
}

fn line(home: &TorchHub, source: &Source) -> Option<String> {
    let Some(Kind::TorchHub(hub)) = source.kind() else { return None };
    let repo = hub.repository().filter(|_| hub.hub() == home.hub())?;
    Some(format!("{}_{}\n", repo.owner, repo.name))
}
