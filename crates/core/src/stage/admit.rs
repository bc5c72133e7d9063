//! Is there room for one more call?

use std::time::Duration;

use crate::error::{CallError, ErrorCode};
use crate::gateway::{Gateway, InFlight};
use crate::snapshot::Snapshot;

/// Counts the call in, unless the server is draining or full.
pub(crate) fn admit<'a>(gateway: &'a Gateway, snapshot: &Snapshot) -> Result<InFlight<'a>, CallError> {
    // Count first, look second: a drain that starts in between sees the call or the call sees it.
    let (before, entered) = gateway.enter();
    if gateway.is_draining() {
        return Err(CallError::new(
            ErrorCode::Unavailable,
            "the server is shutting down; retry on another instance",
        )
        .with_rule("admit.draining")
        .with_retry_after(Duration::from_secs(1)));
    }
    if before >= snapshot.policy.max_in_flight {
        return Err(CallError::new(
            ErrorCode::Unavailable,
            format!("{before} calls are running, which is the limit of this server; retry later"),
        )
        .with_rule("admit.max_in_flight")
        .with_retry_after(Duration::from_secs(1)));
    }
    Ok(entered)
}
