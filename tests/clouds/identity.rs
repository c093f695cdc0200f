//! Without a Secret the pod's own identity is shown, to the cloud's own hosts alone: a workload's token at Azure, the metadata
//! server's at Google. A proxy stands for the way to those hosts, with a certificate authority that only this test knows.

use crate::bench::{Bench, ran};
use crate::clouds::{Bucket, Cloud, RUNTIME, azure, google};
use crate::{files, source};
use axum::body::Bytes;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use axum::{Json, Router};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};

/// A certificate for these names, and the authority that gave it.
struct Certificate {
    authority: CertificateDer<'static>,
    authority_pem: String,
    leaf: CertificateDer<'static>,
    leaf_pem: String,
    key: KeyPair,
}

impl Certificate {
    fn of(names: &[&str]) -> Self {
        let mut authority = CertificateParams::new(Vec::<String>::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|it| (*it).to_owned()).collect();
        let leaf = CertificateParams::new(names).unwrap().signed_by(&key, &authority).unwrap();
        Self {
            authority: CertificateDer::from(authority.der().to_vec()),
            authority_pem: authority.pem(),
            leaf: CertificateDer::from(leaf.der().to_vec()),
            leaf_pem: leaf.pem(),
            key,
        }
    }

    fn acceptor(&self) -> TlsAcceptor {
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.leaf.clone()], key)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }

    /// A client that trusts it.
    fn client(&self) -> reqwest::Client {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        reqwest::Client::builder().tls_backend_preconfigured(config).no_proxy().build().unwrap()
    }
}

/// A proxy for https that leads this one host, whatever its port, to a server: through TLS that ends here, if there is an acceptor.
fn proxy(host: &'static str, to: SocketAddr, acceptor: Option<TlsAcceptor>) -> String {
    let listener = RUNTIME.block_on(TcpListener::bind(("127.0.0.1", 0))).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    RUNTIME.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(tunnel(host, to, stream, acceptor.clone()));
        }
    });
    url
}

async fn tunnel(host: &str, to: SocketAddr, stream: TcpStream, acceptor: Option<TlsAcceptor>) -> std::io::Result<()> {
    let mut inside = BufReader::new(stream);
    let (mut request, mut line) = (String::new(), String::new());
    inside.read_line(&mut request).await?;
    while inside.read_line(&mut line).await? > 2 {
        line.clear();
    }
    if !request.starts_with(&format!("CONNECT {host}:443 ")) {
        return inside.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n").await;
    }
    let mut outside = TcpStream::connect(to).await?;
    inside.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    match acceptor {
        Some(acceptor) => copy_bidirectional(&mut acceptor.accept(inside).await?, &mut outside).await?,
        None => copy_bidirectional(&mut inside, &mut outside).await?,
    };
    Ok(())
}

/// Serves on loopback: who gives out tokens.
fn served(router: Router) -> SocketAddr {
    let listener = RUNTIME.block_on(TcpListener::bind(("127.0.0.1", 0))).unwrap();
    let address = listener.local_addr().unwrap();
    RUNTIME.spawn(async move { axum::serve(listener, router).await });
    address
}

/// Microsoft Entra ID, as far as workloads ask it: a token for the one that a pod's service account shows.
/// <https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-client-creds-grant-flow#third-case-access-token-request-with-a-federated-credential>
fn entra() -> SocketAddr {
    let token = |body: Bytes| async move {
        let asked: BTreeMap<String, String> = url::form_urlencoded::parse(&body).into_owned().collect();
        let said = |name: &str| asked.get(name).map(String::as_str).unwrap_or_default();
        let right = said("client_assertion") == "pod-token"
            && said("client_id") == "the-client"
            && said("grant_type") == "client_credentials"
            && said("scope") == "https://storage.azure.com/.default";
        if !right {
            return (StatusCode::UNAUTHORIZED, Json(json!({"error": "invalid_client"}))).into_response();
        }
        let now = Timestamp::now().as_second();
        let claims = json!({
            "aud": "https://storage.azure.com", "iss": "https://sts.windows.net/the-tenant/", "iat": now - 60, "nbf": now - 60,
            "exp": now + 3600, "oid": "1", "tid": "the-tenant"
        });
        // Azurite holds the claims to what they must be, and does not ask for keys.
        let part = |it: &Value| BASE64_URL_SAFE_NO_PAD.encode(it.to_string());
        let token = format!("{}.{}.{}", part(&json!({"alg": "RS256", "typ": "JWT"})), part(&claims), "c2lnbmF0dXJl");
        Json(json!({"token_type": "Bearer", "expires_in": 3599, "access_token": token})).into_response()
    };
    served(Router::new().route("/the-tenant/oauth2/v2.0/token", axum::routing::post(token)))
}

