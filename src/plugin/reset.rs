//! `reset`: what a cache has put on its volumes goes, and is fetched anew. Asks before, since somebody may wait for it for hours.

use super::answer::place;
use super::error::Error;
use super::options::Name;
use super::print;
use super::request::Asking;
use super::session::Session;
use crate::api::quantity::human;
use crate::api::request::Deed;
use crate::api::{ModelCache, ModelCacheReplica, Reason, label};
use clap::Args;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::ListParams;
use std::fmt::Write;
use std::io::IsTerminal;

/// Options of `reset`.
#[derive(Args, Debug)]
pub struct Reset {
    #[command(flatten)]
    name: Name,

    /// Do not ask. It must be given where nobody can be asked.
    #[arg(long)]
    yes: bool,

    #[command(flatten)]
    asking: Asking,
}

impl Reset {
    /// Runs the command.
    pub async fn run(self, session: &Session) -> Result<(), Error> {
        self.asking.check(self.asking.wait)?;
        let cache = session.cache(&self.name.name).await?;
        let caches = [cache];
        self.asking.are_there(session, &caches).await?;
        let cache = &caches[0];
        self.can_be_reset(cache)?;
        let copies = self.copies(session, cache).await?;
        unread(session, &copies).await?;
        if !self.yes {
            confirmed(&self.name.name, &copies)?;
        }
        let asked = self.asking.ask(session, &caches, Deed::Reset, false).await?;
        if !self.asking.wait {
            return Ok(());
        }
        let names = [self.name.name.clone()];
        self.asking.until_done(session, &names, Deed::Reset, &asked).await?.told()
    }

    /// Refuses what the operator would not do.
    fn can_be_reset(&self, cache: &ModelCache) -> Result<(), Error> {
        let (name, spec) = (cache.name_any(), &cache.spec);
        if spec.suspended() {
            let message = format!("`{name}` is suspended: resume it first, with `kubectl modelcache resume {name}`");
            return Err(Error::Failed { reason: Reason::Suspended, message });
        }
        let kept = |it: &&String| !Deed::Reset.can_be_done(spec, it);
        if let Some(volume) = self.asking.volumes.iter().find(kept) {
            let message = format!(
                "volume `{volume}` is a claim of your own, which is never emptied: a rule of `spec.cleanup` can be, with `kubectl modelcache clean`"
            );
            return Err(Error::Usage(message));
        }
        if !spec.volumes.iter().any(|it| Deed::Reset.can_be_done(spec, &it.name)) {
            let message = format!("every volume of `{name}` is a claim of your own, which is never emptied");
            return Err(Error::Usage(message));
        }
        Ok(())
    }

    /// The copies that are meant.
    async fn copies(&self, session: &Session, cache: &ModelCache) -> Result<Vec<ModelCacheReplica>, Error> {
        let (scope, name) = (self.asking.scope(false), cache.name_any());
        let mut copies = session.replicas().await?;
        copies.retain(|it| {
            let node = it.spec.node.as_ref().map(|it| it.name.as_str());
            let mine = it.spec.cache == name && Deed::Reset.can_be_done(&cache.spec, &it.spec.volume);
            mine && scope.takes(&it.spec.volume, node)
        });
        if copies.is_empty() {
            let message = format!("`{name}` has no copy that is meant");
            return Err(Error::Failed { reason: Reason::NotFound, message });
        }
        Ok(copies)
    }
}

/// Refuses where a pod has a copy mounted. Who may not list pods is refused by the operator, copy by copy.
async fn unread(session: &Session, copies: &[ModelCacheReplica]) -> Result<(), Error> {
    let Ok(pods) = session.here::<Pod>().list(&ListParams::default()).await else { return Ok(()) };
    let read = copies.iter().find_map(|copy| Some((copy, pods.items.iter().find(|it| reads(it, copy))?)));
    match read {
        None => Ok(()),
        Some((copy, pod)) => {
            let message = format!(
                "pod `{}` has {} mounted, so nothing was asked: end what reads it, or name other copies with --node and --volume",
                pod.name_any(),
                place(copy)
            );
            Err(Error::Failed { reason: Reason::InUse, message })
        }
    }
}

fn reads(pod: &Pod, copy: &ModelCacheReplica) -> bool {
    let Some(spec) = &pod.spec else { return false };
    let over = matches!(pod.status.as_ref().and_then(|it| it.phase.as_deref()), Some("Succeeded" | "Failed"));
    let ours = pod.labels().get(label::REPLICA).is_some_and(|it| *it == copy.name_any());
    let here = match (&spec.node_name, &copy.spec.node) {
        (Some(on), Some(node)) => *on == node.name,
        (on, None) => on.is_some(),
        (None, Some(_)) => false,
    };
    let claims = spec.volumes.iter().flatten().filter_map(|it| it.persistent_volume_claim.as_ref());
    here && !over && !ours && claims.into_iter().any(|it| it.claim_name == copy.spec.claim_name)
}

/// Asks the person in front of the terminal, who types the name of the cache.
fn confirmed(name: &str, copies: &[ModelCacheReplica]) -> Result<(), Error> {
    if !std::io::stdin().is_terminal() {
        return Err(Error::Usage("nobody can be asked here: if it is meant, say --yes".into()));
    }
    print::text(&what_goes(name, copies))?;
    print::text("Type the name of the cache to go on: ")?;
    let io = |error| Error::Io { what: "the terminal".into(), error };
    let mut typed = String::new();
    std::io::stdin().read_line(&mut typed).map_err(io)?;
    if typed.trim() == name { Ok(()) } else { Err(Error::Usage("that is not its name: nothing was asked".into())) }
}

fn what_goes(name: &str, copies: &[ModelCacheReplica]) -> String {
    let mut text = format!("What `{name}` has put there is removed, and fetched anew:\n");
    for copy in copies {
        let bytes = copy.status.as_ref().and_then(|it| it.holds.as_ref()).map_or(0, |it| it.bytes);
        _ = writeln!(text, "  {}: {}", place(copy), human(u64::try_from(bytes).unwrap_or(0)));
    }
    text.push_str("Backups stay, and so do files that you have put there yourself. A pod that starts meanwhile waits, or finds nothing.\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::render::fixtures;
    use serde_json::json;

    #[test]
    fn a_person_is_told_which_copies_go_and_what_stays() {
        let text = what_goes("image-studio", &fixtures::replicas());
        assert!(text.contains("image-studio models on gpu-1: 8.0 GiB\n") && text.contains("Backups stay"), "{text}");
    }

    #[test]
    fn a_pod_reads_the_copy_of_its_node_until_it_is_over() {
        let copies = fixtures::replicas();
        let pod = |node: &str, phase: &str, claim: &str| -> Pod {
            serde_json::from_value(json!({
                "metadata": {"name": "app"}, "status": {"phase": phase},
                "spec": {"nodeName": node, "containers": [], "volumes": [
                    {"name": "m", "persistentVolumeClaim": {"claimName": claim}}
                ]}
            }))
            .unwrap()
        };
        let claim = &copies[0].spec.claim_name;
        for (node, phase, claim, expected) in [
            ("gpu-1", "Running", claim.as_str(), true),
            ("gpu-2", "Running", claim, false),
            ("gpu-1", "Succeeded", claim, false),
            ("gpu-1", "Running", "other", false),
        ] {
            assert_eq!(reads(&pod(node, phase, claim), &copies[0]), expected, "{node} {phase} {claim}");
        }
    }
}
