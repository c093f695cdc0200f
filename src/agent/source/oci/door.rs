//! How is one let into a registry? With user name and password in each request, or with a token for a while that another
//! server gives for them (<https://distribution.github.io/distribution/spec/auth/token/>).

use super::super::super::fetch::{Authorized, Authorizer, FetchError, FetchOptions, HttpClient, Origin, Secret};
use super::super::Origins;
use futures::future::BoxFuture;
use http_auth::{ChallengeRef, parse_challenges};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use url::Url;

/// Largest answer of a token server, in bytes.
const ANSWER_LIMIT: usize = 1 << 20;
/// How long a token is good when its server does not say (the specification's word).
const LIFE: u64 = 60;
/// No token is used longer than this, whatever its server says.
const LONGEST: u64 = 3600;
/// Refused again so soon, a token is not too old: another one would be refused as well.
const FRESH: Duration = Duration::from_secs(1);

/// The way into one repository.
#[derive(Debug)]
pub struct Door {
    kind: Kind,
    label: String,
    client: HttpClient,
    options: FetchOptions,
    /// Where tokens are asked for: connections must not live on the runtime of whoever happens to ask first.
    runtime: Handle,
    grant: Mutex<Option<Grant>>,
}

#[derive(Debug)]
enum Kind {
    /// The same with each request.
    Basic(Secret),
    /// Asked for at this address, with this login.
    Token(Url, Option<Secret>),
}

/// A token, and for whom it was given.
#[derive(Debug)]
struct Grant {
    token: Secret,
    since: Instant,
    until: Instant,
    given: BTreeSet<Url>,
}

/// What a token server answers.
#[derive(Deserialize)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

impl Door {
    /// The door that a `WWW-Authenticate` describes. `None` when it asks for user name and password and there are none, or for
    /// what nobody knows.
    ///
    /// # Errors
    /// A token server that would hear the password in the clear.
    pub fn new(
        origins: &Origins,
        challenge: &str,
        home: &Url,
        label: &str,
        scope: &str,
        login: Option<Secret>,
    ) -> Result<Option<Self>, String> {
        let challenges = parse_challenges(challenge).unwrap_or_default();
        let of = |scheme: &str| challenges.iter().find(|it| it.scheme.eq_ignore_ascii_case(scheme));
        let kind = match (of("Bearer").and_then(|it| token_server(it, scope)), of("Basic"), login) {
            (Some(server), _, login) => {
                if home.scheme() == "https" && server.scheme() != "https" {
                    let host = server.host_str().unwrap_or_default();
                    return Err(format!("the registry sends for a token by plain http, to {host}: that is not done"));
                }
                Kind::Token(server, login)
            }
            (None, Some(_), Some(login)) => Kind::Basic(login),
            _ => return Ok(None),
        };
        let (client, options) = (origins.client.clone(), origins.options.clone());
        let (runtime, grant) = (Handle::current(), Mutex::new(None));
        Ok(Some(Self { kind, label: label.to_owned(), client, options, runtime, grant }))
    }

    /// The token for an address. Asked a second time for the same one, the first token was refused: it is another then.
    async fn token(&self, server: &Url, login: Option<&Secret>, url: &Url) -> Result<Secret, FetchError> {
        let mut grant = self.grant.lock().await;
        if let Some(held) = grant.as_mut()
            && Instant::now() < held.until
            && (held.given.insert(url.clone()) || held.since.elapsed() < FRESH)
        {
            return Ok(held.token.clone());
        }
        let (client, options, label) = (self.client.clone(), self.options.clone(), self.label.clone());
        let origin = Origin { url: server.clone(), token: login.cloned(), validator: None, authorizer: None };
        let asking = async move { client.get(&label, &origin, "application/json", ANSWER_LIMIT, &options).await };
        let refused = |cause: String| FetchError::Refused { label: self.label.clone(), cause };
        let answer = self.runtime.spawn(asking).await.map_err(|error| refused(error.to_string()))??;
        let nonsense = || {
            let host = server.host_str().unwrap_or_default();
            refused(format!("{host} was asked for a token and answers without one"))
        };
        let answer: Answer = serde_json::from_slice(&answer.body).map_err(|_| nonsense())?;
        let token = [answer.token, answer.access_token].into_iter().flatten().find(|token| !token.is_empty());
        let token = Secret::new(&token.ok_or_else(nonsense)?);
        let life = answer.expires_in.filter(|life| *life > 0).unwrap_or(LIFE).min(LONGEST);
        let since = Instant::now();
        // A quarter less, ten seconds at most: it is to be good for the whole of a request.
        let until = since + Duration::from_secs(life.saturating_sub(life.div_ceil(4).min(10)));
        *grant = Some(Grant { token: token.clone(), since, until, given: [url.clone()].into() });
        Ok(token)
    }
}

