//! Origins behind a private certificate authority, and behind a proxy: what companies have between a node and the hub.

use crate::bench::{Bench, quickly, ran};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, crypto::ring::default_provider};

/// Something that listens on loopback for as long as it lives.
struct Listening {
    port: u16,
    connections: Arc<AtomicU64>,
    _runtime: tokio::runtime::Runtime,
}

impl Listening {
    /// Hands each connection to `serve`.
    fn start<F, Fut>(serve: F) -> Self
    where
        F: Fn(TcpStream) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = std::io::Result<()>> + Send + 'static,
    {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0))).unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicU64::new(0));
        let counter = connections.clone();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counter.fetch_add(1, SeqCst);
                tokio::spawn(serve(stream));
            }
        });
        Self { port, connections, _runtime: runtime }
    }

    fn connections(&self) -> u64 {
        self.connections.load(SeqCst)
    }
}

/// The hub behind TLS, with a certificate of an authority that nobody else knows: the server and the authority's PEM.
fn behind_tls(bench: &Bench) -> (Listening, String) {
    let mut authority = CertificateParams::new(Vec::<String>::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    let chain = vec![CertificateDer::from(leaf.der().to_vec())];
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let hub = bench.hub.url.trim_start_matches("http://").to_owned();
    let server = Listening::start(move |stream| {
        let (acceptor, hub) = (acceptor.clone(), hub.clone());
        async move {
            let mut inside = acceptor.accept(stream).await?;
            let mut outside = TcpStream::connect(hub).await?;
            copy_bidirectional(&mut inside, &mut outside).await.map(|_| ())
        }
    });
    (server, authority.pem())
}

/// A proxy that knows `CONNECT` alone, as those in front of https do.
fn proxy() -> Listening {
    Listening::start(|stream| async move {
        let mut inside = BufReader::new(stream);
        let mut request = String::new();
        inside.read_line(&mut request).await?;
        let mut line = String::new();
        while inside.read_line(&mut line).await? > 2 {
            line.clear();
        }
        let Some(target) = request.strip_prefix("CONNECT ").and_then(|it| it.split(' ').next()) else {
            return inside.write_all(b"HTTP/1.1 405 Method Not Allowed\r\n\r\n").await;
        };
        let mut outside = TcpStream::connect(target).await?;
        inside.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
        copy_bidirectional(&mut inside, &mut outside).await.map(|_| ())
    })
}

/// A cache of one small repository of the hub at this address.
fn cache_of(bench: &Bench, endpoint: &str) {
    bench.hub.repo("org/small=config.json:1234,deep/tokenizer.json:999");
    bench.cache(&[bench.repo("x", "org/small", &json!({"endpoint": endpoint}))]);
}

#[test]
fn a_hub_behind_a_private_authority_is_trusted_with_its_bundle_only() {
    let bench = Bench::new();
    let (server, authority) = behind_tls(&bench);
    cache_of(&bench, &format!("https://localhost:{}", server.port));
    // No patience mends a certificate: it is said at once, and with what to do.
    let refused = quickly(Duration::from_secs(60), || bench.run(&["prefetch"]));
    refused.failed(21, "Unreachable", &["certificate", "caBundleConfigMap", "--ca-bundle"]);
    assert_eq!(bench.published(), Vec::<String>::new());

    std::fs::write(bench.path("ca.pem"), authority).unwrap();
    let mut command = bench.command(&["prefetch"]);
    let trusted = ran(command.arg("--ca-bundle").arg(bench.path("ca.pem")).output().unwrap());
    assert_eq!(trusted.code, 0, "{} {}", trusted.message(), trusted.stderr);
    assert_eq!(trusted.fetched(), 1234 + 999);
}

#[test]
fn https_goes_through_the_proxy_that_the_environment_names_unless_it_says_otherwise() {
    let bench = Bench::new();
    let (server, authority) = behind_tls(&bench);
    let proxy = proxy();
    cache_of(&bench, &format!("https://localhost:{}", server.port));
    std::fs::write(bench.path("ca.pem"), authority).unwrap();
    let run = |no_proxy: &str| {
        let mut command = bench.command(&["prefetch"]);
        command.arg("--ca-bundle").arg(bench.path("ca.pem"));
        command.env("HTTPS_PROXY", format!("http://127.0.0.1:{}", proxy.port)).env("NO_PROXY", no_proxy);
        let ran = ran(command.output().unwrap());
        assert_eq!(ran.code, 0, "{} {}", ran.message(), ran.stderr);
    };
    run("localhost");
    assert_eq!(proxy.connections(), 0);
    std::fs::remove_dir_all(bench.volume()).unwrap();
    let direct = server.connections();
    run("");
    assert!(proxy.connections() > 0);
    assert_eq!(server.connections(), direct + proxy.connections(), "nothing went around the proxy");
}
