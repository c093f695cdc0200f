//! Which objects does a rendered text have?

use serde_json::Value;

/// The objects, in their order.
pub fn all(text: &str) -> Vec<Value> {
    let mut documents = vec![String::new()];
    for line in text.lines() {
        if line == "---" {
            documents.push(String::new());
        } else if let Some(last) = documents.last_mut() {
            last.push_str(line);
            last.push('\n');
        }
    }
    let parsed = documents.iter().filter(|it| it.lines().any(|line| !line.trim().is_empty() && !line.starts_with('#')));
    parsed.map(|it| serde_saphyr::from_str(it).unwrap_or_else(|error| panic!("{error}:\n{it}"))).collect()
}

/// `Kind namespace/name`
pub fn name(object: &Value) -> String {
    let part = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    let namespace = part("/metadata/namespace");
    let slash = if namespace.is_empty() { "" } else { "/" };
    format!("{} {namespace}{slash}{}", part("/kind"), part("/metadata/name"))
}

/// The object of a kind and name.
pub fn find<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let found = objects.iter().find(|it| it["kind"] == kind && it["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("no {kind} {name}"))
}
