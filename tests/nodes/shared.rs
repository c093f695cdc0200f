//! The same on a shared volume, on a claim that is there already, and on volumes with nothing to fetch.

use crate::manifests::{cache_with, hugging_face};
use crate::reader;
use crate::runner::Scenario;
use crate::scenario;
use crate::world::World;
use modelcache::api::ConditionType;
use std::sync::Arc;

pub fn scenarios() -> Vec<Scenario> {
    vec![
        scenario!(a_shared_volume_from_a_storage_class_is_filled_once_and_read_from_both_nodes),
        scenario!(a_retained_shared_volume_is_adopted_without_a_byte_though_its_class_deletes_and_main_has_moved),
        scenario!(an_existing_claim_mounted_at_the_hf_home_just_works),
        scenario!(a_claim_is_adopted_where_it_is_and_copied_to_another_and_a_missing_one_is_named),
        scenario!(two_caches_share_one_claim_without_touching_each_other),
        scenario!(a_volume_with_only_directories_binds_a_claim_that_waits_for_its_first_consumer),
    ]
}

async fn a_shared_volume_from_a_storage_class_is_filled_once_and_read_from_both_nodes(world: Arc<World>) {
    world.namespace("shared");
    let hub = world.hub();
    let volumes = "[{name: models, shared: {size: 200Mi, storageClassName: standard}}]";
    world.apply(&tolerant(&cache_with(
        "shared",
        "tiny",
        volumes,
        &[hugging_face("tiny", &hub.url, "demo/tiny-llm", "")],
        "",
    )));
    let cache = world.ready("shared", "tiny").await;
    assert_eq!(cache.status.unwrap().nodes.as_deref(), Some("1/1"));
    let code = "from huggingface_hub import snapshot_download; import os; print(sorted(os.listdir(snapshot_download('demo/tiny-llm'))))";
    for node in ["node-1", "node-2"] {
        let said = reader::python(&world, "shared", &format!("reader-{node}"), Some(node), "tiny-models", code).await;
        assert!(said.contains("config.json"), "{said}");
    }
}

async fn a_retained_shared_volume_is_adopted_without_a_byte_though_its_class_deletes_and_main_has_moved(
    world: Arc<World>,
) {
    world.namespace("retained");
    let hub = world.hub();
    hub.control("repo?spec=org/kept=a.bin:3Mi");
    let volumes = "[{name: models, shared: {size: 200Mi, storageClassName: standard}}]";
    let sources = [hugging_face("kept", &hub.url, "org/kept", "")];
    let manifest = tolerant(&cache_with("retained", "kept", volumes, &sources, "  deletionPolicy: Retain\n"));
    world.apply(&manifest);
    let first = world.ready("retained", "kept").await.status.unwrap().sources[0].revision.clone();
    hub.control("move?repo=org/kept");
    hub.control("reset");
    world.kubectl(&["-n", "retained", "delete", "mcache", "kept", "--wait=false"]);
    world.cache_gone("retained", "kept").await;
    world.apply(&manifest);
    let again = world.ready("retained", "kept").await.status.unwrap();
    assert_eq!(again.sources[0].revision, first, "the pin is remembered");
    assert!(hub.counters().bytes_sent < 100_000, "{:?}", hub.counters());
}

async fn an_existing_claim_mounted_at_the_hf_home_just_works(world: Arc<World>) {
    world.namespace("existing");
    let hub = world.hub();
    world.apply(&claim("existing", "home"));
    let volumes = "[{name: home, existingClaim: {claimName: home}}]";
    let source = hugging_face("tiny", &hub.url, "demo/tiny-llm", ", path: .");
    world.apply(&tolerant(&cache_with("existing", "tiny", volumes, &[source], "  deletionPolicy: Delete\n")));
    world.ready("existing", "tiny").await;
    let code = "import os; os.environ['HF_HOME']='/models'\nfrom huggingface_hub import snapshot_download; print(os.listdir(snapshot_download('demo/tiny-llm')))";
    let said = reader::python(&world, "existing", "reader", None, "home", code).await;
    assert!(said.contains("config.json"), "{said}");
    world.kubectl(&["-n", "existing", "delete", "mcache", "tiny", "--wait=false"]);
    world.cache_gone("existing", "tiny").await;
    assert!(
        world.exists("", "v1", "PersistentVolumeClaim", Some("existing"), "home").await,
        "an existing claim is never deleted"
    );
}

