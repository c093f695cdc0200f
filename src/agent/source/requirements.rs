//! Which packages does a requirements file lock, and to which hashes?
//!
//! The format is pip's (<https://pip.pypa.io/en/stable/reference/requirements-file-format/>), as far as locked files use it:
//! one requirement a line with `==` or `@ URL`, extras, markers, comments, continued lines and `--hash=sha256:…`.

use super::super::fetch::unhex_array;
use std::collections::BTreeSet;

/// One locked requirement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// The package, normalised: lower case, with a dash for every run of `-`, `_` and `.`
    /// (<https://packaging.python.org/en/latest/specifications/name-normalization/>).
    pub name: String,
    /// Where the one file of it is, when the line says that itself.
    pub url: Option<String>,
    /// SHA-256 of the files that may be installed for it.
    pub hashes: BTreeSet<[u8; 32]>,
}

/// Why a requirements file cannot be used. Lines are counted from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct BadRequirement {
    /// The line that the requirement begins in.
    pub line: usize,
    /// What is wrong, and what to do.
    pub problem: String,
}

/// Reads a requirements file.
///
/// # Errors
/// A requirement that is not locked, or an option that changes where packages come from: both would make the outcome
/// depend on more than this file.
pub fn parse(text: &str) -> Result<Vec<Requirement>, BadRequirement> {
    let mut requirements: Vec<Requirement> = Vec::new();
    for (line, content) in logical_lines(text) {
        let bad = |problem: String| BadRequirement { line, problem };
        if let Some(requirement) = requirement(&content).map_err(bad)? {
            match requirements.iter_mut().find(|it| (&it.name, &it.url) == (&requirement.name, &requirement.url)) {
                // Two versions of one package, told apart by markers.
                Some(known) => known.hashes.extend(requirement.hashes),
                None => requirements.push(requirement),
            }
        }
    }
    Ok(requirements)
}

/// Lines without comments, with continued ones joined; each with the number of its first.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut open = false;
    for (index, line) in text.lines().enumerate() {
        let comment = if line.trim_start().starts_with('#') { Some(0) } else { line.find(" #") };
        let content = comment.map_or(line, |at| line.get(..at).unwrap_or_default());
        let (content, goes_on) = match content.trim_end().strip_suffix('\\') {
            Some(content) => (content, true),
            None => (content, false),
        };
        match lines.last_mut().filter(|_| open) {
            Some((_, before)) => before.push_str(content),
            None => lines.push((index + 1, content.to_owned())),
        }
        open = goes_on;
    }
    lines.retain(|(_, content)| !content.trim().is_empty());
    lines
}

fn requirement(line: &str) -> Result<Option<Requirement>, String> {
    let mut hashes = BTreeSet::new();
    let mut words = Vec::new();
    let mut rest = line.split_whitespace();
    while let Some(word) = rest.next() {
        let Some(value) = word.strip_prefix("--hash") else {
            words.push(word);
            continue;
        };
        let value = value.strip_prefix('=').map(str::to_owned).or_else(|| rest.next().map(str::to_owned));
        hashes.insert(hash(&value.unwrap_or_default())?);
    }
    if let Some(option) = words.first().filter(|it| it.starts_with('-')) {
        return match option.split('=').next().unwrap_or_default() {
            "--require-hashes" | "--only-binary" | "--prefer-binary" => Ok(None),
            "-i" | "--index-url" | "--extra-index-url" | "-f" | "--find-links" => {
                Err(format!("`{option}` is not followed: name the index in the source's `endpoint`"))
            }
            _ => Err(format!("`{option}` is not known here: a locked file holds requirements with their hashes alone")),
        };
    }
    let text = words.join(" ");
    // Markers are pip's business when it installs.
    let text = text.split(';').next().unwrap_or_default().trim();
    let name: String = text.chars().take_while(|it| it.is_ascii_alphanumeric() || "-_.".contains(*it)).collect();
    if name.is_empty() {
        return Err(format!("`{text}` names no package"));
    }
    let after = text.get(name.len()..).unwrap_or_default().trim_start();
    let after = after.strip_prefix('[').and_then(|it| it.split_once(']')).map_or(after, |(_, after)| after).trim();
    let url = after.strip_prefix('@').map(|it| it.trim().to_owned());
    let url = match url {
        None if after.starts_with("==") => None,
        None => return Err(format!("`{text}` is not locked to one version: {LOCK}")),
        Some(url) => Some(with_fragment_hash(&url, &mut hashes)?),
    };
    if hashes.is_empty() {
        return Err(format!("`{text}` has no --hash=sha256: {LOCK}"));
    }
    Ok(Some(Requirement { name: normalised(&name), url, hashes }))
}

