//! Is there something left of every rate and quota?

use ferromcp_limits::{Admitted, ClientKey, Limits, Refused, Request, Standing};

use super::Target;
use crate::call::{Call, Operation, Principal};
use crate::error::{CallError, ErrorCode};
use crate::snapshot::Snapshot;

/// Counts the call in everywhere, or nowhere. The permit is to be kept until the call has ended. How the
/// tightest rate stands is noted for the caller.
pub(crate) fn limit(
    snapshot: &Snapshot,
    principal: &Principal,
    call: &Call<'_>,
    target: &Target<'_>,
    standing: &mut Option<Standing>,
) -> Result<Option<Admitted>, CallError> {
    if !snapshot.access.is_limited() {
        return Ok(None);
    }
    let request = counted(snapshot, principal, call, Some(target));
    match snapshot.limits.admit(&request, snapshot.access.now()) {
        Ok(admitted) => {
            *standing = admitted.tightest();
            Ok(Some(admitted))
        }
        Err(refusal) => {
            *standing = standing_of(&refusal);
            Err(refused(&refusal))
        }
    }
}

/// Where a call counts.
pub(crate) fn counted<'a>(
    snapshot: &'a Snapshot,
    principal: &'a Principal,
    call: &Call<'_>,
    target: Option<&Target<'_>>,
) -> Request<'a> {
    let limits = &snapshot.limits;
    let tool = (call.operation == Operation::CallTool)
        .then(|| limits.tool(call.name))
        .flatten();
    let mut request = Request {
        tenant: principal.grants().limits().map(|tenant| &**tenant),
        client: Some(client_key(limits, principal)),
        tool: tool.map(|tool| &**tool),
        bytes: call.arguments.map_or(0, str::len) as u64,
    };
    if target.is_some_and(|target| target.source.carries_calls) {
        (request.tenant, request.client) = (None, None);
    }
    request
}

/// Whose rate of clients it is.
pub(crate) fn client_key(limits: &Limits, principal: &Principal) -> ClientKey {
    limits.client_key(&principal.tenant, principal.name.as_bytes())
}

/// Counts the bytes of an answer.
pub(crate) fn outgoing(snapshot: &Snapshot, principal: &Principal, bytes: usize) {
    if let Some(tenant) = principal.grants().limits()
        && tenant.settings().quotas.bytes.is_some()
    {
        tenant.charge_bytes(bytes as u64, snapshot.access.now());
    }
}

/// A refusal of rates and quotas as an error.
pub(crate) fn refused(refusal: &Refused) -> CallError {
    let code = if refusal.rule.is_quota() {
        ErrorCode::QuotaExceeded
    } else {
        ErrorCode::RateLimited
    };
    let error = CallError::new(code, refusal.message()).with_rule(refusal.rule.id());
    match refusal.retry_after {
        Some(after) => error.with_retry_after(after),
        None => error,
    }
}

fn standing_of(refusal: &Refused) -> Option<Standing> {
    Some(Standing {
        rule: refusal.rule,
        allowed: false,
        limit: refusal.limit.amount(),
        remaining: 0,
        reset_after: refusal.reset_after?,
        retry_after: refusal.retry_after,
    })
}
