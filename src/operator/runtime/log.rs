//! What is in a line of the log? Text for people, or one JSON object with a field per fact.
//!
//! A line about an object has `kind`, `namespace` and `name`, a line about a failure also `reason`: the same words as in the
//! conditions. Whatever is logged within a reconcile carries the object in `span`.

use crate::operator::error::Error;
use kube::Resource;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt;

/// Logs to standard error: text, or JSON with a field per fact. `RUST_LOG` says how much.
pub fn log(json: bool) {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info,kube_runtime=warn,kube_client=warn"));
    subscriber(json, filter, std::io::stderr).init();
}

fn subscriber<W>(json: bool, filter: tracing_subscriber::EnvFilter, writer: W) -> tracing::Dispatch
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    if json {
        builder.json().flatten_event(true).with_current_span(true).with_span_list(false).finish().into()
    } else {
        builder.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).finish().into()
    }
}

/// What a reconcile is about. A span has a name of its own, which the field `name` would be lost to.
pub(super) fn span<K: Resource<DynamicType = ()>>(object: &K) -> tracing::Span {
    let (namespace, name) = named(object);
    tracing::info_span!("reconcile", kind = %K::kind(&()), namespace, object = name)
}

/// A reconcile failed: the one line that says so.
pub(super) fn failed<K: Resource<DynamicType = ()>>(controller: &str, object: &K, error: &Error) {
    let (namespace, name) = named(object);
    let (kind, reason, class) = (K::kind(&()), error.reason(), error.class().as_str());
    tracing::warn!(%kind, namespace, name, %reason, class, controller, %error, "reconcile failed");
}

fn named<K: Resource>(object: &K) -> (&str, &str) {
    let meta = object.meta();
    (meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::modelcache::build::fixtures::cache;
    use serde_json::Value;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(act: impl FnOnce()) -> Vec<Value> {
        let lines = Lines::default();
        let writer = lines.clone();
        let dispatch = subscriber(true, tracing_subscriber::EnvFilter::new("info"), move || writer.clone());
        tracing::dispatcher::with_default(&dispatch, act);
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|it| serde_json::from_str(it).unwrap()).collect()
    }

    fn forbidden() -> Error {
        let status = kube::core::Status { code: 403, message: "jobs is forbidden".into(), ..Default::default() };
        let status = kube::core::Status { reason: "Forbidden".into(), ..status };
        Error::Write { what: "Job team/x".into(), source: Box::new(kube::Error::Api(Box::new(status))) }
    }

    #[test]
    fn a_line_about_a_failed_reconcile_has_a_field_for_each_part_of_the_object_and_the_reason() {
        let line = logged(|| failed("modelcache", &cache(), &forbidden())).remove(0);
        let expected = [
            ("level", "WARN"),
            ("message", "reconcile failed"),
            ("kind", "ModelCache"),
            ("namespace", "team"),
            ("name", "studio"),
            ("reason", "MissingPermission"),
            ("class", "permission"),
            ("controller", "modelcache"),
            ("error", "failed to write Job team/x: jobs is forbidden"),
        ];
        for (field, value) in expected {
            assert_eq!(line[field], value, "{line}");
        }
        assert!(line["timestamp"].is_string(), "{line}");
    }

    #[test]
    fn whatever_is_logged_within_a_reconcile_says_which_object_it_is_about() {
        let line = logged(|| span(&cache()).in_scope(|| tracing::warn!("something"))).remove(0);
        for (field, value) in [("kind", "ModelCache"), ("namespace", "team"), ("object", "studio")] {
            assert_eq!(line["span"][field], value, "{line}");
        }
    }
}
