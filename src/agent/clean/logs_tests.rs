//! A table of logs, and what becomes of them.

use super::*;

const DAY: i64 = 24 * 3600;
const NOW: i64 = 1_795_230_000;

fn found(path: &[u8], size: u64, days: i64) -> Found {
    Found {
        path: path.into(),
        size,
        disk: size,
        written: i128::from(NOW - days * DAY) * 1_000_000_000,
        device: 1,
        inode: 1,
        names: 1,
        mode: 0o100_644,
        user: 0,
        group: 0,
    }
}

/// A log of a size, last written to and begun so many days ago, with rotated files of these ages.
fn log(size: u64, written: i64, begun: Option<i64>, rotated: &[(i64, bool)]) -> Log {
    let rotated = rotated.iter().map(|(days, compressed)| {
        let time = NOW - days * DAY;
        let mut path = super::super::rotated::rotated(b"a.log", time);
        path.extend_from_slice(if *compressed { b".zst" } else { b"" });
        Rotated { found: found(&path, 10, *days), time, compressed: *compressed }
    });
    Log {
        log: Some(found(b"a.log", size, written)),
        born: begun.map(|days| NOW - days * DAY),
        rotated: rotated.collect(),
        aside: vec![],
    }
}

fn done(log: &Log, wanted: &Wanted) -> (bool, usize, usize) {
    let steps = steps(log, wanted, i128::from(NOW) * 1_000_000_000);
    (steps.rotate.is_some(), steps.delete.len(), steps.compress.len())
}

#[test]
fn a_log_is_rotated_when_it_is_large_or_old_and_never_when_it_is_empty() {
    let days = |days: u64| Some(Duration::from_secs(days * 24 * 3600));
    let size = Wanted { max_size: Some(100), keep: Some(7), ..Wanted::default() };
    let age = Wanted { max_age: days(1), keep: Some(7), ..Wanted::default() };
    for (what, log, wanted, rotates) in [
        ("small", log(99, 0, Some(0), &[]), size, false),
        ("large", log(100, 0, Some(0), &[]), size, true),
        ("young", log(1, 0, Some(0), &[]), age, false),
        ("old", log(1, 0, Some(2), &[]), age, true),
        ("old, rotated lately", log(1, 0, Some(9), &[(0, false)]), age, false),
        ("begun nobody knows when", log(1, 0, None, &[]), age, true),
        ("empty", log(0, 9, Some(9), &[]), age, false),
    ] {
        assert_eq!(done(&log, &wanted).0, rotates, "{what}");
    }
}

#[test]
fn the_newest_rotated_files_stay_and_the_one_that_is_being_made_counts() {
    let wanted = Wanted { max_size: Some(100), keep: Some(2), ..Wanted::default() };
    let rotated = [(1, false), (2, false), (3, false)];
    assert_eq!(done(&log(1, 0, None, &rotated), &wanted), (false, 1, 0));
    assert_eq!(done(&log(100, 0, None, &rotated), &wanted), (true, 2, 0));
}

#[test]
fn what_nobody_wrote_to_for_long_goes_the_log_too_and_is_not_rotated_first() {
    let wanted =
        Wanted { max_size: Some(1), delete_after: Some(Duration::from_secs(7 * 24 * 3600)), ..Wanted::default() };
    assert_eq!(done(&log(5, 8, None, &[(6, true), (9, true)]), &wanted), (false, 2, 0));
    assert_eq!(done(&log(5, 1, None, &[(6, true), (9, true)]), &wanted), (true, 1, 0));
    assert_eq!(done(&log(0, 8, None, &[]), &wanted), (false, 0, 0), "an empty log frees nothing, and may be open");
}

#[test]
fn the_newest_rotated_file_is_compressed_only_when_that_is_not_delayed_and_it_is_quiet() {
    let wanted = Wanted { max_size: Some(100), compress: true, delay: true, keep: Some(9), ..Wanted::default() };
    let two = [(1, false), (2, false), (3, true)];
    assert_eq!(done(&log(1, 0, None, &two), &wanted), (false, 0, 1));
    assert_eq!(done(&log(100, 0, None, &two), &wanted), (true, 0, 2), "a newer one is about to be there");
    let at_once = Wanted { delay: false, ..wanted };
    assert_eq!(done(&log(1, 0, None, &two), &at_once), (false, 0, 2));
    assert_eq!(done(&log(1, 0, None, &[(0, false)]), &at_once), (false, 0, 0), "somebody still writes to it");
}

#[test]
fn files_are_grouped_by_the_log_that_they_come_from() {
    let names: [&[u8]; 5] = [
        b"d/a.log",
        b"d/a.log.20261121T030000Z",
        b"d/.a.log.20261121T030000Z.part",
        b"d/gone.log.20261121T030000Z.zst",
        b"b.log",
    ];
    let logs = group(names.iter().map(|name| found(name, 1, 0)).collect());
    let shape = logs.iter().map(|(path, it)| (path.as_slice(), it.log.is_some(), it.rotated.len(), it.aside.len()));
    let shape: Vec<_> = shape.collect();
    let expected: [(&[u8], bool, usize, usize); 3] =
        [(b"b.log", true, 0, 0), (b"d/a.log", true, 1, 1), (b"d/gone.log", false, 1, 0)];
    assert_eq!(shape, expected);
}
