//! How do listings and identities travel? Over our own connections: our trust, our proxies, our limits. What was refused is
//! kept, as answers' bodies say why and the crate's errors show whole addresses, which may be signed.

use super::super::super::fetch::FetchOptions;
use super::key::{between, without_directories};
use async_trait::async_trait;
use http_body_util::{BodyExt as _, Limited};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};
use std::sync::{Arc, Mutex, PoisonError};

/// Largest answer that is read, in bytes. A page has at most 5,000 entries of at most 3 KB.
const ANSWER_LIMIT: usize = 32 << 20;

/// What went wrong last, in the words of who answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// A status that is no success.
    Refused(Refusal),
    /// An answer to a listing that is none.
    NoListing,
    /// An object's name that begins with a slash.
    BadName(String),
    /// There is nobody to ask for an identity: this is no cloud's machine, or its metadata are kept from pods.
    NoIdentity,
    /// No answer.
    Unreachable(String),
}

/// What a refusal says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Host, and port if it is not the scheme's own.
    pub(super) host: String,
    pub(super) status: u16,
    /// The protocol's own code, such as `NoSuchBucket`.
    pub(super) code: Option<String>,
    /// The region that the bucket is in.
    pub(super) region: Option<String>,
}

/// Makes the crate's requests. Clones share what was seen.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    through_proxies: reqwest::Client,
    direct: reqwest::Client,
    options: FetchOptions,
    seen: Arc<Mutex<Option<Seen>>>,
}

impl Connector {
    pub(super) fn new(through_proxies: reqwest::Client, direct: reqwest::Client, options: FetchOptions) -> Self {
        Self { through_proxies, direct, options, seen: Arc::default() }
    }

    /// What went wrong last.
    pub(super) fn seen(&self) -> Option<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, seen: Option<Seen>) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = seen;
    }

    /// Ends a request with something that no repetition mends.
    fn end(&self, seen: Seen) -> HttpError {
        self.note(Some(seen));
        HttpError::new(HttpErrorKind::Unknown, std::io::Error::other("see what was noted"))
    }
}

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Connector {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let host = request.uri().authority().map(ToString::to_string).unwrap_or_default();
        let is_batch = request.uri().query().is_some_and(|it| it.contains("comp=batch"));
        let is_listing = request.uri().query().is_some_and(|it| it.contains("list-type=2") || it.contains("comp=list"));
        let of_the_machine = is_metadata(request.uri().host().unwrap_or_default());
        let client = if of_the_machine { &self.direct } else { &self.through_proxies };
        let answer = match tokio::time::timeout(self.options.stall_after, client.call(request)).await {
            Ok(Ok(answer)) => answer,
            _ if of_the_machine => return Err(self.end(Seen::NoIdentity)),
            Ok(Err(error)) => {
                self.note(Some(Seen::Unreachable(in_words(&error))));
                return Err(error);
            }
            Err(elapsed) => {
                self.note(Some(Seen::Unreachable("no answer in time".into())));
                return Err(HttpError::new(HttpErrorKind::Timeout, elapsed));
            }
        };
        let (parts, body) = answer.into_parts();
        let read = tokio::time::timeout(self.options.give_up_after, Limited::new(body, ANSWER_LIMIT).collect()).await;
        let Ok(Ok(body)) = read else {
            self.note(Some(Seen::Unreachable("the answer ended early, or has no end".into())));
            return Err(HttpError::new(HttpErrorKind::Interrupted, std::io::Error::other("incomplete answer")));
        };
        let mut body = body.to_bytes();
        if !parts.status.is_success() {
            let text = String::from_utf8_lossy(body.get(..body.len().min(64 << 10)).unwrap_or_default()).into_owned();
            let header = |name: &str| parts.headers.get(name).and_then(|it| it.to_str().ok());
            // Azure says its code in a header, too: an answer to `HEAD` has no body.
            let (code, region) = (header("x-ms-error-code"), header("x-amz-bucket-region"));
            let refused = Seen::Refused(refusal(host, parts.status.as_u16(), &text, code, region));
            // A full store does not empty itself: the crate would ask for minutes.
            if parts.status.as_u16() == 507 {
                return Err(self.end(refused));
            }
            self.note(Some(refused));
        } else if is_listing {
            let text = std::str::from_utf8(&body).ok().filter(|it| is_a_listing(it));
            let text = text.ok_or_else(|| self.end(Seen::NoListing))?;
            body = without_directories(text).map_err(|name| self.end(Seen::BadName(name)))?.into();
            self.note(None);
        } else {
            // What went wrong before has been mended; but of many in one request some may be refused.
            self.note(refused_part(&host, &body).filter(|_| is_batch).map(Seen::Refused));
        }
        Ok(HttpResponse::from_parts(parts, body.into()))
    }
}

