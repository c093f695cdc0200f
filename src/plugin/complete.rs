//! What may stand where Tab was pressed? Names come from the cluster, at once or not at all.

use super::Plugin;
use super::completion::VARIABLE;
use super::error::Error;
use super::options::{Format, Global, When};
use super::print;
use super::session::Session;
use crate::api::{ModelCache, ModelCacheBackup};
use clap::CommandFactory;
use clap_complete::CompleteEnv;
use clap_complete::engine::{CompletionCandidate, complete};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::ListParams;
use kube::config::Kubeconfig;
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use std::ffi::OsString;
use std::fmt::Debug;
use std::time::Duration;

/// A person waits with a finger on the key.
const PATIENCE: Duration = Duration::from_secs(3);
/// That files are no answer, as cobra's shell completions are told
/// (<https://github.com/spf13/cobra/blob/main/site/content/completions/_index.md>).
const NO_FILES: &str = ":4";

/// Answers kubectl: a line for each candidate, with a tab before what it is, and what else the shell may do.
///
/// # Errors
/// When nothing can be written.
pub fn answer_kubectl(words: Vec<OsString>) -> Result<(), Error> {
    let words: Vec<OsString> = std::iter::once(OsString::from("kubectl-modelcache")).chain(words).collect();
    let last = words.len().saturating_sub(1);
    let found = complete(&mut Plugin::command(), words, last, None).unwrap_or_default();
    let mut text: String = found.iter().map(line).collect();
    text.push_str(NO_FILES);
    text.push('\n');
    print::text(&text)
}

fn line(candidate: &CompletionCandidate) -> String {
    let help = candidate.get_help().map(ToString::to_string).unwrap_or_default();
    let help = help.lines().next().unwrap_or_default();
    let value = candidate.get_value().to_string_lossy();
    if help.is_empty() { format!("{value}\n") } else { format!("{value}\t{help}\n") }
}

/// Answers a shell that calls the plugin directly, if it asks, and ends then.
pub fn answer_shell() {
    CompleteEnv::with_factory(Plugin::command).var(VARIABLE).complete();
}

/// Names of ModelCaches.
pub fn caches() -> Vec<CompletionCandidate> {
    names::<ModelCache>()
}

/// Names of ModelCacheBackups.
pub fn backups() -> Vec<CompletionCandidate> {
    names::<ModelCacheBackup>()
}

/// Names of namespaces.
pub fn namespaces() -> Vec<CompletionCandidate> {
    ask(|session| async move {
        let api: Api<Namespace> = Api::all(session.client.clone());
        api.list_metadata(&ListParams::default())
            .await
            .ok()
            .map(|it| it.items.iter().map(ResourceExt::name_any).collect())
    })
}

/// Names of contexts.
pub fn contexts() -> Vec<CompletionCandidate> {
    let file = flag(&words(), &["--kubeconfig"]);
    let read = file.map_or_else(Kubeconfig::read, Kubeconfig::read_from);
    let contexts = read.map(|it| it.contexts).unwrap_or_default();
    contexts.into_iter().map(|it| CompletionCandidate::new(it.name)).collect()
}

fn names<K>() -> Vec<CompletionCandidate>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
{
    ask(|session| async move {
        let found = session.here::<K>().list_metadata(&ListParams::default()).await.ok()?;
        Some(found.items.iter().map(ResourceExt::name_any).collect())
    })
}

/// Asks the cluster that the words so far name. On a thread of its own: we may be called within a runtime.
fn ask<F>(question: impl FnOnce(Session) -> F + Send + 'static) -> Vec<CompletionCandidate>
where
    F: Future<Output = Option<Vec<String>>>,
{
    let asked = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
        let answer = runtime.block_on(async {
            let session = Session::connect(&so_far(&words())).await.ok()?;
            tokio::time::timeout(PATIENCE, question(session)).await.ok()?
        });
        runtime.shutdown_background();
        answer
    });
    let names: Vec<String> = asked.join().ok().flatten().unwrap_or_default();
    names.into_iter().map(CompletionCandidate::new).collect()
}

fn words() -> Vec<String> {
    std::env::args_os().map(|it| it.to_string_lossy().into_owned()).collect()
}

/// The flags that say which cluster and namespace, as far as they are typed.
fn so_far(words: &[String]) -> Global {
    Global {
        namespace: flag(words, &["--namespace", "-n"]),
        all_namespaces: false,
        output: Some(Format::Table),
        context: flag(words, &["--context"]),
        kubeconfig: flag(words, &["--kubeconfig"]).map(Into::into),
        color: When::Never,
    }
}

/// The value of a flag: `--name value`, `--name=value`, `-n value`, `-nvalue`.
fn flag(words: &[String], names: &[&str]) -> Option<String> {
    let long = |word: &String| names.iter().find_map(|it| word.strip_prefix(it)?.strip_prefix('=').map(str::to_owned));
    let short = |word: &String| {
        let short = names.iter().find(|it| it.len() == 2)?;
        word.strip_prefix(short).filter(|it| !it.is_empty()).map(str::to_owned)
    };
    let pairs = words.iter().zip(words.iter().skip(1));
    let apart = pairs.filter(|(word, _)| names.contains(&word.as_str())).map(|(_, value)| value.clone());
    words.iter().filter_map(|it| long(it).or_else(|| short(it))).chain(apart).last()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_so_far_say_which_cluster_and_namespace_are_asked() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        for (line, namespace) in [
            ("x status", None),
            ("x -n studio status", Some("studio")),
            ("x status --namespace=studio", Some("studio")),
            ("x status -nstudio", Some("studio")),
            ("x status --namespace studio --context a", Some("studio")),
        ] {
            assert_eq!(so_far(&words(line)).namespace.as_deref(), namespace, "{line}");
        }
        assert_eq!(so_far(&words("x --context=a b")).context.as_deref(), Some("a"));
    }
}
