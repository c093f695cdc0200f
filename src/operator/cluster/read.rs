//! Reads: absent is data, not an error.

use super::Cluster;
use crate::operator::error::Error;
use crate::operator::job::ObservedJob;
use crate::operator::mounting_pod::MountingPod;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::ListParams;
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use std::fmt::Debug;

/// Pods that are read at once: at ten kilobytes each and more, a namespace of thousands at once would be all our memory.
pub const PODS: u32 = 100;

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

    /// The pods of a namespace that mount a claim. Read page by page, and none of the others is kept.
    pub async fn mounting_pods(&self, namespace: &str) -> Result<Vec<MountingPod>, Error> {
        let api = self.namespaced::<MountingPod>(namespace);
        let (mut pods, mut page) = (vec![], ListParams::default().limit(PODS));
        loop {
            let list = api.list(&page).await;
            let list = list.map_err(|source| Error::Read { what: "pods".into(), source: Box::new(source) })?;
            let mounting = list.items.into_iter().filter(|it| it.claims().next().is_some());
            pods.extend(mounting.map(MountingPod::stripped));
            match list.metadata.continue_.filter(|it| !it.is_empty()) {
                Some(next) => page = page.continue_token(&next),
                None => return Ok(pods),
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use kube::client::Body;
    use serde_json::{Value, json};
    use std::sync::{Arc, Mutex};

    /// A page of pods; every second one mounts a claim.
    fn page(names: &[&str], next: &str) -> Value {
        let claim = json!([{"name": "m", "persistentVolumeClaim": {"claimName": "studio-models"}}]);
        let pod = |(index, name): (usize, &&str)| {
            let volumes = if index % 2 == 0 { claim.clone() } else { json!([{"name": "tmp", "emptyDir": {}}]) };
            json!({"metadata": {"name": name, "namespace": "team"}, "spec": {"containers": [], "volumes": volumes}})
        };
        let items: Vec<Value> = names.iter().enumerate().map(pod).collect();
        json!({"apiVersion": "v1", "kind": "PodList", "metadata": {"continue": next}, "items": items})
    }

    #[tokio::test]
    async fn the_pods_of_a_namespace_are_read_page_by_page_and_those_are_kept_that_mount_a_claim() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heard = asked.clone();
        let server = tower::service_fn(move |request: http::Request<Body>| {
            let query = request.uri().query().unwrap_or_default().to_owned();
            let answer =
                if query.contains("continue=more") { page(&["c", "d"], "") } else { page(&["a", "b"], "more") };
            heard.lock().unwrap().push(query);
            async move {
                Ok::<_, std::convert::Infallible>(http::Response::new(Body::from(answer.to_string().into_bytes())))
            }
        });
        let cluster = Cluster::new(kube::Client::new(server, "team"), "test");
        let pods = cluster.mounting_pods("team").await.unwrap();
        assert_eq!(pods.iter().map(kube::ResourceExt::name_any).collect::<Vec<_>>(), ["a", "c"]);
        let asked = asked.lock().unwrap().clone();
        assert_eq!(asked.len(), 2);
        assert!(asked.iter().all(|it| it.contains("limit=100")), "{asked:?}");
    }
}
