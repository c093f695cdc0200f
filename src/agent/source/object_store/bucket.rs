//! Who is asked for a listing, and what lets in to an object: the crate's client of the store that a source names.

use super::super::super::failure::Failure;
use super::super::super::fetch::Secret;
use super::super::Origins;
use super::super::access::Access;
use super::connect::Connector;
use super::key::encode;
use super::permit::Entry;
use super::sas::AccountKey;
use crate::api::Reason;
use crate::api::object_store::{Azure, Gcs, S3};
use crate::api::source::{ObjectStore, Store};
use object_store::aws::AmazonS3Builder;
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::multipart::MultipartStore;
use object_store::{BackoffConfig, RetryConfig};
use std::sync::Arc;
use url::Url;

/// A bucket and how to get in.
#[derive(Debug)]
pub(super) struct Bucket {
    /// Lists.
    pub(super) client: Arc<dyn object_store::ObjectStore>,
    /// Takes large objects in parts.
    pub(super) parts: Parts,
    /// Lets in to one object.
    pub(super) entry: Entry,
    /// The bucket's own address, with a slash at its end: an object's is this and its key.
    pub(super) base: Url,
    /// Makes the crate's requests, and knows what was refused.
    pub(super) connector: Connector,
}

/// A client of objects in parts.
pub(super) struct Parts(pub(super) Arc<dyn MultipartStore>);

impl std::fmt::Debug for Parts {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Parts")
    }
}

impl Bucket {
    /// The client of the store that a source names. Nobody is asked yet.
    ///
    /// # Errors
    /// `InvalidSpec` when the pod's own bearer token would go to an endpoint that the spec names: the API server refuses such a
    /// spec, and without a cluster a YAML from elsewhere must not get at a token either.
    pub(super) fn new(origins: &Origins, spec: &ObjectStore, access: &Access) -> Result<Self, Failure> {
        let internal = |error: String| Failure::new(Reason::InternalError, error);
        let (proxied, direct) = origins.client.for_a_crate().map_err(|error| internal(error.to_string()))?;
        let connector = Connector::new(proxied, direct, origins.options.clone());
        let retry = RetryConfig {
            backoff: BackoffConfig {
                init_backoff: origins.options.backoff_start,
                max_backoff: origins.options.backoff_cap,
                base: 2.,
            },
            max_retries: usize::MAX,
            retry_timeout: origins.options.give_up_after,
        };
        match spec.store() {
            Some(Store::S3(s3)) => of_s3(s3, access, connector, retry),
            Some(Store::Gcs(gcs)) => of_gcs(gcs, access, connector, retry),
            Some(Store::Azure(azure)) => of_azure(azure, access, connector, retry),
            None => Err(Failure::new(Reason::InvalidSpec, "exactly one of `s3`, `gcs` and `azure` must be set")),
        }
    }

    /// An object's address, without anything that lets in.
    pub(super) fn address(&self, key: &str) -> Result<Url, Failure> {
        // Joined as text: a key with a colon in its first part would pass for an address of its own.
        Url::parse(&format!("{}{}", self.base, encode(key)))
            .map_err(|error| Failure::new(Reason::InternalError, format!("{key:?} makes no URL: {error}")))
    }
}

fn of_s3(s3: &S3, access: &Access, connector: Connector, retry: RetryConfig) -> Result<Bucket, Failure> {
    let named = !s3.secrets().is_empty();
    // What the environment says of identity counts where the spec says nothing.
    let mut builder = if named || s3.is_anonymous() { AmazonS3Builder::new() } else { AmazonS3Builder::from_env() };
    let environment = std::env::var("AWS_REGION").or_else(|_| std::env::var("AWS_DEFAULT_REGION")).ok();
    let region = s3.region.clone().or(environment).unwrap_or_else(|| "us-east-1".to_owned());
    let path_style = s3.effective_path_style();
    let host = match s3.effective_endpoint() {
        Some(endpoint) => endpoint.to_owned(),
        None => format!("https://s3.{region}.amazonaws.com"),
    };
    let endpoint = if path_style { host } else { with_bucket_in_host(&host, &s3.bucket)? };
    let base = if path_style { format!("{endpoint}/{}/", s3.bucket) } else { format!("{endpoint}/") };
    builder = builder
        .with_bucket_name(&s3.bucket)
        .with_region(region)
        .with_endpoint(endpoint)
        .with_virtual_hosted_style_request(!path_style)
        .with_allow_http(true)
        .with_skip_signature(s3.is_anonymous())
        .with_retry(retry)
        .with_http_connector(connector.clone());
    if let Some(secret) = access.others.get(S3::ACCESS_KEY_ID) {
        builder = builder.with_access_key_id(secret.reveal());
    }
    if let Some(secret) = access.others.get(S3::SECRET_ACCESS_KEY) {
        builder = builder.with_secret_access_key(secret.reveal());
    }
    if let Some(secret) = access.others.get(S3::SESSION_TOKEN) {
        builder = builder.with_token(secret.reveal());
    }
    let client = Arc::new(builder.build().map_err(|error| unusable(&error, "the S3 keys"))?);
    let entry = if s3.is_anonymous() { Entry::Open } else { Entry::Signed(Arc::clone(&client) as _) };
    let parts = Parts(Arc::clone(&client) as _);
    Ok(Bucket { client, parts, entry, base: parsed(&base)?, connector })
}

