//! What is wanted of the cluster: plans, Replicas, Jobs, and what is tidied away.

use super::*;
use crate::contract::plan::{FILE, Pin};
use crate::operator::modelcache::build::fixtures::{
    JobEnd, Pass, cache, claim, foreign_claim, pass, pin, pool, resolve_job, second, shared_cache, stored_plan,
    with_status,
};
use crate::operator::modelcache::build::transcript::{name_of, tell};
use proptest::prelude::*;
use serde_json::json;

/// Two sources: `sana` and `speech`.
fn two_sources() -> ModelCache {
    let mut cache = cache();
    let speech = json!({"name": "speech", "http": {"url": "https://example.org/speech.bin", "sha256": "0".repeat(64)}});
    cache.spec.sources.push(serde_json::from_value(speech).unwrap());
    cache
}

fn of_revision(mut cache: ModelCache, revision: &str) -> ModelCache {
    cache.spec.sources[0].hugging_face.as_mut().unwrap().revision = Some(revision.into());
    cache
}

fn look(cache: &ModelCache, observed: &Observed) -> Wanted {
    pass(cache, observed, second(0)).wanted
}

/// The plan that a pass wants stored: its sequence, and the pins by source.
fn plan_of(wanted: &Wanted) -> Option<(u64, Vec<(String, Pin)>)> {
    let stored = wanted.children.config_maps.iter().map(|(it, _)| it).find(|it| sequence(it) > 0)?;
    let plan = Plan::parse(stored.data.as_ref()?.get(FILE)?).ok()?;
    Some((sequence(stored), plan.sources.into_iter().map(|it| (it.source.name, it.pin)).collect()))
}

fn removed(wanted: &Wanted) -> Vec<String> {
    wanted.children.removals.iter().map(name_of).collect()
}

fn jobs(wanted: &Wanted) -> Vec<String> {
    wanted.children.jobs.iter().map(ResourceExt::name_any).collect()
}

fn named(source: &str, pin: Pin) -> (String, Pin) {
    (source.into(), pin)
}

/// One node, its claim, and a plan that its Replica was given.
fn settled(cache: &ModelCache, plan: ConfigMap) -> Observed {
    let before = Observed::empty().with_nodes(&["a"]).with_claim(claim("models")).with_config_map(plan);
    let Pass { wanted, .. } = pass(cache, &before, second(0));
    let Children { replicas, persistent_volumes, .. } = wanted.children;
    let before = replicas.into_iter().fold(before, |it, (replica, _)| it.with_replica(replica));
    persistent_volumes.into_iter().fold(before, |it, (volume, _)| it.with_volume(volume))
}

#[test]
fn the_first_pass_makes_the_place_and_asks_the_origin() {
    insta::assert_snapshot!(tell(&look(&cache(), &Observed::empty().with_nodes(&["b", "a"])).children));
}

#[test]
fn one_failed_source_does_not_hold_up_the_plan_of_the_others() {
    let cache = two_sources();
    let observed = Observed::empty()
        .with_nodes(&["a"])
        .with_resolve_job(resolve_job(&cache, 0, 1, JobEnd::Failed(Reason::Unauthorized)))
        .with_resolve_job(resolve_job(&cache, 1, 1, JobEnd::Pinned(pin("b"))));
    assert_eq!(plan_of(&look(&cache, &observed)), Some((1, vec![named("speech", pin("b"))])));
}

#[test]
fn there_is_no_plan_while_no_source_has_a_pin_and_one_at_once_for_a_volume_without_sources() {
    let mut cache = cache();
    assert_eq!(plan_of(&look(&cache, &Observed::empty().with_nodes(&["a"]))), None);
    cache.spec.sources.clear();
    assert_eq!(plan_of(&look(&cache, &Observed::empty().with_nodes(&["a"]))), Some((1, vec![])));
}

