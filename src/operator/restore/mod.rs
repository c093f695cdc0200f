//! The reconcile of a `ModelCacheRestore`: a table of contents.

use crate::api::ModelCacheRestore;
use crate::operator::error::Error;
use crate::operator::runtime::Context;
use kube::runtime::controller::Action;
use std::sync::Arc;

/// Stub.
pub async fn reconcile(_restore: Arc<ModelCacheRestore>, _context: Arc<Context>) -> Result<Action, Error> {
    Ok(Action::await_change())
}
