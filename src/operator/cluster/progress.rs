//! How far is an agent? Asked of its pod; failure is tolerated, since progress is only for people.

use super::Cluster;
use crate::contract::progress::{PORT, Progress};
use std::time::Duration;

impl Cluster {
    /// The progress of the agent at an address, if it answers within a second.
    pub async fn progress(&self, pod_ip: &str) -> Option<Progress> {
        let host = if pod_ip.contains(':') { format!("[{pod_ip}]") } else { pod_ip.to_owned() };
        let request = self.http.get(format!("http://{host}:{PORT}/progress")).timeout(Duration::from_secs(1));
        let text = request.send().await.ok()?.text().await.ok()?;
        Progress::parse(&text).ok()
    }
}
