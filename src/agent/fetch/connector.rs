//! How is a host reached? Directly or through the proxy that the environment names, in plain or over TLS.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{
    HeaderMap, HeaderValue, Uri,
    header::USER_AGENT,
    uri::{Authority, Scheme},
};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::HttpsConnector;
use hyper_util::client::{
    legacy::connect::{Connected, Connection, HttpConnector, proxy::Tunnel},
    proxy::matcher::{Intercept, Matcher},
};
use rustls::ClientConfig;
use tower_service::Service;

/// How long names, handshakes and proxies may take, all together.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A peer that is gone without a word is noticed by the kernel, after so long and so many questions.
const KEEPALIVE: Duration = Duration::from_secs(15);
const KEEPALIVE_RETRIES: u32 = 3;
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// Who we say we are, to origins and to proxies.
pub(super) const NAME: &str = concat!("modelcache/", env!("CARGO_PKG_VERSION"));

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Makes connections. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    direct: HttpsConnector<HttpConnector>,
    tls: Arc<ClientConfig>,
    proxies: Option<Arc<Matcher>>,
}

impl Connector {
    /// `proxies` says which hosts are reached through a proxy, if any are.
    pub(super) fn new(tls: Arc<ClientConfig>, proxies: Option<Arc<Matcher>>) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        // Divided over the addresses of a host: one that does not answer leaves time for the next.
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        tcp.set_keepalive(Some(KEEPALIVE));
        tcp.set_keepalive_interval(Some(KEEPALIVE));
        tcp.set_keepalive_retries(Some(KEEPALIVE_RETRIES));
        tcp.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
        Self { direct: HttpsConnector::from((tcp, Arc::clone(&tls))), tls, proxies }
    }

    /// The proxy that a host is reached through.
    pub(super) fn proxy(&self, to: &Uri) -> Option<Intercept> {
        self.proxies.as_ref()?.intercept(to)
    }

    async fn connect(mut self, to: Uri) -> Result<Stream, BoxError> {
        let Some(proxy) = self.proxy(&to) else {
            return Ok(Stream { io: Box::new(self.direct.call(to).await?), by_proxy: false });
        };
        let at = proxy.uri();
        if !matches!(at.scheme_str(), Some("http" | "https")) {
            let scheme = at.scheme_str().unwrap_or_default();
            return Err(format!("the proxy of the environment is a {scheme} one: it must be http or https").into());
        }
        if to.scheme() != Some(&Scheme::HTTPS) {
            // It is asked for the whole address.
            return Ok(Stream { io: Box::new(self.direct.call(at.clone()).await?), by_proxy: true });
        }
        let mut tunnel = Tunnel::new(at.clone(), self.direct);
        if let Some(login) = proxy.basic_auth() {
            tunnel = tunnel.with_auth(login.clone());
        }
        tunnel = tunnel.with_headers(HeaderMap::from_iter([(USER_AGENT, HeaderValue::from_static(NAME))]));
        let mut inside = HttpsConnector::from((tunnel, self.tls));
        Ok(Stream { io: Box::new(inside.call(to).await?), by_proxy: false })
    }
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move {
            let host = to.authority().map(Authority::host).unwrap_or_default().to_owned();
            tokio::time::timeout(CONNECT_TIMEOUT, connector.connect(to))
                .await
                .unwrap_or_else(|_| Err(format!("no connection to {host} within {CONNECT_TIMEOUT:?}").into()))
        })
    }
}

/// What carries requests and answers.
trait Carrier: Read + Write + Connection + Send + Unpin {}

impl<T: Read + Write + Connection + Send + Unpin> Carrier for T {}

/// A connection to a host, or to the proxy that speaks for it.
pub(super) struct Stream {
    io: Box<dyn Carrier>,
    by_proxy: bool,
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        self.io.connected().proxy(self.by_proxy)
    }
}

impl Read for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.io).poll_read(cx, into)
    }
}

impl Write for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.io).poll_shutdown(cx)
    }
}