/// Whether a host is where a cloud's machine asks who it is: never behind a proxy.
fn is_metadata(host: &str) -> bool {
    host.starts_with("169.254.")
        || host.trim_matches(['[', ']']).starts_with("fd00:ec2:")
        || matches!(host, "metadata" | "metadata.google.internal")
}

fn is_a_listing(text: &str) -> bool {
    let head = text.get(..text.len().min(1024)).unwrap_or(text);
    head.contains("<ListBucketResult") || head.contains("<EnumerationResults")
}

/// Reads what a refusal says of itself: XML of the stores, JSON of those who give out tokens.
fn refusal(host: String, status: u16, text: &str, code: Option<&str>, region: Option<&str>) -> Refusal {
    let json: Option<serde_json::Value> = serde_json::from_str(text).ok();
    let of_json = json.as_ref().and_then(|it| it["error"].as_str());
    let word = |it: &str| it.chars().take(64).filter(char::is_ascii_graphic).collect::<String>();
    Refusal {
        host,
        status,
        code: between(text, "<Code>", "</Code>").or(of_json).or(code).map(word),
        region: region.or_else(|| between(text, "<Region>", "</Region>")).map(word),
    }
}

/// The first refusal in the answer to a batch, in which each part is an answer of its own. What is gone already is not refused.
fn refused_part(host: &str, body: &[u8]) -> Option<Refusal> {
    let text = String::from_utf8_lossy(body);
    text.split("HTTP/1.1 ").skip(1).find_map(|part| {
        let status: u16 = part.get(..3)?.parse().ok()?;
        let fields = part.lines().filter_map(|line| line.split_once(':'));
        let code = fields.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("x-ms-error-code"));
        let refused = || refusal(host.to_owned(), status, part, code.map(|(_, value)| value.trim()), None);
        (status >= 300 && status != 404).then(refused)
    })
}

/// An error with its causes in one line; the crate has taken the address out.
fn in_words(error: &HttpError) -> String {
    let mut words = error.to_string();
    let mut source = std::error::Error::source(error).and_then(std::error::Error::source);
    while let Some(cause) = source {
        words.push_str(": ");
        words.push_str(&cause.to_string());
        source = cause.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_known_by_its_code_whoever_gives_it() {
        let xml = "<?xml version=\"1.0\"?><Error><Code>NoSuchBucket</Code><Key>secret</Key></Error>";
        let read = refusal("s3".into(), 404, xml, None, None);
        assert_eq!((read.code.as_deref(), read.region), (Some("NoSuchBucket"), None));
        let read = refusal("oauth2".into(), 400, r#"{"error": "invalid_grant", "error_description": "x"}"#, None, None);
        assert_eq!(read.code.as_deref(), Some("invalid_grant"));
        let moved = "<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region></Error>";
        assert_eq!(refusal("s3".into(), 400, moved, None, None).region.as_deref(), Some("eu-west-1"));
        assert_eq!(refusal("s3".into(), 301, "", None, Some("eu-west-1")).region.as_deref(), Some("eu-west-1"));
        assert_eq!(refusal("s3".into(), 502, "<html>", None, None).code, None);
        let in_a_header = refusal("blob".into(), 404, "", Some("ContainerNotFound"), None);
        assert_eq!(in_a_header.code.as_deref(), Some("ContainerNotFound"));
    }

    #[test]
    fn one_refusal_among_the_answers_of_a_batch_is_seen() {
        let part = |status: &str, code: &str| {
            format!("--b\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 {status}\r\nX-Ms-Error-Code: {code}\r\n\r\n")
        };
        let fine = part("202 Accepted", "") + &part("404 The specified blob does not exist.", "BlobNotFound");
        assert_eq!(refused_part("blob", fine.as_bytes()), None);
        let refused = fine + &part("403 No", "AuthorizationPermissionMismatch");
        let refused = refused_part("blob", refused.as_bytes()).unwrap();
        assert_eq!((refused.status, refused.code.as_deref()), (403, Some("AuthorizationPermissionMismatch")));
    }

    #[test]
    fn a_machines_own_metadata_are_asked_without_a_proxy() {
        for (host, expected) in [
            ("169.254.169.254", true),
            ("169.254.170.23", true),
            ("metadata.google.internal", true),
            ("[fd00:ec2::23]", true),
            ("s3.eu-west-1.amazonaws.com", false),
            ("metadata.s3.amazonaws.com", false),
        ] {
            assert_eq!(is_metadata(host), expected, "{host}");
        }
    }
}
