//! A token is in no log, no message, no report and no file, whatever a run meets and however much it is asked to say.

use crate::bench::{Bench, bare, paths, until};
use crate::pod::{attempt, plan};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What no output may have a part of: long enough that chance does not make it.
const TOKEN: &str = "hf_Zq7xPw3RkV9tYb2NdLs5Jg8Mc4Fh6Ae1";
const PARTS: [&str; 3] = ["Zq7xPw3R", "kV9tYb2NdLs5", "Jg8Mc4Fh6Ae1"];

/// A hub that knows the token, and a private repository with a file on another host.
fn bench(granted: bool) -> Bench {
    let bench = Bench::new();
    bench.hub.control(&format!("token?token={TOKEN}&granted={granted}"));
    bench.hub.repo("org/private=large.bin:3Mi,config.json:300;private");
    bench.cache(&[with_token(&bench, "org/private")]);
    bench
}

fn with_token(bench: &Bench, repo: &str) -> Value {
    bench.repo("x", repo, &json!({"tokenSecretRef": {"name": "hf", "key": "token"}}))
}

/// A command that says as much as it can, with the token where a person has it.
fn command(bench: &Bench, arguments: &[&str], format: &str) -> Command {
    let mut command = bare(arguments);
    command.arg("-f").arg(bench.path("cache.yaml")).args(["-o", format]);
    if arguments != ["resolve"] {
        command.arg("--volumes-dir").arg(bench.path("volumes"));
    }
    command.env("HF_TOKEN", TOKEN).env("RUST_LOG", "trace").env("RUST_BACKTRACE", "1");
    command.arg("--termination-message").arg(bench.path("termination-log"));
    command
}

/// Ends with this exit code, and has not said the token.
#[track_caller]
fn ends(bench: &Bench, arguments: &[&str], code: i32) {
    for format in ["text", "json"] {
        let output = command(bench, arguments, format).output().unwrap();
        let said = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(!said.is_empty());
        says_nothing(&format!("{arguments:?} as {format}"), &said);
        left_nothing(bench);
    }
}

#[track_caller]
fn says_nothing(who: &str, said: &str) {
    for part in PARTS {
        assert!(!said.contains(part), "{who} says the token: {said}");
    }
}

/// Neither the volume, in names and in bytes, nor the report has it.
#[track_caller]
fn left_nothing(bench: &Bench) {
    for directory in [bench.path("volumes"), bench.path("termination-log")] {
        let below = if directory.is_file() { vec![String::new()] } else { paths(&directory) };
        for name in below {
            says_nothing("a name on the volume", &name);
            let path = if name.is_empty() { directory.clone() } else { directory.join(&name) };
            let link = std::fs::read_link(&path).unwrap_or_default();
            says_nothing("a link on the volume", &link.to_string_lossy());
            if path.is_file() {
                has_nothing(&path);
            }
        }
    }
}

#[track_caller]
fn has_nothing(path: &Path) {
    let bytes = std::fs::read(path).unwrap();
    for part in PARTS {
        let found = bytes.windows(part.len()).any(|it| it == part.as_bytes());
        assert!(!found, "{} has the token", path.display());
    }
}

#[test]
fn a_run_that_succeeds_and_all_that_look_at_its_work_keep_the_token_to_themselves() {
    let bench = bench(true);
    ends(&bench, &["resolve"], 0);
    ends(&bench, &["prefetch"], 0);
    ends(&bench, &["prefetch", "--refresh"], 0);
    ends(&bench, &["prefetch", "--anew"], 0);
    ends(&bench, &["verify"], 0);
    let counters = bench.hub.counters();
    assert!(counters.requests["cdn"] > 0, "nothing came from another host");
    assert_eq!((counters.authorized_cdn_requests, counters.authorized_cdn_bytes), (0, 0));
}

