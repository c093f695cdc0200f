//! The Job of one attempt at a restore, and the ConfigMap with the ModelCache that it works for.

use crate::api::{JobRole, ModelCacheRestore, annotation, label, name};
use crate::contract::mount;
use crate::operator::backup::build::config_map::{data, mounted};
use crate::operator::backup::build::pod::{destination, keys};
use crate::operator::cron_job::document::config_map_of_run;
use crate::operator::modelcache::build::labels;
use crate::operator::options::Settings;
use crate::operator::placement;
use crate::operator::pod::{AgentJob, agent_job, claim, mounted_claim, owner};
use crate::operator::replica::build::inputs::all_inputs;
use crate::operator::replica::build::warm_up_job::Beside;
use crate::operator::restore::resolve::{Onto, Wanted, Which};
use crate::operator::restore::sources;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, NodeAffinity, Toleration, Volume, VolumeMount};
use kube::ResourceExt;
use std::collections::{BTreeMap, BTreeSet};

/// Seconds that a restore may run: a day, as a warm-up.
const DEADLINE_SECONDS: i64 = 86_400;
/// Where a claim is mounted that is no volume of a cache.
const TARGET: &str = "/volumes/target";

/// Job and ConfigMap, both of one name.
///
/// `claims` are those of sources that are there to be read: a pod that names one that is not would never start.
pub fn job(
    restore: &ModelCacheRestore,
    attempt: i64,
    wanted: &Wanted,
    claims: &BTreeSet<String>,
    beside: &Beside,
    tolerations: Vec<Toleration>,
    settings: &Settings,
) -> (ConfigMap, Job) {
    let number = u64::try_from(attempt).unwrap_or(0);
    let name = name::restore_job(&restore.name_any(), &restore.uid().unwrap_or_default(), number);
    let mut own = labels(&wanted.cache, None);
    own.insert(label::RESTORE.into(), name::label_value(&restore.name_any()));
    let all = targets(&wanted.onto)
        .into_iter()
        .chain([mounted(name.clone())])
        .chain(destination(&wanted.backup.destination))
        .chain(keys(&wanted.backup.secrets()));
    let (there, there_mounts): (Vec<Volume>, Vec<VolumeMount>) = all.unzip();
    // What a backup has no bytes of comes from its source again: with what that source names and no other, as in a warm-up.
    let (inputs, input_mounts) = all_inputs(sources::readable(wanted, claims), &there);
    let job = AgentJob {
        name,
        namespace: restore.namespace().unwrap_or_default(),
        labels: own,
        args: arguments(restore, number, wanted),
        volumes: there.into_iter().chain(inputs).collect(),
        mounts: there_mounts.into_iter().chain(input_mounts).collect(),
        affinity: affinity(wanted, beside),
        tolerations,
        deadline_seconds: DEADLINE_SECONDS,
        owner: owner(restore),
        give_volume_to_group: true,
        ..AgentJob::default()
    };
    let mut config_map = config_map_of_run(&job, data(&wanted.cache, &wanted.backup));
    config_map.metadata.annotations = Some(BTreeMap::from([(annotation::RESTORED_OF.into(), of(wanted))]));
    (config_map, agent_job(job, JobRole::Restore, &wanted.cache.spec.effective_pod_template(), settings))
}

/// Whose backup it is.
fn of(wanted: &Wanted) -> String {
    let (namespace, cache) = &wanted.of;
    format!("{namespace}/{cache}")
}

fn targets(onto: &Onto) -> Vec<(Volume, VolumeMount)> {
    match onto {
        Onto::Volumes(volumes) => volumes.iter().map(|(name, claim_name)| claim(name, claim_name, false)).collect(),
        Onto::Directory(directory) => {
            vec![mounted_claim("target", &directory.claim_name, TARGET.into(), false)]
        }
    }
}

fn arguments(restore: &ModelCacheRestore, attempt: u64, wanted: &Wanted) -> Vec<String> {
    let directory = match &wanted.onto {
        Onto::Volumes(_) => mount::VOLUMES.to_owned(),
        Onto::Directory(it) => it.path.as_ref().map_or_else(|| TARGET.to_owned(), |path| format!("{TARGET}/{path}")),
    };
    let mut arguments: Vec<String> = ["restore", "-f", mount::CACHE, "--volumes-dir", &directory]
        .into_iter()
        .chain(["--mounted-inputs", "--secrets-dir", mount::SECRETS, "--of", &of(wanted)])
        .map(str::to_owned)
        .collect();
    match &wanted.which {
        Which::Latest => {}
        Which::AsOf(time) => arguments.push(format!("--as-of={time}")),
        Which::Snapshot(id) => arguments.push(format!("--snapshot={id}")),
    }
    arguments.extend(wanted.bare.then(|| "--volumes-of-snapshot".to_owned()));
    arguments.extend(wanted.per_node.iter().map(|it| format!("--pins-of={it}")));
    arguments.extend(restore.spec.include.iter().map(|it| format!("--include={it}")));
    arguments.extend(restore.spec.exclude.iter().map(|it| format!("--exclude={it}")));
    arguments.extend(restore.spec.keep_going.unwrap_or(false).then(|| "--keep-going".to_owned()));
    // A killed pod that still writes gives way to the attempt after it.
    arguments.push(format!("--owner={}", restore.uid().unwrap_or_default()));
    arguments.push(format!("--attempt={attempt}"));
    arguments
}

