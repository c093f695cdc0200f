//! Which values are there? Read from `values.yaml` with its comments.

use crate::helm::{CHART, root};
use serde_json::Value as Json;

/// One value.
pub struct Value {
    /// Where it is.
    pub path: Vec<String>,
    /// The comment above it.
    pub description: String,
    /// What `@schema` adds.
    pub more: Vec<Json>,
    /// The kind, and the field of its spec, whose schema it has, by `@crd`.
    pub kind: Option<(String, Option<String>)>,
    /// What it is when nobody says anything.
    pub default: Json,
    /// Whether it only holds others.
    pub is_group: bool,
}

/// All values, in their order. Every one is a line `key: value` or, where it holds others, `key:`.
pub fn all() -> Vec<Value> {
    let text = std::fs::read_to_string(root().join(CHART).join("values.yaml")).unwrap();
    let defaults: Json = serde_saphyr::from_str(&text).unwrap();
    let mut found: Vec<Value> = vec![];
    let mut path: Vec<String> = vec![];
    let mut comment: Vec<&str> = vec![];
    for line in text.lines() {
        let trimmed = line.trim_start();
        if let Some(said) = trimmed.strip_prefix('#') {
            comment.push(said.trim());
            continue;
        }
        let Some((key, rest)) = trimmed.split_once(':') else {
            assert!(trimmed.is_empty(), "values.yaml: `{line}` is no `key: value` on one line");
            comment.clear();
            continue;
        };
        path.truncate((line.len() - trimmed.len()) / 2);
        path.push(key.to_owned());
        let (marks, words): (Vec<&str>, Vec<&str>) = comment.drain(..).partition(|it| it.starts_with('@'));
        let mark = |name: &str| marks.iter().filter_map(|it| it.strip_prefix(name)).map(str::trim).collect::<Vec<_>>();
        found.push(Value {
            path: path.clone(),
            description: words.join(" "),
            more: mark("@schema").iter().map(|it| serde_json::from_str(it).expect(it)).collect(),
            kind: mark("@crd").first().map(|it| match it.split_once(' ') {
                Some((kind, field)) => (kind.to_owned(), Some(field.to_owned())),
                None => ((*it).to_owned(), None),
            }),
            default: defaults.pointer(&format!("/{}", path.join("/"))).unwrap().clone(),
            is_group: rest.trim().is_empty(),
        });
    }
    found
}
