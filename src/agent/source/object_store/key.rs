//! What are objects called: in a URL, and in the answer to a listing?

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// What a URL's path may hold as it is: RFC 3986's unreserved characters, and the slash between the parts of a key. A `+` is
/// not among them: S3 reads it as a space.
const PLAIN: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// A key as a URL's path names it.
pub(super) fn encode(key: &str) -> String {
    utf8_percent_encode(key, &PLAIN).to_string()
}

/// The key that a URL's path names.
pub(super) fn decode(path: &str) -> Option<String> {
    percent_decode_str(path).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

/// A listing's answer without what is no object but stands for a directory: a key that ends in a slash. The crate would take
/// the slash away and take the rest for a file.
///
/// # Errors
/// A key that begins with a slash: the crate would take that away, too, and another object would be fetched.
pub(super) fn without_directories(answer: &str) -> Result<String, String> {
    let mut kept = String::with_capacity(answer.len());
    let mut rest = answer;
    while let Some((start, entry, end)) = next_entry(rest) {
        let key = between(entry, "<Key>", "</Key>").or_else(|| between(entry, "<Name>", "</Name>")).unwrap_or_default();
        if key.starts_with('/') {
            return Err(key.to_owned());
        }
        kept.push_str(rest.get(..start).unwrap_or_default());
        if !key.ends_with('/') {
            kept.push_str(entry);
        }
        rest = rest.get(end..).unwrap_or_default();
    }
    kept.push_str(rest);
    Ok(kept)
}

/// The first entry of a listing, with its tags: S3 and Google Cloud Storage say `Contents`, Azure says `Blob`.
fn next_entry(text: &str) -> Option<(usize, &str, usize)> {
    [("<Contents>", "</Contents>"), ("<Blob>", "</Blob>")].into_iter().find_map(|(open, close)| {
        let start = text.find(open)?;
        let end = start + text.get(start..)?.find(close)? + close.len();
        Some((start, text.get(start..end)?, end))
    })
}

/// What stands between two tags.
pub(super) fn between<'a>(text: &'a str, open: &str, close: &str) -> Option<&'a str> {
    let (_, after) = text.split_once(open)?;
    after.split_once(close).map(|(inner, _)| inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_plus_and_a_space_are_two_things() {
        assert_eq!(encode("a+b c/ü~_.-%"), "a%2Bb%20c/%C3%BC~_.-%25");
    }

    #[test]
    fn directories_are_left_out_of_a_listing_and_nothing_else() {
        let entry = |key: &str| format!("<Contents><Key>{key}</Key><Size>0</Size></Contents>");
        let listing = |keys: &[&str]| {
            format!(
                "<L><Name>bucket/</Name>{}<KeyCount>3</KeyCount></L>",
                keys.iter().map(|it| entry(it)).collect::<String>()
            )
        };
        let cleaned = without_directories(&listing(&["a", "b/", "b/c", "d&amp;/"])).unwrap();
        assert_eq!(cleaned, listing(&["a", "b/c"]));
        assert_eq!(without_directories(&listing(&["a", "/etc/passwd"])).unwrap_err(), "/etc/passwd");
        let azure = "<Blobs><Blob><Name>x/</Name></Blob><Blob><Name>y</Name></Blob></Blobs>";
        assert_eq!(without_directories(azure).unwrap(), "<Blobs><Blob><Name>y</Name></Blob></Blobs>");
        assert_eq!(without_directories("<Contents>").unwrap(), "<Contents>");
    }

    proptest! {
        #[test]
        fn a_key_survives_the_way_through_a_url(key in "\\PC{1,20}") {
            let url = url::Url::parse(&format!("http://host/bucket/x{}", encode(&key))).unwrap();
            if !key.split('/').any(|part| matches!(part, "." | "..")) && !key.contains("..") {
                prop_assert_eq!(decode(url.path().strip_prefix("/bucket/x").unwrap()).unwrap(), key);
            }
        }
    }
}
