//! Writes: children by forced server-side apply (claims and Jobs are only ever created), statuses by their own manager.

use super::unchanged::contains;
use super::{Cluster, write_error};
use crate::api::{FIELD_MANAGER, FINALIZER, ModelCache, ModelCacheBackup, ModelCacheReplica, STATUS_FIELD_MANAGER};
use crate::operator::error::Error;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy};
use kube::{Api, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::fmt::Debug;

/// Everything a reconcile wants written, in the order in which it is written.
#[derive(Debug, Default)]
pub struct Children {
    /// Applied, each with what was observed of it.
    pub persistent_volumes: Vec<(PersistentVolume, Option<PersistentVolume>)>,
    /// Released volumes to be bound again: the UID in `claimRef` is removed, if the object has not changed since.
    pub rebound: Vec<PersistentVolume>,
    /// Created: a claim that is there already is never touched.
    pub claims: Vec<PersistentVolumeClaim>,
    /// Claims of ours that are to grow: as observed, and the size wanted.
    pub grown: Vec<(PersistentVolumeClaim, Quantity)>,
    /// Applied.
    pub config_maps: Vec<(ConfigMap, Option<ConfigMap>)>,
    /// Applied.
    pub replicas: Vec<(ModelCacheReplica, Option<ModelCacheReplica>)>,
    /// Applied.
    pub cron_jobs: Vec<(CronJob, Option<CronJob>)>,
    /// Created: the templates of Jobs are immutable.
    pub jobs: Vec<Job>,
    /// Deleted, last.
    pub removals: Vec<Removal>,
}

/// An object to delete: only if it still is the one that was observed.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a handful at a time, and never stored")]
pub enum Removal {
    /// A Job with its pods.
    Job(Job),
    /// A CronJob; what it has begun goes with it.
    CronJob(CronJob),
    /// The record of a scheduled backup: the object, not the data.
    Backup(ModelCacheBackup),
    /// A Replica, after what it owns.
    Replica(ModelCacheReplica),
    /// A ConfigMap.
    ConfigMap(ConfigMap),
    /// A claim.
    Claim(PersistentVolumeClaim),
    /// A PersistentVolume: the object, not the data.
    PersistentVolume(PersistentVolume),
}

impl Cluster {
    /// Writes children. Stops at the first error; the next reconcile goes on.
    pub async fn apply(&self, children: Children) -> Result<(), Error> {
        let Children { persistent_volumes, rebound, claims, grown, config_maps, replicas, cron_jobs, jobs, removals } =
            children;
        // First, because it needs the volume as it was observed.
        for volume in rebound {
            self.unbind(&volume).await?;
        }
        for (wanted, found) in persistent_volumes {
            self.apply_one(&self.global(), wanted, found).await?;
        }
        for claim in claims {
            self.create(&self.namespaced(&claim.namespace().unwrap_or_default()), &claim).await?;
        }
        for (claim, size) in grown {
            self.grow(&claim, &size).await?;
        }
        for (wanted, found) in config_maps {
            self.apply_one(&self.namespaced(&wanted.namespace().unwrap_or_default()), wanted, found).await?;
        }
        for (wanted, found) in replicas {
            self.apply_one(&self.namespaced(&wanted.namespace().unwrap_or_default()), wanted, found).await?;
        }
        for (wanted, found) in cron_jobs {
            self.apply_one(&self.namespaced(&wanted.namespace().unwrap_or_default()), wanted, found).await?;
        }
        for job in jobs {
            self.create(&self.namespaced(&job.namespace().unwrap_or_default()), &job).await?;
        }
        for removal in removals {
            self.remove(removal).await?;
        }
        Ok(())
    }

    async fn apply_one<K>(&self, api: &Api<K>, wanted: K, found: Option<K>) -> Result<(), Error>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Serialize,
    {
        let patch = with_type(&wanted);
        let mut without_type = patch.clone();
        if let Some(object) = without_type.as_object_mut() {
            object.remove("apiVersion");
            object.remove("kind");
        }
        if found.and_then(|it| serde_json::to_value(it).ok()).is_some_and(|found| contains(&found, &without_type)) {
            return Ok(());
        }
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        api.patch(&wanted.name_any(), &parameters, &Patch::Apply(patch)).await.map_err(write_error(&wanted))?;
        Ok(())
    }

    /// Creates an object; one of that name that is there already is left as it is.
    pub async fn create<K>(&self, api: &Api<K>, object: &K) -> Result<(), Error>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Serialize,
    {
        let parameters = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
        match api.create(&parameters, object).await {
            Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
            other => other.map(|_| ()).map_err(write_error(object)),
        }
    }

    /// Asks for more space, unless somebody changed the claim meanwhile.
    async fn grow(&self, claim: &PersistentVolumeClaim, size: &Quantity) -> Result<(), Error> {
        let patch = json!({
            "metadata": {"resourceVersion": claim.resource_version()},
            "spec": {"resources": {"requests": {"storage": size}}},
        });
        let api = self.namespaced::<PersistentVolumeClaim>(&claim.namespace().unwrap_or_default());
        let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
        api.patch(&claim.name_any(), &parameters, &Patch::Merge(patch)).await.map_err(write_error(claim))?;
        Ok(())
    }

    /// Lets a Released volume bind to the claim of its name again, unless somebody changed it meanwhile.
    async fn unbind(&self, volume: &PersistentVolume) -> Result<(), Error> {
        let patch = json!({
            "metadata": {"resourceVersion": volume.resource_version()},
            "spec": {"claimRef": {"uid": null, "resourceVersion": null}},
        });
        let api = self.global::<PersistentVolume>();
        let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
        api.patch(&volume.name_any(), &parameters, &Patch::Merge(patch)).await.map_err(write_error(volume))?;
        Ok(())
    }

    /// Deletes an object. One that is gone, or is another by now, is left.
    pub async fn remove(&self, removal: Removal) -> Result<(), Error> {
        match removal {
            Removal::Job(it) => self.remove_one(it, PropagationPolicy::Foreground).await,
            Removal::CronJob(it) => self.remove_one(it, PropagationPolicy::Background).await,
            Removal::Backup(it) => self.remove_one(it, PropagationPolicy::Background).await,
            Removal::Replica(it) => self.remove_one(it, PropagationPolicy::Foreground).await,
            Removal::ConfigMap(it) => self.remove_one(it, PropagationPolicy::Background).await,
            Removal::Claim(it) => self.remove_one(it, PropagationPolicy::Background).await,
            Removal::PersistentVolume(it) => {
                let api = self.global::<PersistentVolume>();
                delete(&api, &it, PropagationPolicy::Background).await
            }
        }
    }

    async fn remove_one<K>(&self, object: K, policy: PropagationPolicy) -> Result<(), Error>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
    {
        let api = self.namespaced::<K>(&object.namespace().unwrap_or_default());
        delete(&api, &object, policy).await
    }

    /// Writes a status, unless it is what was found.
    pub async fn apply_status<K, S>(&self, api: &Api<K>, object: &K, found: Option<&S>, status: &S) -> Result<(), Error>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
        S: Serialize + PartialEq,
    {
        if found == Some(status) {
            return Ok(());
        }
        let patch = json!({
            "apiVersion": K::api_version(&()), "kind": K::kind(&()),
            "metadata": {"name": object.name_any(), "uid": object.uid()},
            "status": status,
        });
        let parameters = PatchParams::apply(STATUS_FIELD_MANAGER).force();
        api.patch_status(&object.name_any(), &parameters, &Patch::Apply(patch)).await.map_err(write_error(object))?;
        Ok(())
    }

    /// Puts our finalizer on a cache, or takes it off, unless somebody changed the object meanwhile.
    pub async fn set_finalizer(&self, cache: &ModelCache, present: bool) -> Result<(), Error> {
        let mut finalizers: Vec<String> = cache.finalizers().iter().filter(|it| *it != FINALIZER).cloned().collect();
        if present {
            finalizers.push(FINALIZER.into());
        }
        let patch = json!({"metadata": {"resourceVersion": cache.resource_version(), "finalizers": finalizers}});
        let api = self.namespaced::<ModelCache>(&cache.namespace().unwrap_or_default());
        let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
        match api.patch(&cache.name_any(), &parameters, &Patch::Merge(patch)).await {
            Err(kube::Error::Api(status)) if status.is_not_found() && !present => Ok(()),
            other => other.map(|_| ()).map_err(write_error(cache)),
        }
    }

    /// Labels and annotations of a PersistentVolume, unless somebody changed it meanwhile.
    pub async fn annotate_volume(&self, volume: &PersistentVolume, metadata: Value) -> Result<(), Error> {
        let mut patch = json!({"metadata": metadata});
        if let Some(version) = volume.resource_version() {
            patch["metadata"]["resourceVersion"] = Value::from(version);
        }
        let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
        let api = self.global::<PersistentVolume>();
        api.patch(&volume.name_any(), &parameters, &Patch::Merge(patch)).await.map_err(write_error(volume))?;
        Ok(())
    }
}

async fn delete<K>(api: &Api<K>, object: &K, policy: PropagationPolicy) -> Result<(), Error>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    if object.meta().deletion_timestamp.is_some() {
        return Ok(());
    }
    let preconditions = Preconditions { uid: object.uid(), resource_version: None };
    let parameters = DeleteParams {
        propagation_policy: Some(policy),
        preconditions: Some(preconditions),
        ..DeleteParams::default()
    };
    match api.delete(&object.name_any(), &parameters).await {
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(()),
        other => other.map(|_| ()).map_err(write_error(object)),
    }
}

/// The object as JSON with its kind, and without the fields that are not ours to apply.
fn with_type<K: Resource<DynamicType = ()> + Serialize>(object: &K) -> Value {
    let mut value = serde_json::to_value(object).unwrap_or_default();
    if let Some(fields) = value.as_object_mut() {
        fields.insert("apiVersion".into(), K::api_version(&()).into());
        fields.insert("kind".into(), K::kind(&()).into());
        fields.remove("status");
    }
    value
}
