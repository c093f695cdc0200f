//! What does a docker config know about a registry? The file that `docker login` writes, and Kubernetes' pull Secrets hold.
//!
//! Entries are found as the kubelet finds them: `*` stands for a part of a host name, a path restricts to the repositories
//! below it, and the longest entry wins.

use super::super::super::fetch::Secret;
use crate::api::source::{Oci, Reference};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Largest config that is read, in bytes: as large as a Secret may be.
const LIMIT: u64 = 1 << 20;

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
struct Entry {
    /// `user:password`, in base64.
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    #[serde(rename = "identitytoken")]
    identity_token: Option<String>,
}

/// What there is for a registry.
#[derive(Debug, PartialEq, Eq)]
pub enum Login {
    /// User name and password, as HTTP Basic has them.
    Basic(Secret),
    /// Nothing.
    None,
}

impl Login {
    /// Looks for a registry in the text of a docker config.
    ///
    /// # Errors
    /// Why it is of no use, without anything that is in it.
    pub fn find(text: &str, reference: &Reference) -> Result<Self, &'static str> {
        let config: Config = serde_json::from_str(text).map_err(|_| "is no docker config")?;
        let of_this = config.auths.iter().filter(|(key, _)| is_for(key, reference));
        let Some((_, entry)) = of_this.max_by_key(|(key, _)| plain(key).len()) else { return Ok(Self::None) };
        if let (Some(user), Some(password)) = (&entry.username, &entry.password)
            && !user.is_empty()
        {
            return Ok(Self::Basic(Secret::basic(user, password)));
        }
        if let Some(auth) = entry.auth.as_deref().filter(|auth| !auth.is_empty()) {
            let decoded = STANDARD.decode(auth.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            let decoded = decoded.as_deref().and_then(|it| it.trim_end_matches('\0').split_once(':'));
            let (user, password) = decoded.ok_or("has an `auth` that is not user name and password in base64")?;
            return Ok(Self::Basic(Secret::basic(user, password)));
        }
        if entry.identity_token.is_some() {
            return Err(
                "has an identity token, which is not supported: give user name and password, or an access token",
            );
        }
        // What a credential helper keeps is not asked for: that would run a program.
        Ok(Self::None)
    }
}

/// Text and path of the docker config of whoever runs the command, if there is one.
pub fn local(environment: &dyn Fn(&str) -> Option<String>) -> Option<(String, String)> {
    let set = |name: &str| environment(name).filter(|it| !it.trim().is_empty()).map(PathBuf::from);
    let directory = set(Oci::STAND_IN).or_else(|| set("HOME").map(|home| home.join(".docker")))?;
    let path = directory.join("config.json");
    if std::fs::metadata(&path).ok()?.len() > LIMIT {
        return None;
    }
    Some((std::fs::read_to_string(&path).ok()?, path.display().to_string()))
}

/// An entry's key without scheme and the version of the API that old ones have.
fn plain(key: &str) -> &str {
    let key = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    let key = key.trim_end_matches('/');
    ["/v1", "/v2"].iter().find_map(|version| key.strip_suffix(version)).unwrap_or(key)
}

fn is_for(key: &str, reference: &Reference) -> bool {
    let (host, path) = plain(key).split_once('/').unwrap_or((plain(key), ""));
    let host = if host == "index.docker.io" || host == "registry-1.docker.io" { "docker.io" } else { host };
    let (parts, asked): (Vec<&str>, Vec<&str>) = (host.split('.').collect(), reference.registry.split('.').collect());
    let same_host = parts.len() == asked.len() && parts.iter().zip(asked).all(|(part, it)| is_glob_of(part, it));
    let below = reference.repository.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    same_host && (path.is_empty() || below)
}

/// Whether a part of a host name fits; only `*` is special.
fn is_glob_of(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, after)) => {
            text.len() >= before.len() + after.len() && text.starts_with(before) && text.ends_with(after)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[allow(clippy::needless_pass_by_value, reason = "`json!` is written in place")]
    fn found(auths: serde_json::Value, reference: &str) -> Result<Option<Secret>, &'static str> {
        let reference = Reference::parse(reference, false).unwrap();
        Login::find(&json!({"auths": auths}).to_string(), &reference).map(|login| match login {
            Login::Basic(secret) => Some(secret),
            Login::None => None,
        })
    }

    #[test]
    fn an_entry_is_found_as_the_kubelet_finds_it() {
        let me = json!({"username": "me", "password": "pw"});
        for (key, reference, expected) in [
            ("ghcr.io", "ghcr.io/a/b", true),
            ("https://ghcr.io", "ghcr.io/a/b", true),
            ("https://ghcr.io/v2/", "ghcr.io/a/b", true),
            ("ghcr.io", "ghcr.io.evil.example/a", false),
            ("ghcr.io", "evil.example/ghcr.io", false),
            ("*.azurecr.io", "models.azurecr.io/a", true),
            ("*.azurecr.io", "a.b.azurecr.io/a", false),
            ("*", "localhost/a", true),
            ("ghcr.io/a", "ghcr.io/a/b", true),
            ("ghcr.io/a", "ghcr.io/ab/c", false),
            ("localhost:5000", "localhost:5000/a", true),
            ("localhost:5000", "localhost:5001/a", false),
            ("https://index.docker.io/v1/", "docker.io/ai/x", true),
        ] {
            assert_eq!(found(json!({key: me}), reference).unwrap().is_some(), expected, "{key} for {reference}");
        }
    }

    #[test]
    fn the_longest_entry_wins() {
        let entry = |user: &str| json!({"username": user, "password": "pw"});
        let auths = json!({"ghcr.io": entry("all"), "ghcr.io/a": entry("a"), "*.io": entry("io")});
        assert_eq!(found(auths.clone(), "ghcr.io/a/b").unwrap(), Some(Secret::basic("a", "pw")));
        assert_eq!(found(auths, "ghcr.io/b/b").unwrap(), Some(Secret::basic("all", "pw")));
    }

    #[test]
    fn both_ways_to_write_a_password_are_read_and_what_is_none_is_said_without_it() {
        let written = STANDARD.encode("me:p:w");
        assert_eq!(found(json!({"x.io": {"auth": written}}), "x.io/a").unwrap(), Some(Secret::basic("me", "p:w")));
        assert_eq!(found(json!({"x.io": {}}), "x.io/a").unwrap(), None, "a credential helper has it");
        assert!(found(json!({"x.io": {"auth": "%%%"}}), "x.io/a").unwrap_err().contains("base64"));
        assert!(found(json!({"x.io": {"identitytoken": "t"}}), "x.io/a").unwrap_err().contains("identity token"));
        let reference = Reference::parse("x.io/a", false).unwrap();
        assert!(Login::find("user:password", &reference).is_err());
    }
}
