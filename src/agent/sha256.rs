//! How is SHA-256 reckoned as fast as a core can? By ring, whose assembly is in the binary already: it brings TLS.
//!
//! It is a third faster than the intrinsics of the crate `sha2`, which stays for the few short texts of `api` and `contract`.

use ring::digest::{Context, SHA256, digest};
use std::fmt;

/// A running SHA-256.
#[derive(Clone)]
pub struct Sha256(Context);

impl Default for Sha256 {
    fn default() -> Self {
        Self(Context::new(&SHA256))
    }
}

impl Sha256 {
    /// Of nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The hash of some bytes.
    pub fn digest(bytes: impl AsRef<[u8]>) -> [u8; 32] {
        sized(digest(&SHA256, bytes.as_ref()))
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.update(bytes.as_ref());
    }

    /// The hash of all of them.
    pub fn finalize(self) -> [u8; 32] {
        sized(self.0.finish())
    }
}

fn sized(digest: ring::digest::Digest) -> [u8; 32] {
    let mut sized = [0; 32];
    sized.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
    sized
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Sha256")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};
    use sha2::Digest as _;

    proptest! {
        #[test]
        fn it_is_the_same_hash_as_everybody_s(pieces in vec(vec(any::<u8>(), 0..300), 0..20)) {
            let (mut ours, mut theirs) = (Sha256::new(), sha2::Sha256::new());
            for piece in &pieces {
                ours.update(piece);
                theirs.update(piece);
            }
            let theirs: [u8; 32] = theirs.finalize().into();
            prop_assert_eq!(ours.clone().finalize(), theirs);
            prop_assert_eq!(Sha256::digest(pieces.concat()), theirs);
        }
    }
}
