//! An object that is overwritten is never mixed, and an address that expires is signed again.

use crate::bench::Bench;
use crate::hostile::Parrot;
use crate::{bytes, minio, source, with_keys};
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use modelcache::agent::fetch::{Arrival, ClientOptions, FetchOptions, HttpClient, Progress, Staging, Writer, fetch};
use modelcache::agent::source::Origins;
use modelcache::agent::source::access::Access;
use modelcache::agent::source::listing::Listing;
use modelcache::api::Reason;
use modelcache::api::source::Source;
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

fn origins() -> Origins {
    Origins::new(HttpClient::new(&ClientOptions::default()).unwrap(), None)
}

fn of(bucket: &minio::Bucket) -> (Source, Access) {
    let source: Source = serde_json::from_value(source(&with_keys(bucket), &json!({}))).unwrap();
    let environment = |name: &str| match name {
        "AWS_ACCESS_KEY_ID" => Some(minio::ID.to_owned()),
        "AWS_SECRET_ACCESS_KEY" => Some(minio::SECRET.to_owned()),
        _ => None,
    };
    let access = Access::local(&source, &environment, &|_| None).unwrap();
    (source, access)
}

/// Fetches a listing into a directory, and gives what arrived.
async fn fetched(
    origins: &Origins,
    listing: &Listing,
    directory: &Path,
    options: &FetchOptions,
) -> Result<Vec<Vec<u8>>, modelcache::agent::fetch::FetchError> {
    let staging = Staging::open(directory, Path::new("staging"), Writer::Local)?;
    let contents = vec![listing.files.iter().map(|file| listing.content(file)).collect()];
    let (mut arrived, mut failed) = (vec![], None);
    let keep = |arrival: Arrival| -> Result<Vec<usize>, std::io::Error> {
        match arrival {
            Arrival::Staged(staged) => {
                arrived.push(std::fs::read(&staged.path)?);
                std::fs::remove_file(&staged.path)?;
            }
            Arrival::Failed { error, .. } => failed = Some(error),
        }
        Ok(vec![])
    };
    fetch(&origins.client, contents, &staging, options, &Arc::new(Progress::default()), keep).await?;
    failed.map_or(Ok(arrived), Err)
}

fn in_a_runtime<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().unwrap().block_on(work)
}

#[test]
fn what_changed_since_it_was_resolved_is_not_taken() {
    let bucket = minio::bucket();
    bucket.put("a.bin", b"before");
    let (source, access) = of(&bucket);
    let origins = origins();
    let pin = in_a_runtime(origins.resolve(&source, &access)).unwrap().pin();
    in_a_runtime(origins.list(&source, &pin, &access)).unwrap();
    bucket.put("a.bin", b"after!");
    let failure = in_a_runtime(origins.list(&source, &pin, &access)).unwrap_err();
    assert_eq!(failure.reason, Reason::ListingMismatch);
    assert!(failure.message.contains("nothing was taken"), "{failure}");
}

#[test]
fn an_object_that_is_overwritten_between_its_listing_and_its_bytes_is_refused() {
    let bucket = minio::bucket();
    bucket.put("a.bin", &bytes(1, 3 << 20));
    let (source, access) = of(&bucket);
    let origins = origins();
    let listing = in_a_runtime(origins.resolve(&source, &access)).unwrap();
    bucket.put("a.bin", &bytes(2, 3 << 20));
    let directory = tempfile::tempdir().unwrap();
    let error = in_a_runtime(fetched(&origins, &listing, directory.path(), &FetchOptions::default())).unwrap_err();
    assert!(error.to_string().contains("was pinned at ETag"), "{error}");
}

