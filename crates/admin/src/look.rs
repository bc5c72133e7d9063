//! What is only looked at: usage, the recent past, verdicts, the state of the server.

use std::time::{Duration, SystemTime};

use ferromcp_audit::{Decision, Filter, State};
use ferromcp_core::{Call, Credential, Door, NoClient, Operation, TenantUsage, Verdict};
use ferromcp_protocol::{ProtocolVersion, RequestMeta};
use percent_encoding::percent_decode_str;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::refusal::{Code, Refusal};
use crate::route::{Admin, Answer};
use crate::tenant_api::scanned;
use crate::tenants::unknown;

/// Records in an answer: by default, and at most.
const RECORDS: (usize, usize) = (100, 1000);
/// Longest query string that is read, in bytes.
const MAX_QUERY: usize = 8 << 10;
/// How long a query waits for records that are on their way.
const FLUSH: Duration = Duration::from_secs(2);

/// Parameters of a query string, each at most once.
#[derive(Debug)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(text: &str, known: &[&str]) -> Result<Self, Refusal> {
        let bad = |message: String| Refusal::new(Code::InvalidRequest, "admin.query", message);
        if text.len() > MAX_QUERY {
            return Err(bad(format!("the query is longer than {MAX_QUERY} bytes")));
        }
        let mut all: Vec<(String, String)> = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = value.replace('+', " ");
            let decoded = |text: &str| {
                percent_decode_str(text)
                    .decode_utf8()
                    .map(std::borrow::Cow::into_owned)
                    .map_err(|_| bad("the query is not UTF-8".to_owned()))
            };
            let (name, value) = (decoded(name)?, decoded(&value)?);
            if !known.contains(&name.as_str()) {
                return Err(bad(format!("unknown parameter; there are {}", known.join(", "))));
            }
            if all.iter().any(|(other, _)| *other == name) {
                return Err(bad(format!("{name} is there twice")));
            }
            all.push((name, value));
        }
        Ok(Self(all))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn number(&self, name: &str, default: usize, max: usize) -> Result<usize, Refusal> {
        let Some(text) = self.get(name) else {
            return Ok(default);
        };
        let number = text.parse().ok().filter(|number| (1..=max).contains(number));
        number.ok_or_else(|| {
            let message = format!("{name} must be a whole number from 1 to {max}");
            Refusal::new(Code::InvalidRequest, "admin.query", message)
        })
    }

    /// A time (RFC 3339), or so long ago (`10m`).
    fn time(&self, name: &str, now: SystemTime) -> Result<Option<SystemTime>, Refusal> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        let ago = || {
            humantime::parse_duration(text)
                .ok()
                .and_then(|ago| now.checked_sub(ago))
        };
        let time = humantime::parse_rfc3339(text).ok().or_else(ago);
        time.map(Some).ok_or_else(|| {
            let message =
                format!("{name} must be a time as in 2026-01-31T12:00:00Z, or as long ago as in 10m");
            Refusal::new(Code::InvalidRequest, "admin.query", message)
        })
    }
}

/// `GET /admin/v1/tenants/{id}/usage`
pub(crate) fn usage(admin: &Admin, id: &str) -> Result<Answer, Refusal> {
    if !admin.tenants.knows(id) {
        return Err(unknown(id));
    }
    let usage = TenantUsage::of_tenant(&admin.gateway.snapshot(), id);
    Ok(Answer::ok(usage.tenant_json()))
}

/// `GET /admin/v1/audit`: the newest records first.
pub(crate) async fn audit(admin: &Admin, query: &str, now: SystemTime) -> Result<Answer, Refusal> {
    let query = Query::parse(
        query,
        &[
            "tenant",
            "principal",
            "tool",
            "outcome",
            "rule",
            "kind",
            "decision",
            "since",
            "until",
            "limit",
        ],
    )?;
    let text = |name: &str| query.get(name).map(str::to_owned);
    let filter = Filter {
        kind: text("kind"),
        tenant: text("tenant"),
        principal: text("principal"),
        tool: text("tool"),
        outcome: text("outcome"),
        rule: text("rule"),
        decision: match query.get("decision") {
            None => None,
            Some("allow") => Some(Decision::Allow),
            Some("deny") => Some(Decision::Deny),
            Some("flag") => Some(Decision::Flag),
            Some(_) => {
                return Err(Refusal::new(
                    Code::InvalidRequest,
                    "admin.query",
                    "decision must be allow, deny or flag",
                ));
            }
        },
        from: query.time("since", now)?,
        until: query.time("until", now)?,
        limit: Some(query.number("limit", RECORDS.0, RECORDS.1)?),
    };
    let Some(audit) = &admin.audit else {
        return Err(Refusal::new(
            Code::NotFound,
            "admin.audit",
            "no records are kept in memory: set audit.ring",
        ));
    };
    // A call that was answered is seen. When the log cannot be written, what is there is shown all the same.
    let _ = tokio::time::timeout(FLUSH, audit.flush()).await;
    let records = audit.recent(&filter);
    Ok(Answer::ok(json!({ "records": records })))
}

