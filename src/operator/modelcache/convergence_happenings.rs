//! What may happen to a cluster, in any order.

use super::world::World;
use crate::api::{ModelCacheReplica, Reason};
use crate::operator::modelcache::build::fixtures::{node_object, pin};
use crate::operator::replica::slots::Slots;
use kube::ResourceExt;
use proptest::prelude::*;
use serde_json::json;
use std::sync::Arc;

/// What may happen to a cluster.
#[derive(Clone, Debug)]
pub(super) enum Happening {
    Rounds(u8),
    NodeJoins(u8),
    NodeLeaves,
    NodeIsRelabelled,
    Revision(u8),
    OriginFails(bool),
    OriginHeals,
    ClaimIsLost,
    StatusIsLost,
    OperatorIsNew,
    Suspended(bool),
    PoolIsGone(bool),
    VolumeIsSmall(bool),
    TimePasses,
    Scheduled(bool),
    Cleaned(bool),
    CopyIsDamaged(u8),
}

pub(super) fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        4 => (0_u8..6).prop_map(Happening::Rounds),
        2 => (0_u8..4).prop_map(Happening::NodeJoins),
        1 => Just(Happening::NodeLeaves),
        1 => Just(Happening::NodeIsRelabelled),
        3 => (0_u8..3).prop_map(Happening::Revision),
        1 => any::<bool>().prop_map(Happening::OriginFails),
        1 => Just(Happening::OriginHeals),
        1 => Just(Happening::ClaimIsLost),
        1 => Just(Happening::StatusIsLost),
        1 => Just(Happening::OperatorIsNew),
        1 => any::<bool>().prop_map(Happening::Suspended),
        1 => any::<bool>().prop_map(Happening::PoolIsGone),
        1 => any::<bool>().prop_map(Happening::VolumeIsSmall),
        2 => Just(Happening::TimePasses),
        2 => any::<bool>().prop_map(Happening::Scheduled),
        2 => any::<bool>().prop_map(Happening::Cleaned),
        2 => (0_u8..4).prop_map(Happening::CopyIsDamaged),
    ]
}

impl World {
    pub(super) fn happen(&mut self, happening: &Happening) {
        match happening {
            Happening::Rounds(count) => (0..*count).for_each(|_| {
                self.round();
            }),
            Happening::NodeJoins(which) => {
                let name = format!("n{which}");
                self.observed.nodes.retain(|it| it.name_any() != name);
                self.observed.nodes.push(Arc::new(node_object(&name)));
            }
            Happening::NodeLeaves => drop(self.observed.nodes.pop()),
            Happening::NodeIsRelabelled => {
                if let Some(node) = self.observed.nodes.first_mut() {
                    Arc::make_mut(node).metadata.labels = None;
                }
            }
            Happening::Revision(which) => {
                let (revision, letter) = [("v1", "a"), ("v2", "c"), ("v3", "d")][usize::from(*which)];
                self.asks_for(revision, letter);
            }
            Happening::OriginFails(for_good) => {
                let reason = if *for_good { Reason::NotFound } else { Reason::Unreachable };
                self.origin.insert("sana".into(), Err(reason));
            }
            Happening::OriginHeals => drop(self.origin.insert("sana".into(), Ok(pin("e")))),
            Happening::ClaimIsLost => {
                self.observed.claims.clear();
                for volume in &mut self.observed.persistent_volumes {
                    volume.status = serde_json::from_value(json!({"phase": "Released"})).unwrap();
                }
            }
            Happening::StatusIsLost => self.cache.status = None,
            Happening::OperatorIsNew => self.slots = Slots::default(),
            Happening::Suspended(suspended) => self.cache.spec.suspend = Some(*suspended),
            Happening::PoolIsGone(gone) => {
                self.observed.pools.clear();
                if !gone {
                    self.observed = std::mem::take(&mut self.observed).with_nodes(&[]);
                }
            }
            Happening::VolumeIsSmall(small) => {
                let size = if *small { "1Gi" } else { "60Gi" };
                self.cache.spec.volumes[0].per_node.as_mut().unwrap().size.0 = size.into();
            }
            Happening::TimePasses => self.later(),
            Happening::Scheduled(update) => self.scheduled(if *update { "Update" } else { "Notify" }),
            Happening::Cleaned(wanted) => self.cleaned(*wanted),
            Happening::CopyIsDamaged(which) => {
                let held = |it: &&ModelCacheReplica| it.status.as_ref().is_some_and(|it| it.holds.is_some());
                let copy = self.observed.replicas.iter().filter(held).nth(usize::from(*which));
                self.damaged.extend(copy.map(ResourceExt::name_any));
            }
        }
    }
}
