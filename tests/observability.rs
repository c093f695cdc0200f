//! Alerts, dashboard and Events: do they name what exists, and do they say what to do?
//!
//! Needs `promtool`, which `scripts/prerequisites` installs. That the page lists the metrics as they are printed is tested beside the metrics.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

const ALERTS: &str = "charts/modelcache-operator/files/alerts.yaml";
const DASHBOARD: &str = "charts/modelcache-operator/files/dashboard.json";
const PAGES: &str = "https://github.com/modelcache/modelcache-operator/blob/main/";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn text(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn yaml(file: &str) -> Value {
    serde_saphyr::from_str(&text(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn promtool(arguments: &[&str], file: &Path) -> String {
    let done = Command::new("promtool").args(arguments).arg(file).output();
    let done =
        done.unwrap_or_else(|error| panic!("promtool cannot be run ({error}): `make prerequisites` installs it"));
    let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "promtool {arguments:?}:\n{said}");
    said
}

/// Name and labels of every metric, as a query sees it: a histogram is three names.
fn metrics() -> BTreeMap<String, BTreeSet<String>> {
    let mut metrics = BTreeMap::new();
    for row in text("docs/observability.md").lines().filter(|it| it.starts_with("| `modelcache_")) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let name = cells[0].trim_matches('`');
        let labels: BTreeSet<String> = cells[2].split('`').skip(1).step_by(2).map(str::to_owned).collect();
        let names = match cells[1] {
            "histogram" => ["_bucket", "_sum", "_count"].map(|it| format!("{name}{it}")).to_vec(),
            _ => vec![name.to_owned()],
        };
        metrics.extend(names.into_iter().map(|it| (it, labels.clone())));
    }
    assert!(metrics.len() > 20, "docs/observability.md has no table of metrics");
    metrics
}

/// The metrics that an expression names, each with the labels that it selects by.
fn named(expression: &str) -> Vec<(String, Vec<String>)> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = vec![];
    let mut rest = expression;
    while let Some(start) = rest.find("modelcache_") {
        rest = &rest[start..];
        let end = rest.find(|c| !word(c)).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let selector = after.strip_prefix('{').and_then(|it| it.split_once('}')).map_or("", |(it, _)| it);
        let labels = selector.split(',').filter_map(|it| it.split(['=', '!']).next()).map(str::trim);
        found.push((name.to_owned(), labels.filter(|it| !it.is_empty()).map(str::to_owned).collect()));
        rest = after;
    }
    found
}

fn names_only_what_exists(what: &str, expression: &str) {
    let metrics = metrics();
    let named = named(expression);
    assert!(!named.is_empty(), "{what}: `{expression}` names no metric of ours");
    for (name, labels) in named {
        let known = metrics.get(&name).unwrap_or_else(|| panic!("{what}: there is no metric {name}"));
        for label in labels {
            assert!(known.contains(&label) || label == "le", "{what}: {name} has no label `{label}`, but {known:?}");
        }
    }
}

fn alerts() -> Vec<Value> {
    let rules = yaml(ALERTS);
    let groups = rules["groups"].as_array().unwrap().clone();
    groups.iter().flat_map(|it| it["rules"].as_array().unwrap().clone()).collect()
}

/// The anchors of a page, as GitHub makes them of its headings.
fn anchors(page: &str) -> BTreeSet<String> {
    let heading = |line: &str| line.starts_with('#').then(|| line.trim_start_matches('#').trim().to_lowercase());
    let anchor = |it: String| it.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>();
    text(page).lines().filter_map(heading).map(|it| anchor(it).replace(' ', "-")).collect()
}

#[test]
fn prometheus_takes_the_alerts() {
    let said = promtool(&["check", "rules"], &root().join(ALERTS));
    assert!(said.contains(&format!("{} rules found", alerts().len())), "{said}");
}

#[test]
fn every_alert_fires_when_it_should_and_only_then() {
    promtool(&["test", "rules"], &root().join("tests/alerts/alerts_test.yaml"));
    let tests = yaml("tests/alerts/alerts_test.yaml");
    let cases: Vec<(&str, bool)> = tests["tests"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|it| it["alert_rule_test"].as_array().unwrap())
        .map(|it| (it["alertname"].as_str().unwrap(), it.get("exp_alerts").is_some()))
        .collect();
    for alert in alerts() {
        let name = alert["alert"].as_str().unwrap();
        for fires in [true, false] {
            assert!(cases.contains(&(name, fires)), "{name}: no case in which it fires: {fires}");
        }
    }
}

#[test]
fn every_alert_names_metrics_that_exist_and_leads_to_a_runbook() {
    let (runbooks, mut seen) = (anchors("docs/runbooks.md"), BTreeSet::new());
    for alert in alerts() {
        let name = alert["alert"].as_str().unwrap();
        names_only_what_exists(name, alert["expr"].as_str().unwrap());
        let severity = alert["labels"]["severity"].as_str().unwrap();
        assert!(["critical", "warning", "info"].contains(&severity), "{name}: {severity}");
        for annotation in ["summary", "description"] {
            assert!(alert["annotations"][annotation].as_str().is_some_and(|it| it.len() > 20), "{name}: {annotation}");
        }
        let url = alert["annotations"]["runbook_url"].as_str().unwrap();
        let anchor = url.strip_prefix(&format!("{PAGES}docs/runbooks.md#")).unwrap_or_else(|| panic!("{name}: {url}"));
        assert!(runbooks.contains(anchor), "{name}: docs/runbooks.md has no section {anchor}");
        seen.insert(anchor.to_owned());
    }
    let orphans: Vec<&String> = runbooks.iter().filter(|it| it.as_str() != "runbooks" && !seen.contains(*it)).collect();
    assert!(orphans.is_empty(), "sections of no alert: {orphans:?}");
}

#[test]
fn the_table_of_alerts_is_the_rule_file() {
    let page = text("docs/observability.md");
    let told: Vec<&str> = page.lines().filter(|it| it.starts_with("| [ModelCache")).collect();
    let rows: Vec<String> = alerts()
        .iter()
        .map(|it| {
            let name = it["alert"].as_str().unwrap();
            let (severity, wait) = (it["labels"]["severity"].as_str().unwrap(), it["for"].as_str().unwrap_or("–"));
            let anchor = name.to_lowercase();
            format!("| [{name}](runbooks.md#{anchor}) | {severity} | {wait} |")
        })
        .collect();
    assert!(told == rows, "docs/observability.md should have these rows:\n{}", rows.join("\n"));
}

/// Title and expressions of every panel.
fn panels() -> Vec<(String, Vec<String>)> {
    let dashboard: Value = serde_json::from_str(&text(DASHBOARD)).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter().filter(|it| it["type"] != "row");
    panels
        .map(|it| {
            let targets = it["targets"].as_array().unwrap_or_else(|| panic!("{}: no targets", it["title"]));
            let expressions = targets.iter().map(|it| it["expr"].as_str().unwrap().to_owned()).collect();
            (it["title"].as_str().unwrap().to_owned(), expressions)
        })
        .collect()
}

#[test]
fn every_query_of_the_dashboard_parses_and_names_metrics_that_exist() {
    let mut rules = vec![];
    for (title, expressions) in panels() {
        for expression in expressions {
            names_only_what_exists(&title, &expression);
            // What Grafana fills in.
            let filled =
                expression.replace("$__rate_interval", "5m").replace("$namespace", ".*").replace("$cache", ".*");
            assert!(!filled.contains('$'), "{title}: {filled}");
            rules.push(json!({"record": format!("panel:{}", rules.len()), "expr": filled}));
        }
    }
    let file = tempfile::Builder::new().suffix(".json").tempfile().unwrap();
    let document = json!({"groups": [{"name": "dashboard", "rules": rules}]});
    std::fs::write(file.path(), document.to_string()).unwrap();
    promtool(&["check", "rules"], file.path());
}

#[test]
fn the_dashboard_is_one_that_grafana_takes() {
    let dashboard: Value = serde_json::from_str(&text(DASHBOARD)).unwrap();
    assert_eq!(dashboard["uid"], "modelcache");
    assert!(dashboard["id"].is_null(), "an id is given by the Grafana that it is imported to");
    assert!(dashboard["schemaVersion"].as_u64().unwrap() >= 39);
    let variables: Vec<&str> =
        dashboard["templating"]["list"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(variables, ["datasource", "namespace", "cache"]);
    let mut ids = BTreeSet::new();
    let mut taken = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = &panel["title"];
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}: its id is another panel's");
        let place = |key: &str| panel["gridPos"][key].as_u64().unwrap_or_else(|| panic!("{title}: gridPos.{key}"));
        for (x, y) in (0..place("w")).flat_map(|x| (0..place("h")).map(move |y| (x, y))) {
            assert!(place("x") + x < 24, "{title} is wider than the grid");
            assert!(taken.insert((place("x") + x, place("y") + y)), "{title} lies on another panel");
        }
        if panel["type"] != "row" {
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
            assert!(panel["description"].as_str().is_some_and(|it| it.len() > 20), "{title} has no description");
        }
    }
}

