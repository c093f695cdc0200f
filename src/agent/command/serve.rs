//! Who may ask how far the work is? Whoever reaches the port: the operator, and Prometheus.

use crate::agent::prefetch::report::Report;
use axum::Router;
use axum::routing::get;
use std::net::SocketAddr;

/// Serves `/progress` and `/metrics` until the process ends.
pub async fn serve(address: SocketAddr, report: Report) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::bind(address).await?;
    let (progress, metrics) = (report.clone(), report);
    let app = Router::new()
        .route("/progress", get(move || async move { axum::Json(progress.progress()) }))
        .route("/metrics", get(move || async move { exposition(&metrics) }));
    axum::serve(listener, app).await
}

/// The counters in Prometheus' text format. No labels: the pod's own say which cache it is.
fn exposition(report: &Report) -> String {
    use std::fmt::Write as _;
    let progress = report.progress();
    let mut text = String::new();
    for (name, kind, help, value) in [
        ("files_done", "gauge", "Files that are on the volume.", Some(progress.files_done)),
        ("files_total", "gauge", "Files that are wanted.", progress.files_total),
        (
            "bytes_done",
            "gauge",
            "Bytes that are on the volume, half-fetched files included.",
            Some(progress.bytes_done),
        ),
        ("bytes_total", "gauge", "Bytes that are wanted.", progress.bytes_total),
        ("fetched_bytes_total", "counter", "Bytes that came over the network.", Some(progress.bytes_fetched)),
    ] {
        let Some(value) = value else { continue };
        let name = format!("modelcache_agent_{name}");
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_not_told_before_they_are_known() {
        let report = Report::default();
        assert!(!exposition(&report).contains("agent_bytes_total"), "{}", exposition(&report));
        report.wanted(3, 10);
        report.listed();
        assert!(exposition(&report).contains("modelcache_agent_bytes_total 10\n"));
    }
}
