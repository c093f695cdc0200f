//! Is everything that we would apply there already? Then nothing is written.

use crate::api::FIELD_MANAGER;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde_json::Value;

/// Whether an apply of `wanted` would change nothing: every field of it is in `found` with the same value, and nothing is in
/// `found` only because an earlier apply of ours put it there. Lists must be equal, item by item; quantities may be spelled
/// differently.
pub(super) fn contains(found: &Value, wanted: &Value) -> bool {
    holds(found, wanted) && applied_before(found).all(|fields| wants_all(wanted, fields))
}

fn holds(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Object(found), Value::Object(wanted)) => {
            wanted.iter().all(|(key, wanted)| match found.get(key) {
                Some(found) => holds(found, wanted),
                // The API server leaves out what is empty.
                None => is_empty(wanted),
            })
        }
        (Value::Array(found), Value::Array(wanted)) => {
            found.len() == wanted.len() && found.iter().zip(wanted).all(|(found, wanted)| holds(found, wanted))
        }
        (Value::String(a), Value::String(b)) => a == b || same_quantity(a, b),
        _ => found == wanted,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

/// The fields that our own applies have put into an object, as the API server keeps them
/// (<https://kubernetes.io/docs/reference/using-api/server-side-apply/#managing-field-ownership>).
fn applied_before(found: &Value) -> impl Iterator<Item = &Value> {
    let entries = found.pointer("/metadata/managedFields").and_then(Value::as_array);
    let ours = |it: &&Value| {
        it["manager"] == FIELD_MANAGER && it["operation"] == "Apply" && it.get("subresource").is_none_or(|it| it == "")
    };
    entries.into_iter().flatten().filter(ours).filter_map(|it| it.get("fieldsV1"))
}

/// Whether every field of a set is wanted still. Items of lists are left out: lists are compared as a whole.
fn wants_all(wanted: &Value, fields: &Value) -> bool {
    let named =
        fields.as_object().into_iter().flatten().filter_map(|(key, below)| Some((key.strip_prefix("f:")?, below)));
    let Some(wanted) = wanted.as_object() else { return true };
    named.into_iter().all(|(key, below)| wanted.get(key).is_some_and(|wanted| wants_all(wanted, below)))
}

fn same_quantity(a: &str, b: &str) -> bool {
    let starts_with_digit = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    let bytes = |text: &str| crate::api::quantity::bytes(&Quantity(text.to_owned())).ok();
    starts_with_digit(a) && starts_with_digit(b) && bytes(a).zip(bytes(b)).is_some_and(|(a, b)| a == b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn what_the_server_adds_is_no_change_and_what_somebody_edits_is() {
        let wanted = json!({"spec": {"size": "1024Mi", "modes": ["a"]}, "metadata": {"labels": {"x": "1"}}});
        for (found, expected) in [
            (
                json!({"spec": {"size": "1Gi", "modes": ["a"], "more": 1}, "metadata": {"labels": {"x": "1", "y": "2"}}}),
                true,
            ),
            (json!({"spec": {"size": "2Gi", "modes": ["a"]}, "metadata": {"labels": {"x": "1"}}}), false),
            (json!({"spec": {"size": "1Gi", "modes": ["a", "b"]}, "metadata": {"labels": {"x": "1"}}}), false),
            (json!({"spec": {"size": "1Gi", "modes": ["a"]}, "metadata": {"labels": {"x": "2"}}}), false),
        ] {
            assert_eq!(contains(&found, &wanted), expected, "{found}");
        }
    }

    #[test]
    fn what_is_empty_and_therefore_left_out_by_the_server_is_no_change() {
        let wanted = json!({"data": {}, "items": [], "storageClassName": "", "metadata": {"name": "x"}});
        assert!(contains(&json!({"metadata": {"name": "x"}}), &wanted));
        assert!(!contains(&json!({"metadata": {"name": "x"}}), &json!({"data": {"a": "b"}})));
    }

    /// What the API server keeps about an apply of ours.
    fn managed(manager: &str, operation: &str, fields: &Value) -> Value {
        json!([{"manager": manager, "operation": operation, "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": fields}])
    }

    #[test]
    fn a_field_that_we_applied_and_want_no_longer_is_a_change_and_one_of_somebody_else_is_not() {
        let wanted = json!({"metadata": {"name": "x"}, "data": {"HF_HOME": "/models"}});
        let fields = json!({"f:data": {"f:HF_HOME": {}, "f:NLTK_DATA": {}}});
        for (manager, operation, expected) in
            [(FIELD_MANAGER, "Apply", false), (FIELD_MANAGER, "Update", true), ("kubectl", "Apply", true)]
        {
            let found = json!({
                "metadata": {"name": "x", "managedFields": managed(manager, operation, &fields)},
                "data": {"HF_HOME": "/models", "NLTK_DATA": "/old"}
            });
            assert_eq!(contains(&found, &wanted), expected, "{manager} {operation}");
        }
    }

    #[test]
    fn a_claim_that_a_replica_no_longer_has_is_taken_out_of_it() {
        let replica = |claim: Option<&str>| {
            let mut spec = json!({"cache": "studio", "volume": "models"});
            if let Some(claim) = claim {
                spec["claimUid"] = claim.into();
            }
            spec
        };
        let fields = json!({
            "f:metadata": {"f:labels": {".": {}, "f:x": {}}, "f:ownerReferences": {"k:{\"uid\":\"u\"}": {".": {}, "f:kind": {}}}},
            "f:spec": {"f:cache": {}, "f:claimUid": {}, "f:volume": {}}
        });
        let metadata = json!({"labels": {"x": "1"}, "ownerReferences": [{"uid": "u", "kind": "ModelCache"}]});
        let mut kept = metadata.clone();
        kept["managedFields"] = managed(FIELD_MANAGER, "Apply", &fields);
        let found = json!({"metadata": kept, "spec": replica(Some("gone"))});
        assert!(!contains(&found, &json!({"metadata": metadata, "spec": replica(None)})));
        assert!(contains(&found, &json!({"metadata": metadata, "spec": replica(Some("gone"))})));
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "[a-z]{0,4}".prop_map(Value::from)
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-d]", inner, 0..4)
                    .prop_map(|it| Value::Object(it.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn everything_holds_itself_and_what_the_server_adds_to_it(value in value(), extra in "[e-h]") {
            prop_assert!(contains(&value, &value));
            let mut more = value.clone();
            if let Some(fields) = more.as_object_mut() {
                fields.insert(extra, Value::from(1));
                prop_assert!(contains(&more, &value));
                prop_assert!(!contains(&value, &more));
            }
        }
    }
}
