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
    board::{Lane, Next},
    crew::Crew,
    error::FetchError,
    part::fetch_part,
    run::Run,
};

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
    let http = match run.client.for_lane() {
        Ok(http) => http,
        Err(error) => return run.fail(FetchError::io("HTTP client", std::io::Error::other(error))),
    };
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

async fn serve(run: &Arc<Run>, http: &reqwest::Client, lane: Lane) {
    loop {
        let mut changed = pin!(run.board.changed.notified());
        changed.as_mut().enable();
        if let Lane::Any { number } = lane {
            let now = Instant::now();
            if number >= run.crew.allowed(now, run.progress.snapshot().bytes_fetched) && !run.board.is_done() {
                let _ = tokio::time::timeout_at(Crew::look_again(now).into(), changed).await;
                continue;
            }
        }
        match run.board.next(lane, run.progress.remaining()) {
            Next::Done => return,
            Next::Open(index) => {
                if let Err(error) = run.open(index) {
                    return run.fail(error);
                }
            }
            Next::Fetch(active, range) => match fetch_part(run, http, &active, range.clone()).await {
                Ok(()) => active.release(&range, None),
                Err(trouble) => run.settle(&active, Some(&range), trouble),
            },
            Next::Wait(None) => changed.await,
            Next::Wait(Some(until)) => {
                let _ = tokio::time::timeout_at(until.into(), changed).await;
            }
        }
    }
}
