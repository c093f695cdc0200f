//! What a run puts on a volume, and what the next one does.

use crate::bench::{Bench, bare, ran, until};
use serde_json::json;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

#[test]
fn a_second_run_asks_nobody_and_fetches_nothing_also_when_the_hub_is_gone() {
    let bench = Bench::new();
    bench.hub.control("file?name=a.bin&size=1Mi");
    bench.cache(&[bench.repo("tiny", "demo/tiny-llm", &json!({})), bench.file("a", "a.bin", &json!({}))]);
    let first = bench.prefetch();
    let bytes = first.one()["evidence"]["bytes"].as_u64().unwrap();
    assert!(first.fetched() >= bytes && bytes > 10 << 20);
    let plan = bench.current().unwrap();
    assert_eq!(first.one()["evidence"]["plan"], plan);

    let (requests, there) = (bench.requests(), bench.published());
    bench.hub.control("down?seconds=60");
    let second = bench.prefetch();
    assert_eq!((second.fetched(), bench.requests()), (0, requests));
    assert_eq!(second.one()["evidence"]["bytes"], bytes);
    assert_eq!((bench.current().unwrap(), bench.published()), (plan, there));
}

#[test]
fn every_byte_is_where_a_client_looks_for_it() {
    let bench = Bench::new();
    bench.hub.repo("org/nested=a/b/c.bin:3Mi,a/b/same.bin:3Mi,top.json:120,empty.txt:0");
    bench.cache(&[bench.repo("x", "org/nested", &json!({}))]);
    bench.prefetch();
    let commit = bench.main("org/nested");
    for file in ["a/b/c.bin", "a/b/same.bin", "top.json", "empty.txt"] {
        let content = bench.hub.content("org/nested", file).bytes();
        let path = bench.snapshot("org/nested", &commit, file);
        assert_eq!(std::fs::read(&path).unwrap(), content, "{file}");
        assert!(std::fs::read_link(&path).unwrap().starts_with("../"), "{file} is no relative link");
    }
}

#[test]
fn two_calls_of_the_api_are_enough_for_a_repository_of_many_files() {
    let bench = Bench::new();
    bench.hub.repo("org/many=part.json@50:100");
    bench.cache(&[bench.repo("x", "org/many", &json!({}))]);
    let ran = bench.run(&["resolve"]);
    assert_eq!(ran.code, 0);
    let counters = bench.hub.counters();
    assert_eq!((counters.requests["revision"], counters.requests["tree"]), (1, 1));
    assert_eq!(counters.requests.values().sum::<u64>(), 2, "{counters:?}");
    assert_eq!(ran.one()["pin"]["files"], 50);
}

#[test]
fn a_listing_of_many_pages_is_read_to_its_end() {
    let bench = Bench::new();
    bench.hub.repo("org/many=part.json@25:100,dir/x.json:5");
    bench.hub.control("page?entries=4");
    bench.cache(&[bench.repo("x", "org/many", &json!({}))]);
    assert_eq!(bench.run(&["resolve"]).one()["pin"]["files"], 26);
}

#[test]
fn include_and_exclude_are_pythons_patterns_and_such_a_snapshot_has_no_tree() {
    let bench = Bench::new();
    let more = json!({"include": ["*.json", "original/"], "exclude": ["*tokenizer*"]});
    bench.cache(&[bench.repo("x", "demo/tiny-llm", &more)]);
    let ran = bench.prefetch();
    assert_eq!(ran.one()["evidence"]["files"], 4);
    let commit = bench.main("demo/tiny-llm");
    assert!(bench.snapshot("demo/tiny-llm", &commit, "original/params.json").exists());
    assert!(!bench.snapshot("demo/tiny-llm", &commit, "model.safetensors").exists());
    assert!(!bench.published().iter().any(|path| path.contains("/trees")));
}

