//! How fast, how many at a time, and what is done about connections that do not keep up.

use std::time::{Duration, Instant};

use modelcache::agent::fetch::FetchOptions;

use crate::{
    origin::{Reply, Server, bytes, content},
    volume::{Volume, options, undisturbed},
};

const MIB: usize = 1 << 20;

fn sixteen() -> FetchOptions {
    FetchOptions { connections: 16, part_size: 2 << 20, ..options() }
}

/// Fetches one file of this many MiB; gives how long it took.
fn one(
    server: &Server,
    mebibytes: usize,
    options: &FetchOptions,
    reply: impl Fn(&crate::origin::Request) -> Reply + Send + Sync + 'static,
) -> Duration {
    let volume = Volume::new();
    let body = bytes(1, mebibytes * MIB);
    server.put("/model", body.clone(), reply);
    let wanted = content(&server.url("/model"), &body);
    let started = Instant::now();
    volume.fetch(vec![wanted], options).unwrap();
    let took = started.elapsed();
    assert!(volume.published(0).is_some_and(|published| published == body));
    took
}

#[test]
fn slow_connections_are_all_used_to_the_end() {
    undisturbed(|| {
        let server = Server::start();
        // Little enough for the connections to be what takes the time, not the machine.
        let options = FetchOptions { part_size: 1 << 19, ..sixteen() };
        let took = one(&server, 16, &options, |_| Reply::Slow(1 << 19));
        // Two seconds if all sixteen are busy all the time.
        assert!(took < Duration::from_millis(3600), "{took:?}");
        assert_eq!(server.most_at_once(), 16);
    });
}

#[test]
fn a_host_is_asked_no_more_at_a_time_than_allowed() {
    let server = Server::start();
    one(&server, 16, &FetchOptions { connections: 3, ..sixteen() }, |_| Reply::Slow(4 << 20));
    assert_eq!(server.most_at_once(), 3);
}

#[test]
fn a_host_that_says_too_many_is_asked_by_fewer_from_then_on() {
    undisturbed(|| {
        for refusal in [429, 503] {
            let server = Server::start();
            // Whoever asks after the first sixteen is told that it was too many, once.
            let took = one(&server, 48, &sixteen(), move |request| match request.nth {
                14 if refusal == 429 => Reply::Status(429, vec![("Retry-After", "1".into())]),
                14 => Reply::Status(503, vec![]),
                _ => Reply::Slow(4 << 20),
            });
            assert!(server.most_at_once() >= 14);
            assert!(took < Duration::from_secs(10), "{took:?}");
            let asked = server.requests("/model");
            let refused = asked[14].at;
            // Those under way end first; then it is half as many.
            let parts = asked
                .iter()
                .filter(|request| request.at > refused && request.at < refused + Duration::from_millis(1200));
            let parts = parts.count();
            assert!(parts <= 26, "{refusal}: {parts} requests in the second after it");
        }
    });
}

#[test]
fn an_answer_that_says_nothing_is_left_is_the_last_until_the_window_ends() {
    let server = Server::start();
    let options = FetchOptions { connections: 4, part_size: 1 << 20, ..options() };
    one(&server, 6, &options, |request| match request.nth {
        1 => Reply::With(vec![
            ("RateLimit", "\"resolvers\";r=0;t=1".into()),
            ("RateLimit-Policy", "\"resolvers\";q=9;w=300".into()),
        ]),
        _ => Reply::Good,
    });
    let mut times: Vec<_> = server.requests("/model").iter().map(|request| request.at).collect();
    times.sort_unstable();
    let longest = times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    assert!(longest >= Duration::from_millis(1500), "{longest:?}");
}

#[test]
fn a_slow_connection_is_helped_by_those_with_nothing_left_to_do() {
    undisturbed(|| {
        let server = Server::start();
        let options = FetchOptions { connections: 4, part_size: 8 << 20, ..sixteen() };
        let took =
            one(&server, 24, &options, |request| if request.nth == 1 { Reply::Slow(400 << 10) } else { Reply::Good });
        // Alone it would need more than ten seconds for its part.
        assert!(took < Duration::from_secs(6), "{took:?}");
        assert!(server.sent() < 28 << 20, "{} bytes for 24 MiB", server.sent());
    });
}

#[test]
fn a_silent_connection_does_not_hold_up_the_end() {
    undisturbed(|| {
        let server = Server::start();
        let options = FetchOptions { stall_after: Duration::from_secs(8), ..sixteen() };
        let took =
            one(&server, 12, &options, |request| if request.nth == 2 { Reply::Hang(300_000) } else { Reply::Good });
        assert!(took < Duration::from_secs(5), "{took:?}");
    });
}

#[test]
fn a_bandwidth_limit_is_met_whatever_the_number_of_connections() {
    undisturbed(|| {
        let server = Server::start();
        for connections in [1, 16] {
            let options = FetchOptions { max_bandwidth: Some(8 << 20), connections, ..sixteen() };
            let took = one(&server, 16, &options, |_| Reply::Good).as_secs_f64();
            // The upper bound leaves room for a machine that has other things to do.
            assert!((1.8..4.0).contains(&took), "16 MiB at 8 MiB/s over {connections} connections took {took} s");
        }
    });
}
