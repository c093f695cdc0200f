//! An object that is overwritten is never mixed.

use crate::bench::until;
use crate::{Bucket, Cloud, bytes, for_both, source};
use modelcache::agent::fetch::{
    Arrival, ClientOptions, FetchError, FetchOptions, HttpClient, Progress, Staging, Writer, fetch,
};
use modelcache::agent::source::Origins;
use modelcache::agent::source::access::Access;
use modelcache::agent::source::listing::Listing;
use modelcache::api::Reason;
use modelcache::api::source::Source;
use serde_json::json;
use std::path::Path;
use std::sync::Arc;

for_both!(
    what_changed_since_it_was_resolved_is_not_taken,
    an_object_that_is_overwritten_between_its_listing_and_its_bytes_is_refused,
    an_object_that_is_overwritten_while_it_is_read_is_never_mixed,
);

fn origins() -> Origins {
    Origins::new(HttpClient::new(&ClientOptions::default()).unwrap(), None)
}

fn of(bucket: &Bucket) -> (Source, Access) {
    let source: Source = serde_json::from_value(source(bucket.cloud, &bucket.with_credentials(), &json!({}))).unwrap();
    let (_, variable, value) = bucket.cloud.credentials();
    let access = Access::local(&source, &|name| (name == variable).then(|| value.clone()), &|_| None).unwrap();
    (source, access)
}

fn in_a_runtime<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().unwrap().block_on(work)
}

/// Fetches a listing that must not arrive.
fn refused(listing: &Listing, options: &FetchOptions, progress: &Arc<Progress>) -> FetchError {
    let directory = tempfile::tempdir().unwrap();
    let staging = Staging::open(directory.path(), Path::new("staging"), Writer::Local).unwrap();
    let contents = vec![listing.files.iter().map(|file| listing.content(file)).collect()];
    let mut failed = None;
    let keep = |arrival: Arrival| -> Result<Vec<usize>, std::io::Error> {
        match arrival {
            Arrival::Staged(_) => panic!("an object that had changed was handed over"),
            Arrival::Failed { error, .. } => failed = Some(error),
        }
        Ok(vec![])
    };
    let ended = in_a_runtime(fetch(&origins().client, contents, &staging, options, progress, keep));
    ended.and_then(|_| failed.map_or(Ok(()), Err)).unwrap_err()
}

fn what_changed_since_it_was_resolved_is_not_taken(cloud: Cloud) {
    let bucket = Bucket::new(cloud);
    bucket.put("a.bin", b"before");
    let (source, access) = of(&bucket);
    let pin = in_a_runtime(origins().resolve(&source, &access)).unwrap().pin();
    in_a_runtime(origins().list(&source, &pin, &access)).unwrap();
    bucket.put("a.bin", b"after!");
    let failure = in_a_runtime(origins().list(&source, &pin, &access)).unwrap_err();
    assert_eq!(failure.reason, Reason::ListingMismatch);
    assert!(failure.message.contains("nothing was taken"), "{failure}");
}

fn an_object_that_is_overwritten_between_its_listing_and_its_bytes_is_refused(cloud: Cloud) {
    let bucket = Bucket::new(cloud);
    bucket.put("a.bin", &bytes(1, 3 << 20));
    let (source, access) = of(&bucket);
    let listing = in_a_runtime(origins().resolve(&source, &access)).unwrap();
    bucket.put("a.bin", &bytes(2, 3 << 20));
    let error = refused(&listing, &FetchOptions::default(), &Arc::default());
    assert!(error.to_string().contains("was pinned at ETag"), "{error}");
}

fn an_object_that_is_overwritten_while_it_is_read_is_never_mixed(cloud: Cloud) {
    let bucket = Bucket::new(cloud);
    bucket.put("a.bin", &bytes(1, 8 << 20));
    let (source, access) = of(&bucket);
    let listing = in_a_runtime(origins().resolve(&source, &access)).unwrap();
    let slow =
        FetchOptions { connections: 1, part_size: 1 << 20, max_bandwidth: Some(4 << 20), ..FetchOptions::default() };
    let progress = Arc::new(Progress::default());
    let error = std::thread::scope(|scope| {
        let running = scope.spawn(|| refused(&listing, &slow, &progress));
        until("a part of it has arrived", || progress.snapshot().bytes_fetched > 1 << 20);
        bucket.put("a.bin", &bytes(2, 8 << 20));
        running.join().unwrap()
    });
    assert!(error.to_string().contains("was pinned at ETag"), "{error}");
}
