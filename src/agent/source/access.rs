//! Which token does a source get to use, and what are people told to change when it is refused?

use super::super::failure::Failure;
use super::super::fetch::Secret;
use crate::api::Reason;
use crate::api::source::Source;
use std::path::Path;

/// A token, or that there is none, and where it came from.
#[derive(Clone, Debug)]
pub struct Access {
    /// The token.
    pub token: Option<Secret>,
    /// Where a person has to put another one.
    pub place: String,
}

impl Access {
    /// The token of a source in its pod: the Secret key that its spec names, mounted as a file.
    ///
    /// # Errors
    /// `SecretNotFound` when the spec names a key and there is no such file: the mount is optional so that the agent can
    /// say this, instead of a pod that never starts.
    pub fn in_pod(source: &Source, secrets: &Path) -> Result<Self, Failure> {
        let Some(reference) = source.secret() else {
            return Ok(Self { token: None, place: "a Secret named in `tokenSecretRef`".to_owned() });
        };
        let place = format!("key `{}` of Secret `{}`", reference.key, reference.name);
        let missing = |how: &str| {
            let message = format!("{place} {how}: create it in the cache's namespace, or remove `tokenSecretRef`");
            Failure::new(Reason::SecretNotFound, message)
        };
        let text =
            std::fs::read_to_string(secrets.join(&source.name).join("token")).map_err(|error| match error.kind() {
                std::io::ErrorKind::NotFound => missing("does not exist"),
                _ => missing(&format!("cannot be read ({error})")),
            })?;
        if text.trim().is_empty() {
            return Err(missing("is empty"));
        }
        Ok(Self { token: Some(Secret::new(&text)), place })
    }

    /// The token of a source without a cluster: `HF_TOKEN` stands in for the Secret that the spec names, and is used for
    /// a hub repository whose spec names none, too, as the hub's own client does.
    ///
    /// # Errors
    /// `SecretNotFound` when the spec names a Secret and the variable is not set.
    pub fn local(source: &Source, hf_token: Option<&str>) -> Result<Self, Failure> {
        // A YAML from elsewhere that names a hub of its own gets the token only if it asks for one by name.
        let wanted =
            source.hugging_face.as_ref().is_some_and(|it| it.endpoint.is_none() || it.token_secret_ref.is_some());
        let token = hf_token.map(str::trim).filter(|it| !it.is_empty() && wanted);
        if let (Some(reference), None) = (source.secret(), token) {
            let message = format!(
                "the spec names key `{}` of Secret `{}`, and without a cluster HF_TOKEN stands in for it: set HF_TOKEN",
                reference.key, reference.name
            );
            return Err(Failure::new(Reason::SecretNotFound, message));
        }
        Ok(Self { token: token.map(Secret::new), place: "HF_TOKEN".to_owned() })
    }

    /// What is to be changed when the token, or that there was none, was not good enough.
    pub fn advice(&self) -> String {
        match self.token {
            Some(_) => format!("the token was taken from {}: give one there that may read this", self.place),
            None => format!("no token was sent: if it is private, give one in {}", self.place),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::source::{HuggingFace, SecretKeyRef};

    fn source() -> Source {
        let reference = SecretKeyRef { name: "hf".into(), key: "token".into() };
        let hub = HuggingFace {
            repo: "org/x".into(),
            repo_type: None,
            revision: None,
            include: vec![],
            exclude: vec![],
            endpoint: None,
            token_secret_ref: Some(reference),
            path: None,
        };
        Source { name: "x".into(), volume: None, hugging_face: Some(hub), http: None }
    }

    #[test]
    fn a_missing_secret_is_named_with_its_key() {
        let secrets = tempfile::tempdir().unwrap();
        let failure = Access::in_pod(&source(), secrets.path()).unwrap_err();
        assert_eq!(failure.reason, Reason::SecretNotFound);
        assert!(failure.message.contains("key `token` of Secret `hf` does not exist"), "{failure}");
        std::fs::create_dir(secrets.path().join("x")).unwrap();
        std::fs::write(secrets.path().join("x/token"), " \n").unwrap();
        assert!(Access::in_pod(&source(), secrets.path()).unwrap_err().message.contains("is empty"));
        std::fs::write(secrets.path().join("x/token"), "hf_abc\n").unwrap();
        assert!(Access::in_pod(&source(), secrets.path()).unwrap().token.is_some());
    }

    #[test]
    fn without_a_cluster_the_environment_stands_in_for_the_secret() {
        assert_eq!(Access::local(&source(), None).unwrap_err().reason, Reason::SecretNotFound);
        assert!(Access::local(&source(), Some("hf_abc")).unwrap().token.is_some());
        let mut public = source();
        public.hugging_face.as_mut().unwrap().token_secret_ref = None;
        assert!(Access::local(&public, Some("")).unwrap().token.is_none());
        assert!(Access::local(&public, Some("hf_abc")).unwrap().token.is_some());
    }

    #[test]
    fn a_hub_that_only_the_yaml_names_does_not_get_the_token_unasked() {
        let mut elsewhere = source();
        elsewhere.hugging_face.as_mut().unwrap().endpoint = Some("https://hub.example".into());
        assert!(Access::local(&elsewhere, Some("hf_abc")).unwrap().token.is_some(), "it names a Secret");
        elsewhere.hugging_face.as_mut().unwrap().token_secret_ref = None;
        assert!(Access::local(&elsewhere, Some("hf_abc")).unwrap().token.is_none());
    }
}
