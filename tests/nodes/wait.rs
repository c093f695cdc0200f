//! Waits: on a condition, with a deadline, never a bare sleep.

use std::time::{Duration, Instant};

/// Looks again and again until `look` gives a value. Panics with the last thing it said when the time is over.
pub async fn until<T, F>(what: &str, deadline: Duration, mut look: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, String>>,
{
    let started = Instant::now();
    loop {
        match look().await {
            Ok(value) => return value,
            Err(said) if started.elapsed() > deadline => panic!("waited {deadline:?} for {what}: {said}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
        }
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
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
