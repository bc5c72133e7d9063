//! Call records on their way into the audit log.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use ferromcp_audit::{Audit, Decision, Kind, Record};
use ferromcp_core::record::{Begun, CallStart, Ending};
use ferromcp_core::{CallError, CallRecord, ErrorCode, Observer};

use crate::call_log::CallLog;
use crate::tally::Tally;

/// What happens to the record of a call: a line in the log, an audit record, both, or nothing.
#[derive(Clone, Debug, Default)]
pub struct Records {
    /// One line in the log.
    pub log: Option<CallLog>,
    /// One audit record.
    pub audit: Option<Audit>,
    /// A durable audit record also before a call that may have effects.
    pub journal: bool,
    /// How many there were.
    pub tally: Option<Arc<Tally>>,
}

impl Observer for Records {
    /// Refuses calls whose record could not be kept, if that is the policy.
    fn poll_ready(&self, _cx: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        let Some(audit) = &self.audit else {
            return Poll::Ready(Ok(()));
        };
        Poll::Ready(admit(audit))
    }

    fn call_begins<'a>(&'a self, start: &CallStart<'_>) -> Option<Begun<'a>> {
        let audit = self.audit.as_ref().filter(|_| self.journal)?;
        let ticket = audit.record(&begun(start));
        Some(Box::pin(async move {
            let written = match ticket {
                Ok(ticket) => audit.durable(ticket).await.is_ok(),
                Err(_) => false,
            };
            // Where records cannot be written, the policy decides whether calls go on without.
            if written { Ok(()) } else { admit(audit) }
        }))
    }

    fn call_ended(&self, record: &CallRecord<'_>) {
        if let Some(tally) = &self.tally {
            tally.count(record.ending);
        }
        if let Some(log) = &self.log {
            log.call_ended(record);
        }
        if let Some(audit) = &self.audit {
            // What was not taken is counted by the log, which says so when it can.
            let _ = audit.record(&audited(record));
        }
    }
}

fn admit(audit: &Audit) -> Result<(), CallError> {
    audit.admit().map_err(|unavailable| {
        tracing::error!(reason = %unavailable, "a call was refused because the audit log cannot be written");
        CallError::new(
            ErrorCode::Unavailable,
            "the audit log of this server cannot be written, so it takes no calls; its operator has been told",
        )
        .with_rule("audit.unavailable")
        .with_retry_after(Duration::from_secs(5))
    })
}

fn begun<'a>(start: &CallStart<'a>) -> Record<'a> {
    Record {
        request_id: start.request_id.to_bytes(),
        trace_id: start.traceparent.and_then(trace_id),
        tenant: Some(&*start.principal.tenant),
        principal: Some(&*start.principal.name),
        client: start.client,
        method: Some(start.operation.method()),
        tool: Some(start.name),
        source: Some(start.source),
        args: start.arguments,
        decision: Some(Decision::Allow),
        bytes_in: start.arguments.map_or(0, str::len) as u64,
        ..Record::new(Kind::Begin, start.time, start.door.as_str(), "begun")
    }
}

fn audited<'a>(record: &CallRecord<'a>) -> Record<'a> {
    Record {
        request_id: record.request_id.to_bytes(),
        trace_id: record.traceparent.and_then(trace_id),
        tenant: record.principal.map(|principal| &*principal.tenant),
        principal: record.principal.map(|principal| &*principal.name),
        client: record.client,
        method: Some(record.operation.method()),
        tool: Some(record.name),
        source: record.source,
        args: record.arguments,
        decision: Some(match (decision(record.ending), record.flagged) {
            (Decision::Allow, Some(_)) => Decision::Flag,
            (decision, _) => decision,
        }),
        rule: record.rule.or(record.flagged),
        latency: record.latency,
        bytes_in: record.bytes_in as u64,
        bytes_out: record.bytes_out as u64,
        ..Record::new(
            Kind::Call,
            record.time,
            record.door.as_str(),
            record.ending.as_str(),
        )
    }
}

/// Whether policy let the call through. What failed behind it was let through.
fn decision(ending: Ending) -> Decision {
    match ending {
        Ending::Ok | Ending::ToolError | Ending::InputRequired | Ending::Task => Decision::Allow,
        Ending::Failed(code) => match code {
            ErrorCode::Timeout
            | ErrorCode::UpstreamError
            | ErrorCode::Cancelled
            | ErrorCode::Internal
            | ErrorCode::Relayed => Decision::Allow,
            ErrorCode::InvalidRequest
            | ErrorCode::Unauthenticated
            | ErrorCode::PermissionDenied
            | ErrorCode::ToolNotFound
            | ErrorCode::InvalidArguments
            | ErrorCode::PayloadTooLarge
            | ErrorCode::RateLimited
            | ErrorCode::QuotaExceeded
            | ErrorCode::Unavailable => Decision::Deny,
        },
    }
}

/// The trace id of a raw JSON `traceparent` (W3C Trace Context, 3.2): `"00-<32 hex>-<16 hex>-<2 hex>"`.
fn trace_id(raw: &str) -> Option<[u8; 16]> {
    let hex = raw.strip_prefix('"')?.get(3..35)?;
    let id = u128::from_str_radix(hex, 16).ok()?;
    (id != 0 && hex.bytes().all(|b| b.is_ascii_hexdigit())).then(|| id.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::trace_id;

    #[test]
    fn trace_ids_are_read_or_left_out() {
        let good = "\"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\"";
        assert_eq!(trace_id(good).map(|id| id[0]), Some(0x0a));
        for bad in [
            "7",
            "\"\"",
            "\"00-0af7\"",
            "\"00-00000000000000000000000000000000-b7ad6b7169203331-01\"",
            "\"00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\"",
            "\"éééééééééééééééééééééééééééééééééééé\"",
        ] {
            assert_eq!(trace_id(bad), None, "{bad}");
        }
    }
}
