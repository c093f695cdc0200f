//! Killed at a hundred random moments: nothing wrong is ever seen, and the end is the same.
//!
//! Nothing here is about one step: the moments lie over the whole of a run, from its start to the last word, and over
//! what a run does after everything was fetched once more, since that takes a small part of the time.

use crate::bench::{Bench, paths, until};
use crate::hub::content::{Content, hex};
use serde_json::json;
use sha1::{Digest as _, Sha1};
use sha2::Sha256;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Kills that are wanted, each of a process that was there to be killed.
const KILLS: usize = 100;
/// How many runs each kill may take: one that was quicker than its moment was not killed.
const TRIES: usize = 6;

/// Random moments, and how many of them found a process.
pub struct Moments {
    state: u64,
    /// What a failed test is repeated with.
    pub seed: u64,
    pub killed: usize,
    wanted: usize,
    tried: usize,
}

impl Moments {
    pub fn new(wanted: usize) -> Self {
        let seed = u64::from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos());
        Self { state: seed, seed, killed: 0, wanted, tried: 0 }
    }

    pub fn to_come(&self) -> bool {
        self.killed < self.wanted
    }

    /// The next number, by splitmix64.
    pub fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Kills a process at a random moment within this time from now. False when it had ended before.
    pub fn strike(&mut self, child: &mut Child, within: Duration) -> bool {
        self.tried += 1;
        let Self { seed, killed, tried, wanted, .. } = *self;
        assert!(tried <= wanted * TRIES, "seed {seed}: {killed} of {tried} runs were there to be killed");
        let within = u64::try_from(within.as_micros()).unwrap().max(1);
        let at = Instant::now() + Duration::from_micros(self.number() % within);
        while Instant::now() < at && child.try_wait().unwrap().is_none() {
            std::thread::sleep(at.saturating_duration_since(Instant::now()).min(Duration::from_millis(1)));
        }
        let _ = child.kill();
        let killed = child.wait().unwrap().signal() == Some(9);
        self.killed += usize::from(killed);
        killed
    }
}

/// Whether a file's bytes are these.
pub fn is(path: &Path, content: &Content) -> bool {
    std::fs::read(path).is_ok_and(|bytes| hex(&Sha256::digest(bytes)) == content.hashes().sha256)
}

/// How far a killed run was, by what it left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    NothingYet,
    Fetching,
    Links,
    Branch,
    Complete,
}

/// One volume that is killed at, with all that its branch has been.
struct Victim {
    bench: Bench,
    /// Files of each commit.
    commits: BTreeMap<String, BTreeMap<String, Content>>,
    wanted: String,
    /// What the volume said to be complete before that.
    before: Option<String>,
}

impl Victim {
    fn new() -> Self {
        let bench = Bench::new();
        bench.hub.repo("org/x=large.bin:6Mi,b/c.bin:1Mi,deep/er/tokenizer.json:70Ki,small.json@12:300");
        bench.cache(&[bench.repo("x", "org/x", &json!({}))]);
        bench.hub.control("throttle?bytesPerSecond=8000000");
        let mut victim = Self { bench, commits: BTreeMap::new(), wanted: String::new(), before: None };
        victim.look_at_hub();
        victim
    }

    fn look_at_hub(&mut self) {
        let inner = self.bench.hub.state.lock();
        let repo = inner.repos.values().find(|it| it.id == "org/x").unwrap();
        self.commits.clone_from(&repo.commits);
        self.wanted.clone_from(&repo.refs["main"]);
    }

    /// From now on every file is another.
    fn moves_on(&mut self) {
        self.before = self.bench.current();
        self.bench.hub.control("move?repo=org/x");
        self.look_at_hub();
    }

    fn start(&self) -> Child {
        self.bench.start(&["prefetch", "--refresh"])
    }

    /// Whether a run has come to the links of what is wanted now.
    fn has_links(&self) -> bool {
        self.bench.snapshot("org/x", &self.wanted, "").exists()
    }

    /// What an undisturbed run takes, and what it takes from its first link on.
    fn undisturbed(&self) -> (Duration, Duration) {
        let started = Instant::now();
        let mut child = self.start();
        until("there is a link", || self.has_links());
        let linked = Instant::now();
        assert!(child.wait().unwrap().success());
        (started.elapsed(), linked.elapsed())
    }

