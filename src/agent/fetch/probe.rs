//! What does an origin say about a content without sending it? Size and entity tag, from the first byte's answer.

use http::{
    StatusCode,
    header::{CONTENT_LENGTH, ETAG, HeaderMap, HeaderValue, RANGE},
};

use super::{
    answer::{content_range, header, unsatisfied_size},
    api::Patience,
    client::HttpClient,
    content::Origin,
    error::FetchError,
    options::FetchOptions,
    redirect::{Answered, Target, send},
};

/// What an origin says about a content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Its size in bytes, if it says.
    pub size: Option<u64>,
    /// Its entity tag as sent, with quotes and weakness mark, if there is one.
    pub etag: Option<String>,
}

impl HttpClient {
    /// Asks for the first byte of a content: not every server answers HEAD, or answers it alike.
    ///
    /// Transient faults are ridden out for `options.give_up_after`.
    pub async fn probe(&self, label: &str, origin: &Origin, options: &FetchOptions) -> Result<Probe, FetchError> {
        let mut patience = Patience::new(label, &origin.url, options);
        let headers = HeaderMap::from_iter([(RANGE, HeaderValue::from_static("bytes=0-0"))]);
        loop {
            let start = Target::origin(origin);
            match send(self.way(options), label, &start, &headers).await {
                Ok(Answered { answer, target, slot: _ }) => {
                    let tag = header(answer.headers(), ETAG.as_str()).map(str::to_owned);
                    let size = match answer.status() {
                        StatusCode::PARTIAL_CONTENT => content_range(answer.headers()).and_then(|(_, _, total)| total),
                        StatusCode::RANGE_NOT_SATISFIABLE => unsatisfied_size(answer.headers()),
                        _ => header(answer.headers(), CONTENT_LENGTH.as_str()).and_then(|it| it.parse().ok()),
                    };
                    return Ok(Probe {
                        size,
                        etag: tag.or_else(|| target.linked_etag.map(|tag| format!("\"{tag}\""))),
                    });
                }
                Err(trouble) => patience.ride_out(trouble).await?,
            }
        }
    }
}
