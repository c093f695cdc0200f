//! Which secrets does a source get to use, and what are people told to change when they are refused?

use super::super::failure::Failure;
use super::super::fetch::Secret;
use super::oci::local_config;
use crate::api::Reason;
use crate::api::pod_template::ConfigMapKeyRef;
use crate::api::source::{Kind, Oci, SecretFile, SecretKeyRef, Source, WhisperEngine};
use crate::contract::mount;
use std::collections::BTreeMap;
use std::path::Path;

/// The variable of the hub's own client.
const HF_TOKEN: &str = "HF_TOKEN";

/// What a source has to show to its origin, or that there is nothing, and where it came from.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// The access token.
    pub token: Option<Secret>,
    /// What else the source's Secrets hold, by the name of the file in the pod.
    pub others: BTreeMap<&'static str, Secret>,
    /// The requirements of a wheelhouse whose spec names a ConfigMap.
    pub requirements: Option<String>,
    /// Where a person has to put another one.
    pub place: String,
}

impl Access {
    /// What a source shows in its pod: the Secret keys that its spec names, mounted as files.
    ///
    /// # Errors
    /// `SecretNotFound` when the spec names a key and there is no such file: the mount is optional so that the agent can
    /// say this, instead of a pod that never starts.
    pub fn in_pod(source: &Source, secrets: &Path, config: &Path) -> Result<Self, Failure> {
        let mut access = Self { place: "a Secret that the source names".to_owned(), ..Self::default() };
        for file in source.secrets() {
            let (text, place) = mounted(&file, &secrets.join(&source.name), "source")?;
            access.keep(file.file, &text, place);
        }
        if let Some(reference) = source.config_map() {
            let path = config.join(&source.name).join(mount::CONFIG_FILE);
            access.requirements = Some(std::fs::read_to_string(path).map_err(|_| no_config_map(reference))?);
        }
        Ok(access)
    }

    /// What a source shows without a cluster: environment variables stand in for the Secrets that the spec names.
    /// `config_map` looks a ConfigMap up in the YAML. `HF_TOKEN` is used for a hub repository whose spec names none, too, as
    /// the hub's own client does.
    ///
    /// # Errors
    /// `SecretNotFound` when the spec names a Secret and its variable is not set.
    pub fn local(
        source: &Source,
        environment: &dyn Fn(&str) -> Option<String>,
        config_map: &dyn Fn(&ConfigMapKeyRef) -> Option<String>,
    ) -> Result<Self, Failure> {
        let set = |name: &str| environment(name).filter(|it| !it.trim().is_empty());
        let mut access = Self::default();
        for SecretFile { file, reference, stand_in } in source.secrets() {
            // A docker config is a file that people have; its variable says where.
            let found = match stand_in {
                Oci::STAND_IN => local_config(environment),
                _ => set(stand_in).map(|value| (value, stand_in.to_owned())),
            };
            let Some((value, place)) = found else { return Err(not_set(reference, stand_in)) };
            access.keep(file, &value, place);
        }
        if let Some(reference) = source.config_map() {
            access.requirements = Some(config_map(reference).ok_or_else(|| no_config_map(reference))?);
        }
        // A YAML from elsewhere that names a hub of its own gets the token only if it asks for one by name.
        let asks_the_public_hub = match source.kind() {
            Some(Kind::HuggingFace(hub)) => hub.endpoint.is_none(),
            Some(Kind::Whisper(model)) => model.endpoint.is_none() && model.effective_engine() == WhisperEngine::Faster,
            _ => false,
        };
        if access.place.is_empty() {
            "a Secret that the source names (without a cluster HF_TOKEN or the like stands in for it)"
                .clone_into(&mut access.place);
        }
        if asks_the_public_hub && access.token.is_none() {
            HF_TOKEN.clone_into(&mut access.place);
            if let Some(value) = set(HF_TOKEN) {
                access.keep(SecretFile::TOKEN, &value, HF_TOKEN.to_owned());
            }
        }
        // Its entries are for one registry each, as `docker pull` uses them; never where anybody on the way reads along.
        if let Some(Kind::Oci(oci)) = source.kind()
            && access.others.is_empty()
            && !oci.effective_plain_http()
            && let Some((value, place)) = local_config(environment)
        {
            access.keep(Oci::PULL_SECRET, &value, place);
        }
        Ok(access)
    }

