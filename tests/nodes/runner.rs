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
    /// Nothing else may run meanwhile: it changes nodes, the operator, or counts everybody's writes.
    pub alone: bool,
    pub run: fn(Arc<World>) -> BoxFuture<'static, ()>,
}

/// `scenario!(alone a_promise_as_a_function)`
#[macro_export]
macro_rules! scenario {
    (alone $function:ident) => {
        $crate::runner::Scenario { name: stringify!($function), alone: true, run: |world| Box::pin($function(world)) }
    };
    ($function:ident) => {
        $crate::runner::Scenario { name: stringify!($function), alone: false, run: |world| Box::pin($function(world)) }
    };
}

/// Scenarios that run side by side.
const PARALLEL: usize = 4;
/// A scenario that takes longer has failed.
const DEADLINE: Duration = Duration::from_secs(300);

pub fn run(scenarios: Vec<Scenario>) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&String> = arguments.iter().filter(|it| !it.starts_with("--")).collect();
    let chosen: Vec<Scenario> =
        scenarios.into_iter().filter(|it| words.iter().all(|word| it.name.contains(word.as_str()))).collect();
    if arguments.iter().any(|it| it == "--list") {
        for scenario in &chosen {
            println!("{}: test", scenario.name);
        }
        return ExitCode::SUCCESS;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let _ = rustls::crypto::ring::default_provider().install_default();
    println!("\nrunning {} tests", chosen.len());
    let failed = runtime.block_on(async {
        let world = Arc::new(World::start(arguments.iter().any(|it| it == "--keep")).await);
        let (alone, beside): (Vec<_>, Vec<_>) = chosen.into_iter().partition(|it| it.alone);
        let mut results: Vec<bool> =
            stream::iter(beside).map(|it| one(it, world.clone())).buffer_unordered(PARALLEL).collect().await;
        for scenario in alone {
            results.push(one(scenario, world.clone()).await);
        }
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
