//! What does a reference to an artifact mean, with everything that people leave out?

use crate::api::name::sha256_digits;
use std::fmt;

/// An artifact in a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Host of the registry, with its port if it has one.
    pub registry: String,
    /// Repository in it.
    pub repository: String,
    /// The tag; `latest` when there is neither a tag nor a digest.
    pub tag: Option<String>,
    /// Digest of a manifest: 64 hex digits of a SHA-256.
    pub digest: Option<String>,
}

impl Reference {
    /// Where Ollama's own models are.
    pub const OLLAMA: &'static str = "registry.ollama.ai";
    /// Where images without a registry are, and what people call it.
    const DOCKER: &'static str = "docker.io";

    /// Reads a reference. A registry may be left out only for a name of Ollama.
    ///
    /// # Errors
    /// What must be written instead.
    pub fn parse(text: &str, of_ollama: bool) -> Result<Self, String> {
        if text.contains("://") {
            return Err(format!("`{text}` must be a reference without a scheme: `registry/repository:tag`"));
        }
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(sha256(digest)?)),
            None => (text, None),
        };
        let (registry, rest) = match name.split_once('/') {
            Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (first, rest),
            _ if of_ollama => (Self::OLLAMA, name),
            _ => return Err(format!("`{text}` must begin with a registry, such as `ghcr.io/…`")),
        };
        let (repository, tag) = match rest.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
            _ => (rest, None),
        };
        if !is_host(registry) || !repository.split('/').all(is_part) || !tag.is_none_or(is_tag) {
            return Err(format!("`{text}` must be `registry/repository`, with `:tag` or `@sha256:` and 64 hex digits"));
        }
        let registry = match registry {
            "index.docker.io" | "registry-1.docker.io" => Self::DOCKER,
            other => other,
        };
        let official = matches!(registry, Self::OLLAMA | Self::DOCKER) && !repository.contains('/');
        let repository = if official { format!("library/{repository}") } else { repository.to_owned() };
        let tag = tag.or_else(|| digest.is_none().then_some("latest")).map(str::to_owned);
        Ok(Self { registry: registry.to_owned(), repository, tag, digest })
    }

    /// The host that is asked: Docker's registry answers elsewhere than it is called.
    pub fn host(&self) -> &str {
        if self.registry == Self::DOCKER { "registry-1.docker.io" } else { &self.registry }
    }

    /// The same repository, without tag and digest.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.name())?;
        self.tag.iter().try_for_each(|tag| write!(formatter, ":{tag}"))?;
        self.digest.iter().try_for_each(|digest| write!(formatter, "@sha256:{digest}"))
    }
}

fn sha256(digest: &str) -> Result<String, String> {
    let hex = sha256_digits(digest).map(str::to_owned);
    hex.ok_or_else(|| format!("the digest `{digest}` must be `sha256:` and 64 hex digits"))
}

fn is_host(host: &str) -> bool {
    let (name, port) = host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port)));
    is_part(name) && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

/// Letters and digits, with dots, dashes and underscores between them only: no part is `..` or begins with a dot.
fn is_part(part: &str) -> bool {
    let edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    edge(part.bytes().next()) && edge(part.bytes().last()) && part.len() <= 255 && part.bytes().all(is_inner)
}

fn is_tag(tag: &str) -> bool {
    let first = tag.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    first && tag.len() <= 128 && tag.bytes().all(is_inner)
}

fn is_inner(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    fn read(text: &str, of_ollama: bool) -> Result<String, String> {
        Reference::parse(text, of_ollama).map(|it| it.to_string())
    }

    #[test]
    fn what_is_left_out_of_a_reference_is_what_people_expect() {
        let with_digest = format!("ghcr.io/a/b:v1@{DIGEST}");
        for (text, expected) in [
            ("ghcr.io/a/b", "ghcr.io/a/b:latest"),
            ("ghcr.io/a/b:v1", "ghcr.io/a/b:v1"),
            (&with_digest, &with_digest),
            ("localhost/a", "localhost/a:latest"),
            ("localhost:5000/a/b/c:v1", "localhost:5000/a/b/c:v1"),
            ("docker.io/x", "docker.io/library/x:latest"),
            ("index.docker.io/ai/x:1", "docker.io/ai/x:1"),
            ("registry.ollama.ai/llama3.2:3b", "registry.ollama.ai/library/llama3.2:3b"),
        ] {
            assert_eq!(read(text, false).as_deref(), Ok(expected), "{text}");
        }
        let bare = Reference::parse(&format!("ghcr.io/a/b@{DIGEST}"), false).unwrap();
        assert_eq!(bare.tag, None, "a digest alone is not `latest`");
    }

    #[test]
    fn only_a_name_of_ollama_may_leave_out_its_registry() {
        for (text, expected) in [
            ("llama3.2:3b", "registry.ollama.ai/library/llama3.2:3b"),
            ("llama3.2", "registry.ollama.ai/library/llama3.2:latest"),
            ("me/model:x", "registry.ollama.ai/me/model:x"),
            ("hub.example:8080/me/model", "hub.example:8080/me/model:latest"),
        ] {
            assert_eq!(read(text, true).as_deref(), Ok(expected), "{text}");
        }
        for text in ["llama3.2:3b", "me/model:x", "model"] {
            assert!(read(text, false).unwrap_err().contains("registry"), "{text}");
        }
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        let sha512 = format!("ghcr.io/a@sha512:{}", "a".repeat(128));
        for (text, word) in [
            ("https://ghcr.io/a", "scheme"),
            (&sha512, "sha256"),
            ("ghcr.io/a@sha256:abc", "64 hex"),
            ("ghcr.io/../a", "repository"),
            ("ghcr.io/a/.hidden", "repository"),
            ("ghcr.io/a//b", "repository"),
            ("ghcr.io/a:..", "repository"),
            ("ghcr.io/a b", "repository"),
            ("ghcr.io:99999/a", "repository"),
            ("user@ghcr.io/a", "sha256"),
            ("ghcr.io/", "repository"),
        ] {
            let said = read(text, false).unwrap_err();
            assert!(said.contains(word), "{text}: {said}");
        }
    }
}
