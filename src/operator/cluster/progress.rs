//! How far is an agent? Asked of its pod; failure is tolerated, since progress is only for people.

use super::Cluster;
use crate::contract::progress::{PORT, Progress};
use std::time::Duration;

/// Bytes of an answer that are read at most: a pod is in a user's hands.
const LIMIT: usize = 64 << 10;

impl Cluster {
    /// The progress of the agent at an address, if it answers within a second.
    pub async fn progress(&self, pod_ip: &str) -> Option<Progress> {
        let host = if pod_ip.contains(':') { format!("[{pod_ip}]") } else { pod_ip.to_owned() };
        let request = self.http.get(format!("http://{host}:{PORT}/progress")).timeout(Duration::from_secs(1));
        let mut answer = request.send().await.ok()?;
        let mut text = Vec::new();
        while let Some(chunk) = answer.chunk().await.ok()? {
            if text.len() + chunk.len() > LIMIT {
                return None;
            }
            text.extend_from_slice(&chunk);
        }
        Progress::parse(std::str::from_utf8(&text).ok()?).ok()
    }
}
