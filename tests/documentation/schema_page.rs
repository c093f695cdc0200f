//! How does a schema read as a page?

use serde_json::{Map, Value};
use std::fmt::Write as _;

/// The page of a kind, from its CustomResourceDefinition.
pub fn page(crd: &Value) -> String {
    let spec = &crd["spec"];
    let version = &spec["versions"][0];
    let schema = &version["schema"]["openAPIV3Schema"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let kind = text(&spec["names"]["kind"]);
    let mut page = format!(
        "# {kind}\n\n<!-- Generated from the CustomResourceDefinition by `make generate`. Change src/api instead. -->\n\n{}\n\n",
        prose(&text(&schema["description"]))
    );
    let short = spec["names"]["shortNames"].as_array().map_or_else(String::new, |names| {
        names.iter().map(text).fold(String::new(), |all, it| all + ", short name `" + &it + "`")
    });
    let _ = writeln!(
        page,
        "`{}/{}`, {}{short}.",
        text(&spec["group"]),
        text(&version["name"]),
        if spec["scope"] == "Cluster" { "for the whole cluster" } else { "in a namespace" },
    );
    for rule in rules(schema) {
        let _ = writeln!(page, "\nMust hold: {rule}");
    }
    for (part, schema) in schema["properties"].as_object().into_iter().flatten() {
        let _ = writeln!(page, "\n## `{part}`\n\n| Field | Type | Means |\n|---|---|---|");
        let _ = writeln!(page, "| `{part}` | {} | {} |", kind_of(schema, true), meaning(schema));
        fields(part, schema, &mut page);
    }
    columns(version, &mut page);
    page
}

fn columns(version: &Value, page: &mut String) {
    let Some(columns) = version["additionalPrinterColumns"].as_array() else { return };
    page.push_str("\n## Columns of `kubectl get`\n\n| Column | From | Only with `-o wide` |\n|---|---|---|\n");
    for column in columns {
        let wide = if column["priority"].as_u64().unwrap_or(0) > 0 { "yes" } else { "" };
        let cell = |key: &str| cell(column[key].as_str().unwrap_or_default());
        let _ = writeln!(page, "| {} | `{}` | {wide} |", cell("name"), cell("jsonPath"));
    }
}

/// A row for every field below a schema.
fn fields(path: &str, schema: &Value, page: &mut String) {
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        let _ =
            writeln!(page, "| `{path}` | {} | {} |", kind_of(field, required.contains(&name.as_str())), meaning(field));
        fields(&path, field, page);
        if field["items"].is_object() {
            fields(&format!("{path}[]"), &field["items"], page);
        }
        if field["additionalProperties"].is_object() {
            fields(&format!("{path}.*"), &field["additionalProperties"], page);
        }
    }
}

/// `string, required`.
fn kind_of(schema: &Value, required: bool) -> String {
    let kind = bare(schema);
    if required { format!("{kind}, required") } else { kind }
}

fn bare(schema: &Value) -> String {
    if schema["x-kubernetes-int-or-string"] == true {
        return "integer or string".to_owned();
    }
    match schema["type"].as_str().unwrap_or("any") {
        "array" => match schema["x-kubernetes-list-map-keys"].as_array() {
            Some(keys) => {
                let keys: Vec<&str> = keys.iter().filter_map(Value::as_str).collect();
                format!("list of {}, by `{}`", bare(&schema["items"]), keys.join("`, `"))
            }
            None => format!("list of {}", bare(&schema["items"])),
        },
        "object" if schema["additionalProperties"].is_object() => {
            format!("map of {}", bare(&schema["additionalProperties"]))
        }
        "string" if schema["format"] == "date-time" => "time".to_owned(),
        other => other.to_owned(),
    }
}

/// What it is for, its bounds, and what must hold.
fn meaning(schema: &Value) -> String {
    let mut parts = vec![cell(schema["description"].as_str().unwrap_or_default())];
    parts.extend(bounds(schema));
    if let Some(inner) = schema["items"].as_object().or(schema["additionalProperties"].as_object()) {
        let (inner, has_fields) = (Value::Object(inner.clone()), inner.contains_key("properties"));
        // What an entry that has no fields of its own must be is said here, as it has no row.
        if !has_fields {
            parts.extend(bounds(&inner).map(|it| format!("Each: {it}")));
        }
        parts.extend(rules(&inner).into_iter().map(|it| format!("Each must hold: {it}")));
    }
    parts.extend(rules(schema).into_iter().map(|it| format!("Must hold: {it}")));
    parts.retain(|it| !it.is_empty());
    parts.join("<br>")
}

/// The messages of its rules.
fn rules(schema: &Value) -> Vec<String> {
    let rules = schema["x-kubernetes-validations"].as_array().into_iter().flatten();
    rules.filter_map(|it| it["message"].as_str()).map(cell).collect()
}

fn bounds(schema: &Value) -> Option<String> {
    let object: &Map<String, Value> = schema.as_object()?;
    let mut said = vec![];
    if let Some(values) = object.get("enum").and_then(Value::as_array) {
        let values: Vec<String> = values.iter().filter_map(Value::as_str).map(|it| format!("`{it}`")).collect();
        said.push(format!("one of {}", values.join(", ")));
    }
    for (least, most, unit) in [
        ("minimum", "maximum", ""),
        ("minLength", "maxLength", " characters"),
        ("minItems", "maxItems", " entries"),
        ("minProperties", "maxProperties", " entries"),
    ] {
        let number = |key: &str| object.get(key).map(|it| it.as_f64().map_or_else(String::new, |it| format!("{it}")));
        match (number(least), number(most)) {
            (Some(least), Some(most)) => said.push(format!("{least} to {most}{unit}")),
            (Some(least), None) => said.push(format!("at least {least}{unit}")),
            (None, Some(most)) => said.push(format!("at most {most}{unit}")),
            (None, None) => {}
        }
    }
    if let Some(pattern) = object.get("pattern").and_then(Value::as_str) {
        said.push(format!("matches `{}`", pattern.replace('|', "\\|")));
    }
    (!said.is_empty()).then(|| format!("({})", said.join("; ")))
}

/// As the text of a page: lines that were broken to fit a file are joined.
fn prose(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().join("\n")
}

/// As a cell of a table. What is between backticks stays as it is; outside of them nothing is taken for a tag.
fn cell(text: &str) -> String {
    let joined = text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|");
    let parts = joined.split('`').enumerate();
    let escaped: Vec<String> =
        parts.map(|(index, part)| if index % 2 == 0 { part.replace('<', "&lt;") } else { part.to_owned() }).collect();
    escaped.join("`")
}