fn of_gcs(gcs: &Gcs, access: &Access, connector: Connector, retry: RetryConfig) -> Result<Bucket, Failure> {
    if gcs.endpoint.is_some() && gcs.secrets().is_empty() && !gcs.is_anonymous() {
        return Err(Failure::new(
            Reason::InvalidSpec,
            "`endpoint` must come with `credentialsSecretRef` or `anonymous`",
        ));
    }
    let endpoint = gcs.effective_endpoint();
    let key = access.others.get(Gcs::CREDENTIALS).map(Secret::reveal);
    let mut builder = if key.is_some() || gcs.is_anonymous() {
        GoogleCloudStorageBuilder::new()
    } else {
        GoogleCloudStorageBuilder::from_env()
    };
    builder = builder
        .with_bucket_name(&gcs.bucket)
        .with_base_url(endpoint)
        .with_skip_signature(gcs.is_anonymous())
        .with_retry(retry)
        .with_http_connector(connector.clone());
    if let Some(key) = key {
        builder = builder.with_service_account_key(key);
    }
    let client = Arc::new(builder.build().map_err(|error| unusable(&error, "the key of a Google service account"))?);
    let entry = if gcs.is_anonymous() { Entry::Open } else { Entry::Bearer(Arc::clone(client.credentials())) };
    let base = parsed(&format!("{endpoint}/{}/", gcs.bucket))?;
    let parts = Parts(Arc::clone(&client) as _);
    Ok(Bucket { client, parts, entry, base, connector })
}

fn of_azure(azure: &Azure, access: &Access, connector: Connector, retry: RetryConfig) -> Result<Bucket, Failure> {
    let endpoint = azure.effective_endpoint();
    let named = !azure.secrets().is_empty();
    if azure.endpoint.is_some() && !named && !azure.is_anonymous() {
        let message = "`endpoint` must come with `accountKeySecretRef`, `sasTokenSecretRef` or `anonymous`";
        return Err(Failure::new(Reason::InvalidSpec, message));
    }
    let mut builder =
        if named || azure.is_anonymous() { MicrosoftAzureBuilder::new() } else { MicrosoftAzureBuilder::from_env() };
    builder = builder
        .with_account(&azure.account)
        .with_container_name(&azure.container)
        .with_endpoint(endpoint.clone())
        .with_allow_http(true)
        .with_skip_signature(azure.is_anonymous())
        .with_retry(retry)
        .with_http_connector(connector.clone());
    // The webhook of AKS sets it with a slash at its end, and the crate would put another after it.
    if let Some(host) = std::env::var("AZURE_AUTHORITY_HOST").ok().filter(|host| !host.is_empty()) {
        builder = builder.with_config(AzureConfigKey::AuthorityHost, host.trim_end_matches('/'));
    }
    let (mut pairs, mut account_key) = (None, None);
    if let Some(key) = access.others.get(Azure::ACCOUNT_KEY) {
        builder = builder.with_access_key(key.reveal());
        account_key = AccountKey::new(&azure.account, &azure.container, key);
    }
    if let Some(token) = access.others.get(Azure::SAS_TOKEN) {
        // As the portal and the tools print it: percent-encoded, perhaps with the question mark.
        let read: Vec<(String, String)> =
            url::form_urlencoded::parse(token.reveal().trim_start_matches('?').as_bytes()).into_owned().collect();
        builder = builder.with_sas_authorization(read.clone());
        pairs = Some(read);
    }
    let client = Arc::new(builder.build().map_err(|error| unusable(&error, "the Azure credentials"))?);
    let entry = match pairs {
        Some(pairs) => Entry::Query(pairs.into()),
        None if azure.is_anonymous() => Entry::Open,
        None => match account_key {
            Some(key) => Entry::Keyed(Arc::new(key)),
            None => Entry::Delegated(Arc::clone(&client) as _),
        },
    };
    let parts = Parts(Arc::clone(&client) as _);
    Ok(Bucket { client, parts, entry, base: parsed(&format!("{endpoint}/{}/", azure.container))?, connector })
}

fn with_bucket_in_host(endpoint: &str, bucket: &str) -> Result<String, Failure> {
    let (scheme, host) = endpoint
        .split_once("://")
        .ok_or_else(|| Failure::new(Reason::InvalidSpec, "`endpoint` must be an http or https URL"))?;
    Ok(format!("{scheme}://{bucket}.{host}"))
}

fn parsed(base: &str) -> Result<Url, Failure> {
    Url::parse(base)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.username().is_empty())
        .ok_or_else(|| {
            Failure::new(Reason::InvalidSpec, "`endpoint` must be an http or https URL without user name and password")
        })
}

/// A client that cannot be made. The crate's own words may hold what it was given.
fn unusable(error: &object_store::Error, what: &str) -> Failure {
    tracing::debug!(kind = ?std::mem::discriminant(error), "no client");
    Failure::new(Reason::Unauthorized, format!("{what} cannot be read: give what the store's own tools take"))
}