fn affinity(wanted: &Wanted, beside: &Beside) -> Option<NodeAffinity> {
    match beside {
        Beside::Node(name) => Some(placement::beside(name)),
        Beside::Anywhere => wanted.cache.spec.placement.as_ref().and_then(|it| placement::labelled(&it.node_selector)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::model_cache_restore::RestoreClaim;
    use crate::operator::modelcache::build::fixtures::{settings, shared_cache};
    use serde_json::json;

    fn restore() -> ModelCacheRestore {
        serde_json::from_value(json!({
            "apiVersion": "modelcache.dev/v1alpha1", "kind": "ModelCacheRestore",
            "metadata": {"name": "back", "namespace": "ns", "uid": "restore-uid"},
            "spec": {"from": {"latest": {"cache": "studio"}}, "include": ["images/*", "-x"], "exclude": ["*.tmp"], "keepGoing": true}
        }))
        .unwrap()
    }

    fn wanted(onto: Onto) -> Wanted {
        let backup = json!({"destination": {"s3": {
            "bucket": "backups",
            "accessKeyIdSecretRef": {"name": "minio", "key": "id"},
            "secretAccessKeySecretRef": {"name": "minio", "key": "secret"}
        }}});
        Wanted {
            cache: shared_cache(),
            backup: serde_json::from_value(backup).unwrap(),
            of: ("ns".into(), "studio".into()),
            which: Which::Snapshot("3f9c".into()),
            per_node: vec![],
            onto,
            bare: false,
        }
    }

    #[test]
    fn a_restore_writes_to_the_claims_of_the_volumes_and_is_fenced_by_its_attempt() {
        let wanted = wanted(Onto::Volumes(vec![("models".into(), "studio-models".into())]));
        let (config_map, job) =
            job(&restore(), 2, &wanted, &BTreeSet::new(), &Beside::Node("node-7".into()), vec![], &settings());
        assert_eq!(config_map.metadata.name, job.metadata.name);
        insta::assert_yaml_snapshot!(job);
    }

    #[test]
    fn of_per_node_volumes_only_the_pins_are_asked_for() {
        let mut wanted = wanted(Onto::Volumes(vec![]));
        wanted.per_node = vec!["models".into()];
        let (_, job) = job(&restore(), 1, &wanted, &BTreeSet::new(), &Beside::Anywhere, vec![], &settings());
        let pod = job.spec.unwrap().template.spec.unwrap();
        assert!(pod.containers[0].args.as_ref().unwrap().contains(&"--pins-of=models".to_owned()));
        assert!(pod.volumes.unwrap().iter().all(|it| it.persistent_volume_claim.is_none()));
    }

    #[test]
    fn a_pattern_that_begins_with_a_dash_is_no_option() {
        let claim = RestoreClaim { claim_name: "nas".into(), path: Some("old/studio".into()) };
        let (_, job) = job(
            &restore(),
            1,
            &wanted(Onto::Directory(claim)),
            &BTreeSet::new(),
            &Beside::Anywhere,
            vec![],
            &settings(),
        );
        let arguments = job.spec.unwrap().template.spec.unwrap().containers[0].args.clone().unwrap();
        assert!(arguments.contains(&"--include=-x".to_owned()), "{arguments:?}");
        assert!(arguments.contains(&"/volumes/target/old/studio".to_owned()), "{arguments:?}");
    }

    #[test]
    fn without_a_cache_in_the_cluster_the_volumes_are_those_of_the_snapshot() {
        let claim = RestoreClaim { claim_name: "nas".into(), path: None };
        let wanted = Wanted { bare: true, ..wanted(Onto::Directory(claim)) };
        let (_, job) = job(&restore(), 1, &wanted, &BTreeSet::new(), &Beside::Anywhere, vec![], &settings());
        let arguments = job.spec.unwrap().template.spec.unwrap().containers[0].args.clone().unwrap();
        assert!(arguments.contains(&"--volumes-of-snapshot".to_owned()), "{arguments:?}");
    }

    #[test]
    fn each_source_gets_what_it_names_itself_and_nothing_of_another() {
        let mut wanted = wanted(Onto::Volumes(vec![("models".into(), "studio-models".into())]));
        wanted
            .cache
            .spec
            .volumes
            .push(serde_json::from_value(json!({"name": "other", "perNode": {"pool": "gpu", "size": "1Gi"}})).unwrap());
        let token = |name: &str| json!({"name": name, "key": "token"});
        wanted.cache.spec.sources = serde_json::from_value(json!([
            {"name": "hub", "volume": "models", "huggingFace": {"repo": "org/a", "tokenSecretRef": token("a")}},
            {"name": "mirror", "volume": "models", "huggingFace": {
                "repo": "org/b", "endpoint": "https://mirror.example", "tokenSecretRef": token("b")
            }},
            {"name": "image", "volume": "models", "oci": {
                "reference": "registry.example/m:1", "pullSecretRef": {"name": "pull", "key": ".dockerconfigjson"}
            }},
            {"name": "wheels", "volume": "models", "pip": {"requirementsFrom": {"name": "lock", "key": "requirements.txt"}}},
            {"name": "old", "volume": "models", "claim": {"claimName": "notebook"}},
            {"name": "own", "volume": "models", "claim": {"claimName": "studio-models", "directory": "before"}},
            {"name": "gone", "volume": "models", "claim": {"claimName": "gone"}},
            {"name": "elsewhere", "volume": "other", "huggingFace": {"repo": "org/c", "tokenSecretRef": token("c")}}
        ]))
        .unwrap();
        let claims = ["notebook", "studio-models"].map(str::to_owned).into();
        let (_, job) = job(&restore(), 1, &wanted, &claims, &Beside::Anywhere, vec![], &settings());
        let pod = job.spec.unwrap().template.spec.unwrap();
        let container = &pod.containers[0];
        assert!(container.env.iter().flatten().all(|it| it.value_from.is_none()), "no key of one is seen by all");
        insta::assert_yaml_snapshot!((&container.volume_mounts, &pod.volumes));
    }
}
