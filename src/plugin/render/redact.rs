//! What may leave the cluster in a report? Names and states; no values of variables, no tokens, no addresses with secrets in them.

use serde_json::Value;

/// What stands where something was.
pub const GONE: &str = "(removed)";

/// Keys whose text is a secret, or may hold one. Compared in lower case.
const SECRET_KEYS: [&str; 12] = [
    "token",
    "password",
    "passwd",
    "secret",
    "accesskey",
    "secretkey",
    "accesskeyid",
    "secretaccesskey",
    "authorization",
    "apikey",
    "connectionstring",
    "sastoken",
];
/// How tokens begin, of those who issue them.
const TOKENS: [&str; 9] = ["hf_", "ghp_", "github_pat_", "glpat-", "sk-", "AKIA", "AGE-SECRET-KEY-", "eyJ", "xox"];
/// The rest of a token has at least so many characters.
const SHORTEST: usize = 16;
/// What comes before a secret in a header. In lower case.
const BEFORE: [&str; 2] = ["bearer ", "basic "];
/// Names that have a secret behind `=` or `:`, in whatever quotes. In lower case.
const NAMED: [&str; 8] = ["token", "password", "passwd", "secret", "access_key", "api_key", "apikey", "accesskey"];
/// Annotations of other tools may hold the whole object as it was applied, in whatever form.
const OUR_ANNOTATIONS: &str = "modelcache.dev/";

/// An object without what must stay: the owners of its fields, what was last applied, values of variables, data, secrets.
pub fn object(value: &mut Value) {
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            let strange = annotations.iter_mut().filter(|(key, _)| !key.starts_with(OUR_ANNOTATIONS));
            strange.for_each(|(_, it)| *it = GONE.into());
        }
    }
    for key in ["data", "stringData", "binaryData"] {
        if let Some(data) = value.get_mut(key).and_then(Value::as_object_mut) {
            data.values_mut().for_each(|it| *it = GONE.into());
        }
    }
    inside(value);
}

fn inside(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (key, field) in fields.iter_mut() {
                let lower = key.to_ascii_lowercase();
                match field {
                    Value::String(_) if SECRET_KEYS.contains(&lower.as_str()) => *field = GONE.into(),
                    Value::Array(variables) if key == "env" => variables.iter_mut().for_each(variable),
                    other => inside(other),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(inside),
        Value::String(said) => *said = text(said),
        _ => {}
    }
}

/// A variable keeps its name, and where its value comes from.
fn variable(variable: &mut Value) {
    if let Some(value) = variable.get_mut("value").filter(|it| it.is_string()) {
        *value = GONE.into();
    }
    inside(variable);
}

/// A text without addresses' users and queries, and without what looks like a token.
pub fn text(text: &str) -> String {
    let text = addresses(text);
    let text = BEFORE.iter().fold(text, |text, before| after(&text, before, |rest| Some(rest)));
    let text = NAMED.iter().fold(text, |text, name| after(&text, name, behind));
    TOKENS.iter().fold(text, |text, start| tokens(&text, start))
}

/// `https://user:word@host/path?query` becomes `https://(removed)@host/path?(removed)`.
fn addresses(text: &str) -> String {
    let mut rest = text;
    let mut clean = String::new();
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        clean.push_str(before);
        let end = after.find(|c: char| c.is_whitespace() || "\"'`<>{}\\".contains(c)).unwrap_or(after.len());
        let (address, others) = after.split_at(end);
        let (host, path) = address.split_at(host_end(address));
        match host.rsplit_once('@') {
            Some((_, host)) => clean.extend([GONE, "@", host]),
            None => clean.push_str(host),
        }
        match path.find(['?', '#']) {
            Some(query) => clean.extend([path.get(..=query).unwrap_or_default(), GONE]),
            None => clean.push_str(path),
        }
        rest = others;
    }
    clean + rest
}

/// Where the host of an address ends, with what stands before it. A password may have a `/` in it: what follows a `:` and is no port
/// goes on to the last `@`.
fn host_end(address: &str) -> usize {
    let slash = address.find(['/', '?', '#']).unwrap_or(address.len());
    let (before, after) = address.split_at(slash);
    let password =
        before.split_once(':').is_some_and(|(_, it)| !it.contains('@') && !it.chars().all(|c| c.is_ascii_digit()));
    match after.rfind('@').filter(|_| password) {
        Some(at) => {
            let host = slash + at;
            address.get(host..).and_then(|it| it.find(['/', '?', '#'])).map_or(address.len(), |it| host + it)
        }
        None => slash,
    }
}

