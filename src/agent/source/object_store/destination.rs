//! Who is asked when a store is written to? The same client and the same words as for a listing; other rights.

use super::super::super::failure::Failure;
use super::super::Origins;
use super::super::access::Access;
use super::bucket::Bucket;
use super::connect::Seen;
use super::refusal::{self, Purpose};
use crate::api::source::ObjectStore;
use object_store::multipart::MultipartStore;

/// A bucket that is written to.
#[derive(Debug)]
pub struct Destination {
    bucket: Bucket,
    spec: ObjectStore,
}

impl Destination {
    /// The client of the store that the spec names. Nobody is asked yet.
    ///
    /// # Errors
    /// As for a source.
    pub fn new(origins: &Origins, spec: ObjectStore, access: &Access) -> Result<Self, Failure> {
        Ok(Self { bucket: Bucket::new(origins, &spec, access)?, spec })
    }

    /// The bucket, as messages call it.
    pub fn name(&self) -> String {
        refusal::name(&self.spec, &self.bucket)
    }

    /// Objects as a whole.
    pub fn objects(&self) -> &dyn object_store::ObjectStore {
        &*self.bucket.client
    }

    /// Objects in parts.
    pub fn parts(&self) -> &dyn MultipartStore {
        &*self.bucket.parts.0
    }

    /// What went wrong.
    pub fn failure(&self, error: &object_store::Error) -> Failure {
        refusal::failure(&self.spec, &self.bucket, error, Purpose::Write)
    }

    /// Whether what was missing last was the bucket itself, and not an object in it.
    pub fn bucket_is_missing(&self) -> bool {
        let missing = |code: &str| matches!(code, "NoSuchBucket" | "ContainerNotFound");
        matches!(self.bucket.connector.seen(), Some(Seen::Refused(it)) if it.code.as_deref().is_some_and(missing))
    }
}
