//! Do the tables of reasons and permissions, and the Makefile's help, say what the code says?

use crate::cli::Cli;
use crate::pages::read as page;
use clap::CommandFactory;
use modelcache::api::{Reason, annotation, label};
use modelcache::contract::exit_code;
use schemars::JsonSchema;

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

#[test]
fn every_failure_is_a_symptom_that_the_page_of_troubleshooting_knows() {
    let page = page("docs/troubleshooting.md");
    let unknown: Vec<String> = reasons()
        .into_iter()
        .filter(|it| !STATES.contains(it) && !page.contains(&format!("`{it}`")) && !page.contains(&format!("={it}")))
        .map(|it| it.to_string())
        .collect();
    assert!(unknown.is_empty(), "docs/troubleshooting.md says nothing of {}", unknown.join(", "));
}

/// The roles of the operator; the last is there only where nodes are labelled.
const ROLES: [&str; 3] =
    ["config/rbac/operator-role.yaml", "config/rbac/lease-role.yaml", "config/policy/node-labels/role.yaml"];

/// What the operator may do, as `resource: verbs`, from the roles.
fn granted() -> Vec<String> {
    let mut granted = vec![];
    for file in ROLES {
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
    for file in ROLES {
        let text = page(file);
        let lines: Vec<&str> = text.lines().collect();
        for (index, line) in lines.iter().enumerate().filter(|(_, line)| line.starts_with("- apiGroups")) {
            assert!(lines[index - 1].starts_with("# "), "{file}:{}: {line} needs a comment that says why", index + 1);
        }
    }
}

#[test]
fn every_setting_of_the_operator_is_in_its_table_with_its_default() {
    let command = Cli::command();
    let operator = command.find_subcommand("operator").unwrap();
    let page = page("docs/operations.md");
    for option in operator.get_arguments() {
        let Some(variable) = option.get_env().and_then(|it| it.to_str()) else { continue };
        let row = page.lines().find(|line| line.starts_with("| `") && line.contains(&format!("`{variable}`")));
        let row = row.unwrap_or_else(|| panic!("docs/operations.md has no row for {variable}"));
        for default in option.get_default_values().iter().filter(|_| !variable.starts_with("POD_")) {
            let default = default.to_str().unwrap();
            assert!(row.contains(default), "{variable} is {default} when left out: {row}");
        }
    }
}

#[test]
fn what_pods_ask_with_is_in_the_policy_and_in_the_page_by_the_same_names() {
    let (policy, page) = (page("config/policy/pods.yaml"), page("docs/pods.md"));
    for name in [
        label::CACHE,
        annotation::POD_VOLUMES,
        annotation::POD_CONTAINERS,
        annotation::POD_MOUNT_PATH,
        annotation::POD_WAIT,
        annotation::POD_INJECTED,
    ] {
        assert!(policy.contains(&format!("'{name}'")), "config/policy/pods.yaml does not know {name}");
        assert!(page.contains(&format!("`{name}`")), "docs/pods.md does not tell of {name}");
    }
    assert!(page.contains(annotation::ALLOW_DELETE));
    assert!(policy.contains(label::JOB), "the pods of our own Jobs must stay out");
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
