//! How is a volume emptied of what a cache has put there, so that all of it is fetched anew? Only once the origins have said that they
//! still have it: else the last copy could go for nothing.

use super::super::clean::everything;
use super::super::failure::Failure;
use super::super::fetch::Writer;
use super::super::source::Origins;
use super::super::source::access::Access;
use super::super::source::listing::Listing;
use crate::api::Reason;
use crate::api::quantity::human;
use crate::api::source::Source;
use crate::contract::plan::Plan;
use std::collections::BTreeMap;
use std::path::Path;

/// Asks the origins for what the plan pins, removes what the cache has on the volume, and returns what they listed.
///
/// # Errors
/// What an origin says, before anything is removed; or why something could not be.
pub async fn empty(
    plan: &Plan,
    volume: &Path,
    writer: &Writer,
    origins: &Origins,
    access: &(dyn Fn(&Source) -> Result<Access, Failure> + Sync),
    say: &(dyn Fn(String) + Sync),
) -> Result<BTreeMap<String, Listing>, Failure> {
    let mut listed = BTreeMap::new();
    for planned in &plan.sources {
        let source = &planned.source;
        let asked = async {
            let access = access(source)?;
            // Some pins say all there is to know without the origin: so it is asked as if there were none.
            origins.resolve(source, &access).await?;
            origins.list(source, &planned.pin, &access).await
        };
        let kept = |failure: Failure| {
            let failure = failure.of_source(&source.name);
            Failure { message: format!("nothing was removed: {}", failure.message), ..failure }
        };
        listed.insert(source.name.clone(), asked.await.map_err(kept)?);
    }
    let (plan, volume, writer) = (plan.clone(), volume.to_owned(), writer.clone());
    let removing = tokio::task::spawn_blocking(move || everything::remove(&plan, &volume, writer));
    let freed = removing.await.map_err(|error| Failure::new(Reason::InternalError, error.to_string()))??;
    say(format!("what was there is removed: {} are free", human(freed)));
    Ok(listed)
}
