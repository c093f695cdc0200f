//! How does an archive that somebody carried here become the content of a volume? Unpacked aside, by the rules that hold for
//! every archive; then switched as every restore is.

use super::choice::Choice;
use super::journal::Journal;
use super::own_archive::{Content, Said, Unpackage};
use super::own_state::{Own, Target, Theirs};
use super::stage::Stage;
use super::{journal, rollback, switch};
use crate::agent::backup::repository::seal::{Form, Seal};
use crate::agent::failure::Failure;
use crate::agent::fetch::{Staging, Writer};
use crate::agent::layout::manifest::{Entry, What};
use crate::agent::layout::safe_path::Root;
use crate::agent::layout::{self, LayoutError, staging};
use crate::agent::source::name;
use crate::agent::unpack::{self, Input, Limits};
use crate::api::Reason;
use crate::api::backup::Encryption;
use crate::api::model_cache::ModelCacheSpec;
use crate::api::source::ArchiveFormat;
use jiff::Timestamp;
use std::fs::File;
use std::path::Path;

/// An archive, and where it goes.
pub struct ArchiveRestore<'a> {
    /// The file.
    pub file: &'a Path,
    /// The directory that is the volume.
    pub to: &'a Path,
    /// The directory on the volume; its root when empty.
    pub below: &'a str,
    /// Which volume of an archive that a backup wrote; the only one when none is named.
    pub volume: Option<&'a str>,
    /// The key of one that is encrypted.
    pub seal: &'a Seal,
    /// The cache whose state is used on the volume.
    pub cache: &'a str,
    /// The spec of that cache, if it is one that somebody named.
    pub spec: Option<&'a ModelCacheSpec>,
    /// In whose name.
    pub writer: Writer,
    /// Bytes that must stay free on the file system.
    pub min_free: u64,
    /// Until when what was there is kept.
    pub keep_until: Timestamp,
}

/// What an archive is, by its name.
///
/// # Errors
/// `InvalidSpec` when the name does not tell.
pub fn format(file: &Path) -> Result<ArchiveFormat, Failure> {
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let name = name.strip_suffix(Form::AGE).filter(|it| it.ends_with(".tar.zst")).unwrap_or(&name);
    let all = [ArchiveFormat::TarZst, ArchiveFormat::TarGz, ArchiveFormat::Tar, ArchiveFormat::Zip];
    all.into_iter().find(|format| format.stem(name) != name).ok_or_else(|| {
        let message = format!(
            "{name} must end in .tar.zst, .tar.zst.age, .tar.gz, .tgz, .tar or .zip: the ending says what it is"
        );
        Failure::new(Reason::InvalidSpec, message)
    })
}

