//! From lines of the audit log to `ExportLogsServiceRequest`.
//!
//! The numbers are those of `opentelemetry/proto/logs/v1/logs.proto` and `common/v1/common.proto`.

use std::time::{SystemTime, UNIX_EPOCH};

use ferromcp_audit::Entry;

use crate::otlp::encode::{bytes, fixed64, message, number};

const INFO: (u64, &[u8]) = (9, b"INFO");
const WARN: (u64, &[u8]) = (13, b"WARN");
const ERROR: (u64, &[u8]) = (17, b"ERROR");

/// Who sends: `service.name` and `service.version`.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    pub(crate) name: String,
    pub(crate) version: String,
}

/// The whole request for these lines; before them, how many were lost.
pub(crate) fn request(service: &Service, lines: &[u8], lost: u64) -> Vec<u8> {
    let now = nanos(SystemTime::now());
    let mut out = Vec::with_capacity(lines.len() * 2 + 512);
    message(&mut out, 1, |resource_logs| {
        message(resource_logs, 1, |resource| {
            attribute(resource, 1, "service.name", &service.name);
            attribute(resource, 1, "service.version", &service.version);
        });
        message(resource_logs, 2, |scope_logs| {
            message(scope_logs, 1, |scope| {
                bytes(scope, 1, b"ferromcp.audit");
                bytes(scope, 2, service.version.as_bytes());
            });
            if lost > 0 {
                message(scope_logs, 2, |record| lost_record(record, lost, now));
            }
            for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                message(scope_logs, 2, |record| log_record(record, line, now));
            }
        });
    });
    out
}

fn log_record(out: &mut Vec<u8>, line: &[u8], now: u64) {
    let Ok(entry) = Entry::parse(line) else {
        // A line that this version of the log would not read itself: the reader at the other end has its text.
        fixed64(out, 11, now);
        message(out, 5, |body| bytes(body, 1, &printable(line)));
        return;
    };
    let severity = severity(&entry);
    fixed64(out, 1, nanos(entry.time));
    number(out, 2, severity.0);
    bytes(out, 3, severity.1);
    message(out, 5, |body| bytes(body, 1, &printable(line)));
    integer(out, "ferromcp.audit.seq", entry.seq);
    let texts = [
        ("ferromcp.audit.kind", Some(&entry.kind)),
        ("ferromcp.request_id", entry.request_id.as_ref()),
        ("ferromcp.door", entry.door.as_ref()),
        ("ferromcp.tenant", entry.tenant.as_ref()),
        ("ferromcp.principal", entry.principal.as_ref()),
        ("ferromcp.client", entry.client.as_ref()),
        ("mcp.method.name", entry.method.as_ref()),
        ("gen_ai.tool.name", entry.tool.as_ref()),
        ("ferromcp.source", entry.source.as_ref()),
        ("ferromcp.decision", entry.decision.as_ref()),
        ("ferromcp.rule", entry.rule.as_ref()),
        ("ferromcp.outcome", entry.outcome.as_ref()),
        ("ferromcp.note", entry.note.as_ref()),
    ];
    for (key, text) in texts {
        if let Some(text) = text {
            attribute(out, 6, key, text);
        }
    }
    integer(out, "ferromcp.latency_us", entry.latency_us);
    if let Some(trace) = entry.trace_id.as_deref().and_then(trace_id) {
        bytes(out, 9, &trace);
    }
    fixed64(out, 11, now);
    bytes(out, 12, format!("ferromcp.audit.{}", entry.kind).as_bytes());
}

fn lost_record(out: &mut Vec<u8>, lost: u64, now: u64) {
    fixed64(out, 1, now);
    number(out, 2, ERROR.0);
    bytes(out, 3, ERROR.1);
    message(out, 5, |body| {
        bytes(
            body,
            1,
            format!("{lost} audit records before this one could not be delivered").as_bytes(),
        );
    });
    integer(out, "ferromcp.audit.lost", lost);
    fixed64(out, 11, now);
    bytes(out, 12, b"ferromcp.audit.lost");
}

fn severity(entry: &Entry) -> (u64, &'static [u8]) {
    match entry.kind.as_str() {
        "dropped" | "interrupted" => ERROR,
        "recovery" => WARN,
        "call" | "admin" | "reload" => match (entry.decision.as_deref(), entry.outcome.as_deref()) {
            (Some("deny" | "flag"), _) => WARN,
            (_, Some("ok" | "input_required" | "task") | None) => INFO,
            _ => ERROR,
        },
        _ => INFO,
    }
}

fn attribute(out: &mut Vec<u8>, field: u32, key: &str, text: &str) {
    message(out, field, |pair| {
        bytes(pair, 1, key.as_bytes());
        message(pair, 2, |value| bytes(value, 1, text.as_bytes()));
    });
}

fn integer(out: &mut Vec<u8>, key: &str, value: u64) {
    message(out, 6, |pair| {
        bytes(pair, 1, key.as_bytes());
        message(pair, 2, |any| number(any, 3, value.min(i64::MAX as u64)));
    });
}

/// A string of protobuf has to be UTF-8, which lines of the log are.
fn printable(line: &[u8]) -> std::borrow::Cow<'_, [u8]> {
    match String::from_utf8_lossy(line) {
        std::borrow::Cow::Borrowed(text) => text.as_bytes().into(),
        std::borrow::Cow::Owned(text) => text.into_bytes().into(),
    }
}

fn trace_id(hex: &str) -> Option<[u8; 16]> {
    if hex.len() != 32 {
        return None;
    }
    u128::from_str_radix(hex, 16).ok().map(u128::to_be_bytes)
}

fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
