//! What other tools do to a volume: understood, named, and mended without fetching what is there.

use crate::bench::{Bench, Ran, bare, ran};
use serde_json::{Value, json};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

fn warmed(more: &Value) -> Bench {
    let bench = Bench::new();
    bench.hub.repo("org/x=a.bin:2Mi,d/b.bin:3Mi,c.json:70");
    bench.cache(&[bench.repo("x", "org/x", more)]);
    bench.prefetch();
    bench
}

fn repository(bench: &Bench) -> PathBuf {
    bench.volume().join("huggingface/hub/models--org--x")
}

fn kinds(ran: &Ran) -> Vec<(String, String)> {
    let all = ran.one()["damage"].as_array().cloned().unwrap_or_default();
    let text = |it: &Value| it.as_str().unwrap().to_owned();
    all.iter().map(|it| (text(&it["kind"]), text(&it["path"]))).collect()
}

fn notes(ran: &Ran) -> String {
    ran.one()["notes"].to_string()
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Does to a blob what a client of the hub with the shared store does.
fn move_to_shared_store(bench: &Bench, file: &str) -> PathBuf {
    let hub = bench.volume().join("huggingface/hub");
    let blob = bench.snapshot("org/x", &bench.main("org/x"), file).canonicalize().unwrap();
    let xet = format!("ab{}", "0".repeat(62));
    let store = hub.join("blobs/ab");
    std::fs::create_dir_all(&store).unwrap();
    std::fs::write(hub.join("blobs/.huggingface-shared-blobs"), "1\n").unwrap();
    std::fs::rename(&blob, store.join(&xet)).unwrap();
    chmod(&store.join(&xet), 0o444);
    symlink(format!("../../blobs/ab/{xet}"), &blob).unwrap();
    std::fs::write(store.join(format!("{xet}.refs")), format!("{}\n", blob.display())).unwrap();
    store.join(xet)
}

#[test]
fn a_blob_in_the_shared_store_is_read_through_its_link_and_is_fine_when_its_bytes_are() {
    let bench = warmed(&json!({}));
    let stored = move_to_shared_store(&bench, "a.bin");
    let ran = bench.run(&["verify"]);
    assert_eq!(ran.code, 0, "{}", ran.message());
    assert_eq!(ran.one()["evidence"]["hashedFiles"], 5, "three contents, the listing and the branch");
    assert!(notes(&ran).contains("shared blob store"), "{}", notes(&ran));
    let requests = bench.requests();
    assert_eq!((bench.prefetch().fetched(), bench.requests()), (0, requests), "a prefetch has nothing to do");
    assert_eq!(mode(&stored), 0o444, "nothing of theirs is touched");

    chmod(&stored, 0o644);
    std::fs::write(&stored, vec![0; 2 << 20]).unwrap();
    let ran = bench.run(&["verify"]);
    assert_eq!(ran.code, 33);
    assert_eq!(kinds(&ran)[0].0, "content");
    bench.prefetch().fetched_once(2 << 20);
    assert_eq!(bench.run(&["verify"]).code, 0);
    assert!(stored.exists(), "the store is its owner's to clean");
}

#[test]
fn a_blob_that_links_out_of_the_volume_is_missing_and_never_read() {
    let bench = warmed(&json!({}));
    let blob = bench.snapshot("org/x", &bench.main("org/x"), "a.bin").canonicalize().unwrap();
    let outside = bench.path("outside.bin");
    std::fs::rename(&blob, &outside).unwrap();
    symlink(&outside, &blob).unwrap();
    let ran = bench.run(&["verify", "--quick"]);
    assert_eq!((ran.code, kinds(&ran)[0].0.as_str()), (33, "missing"));
    bench.prefetch().fetched_once(2 << 20);
    assert!(blob.symlink_metadata().unwrap().is_file() && outside.exists());
}

#[test]
fn what_interrupted_downloads_and_other_repositories_left_is_a_note_and_stays() {
    let bench = warmed(&json!({}));
    let hub = bench.volume().join("huggingface/hub");
    let theirs = [
        "models--org--x/blobs/0123.incomplete",
        ".locks/models--org--x/0123.lock",
        "models--o--y/blobs/5",
        "lost+found/x",
    ];
    for path in theirs {
        std::fs::create_dir_all(hub.join(path).parent().unwrap()).unwrap();
        std::fs::write(hub.join(path), "theirs").unwrap();
    }
    let ran = bench.run(&["verify"]);
    assert_eq!(ran.code, 0);
    for word in ["0123.incomplete", ".locks", "models--o--y", "lost+found"] {
        assert!(notes(&ran).contains(word), "{word}: {}", notes(&ran));
    }
    bench.prefetch();
    assert!(theirs.iter().all(|path| hub.join(path).exists()));
}

#[test]
fn a_listing_that_contradicts_a_filtered_snapshot_is_damage_and_prefetch_takes_it_away() {
    let bench = warmed(&json!({"exclude": ["d/*"]}));
    let commit = bench.main("org/x");
    let tree = repository(&bench).join(format!("trees/{commit}.json"));
    std::fs::create_dir_all(tree.parent().unwrap()).unwrap();
    let entry = json!({"size": 1, "blob_id": "e"});
    let write = |files: &[&str]| {
        let files: serde_json::Map<_, _> = files.iter().map(|it| ((*it).to_owned(), entry.clone())).collect();
        std::fs::write(&tree, json!({"format_version": 1, "files": files}).to_string()).unwrap();
    };
    write(&["a.bin", "c.json"]);
    assert_eq!(bench.run(&["verify"]).code, 0, "one that says what is there is no damage");
    write(&["a.bin", "c.json", "d/b.bin"]);
    let ran = bench.run(&["verify", "--quick"]);
    ran.failed(33, "Damaged", &["d/b.bin", "refuse the whole snapshot"]);
    assert_eq!(kinds(&ran), [("tree".to_owned(), format!("huggingface/hub/models--org--x/trees/{commit}.json"))]);
    let requests = bench.requests();
    assert_eq!((bench.prefetch().fetched(), bench.requests()), (0, requests), "nobody needs to be asked");
    assert!(!tree.exists());
    assert_eq!(bench.run(&["verify"]).code, 0);
}

#[test]
fn a_listing_that_a_client_wrote_anew_is_as_good_as_ours_and_a_broken_one_is_written_again() {
    let bench = warmed(&json!({}));
    let tree = repository(&bench).join(format!("trees/{}.json", bench.main("org/x")));
    let mut theirs: Value = serde_json::from_slice(&std::fs::read(&tree).unwrap()).unwrap();
    theirs["files"]["a.bin"]["xet_hash"] = "f".repeat(64).into();
    std::fs::write(&tree, theirs.to_string()).unwrap();
    assert_eq!(bench.run(&["verify"]).code, 0);
    let requests = bench.requests();
    bench.prefetch();
    assert_eq!(bench.requests(), requests);
    std::fs::write(&tree, "{").unwrap();
    let ran = bench.run(&["verify", "--quick"]);
    assert_eq!((ran.code, kinds(&ran)[0].0.as_str()), (33, "tree"));
    assert_eq!(bench.prefetch().fetched(), 0);
    assert_eq!(bench.run(&["verify"]).code, 0);
}

#[test]
fn branches_links_and_modes_are_mended_with_the_hub_gone() {
    let bench = warmed(&json!({}));
    let commit = bench.main("org/x");
    let branch = repository(&bench).join("refs/main");
    std::fs::write(&branch, format!("{commit}\n")).unwrap();
    let link = bench.snapshot("org/x", &commit, "d/b.bin");
    std::fs::remove_file(&link).unwrap();
    let blob = bench.snapshot("org/x", &commit, "a.bin").canonicalize().unwrap();
    chmod(&blob, 0o600);
    chmod(&repository(&bench).join("blobs"), 0o700);
    let ran = bench.run(&["verify", "--quick"]);
    assert_eq!(ran.code, 33);
    let mut found: Vec<String> = kinds(&ran).into_iter().map(|it| it.0).collect();
    found.sort();
    assert_eq!(found, ["missing", "mode", "mode", "ref"], "{}", ran.message());
    bench.hub.control("down?seconds=60");
    assert_eq!(bench.prefetch().fetched(), 0);
    assert_eq!(bench.run(&["verify"]).code, 0);
    assert_eq!((mode(&blob), mode(&repository(&bench).join("blobs"))), (0o644, 0o755));
    assert_eq!(bench.main("org/x"), commit);
}

#[test]
fn a_branch_of_another_commit_is_named_and_put_right() {
    let bench = warmed(&json!({}));
    let commit = bench.main("org/x");
    std::fs::write(repository(&bench).join("refs/main"), "0".repeat(40)).unwrap();
    let ran = bench.run(&["verify", "--quick"]);
    ran.failed(33, "Damaged", &[&"0".repeat(40), &commit]);
    bench.prefetch();
    assert_eq!(bench.main("org/x"), commit);
}

#[test]
fn a_damaged_manifest_is_made_anew_from_what_is_there() {
    type Spoil = fn(&str) -> String;
    let ways: [Spoil; 4] = [
        |it| it[..it.len() / 2].to_owned(),
        |_| String::new(),
        |it| it.replacen("huggingface/hub", "../../etc", 1),
        |it| {
            let at = it.find("\"sha256\":\"").unwrap() + 10;
            format!("{}{}{}", &it[..at], if it[at..].starts_with('0') { '1' } else { '0' }, &it[at + 1..])
        },
    ];
    for (way, spoil) in ways.iter().enumerate() {
        let bench = warmed(&json!({"include": ["*.bin"]}));
        let path = bench.volume().join(".modelcache/studio/manifests/x.json");
        let right = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, spoil(&right)).unwrap();
        let ran = bench.run(&["verify", "--quick"]);
        assert_eq!(ran.code, 33, "way {way}");
        assert_eq!(
            kinds(&ran),
            [("manifest".to_owned(), ".modelcache/studio/manifests/x.json".to_owned())],
            "way {way}"
        );
        let sent = bench.hub.counters().bytes_sent;
        assert_eq!(bench.prefetch().fetched(), 0, "way {way}");
        assert_eq!(bench.hub.counters().bytes_sent, sent, "way {way}");
        assert_eq!(bench.run(&["verify"]).code, 0);
        assert_eq!(
            serde_json::from_str::<Value>(&std::fs::read_to_string(&path).unwrap()).unwrap(),
            serde_json::from_str::<Value>(&right).unwrap()
        );
    }
}

