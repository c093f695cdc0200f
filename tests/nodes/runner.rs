//! Which scenarios run, in which order, and how did each end?

use crate::world::World;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, stream};
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A promise, and how it is put to the test.
pub struct Scenario {
    pub name: &'static str,
    pub turn: Turn,
    pub run: fn(Arc<World>) -> BoxFuture<'static, ()>,
}

/// When a scenario runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// By itself, before all others: it takes the time of something, and what others leave behind would be measured too.
    First,
    /// Side by side with others.
    Beside,
    /// By itself, after the others: it changes nodes, the operator, or counts everybody's writes.
    Alone,
}

/// `scenario!(a_promise_as_a_function)`, `scenario!(first …)`, `scenario!(alone …)`
#[macro_export]
macro_rules! scenario {
    (first $function:ident) => {
        scenario!(@ First, $function)
    };
    (alone $function:ident) => {
        scenario!(@ Alone, $function)
    };
    (@ $turn:ident, $function:ident) => {
        $crate::runner::Scenario {
            name: stringify!($function),
            turn: $crate::runner::Turn::$turn,
            run: |world| Box::pin($function(world)),
        }
    };
    ($function:ident) => {
        scenario!(@ Beside, $function)
    };
}

/// Scenarios that run side by side.
const PARALLEL: usize = 4;
/// A scenario that takes longer has failed. Its waits have their own deadlines and say what they waited for.
const DEADLINE: Duration = Duration::from_secs(1800);

/// Waits for another run of this suite on the machine: both would use the cluster of one name.
fn lock() -> std::fs::File {
    let file = std::fs::File::create(std::env::temp_dir().join("modelcache-nodes-suite.lock")).unwrap();
    file.lock().unwrap();
    file
}

pub fn run(scenarios: Vec<Scenario>) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&String> = arguments.iter().filter(|it| !it.starts_with("--")).collect();
    let mut chosen: Vec<Scenario> =
        scenarios.into_iter().filter(|it| words.iter().all(|word| it.name.contains(word.as_str()))).collect();
    if arguments.iter().any(|it| it == "--list") {
        for scenario in &chosen {
            println!("{}: test", scenario.name);
        }
        return ExitCode::SUCCESS;
    }
    // Scenarios run kubectl and wait for it: each may hold up a thread, and no other scenario.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2 * PARALLEL).enable_all().build().unwrap();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let _alone = lock();
    println!("\nrunning {} tests", chosen.len());
    let failed = runtime.block_on(async {
        let world = Arc::new(World::start(arguments.iter().any(|it| it == "--keep")).await);
        let mut results = vec![];
        for (turn, parallel) in [(Turn::First, 1), (Turn::Beside, PARALLEL), (Turn::Alone, 1)] {
            let (now, later): (Vec<_>, Vec<_>) = chosen.into_iter().partition(|it| it.turn == turn);
            chosen = later;
            let ran = stream::iter(now).map(|it| one(it, world.clone())).buffer_unordered(parallel);
            results.extend(ran.collect::<Vec<bool>>().await);
        }
        let granted = world.clone();
        let whole = words.is_empty();
        // What the operator did in all scenarios is what its role must grant, and little more.
        let rights = tokio::task::spawn_blocking(move || crate::rights::check(&granted, whole)).await;
        results.push(rights.is_ok());
        results
    });
    let (passed, failed): (Vec<bool>, Vec<bool>) = failed.into_iter().partition(|it| *it);
    let verdict = if failed.is_empty() { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {verdict}. {} passed; {} failed; 0 ignored; 0 measured; 0 filtered out\n",
        passed.len(),
        failed.len()
    );
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn one(scenario: Scenario, world: Arc<World>) -> bool {
    let started = Instant::now();
    let run =
        tokio::spawn(AssertUnwindSafe(tokio::time::timeout(DEADLINE, (scenario.run)(world.clone()))).catch_unwind());
    let ended = run.await;
    let took = started.elapsed().as_secs_f64();
    match ended {
        Ok(Ok(Ok(()))) => {
            println!("test {} ... ok ({took:.1}s)", scenario.name);
            true
        }
        other => {
            let why = if matches!(other, Ok(Ok(Err(_)))) { "took too long" } else { "panicked, see above" };
            println!("test {} ... FAILED ({took:.1}s): {why}", scenario.name);
            world.describe(scenario.name);
            false
        }
    }
}
