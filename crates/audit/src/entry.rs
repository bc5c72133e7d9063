//! A record read back, and what to look for.

use std::borrow::Cow;
use std::time::SystemTime;

use serde::{Deserialize, Serialize, Serializer};

use crate::record::{Copied, Decision, Digest, Field};
use crate::text;

/// A record as it stands in the log or in the ring. Serializes to the members of a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Number in the log.
    pub seq: u64,
    /// When it happened.
    #[serde(serialize_with = "time")]
    pub time: SystemTime,
    /// `call`, `admin`, `reload`, `marker`, or one of the log's own kinds.
    pub kind: String,
    /// 32 hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// 32 hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// See [`Record::door`](crate::Record::door).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub door: Option<String>,
    /// See [`Record::tenant`](crate::Record::tenant).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// See [`Record::principal`](crate::Record::principal).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// See [`Record::client`](crate::Record::client).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// See [`Record::method`](crate::Record::method).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// See [`Record::tool`](crate::Record::tool).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// See [`Record::source`](crate::Record::source).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// SHA-256 of the arguments as received, 64 hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub args_sha256: Option<String>,
    /// The arguments, redacted; never in the ring.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub args: Option<String>,
    /// `allow`, `deny` or `flag`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<String>,
    /// See [`Record::rule`](crate::Record::rule).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// See [`Record::outcome`](crate::Record::outcome).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// See [`Record::note`](crate::Record::note).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// How many records were dropped, bytes cut, segments removed: by kind.
    #[serde(skip_serializing_if = "is_zero")]
    pub count: u64,
    /// Microseconds.
    pub latency_us: u64,
    /// Bytes of the request.
    pub bytes_in: u64,
    /// Bytes of the answer.
    pub bytes_out: u64,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

fn time<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&text::time_string(*time))
}

/// A line as JSON. Members this version does not know are passed over.
#[derive(Deserialize)]
struct Line<'a> {
    seq: u64,
    #[serde(borrow)]
    time: Cow<'a, str>,
    #[serde(borrow)]
    kind: Cow<'a, str>,
    request_id: Option<String>,
    trace_id: Option<String>,
    door: Option<String>,
    tenant: Option<String>,
    principal: Option<String>,
    client: Option<String>,
    method: Option<String>,
    tool: Option<String>,
    source: Option<String>,
    args_sha256: Option<String>,
    args: Option<String>,
    decision: Option<String>,
    rule: Option<String>,
    outcome: Option<String>,
    note: Option<String>,
    #[serde(default)]
    count: u64,
    #[serde(default)]
    latency_us: u64,
    #[serde(default)]
    bytes_in: u64,
    #[serde(default)]
    bytes_out: u64,
}

impl Entry {
    /// Reads a line of the log, without its end. Does not check its hash: that is
    /// [`verify`](crate::verify())'s.
    ///
    /// # Errors
    /// It is no line of a log; says why.
    pub fn parse(line: &[u8]) -> Result<Self, String> {
        let line: Line<'_> = serde_json::from_slice(line).map_err(|error| error.to_string())?;
        let time = text::parse_timestamp(line.time.as_bytes())
            .ok_or_else(|| format!("`{}` is no time of this log", line.time))?;
        Ok(Self {
            seq: line.seq,
            time: text::from_micros(time),
            kind: line.kind.into_owned(),
            request_id: line.request_id,
            trace_id: line.trace_id,
            door: line.door,
            tenant: line.tenant,
            principal: line.principal,
            client: line.client,
            method: line.method,
            tool: line.tool,
            source: line.source,
            args_sha256: line.args_sha256,
            args: line.args,
            decision: line.decision,
            rule: line.rule,
            outcome: line.outcome,
            note: line.note,
            count: line.count,
            latency_us: line.latency_us,
            bytes_in: line.bytes_in,
            bytes_out: line.bytes_out,
        })
    }

    pub(crate) fn copied(seq: u64, record: &Copied<'_>, args_digest: Option<Digest>) -> Self {
        let texts = record.texts();
        let field =
            |field: Field| texts[field as usize].map(|text| String::from_utf8_lossy(text).into_owned());
        Self {
            seq,
            time: text::from_micros(record.time_us()),
            kind: record.kind().as_str().to_owned(),
            request_id: record.request_id().map(text::hex_string),
            trace_id: record.trace_id().map(text::hex_string),
            door: field(Field::Door),
            tenant: field(Field::Tenant),
            principal: field(Field::Principal),
            client: field(Field::Client),
            method: field(Field::Method),
            tool: field(Field::Tool),
            source: field(Field::Source),
            args_sha256: args_digest.map(|digest| text::hex_string(&digest)),
            args: None,
            decision: record.decision().map(|decision| decision.as_str().to_owned()),
            rule: field(Field::Rule),
            outcome: field(Field::Outcome),
            note: field(Field::Note),
            count: record.count(),
            latency_us: record.latency_us(),
            bytes_in: record.bytes_in(),
            bytes_out: record.bytes_out(),
        }
    }
}

/// What to look for; an empty filter matches everything.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Kind as written in the log.
    pub kind: Option<String>,
    /// Exactly this tenant.
    pub tenant: Option<String>,
    /// Exactly this principal.
    pub principal: Option<String>,
    /// Exactly this tool.
    pub tool: Option<String>,
    /// Exactly this outcome.
    pub outcome: Option<String>,
    /// Exactly this rule.
    pub rule: Option<String>,
    /// This decision.
    pub decision: Option<Decision>,
    /// Not before this time.
    pub from: Option<SystemTime>,
    /// Before this time.
    pub until: Option<SystemTime>,
    /// At most so many; all when `None`.
    pub limit: Option<usize>,
}

impl Filter {
    /// Whether an entry matches; the limit is not looked at.
    #[must_use]
    pub fn matches(&self, entry: &Entry) -> bool {
        let is = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| found == Some(wanted))
        };
        is(&self.kind, Some(&entry.kind))
            && is(&self.tenant, entry.tenant.as_deref())
            && is(&self.principal, entry.principal.as_deref())
            && is(&self.tool, entry.tool.as_deref())
            && is(&self.outcome, entry.outcome.as_deref())
            && is(&self.rule, entry.rule.as_deref())
            && self
                .decision
                .is_none_or(|wanted| entry.decision.as_deref() == Some(wanted.as_str()))
            && self.from.is_none_or(|from| entry.time >= from)
            && self.until.is_none_or(|until| entry.time < until)
    }

    /// The same, without making an entry first.
    pub(crate) fn matches_copied(&self, record: &Copied<'_>) -> bool {
        let texts = record.texts();
        let is = |wanted: &Option<String>, field: Field| {
            wanted
                .as_ref()
                .is_none_or(|wanted| texts[field as usize] == Some(wanted.as_bytes()))
        };
        let time = record.time_us();
        self.kind
            .as_ref()
            .is_none_or(|kind| kind == record.kind().as_str())
            && is(&self.tenant, Field::Tenant)
            && is(&self.principal, Field::Principal)
            && is(&self.tool, Field::Tool)
            && is(&self.outcome, Field::Outcome)
            && is(&self.rule, Field::Rule)
            && (self.decision.is_none() || self.decision == record.decision())
            && self.from.is_none_or(|from| text::from_micros(time) >= from)
            && self.until.is_none_or(|until| text::from_micros(time) < until)
    }
}