impl ArchiveRestore<'_> {
    /// Restores it. Gives the number of files and their bytes. Blocking.
    ///
    /// # Errors
    /// `ListingMismatch` for names, links and sizes that are refused, `ChecksumMismatch` for damage, `NoFiles` for an empty
    /// one. Nothing of it is in place then.
    pub fn run(&self) -> Result<(u64, u64), Failure> {
        format(self.file)?;
        if !self.below.is_empty() {
            name::check(self.below)
                .map_err(|bad| Failure::new(Reason::InvalidSpec, format!("--to: the path {:?} {bad}", self.below)))?;
        }
        let failed = |path: &Path, error: std::io::Error| Failure::from(LayoutError::new(path, error));
        let file = File::open(self.file).map_err(|error| failed(self.file, error))?;
        std::fs::create_dir_all(self.to).map_err(|error| failed(self.to, error))?;
        let root = Root::open(self.to)?;
        let lock = Staging::open(self.to, Path::new(&staging(self.cache)), self.writer.clone())?;
        rollback::resume(&root, self.cache)?;
        let shown = self.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let aside = format!("{}/unpacked", journal::directory(self.cache));
        unpack::remove::tree(&root, &aside)?;
        root.make_directory(&aside)?;
        let unpacked = self.unpack(&root, &aside, &shown, file, &lock);
        Stage::new(&root, self.cache)?;
        let content = unpacked.and_then(|content| {
            let from = content.directory.as_ref().map_or_else(|| aside.clone(), |volume| format!("{aside}/{volume}"));
            let staged = journal::staged(self.cache);
            let to = if self.below.is_empty() { staged } else { below_it(&staged, self.below) };
            switch::rename(&root, &from, &to)?;
            Ok(content)
        });
        unpack::remove::tree(&root, &aside)?;
        let Content { entries, said, .. } = match content {
            Ok(content) => content,
            Err(failure) => {
                unpack::remove::tree(&root, &journal::staged(self.cache))?;
                return Err(failure);
            }
        };
        let stage = Stage::again(&root, self.cache)?;
        let mut theirs = Theirs::read(&root, self.cache)?;
        for entry in &entries {
            if let What::File { sha256, .. } = &entry.what {
                theirs.restored(&below_it(self.below, &entry.path), sha256);
            }
        }
        let current = match said.map(|said| self.documents(&root, said)).transpose()?.flatten() {
            Some((target, then, said)) => {
                let whole = said.manifests.iter().flat_map(|it| &it.entries).all(|it| !it.damaged);
                let (from, choice, manifests) = (&said.volume, &Choice::default(), said.manifests.clone());
                let own = Own { target: &target, from, then: &then, choice, manifests };
                own.stage(&root, &stage, theirs)?.filter(|_| whole && target.cache == self.cache)
            }
            None => theirs.stage(&root, &stage, self.cache, &[])?,
        };
        switch::sync(&root)?;
        lock.check()?;
        root.remove(&journal::path(self.cache))?;
        unpack::remove::tree(&root, &journal::kept(self.cache))?;
        let mut journal = Journal::new(&shown, self.keep_until, switch::plan(&root, self.cache)?);
        journal.before = crate::agent::layout::current::read(&root, self.cache)?;
        journal.current = current;
        journal.write(&root, self.cache)?;
        switch::forward(&root, self.cache, &mut journal)?;
        Ok((entries.len() as u64, entries.iter().map(Entry::size).sum()))
    }

    /// Whose documents the manifests of a backup become: those of the cache that somebody named; else of the cache that was
    /// backed up, where nothing of it is on the volume. Nobody's, where the content goes to another directory than it was in.
    fn documents(&self, root: &Root, said: Said) -> Result<Option<(Target, ModelCacheSpec, Said)>, Failure> {
        let then: Option<ModelCacheSpec> = serde_json::from_value(said.snapshot.spec.clone()).ok();
        let Some(then) = then.filter(|_| self.below.is_empty() && !said.manifests.is_empty()) else { return Ok(None) };
        let volume = said.volume.name.clone();
        if let Some(spec) = self.spec {
            return Ok(Some((Target { cache: self.cache.to_owned(), volume, spec: spec.clone() }, then, said)));
        }
        let cache = said.snapshot.cache.clone();
        // An archive may say anything; a cache's name is a DNS label.
        let is_name = !cache.is_empty() && cache.bytes().all(|it| matches!(it, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        if !is_name || root.stat(&layout::state(&cache))?.is_some() {
            return Ok(None);
        }
        Ok(Some((Target { cache, volume, spec: then.clone() }, then, said)))
    }

    /// Unpacks it aside. Gives what of it is wanted.
    fn unpack(&self, root: &Root, aside: &str, shown: &str, file: File, lock: &Staging) -> Result<Content, Failure> {
        let format = format(self.file)?;
        let limits = Limits { budget_left: None, min_free: self.min_free };
        let encrypted = shown.ends_with(Form::AGE);
        if encrypted && self.seal.recipient().is_none() {
            let message = format!("{shown} is encrypted: set {} to its secret key", Encryption::STAND_IN);
            return Err(Failure::new(Reason::SecretNotFound, message));
        }
        let input = if encrypted {
            let plain = self.seal.reader(file, Form { zstd: true, age: true }).map_err(|error| {
                let message = format!("{shown} cannot be read with the key: {error}; nothing was taken from it");
                Failure::new(Reason::ChecksumMismatch, message)
            })?;
            Input::Tar(plain)
        } else {
            Input::File(file, format)
        };
        let entries = unpack::into_directory(root, root.below(aside)?, shown, input, limits, lock)?;
        let unpacked = Unpackage { name: shown, root: root.below(aside)?, entries };
        let content = unpacked.volume(self.volume)?;
        if content.entries.is_empty() {
            let message = format!("{shown} has no file that is wanted; nothing was taken from it");
            return Err(Failure::new(Reason::NoFiles, message));
        }
        Ok(content)
    }
}

fn below_it(below: &str, path: &str) -> String {
    if below.is_empty() { path.to_owned() } else { format!("{below}/{path}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ending_says_what_an_archive_is() {
        for (name, expected) in [
            ("a.tar.zst", Some(ArchiveFormat::TarZst)),
            ("a.tar.zst.age", Some(ArchiveFormat::TarZst)),
            ("a.tar.gz.age", None),
            ("a.tar.gz", Some(ArchiveFormat::TarGz)),
            ("a.tgz", Some(ArchiveFormat::TarGz)),
            ("a.tar", Some(ArchiveFormat::Tar)),
            ("a.zip", Some(ArchiveFormat::Zip)),
            ("a.rar", None),
            ("a", None),
        ] {
            assert_eq!(format(Path::new(name)).ok(), expected, "{name}");
        }
    }
}
