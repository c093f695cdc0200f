//! A process killed at any moment: the next one goes on where the disk says it was.

use std::{
    env,
    io::Write as _,
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use modelcache::agent::fetch::{FetchOptions, Writer};

use crate::{
    origin::{Reply, Server, bytes, content},
    volume::{Volume, fetch_onto, options, undisturbed, until},
};

const SIZE: usize = 192 << 20;

/// The windows of a 2 GiB download, at the scale of one of this size.
fn scaled(size: u64) -> FetchOptions {
    FetchOptions { connections: 2, part_size: size / 48, dirty_window: size / 96, ..options() }
}

/// Not a test: what the child process of the tests here does.
#[test]
fn child() {
    let (Ok(volume), Ok(url), Ok(sha256)) = (env::var("KILL_VOLUME"), env::var("KILL_URL"), env::var("KILL_SHA256"))
    else {
        return;
    };
    let mut wanted = content(&url, &[]);
    let digest = modelcache::agent::fetch::unhex(&sha256).unwrap().try_into().unwrap();
    wanted.digest = Some(modelcache::agent::fetch::Digest::Sha256(digest));
    let size = env::var("KILL_SIZE").unwrap().parse().unwrap();
    wanted.size = Some(size);
    fetch_onto(Path::new(&volume), Writer::Local, vec![wanted], &scaled(size), &Arc::default()).unwrap();
}

fn spawn(volume: &Volume, url: &str, body: &[u8]) -> Child {
    let Some(modelcache::agent::fetch::Digest::Sha256(sha256)) = content(url, body).digest else { unreachable!() };
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "kill::child"])
        .env("KILL_VOLUME", volume.path())
        .env("KILL_URL", url)
        .env("KILL_SIZE", body.len().to_string())
        .env("KILL_SHA256", modelcache::agent::fetch::hex(&sha256))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn after_a_kill_at_half_hardly_a_byte_is_fetched_twice() {
    undisturbed(|| {
        let (server, volume) = (Server::start(), Volume::new());
        let body = bytes(1, SIZE);
        server.put("/model", body.clone(), |_| Reply::Good);
        let url = server.url("/model");

        let mut first = spawn(&volume, &url, &body);
        until("half is sent", || server.sent() >= SIZE as u64 / 2);
        first.kill().unwrap();
        first.wait().unwrap();
        assert_eq!(volume.published(0), None, "nothing is published before its end");

        assert!(spawn(&volume, &url, &body).wait().unwrap().success());
        assert!(volume.published(0).is_some_and(|published| published == body));
        assert_eq!(volume.left(), Vec::<std::path::PathBuf>::new());
        let twice = server.sent() - SIZE as u64;
        let _ = writeln!(std::io::stderr(), "fetched twice after a kill at half: {} KiB", twice / 1024);
        // The window, and what two loopback sockets hold at either end.
        assert!(twice <= 16 << 20, "{twice} bytes were fetched twice");
    });
}

/// Kills of [`killed_at_a_hundred_random_points_nothing_wrong_is_seen_and_the_end_is_right`].
const KILLS: usize = 100;
/// Small enough for a hundred, with windows of the same scale.
const SMALL: usize = 12 << 20;

#[test]
fn killed_at_a_hundred_random_points_nothing_wrong_is_seen_and_the_end_is_right() {
    let seed = u64::from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos());
    let (volumes, lanes) = (10, 4);
    std::thread::scope(|scope| {
        for lane in 0..lanes {
            let of_lane = (lane..volumes).step_by(lanes);
            scope.spawn(|| of_lane.for_each(|volume| killed_at_random(seed + volume as u64, KILLS / volumes)));
        }
    });
}

