//! Who talks HTTP: one TLS set-up, proxies from the environment, and no redirect followed behind our back.

use std::{io, path::PathBuf, sync::Arc};

use hyper_util::client::proxy::matcher::Matcher;
use rustls::{ClientConfig, RootCertStore, pki_types::CertificateDer, pki_types::pem::PemObject as _};

use super::{
    connector::{CONNECT_TIMEOUT, Connector, NAME},
    hosts::Hosts,
    http::Http,
};

/// How clients reach their origins.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// PEM file with certificate authorities to trust beside the system's, for mirrors and intercepting proxies.
    pub ca_bundle: Option<PathBuf>,
    /// Whether `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` count.
    pub proxy_from_env: bool,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self { ca_bundle: None, proxy_from_env: true }
    }
}

/// Makes connections for API calls and for bulk bytes, and knows which hosts asked us to wait. Cheap to clone; clones
/// share everything.
#[derive(Clone, Debug)]
pub struct HttpClient {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    tls: ClientConfig,
    proxy_from_env: bool,
    connector: Connector,
    api: Http,
    hosts: Hosts,
}

/// Why there is no HTTP client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The extra CA bundle cannot be used.
    #[error("CA bundle {path}: {cause}")]
    CaBundle {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// TLS or proxy settings that cannot work.
    #[error("HTTP client: {0}")]
    Setup(String),
}

impl HttpClient {
    /// Reads the trust anchors and the proxy settings.
    ///
    /// Trust is the system's bundle (`SSL_CERT_FILE` and `SSL_CERT_DIR` count; in our image it is
    /// `/etc/ssl/certs/ca-certificates.crt`) and `ca_bundle`. A missing system bundle is no error here: plain http
    /// works, and https says "unknown issuer".
    pub fn new(options: &ClientOptions) -> Result<Self, ClientError> {
        let tls = tls(options)?;
        let proxy_from_env = options.proxy_from_env;
        let proxies = proxy_from_env.then(|| Arc::new(Matcher::from_env()));
        let connector = Connector::new(Arc::new(tls.clone()), proxies);
        let api = Http::new(connector.clone());
        Ok(Self { shared: Arc::new(Shared { tls, proxy_from_env, connector, api, hosts: Hosts::default() }) })
    }

    /// For single calls on the caller's runtime.
    pub(super) fn api(&self) -> &Http {
        &self.shared.api
    }

    /// A client of its own for one connection's thread, so that its sockets are driven by that thread alone.
    /// TLS sessions are still shared: a second handshake with a host is a short one.
    pub(super) fn for_lane(&self) -> Http {
        Http::new(self.shared.connector.clone())
    }

    /// For a crate that makes requests of its own, with our trust: a client that uses the proxies of the environment, and one
    /// that does not.
    pub(in crate::agent) fn for_a_crate(&self) -> Result<(reqwest::Client, reqwest::Client), ClientError> {
        Ok((build(&self.shared.tls, self.shared.proxy_from_env)?, build(&self.shared.tls, false)?))
    }

    /// What each host lets us do.
    pub(super) fn hosts(&self) -> &Hosts {
        &self.shared.hosts
    }
}

fn build(tls: &ClientConfig, proxy_from_env: bool) -> Result<reqwest::Client, ClientError> {
    let builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls.clone())
        .http1_only()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .pool_max_idle_per_host(1)
        .user_agent(NAME);
    let builder = if proxy_from_env { builder } else { builder.no_proxy() };
    builder.build().map_err(|error| ClientError::Setup(error.to_string()))
}

fn tls(options: &ClientOptions) -> Result<ClientConfig, ClientError> {
    let mut roots = RootCertStore::empty();
    // Unreadable single certificates of the system are its own affair.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = &options.ca_bundle {
        let refuse = |cause: String| ClientError::CaBundle { path: path.clone(), cause };
        let pem = std::fs::read(path).map_err(|error: io::Error| refuse(error.to_string()))?;
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        let certificates = certificates.map_err(|error| refuse(format!("not PEM: {error}")))?;
        if certificates.is_empty() {
            return Err(refuse("holds no certificate".into()));
        }
        for certificate in certificates {
            roots.add(certificate).map_err(|error| refuse(error.to_string()))?;
        }
    }
    // The provider is named here rather than installed for the process: it works whoever runs first.
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| ClientError::Setup(error.to_string()))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ca_bundle_without_a_certificate_is_refused_by_name() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let options = ClientOptions { ca_bundle: Some(file.path().into()), ..ClientOptions::default() };
        let message = HttpClient::new(&options).unwrap_err().to_string();
        assert!(message.contains("no certificate") && message.contains(file.path().to_str().unwrap()), "{message}");
    }
}