#[test]
fn a_home_at_the_root_of_an_existing_claim_leaves_what_others_put_there_alone() {
    let bench = Bench::new();
    std::fs::create_dir_all(bench.volume().join("hub/models--other--model/blobs")).unwrap();
    std::fs::write(bench.volume().join("hub/models--other--model/blobs/x"), "theirs").unwrap();
    std::fs::write(bench.volume().join("token"), "theirs").unwrap();
    bench.cache(&[bench.repo("x", "demo/tiny-llm", &json!({"path": "."}))]);
    bench.prefetch();
    assert!(bench.volume().join("hub/models--demo--tiny-llm/refs/main").exists());
    assert_eq!(std::fs::read(bench.volume().join("hub/models--other--model/blobs/x")).unwrap(), b"theirs");
    assert_eq!(std::fs::read(bench.volume().join("token")).unwrap(), b"theirs");
}

#[test]
fn what_another_tool_left_is_adopted_when_its_bytes_are_right_and_replaced_when_not() {
    let bench = Bench::new();
    bench.hub.repo("org/x=good.bin:2Mi,bad.bin:2Mi");
    let blobs = bench.volume().join("huggingface/hub/models--org--x/blobs");
    std::fs::create_dir_all(&blobs).unwrap();
    let good = bench.hub.content("org/x", "good.bin");
    std::fs::write(blobs.join(&good.hashes().sha256), good.bytes()).unwrap();
    std::fs::set_permissions(blobs.join(&good.hashes().sha256), PermissionsExt::from_mode(0o600)).unwrap();
    let bad = bench.hub.content("org/x", "bad.bin");
    std::fs::write(blobs.join(&bad.hashes().sha256), vec![0; 2 << 20]).unwrap();
    bench.cache(&[bench.repo("x", "org/x", &json!({}))]);
    bench.prefetch().fetched_once(2 << 20);
    assert_eq!(std::fs::read(blobs.join(&bad.hashes().sha256)).unwrap(), bad.bytes());
    let mode = std::fs::metadata(blobs.join(&good.hashes().sha256)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
}

#[test]
fn everything_is_readable_by_other_users_whatever_the_umask() {
    let bench = Bench::new();
    bench.hub.control("file?name=a.bin&size=2Mi");
    bench.cache(&[bench.repo("x", "demo/tiny-llm", &json!({})), bench.file("a", "a.bin", &json!({}))]);
    let command = bench.command(&["prefetch"]);
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "umask 077; exec \"$0\" \"$@\""]).arg(command.get_program()).args(command.get_args());
    assert!(shell.env_clear().output().unwrap().status.success());
    for path in bench.published() {
        let metadata = std::fs::symlink_metadata(bench.volume().join(&path)).unwrap();
        let expected = if metadata.is_dir() { 0o755 } else { 0o644 };
        if !metadata.is_symlink() {
            assert_eq!(metadata.permissions().mode() & 0o7777, expected, "{path}");
        }
    }
}

#[test]
fn a_server_without_ranges_and_one_without_a_size_hint_are_good_enough() {
    let bench = Bench::new();
    bench.hub.control("file?name=a.bin&size=5Mi&ranges=false");
    let sha256 = bench.hub.control("file?name=b.bin&size=3Mi&etag=none")["sha256"].clone();
    let more = json!({"sha256": sha256, "path": "own/name.bin"});
    bench.cache(&[bench.file("a", "a.bin", &json!({})), bench.file("b", "b.bin", &more)]);
    bench.prefetch();
    let size = |path: &str| std::fs::metadata(bench.volume().join(path)).unwrap().len();
    assert_eq!((size("files/a.bin"), size("own/name.bin")), (5 << 20, 3 << 20));
}

#[test]
fn a_file_pinned_by_its_tag_is_not_taken_once_it_has_changed() {
    let bench = Bench::new();
    bench.hub.control("file?name=a.bin&size=1Mi&seed=1");
    bench.cache(&[bench.file("a", "a.bin", &json!({}))]);
    bench.prefetch();
    let before = std::fs::read(bench.volume().join("files/a.bin")).unwrap();
    bench.hub.control("file?name=a.bin&size=1Mi&seed=2");
    assert_eq!(bench.prefetch().fetched(), 0);
    std::fs::remove_file(bench.volume().join("files/a.bin")).unwrap();
    bench.run(&["prefetch"]).failed(30, "ChecksumMismatch", &["source `a`"]);
    assert_eq!(bench.current(), None);
    let refreshed = bench.run(&["prefetch", "--refresh"]);
    assert_eq!(refreshed.code, 0, "{}", refreshed.message());
    assert_ne!(std::fs::read(bench.volume().join("files/a.bin")).unwrap(), before);
}

