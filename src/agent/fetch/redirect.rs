//! Sending one request to where it leads in the end, without showing the token to anybody on the way.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::header::{ACCEPT_ENCODING, AUTHORIZATION, HeaderMap, HeaderValue, LOCATION};
use url::Url;

use super::{
    answer::{Asked, Fault, Trouble, header, plain_etag, refusal},
    content::{Authorized, Authorizer, Origin, Secret},
    error::{FetchError, host_of, shown},
    hosts::{Hosts, Slot},
    http::{Answer, Http, HttpError},
    pause::{Quota, asked as asked_to_wait},
};

const MAX_REDIRECTS: usize = 10;

/// An address that is known to lead to the content, and what may be shown there.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) url: Url,
    token: Option<Secret>,
    /// The origin has a token, so that plain http is out of the question from here on.
    guarded: bool,
    /// The address came from a redirect: it may expire.
    pub(super) redirected: bool,
    /// What the hub says the content's tag is, beside its redirect (`X-Linked-Etag`).
    pub(super) linked_etag: Option<String>,
    /// Asked for the way in, before the first request.
    authorizer: Option<Arc<dyn Authorizer>>,
}

impl Target {
    /// The origin itself.
    pub(super) fn origin(origin: &Origin) -> Self {
        Self {
            url: origin.url.clone(),
            token: origin.token.clone(),
            guarded: origin.token.is_some(),
            redirected: false,
            linked_etag: None,
            authorizer: origin.authorizer.clone(),
        }
    }

    /// The way in, if somebody has to be asked for it. As a redirect's, it may expire.
    async fn authorized(self, label: &str) -> Result<Self, FetchError> {
        let Some(authorizer) = self.authorizer else { return Ok(self) };
        let Authorized { url, token } = authorizer.authorize(label, &self.url).await?;
        // A signed address is as good as a token.
        Ok(Self { url, token, guarded: true, redirected: true, linked_etag: self.linked_etag, authorizer: None })
    }

    /// Where a redirect leads. The token is dropped for good when scheme, host or port changes.
    fn follow(&self, location: &str, label: &str) -> Result<Self, FetchError> {
        let refused = |cause: String| FetchError::Refused { label: label.to_owned(), cause };
        let url = self.url.join(location).map_err(|_| refused(format!("{} redirects to no URL", shown(&self.url))))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(refused(format!("{} redirects to {}, which is not http", shown(&self.url), url.scheme())));
        }
        if self.guarded && self.url.scheme() == "https" && url.scheme() == "http" {
            let cause = format!(
                "{} redirects to plain http at {}, refused for the token's sake",
                shown(&self.url),
                host_of(&url)
            );
            return Err(refused(cause));
        }
        let home = url.origin() == self.url.origin();
        let token = self.token.clone().filter(|_| home);
        let linked_etag = self.linked_etag.clone();
        Ok(Self { url, token, guarded: self.guarded, redirected: true, linked_etag, authorizer: None })
    }
}

/// How requests are sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way<'a> {
    pub(super) http: &'a Http,
    pub(super) hosts: &'a Hosts,
    /// Requests that a host is asked at a time.
    pub(super) most: usize,
    /// How long the header of an answer may take.
    pub(super) patience: Duration,
}

/// A successful answer.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) answer: Answer,
    /// The address that gave it.
    pub(super) target: Target,
    /// Held while the answer is read: a host is asked only so much at a time.
    pub(super) slot: Slot,
}

