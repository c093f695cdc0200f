//! Jobs that are made once for an object, each with a ConfigMap of its name.

use super::{Cluster, Removal};
use crate::operator::error::Error;
use crate::operator::job::ObservedJob;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Resource, ResourceExt};

impl Cluster {
    /// Creates both, the Job last.
    pub async fn create_run(&self, config_map: &ConfigMap, job: &Job) -> Result<(), Error> {
        let namespace = job.namespace().unwrap_or_default();
        self.create(&self.namespaced(&namespace), config_map).await?;
        self.create(&self.namespaced(&namespace), job).await
    }

    /// The Jobs with these labels that we made for the object, and not for another of its name before it.
    pub async fn runs_of<K: Resource>(&self, object: &K, labels: &str) -> Result<Vec<ObservedJob>, Error> {
        let mut jobs = self.jobs(&object.namespace().unwrap_or_default(), labels).await?;
        let uid = object.uid();
        jobs.retain(|it| it.job.owner_references().iter().any(|owner| Some(&owner.uid) == uid.as_ref()));
        Ok(jobs)
    }

    /// Removes both, the Job first.
    pub async fn remove_run(&self, job: &ObservedJob) -> Result<(), Error> {
        let namespace = job.job.namespace().unwrap_or_default();
        self.remove(Removal::Job(job.job.clone())).await?;
        match self.get(&self.namespaced::<ConfigMap>(&namespace), job.name()).await? {
            Some(config_map) => self.remove(Removal::ConfigMap(config_map)).await,
            None => Ok(()),
        }
    }
}
