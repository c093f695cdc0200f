//! A backup that is killed, at any point, never leaves a snapshot without all that it names.

use super::killing::Killing;
use super::{Place, bytes, memory, whole};
use std::process::Stdio;
use std::time::Instant;

/// Kills at work.
const KILLS: u32 = 50;

#[test]
fn killed_at_fifty_points_there_is_never_a_snapshot_that_is_not_whole() {
    let place = Place::at(memory::directory());
    let change = |round: u64| {
        // Something of every kind is new in each round.
        place.put(&format!("large/{}.bin", round % 4), &bytes(round, 1 << 20));
        place.put(&format!("text/{}.txt", round % 3), format!("line {round}\n").repeat(30_000).as_bytes());
        for number in 0..40 {
            place.put(&format!("small/{}/{number}", round % 5), &bytes(round * 100 + number, 300));
        }
    };
    change(1000);
    let begun = Instant::now();
    place.backup();
    let mut killing = Killing::new(KILLS, 0xbac0, begun.elapsed());
    while let Some(round) = killing.next() {
        change(u64::from(round));
        killing.kill(place.local().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        whole::contents(&place.to(), "studio", None);
    }
    let said = place.backup();
    assert_eq!(said["files"], 4 + 3 + 200);
    let found = whole::contents(&place.to(), "studio", None);
    for (path, content) in &found.last().unwrap().1 {
        let file = place.volume().join(path);
        assert!(file.is_dir() || std::fs::read(file).unwrap() == *content, "{path}");
    }
}
