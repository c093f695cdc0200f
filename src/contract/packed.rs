//! How does much fit into a termination message? Without names of fields, compressed, as text.

use super::plan::Pin;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

/// Level of compression: there are a few kilobytes.
const LEVEL: i32 = 19;
/// Bytes that what is packed has at most once it is unpacked.
const UNPACKED: usize = 1 << 20;

/// A source's name, revision, files, bytes and digest.
type Row = (String, String, u64, u64, String);

/// The pins as text.
pub fn pack(pins: &BTreeMap<String, Pin>) -> String {
    let row = |(name, it): (&String, &Pin)| -> Row {
        (name.clone(), it.revision.clone(), it.files, it.bytes, it.digest.clone())
    };
    text(&pins.iter().map(row).collect::<Vec<Row>>())
}

/// Rows as text.
pub fn text(rows: &impl Serialize) -> String {
    let plain = serde_json::to_vec(rows).unwrap_or_default();
    // What cannot be compressed is not there; whoever reads it says so.
    STANDARD_NO_PAD.encode(zstd::bulk::compress(&plain, LEVEL).unwrap_or_default())
}

/// The pins of such a text.
///
/// # Errors
/// What is wrong with it, in words.
pub fn unpack(text: &str) -> Result<BTreeMap<String, Pin>, String> {
    let rows: Vec<Row> = read(text)?;
    let pin = |(name, revision, files, bytes, digest): Row| (name, Pin { revision, files, bytes, digest });
    Ok(rows.into_iter().map(pin).collect())
}

/// The rows of such a text.
///
/// # Errors
/// What is wrong with it, in words.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let bytes = STANDARD_NO_PAD.decode(text).map_err(|error| error.to_string())?;
    let plain = zstd::bulk::decompress(&bytes, UNPACKED).map_err(|error| error.to_string())?;
    serde_json::from_slice(&plain).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_survive_the_way_and_what_is_no_pins_is_refused() {
        let pin = |it: u64| Pin { revision: "ab".repeat(20), files: it, bytes: u64::MAX, digest: "cd".repeat(32) };
        let pins: BTreeMap<String, Pin> = (0..3).map(|it| (format!("source-{it}"), pin(it))).collect();
        assert_eq!(unpack(&pack(&pins)), Ok(pins));
        assert_eq!(unpack(&pack(&BTreeMap::new())), Ok(BTreeMap::new()));
        assert!(unpack("%").is_err() && unpack("").is_err() && unpack("AAAA").is_err());
    }
}
