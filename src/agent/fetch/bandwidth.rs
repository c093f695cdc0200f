//! Taking no more from the network than one was told to.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use super::lock::lock;

/// A limit shared by all connections of a run.
#[derive(Debug)]
pub(super) struct Bandwidth {
    bytes_per_second: Option<u64>,
    free_at: Mutex<Instant>,
}

impl Bandwidth {
    pub(super) fn new(bytes_per_second: Option<u64>) -> Self {
        Self { bytes_per_second: bytes_per_second.filter(|rate| *rate > 0), free_at: Mutex::new(Instant::now()) }
    }

    /// Waits until bytes that were just read are within the limit; not reading on is what slows the sender down.
    pub(super) async fn take(&self, bytes: u64) {
        let Some(rate) = self.bytes_per_second else { return };
        let nanos = u64::try_from(u128::from(bytes) * 1_000_000_000 / u128::from(rate)).unwrap_or(u64::MAX);
        let wait = {
            let now = Instant::now();
            let mut free_at = lock(&self.free_at);
            *free_at = (*free_at).max(now) + Duration::from_nanos(nanos);
            free_at.duration_since(now)
        };
        tokio::time::sleep(wait).await;
    }
}
