//! What do the objects say, as numbers? Read from the watches' stores for each scrape: nothing ticks, nothing is kept twice.
//!
//! Labels are the namespace and the name of a cache, or the name of a pool, and one more of a closed list. Never a node, a
//! volume or a source: their number has no bound that an administrator sets.

use super::super::seen::Seen as Watched;
use super::tallies::{Runs, Tallies, Tally};
use crate::api::backup::Backup;
use crate::api::condition::{ConditionType, find};
use crate::api::model_cache::{ModelCacheStatus, ReplicaCounts};
use crate::api::{ModelCache, ModelCacheReplica, NodeCachePool, Reason, quantity};
use crate::operator::pool::reserve;
use crate::operator::scope::Scope;
use jiff::Timestamp;
use kube::{Resource, ResourceExt};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Error;
use std::sync::{Arc, OnceLock};

/// Where the objects are seen.
#[derive(Clone, Debug)]
pub(in crate::operator::runtime) struct Sources {
    pub(in crate::operator::runtime) caches: Watched<ModelCache>,
    pub(in crate::operator::runtime) replicas: Watched<ModelCacheReplica>,
    pub(in crate::operator::runtime) pools: Watched<NodeCachePool>,
    /// Of a pool that is not whole nobody here knows what is reserved.
    pub(in crate::operator::runtime) scope: Scope,
}

/// The collector.
#[derive(Debug)]
pub(super) struct Readings {
    tallies: Arc<Tallies>,
    sources: OnceLock<Sources>,
}

/// A value of the one label beside the object's name, and the number.
type Series = (Cow<'static, str>, Number);

#[derive(Clone, Copy, Debug)]
enum Number {
    Gauge(f64),
    Counter(u64),
}

/// A family of series of caches.
struct Family {
    name: &'static str,
    help: &'static str,
    /// The label beside namespace and cache.
    label: Option<&'static str>,
    type_: MetricType,
    of: fn(&Seen) -> Vec<Series>,
}

/// A cache, and what is to be known of it.
struct Seen<'a> {
    cache: &'a ModelCache,
    status: &'a ModelCacheStatus,
    copies: Copies,
    tally: Tally,
}

/// What the copies of a cache say beside what the cache says of them.
#[derive(Clone, Copy, Debug, Default)]
struct Copies {
    queued: i64,
    damaged: i64,
    under_way: i64,
    remaining_bytes: i64,
    bytes_per_second: i64,
}

const fn gauge(
    name: &'static str,
    help: &'static str,
    label: Option<&'static str>,
    of: fn(&Seen) -> Vec<Series>,
) -> Family {
    Family { name, help, label, type_: MetricType::Gauge, of }
}

const fn counter(
    name: &'static str,
    help: &'static str,
    label: Option<&'static str>,
    of: fn(&Seen) -> Vec<Series>,
) -> Family {
    Family { name, help, label, type_: MetricType::Counter, of }
}

