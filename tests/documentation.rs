//! Do the pages say what the code says?

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use modelcache::api::Reason;
use modelcache::contract::exit_code;
use schemars::JsonSchema;
use std::path::Path;

fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every variant, from the schema that the derive makes of the enum: none can be forgotten.
fn reasons() -> Vec<Reason> {
    let schema = Reason::json_schema(&mut schemars::SchemaGenerator::default()).to_value();
    let variants = schema["oneOf"].as_array().expect("an enum whose variants have documentation");
    variants.iter().map(|variant| serde_json::from_value(variant["const"].clone()).unwrap()).collect()
}

/// States: they are no failure, so that they have neither a class nor an exit code.
const STATES: [Reason; 20] = [
    Reason::BackingUp,
    Reason::Restoring,
    Reason::Warmed,
    Reason::Cleaned,
    Reason::BackedUp,
    Reason::Restored,
    Reason::RolledBack,
    Reason::Pruned,
    Reason::Warming,
    Reason::Queued,
    Reason::Preparing,
    Reason::Resolving,
    Reason::Resolved,
    Reason::Provisioned,
    Reason::Verified,
    Reason::UpToDate,
    Reason::Outdated,
    Reason::Pending,
    Reason::Suspended,
    Reason::Deleting,
];

#[test]
fn every_reason_is_in_the_table_with_its_class_and_its_exit_code() {
    let page = page("docs/reasons.md");
    let rows: Vec<Vec<&str>> = page
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    for reason in reasons() {
        let row = rows.iter().find(|row| row[0] == format!("`{reason}`"));
        let row = row.unwrap_or_else(|| panic!("docs/reasons.md has no row for {reason}"));
        let (class, code) = if STATES.contains(&reason) {
            ("–".to_owned(), "–".to_owned())
        } else {
            (format!("{:?}", reason.class()), exit_code::of(reason).to_string())
        };
        assert_eq!(row[1], class, "class of {reason}");
        assert_eq!(row[2], code, "exit code of {reason}");
        assert!(row[3].len() > 10 && row[4].len() > 1, "{reason} needs a meaning and what to do");
    }
    assert_eq!(rows.len(), reasons().len(), "docs/reasons.md has a row for a reason that does not exist");
}

/// What the operator may do, as `resource: verbs`, from the roles.
fn granted() -> Vec<String> {
    let mut granted = vec![];
    for file in ["config/rbac/operator-role.yaml", "config/rbac/lease-role.yaml"] {
        let text = page(file);
        let role: serde_json::Value = serde_saphyr::from_str(text.split("\n---").next().unwrap()).unwrap();
        let words = |value: &serde_json::Value| -> Vec<String> {
            value.as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
        };
        for rule in role["rules"].as_array().unwrap() {
            for part in ["apiGroups", "resources", "verbs"] {
                assert!(!words(&rule[part]).contains(&"*".to_owned()), "{file}: a wildcard in {part}");
            }
            let verbs = words(&rule["verbs"]).join(", ");
            granted.extend(words(&rule["resources"]).iter().map(|resource| format!("{resource}: {verbs}")));
        }
    }
    granted.sort();
    granted
}

#[test]
fn the_table_of_permissions_is_what_the_roles_grant() {
    let page = page("docs/security.md");
    let section = page.split("## What the operator may do").nth(1).unwrap().split("\n## ").next().unwrap();
    let mut told = vec![];
    for row in section.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        assert!(cells[2].len() > 10, "why: {row}");
        // A name in a cell says which one, and is no resource.
        let resources = cells[0].split(" named ").next().unwrap().split('`').skip(1).step_by(2);
        told.extend(resources.map(|resource| format!("{resource}: {}", cells[1])));
    }
    told.sort();
    assert_eq!(told, granted(), "docs/security.md and config/rbac differ");
}

#[test]
fn every_rule_of_the_operator_says_why_in_a_comment() {
    for file in ["config/rbac/operator-role.yaml", "config/rbac/lease-role.yaml"] {
        let text = page(file);
        let lines: Vec<&str> = text.lines().collect();
        for (index, line) in lines.iter().enumerate().filter(|(_, line)| line.starts_with("- apiGroups")) {
            assert!(lines[index - 1].starts_with("# "), "{file}:{}: {line} needs a comment that says why", index + 1);
        }
    }
}

#[test]
fn every_link_between_pages_leads_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for name in [
        "README.md",
        "CONTRIBUTING.md",
        "docs/backup.md",
        "docs/concepts.md",
        "docs/reasons.md",
        "docs/security.md",
        "docs/sources.md",
        "docs/inspect-and-repair.md",
        "docs/clean-up.md",
        "docs/environment.md",
        "docs/gitops.md",
        "docs/observability.md",
        "docs/runbooks.md",
        "docs/backup-in-a-cluster.md",
        "docs/sources.md",
    ] {
        let text = page(name);
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap_or_default();
            if !file.is_empty() && !file.contains("://") {
                let path = root.join(name).parent().unwrap().join(file);
                assert!(path.exists(), "{name} links to {target}, which is not there");
            }
        }
    }
}

#[test]
fn every_target_of_the_makefile_has_a_help_line() {
    let text = page("Makefile");
    for line in text.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()) && line.contains(':')) {
        if !line.contains(":=") && !line.contains("?=") {
            assert!(line.contains("## "), "Makefile: `{line}` has no help line");
        }
    }
}
