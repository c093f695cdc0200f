//! Is every page in the book, and does every link lead to a page and a heading that are there?

use crate::pages::{all, prose, read, root};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

/// Links and pictures of a line, without what is in `code`.
fn targets(line: &str) -> Vec<String> {
    let outside: String = line.split('`').step_by(2).collect::<Vec<_>>().join("code");
    outside.split("](").skip(1).filter_map(|rest| rest.split(')').next()).map(str::to_owned).collect()
}

/// The anchors of a page, as GitHub and mdBook make them of its headings.
fn anchors(page: &str) -> BTreeSet<String> {
    let mut seen = BTreeMap::new();
    let mut found = BTreeSet::new();
    for (_, line) in prose(page) {
        let Some(heading) = line.strip_prefix('#').map(|it| it.trim_start_matches('#').trim()) else { continue };
        let slug: String = heading
            .to_lowercase()
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect();
        let count = seen.entry(slug.clone()).and_modify(|it| *it += 1).or_insert(0);
        found.insert(if *count == 0 { slug } else { format!("{slug}-{count}") });
    }
    found
}

/// `a/../b` as `b`.
fn plain(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut path, part| {
        match part {
            Component::ParentDir => _ = path.pop(),
            other => path.push(other),
        }
        path
    })
}

#[test]
fn every_link_leads_to_a_page_and_a_heading_that_are_there() {
    let mut broken = vec![];
    for page in all() {
        for (number, line) in prose(&page) {
            for target in targets(&line) {
                if target.contains("://") || target.starts_with("mailto:") {
                    continue;
                }
                let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
                let to = if file.is_empty() {
                    PathBuf::from(&page)
                } else {
                    plain(&Path::new(&page).parent().unwrap().join(file))
                };
                let there = root().join(&to).exists();
                let heading = anchor.is_empty() || there && anchors(&to.to_string_lossy()).contains(anchor);
                if !there || !heading {
                    broken.push(format!("{page}:{number}: {target}"));
                }
            }
        }
    }
    assert!(broken.is_empty(), "links that lead nowhere:\n  {}", broken.join("\n  "));
}

#[test]
fn every_page_below_docs_is_in_the_book_once() {
    let summary = read("docs/SUMMARY.md");
    let listed: Vec<String> = summary.lines().flat_map(targets).map(|it| format!("docs/{it}")).collect();
    let once: BTreeSet<&String> = listed.iter().collect();
    assert_eq!(once.len(), listed.len(), "docs/SUMMARY.md lists a page twice");
    let there: Vec<String> =
        all().into_iter().filter(|it| it.starts_with("docs/") && it != "docs/SUMMARY.md").collect();
    assert_eq!(once.into_iter().cloned().collect::<Vec<_>>(), there, "docs/SUMMARY.md and docs/ differ");
}

#[test]
fn every_page_begins_with_a_heading_of_its_own() {
    let mut seen = BTreeMap::new();
    for page in all() {
        let text = read(&page);
        let heading = text.lines().next().unwrap_or_default().to_owned();
        assert!(heading.starts_with("# "), "{page} does not begin with a heading");
        if let Some(other) = seen.insert(heading.clone(), page.clone()) {
            panic!("{page} and {other} are both called `{heading}`");
        }
    }
}
