//! A hundred thousand files, in a bounded amount of memory.

use crate::desk::Desk;
use serde_json::json;
use std::time::{Duration, Instant};

/// Bytes that the run may have in memory at most: names and times of all files, and the binary itself in an unoptimised build.
const MOST: u64 = 160 << 20;

/// The most that a process has had in memory, while it runs.
fn peak(id: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = text.lines().find(|it| it.starts_with("VmHWM:"))?;
    Some(line.split_ascii_whitespace().nth(1)?.parse::<u64>().ok()? << 10)
}

#[test]
fn a_hundred_thousand_files_are_cleaned_in_bounded_memory() {
    let desk = Desk::at(crate::memory::directory());
    desk.rules(json!([
        {"name": "old", "paths": ["images/**"], "delete": {"olderThan": "30d"}, "maxDeletePercent": 100},
        {"name": "modes", "paths": ["images/**"], "permissions": {"fileMode": "0600"}}
    ]));
    let then = std::time::SystemTime::now() - Duration::from_secs(40 * 24 * 3600);
    for directory in 0..100 {
        let path = desk.volume().join(format!("images/2026-{directory:03}"));
        std::fs::create_dir_all(&path).unwrap();
        for number in 0..1000 {
            let file = std::fs::File::create(path.join(format!("output_of_a_long_prompt_{number:06}.png"))).unwrap();
            if number % 2 == 0 {
                file.set_modified(then).unwrap();
            }
        }
    }
    let begun = Instant::now();
    let mut child = desk.start(&["clean"]);
    let mut most = 0;
    let status = loop {
        most = peak(child.id()).unwrap_or(most).max(most);
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    assert!(status.success(), "{status}");
    println!("100,000 files in {:?}, {} MiB at most", begun.elapsed(), most >> 20);
    assert!(most > 0 && most < MOST, "{} MiB", most >> 20);
    assert_eq!(desk.files().len(), 50_000);
    let back = desk.run(&["restore-trash", "images"]);
    assert_eq!((back.code, &back.results[0]["files"]), (0, &json!(50_000)));
}
