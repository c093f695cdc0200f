//! What does a store's refusal mean, and what is to be changed? In our words: a store's own may hold keys and signatures.

use super::super::super::failure::Failure;
use super::bucket::Bucket;
use super::connect::{Refusal, Seen};
use crate::api::Reason;
use crate::api::source::{ObjectStore, Store};

/// What a store is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// What a source has.
    Read,
    /// To keep a backup.
    Write,
}

/// What a request that failed is told as.
pub(super) fn failure(spec: &ObjectStore, bucket: &Bucket, error: &object_store::Error, purpose: Purpose) -> Failure {
    let name = name(spec, bucket);
    if let object_store::Error::InvalidPath { source } = error {
        return lies(&name, &source.to_string());
    }
    match bucket.connector.seen() {
        Some(Seen::Refused(refusal)) => judged(spec, &name, &host(bucket), &refusal, purpose),
        Some(Seen::NoListing) => Failure::new(
            Reason::Unreachable,
            format!(
                "{name} does not answer as an object store does: `endpoint` must be the base URL of the store's API, not of its console"
            ),
        ),
        Some(Seen::BadName(object)) => lies(&name, &format!("{object:?}, which is absolute")),
        Some(Seen::NoIdentity) => Failure::new(Reason::Unauthorized, no_identity(spec)),
        Some(Seen::Unreachable(cause)) => {
            Failure::new(Reason::Unreachable, format!("{name} cannot be reached: {cause}"))
        }
        // Nothing was asked: the identity could not even be read.
        None => Failure::new(Reason::Unauthorized, format!("{name} cannot be asked: {}", kept(spec, purpose))),
    }
}

/// The bucket, as messages call it.
pub(super) fn name(spec: &ObjectStore, bucket: &Bucket) -> String {
    let kind = if matches!(spec.store(), Some(Store::Azure(_))) { "container" } else { "bucket" };
    format!("{kind} `{}` at {}", spec.store().map(Store::bucket).unwrap_or_default(), host(bucket))
}

