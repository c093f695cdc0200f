//! One GET over HTTP/1.1, its answer read piece by piece, with a buffer that does not grow.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Request, Response, StatusCode, Uri,
    header::{ACCEPT, AUTHORIZATION, PROXY_AUTHORIZATION, USER_AGENT},
    uri::{InvalidUri, Scheme},
};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Body as _, Incoming};
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioTimer},
};
use url::Url;

use super::connector::{Connector, NAME};

/// What a connection reads at a time, in bytes. By itself hyper's buffer grows with what the socket holds, to 400 KiB and
/// more for each connection.
const READ: usize = 128 * 1024;

/// Makes requests. Clones share their connections.
#[derive(Clone, Debug)]
pub(super) struct Http {
    client: Client<Connector, Empty<Bytes>>,
    connector: Connector,
}

/// Why there is no answer, or no more of it. No message holds the address, whose query may be a signature.
#[derive(Debug, thiserror::Error)]
pub(super) enum HttpError {
    /// A URL that HTTP cannot ask for.
    #[error("no address of HTTP")]
    Address(#[from] InvalidUri),
    /// No connection, or no header of an answer.
    #[error(transparent)]
    Request(#[from] hyper_util::client::legacy::Error),
    /// The body broke off.
    #[error("reading the answer")]
    Body(#[source] hyper::Error),
}

impl Http {
    /// HTTP/1.1 only: one TCP window per range is what makes ranges fast, and a reset takes one range with it. A
    /// redirect is an answer like any other.
    pub(super) fn new(connector: Connector) -> Self {
        let mut builder = Client::builder(TokioExecutor::new());
        builder.timer(TokioTimer::new()).pool_timer(TokioTimer::new()).pool_max_idle_per_host(1);
        builder.http1_read_buf_exact_size(READ);
        Self { client: builder.build(connector.clone()), connector }
    }

    /// Asks for `url`, and returns when the header of the answer is there. What `headers` leave open is filled in.
    ///
    /// # Errors
    ///
    /// `HttpError`; an answer with any status is none.
    pub(super) async fn get(&self, url: &Url, headers: HeaderMap) -> Result<Answer, HttpError> {
        let uri = address(url)?;
        let mut request = Request::new(Empty::new());
        *request.headers_mut() = headers;
        let fields = request.headers_mut();
        if !fields.contains_key(AUTHORIZATION)
            && let Some(login) = login(url)
        {
            fields.insert(AUTHORIZATION, login);
        }
        fields.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        fields.entry(USER_AGENT).or_insert(HeaderValue::from_static(NAME));
        if uri.scheme() == Some(&Scheme::HTTP)
            && let Some(login) = self.connector.proxy(&uri).and_then(|proxy| proxy.basic_auth().cloned())
        {
            // Inside a tunnel it is the tunnel's affair, and the origin's none.
            fields.insert(PROXY_AUTHORIZATION, login);
        }
        *request.uri_mut() = uri;
        Ok(Answer(self.client.request(request).await?))
    }
}

/// Name and password of an address, as a redirect may have them, in the way that they are sent (RFC 7617).
fn login(url: &Url) -> Option<HeaderValue> {
    let decoded = |it: &str| percent_encoding::percent_decode_str(it).collect::<Vec<u8>>();
    let (name, password) = (decoded(url.username()), url.password().map(decoded));
    if name.is_empty() && password.is_none() {
        return None;
    }
    let both = [name, password.unwrap_or_default()].join(&b':');
    let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(both))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The address without what is no part of the request's line: names and passwords, and what stands behind `#`.
fn address(url: &Url) -> Result<Uri, InvalidUri> {
    let mut url = url.clone();
    url.set_fragment(None);
    // Fails for addresses without a host, which have neither.
    let _ = url.set_username("").and_then(|()| url.set_password(None));
    url.as_str().parse()
}

/// An answer whose header is there.
#[derive(Debug)]
pub(super) struct Answer(Response<Incoming>);

impl Answer {
    pub(super) fn status(&self) -> StatusCode {
        self.0.status()
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        self.0.headers()
    }

    /// How many bytes are still to come, if the header says.
    pub(super) fn content_length(&self) -> Option<u64> {
        self.0.body().size_hint().exact()
    }

    /// The next piece of the body, `None` after the last.
    ///
    /// # Errors
    ///
    /// When the connection ends before the body does.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, HttpError> {
        loop {
            let Some(frame) = self.0.body_mut().frame().await else { return Ok(None) };
            // What is no data is a trailer.
            if let Ok(data) = frame.map_err(HttpError::Body)?.into_data() {
                return Ok(Some(data));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_sent_without_names_passwords_and_fragments() {
        for (url, sent) in [
            ("https://hub/a%20b?c=d%2Fe", "https://hub/a%20b?c=d%2Fe"),
            ("http://me:secret@hub:8080/a#part", "http://hub:8080/a"),
            ("http://[::1]:80", "http://[::1]/"),
        ] {
            assert_eq!(address(&Url::parse(url).unwrap()).unwrap().to_string(), sent);
        }
    }

    #[test]
    fn a_name_and_a_password_in_an_address_are_sent_as_a_login() {
        for (url, sent) in [
            ("http://hub/a", None),
            ("http://me:s%2Fecret@hub/a", Some("Basic bWU6cy9lY3JldA==")),
            ("http://me@hub/a", Some("Basic bWU6")),
        ] {
            let login = login(&Url::parse(url).unwrap());
            assert_eq!(login.as_ref().map(|it| it.to_str().unwrap()), sent, "{url}");
        }
    }
}
