//! What an HTTP answer means: go on, wait, start again, or give up.

use std::time::{Duration, SystemTime};

use http::{
    StatusCode,
    header::{CONTENT_RANGE, ETAG, HeaderMap, WWW_AUTHENTICATE},
};
use url::Url;

use super::{
    error::{FetchError, host_of, shown},
    pause::asked,
};

/// Why a request did not bring what was asked.
#[derive(Debug)]
pub(super) enum Trouble {
    /// No retry will help.
    Terminal(FetchError),
    /// Worth another try, after a while.
    Transient(Fault),
    /// The address that a redirect led to lets nobody in any more: ask the origin for another. When fresh ones do no
    /// better, the error is the last word.
    Expired(Fault, Box<FetchError>),
    /// What is here does not fit what the origin has now: drop it and start the content again.
    Restart(String),
    /// This run's work on the content was dropped meanwhile; nothing is wrong with it.
    Stale,
}

/// One transient fault.
#[derive(Debug)]
pub(super) struct Fault {
    /// Who.
    pub(super) host: String,
    /// What, without secrets.
    pub(super) cause: String,
    /// The host limits our rate.
    pub(super) limited: bool,
    /// For how long it wants to be left alone.
    pub(super) wait: Option<Duration>,
}

impl Fault {
    pub(super) fn new(url: &Url, cause: impl Into<String>) -> Self {
        Self { host: host_of(url), cause: cause.into(), limited: false, wait: None }
    }
}

/// Whom an answer is from and for.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) label: &'a str,
    pub(super) url: &'a Url,
    pub(super) with_token: bool,
    /// The address came from a redirect, so a refusal means that it expired.
    pub(super) redirected: bool,
}

/// Judges a status that is neither success nor redirect. The body is never looked at: it may be anything.
pub(super) fn refusal(asked_for: Asked<'_>, status: StatusCode, headers: &HeaderMap) -> Trouble {
    let Asked { label, url, with_token, redirected } = asked_for;
    let code = header(headers, "x-error-code");
    let (label, at) = (label.to_owned(), shown(url));
    let detail = match header(headers, "x-error-message").or(code) {
        Some(message) => format!(" ({})", message.chars().filter(|c| !c.is_control()).take(200).collect::<String>()),
        None => String::new(),
    };
    let missing =
        |detail: String| Trouble::Terminal(FetchError::NotFound { label: label.clone(), url: at.clone(), detail });
    match (status.as_u16(), code) {
        (_, Some("GatedRepo")) => Trouble::Terminal(FetchError::Gated { label, url: at, with_token }),
        // The hub answers so for a repository that is private, too, and 401 to those without a token.
        (_, Some("RepoNotFound")) => {
            let hint = if with_token { "or the token may not see it" } else { "or it is private and needs a token" };
            missing(format!(": no such repository, {hint}"))
        }
        (_, Some("RevisionNotFound")) => missing(": no such revision".into()),
        (_, Some("EntryNotFound")) => missing(": no such file in this revision".into()),
        (code @ (401 | 403 | 404 | 410), _) => {
            let fault = Fault::new(url, format!("{at} answered {status}"));
            let error = match code {
                404 | 410 => FetchError::NotFound { label, url: at, detail },
                status => {
                    let asked = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|it| it.to_str().ok());
                    let challenge = asked.map(str::to_owned).reduce(|all, next| format!("{all}, {next}"));
                    FetchError::Unauthorized { label, url: at, status, detail, with_token, challenge }
                }
            };
            if redirected { Trouble::Expired(fault, error.into()) } else { Trouble::Terminal(error) }
        }
        (429, _) => limited(url, status, asked(headers, SystemTime::now())),
        (408 | 425 | 500..=599, _) => match asked(headers, SystemTime::now()) {
            Some(wait) => limited(url, status, Some(wait)),
            None => Trouble::Transient(Fault::new(url, format!("{status}{detail}"))),
        },
        _ => Trouble::Terminal(FetchError::Refused { label, cause: format!("{at} answered {status}{detail}") }),
    }
}

