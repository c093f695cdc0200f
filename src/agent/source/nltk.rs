//! Which files are the NLTK packages that are wanted? The index says it, with their hashes.
//!
//! `index.xml` has `<package id subdir url size sha256_checksum …/>` and `<collection id><item ref/></collection>`
//! (`Package` and `Collection` in `nltk/downloader.py` 3.10.4).

use super::super::failure::{Failure, reason};
use super::super::fetch::{Digest, Origin, unhex_array};
use super::Origins;
use super::listing::{ListedFile, Listing};
use super::unpack::Unpack;
use crate::agent::sha256::Sha256;
use crate::api::Reason;
use crate::api::name::{below, hex};
use crate::api::source::{ArchiveFormat, Nltk};
use roxmltree::{Document, Node};
use std::collections::{BTreeMap, BTreeSet};
use url::Url;

/// Largest index that is read, in bytes. The official one has about 60 KB.
const INDEX_LIMIT: usize = 4 << 20;

/// A package of the index.
struct Package<'a> {
    category: &'a str,
    /// Name of its file: the identifier, with the ending that its URL has.
    file: String,
    size: u64,
    sha256: [u8; 32],
    /// Whether it is wanted as a tree, too.
    unzip: bool,
}

/// Asks for the index. The pin is a digest over the packages' hashes: an index that moves elsewhere moves nothing here.
pub async fn resolve(origins: &Origins, nltk: &Nltk) -> Result<Listing, Failure> {
    let url = address(nltk, &["index.xml"])?;
    let origin = Origin { url: url.clone(), token: None, validator: None, authorizer: None };
    let answer = origins.client.get("the NLTK index", &origin, "application/xml", INDEX_LIMIT, &origins.options).await;
    let answer = answer.map_err(|error| Failure::new(reason(&error), error.to_string()))?;
    let text = std::str::from_utf8(&answer.body).map_err(|error| nonsense(&url, &error.to_string()))?;
    listing(text, nltk, &url)
}

fn listing(index: &str, nltk: &Nltk, url: &Url) -> Result<Listing, Failure> {
    // Without `allow_dtd` an entity cannot be defined, so that nothing expands.
    let document = Document::parse(index).map_err(|error| nonsense(url, &error.to_string()))?;
    let named = |tag: &'static str| -> BTreeMap<&str, Node<'_, '_>> {
        let nodes = document.descendants().filter(move |node| node.has_tag_name(tag));
        nodes.filter_map(|node| Some((node.attribute("id")?, node))).collect()
    };
    let (packages, collections) = (named("package"), named("collection"));
    let mut hasher = Sha256::new();
    let mut files = Vec::new();
    for id in wanted(nltk, &packages, &collections, url)? {
        let Some(node) = packages.get(id) else { continue };
        let package = Package::read(id, node).map_err(|what| nonsense(url, &format!("package `{id}` {what}")))?;
        let inside = format!("{}/{}", package.category, package.file);
        hasher.update(inside.as_bytes());
        hasher.update([0]);
        hasher.update(package.sha256);
        let parts: Vec<&str> = ["packages"].into_iter().chain(inside.split('/')).collect();
        let url = address(nltk, &parts)?;
        let listed = |inside: &str, unpack| ListedFile {
            path: below(nltk.effective_path(), inside),
            size: Some(package.size),
            digest: Some(Digest::Sha256(package.sha256)),
            validator: None,
            git_oid: None,
            unpack,
            url: url.clone(),
        };
        files.push(listed(&inside, None));
        if package.unzip {
            // As `nltk.download()` leaves it: programs ask for the one or for the other.
            let unpack = Unpack { only: Some(id.to_owned()), ..Unpack::whole(ArchiveFormat::Zip) };
            files.push(listed(&format!("{}/{id}", package.category), Some(unpack)));
        }
    }
    Listing::new(format!("sha256:{}", hex(&hasher.finalize())), files, true, None, url.to_string())
}