/// What follows a name that is given a value: the rest behind `=` or `:`, and quotes and blanks.
fn behind(rest: &str) -> Option<&str> {
    let value = rest.trim_start_matches(['"', '\'', '\\']).trim_start().strip_prefix(['=', ':'])?;
    Some(value.trim_start().trim_start_matches(['"', '\'', '\\']))
}

/// Takes out the word that follows `before`, in whatever case that is written. `find` says where it begins, if there is one.
fn after(text: &str, before: &str, find: fn(&str) -> Option<&str>) -> String {
    let lower = text.to_ascii_lowercase();
    let mut clean = String::new();
    let mut at = 0;
    while let Some(found) = lower.get(at..).and_then(|it| it.find(before)) {
        let named = at + found + before.len();
        let Some(rest) = find(text.get(named..).unwrap_or_default()) else {
            clean.push_str(text.get(at..named).unwrap_or_default());
            at = named;
            continue;
        };
        let start = text.len() - rest.len();
        let end = rest.find(|c: char| c.is_whitespace() || "\"',;&\\".contains(c)).unwrap_or(rest.len());
        clean.push_str(text.get(at..start).unwrap_or_default());
        if end > 0 {
            clean.push_str(GONE);
        }
        at = start + end;
    }
    clean + text.get(at..).unwrap_or_default()
}

/// Takes out words that begin as tokens do, and are as long.
fn tokens(text: &str, start: &str) -> String {
    let part = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    let mut clean = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(start) {
        let (before, found) = rest.split_at(at);
        let end = found.find(|c| !part(c)).unwrap_or(found.len());
        let (word, others) = found.split_at(end);
        let begins = !before.chars().next_back().is_some_and(|c| c.is_ascii_alphanumeric());
        let secret = begins && word.len() >= start.len() + SHORTEST;
        clean.push_str(before);
        clean.push_str(if secret { GONE } else { word });
        rest = others;
    }
    clean + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nothing_secret_is_left_in_a_text() {
        for (said, left) in [
            ("from https://me:pass@host/a?X-Amz-Signature=1 now", "from https://(removed)@host/a?(removed) now"),
            ("{\"url\":\"https://h/p?q=1\"}", "{\"url\":\"https://h/p?(removed)\"}"),
            ("s3://bucket/prefix", "s3://bucket/prefix"),
            ("Authorization: Bearer abc.def, next", "Authorization: Bearer (removed), next"),
            ("token hf_abcdefghijklmnopqrstuv is refused", "token (removed) is refused"),
            ("hf_hub is no token, nor is sk-learn", "hf_hub is no token, nor is sk-learn"),
            ("a PASSWORD=x&b", "a PASSWORD=(removed)&b"),
            ("{\"password\":\"x y\",\"a\":1}", "{\"password\":\"(removed) y\",\"a\":1}"),
            ("aws_secret_access_key = abc/def", "aws_secret_access_key = (removed)"),
            ("password: 'abc'", "password: '(removed)'"),
            ("the token of the Secret `hf` is refused", "the token of the Secret `hf` is refused"),
            ("proxy http://u:pa/ss#1@proxy:3128/x is refused", "proxy http://(removed)@proxy:3128/x is refused"),
            ("https://host:8080/@scope/a", "https://host:8080/@scope/a"),
            ("https://host/a@v1", "https://host/a@v1"),
            ("é://ü:ö@ä/ß?x", "é://(removed)@ä/ß?(removed)"),
        ] {
            assert_eq!(text(said), left);
        }
    }

    #[test]
    fn an_object_keeps_names_and_loses_values() {
        let mut pod = json!({
            "metadata": {
                "name": "a",
                "managedFields": [{}],
                "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "x", "modelcache.dev/requestedAt": "y"}
            },
            "data": {"key": "value"},
            "spec": {
                "containers": [{"env": [{"name": "A", "value": "b"}, {"name": "C", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]}],
                "tokenSecretRef": {"name": "hf", "key": "token"},
                "token": "t"
            }
        });
        object(&mut pod);
        assert_eq!(
            pod,
            json!({
                "metadata": {"name": "a", "annotations": {
                    "kubectl.kubernetes.io/last-applied-configuration": GONE, "modelcache.dev/requestedAt": "y"
                }},
                "data": {"key": GONE},
                "spec": {
                    "containers": [{"env": [{"name": "A", "value": GONE}, {"name": "C", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]}],
                    "tokenSecretRef": {"name": "hf", "key": "token"},
                    "token": GONE
                }
            })
        );
    }
}