#[test]
fn the_picture_has_every_panel() {
    let picture = text("docs/dashboard.svg");
    for (title, _) in panels() {
        let title = title.replace('&', "&amp;");
        assert!(
            picture.contains(&format!(">{title}</text>")),
            "`{title}` is missing: scripts/dashboard-picture draws it"
        );
    }
}

/// Type, reason and action of every Event that the sources publish. A reason that is not a word is that of a failure.
fn events() -> BTreeSet<(String, String, String)> {
    fn visit(directory: &Path, found: &mut BTreeSet<(String, String, String)>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                visit(&path, found);
            } else if path.extension().is_some_and(|it| it == "rs") && !path.to_string_lossy().ends_with("tests.rs") {
                of_file(&std::fs::read_to_string(&path).unwrap(), found);
            }
        }
    }
    fn of_file(source: &str, found: &mut BTreeSet<(String, String, String)>) {
        let source = source.split("#[cfg(test)]\nmod tests").next().unwrap();
        for (call, type_) in [("Note::normal(", "Normal"), ("Note::warning(", "Warning")] {
            for rest in source.split(call).skip(1) {
                let mut arguments = rest.splitn(3, ',').map(str::trim);
                let (reason, action) = (arguments.next().unwrap(), arguments.next().unwrap());
                let reason = reason.strip_prefix("Reason::").unwrap_or("of the failure");
                // The constructors themselves have no literal.
                if let Some(action) = action.strip_prefix('"').and_then(|it| it.strip_suffix('"')) {
                    found.insert((action.to_owned(), type_.to_owned(), reason.to_owned()));
                }
            }
        }
    }
    let mut found = BTreeSet::new();
    visit(&root().join("src/operator"), &mut found);
    found
}

#[test]
fn the_table_of_events_has_every_event_that_the_operator_publishes() {
    let page = text("docs/observability.md");
    let section = page.split("## Events").nth(1).unwrap().split("\n## ").next().unwrap();
    let told: BTreeSet<(String, String, String)> = section
        .lines()
        .filter(|it| it.starts_with("| `"))
        .map(|row| {
            let cells: Vec<&str> = row.trim_matches('|').split('|').map(|it| it.trim().trim_matches('`')).collect();
            assert!(cells.len() == 5 && cells[3].len() > 10 && cells[4].len() > 5, "when, and what to do: {row}");
            (cells[0].to_owned(), cells[1].to_owned(), cells[2].to_owned())
        })
        .collect();
    let mut published = events();
    assert!(published.len() > 10, "{published:?}");
    // Made without the constructors: what `Ready` says.
    for type_ in ["Normal", "Warning"] {
        published.insert(("Reconcile".into(), type_.into(), "of the condition".into()));
    }
    assert_eq!(told, published, "docs/observability.md and src/operator differ");
}
