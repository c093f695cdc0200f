//! Is an archive one that a backup with `format: Archive` wrote, and is everything in it what that backup read?

use super::volume::MANIFEST_LIMIT;
use crate::agent::backup::archive::{self, OWN};
use crate::agent::backup::repository::list::{Entry, What};
use crate::agent::backup::repository::snapshot::{LIMIT, Snapshot, VolumeSnapshot};
use crate::agent::failure::Failure;
use crate::agent::layout::held;
use crate::agent::layout::manifest::{self, Manifest, What as Unpacked};
use crate::agent::layout::safe_path::Root;
use crate::agent::sha256::Sha256;
use crate::api::Reason;
use crate::api::name::hex;
use rustix::fs::{Mode, fchmod};
use std::collections::HashMap;
use std::os::fd::OwnedFd;

/// Largest list that is read, in bytes.
const LIST_LIMIT: u64 = 512 << 20;
/// Bits of a mode that come from an archive: nothing that runs as somebody else.
const MODE_BITS: u32 = 0o777;

/// What an archive was unpacked to, in a directory of our own.
pub struct Unpackage<'a> {
    /// What messages call it.
    pub name: &'a str,
    /// The directory.
    pub root: Root,
    /// What came out, by its path there, hashed on its way.
    pub entries: Vec<manifest::Entry>,
}

/// What becomes the content of a volume.
pub struct Content {
    /// The directory that it was unpacked to, below that of the archive; the archive's own top when nobody's backup wrote it.
    pub directory: Option<String>,
    /// What is in that, by its later path.
    pub entries: Vec<manifest::Entry>,
    /// What the backup says of it, if one wrote it.
    pub said: Option<Said>,
}

/// What a backup says of a volume.
pub struct Said {
    /// The backup.
    pub snapshot: Snapshot,
    /// The volume in it.
    pub volume: VolumeSnapshot,
    /// The manifests of its sources. Entries that are not in the archive, or are other ones there, are marked as damaged.
    pub manifests: Vec<Manifest>,
}

