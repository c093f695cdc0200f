//! Which files of which volume, and what is done with them?

use super::super::duration::duration_schema;
use super::{CacheRule, DeleteRule, PermissionsRule, RotateRule};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// One rule of a clean-up.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("(has(self.rotate) ? 1 : 0) + (has(self.delete) ? 1 : 0) + (has(self.cache) ? 1 : 0) + (has(self.permissions) ? 1 : 0) == 1")
        .message("exactly one of `rotate`, `delete`, `cache` and `permissions` must be set"),
    validation = Rule::new("has(self.paths) != has(self.cache)")
        .message("`paths` must say which files; only a `cache` rule has none, because the cache knows its own"),
    validation = Rule::new("!has(self.exclude) || has(self.paths)")
        .message("`exclude` must stand beside `paths`"),
    validation = Rule::new("!has(self.deleteAfter) || has(self.rotate)")
        .message("`deleteAfter` must stand beside `rotate`; to delete files by age alone, use `delete: {olderThan: …}`"),
    validation = Rule::new("!has(self.rotate) || has(self.rotate.keep) || has(self.deleteAfter)")
        .message("`rotate` must have `keep`, or `deleteAfter` beside it: rotated files would stay for ever"),
    validation = Rule::new("!has(self.trash) || has(self.rotate) || has(self.delete)")
        .message("`trash` must stand beside `rotate` or `delete`"),
    validation = Rule::new("!has(self.maxDeletePercent) || has(self.rotate) || has(self.delete)")
        .message("`maxDeletePercent` must stand beside `rotate` or `delete`")
)]
pub struct CleanupRule {
    /// Name of the rule, unique in the cache: a DNS label of at most 63 characters.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')").message("`name` must be a DNS label: lower-case letters, digits and dashes, with no dash at either end"))]
    pub name: String,

    /// The volume; may be left out when there is only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub volume: Option<String>,

    /// Which files, relative to the volume's root, 1 to 16 globs: `*` and `?` stay within a directory, `**` is any number of
    /// directories, `[a-z]` and `{png,jpg}` are choices. Plain files only: no link is followed, no other file system
    /// entered, and nothing that a cache lists as its own is touched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 255)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[x_kube(validation = Rule::new("self.all(p, !p.startsWith('/') && !p.split('/').exists(s, s == '..' || s == '.' || s == '' || s == '.modelcache'))")
        .message("`paths` must be relative globs without `.`, `..`, empty parts or `.modelcache`"))]
    pub paths: Vec<String>,

    /// Which of them are left alone, up to 16 globs of the same kind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 255)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[x_kube(validation = Rule::new("self.all(p, !p.startsWith('/') && !p.split('/').exists(s, s == '..' || s == '.' || s == '' || s == '.modelcache'))")
        .message("`exclude` must be relative globs without `.`, `..`, empty parts or `.modelcache`"))]
    pub exclude: Vec<String>,

    /// The files are logs: start them anew when they are large or old, and keep some of the old ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotate: Option<RotateRule>,

    /// With `rotate`: what was last written to longer ago than this is deleted, rotated files and logs alike, such as `7d`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration_schema")]
    pub delete_after: Option<String>,

    /// Delete files by age, by their total size or by their number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete: Option<DeleteRule>,

    /// Remove what this cache no longer needs: earlier revisions, and what interrupted work left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheRule>,

    /// Give files and directories the modes and the owner that they should have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<PermissionsRule>,

    /// Whether deleted files stay in the trash for `trashGrace`. Without it their space is free at once, and they are gone.
    /// When left out: true for `delete`, false for `rotate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trash: Option<bool>,

    /// A run that would delete more than this share of the matching files is refused; see `maxDeletePercent` of the whole
    /// clean-up. 100 lets the rule delete all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub max_delete_percent: Option<u8>,
}

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Deed<'a> {
    /// Logs.
    Rotate(&'a RotateRule),
    /// Files.
    Delete(&'a DeleteRule),
    /// The cache's own.
    Cache(&'a CacheRule),
    /// Modes and owners.
    Permissions(&'a PermissionsRule),
}

impl CleanupRule {
    /// What the rule does. `None` when it is not exactly one thing.
    pub fn deed(&self) -> Option<Deed<'_>> {
        let deeds = [
            self.rotate.as_ref().map(Deed::Rotate),
            self.delete.as_ref().map(Deed::Delete),
            self.cache.as_ref().map(Deed::Cache),
            self.permissions.as_ref().map(Deed::Permissions),
        ];
        let mut deeds = deeds.into_iter().flatten();
        let first = deeds.next();
        if deeds.next().is_none() { first } else { None }
    }

    /// Whether deleted files go to the trash.
    pub fn effective_trash(&self) -> bool {
        self.trash.unwrap_or(self.delete.is_some())
    }
}
