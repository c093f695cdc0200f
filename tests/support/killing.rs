//! At which moments is a process killed, and how often was it really at work then?

use std::os::unix::process::ExitStatusExt as _;
use std::process::Child;
use std::time::{Duration, Instant};

/// Runs for one kill, at most: where hardly a run is there to be killed, nothing is shown.
const RUNS_FOR_A_KILL: u32 = 6;

/// So many kills, at moments all over a run: others for each kill, the same for each run of the tests.
pub struct Killing {
    wanted: u32,
    killed: u32,
    runs: u32,
    dice: u64,
    /// How long a run takes that nobody disturbs, as far as is known.
    whole: Duration,
}

impl Killing {
    /// Kills of runs that were seen to take so long.
    pub fn new(wanted: u32, seed: u64, whole: Duration) -> Self {
        Self { wanted, killed: 0, runs: 0, dice: seed, whole }
    }

    /// Which run it is, from zero; nothing once there were enough kills.
    #[track_caller]
    pub fn next(&mut self) -> Option<u32> {
        if self.killed >= self.wanted {
            return None;
        }
        let Self { wanted, killed, runs, .. } = *self;
        assert!(runs < wanted * RUNS_FOR_A_KILL, "only {killed} of {runs} runs were at work when they were killed");
        self.runs += 1;
        Some(runs)
    }

    /// Kills it at a moment of its run. Whether it was at work.
    pub fn kill(&mut self, mut child: Child) -> bool {
        // A little beyond the end, so that the end is among the moments.
        let range = u64::try_from(self.whole.as_nanos()).unwrap() * 21 / 20;
        let (begun, after) = (Instant::now(), Duration::from_nanos(self.below(range)));
        let over = loop {
            let left = after.saturating_sub(begun.elapsed());
            if left.is_zero() || child.try_wait().unwrap().is_some() {
                break begun.elapsed();
            }
            std::thread::sleep(left.min(Duration::from_millis(1)));
        };
        let _ = child.kill();
        let killed = child.wait().unwrap().signal() == Some(9);
        self.killed += u32::from(killed);
        // Runs get quicker and slower with what else the machine does.
        self.whole = if killed { self.whole.mul_f64(1.02) } else { (self.whole + over) / 2 };
        killed
    }

    fn below(&mut self, bound: u64) -> u64 {
        // <https://en.wikipedia.org/wiki/Xorshift>
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        self.dice % bound.max(1)
    }
}
