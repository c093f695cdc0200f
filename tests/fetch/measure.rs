//! Measures the engine against a server that is there already. Not a test of anything: `cargo test` leaves it out.
//!
//! ```text
//! FETCH_URLS="http://…/a http://…/b" FETCH_SHA256="… …" FETCH_DIR=/dev/shm/x \
//!     cargo test --release --test fetch measure -- --ignored --nocapture
//! ```

use std::{env, path::Path, sync::Arc, time::Instant};

use modelcache::agent::fetch::{
    ClientOptions, Content, Digest, FetchOptions, HttpClient, Origin, Progress, Staging, Writer, fetch, unhex,
};

#[test]
#[ignore = "measures against the server that FETCH_URLS names"]
fn measure() {
    let urls = env::var("FETCH_URLS").unwrap();
    let sums = env::var("FETCH_SHA256").unwrap_or_default();
    let mut sums = sums.split_whitespace();
    let contents: Vec<_> = urls
        .split_whitespace()
        .map(|url| Content {
            label: url.to_owned(),
            size: env::var("FETCH_SIZE").ok().map(|size| size.parse().unwrap()),
            digest: sums.next().map(|sum| Digest::Sha256(unhex(sum).unwrap().try_into().unwrap())),
            origin: Origin { url: url.parse().unwrap(), token: None, validator: None, authorizer: None },
        })
        .collect();
    let dir = env::var("FETCH_DIR").unwrap();
    let mut options = FetchOptions::default();
    if let Ok(connections) = env::var("FETCH_CONNECTIONS") {
        options.connections = connections.parse().unwrap();
    }
    let started = Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let summary = runtime.block_on(async {
        let client = HttpClient::new(&ClientOptions::default()).unwrap();
        let staging = Staging::open(Path::new(&dir), Path::new("staging"), Writer::Local).unwrap();
        let progress = Arc::new(Progress::default());
        let target = |name: &Path| Path::new(&dir).join(name.file_name().unwrap()).with_extension("done");
        fetch(&client, contents, &staging, &options, &progress, |staged| {
            std::fs::rename(&staged.path, target(&staged.path))
        })
        .await
        .unwrap()
    });
    println!("{:.3} s {summary:?}", started.elapsed().as_secs_f64());
}
