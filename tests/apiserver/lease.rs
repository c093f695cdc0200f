//! One operator leads; the next one takes over when told to, not when the clock runs out.

use crate::support::apiserver::{DEADLINE, operator};
use modelcache::operator::cluster::Leadership;
use std::time::Duration;

/// Far longer than anything here may take: a Lease that runs out cannot be what ends the wait.
const SECONDS: u16 = 3600;

#[tokio::test]
async fn who_waits_leads_as_soon_as_the_lease_is_given_back_and_not_before() {
    let client = operator().await;
    let gain = |identity: &'static str| Leadership::gain(client.clone(), "modelcache-system", identity, SECONDS);
    let first = gain("first").await.unwrap();
    let mut second = std::pin::pin!(gain("second"));
    // The time itself is what is promised: as long as one holds the Lease, nobody else does.
    let early = tokio::time::timeout(Duration::from_secs(3), &mut second).await;
    assert!(early.is_err(), "two lead at once");
    let given_back = std::time::Instant::now();
    first.release().await;
    let second = tokio::time::timeout(DEADLINE, second).await.expect("nobody leads").unwrap();
    println!("figure: from the Lease given back to the next that leads: {:.1?}", given_back.elapsed());
    second.release().await;
}
