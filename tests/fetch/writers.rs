//! Two writers on one volume: the later attempt has it, at once, and the result is right.

use std::sync::Arc;

use modelcache::agent::fetch::{Reason, Writer};

use crate::{
    origin::{Reply, Server, bytes, content},
    volume::{Volume, fetch_onto, options, until},
};

fn attempt(number: u64) -> Writer {
    Writer::Attempt { owner: "replica-uid".into(), number }
}

#[test]
fn a_later_attempt_takes_over_from_one_that_still_runs() {
    let (server, volume) = (Server::start(), Volume::new());
    let body = bytes(1, 8 << 20);
    server.put("/model", body.clone(), |request| if request.nth == 3 { Reply::Hang(1000) } else { Reply::Good });
    let wanted = || vec![content(&server.url("/model"), &body)];
    let options = options();
    std::thread::scope(|scope| {
        let old = scope.spawn(|| fetch_onto(volume.path(), attempt(1), wanted(), &options, &Arc::default()));
        until("the first attempt hangs", || server.requests("/model").len() > 3);
        fetch_onto(volume.path(), attempt(2), wanted(), &options, &Arc::default()).unwrap();
        assert_eq!(old.join().unwrap().unwrap_err().reason(), Reason::Superseded);
    });
    assert_eq!(volume.published(0).as_ref(), Some(&body));
    let late = fetch_onto(volume.path(), attempt(1), wanted(), &options, &Arc::default()).unwrap_err();
    assert_eq!(late.reason(), Reason::Superseded);
}
