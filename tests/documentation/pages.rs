//! Which pages are there, and what is in their fences?

use std::path::{Path, PathBuf};

/// The root of the checkout.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The text of a page, by its path from the root.
pub fn read(name: &str) -> String {
    let path = root().join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every page for people, by its path from the root.
pub fn all() -> Vec<String> {
    let mut found = vec!["README.md".to_owned(), "CONTRIBUTING.md".to_owned()];
    below(&root().join("docs"), &mut found);
    found.sort();
    found
}

fn below(directory: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path: PathBuf = entry.unwrap().path();
        if path.is_dir() {
            below(&path, found);
        } else if path.extension().is_some_and(|it| it == "md") {
            found.push(path.strip_prefix(root()).unwrap().to_string_lossy().into_owned());
        }
    }
}

/// A fenced block.
pub struct Block {
    /// `page:line` of its fence.
    pub at: String,
    /// Its language.
    pub language: String,
    pub text: String,
}

/// The fenced blocks of a page, in order.
pub fn blocks(name: &str) -> Vec<Block> {
    let mut found: Vec<Block> = vec![];
    let mut open = false;
    for (index, line) in read(name).lines().enumerate() {
        match line.trim_start().strip_prefix("```") {
            Some(_) if open => open = false,
            Some(language) => {
                open = true;
                let at = format!("{name}:{}", index + 1);
                found.push(Block { at, language: language.to_owned(), text: String::new() });
            }
            None if open => {
                let block = found.last_mut().unwrap();
                block.text.push_str(line);
                block.text.push('\n');
            }
            None => {}
        }
    }
    assert!(!open, "{name}: a fence is never closed");
    found
}

/// The lines of a page that are not in a fence, with their numbers.
pub fn prose(name: &str) -> Vec<(usize, String)> {
    let mut open = false;
    let mut found = vec![];
    for (index, line) in read(name).lines().enumerate() {
        if line.trim_start().starts_with("```") {
            open = !open;
        } else if !open {
            found.push((index + 1, line.to_owned()));
        }
    }
    found
}
