//! Servers as they are: every misbehaviour ends in the right bytes or in the right error, never in wrong bytes.

use std::{sync::Arc, time::Duration};

use modelcache::agent::fetch::{Digest, FetchOptions, Reason};

use crate::{
    origin::{Reply, Server, bytes, content},
    volume::{Volume, impatient, options, undisturbed, until},
};

const SIZE: usize = 5 * 1024 * 1024 + 123;

/// Fetches one file whose requests are answered by `script`; gives what is published and the reason of the failure.
fn one(script: impl Fn(&crate::origin::Request) -> Reply + Send + Sync + 'static) -> (Server, Volume, Option<Reason>) {
    one_with(&options(), script)
}

fn one_with(
    options: &FetchOptions,
    script: impl Fn(&crate::origin::Request) -> Reply + Send + Sync + 'static,
) -> (Server, Volume, Option<Reason>) {
    let (server, volume) = (Server::start(), Volume::new());
    let body = bytes(1, SIZE);
    server.put("/model", body.clone(), script);
    let reason = volume.fetch(vec![content(&server.url("/model"), &body)], options).err().map(|error| {
        assert!(!error.to_string().contains("hf_secret"), "{error}");
        error.reason()
    });
    match volume.published(0) {
        Some(published) => assert!(published == body, "wrong bytes were published"),
        None => assert!(reason.is_some(), "neither bytes nor an error"),
    }
    assert!(reason.is_some() || volume.left().is_empty(), "left in staging: {:?}", volume.left());
    (server, volume, reason)
}

fn status(status: u16) -> Reply {
    Reply::Status(status, Vec::new())
}

#[test]
fn a_good_server_is_asked_once_for_each_byte() {
    undisturbed(|| {
        let (server, volume, reason) = one(|_| Reply::Good);
        assert_eq!((reason, server.sent()), (None, SIZE as u64));
        let shown = volume.progress.snapshot();
        assert_eq!((shown.bytes_done, shown.bytes_total, shown.files_done), (SIZE as u64, SIZE as u64, 1));
        assert!(server.requests("/model").iter().all(|request| request.authorization.is_some()));
    });
}

#[test]
fn a_refusal_is_reported_at_once_and_asked_once() {
    for (reply, reason) in [
        (status(401), Reason::Unauthorized),
        (status(403), Reason::Unauthorized),
        (status(404), Reason::NotFound),
        (Reply::Status(403, vec![("X-Error-Code", "GatedRepo".into())]), Reason::Gated),
        (Reply::Status(404, vec![("X-Error-Code", "RevisionNotFound".into())]), Reason::NotFound),
    ] {
        let (server, _, outcome) = one(move |_| reply.clone());
        assert_eq!(outcome, Some(reason));
        assert!(server.requests("/model").len() <= 4, "no more than were under way together");
    }
}

#[test]
fn server_errors_and_cut_connections_are_ridden_out() {
    undisturbed(|| {
        let (server, _, reason) = one(|request| match request.nth % 4 {
            0 => status(500),
            1 => Reply::Cut(300_000),
            2 => status(503),
            _ => Reply::Good,
        });
        assert_eq!(reason, None);
        assert_eq!(server.sent(), SIZE as u64, "what a cut connection brought is not asked for again");
    });
}

#[test]
fn a_server_that_never_recovers_is_unreachable() {
    let (server, volume) = (Server::start(), Volume::new());
    let body = bytes(1, SIZE);
    server.put("/model", body.clone(), |_| status(500));
    let options = FetchOptions { give_up_after: Duration::from_millis(500), ..options() };
    let error = volume.fetch(vec![content(&server.url("/model"), &body)], &options).unwrap_err();
    assert_eq!(error.reason(), Reason::Unreachable);
    assert!(error.to_string().contains("500") && error.to_string().contains("model"), "{error}");
}