#[test]
fn data_of_nltk_that_its_group_may_write_is_named_with_the_reason_and_the_cure() {
    let bench = Bench::new();
    bench.hub.control("file?name=words.zip&size=10Ki");
    bench.cache(&[bench.file("words", "words.zip", &json!({"path": "nltk_data/corpora/words.zip"}))]);
    bench.prefetch();
    assert_eq!(bench.run(&["verify"]).code, 0);
    let data = bench.volume().join("nltk_data");
    chmod(&data.join("corpora"), 0o2775);
    chmod(&data.join("corpora/words.zip"), 0o664);
    let ran = bench.run(&["verify", "--quick"]);
    ran.failed(33, "Damaged", &["NLTK from 3.10 on refuses", "fsGroup", "mode 2775", "mode 664"]);
    assert_eq!(bench.prefetch().fetched(), 0);
    assert_eq!(mode(&data.join("corpora/words.zip")), 0o644);
    assert_eq!(bench.run(&["verify"]).code, 0);
}

#[test]
fn the_report_names_each_damaged_file_on_a_line_and_in_json() {
    let bench = warmed(&json!({}));
    let commit = bench.main("org/x");
    let blob = |file: &str| bench.snapshot("org/x", &commit, file).canonicalize().unwrap();
    let (a, b) = (blob("a.bin"), blob("d/b.bin"));
    std::fs::write(&a, vec![1; 2 << 20]).unwrap();
    std::fs::remove_file(&b).unwrap();
    let ran_json = bench.run(&["verify"]);
    let damage = ran_json.one()["damage"].as_array().unwrap();
    assert_eq!(damage.len(), 2);
    for it in damage {
        assert_eq!(it["source"], "x");
        assert!(it["path"].as_str().unwrap().contains("/blobs/") && it["detail"].as_str().unwrap().len() > 5);
    }
    let mut command = bare(&["verify", "-f"]);
    command.arg(bench.path("cache.yaml")).arg("--volumes-dir").arg(bench.path("volumes"));
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    for path in [a, b] {
        let name = path.file_name().unwrap().to_str().unwrap();
        assert_eq!(text.lines().filter(|it| it.starts_with("damaged ") && it.contains(name)).count(), 1, "{text}");
    }
    assert_eq!(ran(output).code, 33);
    // The file server's own account: what is whole is not sent again.
    let sent = bench.hub.counters().bytes_sent;
    bench.prefetch().fetched_once(5 << 20);
    assert!(bench.hub.counters().bytes_sent - sent < 10 << 20);
}

