//! What would a clean-up do? A line for each deed, then what each copy comes to.

use super::paint::{Paint, Tone};
use super::table::{Cell, table as lines};
use super::tables::plain;
use crate::api::ModelCacheReplica;
use crate::api::cleaning::RequestedCleanup;
use crate::api::quantity::human;
use serde::Serialize;
use std::fmt::Write;

/// What a copy has answered.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Planned {
    /// Name of its cache.
    pub cache: String,
    /// Its volume.
    pub volume: String,
    /// Its node; nothing for a shared volume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The answer.
    #[serde(flatten)]
    pub answer: RequestedCleanup,
}

impl Planned {
    /// What a copy has answered, if it has.
    pub fn of(replica: &ModelCacheReplica) -> Option<Self> {
        Some(Self {
            cache: replica.spec.cache.clone(),
            volume: replica.spec.volume.clone(),
            node: replica.spec.node.as_ref().map(|it| it.name.clone()),
            answer: replica.status.as_ref()?.requested_cleanup.clone()?,
        })
    }

    fn node(&self) -> &str {
        self.node.as_deref().unwrap_or("(shared)")
    }
}

fn bytes(count: i64) -> String {
    human(u64::try_from(count).unwrap_or(0))
}

/// The deeds as a table, and what they come to.
pub fn table(planned: &[Planned], paint: Paint) -> String {
    let rows = planned.iter().flat_map(|it| {
        it.answer.deeds.iter().map(|deed| {
            let cells = [it.node(), &it.volume, &deed.rule, &deed.what].map(Cell::from);
            let rest = [bytes(deed.bytes), deed.path.clone(), deed.why.clone()].map(Cell::from);
            cells.into_iter().chain(rest).collect::<Vec<_>>()
        })
    });
    let rows: Vec<Vec<Cell>> = rows.collect();
    let mut text = String::new();
    if !rows.is_empty() {
        text = lines(&["NODE", "VOLUME", "RULE", "WOULD BE", "SIZE", "PATH", "WHY"], &rows, paint);
        text.push('\n');
    }
    for it in planned {
        let did = it.answer.did.clone().unwrap_or_default();
        let (freed, trashed) = (bytes(did.freed_bytes), bytes(did.trashed_bytes));
        let more = it.answer.more_deeds.map(|it| format!(" ({it} of it not listed)")).unwrap_or_default();
        _ = write!(
            text,
            "{} on {}: {} would be deleted, {} rotated; {freed} freed, {trashed} to the trash{more}",
            it.volume,
            it.node(),
            did.deleted,
            did.rotated
        );
        if let Some(failure) = &it.answer.failure {
            let reason = paint.paint(Tone::Bad, &failure.reason.to_string());
            _ = write!(text, "; {reason}: {}", plain(&failure.message));
        }
        text.push('\n');
    }
    text.push_str("a dry run: nothing was removed\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_deed_has_its_place_its_size_and_why_and_the_sums_come_last() {
        let answer = json!({
            "request": "now dry-run", "dryRun": true, "attempt": 3, "time": "2026-11-21T12:00:00Z", "moreDeeds": 400,
            "did": {"time": "2026-11-21T12:00:00Z", "deleted": 401, "rotated": 1, "freedBytes": 1_048_576, "gainedBytes": 0, "trashedBytes": 2048},
            "deeds": [{"rule": "old", "what": "to the trash", "path": "a/\u{1b}[2Jb.png", "why": "last written to 31d ago", "bytes": 2048}]
        });
        let answer = serde_json::from_value(answer).unwrap();
        let copy = Planned { cache: "c".into(), volume: "assets".into(), node: Some("gpu-1".into()), answer };
        insta::assert_snapshot!(table(std::slice::from_ref(&copy), Paint(false)));
        let mut refused = copy;
        refused.node = None;
        refused.answer.deeds.clear();
        refused.answer.failure = serde_json::from_value(
            json!({"reason": "DeletionRefused", "message": "too much", "count": 1, "time": "2026-11-21T12:00:00Z"}),
        )
        .unwrap();
        insta::assert_snapshot!(table(&[refused], Paint(false)));
    }
}
