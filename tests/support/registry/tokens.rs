//! A token server as the Distribution specification has it: short-lived tokens for user name and password.

use super::{PASSWORD, USER};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::{Json, Router, routing::get};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, AtomicU16, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

pub const SERVICE: &str = "the registry";
pub const ISSUER: &str = "the tests";
const KEY: &str = "one";
/// What the registry grants beyond a token's end.
const LEEWAY: i64 = 60;

/// A token server, on a thread of its own.
pub struct TokenServer {
    pub url: String,
    /// What the registry checks signatures with.
    pub keys: Value,
    pub state: Arc<Shared>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
}

pub struct Shared {
    key: Ed25519KeyPair,
    /// Tokens given.
    pub given: AtomicUsize,
    /// Seconds that the registry takes a token for.
    pub life: AtomicI64,
    /// A status to answer with instead, or 0.
    pub status: AtomicU16,
    /// Scopes that were asked for.
    pub scopes: Mutex<Vec<String>>,
}

impl TokenServer {
    pub fn start() -> Self {
        let key = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let public = URL_SAFE_NO_PAD.encode(key.public_key().as_ref());
        let keys =
            json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": KEY, "use": "sig", "alg": "EdDSA", "x": public}]});
        let state = Arc::new(Shared {
            key,
            given: AtomicUsize::new(0),
            life: AtomicI64::new(300),
            status: AtomicU16::new(0),
            scopes: Mutex::default(),
        });
        let listener = std::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 3], 0))).unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}/token", listener.local_addr().unwrap());
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let app = Router::new().route("/token", get(token)).with_state(state.clone());
        super::blobs::serve(listener, app, stopped);
        Self { url, keys, state, stop: Some(stop) }
    }
}

impl Drop for TokenServer {
    fn drop(&mut self) {
        drop(self.stop.take());
    }
}

async fn token(
    State(shared): State<Arc<Shared>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Json<Value>, (StatusCode, [(&'static str, &'static str); 1])> {
    let refused = |status: u16| (StatusCode::from_u16(status).unwrap(), [("retry-after", "600")]);
    match shared.status.load(SeqCst) {
        0 => {}
        status => return Err(refused(status)),
    }
    let query: HashMap<String, String> =
        url::form_urlencoded::parse(uri.query().unwrap().as_bytes()).into_owned().collect();
    let login = format!("Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}")));
    if headers.get("authorization").and_then(|it| it.to_str().ok()) != Some(&login) {
        return Err(refused(401));
    }
    assert_eq!(query["service"], SERVICE);
    let scope = query["scope"].clone();
    let (_, rest) = scope.split_once(':').unwrap();
    let (repository, actions) = rest.rsplit_once(':').unwrap();
    let actions: Vec<&str> = actions.split(',').collect();
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap();
    let claims = json!({
        "iss": ISSUER, "sub": USER, "aud": SERVICE, "jti": "1",
        "nbf": now - 300, "iat": now - 300, "exp": now + shared.life.load(SeqCst) - LEEWAY,
        "access": [{"type": "repository", "name": repository, "actions": actions}]
    });
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&json!({"alg": "EdDSA", "typ": "JWT", "kid": KEY})), part(&claims));
    let signature = URL_SAFE_NO_PAD.encode(shared.key.sign(signed.as_bytes()));
    shared.given.fetch_add(1, SeqCst);
    shared.scopes.lock().unwrap().push(scope);
    // It says that the token is good for long, so that only the registry's refusal can tell.
    Ok(Json(json!({"token": format!("{signed}.{signature}"), "expires_in": 300})))
}