fn killed_at_random(seed: u64, kills: usize) {
    let (server, volume) = (Server::start(), Volume::new());
    let body = bytes(seed, SMALL);
    server.put("/model", body.clone(), |_| Reply::Slow(8 << 20));
    let url = server.url("/model");
    let (mut random, mut killed) = (bytes(seed + 1, 8 * 100 * kills).into_iter(), 0);
    while killed < kills {
        let number: Vec<u8> = random.by_ref().take(8).collect();
        let further =
            u64::from_le_bytes(number.try_into().unwrap_or_else(|_| panic!("hardly a run was there to be killed")));
        let mut child = spawn(&volume, &url, &body);
        let point = server.sent() + further % SMALL as u64;
        until("the point is reached", || server.sent() >= point || child.try_wait().unwrap().is_some());
        let _ = child.kill();
        // One that was quicker has all of it: the next begins anew.
        killed += usize::from(child.wait().unwrap().signal().is_some());
        let wrong = volume.published(0).is_some_and(|published| published != body);
        assert!(!wrong, "wrong bytes were published: seed {seed}, after {killed} kills");
    }
    assert!(spawn(&volume, &url, &body).wait().unwrap().success(), "seed {seed}");
    assert!(volume.published(0).is_some_and(|published| published == body), "seed {seed}");
    assert_eq!(volume.left(), Vec::<std::path::PathBuf>::new(), "seed {seed}");
}

#[test]
fn a_torn_or_lying_journal_costs_bytes_and_never_correctness() {
    let spoil: [fn(&Path); 3] = [
        |journal| {
            let bytes = std::fs::read(journal).unwrap();
            std::fs::write(journal, &bytes[..bytes.len() / 2]).unwrap();
        },
        |journal| std::fs::write(journal, "not a journal").unwrap(),
        // The journal is true and the data is not: as after a disk fault.
        |journal| {
            let partial = journal.with_extension("");
            let file = std::fs::File::options().write(true).open(partial).unwrap();
            std::os::unix::fs::FileExt::write_all_at(&file, &[0; 4096], 1 << 20).unwrap();
        },
    ];
    for spoil in spoil {
        let (server, volume) = (Server::start(), Volume::new());
        let body = bytes(3, 8 << 20);
        server.put("/model", body.clone(), |request| if request.nth < 6 { Reply::Good } else { Reply::Hang(10) });
        let hasty = FetchOptions {
            connections: 2,
            stall_after: Duration::from_secs(5),
            give_up_after: Duration::from_millis(1),
            ..options()
        };
        volume.fetch(vec![content(&server.url("/model"), &body)], &hasty).unwrap_err();
        let journal = volume.left().into_iter().find(|path| path.extension().is_some_and(|e| e == "journal")).unwrap();
        spoil(&journal);
        server.put("/model", body.clone(), |_| Reply::Good);
        volume.fetch(vec![content(&server.url("/model"), &body)], &options()).unwrap();
        assert!(volume.published(0).is_some_and(|published| published == body), "wrong bytes were published");
        assert_eq!(volume.left(), Vec::<std::path::PathBuf>::new());
    }
}

#[test]
fn content_without_a_digest_goes_on_under_its_tag_and_starts_over_under_another() {
    for changed in [false, true] {
        let (server, volume) = (Server::start(), Volume::new());
        let (old, new) = (bytes(4, 8 << 20), bytes(5, 8 << 20));
        server.put_tagged("/file", old.clone(), Some("v1"), |request| {
            if request.nth < 6 { Reply::Good } else { Reply::Hang(10) }
        });
        let wanted = || {
            let mut wanted = content(&server.url("/file"), &old);
            (wanted.size, wanted.digest) = (None, None);
            vec![wanted]
        };
        let hasty =
            FetchOptions { stall_after: Duration::from_secs(5), give_up_after: Duration::from_millis(1), ..options() };
        volume.fetch(wanted(), &hasty).unwrap_err();
        let before = server.sent();
        let (body, tag) = if changed { (&new, "v2") } else { (&old, "v1") };
        server.put_tagged("/file", body.clone(), Some(tag), |_| Reply::Good);
        volume.fetch(wanted(), &options()).unwrap();
        assert!(volume.published(0).is_some_and(|published| published == *body));
        assert_eq!(changed, server.sent() - before >= 8 << 20);
    }
}