    /// Whatever a reader finds is right.
    fn nothing_wrong_is_seen(&self, when: &str) {
        let repository = self.bench.volume().join("huggingface/hub/models--org--x");
        for name in paths(&repository.join("blobs")) {
            let bytes = std::fs::read(repository.join("blobs").join(&name)).unwrap();
            let hash = if name.len() == 64 {
                hex(&Sha256::digest(&bytes))
            } else {
                hex(&Sha1::digest([format!("blob {}\0", bytes.len()).as_bytes(), &bytes].concat()))
            };
            assert_eq!(hash, name, "{when}");
        }
        for (commit, files) in &self.commits {
            let snapshot = repository.join("snapshots").join(commit);
            for path in paths(&snapshot).iter().filter(|it| !snapshot.join(it).is_dir()) {
                assert!(files.get(path).is_some_and(|it| is(&snapshot.join(path), it)), "{when}: {commit} {path}");
            }
        }
        let branch = self.bench.main("org/x");
        if !branch.is_empty() {
            self.is_whole(&branch, when);
        }
        // Our own word, and who trusts it. What verify finds damaged is no longer called complete, so this is looked at before.
        let current = self.bench.current();
        if current.is_some() {
            assert!(!branch.is_empty(), "{when}");
            let ran = self.bench.run(&["verify"]);
            // Between its branch and its manifest a new revision is whole, as was seen above, and verify knows the old one.
            let damage = ran.one()["damage"].as_array().cloned().unwrap_or_default();
            let between = branch == self.wanted && current == self.before;
            let is_branch = damage.len() == 1 && damage[0]["kind"] == "ref";
            assert!(ran.code == 0 || (between && is_branch), "{when}: {}", ran.message());
        }
    }

    /// All files of a commit are there, with their bytes.
    fn is_whole(&self, commit: &str, when: &str) {
        let files = self.commits.get(commit).unwrap_or_else(|| panic!("{when}: {commit} was never the branch"));
        for (path, content) in files {
            assert!(is(&self.bench.snapshot("org/x", commit, path), content), "{when}: {commit} {path}");
        }
    }

    fn phase(&self) -> Phase {
        let staged = paths(&self.bench.volume().join(".modelcache/studio/staging"));
        let current = self.bench.current();
        if current.is_some() && current != self.before {
            Phase::Complete
        } else if self.bench.main("org/x") == self.wanted {
            Phase::Branch
        } else if self.has_links() {
            Phase::Links
        } else if staged.iter().any(|it| it.contains('.') && it.len() > 40) {
            Phase::Fetching
        } else {
            Phase::NothingYet
        }
    }

    /// The last run is left alone.
    fn ends_well(&self, when: &str) {
        self.bench.hub.control("throttle?bytesPerSecond=0");
        let ran = self.bench.run(&["prefetch", "--refresh"]);
        assert_eq!(ran.code, 0, "{when}: {:?} {}", ran.results, ran.stderr);
        assert_eq!(self.bench.main("org/x"), self.wanted, "{when}");
        self.is_whole(&self.wanted, when);
        self.nothing_wrong_is_seen(when);
        let state = paths(&self.bench.volume().join(".modelcache/studio"));
        let left: Vec<_> = state.iter().filter(|it| it.ends_with("/new") || it.len() > 60).collect();
        assert!(left.is_empty(), "{when}: {left:?}");
    }
}

/// So many kills of one volume, and how far each run was.
fn killed_at_random(kills: usize) -> BTreeMap<Phase, usize> {
    let (mut victim, mut moments, mut phases) = (Victim::new(), Moments::new(kills), BTreeMap::new());
    let (whole, last) = victim.undisturbed();
    victim.moves_on();
    while moments.to_come() {
        let mut child = victim.start();
        // Every third is aimed at what comes after the fetching.
        let aimed = moments.number() % 3 == 0;
        if aimed {
            until("links or the end", || victim.has_links() || child.try_wait().unwrap().is_some());
        }
        let killed = moments.strike(&mut child, if aimed { last } else { whole });
        let when = format!("seed {}, after {} kills", moments.seed, moments.killed);
        if killed {
            *phases.entry(victim.phase()).or_default() += 1;
        }
        victim.nothing_wrong_is_seen(&when);
        if victim.phase() == Phase::Complete {
            victim.is_whole(&victim.wanted, &when);
            victim.moves_on();
            // Sometimes there is no old revision.
            if moments.number() % 3 == 0 {
                std::fs::remove_dir_all(victim.bench.volume()).unwrap();
            }
        }
    }
    victim.ends_well(&format!("seed {}, the last run", moments.seed));
    phases
}

#[test]
fn killed_at_a_hundred_random_moments_nothing_wrong_is_seen_and_the_end_is_the_same() {
    let started = Instant::now();
    let lanes = 2;
    let phases: BTreeMap<Phase, usize> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..lanes).map(|_| scope.spawn(|| killed_at_random(KILLS / lanes))).collect();
        let all = all.into_iter().flat_map(|it| it.join().unwrap());
        all.fold(BTreeMap::new(), |mut sum, (phase, count)| {
            *sum.entry(phase).or_default() += count;
            sum
        })
    });
    let _ = writeln!(std::io::stderr(), "killed in {:.0} s: {phases:?}", started.elapsed().as_secs_f64());
    assert_eq!(phases.values().sum::<usize>(), KILLS);
    let met: BTreeSet<Phase> = phases.into_keys().collect();
    assert!(met.is_superset(&[Phase::NothingYet, Phase::Fetching, Phase::Links].into()), "{met:?}");
}
