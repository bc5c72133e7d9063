//! Whether the collector of audit records takes some.

use std::time::{Duration, Instant};

use bytes::Bytes;
use ferromcp_config::Config;

use super::finding::Finding;
use crate::otlp::{Client, Sent};

/// Longest wait for the collector, if `audit.otlp.timeout` is not shorter.
const ASK: Duration = Duration::from_secs(5);
/// An `ExportLogsServiceRequest` with one resource that has no records. One without a resource would be no bytes at all, and a request
/// without a body is what some proxies refuse.
const NO_RECORDS: &[u8] = b"\x0a\x00";

/// Sends a request without records, which a collector takes as it does any other (OTLP, "OTLP/HTTP Response": what carries no data is a
/// success).
pub(super) async fn collector(config: &Config) -> Vec<Finding> {
    const CHECK: &str = "audit.otlp";
    let Some(otlp) = &config.audit.otlp else {
        return Vec::new();
    };
    let headers: Vec<(String, String)> = otlp
        .endpoint
        .headers
        .iter()
        .map(|(name, value)| (name.clone(), value.expose().to_owned()))
        .collect();
    let shown = &otlp.endpoint.shown;
    let client = match Client::new(otlp.endpoint.url.as_str(), &headers, otlp.timeout.min(ASK)) {
        Ok(client) => client,
        Err(error) => {
            return vec![Finding::fail(
                CHECK,
                format!("{shown}: {error}"),
                "correct audit.otlp; serve does not start with it",
            )];
        }
    };
    let since = Instant::now();
    let finding = match client.send(Bytes::from_static(NO_RECORDS)).await {
        Sent::Accepted { .. } => Finding::ok(CHECK, format!("{shown} takes records")),
        Sent::Later {
            status: Some(_),
            reason,
            ..
        } => Finding::warn(
            CHECK,
            format!("{shown}: {reason}: not now"),
            "see why the collector is busy; until it is not, records wait in audit.otlp.queue, and beyond it are dropped",
        ),
        Sent::Later { reason, .. } => Finding::fail(
            CHECK,
            format!("{shown}: {reason}"),
            "start the collector, or correct audit.otlp.endpoint; until then records wait in audit.otlp.queue, and beyond it are \
             dropped",
        ),
        Sent::Refused { status, reason } => {
            Finding::fail(CHECK, format!("{shown}: {reason}"), fix(status.as_u16()))
        }
    };
    vec![finding.taking(since.elapsed())]
}

/// What to do about a status that another try does not change.
fn fix(status: u16) -> &'static str {
    match status {
        401 | 403 | 407 => "give a credential that it accepts in audit.otlp.headers",
        404 | 405 => "name the logs endpoint in audit.otlp.endpoint, as in http://HOST:4318/v1/logs",
        300..=399 => "name the address that it leads to in audit.otlp.endpoint",
        _ => {
            "name an endpoint for logs over OTLP/HTTP with protobuf in audit.otlp.endpoint, as in http://HOST:4318/v1/logs"
        }
    }
}
