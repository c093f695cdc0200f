//! Is everything that we would apply there already? Then nothing is written.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde_json::Value;

/// Whether every field of `wanted` is in `found` with the same value. Lists must be equal, item by item; quantities may
/// be spelled differently.
pub(super) fn contains(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Object(found), Value::Object(wanted)) => {
            wanted.iter().all(|(key, wanted)| found.get(key).is_some_and(|found| contains(found, wanted)))
        }
        (Value::Array(found), Value::Array(wanted)) => {
            found.len() == wanted.len() && found.iter().zip(wanted).all(|(found, wanted)| contains(found, wanted))
        }
        (Value::String(a), Value::String(b)) => a == b || same_quantity(a, b),
        _ => found == wanted,
    }
}

fn same_quantity(a: &str, b: &str) -> bool {
    let starts_with_digit = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    let bytes = |text: &str| crate::api::quantity::bytes(&Quantity(text.to_owned())).ok();
    starts_with_digit(a) && starts_with_digit(b) && bytes(a).zip(bytes(b)).is_some_and(|(a, b)| a == b)
}

#[cfg(test)]
mod tests {
    use super::*;
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
}
