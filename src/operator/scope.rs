//! Which namespaces does an operator serve? All, or those that it is told.
//!
//! An operator of some namespaces knows nothing of the others: neither their caches, nor what these reserve of a disk. So it
//! leaves alone what could be another's.

use crate::api::{NodeCachePool, label, name};
use std::collections::BTreeSet;
use std::fmt;

/// The namespaces that an operator serves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope(Option<BTreeSet<String>>);

/// Why something is no list of namespaces.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the name of a namespace: lower-case letters, digits and dashes, at most 63, separated by commas")]
pub struct InvalidNamespace(String);

impl Scope {
    /// Reads `a,b`. Nothing means all.
    ///
    /// # Errors
    /// What is not the name of a namespace.
    pub fn parse(text: &str) -> Result<Self, InvalidNamespace> {
        let names: BTreeSet<String> =
            text.split(',').map(str::trim).filter(|it| !it.is_empty()).map(str::to_owned).collect();
        match names.iter().find(|it| !name::is_label(it)) {
            Some(wrong) => Err(InvalidNamespace(wrong.clone())),
            None => Ok(Self(Some(names).filter(|it| !it.is_empty()))),
        }
    }

    /// The names; nothing where all are served.
    pub const fn names(&self) -> Option<&BTreeSet<String>> {
        self.0.as_ref()
    }

    /// Whether a namespace is served.
    pub fn serves(&self, namespace: &str) -> bool {
        self.names().is_none_or(|names| names.contains(namespace))
    }

    /// Whether a child outside the namespaces, which names that of its cache in a label, is one that we answer for.
    pub fn answers_for(&self, namespace_label: Option<&str>) -> bool {
        let labelled =
            |names: &BTreeSet<String>| names.iter().any(|it| Some(&*name::label_value(it)) == namespace_label);
        self.names().is_none_or(labelled)
    }

    /// Whether all who may use a pool are served. Of any other pool nobody here knows what is reserved.
    pub fn has_whole(&self, pool: &NodeCachePool) -> bool {
        let Some(names) = self.names() else { return true };
        pool.spec.namespaces.as_ref().is_some_and(|it| {
            it.selector.is_none() && !it.names.is_empty() && it.names.iter().all(|name| names.contains(name))
        })
    }

    /// By which label selector the API server finds the children outside the namespaces that we answer for; nothing for all.
    pub fn selector(&self) -> Option<String> {
        let names: Vec<String> = self.names()?.iter().map(|it| name::label_value(it)).collect();
        Some(format!("{} in ({})", label::NAMESPACE, names.join(",")))
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match self.names() {
            None => formatter.write_str("all namespaces"),
            Some(names) => formatter.write_str(&names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::modelcache::build::fixtures::pool;
    use serde_json::json;

    fn scope(text: &str) -> Scope {
        Scope::parse(text).unwrap()
    }

    #[test]
    fn a_list_of_namespaces_is_read_and_nothing_means_all() {
        for (text, shown, serves) in [
            ("", "all namespaces", true),
            (" , ", "all namespaces", true),
            ("studio", "studio", true),
            ("team-2, studio,studio,", "studio, team-2", true),
            ("team", "team", false),
        ] {
            assert_eq!((scope(text).to_string().as_str(), scope(text).serves("studio")), (shown, serves), "{text}");
        }
        for wrong in ["Studio", "a b", "-a", "a-", "a.b", "a/b", "*", &"a".repeat(64)] {
            assert_eq!(Scope::parse(&format!("ok,{wrong}")), Err(InvalidNamespace(wrong.to_owned())));
        }
    }

    #[test]
    fn what_lies_outside_namespaces_is_ours_when_its_label_says_so_and_nobodys_when_it_says_nothing() {
        for (scope_of, label, expected) in [
            ("", Some("studio"), true),
            ("", None, true),
            ("studio,team", Some("team"), true),
            ("studio", Some("team"), false),
            ("studio", None, false),
        ] {
            assert_eq!(scope(scope_of).answers_for(label), expected, "{scope_of} {label:?}");
        }
    }

    #[test]
    fn the_server_is_asked_only_for_what_is_ours() {
        assert_eq!(scope("").selector(), None);
        assert_eq!(scope("team,studio").selector().as_deref(), Some("modelcache.dev/namespace in (studio,team)"));
    }

    #[test]
    fn a_pool_is_whole_when_all_that_it_admits_are_served() {
        for (scope_of, admits, expected) in [
            ("", json!(null), true),
            ("", json!({"selector": {}}), true),
            ("studio,team", json!({"names": ["team"]}), true),
            ("studio,team", json!({"names": ["team", "studio"]}), true),
            ("studio", json!({"names": ["team", "studio"]}), false),
            ("studio", json!({"names": ["studio"], "selector": {}}), false),
            ("studio", json!({"names": []}), false),
            ("studio", json!(null), false),
        ] {
            let mut pool = pool();
            pool.spec.namespaces = serde_json::from_value(admits.clone()).unwrap();
            assert_eq!(scope(scope_of).has_whole(&pool), expected, "{scope_of} {admits}");
        }
    }
}