async fn a_claim_is_adopted_where_it_is_and_copied_to_another_and_a_missing_one_is_named(world: Arc<World>) {
    world.namespace("taken");
    world.apply(&claim("taken", "old"));
    let fill = [
        "sh",
        "-c",
        "mkdir /models/wheels && echo one > /models/wheels/a.whl && ln -s a.whl /models/wheels/b.whl && echo filled",
    ];
    world.apply(&reader::writer("taken", "fill", "old", "localhost/busybox:test", &fill));
    assert!(reader::ended(&world, "taken", "fill").await.contains("filled"));

    let adopted = "  - {name: old, claim: {claimName: old}}\n";
    let volumes = "[{name: home, existingClaim: {claimName: old}}]";
    world.apply(&tolerant(&cache_with("taken", "adopted", volumes, &[adopted.to_owned()], "")));
    let status = world.ready("taken", "adopted").await.status.unwrap();
    assert_eq!(status.sources[0].files, Some(2));

    let copied = "  - {name: old, claim: {claimName: old, directory: wheels, path: copy}}\n";
    let volumes = "[{name: models, shared: {size: 10Mi, storageClassName: standard}}]";
    world.apply(&tolerant(&cache_with("taken", "copied", volumes, &[copied.to_owned()], "")));
    world.ready("taken", "copied").await;
    let look = ["sh", "-c", "cat /models/copy/a.whl /models/copy/b.whl"];
    world.apply(&reader::pod("taken", "look", None, "copied-models", "localhost/busybox:test", &look));
    assert_eq!(reader::ended(&world, "taken", "look").await.matches("one").count(), 2);

    let missing = "  - {name: gone, claim: {claimName: not-there}}\n";
    world.apply(&tolerant(&cache_with("taken", "missing", volumes, &[missing.to_owned()], "")));
    let said = world.reason("taken", "missing", ConditionType::Resolved, "VolumePending").await;
    assert!(said.contains("not-there") && said.contains("create the claim"), "{said}");
}

async fn two_caches_share_one_claim_without_touching_each_other(world: Arc<World>) {
    world.namespace("both");
    let hub = world.hub();
    hub.control("repo?spec=org/a=a.bin:1Mi");
    hub.control("repo?spec=org/b=b.bin:1Mi");
    world.apply(&claim("both", "home"));
    let volumes = "[{name: home, existingClaim: {claimName: home}}]";
    for name in ["a", "b"] {
        world.apply(&tolerant(&cache_with(
            "both",
            name,
            volumes,
            &[hugging_face(name, &hub.url, &format!("org/{name}"), "")],
            "",
        )));
    }
    world.ready("both", "a").await;
    world.ready("both", "b").await;
    let code = "from huggingface_hub import hf_hub_download as d; print(d('org/a', 'a.bin'), d('org/b', 'b.bin'))";
    reader::python(&world, "both", "reader", None, "home", code).await;
}

async fn a_volume_with_only_directories_binds_a_claim_that_waits_for_its_first_consumer(world: Arc<World>) {
    world.namespace("directories");
    let volumes =
        "[{name: out, shared: {size: 10Mi, storageClassName: standard-wait}, directories: [assets/images, logs]}]";
    world.apply(&tolerant(&cache_with("directories", "studio", volumes, &[], "")));
    world.ready("directories", "studio").await;
    let look = ["sh", "-c", "test -d /models/assets/images && test -d /models/logs && echo there"];
    world.apply(&reader::pod("directories", "look", None, "studio-out", "localhost/busybox:test", &look));
    assert!(reader::ended(&world, "directories", "look").await.contains("there"));
}

/// All nodes are tainted as GPU nodes: shared warm-ups run there too.
pub fn tolerant(cache: &str) -> String {
    format!("{}\n  podTemplate: {{tolerations: [{{key: nvidia.com/gpu, operator: Exists}}]}}\n", cache.trim_end())
}

fn claim(namespace: &str, name: &str) -> String {
    format!(
        "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {{accessModes: [ReadWriteMany], storageClassName: standard, resources: {{requests: {{storage: 100Mi}}}}}}\n"
    )
}
