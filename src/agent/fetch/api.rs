//! Small calls to an origin's API, with the same manners as bulk bytes: same errors, same patience, bounded answers.

use std::time::Instant;

use bytes::Bytes;
use http::header::{ACCEPT, HeaderMap, HeaderValue};
use url::Url;

use super::{
    answer::{Fault, Trouble},
    client::HttpClient,
    content::Origin,
    error::{FetchError, shown},
    options::FetchOptions,
    pause::backoff,
    redirect::{Answered, Target, Way, in_words, send},
};

/// A complete answer.
#[derive(Debug)]
pub struct ApiAnswer {
    /// Its header fields; `Link` has the next page.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// Who answered in the end.
    pub url: Url,
}

impl HttpClient {
    /// GETs a document of at most `limit` bytes.
    ///
    /// `label` is what messages call it. Transient faults are ridden out for `options.give_up_after`; refusals are
    /// `FetchError`s of the same classes as those of `fetch`.
    pub async fn get(
        &self,
        label: &str,
        origin: &Origin,
        accept: &'static str,
        limit: usize,
        options: &FetchOptions,
    ) -> Result<ApiAnswer, FetchError> {
        let mut patience = Patience::new(label, &origin.url, options);
        loop {
            match self.get_once(label, origin, accept, limit, options).await {
                Ok(answer) => return Ok(answer),
                Err(trouble) => patience.ride_out(trouble).await?,
            }
        }
    }

    /// How small calls are sent.
    pub(super) fn way<'a>(&'a self, options: &FetchOptions) -> Way<'a> {
        let most = options.connections.max(1);
        Way { http: self.api(), hosts: self.hosts(), most, patience: options.stall_after }
    }

    async fn get_once(
        &self,
        label: &str,
        origin: &Origin,
        accept: &'static str,
        limit: usize,
        options: &FetchOptions,
    ) -> Result<ApiAnswer, Trouble> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        let start = Target::origin(origin);
        let Answered { mut answer, target, slot: _slot } = send(self.way(options), label, &start, &headers).await?;
        if !answer.status().is_success() {
            let cause = format!("{} answered {}", shown(&target.url), answer.status());
            return Err(Trouble::Terminal(FetchError::Refused { label: label.to_owned(), cause }));
        }
        let mut body = Vec::new();
        loop {
            let fault = |cause: String| Trouble::Transient(Fault::new(&target.url, cause));
            match tokio::time::timeout(options.stall_after, answer.chunk()).await {
                Err(_) => return Err(fault("the answer stalled".into())),
                Ok(Err(error)) => return Err(fault(in_words(&error))),
                Ok(Ok(None)) => break,
                Ok(Ok(Some(chunk))) if body.len() + chunk.len() > limit => {
                    let cause = format!("{} answers with more than {limit} bytes", shown(&target.url));
                    return Err(Trouble::Terminal(FetchError::Refused { label: label.to_owned(), cause }));
                }
                Ok(Ok(Some(chunk))) => body.extend_from_slice(&chunk),
            }
        }
        Ok(ApiAnswer { headers: answer.headers().clone(), body: body.into(), url: target.url })
    }
}

/// The patience with one small call: what passes is waited out, what does not ends it.
pub(super) struct Patience<'a> {
    label: &'a str,
    url: &'a Url,
    options: &'a FetchOptions,
    started: Instant,
    faults: u32,
}

impl<'a> Patience<'a> {
    pub(super) fn new(label: &'a str, url: &'a Url, options: &'a FetchOptions) -> Self {
        Self { label, url, options, started: Instant::now(), faults: 0 }
    }

    /// Returns when the call is to be tried again.
    pub(super) async fn ride_out(&mut self, trouble: Trouble) -> Result<(), FetchError> {
        let fault = match trouble {
            Trouble::Terminal(error) => return Err(error),
            Trouble::Expired(_, error) => return Err(*error),
            Trouble::Transient(fault) => fault,
            Trouble::Restart(cause) => Fault::new(self.url, cause),
            Trouble::Stale => Fault::new(self.url, "stale"),
        };
        give_up(self.label, &fault, self.started, self.options)?;
        if !fault.limited {
            let options = self.options;
            tokio::time::sleep(backoff(options.backoff_start, options.backoff_cap, self.faults)).await;
        }
        self.faults += 1;
        Ok(())
    }
}

/// Ends the patience with a content that has had no progress `since`, or that is asked to wait for longer than that.
pub(super) fn give_up(label: &str, fault: &Fault, since: Instant, options: &FetchOptions) -> Result<(), FetchError> {
    let ahead = fault.wait.unwrap_or_default();
    if since.elapsed() + ahead < options.give_up_after {
        return Ok(());
    }
    let (label, host, cause) = (label.to_owned(), fault.host.clone(), fault.cause.clone());
    Err(if fault.limited {
        FetchError::RateLimited { label, host, cause }
    } else {
        FetchError::Unreachable { label, host, patience: options.give_up_after, cause }
    })
}