#[test]
fn wrong_bytes_of_the_right_length_are_fetched_once_more_and_never_published() {
    undisturbed(|| {
        let wrong = Arc::new(bytes(2, SIZE));
        let always = Arc::clone(&wrong);
        let (server, volume, reason) = one(move |_| Reply::Bytes(Arc::clone(&always)));
        assert_eq!(reason, Some(Reason::ChecksumMismatch));
        assert_eq!(server.sent(), 2 * SIZE as u64);
        assert_eq!(volume.published(0), None);

        let (_, _, reason) =
            one(move |request| if request.nth == 1 { Reply::Bytes(Arc::clone(&wrong)) } else { Reply::Good });
        assert_eq!(reason, None, "one bad part is mended by a clean second try");
    });
}

#[test]
fn a_server_without_ranges_is_read_in_one_stream() {
    undisturbed(|| {
        let (server, _, reason) = one(|_| Reply::NoRanges);
        assert_eq!((reason, server.requests("/model").len()), (None, 1));
        let (_, _, reason) = one(|_| Reply::NoLength);
        assert_eq!(reason, None);
    });
}

#[test]
fn a_stream_without_ranges_that_breaks_is_read_again_from_its_start() {
    let (_, _, reason) = one(|request| match request.nth {
        0 => Reply::NoRanges,
        _ => Reply::Good,
    });
    assert_eq!(reason, None);
    let (server, volume) = (Server::start(), Volume::new());
    let body = bytes(1, SIZE);
    let longer = Arc::new(bytes(1, SIZE));
    server.put(
        "/model",
        Arc::clone(&longer),
        |request| {
            if request.nth == 0 { Reply::Cut(1_000_000) } else { Reply::NoRanges }
        },
    );
    volume.fetch(vec![content(&server.url("/model"), &body)], &options()).unwrap_or_default();
    assert!(volume.published(0).is_none_or(|published| published == body));
}

#[test]
fn an_answer_for_another_range_is_not_written() {
    let (_, volume, reason) = one(|_| Reply::Shifted(7));
    assert_eq!(reason, Some(Reason::ChecksumMismatch));
    assert_eq!(volume.published(0), None);
    let (_, _, reason) = one(|request| if request.nth == 2 { Reply::Shifted(7) } else { Reply::Good });
    assert_eq!(reason, None, "once is an accident");
}

#[test]
fn a_file_of_another_size_than_promised_is_refused() {
    let (server, volume) = (Server::start(), Volume::new());
    let body = bytes(1, SIZE);
    server.put("/model", bytes(1, SIZE + 1), |_| Reply::Good);
    let error = volume.fetch(vec![content(&server.url("/model"), &body)], &options()).unwrap_err();
    assert_eq!(error.reason(), Reason::ChecksumMismatch);
    assert!(error.to_string().contains(&SIZE.to_string()), "{error}");
}

#[test]
fn the_token_does_not_follow_a_redirect_to_another_port() {
    let (hub, cdn, volume) = (Server::start(), Server::start(), Volume::new());
    let body = bytes(1, SIZE);
    let target = cdn.url("/blob?X-Signature=s");
    hub.put("/model", vec![], move |_| Reply::To(target.clone()));
    cdn.put("/blob", body.clone(), |_| Reply::Good);
    volume.fetch(vec![content(&hub.url("/model"), &body)], &options()).unwrap();
    assert_eq!(volume.published(0).as_ref(), Some(&body));
    assert!(cdn.requests("/blob").iter().all(|request| request.authorization.is_none()));
    let asked = hub.requests("/model");
    assert_eq!(asked.len(), 1, "the way is looked up once for all parts");
    assert_eq!(asked[0].authorization.as_deref(), Some("Bearer hf_secret"));
}