fn limited(url: &Url, status: StatusCode, wait: Option<Duration>) -> Trouble {
    let cause = match wait {
        Some(wait) => format!("{status}, asks to wait {} s", wait.as_secs()),
        None => status.to_string(),
    };
    Trouble::Transient(Fault { host: host_of(url), cause, limited: true, wait })
}

/// A header as text.
pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// `Content-Range: bytes 0-9/100` as (first byte, one past the last, total). A total of `*` is `None`.
pub(super) fn content_range(headers: &HeaderMap) -> Option<(u64, u64, Option<u64>)> {
    let (range, total) = header(headers, CONTENT_RANGE.as_str())?.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let total = if total == "*" { None } else { Some(total.parse().ok()?) };
    let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    let end = last.checked_add(1)?;
    (first <= last && total.is_none_or(|total| last < total)).then_some((first, end, total))
}

/// `Content-Range: bytes */100` of a 416: the whole size.
pub(super) fn unsatisfied_size(headers: &HeaderMap) -> Option<u64> {
    header(headers, CONTENT_RANGE.as_str())?.trim().strip_prefix("bytes */")?.parse().ok()
}

/// The entity tag without weakness mark and quotes, as listings write it.
pub(super) fn etag(headers: &HeaderMap) -> Option<&str> {
    header(headers, ETAG.as_str()).map(plain_etag)
}

/// Removes weakness mark and quotes from an entity tag.
pub(super) fn plain_etag(tag: &str) -> &str {
    let tag = tag.trim();
    tag.strip_prefix("W/").unwrap_or(tag).trim_matches('"')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::fetch::error::Reason;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn judged(status: u16, pairs: &[(&'static str, &'static str)], redirected: bool) -> String {
        let url = Url::parse("https://hub/a/b?sig=secret").unwrap();
        let asked = Asked { label: "b", url: &url, with_token: true, redirected };
        match refusal(asked, StatusCode::from_u16(status).unwrap(), &headers(pairs)) {
            Trouble::Terminal(error) => {
                assert!(!error.to_string().contains("secret"), "{error}");
                format!("{:?}", error.reason())
            }
            Trouble::Transient(fault) if fault.limited => "limited".into(),
            Trouble::Transient(_) => "transient".into(),
            Trouble::Expired(..) => "expired".into(),
            Trouble::Restart(_) | Trouble::Stale => "restart".into(),
        }
    }

    #[test]
    fn each_refusal_has_the_reason_that_people_can_act_on() {
        let reason = |reason: Reason| format!("{reason:?}");
        assert_eq!(judged(401, &[], false), reason(Reason::Unauthorized));
        assert_eq!(judged(403, &[], false), reason(Reason::Unauthorized));
        assert_eq!(judged(403, &[("x-error-code", "GatedRepo")], false), reason(Reason::Gated));
        assert_eq!(judged(401, &[("x-error-code", "RepoNotFound")], false), reason(Reason::NotFound));
        assert_eq!(judged(404, &[("x-error-code", "RevisionNotFound")], false), reason(Reason::NotFound));
        assert_eq!(judged(404, &[], false), reason(Reason::NotFound));
        assert_eq!(judged(418, &[], false), reason(Reason::Unreachable));
        assert_eq!(judged(403, &[], true), "expired");
        assert_eq!(judged(429, &[], false), "limited");
        assert_eq!(judged(503, &[("retry-after", "3")], false), "limited");
        assert_eq!(judged(502, &[], false), "transient");
    }

    #[test]
    fn a_content_range_that_contradicts_itself_is_none() {
        let range = |value| content_range(&headers(&[("content-range", value)]));
        assert_eq!(range("bytes 0-9/100"), Some((0, 10, Some(100))));
        assert_eq!(range("bytes 0-9/*"), Some((0, 10, None)));
        for wrong in ["bytes 9-0/100", "bytes 0-100/100", "0-9/100", "bytes */100", "bytes 0-18446744073709551615/*"] {
            assert_eq!(range(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn entity_tags_compare_without_their_dress() {
        assert_eq!(plain_etag("W/\"abc\""), "abc");
        assert_eq!(plain_etag("abc"), "abc");
    }
}