/// What is said of every cache. The reading of a policy that is not set has no series.
const FAMILIES: &[Family] = &[
    gauge("condition", "Whether a condition holds: 1 yes, 0 no, -1 not known yet", Some("condition"), conditions),
    gauge("stalled", "1 while nothing will change until a person acts; absent otherwise", Some("reason"), stalled),
    gauge("suspended", "1 while spec.suspend is true", None, |it| one(f64::from(u8::from(it.cache.spec.suspended())))),
    gauge("replicas_desired", "Copies wanted", None, |it| one(f64::from(total(it.status).desired))),
    gauge(
        "replicas",
        "Copies by state; one that failed and is tried again is counted in both",
        Some("state"),
        replicas,
    ),
    gauge("content_bytes", "Bytes of one copy of everything", None, |it| {
        let known: Vec<i64> = it.status.volumes.iter().filter_map(|it| it.bytes).collect();
        if known.is_empty() { vec![] } else { one(float(known.into_iter().fold(0, i64::saturating_add))) }
    }),
    gauge("warm_up_remaining_bytes", "Bytes that copies under way still lack; absent while none is", None, |it| {
        under_way(it, it.copies.remaining_bytes)
    }),
    gauge("warm_up_bytes_per_second", "Rate of the copies under way together; absent while none is", None, |it| {
        under_way(it, it.copies.bytes_per_second)
    }),
    gauge("damaged_replicas", "Copies that a check found damaged and that are not repaired yet", None, |it| {
        if it.cache.spec.verify.is_some() { one(float(it.copies.damaged)) } else { vec![] }
    }),
    gauge(
        "verify_last_success_timestamp_seconds",
        "When the check that succeeded the longest ago, of those of all copies, ended, in seconds since 1970",
        Some("depth"),
        verified,
    ),
    gauge(
        "backup_last_success_timestamp_seconds",
        "When the last backup that succeeded ended, in seconds since 1970",
        None,
        |it| time("", it.status.backup.as_ref().and_then(|it| it.last_good_time.as_deref())),
    ),
    gauge(
        "clean_last_success_timestamp_seconds",
        "When the clean-up that succeeded the longest ago, of those of all copies, ended, in seconds since 1970",
        None,
        |it| time("", it.status.cleanup.as_ref().and_then(|it| it.last_success.as_deref())),
    ),
    gauge(
        "schedule_next_timestamp_seconds",
        "When work on schedule is next due, in seconds since 1970; in the past when it is late",
        Some("work"),
        due,
    ),
    counter("warm_up_runs", "Warm-ups that ended, by result", Some("result"), |it| runs(it.tally.warm_ups)),
    counter("fetched_bytes", "Bytes that came over the network for warm-ups that succeeded", None, |it| {
        vec![("".into(), Number::Counter(it.tally.fetched_bytes))]
    }),
    counter("backup_runs", "Backups that ended, by result", Some("result"), |it| {
        if it.cache.spec.backup.is_some() { runs(it.tally.backups) } else { vec![] }
    }),
    counter("restore_runs", "Restores that ended, by result", Some("result"), |it| runs(it.tally.restores)),
    counter("clean_runs", "Clean-ups that ended, by result", Some("result"), |it| {
        if it.cache.spec.cleanup.is_some() { runs(it.tally.cleans) } else { vec![] }
    }),
    counter("clean_freed_bytes", "Bytes on disks that clean-ups have freed", None, |it| {
        let cleaned = it.cache.spec.cleanup.is_some();
        cleaned.then(|| ("".into(), Number::Counter(it.tally.freed_bytes))).into_iter().collect()
    }),
];

/// The conditions that are read; the others are summed up in `Ready`, or are series of their own.
const CONDITIONS: [ConditionType; 5] = [
    ConditionType::Ready,
    ConditionType::Verified,
    ConditionType::UpToDate,
    ConditionType::BackedUp,
    ConditionType::Clean,
];

fn conditions(seen: &Seen) -> Vec<Series> {
    let stated = CONDITIONS.into_iter().filter_map(|type_| find(&seen.status.conditions, type_));
    let value = |status: &str| match status {
        "True" => 1.0,
        "False" => 0.0,
        _ => -1.0,
    };
    stated.map(|it| (it.type_.clone().into(), Number::Gauge(value(&it.status)))).collect()
}

fn stalled(seen: &Seen) -> Vec<Series> {
    let stalled = find(&seen.status.conditions, ConditionType::Stalled).filter(|it| it.status == "True");
    stalled.map(|it| (it.reason.clone().into(), Number::Gauge(1.0))).into_iter().collect()
}

fn total(status: &ModelCacheStatus) -> ReplicaCounts {
    status.volumes.iter().map(|it| it.replicas).fold(ReplicaCounts::default(), |a, b| ReplicaCounts {
        desired: a.desired + b.desired,
        ready: a.ready + b.ready,
        warming: a.warming + b.warming,
        failed: a.failed + b.failed,
        unreachable: a.unreachable + b.unreachable,
    })
}

