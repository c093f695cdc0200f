//! What is a pipeline of spaCy? One directory in a wheel.

use super::super::failure::Failure;
use super::access::Access;
use super::listing::Listing;
use super::unpack::Unpack;
use super::{Origins, http};
use crate::api::source::{ArchiveFormat, Spacy};
use crate::contract::plan::Pin;

/// Asks the server for size and tag of the wheel.
pub async fn resolve(origins: &Origins, spacy: &Spacy, access: &Access) -> Result<Listing, Failure> {
    Ok(unpacked(spacy, http::resolve(origins, &spacy.wheel(), access).await?))
}

/// The wheel of a pin. Nobody is asked.
pub fn list(spacy: &Spacy, pin: &Pin, access: &Access) -> Result<Listing, Failure> {
    Ok(unpacked(spacy, http::list(&spacy.wheel(), pin, access)?))
}

fn unpacked(spacy: &Spacy, mut listing: Listing) -> Listing {
    let unpack = Unpack { format: ArchiveFormat::Zip, drop_top: false, only: Some(spacy.directory_in_wheel()) };
    listing.files.iter_mut().for_each(|it| it.unpack = Some(unpack.clone()));
    listing
}