#[test]
fn an_object_that_is_overwritten_while_it_is_read_is_never_mixed() {
    let bucket = minio::bucket();
    bucket.put("a.bin", &bytes(1, 8 << 20));
    let (source, access) = of(&bucket);
    let origins = origins();
    let listing = in_a_runtime(origins.resolve(&source, &access)).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let slow =
        FetchOptions { connections: 1, part_size: 1 << 20, max_bandwidth: Some(2 << 20), ..FetchOptions::default() };
    let progress = Arc::new(Progress::default());
    let error = std::thread::scope(|scope| {
        let running = scope.spawn(|| {
            let staging = Staging::open(directory.path(), Path::new("staging"), Writer::Local).unwrap();
            let contents = vec![listing.files.iter().map(|file| listing.content(file)).collect()];
            let mut failed = None;
            let refuse = |arrival: Arrival| -> Result<Vec<usize>, std::io::Error> {
                match arrival {
                    Arrival::Staged(_) => panic!("a mixed object was handed over"),
                    Arrival::Failed { error, .. } => failed = Some(error),
                }
                Ok(vec![])
            };
            let ended = in_a_runtime(fetch(&origins.client, contents, &staging, &slow, &progress, refuse));
            ended.and_then(|_| failed.map_or(Ok(()), Err))
        });
        crate::bench::until("a part of it has arrived", || progress.snapshot().bytes_fetched > 1 << 20);
        bucket.put("a.bin", &bytes(2, 8 << 20));
        running.join().unwrap().unwrap_err()
    });
    assert!(error.to_string().contains("was pinned at ETag"), "{error}");
}

#[test]
fn an_address_that_expires_during_a_long_fetch_is_signed_again() {
    let bucket = minio::bucket();
    let content = bytes(3, 8 << 20);
    bucket.put("a.bin", &content);
    let (source, access) = of(&bucket);
    // To resolve reads a byte, and is not what is shown here.
    let pin = in_a_runtime(origins().resolve(&source, &access)).unwrap().pin();
    // A signature is dated by the second: it lasts for four seconds at least, and for five at most.
    let origins = Origins { signed_for: Duration::from_secs(5), ..origins() };
    let listing = in_a_runtime(origins.list(&source, &pin, &access)).unwrap();
    let directory = tempfile::tempdir().unwrap();
    // Sixteen seconds over addresses that last for five.
    let slow =
        FetchOptions { connections: 2, part_size: 1 << 20, max_bandwidth: Some(1 << 19), ..FetchOptions::default() };
    let arrived = in_a_runtime(fetched(&origins, &listing, directory.path(), &slow)).unwrap();
    assert!(arrived == [content]);
}

/// A store that lists two objects with the tags and bytes of a version; of the second version one cannot be had.
fn versions(version: &Arc<AtomicUsize>) -> Parrot {
    let version = Arc::clone(version);
    let served = move |request: axum::extract::Request| {
        let (version, uri) = (version.load(Ordering::SeqCst), request.uri().clone());
        let (bytes, tag) = (format!("bytes{version}"), format!("\"tag{version}\""));
        async move {
            let entry = |key: &str, size: usize| {
                format!(
                    "<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>\
                     <ETag>&quot;tag{version}&quot;</ETag><Size>{size}</Size></Contents>"
                )
            };
            match uri.path() {
                "/models/a.bin" => ([("etag", tag)], bytes).into_response(),
                "/models/b.bin" if version == 2 => {
                    // Long after the other has arrived.
                    tokio::time::sleep(Duration::from_secs(2)).await;
                    StatusCode::NOT_FOUND.into_response()
                }
                "/models/b.bin" => ([("etag", tag)], "b").into_response(),
                _ => format!(
                    "<?xml version=\"1.0\"?><ListBucketResult><Name>models</Name><IsTruncated>false</IsTruncated>{}{}\
                     </ListBucketResult>",
                    entry("a.bin", bytes.len()),
                    entry("b.bin", 1)
                )
                .into_response(),
            }
        }
    };
    Parrot::with(axum::Router::new().fallback(served))
}

#[test]
fn what_half_an_update_has_replaced_is_not_taken_for_what_was_there_before_when_the_store_goes_back_to_that() {
    let version = Arc::new(AtomicUsize::new(1));
    let (bench, store) = (Bench::new(), versions(&version));
    let s3 = json!({"bucket": "models", "endpoint": store.url, "anonymous": true});
    // Another spec is resolved again.
    let prefetch = |number: usize| {
        bench.cache(&[source(&s3, &json!({"exclude": [format!("*.{number}")]}))]);
        bench.run(&["prefetch"])
    };
    let there = || std::fs::read_to_string(bench.volume().join("objects/models/a.bin")).unwrap();
    assert_eq!(prefetch(1).code, 0);
    version.store(2, Ordering::SeqCst);
    assert_ne!(prefetch(2).code, 0, "one object cannot be had");
    assert_eq!(there(), "bytes2", "the other has replaced what was there");
    version.store(1, Ordering::SeqCst);
    let back = prefetch(3);
    assert_eq!(back.code, 0, "{:?}", back.results);
    assert_eq!(there(), "bytes1");
}
