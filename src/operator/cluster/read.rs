//! Reads: absent is data, not an error.

use super::Cluster;
use crate::operator::error::Error;
use crate::operator::job::ObservedJob;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::ListParams;
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use std::fmt::Debug;

impl Cluster {
    /// An object, or nothing.
    pub async fn get<K>(&self, api: &Api<K>, name: &str) -> Result<Option<K>, Error>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        let what = || format!("{} {name}", K::kind(&()));
        api.get_opt(name).await.map_err(|source| Error::Read { what: what(), source: Box::new(source) })
    }

    /// Objects by label.
    pub async fn list<K>(&self, api: &Api<K>, labels: &str) -> Result<Vec<K>, Error>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        let what = || format!("{} with {labels}", K::plural(&()));
        let list = api.list(&ListParams::default().labels(labels)).await;
        list.map(|it| it.items).map_err(|source| Error::Read { what: what(), source: Box::new(source) })
    }

    /// Jobs by label, with their pods, and for those that do not start the latest warning about them.
    pub async fn jobs(&self, namespace: &str, labels: &str) -> Result<Vec<ObservedJob>, Error> {
        let jobs = self.list(&self.namespaced::<Job>(namespace), labels).await?;
        if jobs.is_empty() {
            return Ok(vec![]);
        }
        let pods = self.list(&self.namespaced::<Pod>(namespace), labels).await?;
        let mut observed = Vec::with_capacity(jobs.len());
        for job in jobs {
            let uid = job.metadata.uid.clone().unwrap_or_default();
            let belongs = |pod: &&Pod| pod.metadata.owner_references.iter().flatten().any(|owner| owner.uid == uid);
            let pods: Vec<Pod> = pods.iter().filter(belongs).cloned().collect();
            let warning = self.warning(namespace, &job, &pods).await?;
            observed.push(ObservedJob { job, pods, warning });
        }
        Ok(observed)
    }

    /// The latest warning Event about a Job without a pod, or about a pod that does not start.
    async fn warning(&self, namespace: &str, job: &Job, pods: &[Pod]) -> Result<Option<String>, Error> {
        let finished = job.status.as_ref().is_some_and(|it| it.conditions.as_ref().is_some_and(|it| !it.is_empty()));
        let starting = pods.iter().any(|pod| pod.status.as_ref().and_then(|it| it.phase.as_deref()) != Some("Pending"));
        if finished || starting || !has_waited(job) {
            return Ok(None);
        }
        let uid = pods.first().map_or(&job.metadata.uid, |pod| &pod.metadata.uid).clone().unwrap_or_default();
        let selector = format!("involvedObject.uid={uid},type=Warning");
        let events = self.namespaced::<Event>(namespace).list(&ListParams::default().fields(&selector).limit(20)).await;
        let events = events.map_err(|source| Error::Read { what: "Events".into(), source: Box::new(source) })?;
        Ok(events
            .items
            .into_iter()
            .max_by_key(|it| it.metadata.creation_timestamp.as_ref().map(|it| it.0))
            .and_then(|it| it.message))
    }
}

/// Whether a Job is old enough that a missing pod means something.
fn has_waited(job: &Job) -> bool {
    let since = job.metadata.creation_timestamp.as_ref().map(|it| it.0.as_second());
    since.is_some_and(|since| jiff::Timestamp::now().as_second() - since >= 3)
}
