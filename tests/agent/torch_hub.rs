//! torch.hub: checkpoints that are held against their names, and repositories at a commit.

use crate::bench::Bench;
use crate::unpacked::zip;
use serde_json::{Value, json};

fn checkpoint(bench: &Bench, name: &str) -> Value {
    json!({"name": "w", "torchHub": {"checkpoint": format!("{}/files/models/{name}", bench.hub.url)}})
}

fn repo(bench: &Bench, name: &str, repo: &str) -> Value {
    json!({"name": name, "torchHub": {"repo": repo, "endpoint": format!("{}/files", bench.hub.url)}})
}

/// A repository as GitHub packs it, at a commit.
fn serve(bench: &Bench, owner_name: &str, commit: &str, hubconf: &str) {
    let top = format!("{}-{:.7}", owner_name.replace('/', "-"), commit);
    let names = [format!("{top}/hubconf.py"), format!("{top}/lib/x.py")];
    let archive = zip(&[(names[0].as_str(), hubconf.as_bytes()), (names[1].as_str(), b"X = 1")]);
    bench.hub.put(&format!("{owner_name}/zipball/{commit}"), archive);
}

fn branch(bench: &Bench, owner_name: &str, reference: &str, commit: &str) {
    bench.hub.put(&format!("api/v3/repos/{owner_name}/commits/{reference}"), commit.as_bytes().to_vec());
}

fn read(bench: &Bench, path: &str) -> String {
    std::fs::read_to_string(bench.volume().join(path)).unwrap()
}

#[test]
fn a_checkpoint_is_held_against_the_digits_in_its_name() {
    let bench = Bench::new();
    let bytes = vec![7; 3 << 20];
    let wrong = "net-01234567.pth";
    let hash = bench.hub.put(&format!("models/{wrong}"), bytes.clone());
    let right = format!("net-{hash:.8}.pth");
    bench.hub.put(&format!("models/{right}"), bytes.clone());
    bench.cache(&[checkpoint(&bench, wrong)]);
    bench.run(&["prefetch"]).failed(30, "ChecksumMismatch", &["sha256:01234567…"]);
    assert!(bench.published().iter().all(|it| !it.contains("checkpoints/")));
    bench.cache(&[checkpoint(&bench, &right)]);
    bench.prefetch();
    let path = format!("torch/hub/checkpoints/{right}");
    assert_eq!(std::fs::read(bench.volume().join(&path)).unwrap(), bytes);
    let requests = bench.requests();
    assert_eq!((bench.prefetch().fetched(), bench.requests()), (0, requests));
}

#[test]
fn a_repository_is_pinned_to_the_commit_of_its_branch_until_somebody_refreshes() {
    let bench = Bench::new();
    let (one, two) = ("1".repeat(40), "2".repeat(40));
    serve(&bench, "org/nets", &one, "one");
    serve(&bench, "org/nets", &two, "two");
    branch(&bench, "org/nets", "feature/x", &one);
    bench.cache(&[repo(&bench, "n", "org/nets:feature/x")]);
    bench.prefetch();
    let directory = "torch/hub/org_nets_feature_x";
    assert_eq!(read(&bench, &format!("{directory}/hubconf.py")), "one");
    assert_eq!(read(&bench, &format!("{directory}/lib/x.py")), "X = 1");
    branch(&bench, "org/nets", "feature/x", &two);
    assert_eq!(bench.prefetch().fetched(), 0);
    assert_eq!(bench.run(&["prefetch", "--refresh"]).code, 0);
    assert_eq!(read(&bench, &format!("{directory}/hubconf.py")), "two");
    assert_eq!(bench.run(&["verify"]).code, 0);
}

#[test]
fn an_origin_that_knows_no_commits_is_pinned_by_its_tag() {
    let bench = Bench::new();
    serve(&bench, "org/nets", "v1", "one");
    bench.cache(&[repo(&bench, "n", "org/nets:v1")]);
    let resolved = bench.run(&["resolve"]);
    assert!(resolved.one()["pin"]["revision"].as_str().unwrap().starts_with("etag:"), "{:?}", resolved.results);
    bench.prefetch();
    assert_eq!(read(&bench, "torch/hub/org_nets_v1/hubconf.py"), "one");
}

#[test]
fn all_repositories_of_a_home_share_one_list_and_no_source_finds_it_changed_by_another() {
    let bench = Bench::new();
    let commit = "a".repeat(40);
    for name in ["org/nets", "other/more"] {
        serve(&bench, name, &commit, name);
    }
    let nets = repo(&bench, "n", &format!("org/nets:{commit}"));
    let more = repo(&bench, "m", &format!("other/more:{commit}"));
    bench.cache(std::slice::from_ref(&nets));
    bench.prefetch();
    assert_eq!(read(&bench, "torch/hub/trusted_list"), "org_nets\n");
    bench.cache(&[nets.clone(), more]);
    bench.prefetch();
    assert_eq!(read(&bench, "torch/hub/trusted_list"), "org_nets\nother_more\n");
    assert_eq!(bench.run(&["verify"]).code, 0);
    let requests = bench.requests();
    bench.prefetch();
    assert_eq!(bench.requests(), requests);
    // One goes: its files are left to clean-up, and the list speaks of those that are wanted.
    bench.cache(&[nets]);
    bench.prefetch();
    assert_eq!((read(&bench, "torch/hub/trusted_list"), bench.requests()), ("org_nets\n".to_owned(), requests));
    assert_eq!(bench.run(&["verify"]).code, 0);
}
