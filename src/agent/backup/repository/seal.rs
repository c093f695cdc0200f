//! In which form are bytes kept? Plain, compressed where it pays, encrypted where a key is given: compressed first.

use crate::agent::failure::Failure;
use crate::api::Reason;
use age::secrecy::ExposeSecret as _;
use age::stream::StreamWriter;
use age::x25519;
use serde::{Deserialize, Serialize};
use std::io::{self, Read, Write};
use std::sync::Arc;

/// What zstd and age may add to a content that they cannot make smaller, for contents of a few MiB.
pub const OVERHEAD: u64 = 1 << 20;
/// Fast: the disk or the network is to be the limit, not this.
const LEVEL: i32 = 1;

/// How an object's bytes are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Form {
    /// Compressed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub zstd: bool,
    /// Encrypted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub age: bool,
}

/// How a repository keeps its objects: with its key, if it has one.
#[derive(Clone, Default)]
pub struct Seal {
    key: Option<Arc<x25519::Identity>>,
}

impl Form {
    /// What the name of an encrypted object ends in.
    pub const AGE: &'static str = ".age";
    /// Every form.
    pub const ALL: [Self; 4] = [
        Self { zstd: false, age: false },
        Self { zstd: true, age: false },
        Self { zstd: false, age: true },
        Self { zstd: true, age: true },
    ];

    /// What an object's name ends in.
    pub const fn suffix(self) -> &'static str {
        match (self.zstd, self.age) {
            (false, false) => "",
            (true, false) => ".zst",
            (false, true) => ".age",
            (true, true) => ".zst.age",
        }
    }
}

impl Seal {
    /// With a secret key as `age-keygen` prints it; its lines of comment are passed over.
    ///
    /// # Errors
    /// `InvalidSpec` when it is no such key. What was given is not shown.
    pub fn with_key(text: &str, place: &str) -> Result<Self, Failure> {
        let line = text.lines().map(str::trim).find(|it| !it.is_empty() && !it.starts_with('#')).unwrap_or_default();
        let key = line.parse().map_err(|_| {
            let message = format!(
                "{place} is no secret key of age: it must be a line `AGE-SECRET-KEY-1…`, as `age-keygen` prints it"
            );
            Failure::new(Reason::InvalidSpec, message)
        })?;
        Ok(Self { key: Some(Arc::new(key)) })
    }

    /// The public half of the key: tells which key is needed, and lets nobody read.
    pub fn recipient(&self) -> Option<String> {
        self.key.as_ref().map(|it| it.to_public().to_string())
    }

    /// The form of a new object.
    pub fn form(&self, zstd: bool) -> Form {
        Form { zstd, age: self.key.is_some() }
    }

    /// Bytes as they are kept.
    pub fn seal(&self, plain: &[u8], form: Form) -> io::Result<Vec<u8>> {
        let mut writer = self.writer(Vec::with_capacity(plain.len() / 2), form)?;
        writer.write_all(plain)?;
        writer.finish()
    }

    /// What was kept, of at most `limit` bytes.
    pub fn open(&self, sealed: &[u8], form: Form, limit: u64) -> io::Result<Vec<u8>> {
        let mut plain = Vec::new();
        self.reader(sealed, form)?.take(limit + 1).read_to_end(&mut plain)?;
        if plain.len() as u64 > limit { Err(io::Error::other("it is larger than it may be")) } else { Ok(plain) }
    }

    /// Takes plain bytes and passes them on as they are kept.
    pub fn writer<W: Write>(&self, output: W, form: Form) -> io::Result<SealWriter<W>> {
        Ok(match (form.zstd, form.age) {
            (false, false) => SealWriter::Plain(output),
            (true, false) => SealWriter::Zstd(zstd::Encoder::new(output, LEVEL)?),
            (false, true) => SealWriter::Age(self.encrypted(output)?),
            (true, true) => SealWriter::ZstdAge(zstd::Encoder::new(self.encrypted(output)?, LEVEL)?),
        })
    }

