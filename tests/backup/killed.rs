//! A backup that is killed, at any point, never leaves a snapshot without all that it names.

use super::{Place, bytes, memory, whole};
use std::process::Stdio;
use std::time::{Duration, Instant};

#[test]
fn killed_at_fifty_points_there_is_never_a_snapshot_that_is_not_whole() {
    let place = Place::at(memory::directory());
    let mut longest = Duration::from_millis(50);
    for round in 0..50_u64 {
        // Something of every kind is new in each round.
        place.put(&format!("large/{}.bin", round % 4), &bytes(round, 1 << 20));
        place.put(&format!("text/{}.txt", round % 3), format!("line {round}\n").repeat(30_000).as_bytes());
        for number in 0..40 {
            place.put(&format!("small/{}/{number}", round % 5), &bytes(round * 100 + number, 300));
        }
        let begun = Instant::now();
        let mut child = place.local().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // From at once to beyond the end, in no order.
        let after = longest * u32::try_from(round * 37 % 50).unwrap() / 45;
        std::thread::sleep(after);
        let finished = child.try_wait().unwrap().is_some();
        let _ = child.kill();
        child.wait().unwrap();
        if finished {
            longest = longest.max(begun.elapsed());
        } else {
            longest = longest.max(after * 2).min(Duration::from_secs(2));
        }
        if place.repository().join("modelcache.json").exists() {
            whole::contents(&place.to(), "studio", None);
        }
    }
    let said = place.backup();
    assert_eq!(said["files"], 4 + 3 + 200);
    let found = whole::contents(&place.to(), "studio", None);
    for (path, content) in &found.last().unwrap().1 {
        let file = place.volume().join(path);
        assert!(file.is_dir() || std::fs::read(file).unwrap() == *content, "{path}");
    }
}