/// What makes a locked file.
const LOCK: &str =
    "lock the file with `uv pip compile --generate-hashes`, `uv export` or `pip-compile --generate-hashes`";

/// The URL without its fragment, which may be `sha256=…`.
fn with_fragment_hash(url: &str, hashes: &mut BTreeSet<[u8; 32]>) -> Result<String, String> {
    let (url, fragment) = url.split_once('#').unwrap_or((url, ""));
    if !url.starts_with("https://") && !url.starts_with("http://") {
        return Err(format!("`{url}` is not an http or https URL"));
    }
    let authority = url.split("://").nth(1).and_then(|it| it.split('/').next()).unwrap_or_default();
    if authority.contains('@') {
        return Err("a URL must not hold a user name or password".to_owned());
    }
    for hex in fragment.split('&').filter_map(|it| it.strip_prefix("sha256=")) {
        hashes.insert(hash(&format!("sha256:{hex}"))?);
    }
    Ok(url.to_owned())
}

fn hash(value: &str) -> Result<[u8; 32], String> {
    let hex = value.strip_prefix("sha256:").map(str::to_ascii_lowercase);
    let bytes = hex.and_then(|it| unhex_array(&it));
    bytes.ok_or_else(|| format!("`--hash={value}` is no SHA-256: only `--hash=sha256:<64 hex digits>` is taken"))
}

/// A package's name as indexes know it.
pub fn normalised(name: &str) -> String {
    let parts = name.split(['-', '_', '.']).filter(|it| !it.is_empty());
    parts.collect::<Vec<_>>().join("-").to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hex(byte: u8) -> String {
        format!("{byte:02x}").repeat(32)
    }

    #[test]
    fn a_locked_file_as_the_tools_write_it_is_read() {
        let text = format!(
            "# written by uv\n--require-hashes\nTyping_Extensions[all]==4.1 ; python_version < '3.12' \\\n    \
             --hash=sha256:{a} \\\n    --hash=sha256:{b}\n    # via torch\n\nmodel @ \
             https://x.org/a/model-1.0-py3-none-any.whl#sha256={a}  # a comment\n",
            a = hex(0xaa),
            b = hex(0xbb)
        );
        let found = parse(&text).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].name.as_str(), found[0].hashes.len(), &found[0].url), ("typing-extensions", 2, &None));
        assert_eq!(found[1].url.as_deref(), Some("https://x.org/a/model-1.0-py3-none-any.whl"));
        assert_eq!(found[1].hashes, BTreeSet::from([[0xaa; 32]]));
    }

    #[test]
    fn what_is_not_locked_is_refused_with_its_line_and_what_to_do() {
        let good = format!("a==1 --hash=sha256:{}", hex(1));
        for (line, word) in [
            ("numpy==1.0", "no --hash"),
            ("numpy>=1.0 --hash=sha256:00", "no SHA-256"),
            (&format!("numpy>=1.0 --hash=sha256:{}", hex(1)), "not locked to one version"),
            ("numpy==1 --hash=md5:00", "no SHA-256"),
            ("--index-url https://x", "endpoint"),
            ("-r other.txt", "not known"),
            ("-e .", "not known"),
            ("./local.whl", "not locked"),
            ("a @ file:///etc/passwd#sha256=00", "not an http"),
            ("a @ https://me:secret@x.org/a.whl#sha256=00", "must not hold a user name"),
        ] {
            let error = parse(&format!("{good}\n\n{line}\n")).unwrap_err();
            assert_eq!(error.line, 3, "{line}");
            assert!(error.problem.contains(word), "{line}: {error}");
        }
    }

    #[test]
    fn versions_told_apart_by_markers_are_one_requirement_with_the_hashes_of_both() {
        let text = format!("a==1 ; x --hash=sha256:{}\na==2 ; y --hash=sha256:{}", hex(1), hex(2));
        assert_eq!(parse(&text).unwrap()[0].hashes.len(), 2);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_and_never_a_panic(text in "(?s).{0,200}") {
            let _ = parse(&text);
        }

        #[test]
        fn a_name_is_normalised_once(name in "[A-Za-z0-9][A-Za-z0-9._-]{0,20}") {
            prop_assert_eq!(normalised(&normalised(&name)), normalised(&name));
        }
    }
}
