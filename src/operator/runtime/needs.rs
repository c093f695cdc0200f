//! What does the operator ask of the API server, and in which namespaces?

use crate::api::{GROUP, VERSION};
use crate::operator::options::OperatorOptions;
use crate::operator::scope::Scope;
use std::collections::BTreeSet;

/// Where something is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// It lives outside namespaces.
    Cluster,
    /// In the namespaces of caches.
    Caches,
    /// There, and in the namespace of the node Jobs.
    Jobs,
    /// Namespaces themselves: where only some are served, each is got by its name.
    Namespaces,
}

impl Reach {
    /// The namespaces that are asked about; `None` asks about all at once.
    pub(super) fn namespaces<'a>(
        self,
        scope: &Scope,
        there: &'a BTreeSet<String>,
        options: &'a OperatorOptions,
    ) -> Vec<Option<&'a str>> {
        let everywhere = scope.names().is_none();
        let served = || there.iter().map(|it| Some(it.as_str()));
        match self {
            Self::Cluster => vec![None],
            _ if everywhere => vec![None],
            Self::Namespaces => vec![],
            Self::Caches => served().collect(),
            Self::Jobs => served().chain([Some(options.node_jobs_namespace.as_str())]).collect(),
        }
    }
}

/// What is written.
pub(super) struct Need {
    pub(super) group: &'static str,
    pub(super) resource: &'static str,
    pub(super) verbs: &'static [&'static str],
    pub(super) reach: Reach,
}

const fn write(group: &'static str, resource: &'static str, verbs: &'static [&'static str], reach: Reach) -> Need {
    Need { group, resource, verbs, reach }
}

/// All that is written.
pub(super) const WRITES: &[Need] = &[
    write("", "persistentvolumes", &["create", "patch", "delete"], Reach::Cluster),
    write("", "persistentvolumeclaims", &["create", "patch", "delete"], Reach::Caches),
    write("", "configmaps", &["create", "patch", "delete"], Reach::Caches),
    write("batch", "jobs", &["create", "delete"], Reach::Jobs),
    write("batch", "cronjobs", &["create", "patch", "delete"], Reach::Caches),
    write("events.k8s.io", "events", &["create", "patch"], Reach::Caches),
    write(GROUP, "modelcaches", &["patch"], Reach::Caches),
    write(GROUP, "modelcaches/status", &["patch"], Reach::Caches),
    write(GROUP, "modelcachereplicas", &["create", "patch", "delete"], Reach::Caches),
    write(GROUP, "modelcachereplicas/status", &["patch"], Reach::Caches),
    write(GROUP, "modelcachebackups", &["create", "delete"], Reach::Caches),
    write(GROUP, "modelcachebackups/status", &["patch"], Reach::Caches),
    write(GROUP, "modelcacherestores/status", &["patch"], Reach::Caches),
    write(GROUP, "nodecachepools/status", &["patch"], Reach::Cluster),
];

/// What is read.
pub(super) struct Read {
    pub(super) group: &'static str,
    pub(super) version: &'static str,
    pub(super) kind: &'static str,
    pub(super) plural: &'static str,
    pub(super) reach: Reach,
}

const fn read(
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
    reach: Reach,
) -> Read {
    Read { group, version, kind, plural, reach }
}

/// All that is read.
pub(super) const READS: &[Read] = &[
    read(GROUP, VERSION, "ModelCache", "modelcaches", Reach::Caches),
    read(GROUP, VERSION, "ModelCacheReplica", "modelcachereplicas", Reach::Caches),
    read(GROUP, VERSION, "ModelCacheBackup", "modelcachebackups", Reach::Caches),
    read(GROUP, VERSION, "ModelCacheRestore", "modelcacherestores", Reach::Caches),
    read(GROUP, VERSION, "NodeCachePool", "nodecachepools", Reach::Cluster),
    read("", "v1", "Node", "nodes", Reach::Cluster),
    read("", "v1", "Namespace", "namespaces", Reach::Namespaces),
    read("", "v1", "Pod", "pods", Reach::Jobs),
    read("", "v1", "Event", "events", Reach::Jobs),
    read("", "v1", "PersistentVolume", "persistentvolumes", Reach::Cluster),
    read("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", Reach::Caches),
    read("", "v1", "ConfigMap", "configmaps", Reach::Caches),
    read("batch", "v1", "Job", "jobs", Reach::Jobs),
    read("batch", "v1", "CronJob", "cronjobs", Reach::Caches),
];

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Args, FromArgMatches};

    fn options(namespaces: &str) -> OperatorOptions {
        let command = OperatorOptions::augment_args(clap::Command::new("operator"));
        let arguments = ["operator", "--agent-image", "x", "--identity", "x", "--namespaces", namespaces];
        OperatorOptions::from_arg_matches(&command.get_matches_from(arguments)).unwrap()
    }

    #[test]
    fn an_operator_of_some_namespaces_asks_for_nothing_of_all_namespaces_at_once() {
        let there = BTreeSet::from(["studio".to_owned()]);
        let asked = |options: &OperatorOptions, reach: Reach| -> Vec<String> {
            let namespaces = reach.namespaces(&options.namespaces, &there, options);
            namespaces.into_iter().map(|it| it.unwrap_or("all").to_owned()).collect()
        };
        let (whole, some) = (options(""), options("studio,gone"));
        for (reach, in_some) in [
            (Reach::Cluster, &["all"][..]),
            (Reach::Caches, &["studio"]),
            (Reach::Jobs, &["studio", "modelcache-node-jobs"]),
            (Reach::Namespaces, &[]),
        ] {
            assert_eq!(asked(&whole, reach), ["all"], "{reach:?}");
            assert_eq!(asked(&some, reach), in_some, "{reach:?}");
        }
        let outside: BTreeSet<&str> =
            READS.iter().filter(|it| it.reach == Reach::Cluster).map(|it| it.plural).collect();
        assert_eq!(outside, BTreeSet::from(["nodecachepools", "nodes", "persistentvolumes"]));
    }

    #[tokio::test]
    async fn no_cache_is_served_where_the_operator_or_its_node_jobs_are() {
        for own in ["modelcache-system", "modelcache-node-jobs"] {
            let said = crate::operator::runtime::run(options(&format!("studio,{own}"))).await.unwrap_err().to_string();
            assert!(said.contains(own) && said.contains("namespaces of their own"), "{said}");
        }
    }
}
