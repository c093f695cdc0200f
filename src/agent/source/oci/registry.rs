//! How is a registry asked for a manifest? As the OCI distribution specification says, with our own manners: bounded answers,
//! patience, and reasons that people can act on.

use super::super::super::failure::{Failure, reason};
use super::super::super::fetch::{ApiAnswer, Authorizer, Digest, FetchError, Origin, Secret, hex};
use super::super::Origins;
use super::super::access::Access;
use super::door::Door;
use super::login::Login;
use super::manifest::Document;
use crate::agent::sha256::Sha256;
use crate::api::Reason;
use crate::api::name::sha256_digits;
use crate::api::source::{Oci, Reference};
use std::sync::Arc;
use url::Url;

/// Largest manifest that is read, in bytes: what registries themselves take.
const MANIFEST_LIMIT: usize = 4 << 20;
const ACCEPT: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json, \
                      application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json";

/// A manifest whose digest was checked.
pub struct Manifest {
    /// 64 hex digits.
    pub digest: String,
    pub bytes: Vec<u8>,
    pub document: Document,
}

/// One repository of a registry.
pub struct Registry<'a> {
    origins: &'a Origins,
    reference: &'a Reference,
    access: &'a Access,
    login: Option<Secret>,
    repository: Url,
    door: Option<Arc<Door>>,
}

impl<'a> Registry<'a> {
    pub fn new(origins: &'a Origins, oci: &Oci, reference: &'a Reference, access: &'a Access) -> Result<Self, Failure> {
        let scheme = if oci.effective_plain_http() { "http" } else { "https" };
        let repository = format!("{scheme}://{}/v2/{}/", reference.host(), reference.repository);
        let repository = Url::parse(&repository).map_err(|_| {
            Failure::new(Reason::InvalidSpec, format!("`reference` names no registry: {}", reference.registry))
        })?;
        let login = login(oci, reference, access)?;
        Ok(Self { origins, reference, access, login, repository, door: None })
    }

    /// Where a blob is.
    pub fn blob(&self, digest: &Digest) -> Url {
        self.url("blobs", &digest.to_string())
    }

    /// How the engine is let in.
    pub fn authorizer(&self) -> Option<Arc<dyn Authorizer>> {
        self.door.clone().map(|door| door as Arc<dyn Authorizer>)
    }

    /// The manifest that a tag is now.
    pub async fn at_tag(&mut self, tag: &str) -> Result<Manifest, Failure> {
        let answer = self.get(&self.url("manifests", tag)).await.map_err(|error| self.explained(&error))?;
        let said = answer.headers.get("docker-content-digest").and_then(|it| it.to_str().ok()).and_then(sha256_digits);
        self.checked(&answer, said)
    }

    /// The manifest of a digest.
    pub async fn at_digest(&mut self, digest: &str) -> Result<Manifest, Failure> {
        let name = format!("sha256:{digest}");
        let answer = match self.get(&self.url("manifests", &name)).await {
            // Ollama's registry gives manifests by tag; by digest it has them among the blobs.
            Err(FetchError::NotFound { .. }) => self.get(&self.url("blobs", &name)).await,
            other => other,
        };
        let answer = answer.map_err(|error| self.explained(&error))?;
        self.checked(&answer, Some(digest))
    }

    fn checked(&self, answer: &ApiAnswer, expected: Option<&str>) -> Result<Manifest, Failure> {
        let digest = hex(&Sha256::digest(&answer.body));
        if let Some(expected) = expected.filter(|expected| *expected != digest) {
            return Err(Failure::new(
                Reason::ChecksumMismatch,
                format!(
                    "the registry's manifest of {} hashes to sha256:{digest}, sha256:{expected} was promised; nothing was taken",
                    self.reference
                ),
            ));
        }
        let document = serde_json::from_slice(&answer.body).map_err(|error| {
            let message = format!("the answer about {} is no manifest ({error})", self.reference);
            Failure::new(Reason::Unreachable, message)
        })?;
        Ok(Manifest { digest, bytes: answer.body.to_vec(), document })
    }

    /// Asks as nobody first, as every client does: the refusal says what the registry wants to see.
    async fn get(&mut self, url: &Url) -> Result<ApiAnswer, FetchError> {
        let (client, options, label) = (&self.origins.client, &self.origins.options, self.reference.to_string());
        let refused = match client.get(&label, &self.origin(url), ACCEPT, MANIFEST_LIMIT, options).await {
            Err(error @ FetchError::Unauthorized { .. }) if self.door.is_none() => error,
            other => return other,
        };
        let FetchError::Unauthorized { challenge: Some(challenge), .. } = &refused else { return Err(refused) };
        let scope = format!("repository:{}:pull", self.reference.repository);
        let door = Door::new(self.origins, challenge, &self.repository, &label, &scope, self.login.clone());
        let door = door.map_err(|cause| FetchError::Refused { label: label.clone(), cause })?;
        let Some(door) = door else { return Err(refused) };
        self.door = Some(Arc::new(door));
        client.get(&label, &self.origin(url), ACCEPT, MANIFEST_LIMIT, options).await
    }

    fn origin(&self, url: &Url) -> Origin {
        Origin { url: url.clone(), token: None, validator: None, authorizer: self.authorizer() }
    }

    fn url(&self, kind: &str, name: &str) -> Url {
        let mut url = self.repository.clone();
        if let Ok(mut parts) = url.path_segments_mut() {
            parts.pop_if_empty().extend([kind, name]);
        }
        url
    }

    /// A refusal, with what a person can do about it.
    fn explained(&self, error: &FetchError) -> Failure {
        let place = &self.access.place;
        let advice = match &self.login {
            Some(_) => {
                format!("user name and password were taken from {place}: give those of somebody who may pull it")
            }
            None => {
                "nobody is logged in: if it is private, name a Secret for its registry in `pullSecretRef`".to_owned()
            }
        };
        let reason = reason(error);
        let message = match reason {
            Reason::Unauthorized => format!("{}: the registry refuses; {advice} ({error})", self.reference),
            Reason::NotFound => format!("{error}; {advice}"),
            _ => error.to_string(),
        };
        Failure::new(reason, message)
    }
}

/// User name and password for the registry.
fn login(oci: &Oci, reference: &Reference, access: &Access) -> Result<Option<Secret>, Failure> {
    let Some(config) = access.others.get(Oci::PULL_SECRET) else { return Ok(None) };
    let found = Login::find(config.reveal(), reference);
    let named = oci.pull_secret_ref.is_some();
    let useless = |what: &str| {
        let message = format!(
            "{} {what}: make it with `kubectl create secret docker-registry --docker-server={}`, or by `docker login`",
            access.place, reference.registry
        );
        Err(Failure::new(Reason::SecretNotFound, message))
    };
    match found {
        Ok(Login::Basic(secret)) => Ok(Some(secret)),
        Ok(Login::None) if named => useless(&format!("has nothing for the registry {}", reference.registry)),
        Err(what) if named => useless(what),
        Ok(Login::None) | Err(_) => Ok(None),
    }
}
