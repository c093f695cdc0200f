//! Which file behind a plain URL is wanted?

use super::ArchiveFormat;
use crate::api::expiry::{self, expiry_schema};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// One file behind an http or https URL.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Http {
    /// The address of the file.
    #[schemars(length(max = 2048))]
    #[x_kube(validation = Rule::new("self.matches('^https?://[^[:space:]/?#@]+([/?][^[:space:]#]*)?$') && isURL(self)").message("`url` must be an http or https URL without user name, password and fragment"))]
    pub url: String,

    /// SHA-256 of the file, 64 hex digits. Without it the server's ETag is the pin, and a server without one is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = Rule::new("self.matches('^[0-9a-fA-F]{64}$')").message("`sha256` must be 64 hex digits"))]
    pub sha256: Option<String>,

    /// Where the file goes on the volume, relative to its root; `files/<last part of the URL>` when left out, without the
    /// ending of an archive that is unpacked. A file of that name that is there is replaced. With `unpack` it is the
    /// directory that takes the archive's content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = Rule::new("!self.startsWith('/') && !self.split('/').exists(p, p == '..' || p == '.' || p == '' || p == '.modelcache')")
        .message("`path` must be a relative path of a file without `.`, `..`, empty parts or `.modelcache`"))]
    pub path: Option<String>,

    /// The file is an archive, and its content is wanted instead of it: `Zip`, `Tar`, `TarGz` or `TarZst`. `sha256` and
    /// ETag are the archive's. Once there, the archive is not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unpack: Option<ArchiveFormat>,

    /// How long the file is kept once it was fetched: `Forever`, which is the default, or a duration such as `12h` or `7d`.
    /// Clean-up removes it after that; the source counts as complete without it. It is fetched again when the source
    /// changes, this field too, when a refresh finds another file behind it, and on a node that is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "expiry_schema")]
    pub expire_after: Option<String>,
}

impl Http {
    /// The path in effect, relative to the volume's root. `None` when the URL ends in no usable name and `path` is not
    /// set.
    pub fn effective_path(&self) -> Option<String> {
        if let Some(path) = &self.path {
            return Some(path.clone());
        }
        let without_query = self.url.split(['?', '#']).next().unwrap_or_default();
        let (_, after_scheme) = without_query.split_once("://")?;
        let (_, path) = after_scheme.split_once('/')?;
        let name = path.rsplit('/').next()?;
        let name = self.unpack.map_or(name, |format| format.stem(name));
        (!matches!(name, "" | "." | "..")).then(|| format!("files/{name}"))
    }

    /// What ends up where, wherever it comes from.
    pub fn identity(&self) -> Value {
        let path = self.effective_path().unwrap_or_default();
        match (self.unpack, expiry::identity(self.expire_after.as_deref())) {
            (None, None) => json!(["http", path]),
            (Some(format), None) => json!(["http", path, format]),
            (format, Some(expiry)) => json!(["http", path, format, expiry]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_after_the_last_part_of_its_url() {
        for (url, expected) in [
            ("https://x.org/a/b.bin", Some("files/b.bin")),
            ("https://x.org/a/b.bin?x=/y", Some("files/b.bin")),
            ("https://x.org/", None),
            ("https://x.org", None),
            ("https://x.org/a/..", None),
        ] {
            let http = Http { url: url.into(), sha256: None, path: None, unpack: None, expire_after: None };
            assert_eq!(http.effective_path().as_deref(), expected, "{url}");
        }
    }
}
