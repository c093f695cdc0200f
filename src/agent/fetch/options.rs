//! How a run behaves: limits, windows and patience.

use std::time::Duration;

/// One mebibyte.
pub(super) const MIB: u64 = 1 << 20;

/// Content up to this size is fetched in one request and has no journal: after a kill it is cheaper to fetch again.
pub(super) const SMALL: u64 = MIB;

/// How a run behaves. `Default` is right for a warm-up; fields are what people may want to change.
#[derive(Clone, Debug)]
pub struct FetchOptions {
    /// Connections that fetch parts of large content. As many again fetch small content, whose cost is latency.
    pub connections: usize,
    /// Largest range asked for in one request, in bytes. Near the end of a run parts get smaller, so that no
    /// connection idles while another has a whole part to go.
    pub part_size: u64,
    /// Bytes that may be written and not yet on the disk. Bounds dirty page cache, which counts against a
    /// container's memory, and what a kill can lose.
    pub dirty_window: u64,
    /// A stream slower than this many bytes per second over `stall_after` is dropped, its remainder asked for again.
    pub stall_rate: u64,
    /// See `stall_rate`. Also how long an answer's header may take.
    pub stall_after: Duration,
    /// Transient faults of one content are ridden out for as long as this without a byte of it arriving.
    pub give_up_after: Duration,
    /// First wait after a fault; doubles with each one that follows without progress.
    pub backoff_start: Duration,
    /// Longest wait after a fault.
    pub backoff_cap: Duration,
    /// What the volume may hold in all, in bytes. `None`: as much as fits.
    pub budget_bytes: Option<u64>,
    /// What the volume holds already against the budget, in bytes, without anything in staging.
    pub used_bytes: u64,
    /// What must stay free on the file system, in bytes.
    pub min_free_bytes: u64,
    /// Bytes per second that the run may take from the network.
    pub max_bandwidth: Option<u64>,
}

impl Default for FetchOptions {
    fn default() -> Self {
        Self {
            connections: 16,
            part_size: 16 * MIB,
            dirty_window: 32 * MIB,
            stall_rate: 16 * 1024,
            stall_after: Duration::from_secs(20),
            give_up_after: Duration::from_secs(600),
            backoff_start: Duration::from_millis(250),
            backoff_cap: Duration::from_secs(15),
            budget_bytes: None,
            used_bytes: 0,
            min_free_bytes: 0,
            max_bandwidth: None,
        }
    }
}
