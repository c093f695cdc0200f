//! A hub server of our own, for demo and tests: `hub --help`.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a program of tests")]

#[path = "mod.rs"]
mod hub;

use clap::Parser;
use std::net::SocketAddr;

/// Speaks the Hugging Face hub's protocol, with content made on demand.
///
/// Serves `demo/tiny-llm` (about 10 MB, loads with transformers), and what `--repo` and `--file` add. Tokens `hf_reader`
/// (sees private repositories) and `hf_granted` (also gated ones) are known.
#[derive(Parser)]
#[command(name = "hub", after_help = hub::control::HELP)]
struct Arguments {
    /// Address and port of the hub.
    #[arg(long, default_value = "127.0.0.1:8090")]
    listen: SocketAddr,
    /// Address and port of the file server that large files are redirected to. [default: the hub's address, next port]
    #[arg(long)]
    files_listen: Option<SocketAddr>,
    /// Host name of the file server in signed URLs; clients must reach it, and it should differ from the hub's. [default:
    /// the address of --files-listen, and the hub's own when that is 0.0.0.0]
    #[arg(long, default_value = "")]
    files_host: String,
    /// A repository: `[dataset:|space:]org/name=FILE:SIZE,…[;private][;gated][;seed=N]`; `FILE@N:SIZE` makes N files.
    #[arg(long)]
    repo: Vec<String>,
    /// A plain file at `/files/NAME`: `name=a.bin&size=10Mi&seed=1&etag=strong|weak|none&ranges=true`.
    #[arg(long)]
    file: Vec<String>,
    /// One more token that is known, with the grant for gated repositories.
    #[arg(long)]
    token: Vec<String>,
}

fn main() {
    let arguments = Arguments::parse();
    let next = SocketAddr::new(arguments.listen.ip(), arguments.listen.port() + 1);
    let files = arguments.files_listen.unwrap_or(next);
    let server = hub::Hub::start_at(&hub::Listen { hub: arguments.listen, files, files_host: arguments.files_host });
    for spec in &arguments.repo {
        println!("{spec}: {}", server.repo(spec));
    }
    for file in &arguments.file {
        println!("{file}: {}", server.control(&format!("file?{file}")));
    }
    for token in &arguments.token {
        server.control(&format!("token?token={token}"));
    }
    println!("hub at {}, files at {files}", server.url);
    loop {
        std::thread::park();
    }
}
