//! Waits: on a condition, with a deadline, never a bare sleep.

use std::time::{Duration, Instant};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(200);
/// What one look and the pause after it count for at most: a machine that stood still waited for nothing.
const LOOK: Duration = Duration::from_secs(2);

/// Looks again and again until `look` gives a value. Panics with the last thing it said when the time is over.
pub async fn until<T, F>(what: &str, deadline: Duration, mut look: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, String>>,
{
    let mut waited = Duration::ZERO;
    loop {
        let begun = Instant::now();
        match look().await {
            Ok(value) => return value,
            Err(said) if waited > deadline => panic!("waited {deadline:?} for {what}: {said}"),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
        waited += begun.elapsed().min(LOOK);
    }
}

/// Panics if `look` finds something wrong at any moment of the time.
pub async fn throughout<F>(what: &str, time: Duration, mut look: impl FnMut() -> F)
where
    F: Future<Output = Result<(), String>>,
{
    let started = Instant::now();
    while started.elapsed() < time {
        if let Err(said) = look().await {
            panic!("{what} after {:?}: {said}", started.elapsed());
        }
        tokio::time::sleep(PAUSE).await;
    }
}