fn replicas(seen: &Seen) -> Vec<Series> {
    let total = total(seen.status);
    let counts = [
        ("ready", i64::from(total.ready)),
        ("warming", total.warming.into()),
        ("queued", seen.copies.queued),
        ("failed", total.failed.into()),
        ("unreachable", total.unreachable.into()),
    ];
    counts.map(|(state, count)| (state.into(), Number::Gauge(float(count)))).to_vec()
}

fn under_way(seen: &Seen, value: i64) -> Vec<Series> {
    if seen.copies.under_way > 0 { one(float(value)) } else { vec![] }
}

fn verified(seen: &Seen) -> Vec<Series> {
    let Some(summary) = &seen.status.verification else { return vec![] };
    let of = |depth, run: Option<&crate::api::scheduled_run::RunSummary>| {
        time(depth, run.and_then(|it| it.last_success.as_deref()))
    };
    [of("quick", summary.quick.as_ref()), of("deep", summary.deep.as_ref())].concat()
}

/// What `suspend` holds back is not late.
fn due(seen: &Seen) -> Vec<Series> {
    let (spec, status) = (&seen.cache.spec, seen.status);
    if spec.suspended() {
        return vec![];
    }
    let verification = status.verification.as_ref();
    let backup = status.backup.as_ref().filter(|_| !spec.backup.as_ref().is_some_and(Backup::suspended));
    let verify = |run: Option<&crate::api::scheduled_run::RunSummary>| run.map(|it| it.next.clone());
    [
        time("backup", backup.and_then(|it| it.next.as_deref())),
        time("clean", status.cleanup.as_ref().and_then(|it| it.next.as_deref())),
        time("quick-verify", verify(verification.and_then(|it| it.quick.as_ref())).as_deref()),
        time("deep-verify", verify(verification.and_then(|it| it.deep.as_ref())).as_deref()),
    ]
    .concat()
}

fn runs(runs: Runs) -> Vec<Series> {
    vec![("succeeded".into(), Number::Counter(runs.succeeded)), ("failed".into(), Number::Counter(runs.failed))]
}

fn one(value: f64) -> Vec<Series> {
    vec![("".into(), Number::Gauge(value))]
}

fn time(label: &'static str, time: Option<&str>) -> Vec<Series> {
    let time: Option<Timestamp> = time.and_then(|it| it.parse().ok());
    time.map(|it| (label.into(), Number::Gauge(float(it.as_second())))).into_iter().collect()
}

/// Prometheus knows no other numbers.
#[expect(clippy::cast_precision_loss, reason = "bytes and seconds are whole up to 2^53")]
fn float(value: i64) -> f64 {
    value as f64
}

impl Readings {
    pub(super) fn new(tallies: Arc<Tallies>) -> Self {
        Self { tallies, sources: OnceLock::new() }
    }

    /// From now on there is something to read.
    pub(super) fn read(&self, sources: Sources) {
        // Once a process: who loses the Lease ends.
        _ = self.sources.set(sources);
    }
}

impl Collector for Readings {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), Error> {
        let Some(Sources { caches, replicas, pools, scope }) = self.sources.get() else { return Ok(()) };
        let (caches, replicas) = (caches.state(), replicas.state());
        let names: BTreeSet<(&str, &str)> = caches.iter().map(|it| name(it.as_ref())).collect();
        let tallies = self.tallies.kept(|namespace, cache| names.contains(&(namespace, cache)));
        let copies = copies(&replicas);
        let nothing = ModelCacheStatus::default();
        let seen: Vec<Seen> = caches.iter().map(|it| see(it, &nothing, &copies, &tallies)).collect();
        for family in FAMILIES {
            let mut metric = encoder.encode_descriptor(family.name, family.help, None, family.type_)?;
            for seen in &seen {
                let (namespace, cache) = name(seen.cache);
                for (value, number) in (family.of)(seen) {
                    let mut labels = vec![("namespace", namespace), ("cache", cache)];
                    labels.extend(family.label.map(|it| (it, value.as_ref())));
                    write(metric.encode_family(&labels)?, number)?;
                }
            }
        }
        let pools: Vec<_> = pools.state().into_iter().filter(|it| scope.has_whole(it)).collect();
        of_pools(&mut encoder, &pools, &caches)
    }
}