#[test]
fn the_same_content_in_two_repositories_crosses_the_network_once() {
    let bench = Bench::new();
    let sha256 = bench.hub.control("file?name=a.bin&size=4Mi")["sha256"].clone();
    let more = |path: &str| json!({"sha256": sha256, "path": path});
    bench.cache(&[bench.file("a", "a.bin", &more("x/a.bin")), bench.file("b", "a.bin", &more("y/a.bin"))]);
    bench.prefetch().fetched_once(4 << 20);
    assert_eq!(std::fs::read(bench.volume().join("y/a.bin")).unwrap().len(), 4 << 20);
}

#[test]
fn progress_is_served_while_it_works() {
    let bench = Bench::new();
    bench.hub.repo("org/slow=a.bin:4Mi");
    // Forty seconds, if nobody ended it before.
    bench.hub.control("throttle?bytesPerSecond=100000");
    bench.cache(&[bench.repo("x", "org/slow", &json!({}))]);
    // A port that is free now; on an address that nobody else uses in the moment until it is taken.
    let address = std::net::TcpListener::bind("127.0.77.1:0").unwrap().local_addr().unwrap().to_string();
    let mut child = bench.start(&["prefetch", "--connections", "1", "--progress-address", &address]);
    let get = |path: &str| -> Option<String> {
        let mut stream = std::net::TcpStream::connect(&address).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        Some(text.split_once("\r\n\r\n")?.1.to_owned())
    };
    until("progress between nothing and everything", || {
        let Some(text) = get("/progress") else { return false };
        let progress = modelcache::contract::progress::Progress::parse(&text).unwrap();
        progress.bytes_total == Some(4 << 20) && progress.bytes_done > 0 && progress.bytes_done < 4 << 20
    });
    assert!(get("/metrics").unwrap().contains("modelcache_agent_bytes_total 4194304\n"));
    bench.hub.control("throttle?bytesPerSecond=0");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_wait_ends_when_the_content_is_complete_and_not_before() {
    let bench = Bench::new();
    bench.cache(&[bench.repo("x", "demo/tiny-llm", &json!({}))]);
    std::fs::create_dir_all(bench.volume()).unwrap();
    let volume = bench.volume();
    let arguments = ["wait", "--volume", volume.to_str().unwrap(), "--cache", "studio", "-o", "json"];
    let early = ran(bare(&arguments).args(["--timeout", "0s"]).output().unwrap());
    early.failed(51, "DeadlineExceeded", &["nothing is complete yet", "`studio`"]);

    let mut waiting = bare(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    bench.prefetch();
    until("the wait has ended", || waiting.try_wait().unwrap().is_some());
    assert!(waiting.wait().unwrap().success());

    let other = ran(bare(&arguments).args(["--timeout", "0", "--plan-hash", &"0".repeat(64)]).output().unwrap());
    other.failed(51, "DeadlineExceeded", &["is wanted"]);
    let current = bench.current().unwrap();
    assert_eq!(ran(bare(&arguments).args(["--plan-hash", &current]).output().unwrap()).code, 0);
}

#[test]
fn a_data_set_lies_beside_the_models() {
    let bench = Bench::new();
    bench.hub.repo("dataset:org/rows=data/train.parquet:1Mi,README.md:90");
    bench.cache(&[bench.repo("x", "org/rows", &json!({"repoType": "Dataset", "revision": "v1"}))]);
    bench.prefetch();
    let base = bench.volume().join("huggingface/hub/datasets--org--rows");
    let commit = std::fs::read_to_string(base.join("refs/v1")).unwrap();
    assert_eq!(std::fs::metadata(base.join(format!("snapshots/{commit}/data/train.parquet"))).unwrap().len(), 1 << 20);
}
