//! Who calls?

use crate::call::{Call, Principal};
use crate::error::CallError;
use crate::snapshot::Snapshot;

/// Finds the principal of a call, and for whom it acts.
pub(crate) fn authenticate(snapshot: &Snapshot, call: &Call<'_>) -> Result<Principal, CallError> {
    let principal = snapshot.access.principal(call.credential)?;
    match call.tenant {
        None => Ok(principal),
        Some(tenant) => snapshot.access.act_for(&principal, tenant),
    }
}
