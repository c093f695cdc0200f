//! What comes out of archives that mean well, and how tests make archives.

use super::{Bad, Limits, Room, left, one, sink::Sink, sink::expect};
use crate::agent::fetch::{Staging, Writer};
use crate::agent::layout::archive::Tree;
use crate::agent::layout::manifest::{Entry, What};
use crate::agent::layout::safe_path::Root;
use crate::agent::source::unpack::Unpack;
use crate::api::Reason;
use crate::api::source::ArchiveFormat::{self, Tar, TarGz, TarZst, Zip};
use std::io::{Cursor, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use zip::write::SimpleFileOptions;

pub(super) const CACHE: &str = "c";

pub(super) fn tree(format: ArchiveFormat) -> Tree {
    let unpack = Unpack::whole(format);
    Tree { name: "it.archive".into(), content: "sha256:0".into(), directory: "to/here".into(), unpack }
}

pub(super) struct Ground {
    pub(super) volume: tempfile::TempDir,
    pub(super) root: Root,
}

impl Ground {
    pub(super) fn new() -> Self {
        let volume = tempfile::tempdir().unwrap();
        let root = Root::open(volume.path()).unwrap();
        Self { volume, root }
    }

    fn staging(&self) -> Staging {
        Staging::open(self.volume.path(), Path::new("staging"), Writer::Local).unwrap()
    }

    pub(super) fn room(&self, budget_left: Option<u64>) -> Room {
        Room::new(self.root.clone(), Limits { budget_left, min_free: 0 }, self.staging())
    }

    pub(super) fn unpack(&self, tree: &Tree, archive: &[u8], budget: Option<u64>) -> Result<Vec<Entry>, Bad> {
        self.root.make_directory(".modelcache/c/unpack").unwrap();
        std::fs::write(self.volume.path().join(tree.landing(CACHE)), archive).unwrap();
        let staging = self.staging();
        let room = Room::new(self.root.clone(), Limits { budget_left: budget, min_free: 0 }, staging.clone());
        one(&self.root, &staging, CACHE, tree, room)
    }

    fn aside(&self, tree: &Tree) -> std::path::PathBuf {
        self.volume.path().join(tree.tree_aside(CACHE))
    }
}

/// A tar file of raw entries: type, name, link, content. Names as no honest writer would take them.
pub(super) fn tar(entries: &[(tar::EntryType, &str, &str, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (kind, name, link, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        let old = header.as_old_mut();
        old.name[..name.len()].copy_from_slice(name.as_bytes());
        old.linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_cksum();
        bytes.extend(header.as_bytes());
        bytes.extend(*content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

pub(super) fn file<'a>(name: &'a str, content: &'a [u8]) -> (tar::EntryType, &'a str, &'a str, &'a [u8]) {
    (tar::EntryType::Regular, name, "", content)
}

pub(super) fn zip(entries: &[(&str, u32, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, mode, content) in entries {
        let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
        let options = options.unix_permissions(mode & 0o777);
        match mode & 0o170_000 {
            0o120_000 => writer.add_symlink(*name, std::str::from_utf8(content).unwrap(), options).unwrap(),
            _ if name.ends_with('/') => writer.add_directory(*name, options).unwrap(),
            _ => {
                writer.start_file(*name, options).unwrap();
                writer.write_all(content).unwrap();
            }
        }
    }
    writer.finish().unwrap().into_inner()
}

pub(super) fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn every_format_gives_the_same_tree_with_modes_links_and_hashes() {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, mode, content) in [("top/run.sh", 0o744, "#!"), ("top/d/a", 0o600, "a"), ("top/A", 0o664, "upper")] {
        let mut header = tar::Header::new_ustar();
        header.set_mode(mode);
        header.set_size(content.len() as u64);
        builder.append_data(&mut header, name, content.as_bytes()).unwrap();
    }
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    builder.append_link(&mut header, "top/d/link", "../A").unwrap();
    let tar = builder.into_inner().unwrap();
    let zip = zip(&[
        ("top/", 0o755, b""),
        ("top/run.sh", 0o744, b"#!"),
        ("top/d/a", 0o600, b"a"),
        ("top/A", 0o664, b"upper"),
        ("top/d/link", 0o120_777, b"../A"),
    ]);
    let (gz, zst) = (gz(&tar), zstd::encode_all(&tar[..], 1).unwrap());
    let mut found = Vec::new();
    for (format, archive) in [(Tar, tar), (TarGz, gz), (TarZst, zst), (Zip, zip)] {
        let ground = Ground::new();
        let mut tree = tree(format);
        tree.unpack.drop_top = true;
        let mut entries = ground.unpack(&tree, &archive, None).unwrap();
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        let aside = ground.aside(&tree);
        let mode = |name: &str| std::fs::metadata(aside.join(name)).unwrap().permissions().mode() & 0o7777;
        assert_eq!([mode("run.sh"), mode("d/a"), mode("A"), mode("d")], [0o755, 0o644, 0o644, 0o755], "{format:?}");
        assert_eq!(std::fs::read_to_string(aside.join("d/link")).unwrap(), "upper");
        assert_eq!(left(&ground.root, CACHE, &tree).unwrap().unwrap().entries.len(), 4);
        found.push(entries);
    }
    assert_eq!(
        found[0].iter().map(|it| it.path.as_str()).collect::<Vec<_>>(),
        ["to/here/A", "to/here/d/a", "to/here/d/link", "to/here/run.sh"]
    );
    let hash = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb";
    assert_eq!(found[0][1].what, What::File { size: 1, sha256: hash.into() });
    assert!(found.iter().all(|it| *it == found[0]));
}

#[test]
fn only_what_is_wanted_is_taken_and_every_other_name_is_checked_all_the_same() {
    let ground = Ground::new();
    let mut tree = tree(Zip);
    tree.unpack.only = Some("m/m-1".into());
    let wheel = [("m/__init__.py", 0o644, &b"x"[..]), ("m/m-1/config.cfg", 0o644, b"c"), ("m/m-10/no", 0o644, b"n")];
    let entries = ground.unpack(&tree, &zip(&wheel), None).unwrap();
    assert_eq!(entries.iter().map(|it| it.path.as_str()).collect::<Vec<_>>(), ["to/here/config.cfg"]);
    let hostile = ground.unpack(&tree, &zip(&[wheel[1], ("../x", 0o644, b"1")]), None).unwrap_err();
    assert_eq!(hostile.of(&tree).reason, Reason::ListingMismatch);
    tree.unpack.only = Some("n".into());
    assert_eq!(ground.unpack(&tree, &zip(&wheel), None).unwrap_err().of(&tree).reason, Reason::NoFiles);
}

#[test]
fn names_that_differ_in_case_are_two_files_where_the_file_system_says_so() {
    let (ground, tree) = (Ground::new(), tree(Tar));
    let entries = ground.unpack(&tree, &tar(&[file("a/X", b"1"), file("a/x", b"2"), file("A/x", b"3")]), None).unwrap();
    assert_eq!(entries.len(), 3);
    for (name, content) in [("a/X", "1"), ("a/x", "2"), ("A/x", "3")] {
        assert_eq!(std::fs::read_to_string(ground.aside(&tree).join(name)).unwrap(), content);
    }
}

#[test]
fn a_hard_link_is_another_name_of_a_file_that_came_before() {
    let (ground, tree) = (Ground::new(), tree(Tar));
    let archive = tar(&[file("a/x", b"1"), (tar::EntryType::Link, "b/y", "./a/x", b"")]);
    let entries = ground.unpack(&tree, &archive, None).unwrap();
    assert_eq!(entries[0].what, entries[1].what);
    assert_eq!(std::fs::metadata(ground.aside(&tree).join("b/y")).unwrap().nlink(), 2);
}

#[test]
fn more_entries_than_anybody_needs_are_refused_before_they_are_read() {
    assert!(expect(250_000).is_ok());
    assert_eq!(expect(250_001).unwrap_err().of(&tree(Zip)).reason, Reason::ListingMismatch);
}

#[test]
fn a_link_in_the_way_of_our_own_directory_is_not_followed() {
    let (ground, tree) = (Ground::new(), tree(Tar));
    let elsewhere = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(ground.volume.path().join(".modelcache/c/unpack")).unwrap();
    std::fs::write(elsewhere.path().join("keep"), "x").unwrap();
    symlink(elsewhere.path(), ground.volume.path().join(tree.aside(CACHE))).unwrap();
    // What is there is ours to remove, and a link is removed itself.
    ground.unpack(&tree, &tar(&[file("x", b"1")]), None).unwrap();
    assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 1);
}

#[test]
fn a_stream_that_goes_on_after_its_end_is_not_read_for_ever() {
    let (ground, tree) = (Ground::new(), tree(Tar));
    ground.root.make_directory("aside").unwrap();
    let mut sink = Sink::new(ground.root.below("aside").unwrap(), &tree, ground.room(None));
    let endless = std::io::Read::chain(Cursor::new(tar(&[file("x", b"1")])), std::io::repeat(0));
    assert_eq!(super::reader_tar::read(endless, &mut sink).unwrap_err().of(&tree).reason, Reason::ChecksumMismatch);
}