/// The binary as another user, who may read the volume and write nothing.
fn as_reader(bench: &Bench, arguments: &[&str]) -> Ran {
    use std::os::unix::process::CommandExt;
    chmod(&bench.path(""), 0o755);
    let mut command = bare(arguments);
    command.args(["-o", "json"]);
    if rustix::process::geteuid().is_root() {
        command.uid(65534).gid(65534);
    }
    ran(command.output().unwrap())
}

#[test]
fn damage_is_told_also_where_nothing_can_be_written() {
    let bench = warmed(&json!({}));
    let blob = bench.snapshot("org/x", &bench.main("org/x"), "a.bin").canonicalize().unwrap();
    std::fs::write(&blob, vec![1; 2 << 20]).unwrap();
    let state = bench.volume().join(".modelcache/studio");
    for path in [state.clone(), state.join("manifests")] {
        chmod(&path, 0o555);
    }
    let (file, volumes) = (bench.path("cache.yaml"), bench.path("volumes"));
    let found =
        as_reader(&bench, &["verify", "-f", file.to_str().unwrap(), "--volumes-dir", volumes.to_str().unwrap()]);
    assert_eq!((found.code, kinds(&found)[0].0.as_str()), (33, "content"));
    assert!(found.stderr.contains("could not be noted"), "{}", found.stderr);
    assert!(bench.current().is_some(), "nothing was written");
}

#[test]
fn a_directory_that_may_not_be_read_is_named_and_the_rest_counted() {
    let bench = warmed(&json!({}));
    let secret = bench.volume().join("secret");
    std::fs::create_dir(&secret).unwrap();
    std::fs::write(secret.join("x"), vec![1; 100_000]).unwrap();
    chmod(&secret, 0o000);
    let found = as_reader(&bench, &["du", "--volume", bench.volume().to_str().unwrap()]);
    chmod(&secret, 0o755);
    assert_eq!(found.code, 0, "{}", found.stderr);
    let unreadable = found.one()["unreadable"].as_array().unwrap();
    assert!(unreadable.len() == 1 && unreadable[0].as_str().unwrap().starts_with("secret: "), "{unreadable:?}");
    assert!(found.one()["caches"][0]["own"]["apparentBytes"].as_u64().unwrap() > 5 << 20);
}