impl Authorizer for Door {
    fn authorize<'a>(&'a self, _: &'a str, url: &'a Url) -> BoxFuture<'a, Result<Authorized, FetchError>> {
        Box::pin(async move {
            let token = match &self.kind {
                Kind::Basic(login) => login.clone(),
                Kind::Token(server, login) => self.token(server, login.as_ref(), url).await?,
            };
            Ok(Authorized { url: url.clone(), token: Some(token) })
        })
    }
}

/// Where to ask for a token, and for what.
fn token_server(challenge: &ChallengeRef<'_>, scope: &str) -> Option<Url> {
    let value = |name: &str| {
        let found = challenge.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.to_unescaped())
    };
    let mut server = Url::parse(&value("realm")?).ok()?;
    let usable = matches!(server.scheme(), "http" | "https") && server.username().is_empty();
    {
        let mut query = server.query_pairs_mut();
        if let Some(service) = value("service") {
            query.append_pair("service", &service);
        }
        query.append_pair("scope", scope);
    }
    usable.then_some(server)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::fetch::ClientOptions;

    fn door(challenge: &str, home: &str, login: bool) -> Result<Option<Kind>, String> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let origins = Origins::new(HttpClient::new(&ClientOptions::default()).unwrap(), None);
        let login = login.then(|| Secret::basic("me", "pw"));
        let home = Url::parse(home).unwrap();
        Door::new(&origins, challenge, &home, "x", "repository:a/b:pull", login).map(|it| it.map(|it| it.kind))
    }

    #[tokio::test]
    async fn what_a_registry_asks_for_is_understood() {
        let bearer = r#"Bearer realm="https://auth.x.io/token?a=b",service="reg, istry",scope="ignored""#;
        let Ok(Some(Kind::Token(server, Some(_)))) = door(bearer, "https://x.io", true) else { panic!() };
        assert_eq!(server.as_str(), "https://auth.x.io/token?a=b&service=reg%2C+istry&scope=repository%3Aa%2Fb%3Apull");
        let Ok(Some(Kind::Token(_, None))) = door(bearer, "https://x.io", false) else { panic!() };
        let both = format!("Basic realm=\"x\", {bearer}");
        assert!(matches!(door(&both, "https://x.io", true), Ok(Some(Kind::Token(..)))));
        assert!(matches!(door("Basic realm=\"x\"", "https://x.io", true), Ok(Some(Kind::Basic(_)))));
        assert!(matches!(door("Basic realm=\"x\"", "https://x.io", false), Ok(None)));
        for nothing in ["", "Negotiate", "Bearer service=\"x\"", "Bearer realm=\"file:///etc/passwd\""] {
            assert!(matches!(door(nothing, "https://x.io", true), Ok(None)), "{nothing}");
        }
    }

    #[tokio::test]
    async fn a_password_does_not_leave_https() {
        let plain = r#"Bearer realm="http://auth.x.io/token""#;
        assert!(door(plain, "https://x.io", true).is_err());
        assert!(matches!(door(plain, "http://x.io", true), Ok(Some(_))));
    }
}
