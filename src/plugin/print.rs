//! Where do results go? Standard output, all of it from here.

use super::error::Error;
use super::options::{Format, When};
use super::render::paint::Paint;
use serde::Serialize;
use std::io::{IsTerminal, Write};

/// Writes text.
pub fn text(text: &str) -> Result<(), Error> {
    bytes(text.as_bytes())
}

/// Writes bytes.
pub fn bytes(bytes: &[u8]) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(bytes).and_then(|()| out.flush());
    written.map_err(|error| Error::Io { what: "standard output".into(), error })
}

/// Writes a document as JSON or YAML.
pub fn document(format: Format, document: &impl Serialize) -> Result<(), Error> {
    let rendered = if format == Format::Json {
        serde_json::to_string_pretty(document).map_err(|error| error.to_string())
    } else {
        serde_saphyr::to_string(document).map_err(|error| error.to_string())
    };
    let rendered = rendered.map_err(Error::Print)?;
    text(&format!("{}\n", rendered.trim_end()))
}

/// Objects as kubectl prints several: a `List`.
pub fn objects<T: Serialize>(format: Format, objects: &[T]) -> Result<(), Error> {
    document(format, &serde_json::json!({"apiVersion": "v1", "kind": "List", "items": objects}))
}

/// Says that an object was made: at once to people and as a name, at the end as the object itself.
pub fn made(format: Format, full_name: &str) -> Result<(), Error> {
    match format {
        Format::Json | Format::Yaml => Ok(()),
        Format::Name => text(&format!("{full_name}\n")),
        Format::Table | Format::Wide => text(&format!("{full_name} created\n")),
    }
}

/// Whether there are colours: what the flag says, else on a terminal, unless NO_COLOR is set (<https://no-color.org>).
pub fn paint_for(when: When) -> Paint {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|it| !it.is_empty());
    Paint(match when {
        When::Always => true,
        When::Never => false,
        When::Auto => !refused && std::io::stdout().is_terminal(),
    })
}
