//! What comes out of archives that mean no good: nothing.

use super::sink::Sink;
use super::tests::{CACHE, Ground, file, gz, tar, tree, zip};
use super::{left, remove};
use crate::api::Reason;
use crate::api::source::ArchiveFormat::{self, Tar, TarGz, TarZst, Zip};
use std::io::Cursor;

/// The same archive with a name in it replaced by one of the same length, in both of its directories.
fn renamed(mut archive: Vec<u8>, from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let places: Vec<usize> =
        archive.windows(from.len()).enumerate().filter(|(_, it)| *it == from.as_bytes()).map(|(at, _)| at).collect();
    assert!(places.len() >= 2);
    for at in places {
        archive[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
    archive
}

/// The number of a zip directory's field, changed in the last entry that is called `name`.
fn with_field(mut archive: Vec<u8>, name: &str, offset: usize, change: impl Fn(u32) -> u32) -> Vec<u8> {
    let at = archive.windows(4).rposition(|it| it == [b'P', b'K', 1, 2]).unwrap();
    assert_eq!(&archive[at + 46..at + 46 + name.len()], name.as_bytes());
    let field: [u8; 4] = archive[at + offset..at + offset + 4].try_into().unwrap();
    archive[at + offset..at + offset + 4].copy_from_slice(&change(u32::from_le_bytes(field)).to_le_bytes());
    archive
}

#[test]
fn an_archive_that_means_no_good_gives_nothing_and_leaves_nothing() {
    use tar::EntryType as T;
    let good = file("good", b"1");
    let zeros = vec![0_u8; 3 << 20];
    let deep = "d/".repeat(101) + "x";
    let long_pax = {
        let mut archive = tar(&[(T::GNULongName, "././@LongLink", "", &vec![b'x'; 3 << 20])]);
        archive.extend(tar(&[file("x", b"")]));
        archive
    };
    let cases: Vec<(&str, ArchiveFormat, Vec<u8>, Reason, &str)> = vec![
        ("up", Tar, tar(&[good, file("../x", b"1")]), Reason::ListingMismatch, "`..`"),
        ("up in the middle", Tar, tar(&[file("a/../../x", b"1")]), Reason::ListingMismatch, "`..`"),
        ("up, unwanted", Tar, tar(&[file("./../x", b"1")]), Reason::ListingMismatch, "`..`"),
        ("absolute", Tar, tar(&[file("/etc/x", b"1")]), Reason::ListingMismatch, "absolute"),
        ("newline", Tar, tar(&[file("a\nb", b"1")]), Reason::ListingMismatch, "control"),
        ("backslash", Tar, tar(&[file("a\\b", b"1")]), Reason::ListingMismatch, "backslash"),
        ("ours", Tar, tar(&[file("a/.modelcache/x", b"1")]), Reason::ListingMismatch, ".modelcache"),
        ("deep", Tar, tar_long(&deep), Reason::ListingMismatch, "deep"),
        ("link up", Tar, tar(&[(T::Symlink, "a", "../x", b"")]), Reason::ListingMismatch, "leaves the tree"),
        ("link up deeper", Tar, tar(&[(T::Symlink, "a/b", "../../x", b"")]), Reason::ListingMismatch, "leaves"),
        ("link absolute", Tar, tar(&[(T::Symlink, "a", "/etc", b"")]), Reason::ListingMismatch, "absolute"),
        (
            "up behind a link",
            Tar,
            tar(&[(T::Symlink, "p/q/e", "../..", b""), (T::Symlink, "m", "p/q/e/../x", b"")]),
            Reason::ListingMismatch,
            "`..`",
        ),
        (
            "through a link",
            Tar,
            tar(&[file("d/x", b"1"), (T::Symlink, "l", "d", b""), file("l/y", b"1")]),
            Reason::ListingMismatch,
            "no directory",
        ),
        ("hard link out", Tar, tar(&[(T::Link, "a", "../../etc/passwd", b"")]), Reason::ListingMismatch, "hard link"),
        ("hard link nowhere", Tar, tar(&[(T::Link, "a", "b", b"")]), Reason::ListingMismatch, "hard link"),
        (
            "hard link to a link",
            Tar,
            tar(&[(T::Symlink, "b", "c", b""), (T::Link, "a", "b", b"")]),
            Reason::ListingMismatch,
            "hard link",
        ),
        ("twice", Tar, tar(&[good, file("good", b"2")]), Reason::ListingMismatch, "twice"),
        ("twice, spelt differently", Tar, tar(&[good, file("./good", b"2")]), Reason::ListingMismatch, "twice"),
        ("file and directory", Tar, tar(&[good, file("good/x", b"2")]), Reason::ListingMismatch, "no directory"),
        ("directory and file", Tar, tar(&[file("a/x", b"2"), file("a", b"1")]), Reason::ListingMismatch, "at once"),
        ("device", Tar, tar(&[(T::Block, "sda", "", b"")]), Reason::ListingMismatch, "device"),
        ("terminal", Tar, tar(&[(T::Char, "tty", "", b"")]), Reason::ListingMismatch, "device"),
        ("pipe", Tar, tar(&[(T::Fifo, "p", "", b"")]), Reason::ListingMismatch, "pipe"),
        ("a name of megabytes", Tar, long_pax, Reason::ChecksumMismatch, "between"),
        ("ends early", Tar, tar(&[file("x", &[7; 2000])])[..1500].to_vec(), Reason::ChecksumMismatch, ""),
        ("no tar", Tar, b"<html>".repeat(200), Reason::ChecksumMismatch, "cannot be unpacked"),
        ("nothing in it", Tar, tar(&[]), Reason::NoFiles, "no file"),
        ("gzip ends early", TarGz, gz(&tar(&[file("x", b"1")]))[..40].to_vec(), Reason::ChecksumMismatch, ""),
        ("gzip with a wrong checksum", TarGz, wrong_end(gz(&tar(&[file("x", b"1")]))), Reason::ChecksumMismatch, ""),
        ("no gzip", TarGz, tar(&[good]), Reason::ChecksumMismatch, ""),
        ("no zstd", TarZst, tar(&[good]), Reason::ChecksumMismatch, ""),
        ("larger than the budget", TarGz, gz(&tar(&[file("x", &zeros)])), Reason::InsufficientSpace, "`size`"),
        ("zip up", Zip, zip(&[("../x", 0o644, b"1")]), Reason::ListingMismatch, "`..`"),
        (
            "zip absolute",
            Zip,
            renamed(zip(&[("AAAA/x", 0o644, b"1")]), "AAAA/x", "/etc/x"),
            Reason::ListingMismatch,
            "absolute",
        ),
        ("zip backslash", Zip, zip(&[("a\\..\\x", 0o644, b"1")]), Reason::ListingMismatch, "backslash"),
        ("zip newline", Zip, zip(&[("a\nb", 0o644, b"1")]), Reason::ListingMismatch, "control"),
        ("zip link out", Zip, zip(&[("a", 0o120_777, b"../../x")]), Reason::ListingMismatch, "leaves the tree"),
        (
            "zip through a link",
            Zip,
            zip(&[("d/x", 0o644, b"1"), ("l", 0o120_777, b"d"), ("l/y", 0o644, b"1")]),
            Reason::ListingMismatch,
            "no directory",
        ),
        (
            "zip twice",
            Zip,
            renamed(zip(&[("one", 0o644, b"1"), ("two", 0o644, b"2")]), "two", "one"),
            Reason::ListingMismatch,
            "twice",
        ),
        (
            "zip file and directory",
            Zip,
            zip(&[("a", 0o644, b"1"), ("a/b", 0o644, b"2")]),
            Reason::ListingMismatch,
            "no directory",
        ),
        (
            "zip device",
            Zip,
            with_field(zip(&[("sda", 0o644, b"1")]), "sda", 38, |_| 0o060_644 << 16),
            Reason::ListingMismatch,
            "neither",
        ),
        (
            "zip wrong checksum",
            Zip,
            with_field(zip(&[("x", 0o644, b"123")]), "x", 16, |it| !it),
            Reason::ChecksumMismatch,
            "\"x\"",
        ),
        (
            "zip says too little",
            Zip,
            with_field(zip(&[("x", 0o644, b"123")]), "x", 24, |_| 1),
            Reason::ChecksumMismatch,
            "larger",
        ),
        (
            "zip says too much",
            Zip,
            with_field(zip(&[("x", 0o644, b"123")]), "x", 24, |_| 9),
            Reason::ChecksumMismatch,
            "ends after",
        ),
        (
            "zip says more than fits",
            Zip,
            with_field(zip(&[("x", 0o644, b"123")]), "x", 24, |_| u32::MAX - 1),
            Reason::InsufficientSpace,
            "",
        ),
        ("zip bomb", Zip, zip(&[("x", 0o644, &zeros)]), Reason::InsufficientSpace, "`size`"),
        (
            "zip bomb that lies",
            Zip,
            with_field(zip(&[("x", 0o644, &zeros)]), "x", 24, |_| 10),
            Reason::ChecksumMismatch,
            "larger",
        ),
        ("zip ends early", Zip, zip(&[("x", 0o644, &[7; 999])])[..100].to_vec(), Reason::ChecksumMismatch, ""),
        ("no zip", Zip, b"<html>".to_vec(), Reason::ChecksumMismatch, "cannot be unpacked as Zip"),
    ];
    for (what, format, archive, reason, word) in cases {
        let (ground, tree) = (Ground::new(), tree(format));
        let failure = match ground.unpack(&tree, &archive, Some(1 << 20)) {
            Ok(entries) => panic!("{what}: {entries:?}"),
            Err(bad) => bad.of(&tree),
        };
        assert_eq!(failure.reason, reason, "{what}: {failure}");
        assert!(failure.message.contains(word), "{what}: {failure}");
        assert!(left(&ground.root, CACHE, &tree).unwrap().is_none(), "{what}");
        remove::tree(&ground.root, &tree.aside(CACHE)).unwrap();
        assert!(!ground.volume.path().join("to").exists(), "{what}");
        assert!(!ground.volume.path().parent().unwrap().join("x").exists(), "{what}");
    }
}

fn wrong_end(mut bytes: Vec<u8>) -> Vec<u8> {
    let at = bytes.len() - 6;
    bytes[at] ^= 1;
    bytes
}

fn tar_long(name: &str) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(1);
    builder.append_data(&mut header, name, &b"1"[..]).unwrap();
    builder.into_inner().unwrap()
}

#[test]
fn ten_gigabytes_of_zeros_stop_where_the_budget_ends() {
    let (ground, tree) = (Ground::new(), tree(TarGz));
    let mut header = tar::Header::new_gnu();
    header.set_path("x").unwrap();
    header.set_size(10 << 30);
    header.set_cksum();
    ground.root.make_directory("aside").unwrap();
    // What it says is too much, and so is what it does not say.
    for (declared, budget) in [(10_u64 << 30, 8_u64 << 20), (8 << 20, 4 << 20)] {
        header.set_size(declared);
        header.set_cksum();
        let mut sink = Sink::new(ground.root.below("aside").unwrap(), &tree, ground.room(Some(budget)));
        let stream = std::io::Read::chain(Cursor::new(header.as_bytes().to_vec()), std::io::repeat(0));
        let failure = super::reader_tar::read(stream, &mut sink).unwrap_err().of(&tree);
        assert_eq!(failure.reason, Reason::InsufficientSpace, "{failure}");
    }
    assert_eq!(std::fs::read_dir(ground.volume.path().join("aside")).unwrap().count(), 0);
}
