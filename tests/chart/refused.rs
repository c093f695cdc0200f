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
    ] {
        let said = template("modelcache-system", values).expect_err(values);
        assert!(said.contains(expected), "{values}: {said}");
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
