//! What happened, for people: Events on our objects, aggregated by the recorder.

use super::Cluster;
use crate::api::Reason;
use crate::api::condition::truncate;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType};

/// Something worth an Event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Whether it is a warning.
    pub warning: bool,
    /// Why, from the closed list.
    pub reason: Reason,
    /// What we were doing: `Resolve`, `WarmUp`, `Delete`.
    pub action: &'static str,
    /// What happened.
    pub message: String,
}

impl Note {
    /// Good news.
    pub fn normal(reason: Reason, action: &'static str, message: impl Into<String>) -> Self {
        Self { warning: false, reason, action, message: message.into() }
    }

    /// Bad news.
    pub fn warning(reason: Reason, action: &'static str, message: impl Into<String>) -> Self {
        Self { warning: true, ..Self::normal(reason, action, message) }
    }
}

impl Cluster {
    /// Publishes Events, and logs them. One that cannot be published is logged: it never holds up the work.
    pub async fn publish(&self, notes: Vec<Note>, about: &ObjectReference) {
        for note in notes {
            log(&note, about);
            let event = Event {
                type_: if note.warning { EventType::Warning } else { EventType::Normal },
                reason: note.reason.as_str(),
                note: Some(truncate(&note.message, 1000)),
                action: note.action.into(),
                secondary: None,
            };
            if let Err(error) = self.recorder.publish(&event, about).await {
                tracing::warn!(%error, reason = %note.reason, "failed to publish an Event");
            }
        }
    }
}

/// A line of the log for an Event: with the object, and the reason, as fields of their own.
fn log(note: &Note, about: &ObjectReference) {
    let text = |it: &Option<String>| it.clone().unwrap_or_default();
    let (kind, namespace, name) = (text(&about.kind), text(&about.namespace), text(&about.name));
    let (reason, action) = (note.reason.as_str(), note.action);
    if note.warning {
        tracing::warn!(kind, namespace, name, reason, action, "{}", note.message);
    } else {
        tracing::info!(kind, namespace, name, reason, action, "{}", note.message);
    }
}