#[test]
fn an_address_that_expires_in_mid_file_is_asked_for_again() {
    let (hub, cdn, volume) = (Server::start(), Server::start(), Volume::new());
    let body = bytes(1, SIZE);
    let base = cdn.url("");
    hub.put("/model", vec![], move |request| Reply::To(format!("{base}/blob{}?sig=x", request.nth)));
    for nth in 0..40 {
        cdn.put(
            &format!("/blob{nth}"),
            body.clone(),
            |request| if request.nth < 2 { Reply::Good } else { status(403) },
        );
    }
    volume.fetch(vec![content(&hub.url("/model"), &body)], &options()).unwrap();
    assert_eq!(volume.published(0).as_ref(), Some(&body));
    assert!((2..40).contains(&hub.requests("/model").len()));
}

#[test]
fn addresses_that_are_always_refused_are_asked_for_a_bounded_number_of_times() {
    let (hub, cdn, volume) = (Server::start(), Server::start(), Volume::new());
    let body = bytes(1, SIZE);
    let target = cdn.url("/blob?sig=secret");
    hub.put("/model", vec![], move |_| Reply::To(target.clone()));
    cdn.put("/blob", body.clone(), |_| status(403));
    let error = volume.fetch(vec![content(&hub.url("/model"), &body)], &options()).unwrap_err();
    assert_eq!(error.reason(), Reason::Unauthorized);
    assert!(!error.to_string().contains("sig="), "{error}");
    assert!(hub.requests("/model").len() < 30);
}

#[test]
fn a_redirect_loop_ends() {
    let (_, _, reason) = one(|_| Reply::To("/model".into()));
    assert_eq!(reason, Some(Reason::Unreachable));
}

#[test]
fn a_connection_that_hangs_is_dropped_and_its_remainder_asked_for_again() {
    undisturbed(|| {
        let (server, _, reason) =
            one_with(&impatient(), |request| if request.nth == 1 { Reply::Hang(100_000) } else { Reply::Good });
        assert_eq!(reason, None);
        assert_eq!(server.sent(), SIZE as u64);
    });
}

#[test]
fn a_host_that_limits_the_rate_is_left_alone_for_as_long_as_it_asks() {
    let (server, _, reason) = one(|request| match request.nth {
        0 => Reply::Status(429, vec![("Retry-After", "2".into())]),
        _ => Reply::Good,
    });
    assert_eq!(reason, None);
    let requests = server.requests("/model");
    let gap = requests[1].at - requests[0].at;
    assert!(gap >= Duration::from_secs(2), "asked again after {gap:?}");
}

#[test]
fn a_host_that_asks_for_longer_than_patience_is_reported_as_limiting() {
    let (server, _, reason) = one(|_| Reply::Status(429, vec![("RateLimit", "\"api\";r=0;t=3600".into())]));
    assert_eq!((reason, server.requests("/model").len()), (Some(Reason::RateLimited), 1));
}

#[test]
fn a_server_that_is_down_for_a_while_is_waited_for() {
    let (mut server, volume) = (Server::down(), Volume::new());
    let body = bytes(1, SIZE);
    server.put("/model", body.clone(), |_| Reply::Good);
    let wanted = content(&server.url("/model"), &body);
    std::thread::scope(|scope| {
        let run = scope.spawn(|| volume.fetch(vec![wanted], &options()));
        // Long enough for several refused connections.
        std::thread::sleep(Duration::from_millis(1200));
        server.listen();
        run.join().unwrap().unwrap();
    });
    assert_eq!(volume.published(0).as_ref(), Some(&body));
}

#[test]
fn content_of_unknown_size_is_fetched_with_and_without_ranges() {
    for reply in [Reply::Good, Reply::NoRanges, Reply::NoLength] {
        for size in [0, 1, SIZE / 2] {
            let (server, volume) = (Server::start(), Volume::new());
            let body = bytes(3, size);
            let reply = reply.clone();
            server.put_tagged("/file", body.clone(), Some("v1"), move |_| reply.clone());
            let mut wanted = content(&server.url("/file"), &body);
            wanted.size = None;
            wanted.digest = None;
            wanted.origin.validator = Some("v1".into());
            volume.fetch(vec![wanted], &options()).unwrap();
            assert_eq!(volume.published(0).as_ref(), Some(&body));
            let shown = volume.progress.snapshot();
            assert_eq!((shown.bytes_done, shown.bytes_total), (size as u64, size as u64));
        }
    }
}