impl Unpackage<'_> {
    /// The directory in it that is the wanted volume's content, and what is in that; the archive's own top when nobody's
    /// backup wrote it.
    ///
    /// # Errors
    /// `ChecksumMismatch` when it is not what its lists say, `InvalidSpec` when it holds several volumes and none is named,
    /// `NotFound` when it does not hold the one that is named.
    pub fn volume(self, wanted: Option<&str>) -> Result<Content, Failure> {
        let Some(snapshot) = self.snapshot()? else {
            return match wanted {
                None => Ok(Content { directory: None, entries: self.entries, said: None }),
                Some(volume) => Err(Failure::new(
                    Reason::NotFound,
                    format!("{} was made by hand and holds no volumes: leave out --volume {volume}", self.name),
                )),
            };
        };
        let names: Vec<&str> = snapshot.volumes.iter().map(|it| it.name.as_str()).collect();
        let volume = match (wanted, names.as_slice()) {
            (Some(wanted), names) if names.contains(&wanted) => wanted,
            (None, [one]) => one,
            (Some(wanted), names) => {
                let message = format!("{} holds no volume `{wanted}`, but {}", self.name, names.join(", "));
                return Err(Failure::new(Reason::NotFound, message));
            }
            (None, names) => {
                let message =
                    format!("{} holds several volumes: name one of {} with --volume", self.name, names.join(", "));
                return Err(Failure::new(Reason::InvalidSpec, message));
            }
        };
        let volume = snapshot.volumes.iter().find(|it| it.name == volume).cloned().unwrap_or_default();
        let mut manifests = self.manifests(&volume)?;
        let entries = self.check(&volume.name, volume.files)?;
        let there: HashMap<&str, &Unpacked> = entries.iter().map(|it| (it.path.as_str(), &it.what)).collect();
        for entry in manifests.iter_mut().flat_map(|it| &mut it.entries) {
            entry.damaged |= there.get(entry.path.as_str()) != Some(&&entry.what);
        }
        let directory = Some(volume.name.clone());
        Ok(Content { directory, entries, said: Some(Said { snapshot, volume, manifests }) })
    }

    /// The manifests that the snapshot names, proven by its hashes. Archives of older versions have none.
    fn manifests(&self, volume: &VolumeSnapshot) -> Result<Vec<Manifest>, Failure> {
        let mut manifests = Vec::new();
        for (source, kept) in &volume.manifests {
            let path = archive::manifest(&volume.name, source);
            let bytes = self.root.read(&path, MANIFEST_LIMIT)?.unwrap_or_default();
            let right = hex(&Sha256::digest(&bytes)) == kept.sha256;
            let manifest = Manifest::parse(&bytes, source).filter(|_| right);
            let wrong =
                || self.damaged(&format!("has another manifest of source `{source}` than its snapshot.json says"));
            manifests.push(manifest.ok_or_else(wrong)?);
        }
        Ok(manifests)
    }

    fn damaged(&self, what: &str) -> Failure {
        let message = format!("{} {what}; nothing was taken from it", self.name);
        Failure::new(Reason::ChecksumMismatch, message)
    }

    /// What a backup wrote last into it.
    fn snapshot(&self) -> Result<Option<Snapshot>, Failure> {
        match self.root.read(&format!("{OWN}/snapshot.json"), LIMIT)? {
            Some(bytes) => {
                let snapshot: Result<Snapshot, _> = serde_json::from_slice(&bytes);
                let found =
                    snapshot.map_err(|error| self.damaged(&format!("has a snapshot.json that is none: {error}")))?;
                Ok(Some(found))
            }
            None if self.entries.iter().any(|it| it.path.starts_with(&format!("{OWN}/"))) => {
                Err(self.damaged("was written by a backup that did not come to its end: it has no snapshot.json"))
            }
            None => Ok(None),
        }
    }

    /// Holds a volume's content to its list, and gives files and directories their modes. Gives what is in it, by its path there.
    fn check(self, volume: &str, files: u64) -> Result<Vec<manifest::Entry>, Failure> {
        let list = self.root.read(&format!("{OWN}/list-{volume}.jsonl"), LIST_LIMIT)?;
        let list = list.ok_or_else(|| self.damaged(&format!("has no list of volume `{volume}`")))?;
        let inside = |path: &str| path.strip_prefix(volume)?.strip_prefix('/').map(str::to_owned);
        let there: HashMap<String, &Unpacked> =
            self.entries.iter().filter_map(|it| Some((inside(&it.path)?, &it.what))).collect();
        let mut listed = 0;
        let lines: Result<Vec<Entry>, _> = serde_json::Deserializer::from_slice(&list).into_iter().collect();
        let lines = lines.map_err(|error| self.damaged(&format!("has a list that is none: {error}")))?;
        for Entry { path, mode, what } in &lines {
            let wrong = |what: &str| self.damaged(&format!("does not hold {path} as its list has it: {what}"));
            let full = format!("{volume}/{path}");
            let handle: OwnedFd = match (what, there.get(path)) {
                (What::Directory, None) => self.root.directory(&full)?,
                (What::File(file), Some(Unpacked::File { size, sha256 })) => {
                    listed += 1;
                    if (*size, sha256) != (file.size, &file.sha256) {
                        return Err(wrong("it has other bytes"));
                    }
                    self.root.file(&full)?.ok_or_else(|| wrong("it is gone"))?.into()
                }
                (What::Link { target }, Some(Unpacked::Link { link })) if target == link => {
                    if held::resolved(path, link).is_none() {
                        let message = format!(
                            "{} holds {path:?}, a link to {link:?}, which leaves the volume; nothing was taken from it",
                            self.name
                        );
                        return Err(Failure::new(Reason::ListingMismatch, message));
                    }
                    continue;
                }
                (_, None) => return Err(wrong("it is missing")),
                (_, Some(_)) => return Err(wrong("it is something else")),
            };
            let bits = (mode & MODE_BITS) | if matches!(what, What::Directory) { 0o700 } else { 0 };
            fchmod(handle, Mode::from_raw_mode(bits)).map_err(|error| self.root.failure(&full, error))?;
        }
        if listed != files || lines.iter().filter(|it| !matches!(it.what, What::Directory)).count() != there.len() {
            let found = there.len();
            return Err(
                self.damaged(&format!("holds {found} files and links of volume `{volume}`, and its list has others"))
            );
        }
        let own = |it: manifest::Entry| Some(manifest::Entry { path: inside(&it.path)?, ..it });
        Ok(self.entries.into_iter().filter_map(own).collect())
    }
}
