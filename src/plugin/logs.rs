//! `logs`: what all Jobs of a cache say, each line with its node and its Job's role.
//!
//! The operator removes a Job once its result is recorded: what is over long is in the Events and the status.

use super::error::Error;
use super::options::Name;
use super::print;
use super::render::paint::Tone;
use super::render::tables::plain;
use super::session::Session;
use crate::api::{duration, label};
use clap::{Args, ValueEnum};
use futures::{AsyncBufReadExt, StreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::api::LogParams;
use kube::{Api, ResourceExt};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinSet;

/// How often new pods are looked for.
const LOOK: Duration = Duration::from_secs(2);

/// Options of `logs`.
#[derive(Args, Debug)]
pub struct Logs {
    #[command(flatten)]
    name: Name,

    /// Go on with what is said from now on, also by Jobs that are made later.
    #[arg(short, long)]
    follow: bool,

    /// Only Jobs that do this.
    #[arg(long, value_enum, value_name = "WHAT")]
    job: Option<Role>,

    /// Only Jobs on this node.
    #[arg(long, value_name = "NODE")]
    node: Option<String>,

    /// Only so many lines from the end of each.
    #[arg(long, value_name = "LINES")]
    tail: Option<i64>,

    /// Only what was said in this time, such as 10m.
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    since: Option<Duration>,
}

/// What a Job in a user's namespace does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Role {
    /// Asks origins.
    Resolve,
    /// Asks origins whether they moved.
    Refresh,
    /// Puts the content there.
    WarmUp,
    /// Checks it.
    Verify,
    /// Backs it up.
    Backup,
    /// Puts a backup back.
    Restore,
    /// Cleans up.
    Clean,
}

impl Logs {
    /// Runs the command.
    pub async fn run(self, session: &Session) -> Result<(), Error> {
        session.cache(&self.name.name).await?;
        let (sender, receiver) = channel(256);
        let work = self.read(session, sender);
        let (read, printed) = futures::future::join(work, print_all(receiver)).await;
        printed.and(read)
    }

    /// Reads all pods side by side; with `follow` new ones too, for ever.
    async fn read(&self, session: &Session, sender: Sender<String>) -> Result<(), Error> {
        let api = session.here::<Pod>();
        let (mut seen, mut readers) = (BTreeSet::new(), JoinSet::new());
        loop {
            let pods = session.list(&api, &self.selector()).await?;
            if pods.is_empty() && !self.follow {
                eprintln!("no Job of `{}` has a pod: what is over is in `kubectl modelcache describe`", self.name.name);
            }
            for pod in pods.iter().filter(|it| self.is_chosen(it) && started(it)) {
                if seen.insert(pod.uid()) {
                    let prefix = session.paint.paint(Tone::Heading, &prefix(pod));
                    readers.spawn(read_one(api.clone(), pod.name_any(), prefix, self.parameters(), sender.clone()));
                }
            }
            if !self.follow {
                break;
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                // Nobody reads any more.
                () = sender.closed() => return Ok(()),
            }
        }
        drop(sender);
        while readers.join_next().await.is_some() {}
        Ok(())
    }

    fn selector(&self) -> String {
        let job = self.job.and_then(|it| it.to_possible_value());
        let job = job.map(|it| format!(",{}={}", label::JOB, it.get_name())).unwrap_or_default();
        format!("{}={},{}={}{job}", label::CACHE, self.name.name, label::MANAGED_BY, label::MANAGER)
    }

    fn is_chosen(&self, pod: &Pod) -> bool {
        let node = pod.spec.as_ref().and_then(|it| it.node_name.as_ref());
        self.node.is_none() || node == self.node.as_ref()
    }

    fn parameters(&self) -> LogParams {
        LogParams {
            follow: self.follow,
            tail_lines: self.tail,
            since_seconds: self.since.map(|it| i64::try_from(it.as_secs()).unwrap_or(i64::MAX)),
            ..LogParams::default()
        }
    }
}

fn started(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|it| it.phase.as_deref());
    !matches!(phase, None | Some("Pending"))
}

/// `[gpu-1 warm-up] `
fn prefix(pod: &Pod) -> String {
    let node = pod.spec.as_ref().and_then(|it| it.node_name.as_deref()).unwrap_or("?");
    let job = pod.labels().get(label::JOB).map_or("", String::as_str);
    format!("[{node} {job}]")
}

async fn read_one(api: Api<Pod>, pod: String, prefix: String, parameters: LogParams, sender: Sender<String>) {
    let lines = match api.log_stream(&pod, &parameters).await {
        Ok(stream) => stream.lines(),
        Err(error) => {
            // The pod went between the list and the read, or may not be read: the others are still worth it.
            let _ = sender.send(format!("{prefix} cannot be read: {}", Error::from(error))).await;
            return;
        }
    };
    let mut lines = Box::pin(lines);
    while let Some(Ok(line)) = lines.next().await {
        if sender.send(format!("{prefix} {}", plain(&line))).await.is_err() {
            return;
        }
    }
}

async fn print_all(mut lines: Receiver<String>) -> Result<(), Error> {
    while let Some(line) = lines.recv().await {
        print::text(&(line + "\n"))?;
    }
    Ok(())
}