#[test]
fn content_that_is_no_longer_the_pinned_one_is_refused() {
    let (server, volume) = (Server::start(), Volume::new());
    let body = bytes(3, SIZE);
    server.put_tagged("/file", body.clone(), Some("v2"), |_| Reply::Good);
    let mut wanted = content(&server.url("/file"), &body);
    wanted.digest = None;
    wanted.origin.validator = Some("v1".into());
    let error = volume.fetch(vec![wanted], &options()).unwrap_err();
    assert_eq!(error.reason(), Reason::ChecksumMismatch);
    assert!(error.to_string().contains("v1") && error.to_string().contains("v2"), "{error}");
}

#[test]
fn a_git_file_is_verified_by_its_git_name() {
    let (server, volume) = (Server::start(), Volume::new());
    let name = modelcache::agent::fetch::unhex("ce013625030ba8dba906f756967f9e9ca394464a").unwrap();
    server.put("/hello", b"hello\n".to_vec(), |_| Reply::Good);
    let mut wanted = content(&server.url("/hello"), b"hello\n");
    wanted.digest = Some(Digest::GitBlob(name.try_into().unwrap()));
    volume.fetch(vec![wanted.clone()], &options()).unwrap();
    assert_eq!(volume.published(0).as_deref(), Some(&b"hello\n"[..]));
    wanted.digest = Some(Digest::GitBlob([0; 20]));
    let error = volume.fetch(vec![wanted], &options()).unwrap_err();
    assert_eq!(error.reason(), Reason::ChecksumMismatch);
}

#[test]
fn one_bad_file_does_not_spoil_the_others() {
    let (server, volume) = (Server::start(), Volume::new());
    let good = bytes(1, SIZE);
    server.put("/good", good.clone(), |_| Reply::Good);
    let gate = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let open = Arc::clone(&gate);
    server.put("/bad", vec![0; 10], move |_| {
        // Only after the other is there; until then it is merely slow to say so.
        if open.load(std::sync::atomic::Ordering::SeqCst) { status(404) } else { status(503) }
    });
    let contents = vec![content(&server.url("/good"), &good), content(&server.url("/bad"), &[0; 10])];
    std::thread::scope(|scope| {
        let run = scope.spawn(|| volume.fetch(contents, &options()));
        until("the good file is published", || volume.path().join("0").exists());
        gate.store(true, std::sync::atomic::Ordering::SeqCst);
        assert_eq!(run.join().unwrap().unwrap_err().reason(), Reason::NotFound);
    });
    assert_eq!(volume.published(0).as_ref(), Some(&good));
    assert_eq!(volume.published(1), None);
}

#[test]
fn a_call_to_the_api_has_the_same_manners() {
    use modelcache::agent::fetch::{ClientOptions, HttpClient};
    let server = Server::start();
    server.put("/api", b"{}".to_vec(), |request| if request.nth == 0 { status(502) } else { Reply::Good });
    server.put("/gated", vec![], |_| Reply::Status(403, vec![("X-Error-Code", "GatedRepo".into())]));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let client = HttpClient::new(&ClientOptions { proxy_from_env: false, ..ClientOptions::default() }).unwrap();
    let get = |path: &str, limit| {
        let origin = content(&server.url(path), &[]).origin;
        runtime.block_on(client.get("listing", &origin, "application/json", limit, &options()))
    };
    assert_eq!(get("/api", 10).unwrap().body, "{}");
    assert_eq!(get("/api", 1).unwrap_err().reason(), Reason::Unreachable);
    assert_eq!(get("/gated", 10).unwrap_err().reason(), Reason::Gated);
    assert_eq!(get("/missing", 10).unwrap_err().reason(), Reason::NotFound);
}
