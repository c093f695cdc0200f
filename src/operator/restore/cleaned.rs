//! Is a clean-up at work where a restore is to write? Pure.
//!
//! Once a restore holds its claims their CronJobs are suspended; a Job that came just before would take the volume from it.

use crate::api::Reason;
use crate::operator::job::Problem;
use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt;

/// What a restore onto these claims waits for, among the Jobs of clean-ups.
pub fn obstacle(jobs: &[Job], claims: &[String]) -> Option<Problem> {
    jobs.iter().filter(|it| !is_over(it)).find_map(|job| {
        let pod = job.spec.as_ref()?.template.spec.as_ref()?;
        let mounted = pod.volumes.iter().flatten().filter_map(|it| it.persistent_volume_claim.as_ref());
        let claim = mounted.map(|it| &it.claim_name).find(|it| claims.contains(it))?;
        let job = job.name_any();
        let message = format!("waits: the clean-up of Job `{job}` is at work on PersistentVolumeClaim `{claim}`");
        Some(Problem::new(Reason::InUse, message))
    })
}

fn is_over(job: &Job) -> bool {
    let conditions = job.status.iter().flat_map(|it| it.conditions.iter().flatten());
    conditions.into_iter().any(|it| it.status == "True" && matches!(it.type_.as_str(), "Complete" | "Failed"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn job(claim: &str, status: &Value) -> Job {
        let volumes =
            json!([{"name": "tmp", "emptyDir": {}}, {"name": "m", "persistentVolumeClaim": {"claimName": claim}}]);
        let template = json!({"spec": {"containers": [], "volumes": volumes}});
        serde_json::from_value(
            json!({"metadata": {"name": "studio-clean-1"}, "spec": {"template": template}, "status": status}),
        )
        .unwrap()
    }

    #[test]
    fn a_restore_waits_for_a_clean_up_on_its_claim_until_that_is_over() {
        let condition = |of: &str, status: &str| json!({"conditions": [{"type": of, "status": status}]});
        for (what, claim, status, waits) in [
            ("one that has no pod yet", "studio-assets", json!({}), true),
            ("one at work", "studio-assets", json!({"active": 1}), true),
            ("one that is suspended", "studio-assets", condition("Suspended", "False"), true),
            ("one that ended", "studio-assets", condition("Complete", "True"), false),
            ("one that failed", "studio-assets", condition("Failed", "True"), false),
            ("one on another claim", "studio-logs", json!({"active": 1}), false),
        ] {
            let found = obstacle(&[job(claim, &status)], &["studio-models".into(), "studio-assets".into()]);
            assert_eq!(found.is_some(), waits, "{what}: {found:?}");
            if let Some(problem) = found {
                assert_eq!(problem.reason, Reason::InUse);
                assert!(problem.message.contains("`studio-clean-1`") && problem.message.contains("`studio-assets`"));
            }
        }
    }
}