#[test]
fn a_run_that_is_refused_does_not_say_with_what() {
    let bench = bench(false);
    bench.hub.repo("org/gated=large.bin:1Mi;gated");
    bench.cache(&[with_token(&bench, "org/gated")]);
    ends(&bench, &["prefetch"], 11);
    bench.cache(&[with_token(&bench, "org/none")]);
    ends(&bench, &["prefetch"], 12);
    bench.hub.control(&format!("token?token={TOKEN}&known=false"));
    bench.cache(&[with_token(&bench, "org/private")]);
    ends(&bench, &["resolve"], 10);
    ends(&bench, &["prefetch"], 10);
}

#[test]
fn faults_on_the_way_are_told_without_the_token() {
    let bench = bench(true);
    // Ridden out: each is told as it comes.
    for fault in ["what=503&count=2&on=api", "what=reset&count=3", "what=429&count=1&on=resolve&retryAfter=1"] {
        let _ = std::fs::remove_dir_all(bench.volume());
        bench.hub.control(&format!("fault?{fault}"));
        ends(&bench, &["prefetch"], 0);
    }
    for (fault, code) in [("what=wrongBytes&count=1000&on=cdn", 30), ("what=401&count=1000&on=resolve", 10)] {
        let _ = std::fs::remove_dir_all(bench.volume());
        bench.hub.control("reset");
        bench.hub.control(&format!("fault?{fault}"));
        ends(&bench, &["prefetch"], code);
    }
    assert_eq!(bench.hub.counters().authorized_cdn_requests, 0);
}

/// What `/progress` and `/metrics` answer.
fn asked(address: &str, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes()).ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text)
}

#[test]
fn a_connection_that_stalls_is_told_without_the_token_and_so_is_a_run_that_is_told_to_stop() {
    let bench = bench(true);
    // Below the slowest that counts as moving.
    bench.hub.control("throttle?bytesPerSecond=2000");
    let address = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().to_string()
    };
    let mut command = command(&bench, &["prefetch"], "text");
    command.args(["--progress-address", &address, "--connections", "2"]);
    let child: Child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let arguments = std::fs::read_to_string(format!("/proc/{}/cmdline", child.id())).unwrap();
    says_nothing("its command line", &arguments);
    let cdn = || bench.hub.counters().requests.get("cdn").copied().unwrap_or_default();
    until("it fetches from the other host", || cdn() > 0);
    let asked_first = cdn();
    let started = Instant::now();
    until("a stalled part is asked for again", || cdn() > asked_first + 2);
    assert!(started.elapsed() > Duration::from_secs(1), "nothing stalled");
    for path in ["/progress", "/metrics"] {
        let answer = asked(&address, path).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        says_nothing(path, &answer);
    }
    left_nothing(&bench);
    let id = rustix::process::Pid::from_raw(child.id().cast_signed()).unwrap();
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    says_nothing("a stopped run", &String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()));
    left_nothing(&bench);
}

#[test]
fn in_a_pod_the_mounted_token_is_in_no_report() {
    let bench = bench(true);
    std::fs::create_dir_all(bench.path("secrets/x")).unwrap();
    std::fs::write(bench.path("secrets/x/token"), TOKEN).unwrap();
    let source = with_token(&bench, "org/private");
    let plan = plan(&bench, &source);
    says_nothing("the plan", &plan.to_json());
    let message = bench.path("termination-log");
    for (number, known, code) in [(1, true, 0), (2, false, 10)] {
        bench.hub.control(&format!("token?token={TOKEN}&known={known}"));
        if !known {
            std::fs::remove_dir_all(bench.volume().join("huggingface")).unwrap();
        }
        let output = attempt(&bench, &plan, number, &message).env("RUST_LOG", "trace").output().unwrap();
        let said = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned();
        assert_eq!(output.status.code(), Some(code), "{said}");
        says_nothing("an attempt", &said);
        left_nothing(&bench);
    }
    let mut environment = bare(&["env", "-f"]);
    let printed = environment.arg(bench.path("cache.yaml")).env("HF_TOKEN", TOKEN).output().unwrap();
    assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    says_nothing("the environment of pods", &String::from_utf8_lossy(&printed.stdout));
}
