//! One connection: a thread that asks the board for work until there is none.
//!
//! A lane reads the network, writes the file and may hash, all on its own thread with a runtime of its own: no byte
//! changes threads, a slow disk slows down only the connection that meets it, and the caller's runtime stays free.

use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    active::Claim,
    board::{Lane, Next},
    crew::Crew,
    error::FetchError,
    http::Http,
    options::SMALL,
    part::fetch_part,
    pause::fraction,
    run::Run,
};

/// Over how long the first requests of a run are spread.
const JITTER: Duration = Duration::from_millis(20);

/// The life of a connection.
pub(super) fn work(run: &Arc<Run>, lane: Lane) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .thread_keep_alive(Duration::from_secs(1)) // threads for name lookups
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return run.fail(FetchError::io("starting a runtime", error)),
    };
    let http = run.client.for_lane();
    let mut stop = run.stop.subscribe();
    runtime.block_on(async {
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => {}
            () = serve(run, &http, lane) => {}
        }
    });
    // A name lookup under way is not waited for.
    runtime.shutdown_background();
}

async fn serve(run: &Arc<Run>, http: &Http, lane: Lane) {
    let mut first = true;
    loop {
        let mut changed = pin!(run.board.changed.notified());
        changed.as_mut().enable();
        let now = Instant::now();
        if let Lane::Any { number } = lane
            && number >= run.crew.allowed(now, run.progress.snapshot().bytes_fetched)
            && !run.board.has_only_small()
        {
            let _ = tokio::time::timeout_at(Crew::look_again(now).into(), changed).await;
            continue;
        }
        let (active, ticket) = match run.board.next(run.ask(lane, now)) {
            Next::Done => return,
            Next::Open(unit) => match run.open(unit) {
                Err(error) => return run.fail(error),
                // Small content is fetched by who opened it; of a large one there is enough for everybody.
                Ok(active) if active.is_small() => match active.claim(now, SMALL) {
                    Claim::Range(ticket) => (active, ticket),
                    Claim::Later(_) | Claim::Nothing => continue,
                },
                Ok(_) => continue,
            },
            Next::Fetch(active, ticket) => (active, ticket),
            Next::Wait(None) => {
                changed.await;
                continue;
            }
            Next::Wait(Some(until)) => {
                let _ = tokio::time::timeout_at(until.into(), changed).await;
                continue;
            }
        };
        if std::mem::take(&mut first) && lane != (Lane::Any { number: 0 }) {
            // Not all connections of a run, nor all nodes of a cluster, shake hands in the same moment.
            tokio::time::sleep(JITTER.mul_f64(fraction())).await;
        }
        match fetch_part(run, http, &active, &ticket).await {
            Ok(()) => active.release(&ticket, None),
            Err(trouble) => run.settle(&active, Some(&ticket), trouble),
        }
    }
}
