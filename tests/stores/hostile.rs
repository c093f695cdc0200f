//! What a store says is not trusted: names that would leave the volume, listings that are none, refusals with secrets in them.

use crate::bench::Bench;
use crate::source;
use axum::http::{StatusCode, header::CONTENT_TYPE};
use serde_json::{Value, json};

/// A server that gives one answer to everything.
pub struct Parrot {
    pub url: String,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Parrot {
    fn says(status: u16, body: &str) -> Self {
        let (status, body) = (StatusCode::from_u16(status).unwrap(), body.to_owned());
        Self::with(
            axum::Router::new().fallback(move || async move { (status, [(CONTENT_TYPE, "application/xml")], body) }),
        )
    }

    pub fn with(router: axum::Router) -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind(("127.0.0.1", 0))).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self { url, runtime: Some(runtime) }
    }

    fn s3(&self) -> Value {
        json!({"bucket": "models", "endpoint": self.url, "anonymous": true})
    }
}

impl Drop for Parrot {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A listing of keys, as S3 gives it.
pub fn listing(keys: &[&str]) -> String {
    let entry = |key: &&str| {
        format!(
            "<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>&quot;abc&quot;</ETag><Size>3</Size></Contents>"
        )
    };
    let entries: String = keys.iter().map(entry).collect();
    format!(
        "<?xml version=\"1.0\"?><ListBucketResult><Name>models</Name><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>"
    )
}

#[test]
fn a_listing_with_a_name_that_would_leave_the_volume_is_refused_whole() {
    for key in ["../evil", "a/../../evil", "/etc/passwd", "a//b", "a\\..\\b", "a&#10;b", "./a"] {
        let (bench, parrot) = (Bench::new(), Parrot::says(200, &listing(&["good.bin", key])));
        bench.cache(&[source(&parrot.s3(), &json!({}))]);
        bench.run(&["prefetch"]).failed(31, "ListingMismatch", &["nothing was taken"]);
        assert_eq!(bench.published(), Vec::<String>::new(), "{key}");
    }
}

#[test]
fn a_file_that_is_a_directory_too_is_refused() {
    let (bench, parrot) = (Bench::new(), Parrot::says(200, &listing(&["a", "a/b"])));
    bench.cache(&[source(&parrot.s3(), &json!({}))]);
    bench.run(&["prefetch"]).failed(31, "ListingMismatch", &["as a file and as a directory"]);
}

#[test]
fn a_page_for_people_is_no_listing() {
    let (bench, parrot) = (Bench::new(), Parrot::says(200, "<html><title>Console</title></html>"));
    bench.cache(&[source(&parrot.s3(), &json!({}))]);
    bench.run(&["prefetch"]).failed(21, "Unreachable", &["`endpoint` must be the base URL"]);
}

#[test]
fn a_refusal_is_told_in_our_words() {
    let body = "<Error><Code>PermanentRedirect</Code><Message>sig=SECRET</Message><Region>eu-west-1</Region></Error>";
    let (bench, parrot) = (Bench::new(), Parrot::says(400, body));
    bench.cache(&[source(&parrot.s3(), &json!({}))]);
    let ran = bench.run(&["prefetch"]);
    ran.failed(2, "InvalidSpec", &["`region: eu-west-1`"]);
    assert!(!format!("{:?}{}", ran.results, ran.stderr).contains("SECRET"));
}
