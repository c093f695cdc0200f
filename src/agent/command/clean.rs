//! `clean`: the rules of `cleanup`, on the volumes of a ModelCache.

use super::options::Say;
use super::output::{Done, print};
use crate::agent::clean::readers::Readers;
use crate::agent::clean::report::words;
use crate::agent::clean::{Clean as Work, Report};
use crate::agent::failure::Failure;
use crate::agent::fetch::Writer;
use crate::agent::local;
use crate::api::quantity::human;
use crate::api::volume::Volume;
use crate::api::{ModelCache, Reason};
use crate::contract::deeds::{Deed, Deeds};
use crate::contract::outcome::{Cleaned, Outcome};
use crate::contract::plan::Plan;
use crate::contract::{exit_code, mount};
use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Options of `clean`.
#[derive(Args, Debug)]
pub struct Clean {
    /// A file with one ModelCache or more.
    #[arg(short = 'f', long = "file", value_name = "YAML")]
    file: PathBuf,

    /// Directory that has a directory for each volume.
    #[arg(long, value_name = "DIR", default_value = mount::VOLUMES)]
    volumes_dir: PathBuf,

    /// Only this volume; may be given more than once. [default: all that a rule names]
    #[arg(long = "volume", value_name = "NAME")]
    volumes: Vec<String>,

    /// Only this rule; may be given more than once. [default: all]
    #[arg(long = "rule", value_name = "NAME")]
    rules: Vec<String>,

    /// Say what would be done, and why, and do nothing. Volumes may be mounted read-only.
    #[arg(long)]
    dry_run: bool,

    /// Delete however large a share of the files it is: `maxDeletePercent` does not stop this run.
    #[arg(long)]
    acknowledge: bool,

    /// When the oldest pod that mounts the volume was made, or when nobody was seen to mount it (RFC 3339): revisions that
    /// were replaced after that stay. In a pod, and with --owner, no rule for the cache is carried out without it.
    #[arg(long, value_name = "TIME")]
    oldest_pod: Option<Timestamp>,

    /// Decide as if it were this time (RFC 3339): with --dry-run, what will go until then. [default: now]
    #[arg(long, value_name = "TIME")]
    now: Option<Timestamp>,

    /// The plan of the volume, as the operator writes it: what it pins stays, also if it is not there yet.
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,

    /// In whose name attempts are counted: the UID of the ModelCacheReplica, or of the pod. Without it a lock on the volume
    /// keeps other processes of this machine out.
    #[arg(long, value_name = "UID", requires = "attempt")]
    owner: Option<String>,

    /// Number of this attempt: a lower one of the same owner that still runs gives way.
    #[arg(long, value_name = "N", requires = "owner")]
    attempt: Option<u64>,

    /// Leave the deeds that concern the most bytes in the termination message too, as many as fit.
    #[arg(long)]
    deeds: bool,

    #[command(flatten)]
    say: Say,
}

/// What came of a volume.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    cache: String,
    volume: String,
    #[serde(flatten)]
    outcome: Outcome,
    #[serde(flatten)]
    report: Report,
}

impl Clean {
    /// Runs the command.
    pub fn run(self) -> ExitCode {
        match self.volumes() {
            Ok(told) => {
                let deeds = if self.deeds { deeds(&told) } else { Deeds::default() };
                let whole = Outcome { deeds, ..whole(&told) };
                self.say.leave(&whole);
                let text: String = told.iter().map(text).collect();
                print(self.say.output, &text, &told);
                ExitCode::from(if whole.succeeded { exit_code::SUCCESS } else { exit_code::of(whole.reason) })
            }
            Err(failure) => {
                let outcome = Outcome::failure(failure.reason, failure.message);
                self.say.leave(&outcome);
                self.say.output().finish(&[Done::of(outcome)])
            }
        }
    }