    /// What something else than a source shows: `whose` says what names these keys.
    ///
    /// # Errors
    /// `SecretNotFound` when one of them is missing.
    pub fn of_keys(secrets: &[SecretFile<'_>], keys: &Keys<'_>, whose: &str) -> Result<Self, Failure> {
        let mut access = Self::default();
        for secret in secrets {
            let (text, place) = match keys {
                Keys::Mounted(directory) => mounted(secret, directory, whose)?,
                Keys::Environment(environment) => {
                    let value = environment(secret.stand_in).filter(|it| !it.trim().is_empty());
                    let value = value.ok_or_else(|| not_set(secret.reference, secret.stand_in))?;
                    (value, secret.stand_in.to_owned())
                }
            };
            access.keep(secret.file, &text, place);
        }
        Ok(access)
    }

    fn keep(&mut self, file: &'static str, value: &str, place: String) {
        let secret = Secret::new(value);
        self.place = place;
        match file {
            SecretFile::TOKEN => self.token = Some(secret),
            other => _ = self.others.insert(other, secret),
        }
    }

    /// What is to be changed when the token, or that there was none, was not good enough.
    pub fn advice(&self) -> String {
        match self.token {
            Some(_) => format!("the token was taken from {}: give one there that may read this", self.place),
            None => format!("no token was sent: if it is private, give one in {}", self.place),
        }
    }
}

/// Where keys are.
#[derive(Clone, Copy)]
pub enum Keys<'a> {
    /// Files of a directory in the pod.
    Mounted(&'a Path),
    /// Without a cluster.
    Environment(&'a dyn Fn(&str) -> Option<String>),
}

/// A key that is mounted, and what people call it.
fn mounted(secret: &SecretFile<'_>, directory: &Path, whose: &str) -> Result<(String, String), Failure> {
    let SecretFile { file, reference, .. } = secret;
    let place = format!("key `{}` of Secret `{}`", reference.key, reference.name);
    let missing = |how: &str| {
        let message = format!(
            "{place} {how}: create it in the cache's namespace, or remove the reference to it from the {whose}"
        );
        Failure::new(Reason::SecretNotFound, message)
    };
    let text = std::fs::read_to_string(directory.join(file)).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => missing("does not exist"),
        _ => missing(&format!("cannot be read ({error})")),
    })?;
    if text.trim().is_empty() { Err(missing("is empty")) } else { Ok((text, place)) }
}

fn not_set(reference: &SecretKeyRef, stand_in: &str) -> Failure {
    let message = format!(
        "the spec names key `{}` of Secret `{}`, and without a cluster {stand_in} stands in for it: set {stand_in}",
        reference.key, reference.name
    );
    Failure::new(Reason::SecretNotFound, message)
}

fn no_config_map(reference: &ConfigMapKeyRef) -> Failure {
    let message = format!(
        "key `{}` of ConfigMap `{}` does not exist: create it in the cache's namespace; without a cluster, as a document \
         of the same YAML",
        reference.key, reference.name
    );
    Failure::new(Reason::InvalidSpec, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn source() -> Source {
        let hub = json!({"repo": "org/x", "tokenSecretRef": {"name": "hf", "key": "token"}});
        serde_json::from_value(json!({"name": "x", "huggingFace": hub})).unwrap()
    }

    fn local(source: &Source, hf_token: Option<&str>) -> Result<Access, Failure> {
        Access::local(source, &|name| hf_token.filter(|_| name == "HF_TOKEN").map(str::to_owned), &|_| None)
    }

    #[test]
    fn a_missing_secret_is_named_with_its_key() {
        let secrets = tempfile::tempdir().unwrap();
        let failure = Access::in_pod(&source(), secrets.path(), secrets.path()).unwrap_err();
        assert_eq!(failure.reason, Reason::SecretNotFound);
        assert!(failure.message.contains("key `token` of Secret `hf` does not exist"), "{failure}");
        std::fs::create_dir(secrets.path().join("x")).unwrap();
        std::fs::write(secrets.path().join("x/token"), " \n").unwrap();
        assert!(Access::in_pod(&source(), secrets.path(), secrets.path()).unwrap_err().message.contains("is empty"));
        std::fs::write(secrets.path().join("x/token"), "hf_abc\n").unwrap();
        assert!(Access::in_pod(&source(), secrets.path(), secrets.path()).unwrap().token.is_some());
    }

    #[test]
    fn without_a_cluster_the_environment_stands_in_for_the_secret() {
        assert_eq!(local(&source(), None).unwrap_err().reason, Reason::SecretNotFound);
        assert!(local(&source(), Some("hf_abc")).unwrap().token.is_some());
        let mut public = source();
        public.hugging_face.as_mut().unwrap().token_secret_ref = None;
        assert!(local(&public, Some("")).unwrap().token.is_none());
        assert!(local(&public, Some("hf_abc")).unwrap().token.is_some());
    }

    #[test]
    fn a_hub_that_only_the_yaml_names_does_not_get_the_token_unasked() {
        let mut elsewhere = source();
        elsewhere.hugging_face.as_mut().unwrap().endpoint = Some("https://hub.example".into());
        assert!(local(&elsewhere, Some("hf_abc")).unwrap().token.is_some(), "it names a Secret");
        elsewhere.hugging_face.as_mut().unwrap().token_secret_ref = None;
        assert!(local(&elsewhere, Some("hf_abc")).unwrap().token.is_none());
    }
}
