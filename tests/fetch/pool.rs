//! Several sources in one pool: each ends on its own, and what two of them want is fetched once.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use modelcache::agent::fetch::{FetchOptions, Place, Reason};

use crate::{
    origin::{Reply, Server, bytes, content},
    volume::{Volume, options, undisturbed},
};

const SIZE: usize = 3 * 1024 * 1024 + 17;

fn status(status: u16) -> Reply {
    Reply::Status(status, Vec::new())
}

#[test]
fn a_source_that_cannot_be_had_ends_alone_whatever_the_reason() {
    let wrong = Arc::new(bytes(9, SIZE));
    let hasty = FetchOptions { give_up_after: Duration::from_millis(700), ..options() };
    for (reply, reason) in [
        (status(404), Reason::NotFound),
        (status(401), Reason::Unauthorized),
        (status(500), Reason::Unreachable),
        (status(429), Reason::RateLimited),
        (Reply::Bytes(wrong), Reason::ChecksumMismatch),
        (Reply::Shifted(7), Reason::ChecksumMismatch),
    ] {
        // A server each: a host that limits its rate is left alone for the sake of both.
        let (bad_server, good_server, volume) = (Server::start(), Server::start(), Volume::new());
        let (good, bad) = (bytes(1, SIZE), bytes(2, SIZE));
        good_server.put("/good", good.clone(), |_| Reply::Slow(SIZE as u64));
        let answer = reply.clone();
        bad_server.put("/bad", bad.clone(), move |_| answer.clone());
        bad_server.put("/fine", good.clone(), |_| Reply::Good);
        let groups =
            vec![vec![content(&bad_server.url("/bad"), &bad)], vec![content(&good_server.url("/good"), &good)]];
        let (seen, done) = volume.fetch_groups(groups, &hasty);
        assert_eq!(done.unwrap().files, 1, "{reply:?}");
        let failed: Vec<_> = seen.failed.iter().map(|(group, error)| (*group, error.reason())).collect();
        assert_eq!(failed, [(0, reason)], "{reply:?}");
        assert_eq!(volume.published_as(1, 0).as_ref(), Some(&good));
        assert_eq!(volume.published_as(0, 0), None);
    }
}

#[test]
fn the_end_of_a_source_stops_its_other_contents_and_keeps_what_has_arrived() {
    undisturbed(|| {
        let (server, volume) = (Server::start(), Volume::new());
        let (large, bad) = (bytes(1, 24 << 20), bytes(2, SIZE));
        server.put("/large", large.clone(), |_| Reply::Slow(4 << 20));
        server.put("/bad", bad.clone(), |_| status(404));
        server.delay(Duration::from_millis(300));
        let wanted = || vec![vec![content(&server.url("/large"), &large), content(&server.url("/bad"), &bad)]];
        let started = Instant::now();
        let (seen, done) = volume.fetch_groups(wanted(), &options());
        assert_eq!((done.unwrap().files, seen.failed.len()), (0, 1));
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
        let before = server.sent();
        assert!(before < 12 << 20, "{before}");
        server.put("/large", large.clone(), |_| Reply::Good);
        server.put("/bad", bad.clone(), |_| Reply::Good);
        assert_eq!(volume.fetch_groups(wanted(), &options()).1.unwrap().files, 2);
        assert_eq!(volume.published_as(0, 0).as_ref(), Some(&large));
    });
}

#[test]
fn what_two_sources_want_is_fetched_once_also_when_only_one_knows_how_long_it_is() {
    for known in [0, 1] {
        let (server, volume) = (Server::start(), Volume::new());
        let body = bytes(1, SIZE);
        server.put("/a", body.clone(), |_| Reply::Good);
        server.put("/b", body.clone(), |_| Reply::Good);
        let mut groups = vec![vec![content(&server.url("/a"), &body)], vec![content(&server.url("/b"), &body)]];
        groups[1 - known][0].size = None;
        let (seen, done) = volume.fetch_groups(groups, &options());
        assert_eq!(done.unwrap().fetched_bytes, SIZE as u64);
        let (a, b) = (Place { group: 0, index: 0 }, Place { group: 1, index: 0 });
        assert_eq!(seen.staged, [(a, vec![b])]);
        assert_eq!(volume.published_as(1, 0).as_ref(), Some(&body));
    }
}

#[test]
fn what_one_origin_refuses_is_asked_of_the_other_source_that_wants_it() {
    let wrong = Arc::new(bytes(9, SIZE));
    for reply in [status(403), status(404), Reply::Bytes(wrong)] {
        let (server, volume) = (Server::start(), Volume::new());
        let body = bytes(1, SIZE);
        server.put("/a", body.clone(), move |_| reply.clone());
        server.put("/b", body.clone(), |_| Reply::Good);
        let groups = vec![vec![content(&server.url("/a"), &body)], vec![content(&server.url("/b"), &body)]];
        let (seen, done) = volume.fetch_groups(groups, &options());
        assert_eq!(done.unwrap().files, 1);
        assert_eq!(seen.failed.iter().map(|(group, _)| *group).collect::<Vec<_>>(), [0]);
        assert_eq!(seen.staged, [(Place { group: 1, index: 0 }, vec![Place { group: 0, index: 0 }])]);
        assert_eq!(volume.published_as(1, 0).as_ref(), Some(&body));
    }
}

#[test]
fn a_host_that_wants_to_be_left_alone_does_not_hold_up_another() {
    undisturbed(|| {
        let (limited, free, volume) = (Server::start(), Server::start(), Volume::new());
        let (first, second) = (bytes(1, 2 * SIZE), bytes(2, SIZE));
        let wait = |request: &crate::origin::Request| match request.nth {
            0 => Reply::Status(429, vec![("Retry-After", "3".into())]),
            _ => Reply::Good,
        };
        limited.put("/model", first.clone(), wait);
        for index in 0..8 {
            free.put(&format!("/{index}"), second[index..].to_vec(), |_| Reply::Good);
        }
        let others = (0..8).map(|index| content(&free.url(&format!("/{index}")), &second[index..])).collect();
        let groups = vec![vec![content(&limited.url("/model"), &first)], others];
        let (seen, done) = volume.fetch_groups(groups, &options());
        assert_eq!((done.unwrap().files, seen.failed.len()), (9, 0));
        let asked = limited.requests("/model");
        assert!(asked[1].at - asked[0].at >= Duration::from_secs(3));
        let last = (0..8).map(|index| free.requests(&format!("/{index}")).last().unwrap().at).max().unwrap();
        assert!(last - asked[0].at < Duration::from_secs(2), "{:?}", last - asked[0].at);
    });
}

#[test]
fn a_full_disk_ends_all_sources() {
    let (server, volume) = (Server::start(), Volume::new());
    let body = bytes(1, SIZE);
    server.put("/a", body.clone(), |_| Reply::Good);
    let full = FetchOptions { min_free_bytes: u64::MAX / 2, ..options() };
    let (seen, done) = volume.fetch_groups(vec![vec![content(&server.url("/a"), &body)], vec![]], &full);
    assert_eq!(done.unwrap_err().reason(), Reason::InsufficientSpace);
    assert_eq!((seen.failed.len(), seen.staged.len()), (0, 0));
}
