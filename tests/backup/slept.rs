//! A backup on a machine that slept: a prune may have taken it for dead, and removed what it relies on.

use super::{Place, bytes, memory, whole};
use rustix::process::{Pid, Signal, kill_process};
use sha2::{Digest as _, Sha256};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime};

fn blob(place: &Place, bytes: &[u8]) -> PathBuf {
    let sha256 = modelcache::api::name::hex(&Sha256::digest(bytes));
    place.repository().join(format!("blobs/sha256/{}/{sha256}", &sha256[..2]))
}

#[test]
fn a_backup_that_others_may_have_taken_for_dead_looks_again_before_there_is_a_snapshot() {
    for removed in [false, true] {
        let place = Place::at(memory::directory());
        place.put("0.bin", &bytes(1, 1 << 20));
        std::thread::sleep(Duration::from_millis(300));
        place.backup();
        // What is there is relied on; what is new keeps the run busy.
        place.put("a.bin", &bytes(2, 1 << 20));
        place.put("b.bin", &vec![3; 128 << 20]);
        let sent = blob(&place, &bytes(2, 1 << 20));
        let child = place.local().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let end = Instant::now() + Duration::from_secs(240);
        while !sent.exists() {
            assert!(Instant::now() < end, "the backup sends nothing");
            std::thread::yield_now();
        }
        let process = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        kill_process(process, Signal::STOP).unwrap();
        let running = place.repository().join("running");
        let markers = super::files(&running);
        assert_eq!(markers.len(), 1, "it is at work");
        let marker = std::fs::File::options().write(true).open(running.join(&markers[0])).unwrap();
        marker.set_modified(SystemTime::now() - Duration::from_secs(20 * 60)).unwrap();
        if removed {
            std::fs::remove_file(blob(&place, &bytes(1, 1 << 20))).unwrap();
        }
        kill_process(process, Signal::CONT).unwrap();
        let ran = super::bench::ran(child.wait_with_output().unwrap());
        if removed {
            assert_eq!(ran.one()["reason"], "Evicted", "{:?}", ran.results);
            assert!(ran.message().contains("a prune has removed") && ran.message().contains("run it again"));
            let snapshots = super::files(&place.repository().join("snapshots"));
            assert_eq!(snapshots.len(), 1, "the one that was there before");
            std::fs::remove_file(place.repository().join("snapshots").join(&snapshots[0])).unwrap();
            place.backup();
        } else {
            assert_eq!(ran.code, 0, "{:?} {}", ran.results, ran.stderr);
            assert!(ran.stderr.contains("could not say"), "{}", ran.stderr);
        }
        let found = whole::contents(&place.to(), "studio", None);
        assert_eq!(found.last().unwrap().1["0.bin"], bytes(1, 1 << 20));
    }
}
