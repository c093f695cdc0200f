//! How many bytes does a Kubernetes quantity mean?

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use schemars::{Schema, SchemaGenerator, json_schema};

/// A quantity that is not a whole number of bytes greater than nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` must be a quantity of bytes such as 500Mi, 60Gi or 2Ti")]
pub struct InvalidQuantity(pub String);

/// Bytes of a quantity such as `60Gi`.
///
/// # Errors
/// When the text is not a quantity, is not positive, or does not fit 63 bits.
pub fn bytes(quantity: &Quantity) -> Result<u64, InvalidQuantity> {
    parse(&quantity.0).filter(|bytes| *bytes > 0).ok_or_else(|| InvalidQuantity(quantity.0.clone()))
}

/// The syntax of <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>, for whole positive
/// numbers; a fraction of a byte is rounded up, as Kubernetes does. (The crate `kube_quantity` 0.9 cuts `1.5Mi` to `1Mi`.)
fn parse(text: &str) -> Option<u64> {
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, suffix) = text.split_at_checked(split)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || digits.len() > 20 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits: u128 = digits.parse().ok()?;
    let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let bytes = digits.checked_mul(multiplier(suffix)?)?.div_ceil(scale);
    u64::try_from(bytes).ok().filter(|bytes| i64::try_from(*bytes).is_ok())
}

fn multiplier(suffix: &str) -> Option<u128> {
    const DECIMAL: [&str; 6] = ["k", "M", "G", "T", "P", "E"];
    const BINARY: [&str; 6] = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    let power =
        |names: [&str; 6]| names.iter().position(|name| *name == suffix).and_then(|it| u32::try_from(it + 1).ok());
    if suffix.is_empty() {
        return Some(1);
    }
    if let Some(exponent) = suffix.strip_prefix(['e', 'E']).and_then(|digits| digits.parse::<u32>().ok()) {
        return 10_u128.checked_pow(exponent);
    }
    power(DECIMAL).map(|power| 1000_u128.pow(power)).or_else(|| power(BINARY).map(|power| 1024_u128.pow(power)))
}

/// A count of bytes or files as the API carries it: a signed 64-bit integer.
pub fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// `1536` as `1.5 KiB`: for messages and printer columns.
pub fn human(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS.get(unit).copied().unwrap_or("PiB"))
}

/// Schema of a size: a bounded string in the quantity syntax, greater than zero.
pub(crate) fn size_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "maxLength": 32,
        "x-kubernetes-validations": [{
            "rule": "self.matches('^[0-9]+([.][0-9]+)?(k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|[eE][0-9]+)?$') && isQuantity(self) && quantity(self).isGreaterThan(quantity('0')) && quantity(self).isLessThan(quantity('1Ei'))",
            "message": "must be a quantity of bytes greater than zero and less than 1Ei, such as 500Mi, 60Gi or 2Ti"
        }]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantity_is_read_as_kubernetes_reads_it() {
        for (text, expected) in [
            ("1", 1),
            ("60Gi", 60 << 30),
            ("1k", 1000),
            ("1.5Mi", 1_572_864),
            ("2Ti", 2 << 40),
            ("12e6", 12_000_000),
            ("0.5", 1),
        ] {
            assert_eq!(bytes(&Quantity(text.into())), Ok(expected), "{text}");
        }
        for text in ["", "0", "-1", "ten", "1Zz", ".", "1.2.3", "9Ei", "99999999999999999999999", "1e99"] {
            assert!(bytes(&Quantity(text.into())).is_err(), "{text}");
        }
    }

    #[test]
    fn bytes_are_shown_in_the_unit_a_person_would_choose() {
        for (value, expected) in
            [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (1 << 30, "1.0 GiB"), ((1 << 30) - 1, "1.0 GiB")]
        {
            assert_eq!(human(value), expected);
        }
    }
}
