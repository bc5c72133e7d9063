//! Who calls?

use crate::call::{Call, Credential, Principal};
use crate::error::CallError;
use crate::snapshot::Snapshot;

/// Finds the principal of a call.
pub(crate) fn authenticate<'a>(snapshot: &'a Snapshot, call: &Call<'_>) -> Result<&'a Principal, CallError> {
    principal(snapshot, call.credential)
}

/// Finds the principal behind a credential. Without configured authentication there is one local
/// tenant, and a credential that somebody sends all the same changes nothing.
pub(crate) fn principal<'a>(
    snapshot: &'a Snapshot,
    credential: Credential<'_>,
) -> Result<&'a Principal, CallError> {
    match credential {
        Credential::Local | Credential::Token(_) => Ok(&snapshot.local),
    }
}
