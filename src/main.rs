//! The `modelcache` binary.
use clap::Parser;
#[derive(Parser)]
enum Cli {
    Operator(modelcache::operator::OperatorOptions),
}
fn main() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    tracing_subscriber::fmt().with_env_filter("info").init();
    let Cli::Operator(options) = Cli::parse();
    tokio::runtime::Runtime::new().unwrap().block_on(async { modelcache::operator::run(options).await.unwrap() });
}
