//! What are the objects of a repository called?

use super::super::super::failure::Failure;
use super::seal::Form;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use ring::rand::{SecureRandom, SystemRandom};

/// Whose repository this is.
pub const MARKER: &str = "modelcache.json";

/// The directory of a cache's repository, below the destination's own.
pub fn directory(namespace: &str, cache: &str) -> String {
    format!("{namespace}/{cache}")
}

/// A name in a directory; the empty directory is the root.
pub fn join(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
}

/// The object of a content.
pub fn blob(sha256: &str, form: Form) -> String {
    format!("blobs/sha256/{}/{sha256}{}", sha256.get(..2).unwrap_or_default(), form.suffix())
}

/// The content and the form that the name of a blob tells. `None` when it is no such name.
pub fn parse_blob(name: &str) -> Option<(String, Form)> {
    let (_, last) = name.strip_prefix("blobs/sha256/")?.split_once('/')?;
    let (sha256, suffix) = last.split_at_checked(64)?;
    let form = Form::ALL.into_iter().find(|form| form.suffix() == suffix)?;
    let hex = sha256.bytes().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'));
    (hex && blob(sha256, form) == name).then(|| (sha256.to_owned(), form))
}

/// The object of a pack.
pub fn pack(id: &str) -> String {
    format!("packs/{}/{id}", id.get(..2).unwrap_or_default())
}

/// The object of a snapshot: names sort as their times do.
pub fn snapshot(time: Timestamp, id: &str, form: Form) -> String {
    format!("snapshots/{}-{id}.json{}", time.strftime("%Y%m%dT%H%M%SZ"), form.suffix())
}

/// The object of an archive.
pub fn archive(time: Timestamp, id: &str, form: Form) -> String {
    format!("archives/{}-{id}.tar{}", time.strftime("%Y%m%dT%H%M%SZ"), form.suffix())
}

/// When the archive of a name was begun, and its id. `None` when it is no such name.
pub fn parse_archive(name: &str) -> Option<(Timestamp, String)> {
    let form = Form::ALL.into_iter().find(|form| name.ends_with(&format!(".tar{}", form.suffix())))?;
    let (time, id) = name.strip_prefix("archives/")?.split_once('-')?;
    let id = id.strip_suffix(&format!(".tar{}", form.suffix()))?;
    let begun = DateTime::strptime("%Y%m%dT%H%M%SZ", time).ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp();
    let ours = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_hexdigit()) && archive(begun, id, form) == name;
    ours.then(|| (begun, id.to_owned()))
}

/// Whether an object is a snapshot; what is put beside them by others is left alone.
pub fn is_snapshot(name: &str) -> bool {
    let inner = name.strip_prefix("snapshots/").map(|it| it.strip_suffix(Form::AGE).unwrap_or(it));
    inner.and_then(|it| it.strip_suffix(".json")).is_some_and(|it| {
        let (time, id) = it.split_once('-').unwrap_or_default();
        time.len() == 16 && !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

/// The marker of a backup that is at work.
pub fn running(id: &str) -> String {
    format!("running/{id}.json")
}

/// The marker of a prune that is at work.
pub fn pruning(id: &str) -> String {
    format!("pruning/{id}.json")
}

/// A name that nobody else takes: 128 bits in hex.
pub fn unique() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).map_err(|_| super::internal("the system gives no random numbers"))?;
    Ok(crate::api::name::hex(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_golden_so_that_an_upgrade_finds_what_is_there() {
        let sha = "ab".repeat(32);
        let form = Form { zstd: true, age: true };
        assert_eq!(blob(&sha, form), format!("blobs/sha256/ab/{sha}.zst.age"));
        let time: Timestamp = "2026-11-21T02:03:04Z".parse().unwrap();
        assert_eq!(snapshot(time, "0f", Form::default()), "snapshots/20261121T020304Z-0f.json");
        assert_eq!(pack("abcd"), "packs/ab/abcd");
        assert_eq!(directory("studio", "image"), "studio/image");
    }

    #[test]
    fn only_a_name_that_we_give_is_taken_for_ours() {
        let sha = "ab".repeat(32);
        for form in Form::ALL {
            assert_eq!(parse_blob(&blob(&sha, form)), Some((sha.clone(), form)));
        }
        for name in [
            "blobs/sha256/cd/abababababababababababababababababababababababababababababababab",
            "blobs/sha256/ab/ab",
            "blobs/sha256/ab/ABababababababababababababababababababababababababababababababab",
            "packs/ab/abcd",
        ] {
            assert_eq!(parse_blob(name), None, "{name}");
        }
        let time: Timestamp = "2026-11-21T02:03:04Z".parse().unwrap();
        for form in Form::ALL {
            assert_eq!(parse_archive(&archive(time, "0f", form)), Some((time, "0f".into())));
        }
        for name in ["archives/mine.tar.zst", "archives/20261121T020304Z-.tar.zst", "archives/20261121T020304Z-0f.zip"]
        {
            assert_eq!(parse_archive(name), None, "{name}");
        }
        assert!(is_snapshot("snapshots/20261121T020304Z-0f.json.age"));
        assert!(!is_snapshot("snapshots/notes.txt") && !is_snapshot("snapshots/20261121T020304Z-.json"));
    }
}
