//! `env`: prints the environment that clients need, and how a pod gets it.

#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use crate::agent::failure::Failure;
use crate::agent::layout::environment::{environment, environment_at};
use crate::agent::local;
use crate::api::volume::Volume;
use crate::api::{ModelCache, Reason, name};
use crate::contract::exit_code;
use clap::{Args, ValueEnum};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Options of `env`.
#[derive(Args, Debug)]
pub struct Env {
    /// A file with a ModelCache.
    #[arg(short = 'f', long = "file", value_name = "YAML")]
    file: PathBuf,

    /// Name of the ModelCache, where the file has several.
    #[arg(long, value_name = "NAME")]
    cache: Option<String>,

    /// Directory on this machine that has a directory for each volume. [default: the paths that pods see]
    #[arg(long, value_name = "DIR")]
    volumes_dir: Option<PathBuf>,

    /// How to print it.
    #[arg(long, value_enum, default_value_t = EnvFormat::Shell)]
    format: EnvFormat,
}

/// How the environment is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EnvFormat {
    /// `export NAME='value'`, to be evaluated by a shell.
    Shell,
    /// `NAME=value`, for `env_file` in Compose.
    Dotenv,
    /// One object.
    Json,
    /// What a pod's spec needs to use the cache.
    Pod,
}

impl Env {
    /// Runs the command.
    pub fn run(self) -> ExitCode {
        match self.text() {
            Ok(text) => {
                print!("{text}");
                ExitCode::SUCCESS
            }
            Err(failure) => {
                eprintln!("{}", failure.message);
                ExitCode::from(exit_code::of(failure.reason))
            }
        }
    }

    fn text(&self) -> Result<String, Failure> {
        text(&self.one()?, self.format, self.volumes_dir.as_deref())
    }

    fn one(&self) -> Result<ModelCache, Failure> {
        let mut caches = local::read(&self.file)?;
        let names: Vec<String> = caches.iter().filter_map(|it| it.metadata.name.clone()).collect();
        if let Some(name) = &self.cache {
            caches.retain(|it| it.metadata.name.as_ref() == Some(name));
        }
        let (there, file) = (names.join(", "), self.file.display());
        match (caches.pop(), caches.is_empty()) {
            (Some(cache), true) => Ok(cache),
            (None, _) => {
                Err(Failure::new(Reason::InvalidSpec, format!("{file} has no such ModelCache; it has {there}")))
            }
            (Some(_), false) => {
                let message = format!("{file} has several ModelCaches: name one of {there} with --cache");
                Err(Failure::new(Reason::InvalidSpec, message))
            }
        }
    }
}

/// The environment of a cache in a format, for the paths that pods see, or below a directory of this machine.
///
/// # Errors
/// When the two do not go together, or a value could not be written down.
pub fn text(cache: &ModelCache, format: EnvFormat, volumes_dir: Option<&Path>) -> Result<String, Failure> {
    let invalid = |what: String| Failure::new(Reason::InvalidSpec, what);
    let variables = match (volumes_dir, format) {
        (None, EnvFormat::Pod) => return Ok(pod(cache)),
        (Some(_), EnvFormat::Pod) => {
            return Err(invalid("a pod sees the mount paths: leave out --volumes-dir or --format pod".to_owned()));
        }
        (None, _) => environment(&cache.spec),
        (Some(directory), _) => {
            let unusable = |what: &str| invalid(format!("{}: {what}", directory.display()));
            let directory = std::path::absolute(directory).map_err(|error| unusable(&error.to_string()))?;
            let directory = directory.to_str().ok_or_else(|| unusable("is not UTF-8"))?;
            environment_at(&cache.spec, &|volume| here(directory, volume))
        }
    };
    if let Some((name, _)) = variables.iter().find(|(_, value)| value.chars().any(char::is_control)) {
        return Err(invalid(format!("{name} would have a control character in it: choose another path")));
    }
    Ok(match format {
        EnvFormat::Shell => lines(&variables, |name, value| format!("export {name}={}", shell(value))),
        EnvFormat::Dotenv => lines(&variables, |name, value| format!("{name}={}", dotenv(value))),
        EnvFormat::Json => serde_json::to_string_pretty(&variables).unwrap_or_default() + "\n",
        EnvFormat::Pod => pod(cache),
    })
}

