//! Which modes and which owner should files have?

use kube::KubeSchema;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Repair of modes and owners. Files with a second name (hard links) are left alone, and so is what a cache lists as its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.fileMode) || has(self.directoryMode) || has(self.user) || has(self.group)")
    .message("at least one of `fileMode`, `directoryMode`, `user` and `group` must be set"))]
pub struct PermissionsRule {
    /// Mode of matching files, such as `"0644"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "mode_schema")]
    pub file_mode: Option<String>,

    /// Mode of matching directories, such as `"0755"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "mode_schema")]
    pub directory_mode: Option<String>,

    /// Number of the user that matching files and directories belong to. Only root may give files away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 4_294_967_294_i64))]
    pub user: Option<i64>,

    /// Number of the group that matching files and directories belong to. Others than root may choose among their own groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 4_294_967_294_i64))]
    pub group: Option<i64>,
}

/// Schema of a mode: four octal digits, the first of them 0.
fn mode_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "maxLength": 4,
        "x-kubernetes-validations": [{
            "rule": "self.matches('^0[0-7]{3}$')",
            "message": "must be a mode of four octal digits in quotes that begins with 0, such as \"0644\""
        }]
    })
}

/// The bits of a mode such as `0644`. `None` when it is not written as one.
pub(super) fn mode(text: &str) -> Option<u32> {
    let shape = text.len() == 4 && text.starts_with('0') && text.bytes().all(|it| (b'0'..=b'7').contains(&it));
    if shape { u32::from_str_radix(text, 8).ok() } else { None }
}

impl PermissionsRule {
    /// The bits of `fileMode`; `None` when it is not set or not a mode.
    pub fn file_bits(&self) -> Option<u32> {
        self.file_mode.as_deref().and_then(mode)
    }

    /// The bits of `directoryMode`; `None` when it is not set or not a mode.
    pub fn directory_bits(&self) -> Option<u32> {
        self.directory_mode.as_deref().and_then(mode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_four_octal_digits_and_sets_no_special_bit() {
        for (text, bits) in [("0644", Some(0o644)), ("0755", Some(0o755)), ("0000", Some(0))] {
            assert_eq!(mode(text), bits, "{text}");
        }
        for text in ["", "644", "4755", "0888", "0o64", "+644", "00644"] {
            assert_eq!(mode(text), None, "{text}");
        }
    }
}