    /// Reads what was kept as plain bytes.
    pub fn reader<'a>(&self, input: impl Read + 'a, form: Form) -> io::Result<Box<dyn Read + 'a>> {
        let input: Box<dyn Read + 'a> = if form.age {
            let key = self.key.as_ref().ok_or_else(|| io::Error::other("it is encrypted, and no key is given"))?;
            let decryptor = age::Decryptor::new(input).map_err(io::Error::other)?;
            Box::new(decryptor.decrypt(std::iter::once(&**key as &dyn age::Identity)).map_err(io::Error::other)?)
        } else {
            Box::new(input)
        };
        Ok(if form.zstd { Box::new(zstd::Decoder::new(input)?) } else { input })
    }

    fn encrypted<W: Write>(&self, output: W) -> io::Result<StreamWriter<W>> {
        let key = self.key.as_ref().ok_or_else(|| io::Error::other("no key is given to encrypt with"))?;
        let recipient = key.to_public();
        let recipients = std::iter::once(&recipient as &dyn age::Recipient);
        age::Encryptor::with_recipients(recipients).map_err(io::Error::other)?.wrap_output(output)
    }
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Seal({})", self.recipient().as_deref().unwrap_or("plain"))
    }
}

/// A new key, as `age-keygen` makes one.
pub fn new_key() -> String {
    x25519::Identity::generate().to_string().expose_secret().to_owned()
}

/// See [`Seal::writer`].
pub enum SealWriter<W: Write> {
    /// As they are.
    Plain(W),
    /// Compressed.
    Zstd(zstd::Encoder<'static, W>),
    /// Encrypted.
    Age(StreamWriter<W>),
    /// Both.
    ZstdAge(zstd::Encoder<'static, StreamWriter<W>>),
}

impl<W: Write> SealWriter<W> {
    /// Ends it: what was written is complete only then.
    pub fn finish(self) -> io::Result<W> {
        match self {
            Self::Plain(output) => Ok(output),
            Self::Zstd(encoder) => encoder.finish(),
            Self::Age(writer) => writer.finish(),
            Self::ZstdAge(encoder) => encoder.finish()?.finish(),
        }
    }
}

impl<W: Write> Write for SealWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(output) => output.write(bytes),
            Self::Zstd(encoder) => encoder.write(bytes),
            Self::Age(writer) => writer.write(bytes),
            Self::ZstdAge(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_gives_back_what_was_put_in() {
        let seal = Seal::with_key(&format!("# created\n{}\n", new_key()), "x").unwrap();
        let plain = b"text ".repeat(100_000);
        for form in Form::ALL {
            let sealed = seal.seal(&plain, form).unwrap();
            assert_eq!(seal.open(&sealed, form, plain.len() as u64).unwrap(), plain, "{form:?}");
            assert!(!form.zstd || sealed.len() < plain.len() / 10);
            assert!(seal.open(&sealed, form, plain.len() as u64 - 1).is_err(), "a content larger than it may be");
        }
    }

    #[test]
    fn another_key_does_not_open_it_and_a_changed_byte_is_seen() {
        let seal = Seal::with_key(&new_key(), "x").unwrap();
        let form = seal.form(false);
        let mut sealed = seal.seal(b"secret", form).unwrap();
        assert!(!sealed.windows(6).any(|it| it == b"secret"));
        assert!(Seal::with_key(&new_key(), "x").unwrap().open(&sealed, form, 100).is_err());
        assert!(Seal::default().open(&sealed, form, 100).is_err());
        *sealed.last_mut().unwrap() ^= 1;
        assert!(seal.open(&sealed, form, 100).is_err());
    }

    #[test]
    fn what_is_no_key_is_refused_without_showing_it() {
        let failure = Seal::with_key("hunter2", "key `key` of Secret `age`").unwrap_err();
        assert!(failure.message.contains("Secret `age`") && !failure.message.contains("hunter2"), "{failure}");
    }
}