fn see<'a>(
    cache: &'a ModelCache,
    nothing: &'a ModelCacheStatus,
    copies: &BTreeMap<(&str, &str), Copies>,
    tallies: &BTreeMap<(String, String), Tally>,
) -> Seen<'a> {
    let (namespace, name) = name(cache);
    Seen {
        cache,
        status: cache.status.as_ref().unwrap_or(nothing),
        copies: copies.get(&(namespace, name)).copied().unwrap_or_default(),
        tally: tallies.get(&(namespace.to_owned(), name.to_owned())).copied().unwrap_or_default(),
    }
}

fn name<K: Resource>(object: &K) -> (&str, &str) {
    let meta = object.meta();
    (meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default())
}

fn copies(replicas: &[Arc<ModelCacheReplica>]) -> BTreeMap<(&str, &str), Copies> {
    let mut all = BTreeMap::<_, Copies>::new();
    for replica in replicas {
        let Some(status) = &replica.status else { continue };
        let sum = all.entry((name(replica.as_ref()).0, replica.spec.cache.as_str())).or_default();
        let ready = find(&status.conditions, ConditionType::Ready);
        sum.queued += i64::from(ready.is_some_and(|it| it.reason == Reason::Queued.as_str()));
        sum.damaged += i64::from(status.verification.as_ref().is_some_and(|it| it.damage.is_some()));
        if let Some(progress) = &status.progress {
            sum.under_way += 1;
            sum.remaining_bytes += (progress.bytes_total - progress.bytes_done).max(0);
            sum.bytes_per_second += progress.bytes_per_second;
        }
    }
    all
}

/// A number of a pool.
type OfPool<'a> = &'a dyn Fn(&NodeCachePool) -> Option<i64>;

fn of_pools(
    encoder: &mut DescriptorEncoder,
    pools: &[Arc<NodeCachePool>],
    caches: &[Arc<ModelCache>],
) -> Result<(), Error> {
    let capacity = |pool: &NodeCachePool| quantity::bytes(&pool.spec.capacity).unwrap_or(0);
    let signed = |bytes: u64| Some(i64::try_from(bytes).unwrap_or(i64::MAX));
    let nodes = |pool: &NodeCachePool| pool.status.as_ref()?.nodes.map(i64::from);
    let room = |pool: &NodeCachePool| signed(capacity(pool));
    let reserved = |pool: &NodeCachePool| {
        let granted = reserve::reservations(pool, capacity(pool), caches.iter().map(AsRef::as_ref));
        signed(granted.iter().filter(|it| it.fits()).fold(0, |sum, it| sum.saturating_add(it.wanted)))
    };
    let families: [(&str, &str, OfPool); 3] = [
        ("pool_nodes", "Nodes of a pool", &nodes),
        ("pool_capacity_bytes", "Bytes that caches may take on each node of a pool", &room),
        ("pool_reserved_bytes", "Bytes of them that are reserved", &reserved),
    ];
    for (name, help, of) in families {
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for pool in pools {
            if let Some(value) = of(pool) {
                let labels = [("pool", pool.name_any())];
                write(metric.encode_family(&labels)?, Number::Gauge(float(value)))?;
            }
        }
    }
    Ok(())
}

fn write(encoder: MetricEncoder, number: Number) -> Result<(), Error> {
    match number {
        Number::Gauge(value) => ConstGauge::new(value).encode(encoder),
        Number::Counter(value) => ConstCounter::new(value).encode(encoder),
    }
}