/// Sends a GET and follows its redirects to a successful answer.
///
/// Waits while a host has asked for it, or has enough to do.
pub(super) async fn send(way: Way<'_>, label: &str, start: &Target, headers: &HeaderMap) -> Result<Answered, Trouble> {
    let mut target = start.clone().authorized(label).await.map_err(Trouble::Terminal)?;
    for _ in 0..=MAX_REDIRECTS {
        let mut slot = way.hosts.enter(&host_of(&target.url), way.most).await;
        // Compressed bytes have other offsets and other hashes.
        let mut fields = headers.clone();
        fields.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if let Some(token) = &target.token {
            fields.insert(AUTHORIZATION, authorization(token, label)?);
        }
        let answer = match tokio::time::timeout(way.patience, way.http.get(&target.url, fields)).await {
            Err(_) => return Err(Trouble::Transient(Fault::new(&target.url, "no answer in time"))),
            Ok(Err(error)) if is_untrusted(&error) => {
                let cause = format!(
                    "{} shows a certificate that is not trusted ({}): name its authority in \
                     `podTemplate.caBundleConfigMap`, or with --ca-bundle",
                    host_of(&target.url),
                    in_words(&error)
                );
                return Err(Trouble::Terminal(FetchError::Refused { label: label.to_owned(), cause }));
            }
            Ok(Err(error)) => return Err(Trouble::Transient(Fault::new(&target.url, in_words(&error)))),
            Ok(Ok(answer)) => answer,
        };
        let status = answer.status();
        if status.is_success() || status.is_redirection() || status.as_u16() == 416 {
            let wait = asked_to_wait(answer.headers(), SystemTime::now());
            slot.answered(way.most, Quota::of(answer.headers()), wait);
        }
        if matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
            && let Some(location) = header(answer.headers(), LOCATION.as_str())
        {
            let mut next = target.follow(location, label).map_err(Trouble::Terminal)?;
            if let Some(tag) = header(answer.headers(), "x-linked-etag") {
                next.linked_etag = Some(plain_etag(tag).to_owned());
            }
            target = next;
            continue;
        }
        if status.is_success() || status.as_u16() == 416 {
            return Ok(Answered { answer, target, slot });
        }
        let asked = Asked { label, url: &target.url, with_token: target.guarded, redirected: target.redirected };
        let trouble = refusal(asked, status, answer.headers());
        if let Trouble::Transient(Fault { limited: true, wait, .. }) = &trouble {
            slot.limited(*wait);
        } else if status.as_u16() == 503 {
            slot.overloaded();
        }
        return Err(trouble);
    }
    let cause = format!("{} redirects more than {MAX_REDIRECTS} times", shown(&start.url));
    Err(Trouble::Terminal(FetchError::Refused { label: label.to_owned(), cause }))
}

fn authorization(token: &Secret, label: &str) -> Result<HeaderValue, Trouble> {
    let mut value = HeaderValue::from_str(&token.authorization()).map_err(|_| {
        let cause = "the token holds characters that no header can carry".to_owned();
        Trouble::Terminal(FetchError::Refused { label: label.to_owned(), cause })
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// Whether the other side's certificate is the trouble: no patience mends that.
fn is_untrusted(error: &(dyn std::error::Error + 'static)) -> bool {
    if matches!(error.downcast_ref(), Some(rustls::Error::InvalidCertificate(_))) {
        return true;
    }
    // What a system error wraps is not its source.
    let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    wrapped.is_some_and(|it| is_untrusted(it)) || error.source().is_some_and(is_untrusted)
}

/// An error with its causes in one line.
pub(super) fn in_words(error: &HttpError) -> String {
    let mut words = error.to_string();
    let mut source = std::error::Error::source(error);
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

    fn target(url: &str) -> Target {
        let origin =
            Origin { url: Url::parse(url).unwrap(), token: Some(Secret::new("t")), validator: None, authorizer: None };
        Target::origin(&origin)
    }

    #[test]
    fn the_token_stays_with_its_scheme_host_and_port() {
        let home = target("https://hub/a");
        assert!(home.follow("/b", "x").unwrap().token.is_some());
        assert!(home.follow("https://hub:443/b", "x").unwrap().token.is_some());
        for elsewhere in ["https://hub:8443/b", "https://cdn.hub/b", "//other/b"] {
            let away = home.follow(elsewhere, "x").unwrap();
            assert!(away.token.is_none(), "{elsewhere}");
            assert!(away.follow("https://hub/a", "x").unwrap().token.is_none(), "it does not come back");
        }
    }

    #[test]
    fn a_token_holder_is_not_led_to_plain_http() {
        assert!(target("https://hub/a").follow("http://cdn/b", "x").is_err());
        let away = target("https://hub/a").follow("https://cdn/b", "x").unwrap();
        assert!(away.follow("http://cdn/b", "x").is_err(), "not by a detour either");
        assert!(target("https://hub/a").follow("file:///etc/passwd", "x").is_err());
    }
}