#[test]
fn a_source_whose_spec_changed_keeps_its_old_pin_until_the_new_one_is_known() {
    let old = stored_plan(&two_sources(), "models", &[(0, pin("a")), (1, pin("b"))], 3);
    let cache = of_revision(two_sources(), "v2");
    let observed = || Observed::empty().with_nodes(&["a"]).with_config_map(old.clone());
    let kept = vec![named("sana", pin("a")), named("speech", pin("b"))];
    assert_eq!(plan_of(&look(&cache, &observed())), Some((3, kept.clone())), "the very plan that was there");
    let failed = observed().with_resolve_job(resolve_job(&cache, 0, 1, JobEnd::Failed(Reason::NotFound)));
    assert_eq!(plan_of(&look(&cache, &failed)), Some((3, kept)));
    let known = observed().with_resolve_job(resolve_job(&cache, 0, 1, JobEnd::Pinned(pin("c"))));
    let moved = vec![named("sana", pin("c")), named("speech", pin("b"))];
    assert_eq!(plan_of(&look(&cache, &known)), Some((4, moved)));
}

#[test]
fn the_sequence_rises_with_every_change_also_with_one_back_to_an_older_plan() {
    let (first, second_) = (of_revision(cache(), "v1"), of_revision(cache(), "v2"));
    let older = stored_plan(&first, "models", &[(0, pin("a"))], 1);
    let newer = stored_plan(&second_, "models", &[(0, pin("b"))], 2);
    let both = || Observed::empty().with_nodes(&["a"]).with_config_map(older.clone()).with_config_map(newer.clone());
    assert_eq!(plan_of(&look(&second_, &both())).map(|it| it.0), Some(2));
    let back = both().with_resolve_job(resolve_job(&first, 0, 1, JobEnd::Pinned(pin("a"))));
    let wanted = look(&first, &back);
    assert_eq!(plan_of(&wanted), Some((3, vec![named("sana", pin("a"))])));
    let (applied, found) = wanted.children.config_maps.iter().find(|(it, _)| sequence(it) == 3).unwrap();
    assert_eq!((applied.name_any(), found.is_some()), (older.name_any(), true), "the older one, risen");
}

