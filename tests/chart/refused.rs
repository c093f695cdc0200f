//! Is a value that is misspelt, or of the wrong kind, refused by name?

use crate::helm::{CHART, helm, template};

#[test]
fn the_chart_has_no_remark_of_helms_own_linter() {
    let said = helm(&["lint", "--strict", CHART]).unwrap();
    assert!(said.contains("0 chart(s) failed") && !said.contains("[WARNING]"), "{said}");
}

#[test]
fn what_is_misspelt_or_wrong_is_refused_by_name() {
    for (values, expected) in [
        ("replica: 2", "'replica'"),
        ("image: {tags: v1}", "'tags'"),
        ("image: {digest: latest}", "/image/digest"),
        ("replicas: two", "/replicas"),
        ("crds: {keeps: true}", "'keeps'"),
        ("jobs: {podTemplate: {toleration: []}}", "'toleration'"),
        ("jobs: {podTemplate: {tolerations: [{key: gpu, effects: NoSchedule}]}}", "'effects'"),
        ("jobs: {proxy: {httpProxi: a}}", "'httpProxi'"),
        ("pools: {gpu: {pth: /mnt/modelcache, capacity: 1Gi}}", "'pth'"),
        ("pools: {gpu: {gpu: Nvidia, path: /mnt/modelcache, capacity: 1Gi}}", "/pools/gpu/gpu"),
        ("pools: {GPU.big: {gpu: Any, path: /mnt/modelcache, capacity: 1Gi}}", "GPU.big"),
        ("metrics: {renderMode: maybe}", "/metrics/renderMode"),
        ("apiPriority: {precedence: 9000}", "/apiPriority/precedence"),
        ("nodeLabels: {enable: true}", "'enable'"),
        ("leaderElection: {leaseSeconds: 1}", "/leaderElection/leaseSeconds"),
        ("watch: {namespace: [studio]}", "'namespace'"),
        ("watch: {namespaces: [Studio]}", "/watch/namespaces/0"),
        ("watch: {namespaces: [a, a]}", "/watch/namespaces"),
    ] {
        let said = template("modelcache-system", values).expect_err(values);
        assert!(said.contains(expected), "{values}: {said}");
    }
}

#[test]
fn values_that_do_not_fit_together_are_refused_with_what_to_do() {
    let pool = |more: &str| format!("pools: {{gpu: {{gpu: Any, path: /mnt/modelcache, capacity: 1Gi, {more}}}}}");
    let object = |kind: &str, namespace: &str| {
        let metadata = format!("{{name: mine{namespace}}}");
        format!("extraObjects: [{{apiVersion: modelcache.dev/v1alpha1, kind: {kind}, metadata: {metadata}}}]")
    };
    let text = "extraObjects: [\"# One\\n---\\nkind: ModelCache\\nmetadata: {name: mine, namespace: '{{ .Release.Namespace }}'}\"]";
    let served = "watch: {namespaces: [studio]}\n";
    for (values, expected) in [
        ("nodeJobs: {namespace: models}".to_owned(), "nodeJobs.namespace: models is the release's own"),
        ("watch: {namespaces: [studio, models]}".into(), "watch.namespaces: models is the operator's own"),
        (
            "watch: {namespaces: [modelcache-node-jobs]}".into(),
            "watch.namespaces: modelcache-node-jobs is the operator's own",
        ),
        (pool("namespaces: {names: [models]}"), "pools.gpu.namespaces.names: no cache is served in models"),
        (
            format!("{served}{}", pool("namespaces: {names: [team]}")),
            "pools.gpu.namespaces.names: team is not in watch",
        ),
        (
            format!("{served}{}", pool("namespaces: {selector: {matchLabels: {a: b}}}")),
            "pools.gpu.namespaces.selector: with",
        ),
        (object("ModelCache", ""), "the ModelCache mine is in models"),
        (object("ModelCacheBackup", ", namespace: models"), "the ModelCacheBackup mine is in models"),
        (
            object("ModelCacheRestore", ", namespace: modelcache-node-jobs"),
            "the ModelCacheRestore mine is in modelcache-node",
        ),
        (text.into(), "the ModelCache mine is in models"),
        (
            format!("{served}{}", object("ModelCache", ", namespace: team")),
            "mine is in team, which is not in watch.namespaces",
        ),
    ] {
        let said = template("models", &values).expect_err(&values);
        assert!(said.contains(expected), "{values}: {said}");
    }
    for fits in [
        object("ModelCache", ", namespace: team"),
        object("ConfigMap", ""),
        format!("{served}{}", object("ModelCache", ", namespace: studio")),
    ] {
        template("models", &fits).unwrap_or_else(|said| panic!("{fits}: {said}"));
    }
}

#[test]
fn a_monitor_that_the_server_does_not_know_is_left_out_or_refused_as_told() {
    let monitor = |mode| format!("metrics: {{renderMode: {mode}, serviceMonitor: {{enabled: true}}}}");
    let rendered = |mode| template("modelcache-system", &monitor(mode));
    assert!(!rendered("skipIfMissing").unwrap().contains("ServiceMonitor"));
    assert!(rendered("alwaysRender").unwrap().contains("kind: ServiceMonitor"));
    let said = rendered("failIfMissing").unwrap_err();
    assert!(said.contains("does not know the kind ServiceMonitor"), "{said}");
}