/// Where a volume is on this machine.
fn here(directory: &str, volume: &Volume) -> String {
    Path::new(directory).join(&volume.name).to_string_lossy().into_owned()
}

fn lines(variables: &BTreeMap<String, String>, line: impl Fn(&str, &str) -> String) -> String {
    variables.iter().map(|(name, value)| line(name, value) + "\n").collect()
}

/// Quoted for every shell of POSIX: nothing in single quotes means anything, but the quote itself.
fn shell(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}

/// As Compose reads it. What needs no quotes gets none: `docker run --env-file` would take them for a part of the value.
fn dotenv(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-:,@%+=".contains(c);
    if value.chars().all(plain) {
        return value.to_owned();
    }
    if !value.contains('\'') {
        return format!("'{value}'");
    }
    let escaped = value.chars().fold(String::new(), |mut text, c| {
        if matches!(c, '\\' | '"' | '$') {
            text.push('\\');
        }
        text.push(c);
        text
    });
    format!("\"{escaped}\"")
}

/// The parts of a pod's spec, as they are written by hand. Volumes that no source fills are the user's own to write to.
fn pod(cache: &ModelCache) -> String {
    let cache_name = cache.metadata.name.as_deref().unwrap_or_default();
    let filled = |volume: &&Volume| cache.spec.sources.iter().any(|it| cache.spec.volume_of(it) == Some(*volume));
    let (mut mounts, mut claims) = (String::new(), String::new());
    for volume in cache.spec.volumes.iter().filter(filled) {
        let (name, path) = (yaml(&volume.name), yaml(&volume.effective_mount_path()));
        let claim = yaml(&volume.claim_name(cache_name));
        let _ = writeln!(mounts, "  - {{name: {name}, mountPath: {path}, readOnly: true}}");
        let _ = writeln!(claims, "- name: {name}\n  persistentVolumeClaim: {{claimName: {claim}, readOnly: true}}");
    }
    let environment = yaml(&name::environment(cache_name));
    format!(
        "# For the spec of a pod in the namespace of the cache. A variable that the container sets itself wins.\n\
         containers:\n- name: main # yours\n  envFrom:\n  - configMapRef: {{name: {environment}}}\n  volumeMounts:\n{mounts}\
         volumes:\n{claims}"
    )
}

/// A string that YAML takes for one: quoted, unless it is plainly a name or a path.
fn yaml(text: &str) -> String {
    const OTHERS: [&str; 8] = ["y", "n", "yes", "no", "on", "off", "true", "false"];
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
    let is_name = starts && text.chars().all(plain) && text != "null";
    if is_name && !OTHERS.contains(&text.to_ascii_lowercase().as_str()) {
        return text.to_owned();
    }
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_quoted_where_it_needs_to_be() {
        for (value, in_shell, in_dotenv) in [
            ("/models/hub", "'/models/hub'", "/models/hub"),
            ("/a b", "'/a b'", "'/a b'"),
            ("$(id)", "'$(id)'", "'$(id)'"),
            ("it's $5", r"'it'\''s $5'", r#""it's \$5""#),
            ("a#b", "'a#b'", "'a#b'"),
        ] {
            assert_eq!((shell(value).as_str(), dotenv(value).as_str()), (in_shell, in_dotenv));
        }
    }

    #[test]
    fn a_pods_snippet_mounts_what_is_filled_by_the_names_that_the_operator_uses() {
        let spec = r#"{"volumes": [{"name": "models", "mountPath": "/models: x", "shared": {"size": "1Gi"}},
                                   {"name": "42", "existingClaim": {"claimName": "on"}},
                                   {"name": "logs", "shared": {"size": "1Gi"}}],
                       "sources": [{"name": "a", "volume": "models", "huggingFace": {"repo": "o/a"}},
                                   {"name": "b", "volume": "42", "whisper": {"model": "tiny"}}]}"#;
        let snippet = pod(&ModelCache::new("studio", serde_json::from_str(spec).unwrap()));
        let read: serde_json::Value = serde_saphyr::from_str(&snippet).unwrap();
        insta::assert_yaml_snapshot!(read);
        assert_eq!(read["volumes"][0]["persistentVolumeClaim"]["claimName"], name::claim("studio", "models"));
    }
}