/// Identifiers of the packages, with those of the collections; a collection may have others in it.
fn wanted<'a>(
    nltk: &'a Nltk,
    packages: &BTreeMap<&'a str, Node<'a, '_>>,
    collections: &BTreeMap<&'a str, Node<'a, '_>>,
    url: &Url,
) -> Result<BTreeSet<&'a str>, Failure> {
    let missing = |what: &str, id: &str, there: &BTreeMap<&str, Node<'_, '_>>| {
        let near: Vec<&str> = there.keys().copied().filter(|it| near(it, id)).collect();
        let near = if near.is_empty() { String::new() } else { format!("; there is {}", near.join(", ")) };
        Failure::new(Reason::NotFound, format!("{url} has no {what} `{id}`{near}"))
    };
    let mut found = BTreeSet::new();
    for id in &nltk.packages {
        let (id, _) = packages.get_key_value(id.as_str()).ok_or_else(|| missing("package", id, packages))?;
        found.insert(*id);
    }
    let mut open: Vec<&str> = nltk.collections.iter().map(String::as_str).collect();
    let mut seen = BTreeSet::new();
    while let Some(id) = open.pop() {
        if !seen.insert(id) {
            continue;
        }
        let node = collections.get(id).ok_or_else(|| missing("collection", id, collections))?;
        for item in node.children().filter_map(|item| item.attribute("ref")) {
            match packages.get_key_value(item) {
                Some((id, _)) => _ = found.insert(*id),
                None => open.push(item),
            }
        }
    }
    Ok(found)
}

/// Whether somebody may have meant the one and written the other.
fn near(there: &str, written: &str) -> bool {
    let plain = |text: &str| text.to_ascii_lowercase().replace(['-', '_', '.'], "");
    let (there, written) = (plain(there), plain(written));
    there.starts_with(&written) || (there.len() > 2 && written.starts_with(&there))
}

impl<'a> Package<'a> {
    fn read(id: &str, node: &Node<'a, '_>) -> Result<Self, String> {
        let field = |name: &str| node.attribute(name).filter(|it| !it.is_empty());
        let category = field("subdir").ok_or("has no category (`subdir`)")?;
        let address = field("url").ok_or("has no address (`url`)")?;
        let name = address.rsplit('/').next().unwrap_or_default();
        let ending = name.rsplit_once('.').map(|(_, ending)| format!(".{ending}")).unwrap_or_default();
        if id.contains('/') {
            return Err("has a slash in its name".to_owned());
        }
        let size = field("size").and_then(|it| it.parse().ok()).ok_or("has no size")?;
        // MD5 is listed too: it tells no forgery.
        let sha256 = field("sha256_checksum").ok_or("has no SHA-256 (`sha256_checksum`): the index is too old")?;
        let sha256 = unhex_array(sha256).ok_or("has a SHA-256 that is none")?;
        let unzip = ending == ".zip" && field("unzip") == Some("1");
        Ok(Self { category, file: format!("{id}{ending}"), size, sha256, unzip })
    }
}

fn nonsense(url: &Url, what: &str) -> Failure {
    Failure::new(Reason::Unreachable, format!("{url} is not an index of NLTK data: {what}; is `endpoint` right?"))
}

