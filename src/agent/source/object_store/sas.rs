//! How is an address of an Azure blob signed with the account's key? The crate signs the name as the URL spells it, which Azure
//! refuses for every name that a URL cannot spell as it is: the signature is over the decoded name.

use super::super::super::fetch::Secret;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use ring::hmac;
use std::time::Duration;
use url::Url;

/// <https://learn.microsoft.com/en-us/rest/api/storageservices/create-service-sas#version-2020-12-06-and-later>
const VERSION: &str = "2022-11-02";

/// Signs addresses of the blobs of one container.
#[derive(Clone)]
pub(super) struct AccountKey {
    account: String,
    container: String,
    key: hmac::Key,
}

impl AccountKey {
    /// `None` when the key is not base64, as Azure gives it.
    pub(super) fn new(account: &str, container: &str, key: &Secret) -> Option<Self> {
        let key = BASE64_STANDARD.decode(key.reveal()).ok()?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        Some(Self { account: account.to_owned(), container: container.to_owned(), key })
    }

    /// The address of a blob with the right to read it until `lasts` after `now`.
    pub(super) fn signed(&self, address: &Url, blob: &str, now: Timestamp, lasts: Duration) -> Url {
        let until = now.checked_add(lasts).unwrap_or(now).strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let resource = format!("/blob/{}/{}/{blob}", self.account, self.container);
        // Rights, start, end, resource; policy, addresses, protocol; version, kind; snapshot, scope, five fields of the answer.
        let lines = ["r", "", &until, &resource, "", "", "", VERSION, "b", "", "", "", "", "", "", ""];
        let signature = BASE64_STANDARD.encode(hmac::sign(&self.key, lines.join("\n").as_bytes()));
        let mut url = address.clone();
        url.query_pairs_mut().extend_pairs([
            ("sv", VERSION),
            ("sr", "b"),
            ("sp", "r"),
            ("se", &until),
            ("sig", &signature),
        ]);
        url
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_signed_over_the_decoded_name_for_a_while() {
        // The form was held against Azurite; the value was computed by another implementation of HMAC.
        let key = AccountKey::new("studio", "models", &Secret::new("c2VjcmV0a2V5")).unwrap();
        let address = Url::parse("https://studio.blob.core.windows.net/models/dir/%C3%BC%20b.bin").unwrap();
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let signed = key.signed(&address, "dir/ü b.bin", now, Duration::from_secs(15 * 60));
        let pairs: Vec<_> = signed.query_pairs().into_owned().collect();
        let value = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        assert_eq!((value("se"), value("sp"), value("sr")), (Some("2026-01-01T00:15:00Z"), Some("r"), Some("b")));
        assert_eq!(value("sig"), Some("hkPmXf2IPsqFkFDUarxcPpuF/gv7ZaXhGd3tJ2Hapos="));
        assert!(AccountKey::new("studio", "models", &Secret::new("not base64!")).is_none());
    }
}
