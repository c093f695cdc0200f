//! Must a file be read? Pure: from what the file system says now, what the last list said, and what our manifests say.

use super::known::{Hash, Known, Standing, hash_of};
use super::owned::OwnedEntry;
use super::repository::list::{At, File, Stamp};
use crate::api::name::hex;
use rustix::fs::Stat;

/// What is to be done with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is in the repository, or comes from its origin: only listed.
    List(File),
    /// It is read. A source says that it has this hash.
    Read(Option<Hash>),
    /// It is not as large as its source says.
    Damaged,
}

/// Decides on one file. `origin` names the source when that fetches it again.
pub fn decide(
    stat: &Stat,
    owned: Option<&OwnedEntry>,
    origin: Option<&str>,
    before: Option<&File>,
    known: &Known,
) -> Decision {
    let (size, stamp) = (size(stat), stamp(stat));
    let promised = match owned {
        Some(OwnedEntry::File { size: promised, .. }) if *promised != size => return Decision::Damaged,
        Some(OwnedEntry::File { sha256, .. }) => Some(*sha256),
        _ => None,
    };
    if let (Some(source), Some(hash)) = (origin, promised) {
        let at = At::Origin { source: source.to_owned() };
        return Decision::List(File { size, sha256: hex(&hash), stamp: Stamp::default(), at });
    }
    if let Some(before) = before.filter(|it| it.size == size) {
        let hash = hash_of(before);
        let same = match promised {
            // What our manifest says does not change with the node, the inode or the time.
            Some(promised) => hash == Some(promised),
            None => before.stamp == stamp && !stamp.is_unknown(),
        };
        if same && known.holds(hash, &before.at) {
            return Decision::List(before.clone());
        }
    }
    match promised.map(|hash| (hash, known.standing(&hash))) {
        Some((hash, Standing::Held(at))) => {
            Decision::List(File { size, sha256: hex(&hash), stamp: Stamp::default(), at })
        }
        _ => Decision::Read(promised),
    }
}

/// Size in bytes.
pub fn size(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or_default()
}

/// What changes with the content.
pub fn stamp(stat: &Stat) -> Stamp {
    let nanoseconds = |seconds: i64, rest: u64| {
        seconds.saturating_mul(1_000_000_000).saturating_add(i64::try_from(rest).unwrap_or_default())
    };
    Stamp {
        mtime: nanoseconds(stat.st_mtime, stat.st_mtime_nsec),
        ctime: nanoseconds(stat.st_ctime, stat.st_ctime_nsec),
        inode: stat.st_ino,
    }
}
