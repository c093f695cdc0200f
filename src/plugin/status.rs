//! `status`: how far caches are, once or until all of them are ready.

use super::error::Error;
use super::options::{Format, Names};
use super::print;
use super::render::progress::{CacheProgress, CopyProgress, caches, copies};
use super::render::tables::{self, Look};
use super::session::{Session, full_name};
use super::watch::Watch;
use clap::Args;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::Duration;

/// How often the bars move.
const BAR: Duration = Duration::from_millis(250);
/// How often a line is written where there is no terminal, at most.
const LINE: Duration = Duration::from_secs(2);
/// Copies of one cache that have a bar each, at most: more do not fit a screen.
const COPIES: usize = 16;

/// Options of `status`.
#[derive(Args, Debug)]
pub struct Status {
    #[command(flatten)]
    names: Names,

    /// Show it, as it goes on, until everything is ready. Interrupting it stops nothing but the showing.
    #[arg(short, long)]
    watch: bool,
}

impl Status {
    /// Runs the command.
    pub async fn run(self, session: &Session) -> Result<(), Error> {
        if self.watch {
            return watch(session, &self.names.names).await;
        }
        let found = session.caches(&self.names.names).await?;
        let rows = caches(&found, &session.replicas().await?);
        show(session, &rows)
    }
}

fn show(session: &Session, rows: &[CacheProgress]) -> Result<(), Error> {
    let look = Look {
        namespaces: session.all,
        wide: session.format == Format::Wide,
        paint: session.paint,
        now: Timestamp::now(),
    };
    match session.format {
        Format::Json | Format::Yaml => print::document(session.format, &rows),
        Format::Name => rows.iter().try_for_each(|it| print::text(&(full_name("modelcache", &it.name) + "\n"))),
        Format::Table | Format::Wide if rows.is_empty() => {
            session.nothing("ModelCaches");
            Ok(())
        }
        Format::Table | Format::Wide => print::text(&tables::status(rows, look)),
    }
}

async fn watch(session: &Session, names: &[String]) -> Result<(), Error> {
    if !matches!(session.format, Format::Table | Format::Wide) {
        return Err(Error::Usage("--watch is for people: leave out --output, or use `wait`".into()));
    }
    let watch = Watch::start(session, names).await?;
    let mut bars = std::io::stdout().is_terminal().then(Bars::new);
    let mut said = BTreeMap::new();
    let mut tick = tokio::time::interval(if bars.is_some() { BAR } else { LINE });
    loop {
        tick.tick().await;
        let (found, replicas) = (watch.caches(), watch.replicas());
        session.all_there(&found, names)?;
        let rows = caches(&found, &replicas);
        match &mut bars {
            Some(bars) => {
                let one = rows.first().filter(|_| rows.len() == 1);
                let copies = one.map(|it| copies_of(it, &copies(&replicas))).unwrap_or_default();
                bars.draw(&rows, &copies);
            }
            None => {
                for row in &rows {
                    let (key, line) = (place(row), tables::line(row));
                    if said.get(&key) != Some(&line) {
                        print::text(&format!("{key} {line}\n"))?;
                        said.insert(key, line);
                    }
                }
            }
        }
        if rows.iter().all(|it| it.ready) {
            if let Some(bars) = bars {
                bars.finish();
            }
            return if rows.is_empty() { show(session, &rows) } else { Ok(()) };
        }
    }
}

fn place(row: &CacheProgress) -> String {
    format!("{}/{}", row.namespace, row.name)
}

fn copies_of(cache: &CacheProgress, copies: &[CopyProgress]) -> Vec<CopyProgress> {
    let mine = |it: &&CopyProgress| it.cache == cache.name && it.namespace == cache.namespace;
    copies.iter().filter(mine).take(COPIES).cloned().collect()
}

/// A bar for each cache; where there is one cache, also for each copy.
struct Bars {
    all: MultiProgress,
    shown: BTreeMap<String, ProgressBar>,
}

impl Bars {
    fn new() -> Self {
        Self { all: MultiProgress::with_draw_target(ProgressDrawTarget::stdout()), shown: BTreeMap::new() }
    }

    fn draw(&mut self, rows: &[CacheProgress], copies: &[CopyProgress]) {
        for row in rows {
            self.set(&place(row), &place(row), row.amount.percent, &tables::line(row));
        }
        for copy in copies {
            let place = copy.node.clone().unwrap_or_else(|| "(shared)".into());
            let key = format!("{}/{} {}/{place}", copy.namespace, copy.cache, copy.volume);
            self.set(&key, &format!("  {place} {}", copy.volume), copy.amount.percent, &tables::copy_line(copy));
        }
        let wanted = |key: &String| {
            rows.iter().any(|it| place(it) == *key)
                || copies.iter().any(|it| {
                    let place = it.node.as_deref().unwrap_or("(shared)");
                    *key == format!("{}/{} {}/{place}", it.namespace, it.cache, it.volume)
                })
        };
        self.shown.retain(|key, bar| {
            let keep = wanted(key);
            if !keep {
                bar.finish_and_clear();
            }
            keep
        });
    }

    fn set(&mut self, key: &str, name: &str, percent: Option<u64>, message: &str) {
        let bar = self.shown.entry(key.to_owned()).or_insert_with(|| {
            let bar = self.all.add(ProgressBar::new(100));
            // What names of nodes and caches have in common is at their beginning, so that nothing of them is cut off.
            if let Ok(style) = ProgressStyle::with_template("{prefix:24} {bar:24} {wide_msg}") {
                bar.set_style(style);
            }
            bar
        });
        bar.set_prefix(name.to_owned());
        bar.set_position(percent.unwrap_or(0));
        bar.set_message(message.to_owned());
    }

    /// The last state stays on the screen.
    fn finish(self) {
        self.shown.values().for_each(ProgressBar::abandon);
    }
}
