//! Which object store is meant, and what is shown to it? Used wherever content lies in a bucket; where below the bucket is
//! said by whoever names the store.

mod azure;
mod gcs;
mod s3;

pub use self::azure::Azure;
pub use self::gcs::Gcs;
pub use self::s3::S3;