#[test]
fn a_workloads_token_lets_in_to_its_azure_account() {
    let (bench, host) = (Bench::new(), "studio.blob.core.windows.net");
    let certificate = Certificate::of(&[host, "localhost"]);
    let server = azure::start(|directory| {
        let (leaf, key) = (directory.join("leaf.pem"), directory.join("key.pem"));
        std::fs::write(&leaf, &certificate.leaf_pem).unwrap();
        std::fs::write(&key, certificate.key.serialize_pem()).unwrap();
        ["--oauth", "basic", "--cert", leaf.to_str().unwrap(), "--key", key.to_str().unwrap()]
            .map(str::to_owned)
            .to_vec()
    });
    let (client, url) =
        (certificate.client(), format!("https://localhost:{}/{}", server.address.port(), azure::ACCOUNT));
    azure::container(&client, &url, "models", false);
    azure::put(&client, &url, "models", "v1/a.bin", b"of a workload");
    let proxy = proxy(host, server.address, None);
    let (ca, token) = (bench.path("ca.pem"), bench.path("token"));
    std::fs::write(&ca, &certificate.authority_pem).unwrap();
    // As the webhook of AKS sets it: with a slash at its end.
    let entra = format!("http://{}/", entra());
    let place = json!({"account": azure::ACCOUNT, "container": "models"});
    bench.cache(&[source(Cloud::Azure, &place, &json!({}))]);
    let run = || {
        let mut command = bench.command(&["prefetch"]);
        command.arg("--ca-bundle").arg(&ca).env("HTTPS_PROXY", &proxy);
        command.env("AZURE_CLIENT_ID", "the-client").env("AZURE_TENANT_ID", "the-tenant");
        command.env("AZURE_AUTHORITY_HOST", &entra).env("AZURE_FEDERATED_TOKEN_FILE", &token);
        let ran = ran(command.output().unwrap());
        let said = format!("{:?}{}", ran.results, ran.stderr);
        assert!(!said.contains("pod-token") && !said.contains("sig=") && !said.contains("c2lnbmF0dXJl"), "{said}");
        ran
    };
    run().failed(10, "Unauthorized", &["`podTemplate.serviceAccountName`"]);
    std::fs::write(&token, "another-pod").unwrap();
    run().failed(10, "Unauthorized", &["gives no identity", "invalid_client", "`podTemplate.serviceAccountName`"]);
    std::fs::write(&token, "pod-token").unwrap();
    let done = run();
    assert_eq!(done.code, 0, "{:?} {}", done.results, done.stderr);
    assert_eq!(std::fs::read(bench.volume().join("objects/models/v1/a.bin")).unwrap(), b"of a workload");
    // See `sas` beside the source: for such a name the crate signs what Azure refuses.
    azure::put(&client, &url, "models", "v1/a%20b.bin", b"x");
    bench.cache(&[source(Cloud::Azure, &place, &json!({"path": "again"}))]);
    run().failed(2, "InvalidSpec", &["a b.bin", "accountKeySecretRef"]);
}

#[test]
fn a_machines_token_lets_in_to_its_google_buckets() {
    let (bench, host) = (Bench::new(), "storage.googleapis.com");
    let bucket = Bucket::new(Cloud::Google);
    bucket.put("v1/a b.bin", b"of a machine");
    let certificate = Certificate::of(&[host]);
    let proxy = proxy(host, google::SERVER.address, Some(certificate.acceptor()));
    let ca = bench.path("ca.pem");
    std::fs::write(&ca, &certificate.authority_pem).unwrap();
    let metadata = |request: Request| async move {
        let asked = request.headers().get("metadata-flavor").is_some_and(|it| it == "Google");
        let here = request.uri().path() == "/computeMetadata/v1/instance/service-accounts/default/token";
        if !(asked && here) {
            return StatusCode::FORBIDDEN.into_response();
        }
        Json(json!({"access_token": google::MACHINE, "expires_in": 3599, "token_type": "Bearer"})).into_response()
    };
    let metadata = served(Router::new().fallback(metadata));
    let refusing = served(Router::new().fallback(|| async { StatusCode::NOT_FOUND }));
    bench.cache(&[source(Cloud::Google, &json!({"bucket": bucket.name}), &json!({}))]);
    let run = |metadata: SocketAddr| {
        let mut command = bench.command(&["prefetch"]);
        command.arg("--ca-bundle").arg(&ca).env("HTTPS_PROXY", &proxy).env("NO_PROXY", "127.0.0.1");
        command.env("GCE_METADATA_HOST", metadata.to_string()).env("GCE_METADATA_IP", metadata.to_string());
        let ran = ran(command.output().unwrap());
        assert!(!format!("{:?}{}", ran.results, ran.stderr).contains(google::MACHINE), "{:?}", ran.results);
        ran
    };
    run(refusing).failed(10, "Unauthorized", &["gives no identity", "`podTemplate.serviceAccountName`"]);
    let done = run(metadata);
    assert_eq!(done.code, 0, "{:?} {}", done.results, done.stderr);
    assert_eq!(files(&bench.volume().join("objects").join(&bucket.name)), ["v1/a b.bin"]);
    // Its token is no key to a bucket that somebody else's spec leads to.
    let elsewhere = json!({"bucket": bucket.name, "endpoint": google::url()});
    bench.cache(&[source(Cloud::Google, &elsewhere, &json!({"path": "elsewhere"}))]);
    run(metadata).failed(2, "InvalidSpec", &["`endpoint`", "credentialsSecretRef"]);
}