fn address(nltk: &Nltk, parts: &[&str]) -> Result<Url, Failure> {
    let base = Url::parse(nltk.effective_endpoint()).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let mut url =
        base.ok_or_else(|| Failure::new(Reason::InvalidSpec, "`endpoint` must be an http or https URL".to_owned()))?;
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(parts);
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const HASH: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    fn index(packages: &str) -> String {
        format!(
            r#"<?xml version="1.0"?><?xml-stylesheet href="index.xsl" type="text/xsl"?>
            <nltk_data><packages>{packages}</packages><collections>
            <collection id="all" name="All"><item ref="words"/><item ref="words"/></collection>
            <collection id="words" name="Words"><item ref="stopwords"/><item ref="punkt_tab"/><item ref="all"/></collection>
            <collection id="broken" name="Broken"><item ref="not_there"/></collection>
            </collections></nltk_data>"#
        )
    }

    fn package(id: &str, subdir: &str) -> String {
        format!(
            r#"<package id="{id}" name="x &amp; y" subdir="{subdir}" size="12" unzip="0" unzipped_size="20" checksum="md5"
               sha256_checksum="{HASH}" url="https://raw.example/packages/{subdir}/{id}.zip"/>"#
        )
    }

    fn list(index: &str, spec: serde_json::Value) -> Result<Listing, Failure> {
        let nltk: Nltk = serde_json::from_value(spec).unwrap();
        listing(index, &nltk, &Url::parse("http://mirror/index.xml").unwrap())
    }

    fn good() -> String {
        index(
            &[package("punkt_tab", "tokenizers"), package("stopwords", "corpora"), package("wordnet", "corpora")]
                .concat(),
        )
    }

    #[test]
    fn a_package_lies_where_nltk_looks_for_it_and_comes_from_the_endpoint() {
        let listing = list(&good(), json!({"packages": ["punkt_tab"], "endpoint": "http://mirror/a/"})).unwrap();
        assert_eq!(listing.files[0].path, "nltk_data/tokenizers/punkt_tab.zip");
        assert_eq!(listing.files[0].url.as_str(), "http://mirror/a/packages/tokenizers/punkt_tab.zip");
        assert_eq!(listing.files[0].size, Some(12));
    }

    #[test]
    fn a_package_to_unzip_is_there_as_a_file_and_as_a_tree() {
        let index = good().replace("unzip=\"0\"", "unzip=\"1\"");
        let listing = list(&index, json!({"packages": ["punkt_tab"]})).unwrap();
        let [tree, file] = &listing.files[..] else { panic!("{:?}", listing.files) };
        assert_eq!(tree.path, "nltk_data/tokenizers/punkt_tab");
        assert_eq!(tree.unpack.as_ref().unwrap().only.as_deref(), Some("punkt_tab"));
        assert_eq!((file.path.as_str(), &file.unpack), ("nltk_data/tokenizers/punkt_tab.zip", &None));
        assert_eq!(tree.digest, file.digest);
    }

    #[test]
    fn a_collection_is_its_packages_each_once_also_through_a_circle() {
        for spec in [json!({"collections": ["all"]}), json!({"collections": ["words"], "packages": ["stopwords"]})] {
            let listing = list(&good(), spec).unwrap();
            let paths: Vec<&str> = listing.files.iter().map(|it| it.path.as_str()).collect();
            assert_eq!(paths, ["nltk_data/corpora/stopwords.zip", "nltk_data/tokenizers/punkt_tab.zip"]);
        }
    }

    #[test]
    fn the_pin_does_not_move_with_packages_that_are_not_wanted() {
        let pin = |index: &str| list(index, json!({"packages": ["stopwords"]})).unwrap().pin();
        let other = index(&package("stopwords", "corpora"));
        assert_eq!(pin(&good()), pin(&other));
        assert_ne!(pin(&good()), pin(&other.replace(HASH, &"b".repeat(64))));
    }

    #[test]
    fn what_is_not_in_the_index_is_said_with_what_is_near() {
        for (spec, word) in [
            (json!({"packages": ["punkt"]}), "no package `punkt`; there is punkt_tab"),
            (json!({"packages": ["StopWords"]}), "there is stopwords"),
            (json!({"collections": ["popular"]}), "no collection `popular`"),
            (json!({"collections": ["broken"]}), "no collection `not_there`"),
        ] {
            let failure = list(&good(), spec).unwrap_err();
            assert_eq!(failure.reason, Reason::NotFound);
            assert!(failure.message.contains(word), "{failure}");
        }
    }

    #[test]
    fn an_index_that_lies_or_is_none_is_refused() {
        let spec = || json!({"packages": ["x"]});
        let lie = list(&index(&package("x", "../../etc")), spec()).unwrap_err();
        assert_eq!(lie.reason, Reason::ListingMismatch);
        let old = index(&package("x", "corpora").replace("sha256_checksum", "other"));
        assert!(list(&old, spec()).unwrap_err().message.contains("too old"));
        for text in ["<html>", "", "<!DOCTYPE a [<!ENTITY b 'c'>]><nltk_data>&b;</nltk_data>"] {
            assert_eq!(list(text, spec()).unwrap_err().reason, Reason::Unreachable, "{text}");
        }
    }
}
