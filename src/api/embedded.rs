//! What may a user write where we take one of Kubernetes' own types, and within which bounds?
//!
//! The types are upstream's. Their schemas are not: those are unbounded, keep no list markers, and their descriptions
//! are longer than all of ours together.

use schemars::{Schema, SchemaGenerator, json_schema};

/// A label's or taint's key.
const KEY: &str = r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$";
/// A label's or taint's value. May be empty.
const VALUE: &str = r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$";
/// The name of an object.
const NAME: &str = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$";
/// A key in a Secret or ConfigMap.
const DATA_KEY: &str = r"^[-._A-Za-z0-9]+$";
/// A quantity, as the API server's own CRDs spell it.
const QUANTITY: &str = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$";

/// Labels, as a map.
pub(crate) fn labels(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 32,
        "additionalProperties": {"type": "string", "maxLength": 63, "pattern": VALUE}
    })
}

/// Annotations, as a map.
pub(crate) fn annotations(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 32,
        "additionalProperties": {"type": "string", "maxLength": 4096}
    })
}

/// A label selector.
pub(crate) fn label_selector(generator: &mut SchemaGenerator) -> Schema {
    let mut match_labels = labels(generator);
    match_labels.insert("description".into(), "Labels and the value that each must have.".into());
    json_schema!({
        "type": "object",
        "x-kubernetes-map-type": "atomic",
        "properties": {
            "matchLabels": match_labels,
            "matchExpressions": {
                "description": "Requirements that must all hold.",
                "type": "array",
                "maxItems": 32,
                "x-kubernetes-list-type": "atomic",
                "items": {
                    "type": "object",
                    "required": ["key", "operator"],
                    "properties": {
                        "key": {"type": "string", "minLength": 1, "maxLength": 317, "pattern": KEY, "description": "Key of the label."},
                        "operator": {"type": "string", "enum": ["In", "NotIn", "Exists", "DoesNotExist"], "description": "How the label relates to `values`."},
                        "values": {
                            "description": "Values, for `In` and `NotIn`.",
                            "type": "array",
                            "maxItems": 64,
                            "x-kubernetes-list-type": "atomic",
                            "items": {"type": "string", "maxLength": 63, "pattern": VALUE}
                        }
                    },
                    "x-kubernetes-validations": [{
                        "rule": "self.operator in ['In', 'NotIn'] ? has(self.values) && self.values.size() > 0 : !has(self.values) || self.values.size() == 0",
                        "message": "`values` must be given for the operators In and NotIn, and only for them"
                    }]
                }
            }
        }
    })
}

/// A list of tolerations.
pub(crate) fn tolerations(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 32,
        "x-kubernetes-list-type": "atomic",
        "items": {
            "type": "object",
            "properties": {
                "key": {"type": "string", "maxLength": 317, "pattern": KEY, "description": "Key of the taint; every taint when left out, with the operator Exists."},
                "operator": {"type": "string", "enum": ["Equal", "Exists"], "description": "How the taint's value relates to `value`; Equal when left out."},
                "value": {"type": "string", "maxLength": 63, "pattern": VALUE, "description": "Value of the taint, for the operator Equal."},
                "effect": {"type": "string", "enum": ["NoSchedule", "PreferNoSchedule", "NoExecute"], "description": "Effect of the taint; every effect when left out."},
                "tolerationSeconds": {"type": "integer", "format": "int64", "minimum": 0, "description": "Seconds that the taint is tolerated, for the effect NoExecute; for ever when left out."}
            },
            "x-kubernetes-validations": [{
                "rule": "has(self.key) || (has(self.operator) && self.operator == 'Exists')",
                "message": "a toleration without `key` must have the operator Exists"
            }, {
                "rule": "!has(self.operator) || self.operator != 'Exists' || !has(self.value) || self.value == ''",
                "message": "a toleration with the operator Exists must have no `value`"
            }]
        }
    })
}

/// Requests and limits of a container.
pub(crate) fn resources(_: &mut SchemaGenerator) -> Schema {
    let amounts = |description: &str| {
        json_schema!({
            "description": description,
            "type": "object",
            "maxProperties": 8,
            "additionalProperties": {"x-kubernetes-int-or-string": true, "maxLength": 32, "pattern": QUANTITY}
        })
    };
    json_schema!({
        "type": "object",
        "properties": {
            "requests": amounts("What the pod is scheduled by, such as `cpu: 100m` and `memory: 128Mi`."),
            "limits": amounts("What the pod may use at most.")
        }
    })
}

/// An SELinux label.
pub(crate) fn selinux(_: &mut SchemaGenerator) -> Schema {
    let part = |description: &str| json_schema!({"type": "string", "maxLength": 256, "description": description});
    json_schema!({
        "type": "object",
        "properties": {
            "user": part("User of the label."),
            "role": part("Role of the label."),
            "type": part("Type of the label."),
            "level": part("Level of the label, such as `s0:c123,c456`.")
        }
    })
}

/// Names of Secrets for pulling an image.
pub(crate) fn pull_secrets(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 8,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
        "items": {
            "type": "object",
            "required": ["name"],
            "properties": {
                "name": {"type": "string", "minLength": 1, "maxLength": 253, "pattern": NAME, "description": "Name of the Secret."}
            }
        }
    })
}

/// Environment variables.
pub(crate) fn environment(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 32,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
        "items": {
            "type": "object",
            "required": ["name"],
            "properties": {
                "name": {"type": "string", "minLength": 1, "maxLength": 253, "pattern": "^[-._A-Za-z][-._A-Za-z0-9]*$", "description": "Name of the variable."},
                "value": {"type": "string", "maxLength": 32768, "description": "Value of the variable."},
                "valueFrom": {
                    "description": "Where the value comes from, instead of `value`.",
                    "type": "object",
                    "properties": {
                        "secretKeyRef": key_of("A key in a Secret of this namespace.", "Secret"),
                        "configMapKeyRef": key_of("A key in a ConfigMap of this namespace.", "ConfigMap"),
                        "fieldRef": {
                            "description": "A field of the pod.",
                            "type": "object",
                            "required": ["fieldPath"],
                            "properties": {
                                "fieldPath": {"type": "string", "minLength": 1, "maxLength": 512, "description": "Path of the field, such as `spec.nodeName`."},
                                "apiVersion": {"type": "string", "maxLength": 32, "description": "Version of the schema that the path is written in."}
                            }
                        }
                    },
                    "x-kubernetes-validations": [{
                        "rule": "[has(self.secretKeyRef), has(self.configMapKeyRef), has(self.fieldRef)].filter(it, it).size() == 1",
                        "message": "exactly one of `secretKeyRef`, `configMapKeyRef` and `fieldRef` must be set"
                    }]
                }
            },
            "x-kubernetes-validations": [{
                "rule": "!has(self.valueFrom) || !has(self.value) || self.value == ''",
                "message": "`value` and `valueFrom` must not both be set"
            }]
        }
    })
}

fn key_of(description: &str, kind: &str) -> Schema {
    json_schema!({
        "description": description,
        "type": "object",
        "required": ["name", "key"],
        "properties": {
            "name": {"type": "string", "minLength": 1, "maxLength": 253, "pattern": NAME, "description": format!("Name of the {kind}.")},
            "key": {"type": "string", "minLength": 1, "maxLength": 253, "pattern": DATA_KEY, "description": format!("Key in the {kind}.")},
            "optional": {"type": "boolean", "description": format!("Whether the {kind} and its key may be missing.")}
        }
    })
}