/// Host of the bucket, and port if it is not the scheme's own.
fn host(bucket: &Bucket) -> String {
    let host = bucket.base.host_str().unwrap_or_default();
    bucket.base.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn lies(name: &str, what: &str) -> Failure {
    let message =
        format!("{name} has an object whose name cannot be a path on a volume ({what}); nothing was taken from it");
    Failure::new(Reason::ListingMismatch, message)
}

/// Codes: <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>,
/// <https://docs.cloud.google.com/storage/docs/xml-api/reference-status>,
/// <https://learn.microsoft.com/en-us/rest/api/storageservices/blob-service-error-codes>.
fn judged(spec: &ObjectStore, name: &str, host: &str, refusal: &Refusal, purpose: Purpose) -> Failure {
    let code = refusal.code.as_deref().unwrap_or_default();
    let said = if code.is_empty() { refusal.status.to_string() } else { format!("{} {code}", refusal.status) };
    if refusal.host != host {
        let message = format!("{} gives no identity for {name} ({said}): {}", refusal.host, kept(spec, purpose));
        let reason = if refusal.status >= 500 { Reason::Unreachable } else { Reason::Unauthorized };
        return Failure::new(reason, message);
    }
    let regional =
        matches!(code, "AuthorizationHeaderMalformed" | "PermanentRedirect" | "IllegalLocationConstraintException");
    let (reason, message) = match (refusal.status, code) {
        (301 | 302 | 307 | 308 | 400, _) if regional || refusal.status != 400 => {
            let hint = match &refusal.region {
                Some(region) => format!("set `region: {region}`"),
                None => "`region` must be the bucket's, and `endpoint` must lead to it without a redirect".to_owned(),
            };
            (Reason::InvalidSpec, format!("{name} is not where it was looked for ({said}): {hint}"))
        }
        (_, "SlowDown" | "ServerBusy" | "RequestLimitExceeded" | "TooManyRequests") | (429, _) => {
            let what =
                if purpose == Purpose::Read { "warm fewer nodes at a time" } else { "let fewer backups run at a time" };
            (Reason::RateLimited, format!("{name} asks for fewer requests ({said}): {what}"))
        }
        (_, "RequestTimeTooSkewed") => (
            Reason::Unauthorized,
            format!("{name} refuses the time of the request ({said}): set this node's clock right"),
        ),
        // Azure says so to everybody who shows no key, whatever is there.
        (404, "ResourceNotFound") | (_, "PublicAccessNotPermitted") if anonymous(spec) => {
            (Reason::Unauthorized, format!("{name} is not there for everybody ({said}): {}", kept(spec, purpose)))
        }
        (404, _) | (_, "NoSuchBucket" | "ContainerNotFound") => {
            (Reason::NotFound, format!("{name} does not exist ({said}): create it, or name another"))
        }
        (507, _) | (_, "XMinioStorageFull") => {
            (Reason::InsufficientSpace, format!("{name} is full ({said}): make room there, or name another"))
        }
        (401 | 403, _) | (_, "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "ExpiredToken" | "InvalidToken") => {
            let what = if purpose == Purpose::Read { "to be listed" } else { "to take or to give a backup" };
            (Reason::Unauthorized, format!("{name} refuses {what} ({said}): {}", kept(spec, purpose)))
        }
        _ => (
            Reason::Unreachable,
            format!(
                "{name} answers {said}: `endpoint` must be the base URL of the store's API, with the scheme it speaks"
            ),
        ),
    };
    Failure::new(reason, message)
}

/// Where the credentials are kept, and what they must be good for.
pub(super) fn kept(spec: &ObjectStore, purpose: Purpose) -> String {
    let write = purpose == Purpose::Write;
    let rights = match spec.store() {
        Some(Store::Gcs(_)) if write => "storage.objects.list, get, create and delete",
        Some(Store::Gcs(_)) => "storage.objects.list and storage.objects.get",
        Some(Store::Azure(_)) if write => "to read, to list, to write and to delete",
        Some(Store::Azure(_)) => "to read and to list",
        _ if write => "s3:ListBucket, s3:GetObject, s3:PutObject, s3:DeleteObject and s3:AbortMultipartUpload",
        _ => "s3:ListBucket and s3:GetObject",
    };
    let secrets = spec.secrets();
    let places: Vec<String> = secrets
        .iter()
        .map(|it| {
            format!("key `{}` of Secret `{}` (without a cluster {})", it.reference.key, it.reference.name, it.stand_in)
        })
        .collect();
    if anonymous(spec) {
        return "the bucket must be public, or `anonymous` must give way to credentials".to_owned();
    }
    match places.as_slice() {
        [] => format!(
            "no Secret is named, so the identity is that of `podTemplate.serviceAccountName`: it must have the rights {rights}"
        ),
        places => format!("the credentials come from {}: they must have the rights {rights}", places.join(" and ")),
    }
}

fn no_identity(spec: &ObjectStore) -> String {
    let secrets = match spec.store() {
        Some(Store::Gcs(_)) => "`credentialsSecretRef`",
        Some(Store::Azure(_)) => "`accountKeySecretRef` or `sasTokenSecretRef`",
        _ => "`accessKeyIdSecretRef` and `secretAccessKeySecretRef`",
    };
    format!(
        "there is no identity to show: name a Secret ({secrets}), give `podTemplate.serviceAccountName` a cloud identity, or set \
         `anonymous: true` for a public bucket"
    )
}

fn anonymous(spec: &ObjectStore) -> bool {
    match spec.store() {
        Some(Store::S3(it)) => it.is_anonymous(),
        Some(Store::Gcs(it)) => it.is_anonymous(),
        Some(Store::Azure(it)) => it.is_anonymous(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told(host: &str, status: u16, code: &str, region: Option<&str>) -> Failure {
        let spec: ObjectStore = serde_json::from_value(json!({"s3": {
            "bucket": "models", "accessKeyIdSecretRef": {"name": "minio", "key": "id"},
            "secretAccessKeySecretRef": {"name": "minio", "key": "secret"}
        }}))
        .unwrap();
        let code = Some(code.to_owned()).filter(|it| !it.is_empty());
        let refusal = Refusal { host: host.into(), status, code, region: region.map(str::to_owned) };
        judged(&spec, "bucket `models` at s3", "s3", &refusal, Purpose::Read)
    }

    #[test]
    fn each_refusal_has_the_reason_that_people_can_act_on() {
        for (status, code, region, reason, word) in [
            (404, "NoSuchBucket", None, Reason::NotFound, "does not exist"),
            (403, "AccessDenied", None, Reason::Unauthorized, "key `secret` of Secret `minio`"),
            (403, "InvalidAccessKeyId", None, Reason::Unauthorized, "key `id` of Secret `minio`"),
            (403, "SignatureDoesNotMatch", None, Reason::Unauthorized, "AWS_SECRET_ACCESS_KEY"),
            (400, "ExpiredToken", None, Reason::Unauthorized, "s3:GetObject"),
            (403, "RequestTimeTooSkewed", None, Reason::Unauthorized, "clock"),
            (503, "SlowDown", None, Reason::RateLimited, "fewer nodes"),
            (429, "", None, Reason::RateLimited, "fewer"),
            (301, "PermanentRedirect", Some("eu-west-1"), Reason::InvalidSpec, "`region: eu-west-1`"),
            (400, "AuthorizationHeaderMalformed", Some("eu-west-1"), Reason::InvalidSpec, "`region: eu-west-1`"),
            (400, "AuthorizationHeaderMalformed", None, Reason::InvalidSpec, "`region` must be"),
            (400, "", None, Reason::Unreachable, "`endpoint` must be"),
            (507, "XMinioStorageFull", None, Reason::InsufficientSpace, "make room"),
            (502, "", None, Reason::Unreachable, "`endpoint` must be"),
        ] {
            let failure = told("s3", status, code, region);
            assert_eq!(failure.reason, reason, "{failure}");
            assert!(failure.message.contains(word) && failure.message.contains(&status.to_string()), "{failure}");
        }
        assert_eq!(told("sts", 403, "AccessDenied", None).reason, Reason::Unauthorized);
        assert_eq!(told("sts", 500, "", None).reason, Reason::Unreachable);
    }

    #[test]
    fn a_container_that_is_hidden_from_everybody_is_not_called_missing() {
        let azure = json!({"azure": {"account": "studio", "container": "models", "anonymous": true}});
        let spec: ObjectStore = serde_json::from_value(azure).unwrap();
        for (status, code, reason) in [
            (404, "ResourceNotFound", Reason::Unauthorized),
            (409, "PublicAccessNotPermitted", Reason::Unauthorized),
            (404, "ContainerNotFound", Reason::NotFound),
        ] {
            let refusal = Refusal { host: "blob".into(), status, code: Some(code.into()), region: None };
            let failure = judged(&spec, "container `models`", "blob", &refusal, Purpose::Read);
            assert_eq!(failure.reason, reason, "{failure}");
            assert!(reason == Reason::NotFound || failure.message.contains("`anonymous`"), "{failure}");
        }
    }
}