#[test]
fn a_plan_that_we_cannot_read_is_risen_above_and_then_rested_upon() {
    let mut unreadable = stored_plan(&cache(), "models", &[(0, pin("c"))], 9);
    unreadable.metadata.name = Some("of-a-newer-operator".into());
    unreadable.data = Some([(FILE.to_owned(), r#"{"version": 7}"#.to_owned())].into());
    let at = |sequence| {
        let ours = stored_plan(&cache(), "models", &[(0, pin("a"))], sequence);
        let observed = Observed::empty().with_nodes(&["a"]).with_config_map(unreadable.clone()).with_config_map(ours);
        plan_of(&look(&cache(), &observed)).map(|it| it.0)
    };
    assert_eq!((at(2), at(9), at(10)), (Some(10), Some(9), Some(10)));
}

#[test]
fn a_plan_is_deleted_only_when_it_is_superseded_and_no_replica_is_given_it() {
    let old = stored_plan(&of_revision(cache(), "v1"), "models", &[(0, pin("a"))], 1);
    let observed = settled(&of_revision(cache(), "v1"), old.clone());
    let new = stored_plan(&cache(), "models", &[(0, pin("b"))], 2);
    let used = observed.with_config_map(new.clone());
    assert_eq!(removed(&look(&cache(), &used)), Vec::<String>::new());
    let unused = settled(&cache(), new.clone()).with_config_map(old.clone());
    assert_eq!(removed(&look(&cache(), &unused)), [format!("ConfigMap {}", old.name_any())]);
    let alone = settled(&cache(), new);
    assert_eq!(removed(&look(&cache(), &alone)), Vec::<String>::new());
}

#[test]
fn a_resolve_job_goes_only_when_its_result_is_kept_elsewhere() {
    let cache = cache();
    let failed = || Observed::empty().with_resolve_job(resolve_job(&cache, 0, 1, JobEnd::Failed(Reason::NotFound)));
    assert_eq!(removed(&look(&cache, &failed())), Vec::<String>::new(), "the failure is not in the status yet");
    let recorded = with_status(cache.clone(), &failed(), second(0));
    assert_eq!(removed(&look(&recorded, &failed())).len(), 1);

    let pinned = || Observed::empty().with_resolve_job(resolve_job(&cache, 0, 1, JobEnd::Pinned(pin("a"))));
    let recorded = with_status(cache.clone(), &pinned(), second(0));
    assert_eq!(removed(&look(&recorded, &pinned())), Vec::<String>::new(), "the pin is in no stored plan yet");
    let stored = pinned().with_config_map(stored_plan(&cache, "models", &[(0, pin("a"))], 1));
    assert_eq!(removed(&look(&recorded, &stored)).len(), 1, "once, and no more than once");
}

#[test]
fn the_pin_of_an_older_plan_is_no_reason_to_remove_the_job_that_found_it_again() {
    let (first, second_) = (of_revision(cache(), "v1"), of_revision(cache(), "v2"));
    let observed = Observed::empty()
        .with_config_map(stored_plan(&first, "models", &[(0, pin("a"))], 1))
        .with_config_map(stored_plan(&second_, "models", &[(0, pin("b"))], 2))
        .with_resolve_job(resolve_job(&first, 0, 1, JobEnd::Pinned(pin("a"))));
    assert!(!removed(&look(&first, &observed)).iter().any(|it| it.starts_with("Job")));
}

#[test]
fn a_job_that_nobody_asks_for_any_more_goes() {
    let running = Observed::empty().with_resolve_job(resolve_job(&cache(), 0, 1, JobEnd::Running));
    assert_eq!(removed(&look(&cache(), &running)), Vec::<String>::new());
    let changed = look(&of_revision(cache(), "v2"), &running);
    assert_eq!((removed(&changed).len(), jobs(&changed).len()), (1, 1));
}

#[test]
fn one_attempt_has_one_job_whatever_becomes_of_it() {
    let cache = cache();
    for end in [JobEnd::Running, JobEnd::Ending, JobEnd::Pinned(pin("a")), JobEnd::Failed(Reason::Unreachable)] {
        let observed = Observed::empty().with_resolve_job(resolve_job(&cache, 0, 1, end));
        assert_eq!(jobs(&look(&cache, &observed)), Vec::<String>::new());
    }
}

#[test]
fn a_suspended_cache_asks_no_origin_and_keeps_what_it_has() {
    let mut cache = cache();
    cache.spec.suspend = Some(true);
    assert_eq!(jobs(&look(&cache, &Observed::empty().with_nodes(&["a"]))), Vec::<String>::new());
    let observed = settled(&cache, stored_plan(&cache, "models", &[(0, pin("a"))], 1));
    let wanted = look(&cache, &observed);
    assert_eq!((removed(&wanted), wanted.volumes[0].replicas.len()), (vec![], 1));
}

#[test]
fn a_foreign_environment_is_left_alone_and_is_a_conflict() {
    let mut foreign = ConfigMap::default();
    foreign.metadata.name = Some("studio-env".into());
    let observed = Observed::empty().with_nodes(&["a"]).with_config_map(foreign);
    let wanted = look(&cache(), &observed);
    assert!(wanted.children.config_maps.is_empty() && removed(&wanted).is_empty());
    let conflict = wanted.conflict.unwrap();
    assert_eq!(conflict.reason, Reason::ClaimConflict);
    assert!(conflict.message.contains("`studio-env`") && conflict.message.contains("delete it, or rename"));
}

#[test]
fn every_node_has_its_replica_and_a_rebuilt_node_of_the_same_name_has_another() {
    let replica = |observed: Observed| look(&cache(), &observed).children.replicas.remove(0).0;
    let first = replica(Observed::empty().with_nodes(&["a"]));
    let mut rebuilt = Observed::empty().with_nodes(&["a"]);
    std::sync::Arc::make_mut(&mut rebuilt.nodes[0]).metadata.uid = Some("rebuilt-uid".into());
    let second = replica(rebuilt);
    assert_ne!(first.name_any(), second.name_any());
    assert_eq!(second.spec.node.map(|it| (it.name, it.uid)), Some(("a".into(), "rebuilt-uid".into())));
}

#[test]
fn a_node_that_is_relabelled_or_deleted_takes_its_replica_and_its_node_jobs_with_it() {
    let settled = || settled(&cache(), stored_plan(&cache(), "models", &[(0, pin("a"))], 1));
    let replica = settled().replicas[0].name_any();
    let job = |replica: &str, name: &str| -> Job {
        serde_json::from_value(json!({"metadata": {"name": name, "labels": {label::REPLICA: replica}}})).unwrap()
    };
    let purge: Job = serde_json::from_value(json!({"metadata": {"name": "purge"}})).unwrap();
    let observed = || settled().with_node_job(job(&replica, "prepare")).with_node_job(purge.clone());
    assert_eq!(removed(&look(&cache(), &observed())), Vec::<String>::new());

    let mut relabelled = observed();
    std::sync::Arc::make_mut(&mut relabelled.nodes[0]).metadata.labels = None;
    let mut deleted = observed();
    deleted.nodes.clear();
    for (observed, still_recorded) in [(relabelled, true), (deleted, false)] {
        let wanted = look(&cache(), &observed);
        assert_eq!(removed(&wanted), [format!("ModelCacheReplica {replica}"), "Job prepare".to_owned()]);
        let volume = &wanted.children.persistent_volumes[0].0;
        let recorded = build::persistent_volume::recorded_nodes(volume);
        assert_eq!(!recorded.is_empty(), still_recorded, "the bytes of a node that is there are not forgotten");
    }
}

#[test]
fn a_blocked_volume_leaves_its_replicas_alone() {
    let settled = settled(&cache(), stored_plan(&cache(), "models", &[(0, pin("a"))], 1));
    let mut no_pool = settled;
    no_pool.pools.clear();
    let wanted = look(&cache(), &no_pool);
    assert_eq!(removed(&wanted), Vec::<String>::new());
    assert_eq!((wanted.volumes[0].replicas.len(), wanted.children.replicas.len()), (1, 0));
    let foreign = Observed::empty().with_nodes(&["a"]).with_claim(foreign_claim("studio-models"));
    let wanted = look(&cache(), &foreign);
    assert!(wanted.children.claims.is_empty() && wanted.children.persistent_volumes.is_empty());
}

#[test]
fn content_that_is_larger_than_the_volume_leaves_the_older_plan_wanted_on_every_node() {
    let mut cache = cache();
    let old = stored_plan(&of_revision(cache.clone(), "v1"), "models", &[(0, pin("a"))], 1);
    let observed = settled(&of_revision(cache.clone(), "v1"), old.clone());
    cache.spec.volumes[0].per_node.as_mut().unwrap().size.0 = "1Gi".into();
    let large = Pin { bytes: (1 << 30) + 1, ..pin("b") };
    let observed = observed.with_nodes(&["joined"]).with_config_map(stored_plan(&cache, "models", &[(0, large)], 2));
    let wanted = look(&cache, &observed);
    assert_eq!(wanted.volumes[0].problem.as_ref().map(|it| it.reason), Some(Reason::InsufficientSpace));
    let given = wanted.children.replicas.iter().map(|(it, _)| it.spec.plan.as_ref().map(|it| it.config_map.clone()));
    assert_eq!(given.collect::<Vec<_>>(), [Some(old.name_any()), Some(old.name_any())]);
    assert_eq!(removed(&wanted), Vec::<String>::new(), "neither the plan in use nor the memory of the pin");
}

#[test]
fn content_that_fills_the_volume_to_the_last_byte_fits() {
    let mut cache = cache();
    cache.spec.volumes[0].per_node.as_mut().unwrap().size.0 = "1Gi".into();
    let observed = settled(&cache, stored_plan(&cache, "models", &[(0, pin("a"))], 1));
    assert_eq!(look(&cache, &observed).volumes[0].problem, None);
}

#[test]
fn a_released_volume_is_bound_again_only_when_its_claim_is_another_by_now() {
    let rebound = |phase: &str, uid: Option<&str>, claim_there: bool| {
        let mut observed = settled(&cache(), stored_plan(&cache(), "models", &[(0, pin("a"))], 1));
        let volume = &mut observed.persistent_volumes[0];
        volume.status = serde_json::from_value(json!({"phase": phase})).unwrap();
        volume.spec.as_mut().unwrap().claim_ref.as_mut().unwrap().uid = uid.map(str::to_owned);
        if !claim_there {
            observed.claims.clear();
        }
        look(&cache(), &observed).children.rebound.len()
    };
    assert_eq!(rebound("Released", Some("gone-uid"), true), 1);
    assert_eq!(rebound("Released", Some("gone-uid"), false), 1);
    assert_eq!(rebound("Released", Some("claim-uid"), true), 0, "the watch is behind");
    assert_eq!(rebound("Released", None, true), 0, "it is done already");
    assert_eq!(rebound("Bound", Some("gone-uid"), true), 0);
    assert_eq!(rebound("Available", None, false), 0);
}

#[test]
fn the_persistent_volume_stays_as_it_was_made_whatever_the_spec_says_later() {
    let mut cache = cache();
    let observed = settled(&cache, stored_plan(&cache, "models", &[(0, pin("a"))], 1));
    cache.spec.volumes[0].per_node.as_mut().unwrap().size.0 = "90Gi".into();
    let mut pool = pool();
    pool.spec.tolerations = serde_json::from_value(json!([{"operator": "Exists"}])).unwrap();
    let wanted = look(&cache, &observed.with_pool(pool));
    let (wanted, found) = &wanted.children.persistent_volumes[0];
    assert_eq!(Some(wanted), found.as_ref());
}

#[test]
fn a_claim_is_made_once_and_an_existing_one_never() {
    let mut existing = shared_cache();
    existing.spec.volumes =
        serde_json::from_value(json!([{"name": "models", "existingClaim": {"claimName": "theirs"}}])).unwrap();
    let cases = vec![
        (cache(), Observed::empty().with_nodes(&["a"]), 1),
        (cache(), Observed::empty().with_nodes(&["a"]).with_claim(claim("models")), 0),
        (shared_cache(), Observed::empty(), 1),
        (shared_cache(), Observed::empty().with_claim(claim("models")), 0),
        (existing.clone(), Observed::empty(), 0),
        (existing, Observed::empty().with_claim(foreign_claim("theirs")), 0),
    ];
    for (cache, observed, expected) in cases {
        assert_eq!(look(&cache, &observed).children.claims.len(), expected);
    }
}

proptest! {
    #[test]
    fn nothing_is_deleted_twice_and_nothing_that_is_wanted_is_deleted(
        ends in prop::collection::vec(0_u8..5, 0..4),
        plans in prop::collection::vec((0_usize..3, 1_u64..6), 0..4),
        revision in 0_usize..3,
        nodes in prop::collection::hash_set("[a-d]", 0..4),
        recorded in any::<bool>(),
    ) {
        let revisions = ["v1", "v2", "v3"];
        let pins = [pin("a"), pin("b"), pin("c")];
        let cache = of_revision(cache(), revisions[revision]);
        let names: Vec<&str> = nodes.iter().map(String::as_str).collect();
        let mut observed = Observed::empty().with_nodes(&names).with_claim(claim("models"));
        for (which, sequence) in plans {
            let plan = stored_plan(&of_revision(cache.clone(), revisions[which]), "models", &[(0, pins[which].clone())], sequence);
            if !observed.config_maps.iter().any(|it| it.name_any() == plan.name_any()) {
                observed = observed.with_config_map(plan);
            }
        }
        for (index, end) in ends.into_iter().enumerate() {
            let end = match end {
                0 => JobEnd::Running,
                1 => JobEnd::Silent,
                2 => JobEnd::Pinned(pins[revision].clone()),
                3 => JobEnd::Failed(Reason::Evicted),
                _ => JobEnd::Failed(Reason::NotFound),
            };
            observed = observed.with_resolve_job(resolve_job(&cache, 0, index as u64 + 1, end));
        }
        let cache = if recorded { with_status(cache, &observed, second(0)) } else { cache };
        let wanted = look(&cache, &observed);
        let mut removed = removed(&wanted);
        let all = removed.len();
        removed.sort();
        removed.dedup();
        prop_assert_eq!(removed.len(), all);
        let written: Vec<String> = wanted.children.config_maps.iter().map(|(it, _)| format!("ConfigMap {}", it.name_any()))
            .chain(wanted.children.replicas.iter().map(|(it, _)| format!("ModelCacheReplica {}", it.name_any())))
            .chain(wanted.children.jobs.iter().map(|it| format!("Job {}", it.name_any())))
            .collect();
        prop_assert!(written.iter().all(|it| !removed.contains(it)), "{:?} and {:?}", written, removed);
        // A pin that is remembered is never given up for another.
        if let Some((_, plan)) = current_plan(&observed, "models")
            && let Some(old) = plan.sources.iter().find(|it| it.source == cache.spec.sources[0])
        {
            prop_assert_eq!(plan_of(&wanted).map(|it| it.1), Some(vec![named("sana", old.pin.clone())]));
        }
    }
}
