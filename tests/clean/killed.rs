//! Killed at fifty random points: no line that stays is lost, nothing of the cache is damaged, and the next run completes.

use crate::bench::{Bench, bare, paths};
use crate::desk::{Desk, aged, lines, numbered};
use crate::hub::Hub;
use crate::killing::Killing;
use crate::memory;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Kills of each kind of rule.
const KILLS: u32 = 50;

/// What every file in the directory of a log says together, also what a killed run left beside it.
fn every_line(log: &Path) -> BTreeSet<String> {
    let name = log.file_name().unwrap().to_str().unwrap().to_owned();
    let mut all: BTreeSet<String> = lines(log).into_iter().collect();
    for entry in std::fs::read_dir(log.parent().unwrap()).unwrap() {
        let path = entry.unwrap().path();
        let its = path.file_name().unwrap().to_str().unwrap();
        if its.starts_with(&format!(".{name}.")) && its.ends_with(".cut") {
            all.extend(crate::desk::text(&path).lines().map(str::to_owned));
        }
    }
    all
}

fn log_rules() -> Value {
    let rotate = |method: &str| json!({"maxSize": "1Ki", "keep": 1000, "compress": "Zstd", "delayCompress": false, "method": method});
    json!([
        {"name": "renamed", "paths": ["renamed/*.log"], "rotate": rotate("Rename")},
        {"name": "cut", "paths": ["cut/*.log"], "rotate": rotate("CopyTruncate")},
        {"name": "old", "paths": ["images/**"], "delete": {"olderThan": "30d"}, "maxDeletePercent": 100}
    ])
}

#[test]
fn no_line_and_no_file_is_lost_and_none_is_there_twice_in_the_end() {
    let desk = Desk::at(memory::directory());
    desk.rules(log_rules());
    let logs: Vec<PathBuf> = ["renamed", "cut"]
        .iter()
        .flat_map(|it| (0..15).map(move |number| format!("{it}/{number}.log")))
        .map(|it| desk.volume().join(it))
        .collect();
    let mut written = 0;
    let mut fill = |desk: &Desk| {
        for log in &logs {
            let before = std::fs::read_to_string(log).unwrap_or_default();
            std::fs::create_dir_all(log.parent().unwrap()).unwrap();
            std::fs::write(log, before + &numbered(written, written + 60)).unwrap();
            aged(log, 1);
        }
        for number in 0..25 {
            desk.file(format!("images/{written}-{number}"), "x", 31);
        }
        written += 60;
        written
    };
    fill(&desk);
    let begun = Instant::now();
    desk.clean();
    let mut killing = Killing::new(KILLS, 0x5eed, begun.elapsed());
    let mut images = 25;
    while let Some(round) = killing.next() {
        let total = fill(&desk);
        images += 25;
        killing.kill(desk.start(&["clean"]));
        let expected: BTreeSet<String> = numbered(0, total).lines().map(str::to_owned).collect();
        for log in &logs {
            let missing: Vec<String> = expected.difference(&every_line(log)).cloned().collect();
            assert!(
                missing.is_empty(),
                "round {round}: {} has lost {} lines: {:?}",
                log.display(),
                missing.len(),
                missing.first()
            );
        }
        let there = paths(&desk.volume().join("images")).len();
        let thrown = paths(&desk.volume().join(".modelcache/trash"));
        let thrown = thrown.iter().filter(|it| it.contains("/files/images/")).count();
        assert_eq!(there + thrown, images, "round {round}: a file is neither here nor in the trash");
    }
    desk.clean();
    desk.clean();
    let expected: Vec<String> = numbered(0, written).lines().map(str::to_owned).collect();
    for log in &logs {
        assert!(lines(log) == expected, "{}: a line is there twice, or not at all", log.display());
    }
    let aside = desk.files().into_iter().filter(|it| it.contains("/.")).collect::<Vec<_>>();
    assert!(aside.is_empty(), "{aside:?}");
    assert!(desk.files().iter().all(|it| !it.starts_with("images/")), "the rest went with the last run");
}

/// Links of a volume that lead to nothing.
fn dangling(volume: &Path) -> Vec<String> {
    let all = paths(volume).into_iter().filter(|it| !it.starts_with(".modelcache"));
    all.filter(|it| volume.join(it).is_symlink() && !volume.join(it).exists()).collect()
}

#[test]
fn no_link_leads_to_nothing_and_what_the_spec_wants_stays_whole() {
    let bench = Bench { hub: Hub::start(), directory: memory::directory() };
    bench.hub.repo("org/x=a.bin:100Ki,b.bin:100Ki,deep/c.bin@30:5Ki,d.json:70");
    let source = bench.repo("x", "org/x", &json!({}));
    let rules = json!([{"name": "cache", "cache": {"keepDuration": "1d"}}]);
    bench.write(&json!({
        "apiVersion": "modelcache.dev/v1alpha1", "kind": "ModelCache", "metadata": {"name": "studio"},
        "spec": {"volumes": [{"name": "models", "shared": {"size": "10Gi"}}], "sources": [source], "cleanup": {"rules": rules}}
    }));
    bench.prefetch();
    let retired = bench.volume().join(".modelcache/studio/retired");
    let move_on = || {
        bench.hub.control("move?repo=org/x&files=a.bin,deep/c.bin");
        assert_eq!(bench.run(&["prefetch", "--refresh"]).code, 0);
        for entry in std::fs::read_dir(&retired).unwrap() {
            aged(&entry.unwrap().path(), 9);
        }
    };
    move_on();
    let begun = Instant::now();
    assert_eq!(bench.run(&["clean"]).code, 0);
    let mut killing = Killing::new(KILLS, 0xca5e, begun.elapsed());
    while let Some(round) = killing.next() {
        move_on();
        killing.kill(bench.start(&["clean"]));
        assert_eq!(dangling(&bench.volume()), Vec::<String>::new(), "round {round}");
        let verified = bench.run(&["verify"]);
        assert_eq!(verified.code, 0, "round {round}: {:?}", verified.results);
    }
    let ran = bench.run(&["clean"]);
    assert_eq!(ran.code, 0, "{:?}", ran.results);
    let hub = bench.volume().join("huggingface/hub/models--org--x");
    assert_eq!(std::fs::read_dir(hub.join("snapshots")).unwrap().count(), 1, "one revision is left");
    assert_eq!(std::fs::read_dir(&retired).map_or(0, Iterator::count), 0);
    assert!(!bench.volume().join(".modelcache/studio/removing").exists());
    let used = bare(&["du", "-o", "json", "--volume"]).arg(bench.volume()).output().unwrap();
    let usage: Value = serde_json::from_slice(&used.stdout).unwrap();
    assert_eq!(usage[0]["foreign"], json!([]), "nothing is left that nobody lists");
}
