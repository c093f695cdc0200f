//! What lets in to one object, for a while?

use super::super::super::fetch::{Authorized, Authorizer, FetchError, Secret};
use super::key::decode;
use super::sas::AccountKey;
use futures::future::BoxFuture;
use jiff::Timestamp;
use object_store::gcp::GcpCredentialProvider;
use object_store::path::Path;
use object_store::signer::Signer;
use reqwest::Method;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// The way in.
#[derive(Clone)]
pub(super) enum Entry {
    /// Everybody may.
    Open,
    /// By a signed address.
    Signed(Arc<dyn Signer>),
    /// As above, with a key that Azure has given to the pod's identity: for names that a URL spells as they are.
    Delegated(Arc<dyn Signer>),
    /// By an address that is signed with an Azure account's key.
    Keyed(Arc<AccountKey>),
    /// By a bearer token.
    Bearer(GcpCredentialProvider),
    /// By a signature that is given with the source.
    Query(Arc<[(String, String)]>),
}

/// Nothing of it is for printing.
impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "Open",
            Self::Signed(_) => "Signed(…)",
            Self::Delegated(_) => "Delegated(…)",
            Self::Keyed(_) => "Keyed(…)",
            Self::Bearer(_) => "Bearer(…)",
            Self::Query(_) => "Query(…)",
        })
    }
}

/// Lets in to the objects of one bucket.
#[derive(Debug)]
pub(super) struct Permit {
    entry: Entry,
    base: Url,
    lasts: Duration,
}

impl Permit {
    /// Whoever has to be asked; nobody for a public bucket.
    pub(super) fn to(entry: &Entry, base: &Url, lasts: Duration) -> Option<Arc<dyn Authorizer>> {
        match entry {
            Entry::Open => None,
            other => Some(Arc::new(Self { entry: other.clone(), base: base.clone(), lasts })),
        }
    }

    /// The object that an address of ours names.
    fn object(&self, url: &Url) -> Option<Path> {
        let key = url.path().strip_prefix(self.base.path()).and_then(decode)?;
        Path::parse(key).ok()
    }

    async fn ask(&self, label: &str, url: &Url) -> Result<Authorized, FetchError> {
        let refused = |cause: &str| FetchError::Refused { label: label.to_owned(), cause: cause.to_owned() };
        // What the crate says may show an address with a signature in it.
        let no_identity =
            |_| refused("the store's credentials could not be renewed: see whether the identity still exists");
        match &self.entry {
            Entry::Open => Ok(Authorized { url: url.clone(), token: None }),
            Entry::Keyed(key) => {
                let path = self.object(url).ok_or_else(|| refused("its address names no object"))?;
                let url = key.signed(url, path.as_ref(), Timestamp::now(), self.lasts);
                Ok(Authorized { url, token: None })
            }
            Entry::Signed(signer) | Entry::Delegated(signer) => {
                let path = self.object(url).ok_or_else(|| refused("its address names no object"))?;
                let url = signer.signed_url(Method::GET, &path, self.lasts).await.map_err(no_identity)?;
                Ok(Authorized { url, token: None })
            }
            Entry::Bearer(identity) => {
                let credential = identity.get_credential().await.map_err(no_identity)?;
                Ok(Authorized { url: url.clone(), token: Some(Secret::new(&credential.bearer)) })
            }
            Entry::Query(pairs) => {
                let mut url = url.clone();
                url.query_pairs_mut().extend_pairs(pairs.iter());
                Ok(Authorized { url, token: None })
            }
        }
    }
}

impl Authorizer for Permit {
    fn authorize<'a>(&'a self, label: &'a str, url: &'a Url) -> BoxFuture<'a, Result<Authorized, FetchError>> {
        Box::pin(self.ask(label, url))
    }
}