    fn volumes(&self) -> Result<Vec<Told>, Failure> {
        let plan = self.plan.as_deref().map(read_plan).transpose()?;
        let caches = local::read(&self.file)?;
        let mut told = Vec::new();
        for cache in &caches {
            let rules = cache.spec.cleanup.iter().flat_map(|it| &it.rules);
            let wanted: Vec<_> = rules.filter(|it| self.rules.is_empty() || self.rules.contains(&it.name)).collect();
            for volume in &cache.spec.volumes {
                let rules: Vec<_> = wanted
                    .iter()
                    .copied()
                    .filter(|it| cache.spec.volume_of_rule(it).is_some_and(|it| it.name == volume.name))
                    .collect();
                let meant = self.volumes.is_empty() || self.volumes.contains(&volume.name);
                if meant && !rules.is_empty() {
                    told.push(self.one(cache, volume, rules, plan.as_ref()));
                }
            }
        }
        if told.is_empty() {
            let message = format!(
                "{}: no rule of `spec.cleanup` is meant: a ModelCache without rules has nothing to clean, and --rule and \
                 --volume must name what is there",
                self.file.display()
            );
            return Err(Failure::new(Reason::InvalidSpec, message));
        }
        Ok(told)
    }

    fn one(
        &self,
        cache: &ModelCache,
        volume: &Volume,
        rules: Vec<&crate::api::cleanup::CleanupRule>,
        plan: Option<&Plan>,
    ) -> Told {
        let name = cache.metadata.name.clone().unwrap_or_default();
        let writer = match (&self.owner, self.attempt) {
            (Some(owner), Some(number)) => Writer::Attempt { owner: owner.clone(), number },
            _ => Writer::Local,
        };
        let work = Work {
            cache,
            volume,
            path: &self.volumes_dir.join(&volume.name),
            rules,
            writer,
            now: self.now.unwrap_or_else(Timestamp::now),
            dry_run: self.dry_run,
            acknowledged: self.acknowledge,
            readers: Readers::of(self.oldest_pod, self.owner.is_some()),
            plan: plan.filter(|it| it.cache == name && it.volume == volume.name),
        };
        let (outcome, report) = work.run();
        Told { cache: name, volume: volume.name.clone(), outcome, report }
    }
}

fn read_plan(path: &Path) -> Result<Plan, Failure> {
    let bad = |what: String| Failure::new(Reason::InvalidSpec, format!("{}: {what}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| bad(error.to_string()))?;
    Plan::parse(&text).map_err(|error| bad(error.to_string()))
}

/// The one outcome of a run over several volumes: that of the first that failed, with the sums of all.
fn whole(told: &[Told]) -> Outcome {
    let mut sum = Cleaned::default();
    for cleaned in told.iter().filter_map(|it| it.outcome.clean) {
        sum += cleaned;
    }
    let first = told.iter().find(|it| !it.outcome.succeeded);
    let messages = || told.iter().map(|it| it.outcome.message.clone()).collect::<Vec<_>>().join("; ");
    let outcome = first.map_or_else(|| Outcome::success(Reason::Cleaned, messages()), |failed| failed.outcome.clone());
    Outcome { clean: Some(sum), ..outcome }
}

/// What was done by all rules.
fn deeds(told: &[Told]) -> Deeds {
    let rules = || told.iter().flat_map(|it| &it.report.rules);
    let all = rules().flat_map(|rule| {
        let done = rule.deeds.iter().map(|it| (words(it.what).trim_end_matches(':'), it));
        let refused = rule.refused.iter().map(|it| ("refused", it));
        done.chain(refused).map(|(what, it)| Deed {
            rule: rule.rule.clone(),
            what: what.to_owned(),
            path: it.path.clone(),
            why: it.why.clone(),
            bytes: it.bytes,
        })
    });
    Deeds::of(all.collect(), rules().map(|it| it.more_deeds).sum())
}

fn text(told: &Told) -> String {
    let Told { cache, volume, outcome, report } = told;
    let mut text = String::new();
    for rule in &report.rules {
        _ = writeln!(text, "{}", rule.text(report.dry_run));
    }
    if report.trash_emptied_bytes > 0 {
        let would = if report.dry_run { "would be " } else { "" };
        _ = writeln!(text, "trash: {} {would}removed, older than its grace time", human(report.trash_emptied_bytes));
    }
    for note in &report.notes {
        _ = writeln!(text, "note: {note}");
    }
    let gained = report.free_bytes_after.saturating_sub(report.free_bytes_before);
    let free = match (report.rules.is_empty(), report.dry_run) {
        (true, _) => String::new(),
        (_, true) => "; a dry run: nothing was done".to_owned(),
        _ => format!("; {} free, {} more than before", human(report.free_bytes_after), human(gained)),
    };
    _ = writeln!(text, "{cache}/{volume}: {}: {}{free}", outcome.reason, outcome.message);
    text
}