/// `POST /admin/v1/why`
pub(crate) fn why(admin: &Admin, body: &[u8]) -> Result<Answer, Refusal> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Asked {
        tenant: Option<String>,
        tool: String,
        arguments: Option<Box<RawValue>>,
    }
    scanned(body)?;
    let asked: Asked = serde_json::from_slice(body)
        .map_err(|e| Refusal::new(Code::InvalidRequest, "admin.body", e.to_string()).at(""))?;
    let meta = RequestMeta::default();
    let verdicts = admin.gateway.explain(&Call {
        operation: Operation::CallTool,
        name: &asked.tool,
        arguments: asked.arguments.as_deref().map(RawValue::get),
        params: None,
        meta: &meta,
        version: ProtocolVersion::LATEST,
        door: Door::Library,
        credential: asked
            .tenant
            .as_deref()
            .map_or(Credential::Local, Credential::Tenant),
        tenant: None,
        client: &NoClient,
        input: None,
        timeout: None,
    });
    Ok(Answer::ok(Verdict::report(&verdicts)))
}

/// `GET /admin/v1/status`
pub(crate) fn status(admin: &Admin) -> Answer {
    let snapshot = admin.gateway.snapshot();
    let sources: Vec<Value> = snapshot
        .catalog
        .sources()
        .iter()
        .map(|source| {
            let state = &source.state;
            json!({ "name": &*source.name, "state": state.as_str(), "reason": state.reason() })
        })
        .collect();
    let audit = admin.audit.as_ref().map(|audit| {
        let health = audit.health();
        let (state, reason) = match health.state {
            State::Ok => ("ok", None),
            State::Failing { reason } => ("failing", Some(reason)),
            State::Closed => ("closed", None),
        };
        json!({
            "state": state, "reason": reason, "written": health.written, "durable": health.durable,
            "dropped": health.dropped, "failures": health.failures, "sink_dropped": health.sink_dropped,
        })
    });
    Answer::ok(json!({
        "name": snapshot.identity.name,
        "version": env!("CARGO_PKG_VERSION"),
        "generation": snapshot.generation,
        "uptime_seconds": admin.started.elapsed().as_secs(),
        "draining": admin.gateway.is_draining(),
        "in_flight": admin.gateway.in_flight(),
        "tenants": { "file": admin.tenants.rules().file().len(), "store": admin.tenants.stored().len() },
        "sources": sources,
        "audit": audit,
        "reloads": admin.reload.as_ref().map(|reload| reload.counts()),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_read_or_refused() {
        let known = ["since", "limit", "tool"];
        let query = Query::parse("limit=7&tool=a%20b+c", &known).unwrap();
        assert_eq!(query.get("tool"), Some("a b c"));
        assert_eq!(query.number("limit", 1, 10).unwrap(), 7);
        let long = format!("tool={}", "x".repeat(MAX_QUERY));
        for bad in ["other=1", "limit=1&limit=1", "tool=%ff", "%ff=1", &long] {
            assert_eq!(Query::parse(bad, &known).unwrap_err().rule, "admin.query");
        }
        for bad in [
            "limit=0",
            "limit=11",
            "limit=-1",
            "limit=x",
            "limit=",
            "limit=99999999999999999999",
        ] {
            let query = Query::parse(bad, &known).unwrap();
            assert!(query.number("limit", 1, 10).is_err(), "{bad}");
        }
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let at = |text: &str| Query::parse(text, &known).unwrap().time("since", now);
        assert_eq!(at("since=10m").unwrap(), Some(now - Duration::from_secs(600)));
        let first = SystemTime::UNIX_EPOCH + Duration::from_secs(60);
        assert_eq!(at("since=1970-01-01T00:01:00Z").unwrap(), Some(first));
        for bad in [
            "since=",
            "since=yesterday",
            "since=10",
            "since=-1m",
            "since=999999999999y",
        ] {
            assert!(at(bad).is_err(), "{bad}");
        }
    }
}
