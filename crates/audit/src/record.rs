//! What a caller hands in, and the compact copy of it that waits for the writer.
//!
//! The copy is one fixed header and the bytes of the strings behind each other. Making it is all
//! that a call pays for; JSON, hashes and I/O are the writer's.

use std::time::{Duration, SystemTime};

use ring::digest;

use crate::text;

/// SHA-256.
pub(crate) type Digest = [u8; 32];

/// Longest text of one field in a line, in bytes. A longer one is cut and ends in a mark with its
/// full length.
pub const MAX_FIELD_BYTES: usize = 512;
/// Bytes that the mark of a cut may add.
const MARK_BYTES: usize = 48;

/// What kind of event a record is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// A request that reached a source, or was refused on the way.
    #[default]
    Call,
    /// A change through the admin API.
    Admin,
    /// A configuration was loaded, or refused.
    Reload,
    /// Anything else that the log has to show: start, drain, shutdown.
    Marker,
    /// A call that may have effects is about to be carried out. If its [`Call`](Self::Call) record, with the same request
    /// id, is missing after a crash, the next start says that it may have run.
    Begin,
}

/// What policy said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Let through.
    Allow,
    /// Refused by the rule in `rule`.
    Deny,
    /// Let through, and the rule in `rule` matched.
    Flag,
}

impl Decision {
    /// As written in a line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Flag => "flag",
        }
    }
}

/// One event, borrowed from whoever reports it. Texts longer than [`MAX_FIELD_BYTES`] are cut with
/// a mark; arguments are bounded by [`StoreArgs`](crate::StoreArgs).
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Kind of the event.
    pub kind: Kind,
    /// When it happened. Before 1970 counts as 1970, after 9999 as the end of 9999.
    pub time: SystemTime,
    /// Id of the request; all zeros when there is none.
    pub request_id: [u8; 16],
    /// W3C trace id.
    pub trace_id: Option<[u8; 16]>,
    /// Where it came in: `stdio`, `http`, `rest`, `grpc`, `admin`...
    pub door: &'a str,
    /// Tenant of the credential.
    pub tenant: Option<&'a str>,
    /// Who the credential names.
    pub principal: Option<&'a str>,
    /// What the client calls itself, or its address.
    pub client: Option<&'a str>,
    /// Method or operation: `tools/call`, `tenant.suspend`...
    pub method: Option<&'a str>,
    /// Name of what was called: tool, resource, prompt, or the subject of an admin change.
    pub tool: Option<&'a str>,
    /// Source that answered.
    pub source: Option<&'a str>,
    /// Arguments as received, raw JSON. Always hashed; stored only if configured.
    pub args: Option<&'a str>,
    /// What policy said; `None` where no policy was asked.
    pub decision: Option<Decision>,
    /// Stable id of the rule that refused or flagged.
    pub rule: Option<&'a str>,
    /// `ok` or an error code.
    pub outcome: &'a str,
    /// Free text of an admin change, a reload or a marker.
    pub note: Option<&'a str>,
    /// How long it took; written in whole microseconds.
    pub latency: Duration,
    /// Size of the request in bytes.
    pub bytes_in: u64,
    /// Size of the answer in bytes.
    pub bytes_out: u64,
}

impl<'a> Record<'a> {
    /// A record with nothing in it but these; fill the rest with struct update syntax.
    #[must_use]
    pub const fn new(kind: Kind, time: SystemTime, door: &'a str, outcome: &'a str) -> Self {
        Self {
            kind,
            time,
            request_id: [0; 16],
            trace_id: None,
            door,
            tenant: None,
            principal: None,
            client: None,
            method: None,
            tool: None,
            source: None,
            args: None,
            decision: None,
            rule: None,
            outcome,
            note: None,
            latency: Duration::ZERO,
            bytes_in: 0,
            bytes_out: 0,
        }
    }
}

/// Kinds as they are written: those of callers, and the log's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LineKind {
    Call,
    Admin,
    Reload,
    Marker,
    /// The log was opened.
    Start,
    /// The log was opened after a stop without a close; `count` bytes were cut off its tail.
    Recovery,
    /// `count` records found no room.
    Dropped,
    /// Writing works again after a failure.
    Resumed,
    /// Old segments go away.
    Retention,
    /// A call is about to be carried out.
    Begin,
    /// A call began before the log was opened and has no end.
    Interrupted,
}

impl LineKind {
    const ALL: [Self; 11] = [
        Self::Call,
        Self::Admin,
        Self::Reload,
        Self::Marker,
        Self::Start,
        Self::Recovery,
        Self::Dropped,
        Self::Resumed,
        Self::Retention,
        Self::Begin,
        Self::Interrupted,
    ];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Admin => "admin",
            Self::Reload => "reload",
            Self::Marker => "marker",
            Self::Start => "start",
            Self::Recovery => "recovery",
            Self::Dropped => "dropped",
            Self::Resumed => "resumed",
            Self::Retention => "retention",
            Self::Begin => "begin",
            Self::Interrupted => "interrupted",
        }
    }
}

impl From<Kind> for LineKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Call => Self::Call,
            Kind::Admin => Self::Admin,
            Kind::Reload => Self::Reload,
            Kind::Marker => Self::Marker,
            Kind::Begin => Self::Begin,
        }
    }
}

/// The texts of a record, in the order of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Door,
    Tenant,
    Principal,
    Client,
    Method,
    Tool,
    Source,
    Rule,
    Outcome,
    Note,
}

pub(crate) const FIELDS: usize = 10;
/// Bytes before the texts.
pub(crate) const HEADER: usize = 144;
const LENGTHS: usize = 80;
const ARGS: usize = 100;
const DIGEST: usize = 112;
/// A length that says: there is no such text.
const ABSENT: u16 = u16::MAX;
const HAS_TRACE: u8 = 1;
const HAS_ARGS: u8 = 2;
const HAS_DIGEST: u8 = 4;

/// How arguments are copied.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CopyRule {
    /// Up to this size arguments are copied whole, and the writer hashes them.
    pub(crate) whole: usize,
    /// Of larger ones, which the caller hashes, this many bytes are copied.
    pub(crate) prefix: usize,
}

/// A record ready to be copied: everything that needs no lock is done.
#[derive(Debug)]
pub(crate) struct Prepared<'r> {
    record: &'r Record<'r>,
    kind: LineKind,
    count: u64,
    args: &'r str,
    digest: Option<Digest>,
    texts: [Option<&'r str>; FIELDS],
    size: usize,
}

impl<'r> Prepared<'r> {
    pub(crate) fn new(record: &'r Record<'r>, rule: CopyRule) -> Self {
        Self::own(record, record.kind.into(), 0, rule)
    }

    /// For the log's own kinds.
    pub(crate) fn own(record: &'r Record<'r>, kind: LineKind, count: u64, rule: CopyRule) -> Self {
        let whole = record.args.unwrap_or("");
        let (args, digest) = if whole.len() <= rule.whole {
            (whole, None)
        } else {
            let end = whole.floor_char_boundary(rule.prefix);
            (&whole[..end], Some(sha256(whole.as_bytes())))
        };
        let texts = [
            Some(record.door),
            record.tenant,
            record.principal,
            record.client,
            record.method,
            record.tool,
            record.source,
            record.rule,
            Some(record.outcome),
            record.note,
        ];
        let mut size = HEADER + args.len();
        for text in texts.iter().flatten() {
            size += if text.len() <= MAX_FIELD_BYTES {
                text.len()
            } else {
                MAX_FIELD_BYTES + MARK_BYTES
            };
        }
        Self {
            record,
            kind,
            count,
            args,
            digest,
            texts,
            size,
        }
    }

    /// Upper bound of the bytes that [`copy`](Self::copy) appends.
    pub(crate) const fn size(&self) -> usize {
        self.size
    }

    pub(crate) fn copy(&self, out: &mut Vec<u8>) {
        let start = out.len();
        let record = self.record;
        let mut header = [0u8; HEADER];
        header[4] = self.kind as u8;
        header[5] = match record.decision {
            None => 0,
            Some(Decision::Allow) => 1,
            Some(Decision::Deny) => 2,
            Some(Decision::Flag) => 3,
        };
        header[8..16].copy_from_slice(&text::micros(record.time).to_le_bytes());
        let latency = u64::try_from(record.latency.as_micros()).unwrap_or(u64::MAX);
        header[16..24].copy_from_slice(&latency.to_le_bytes());
        header[24..32].copy_from_slice(&record.bytes_in.to_le_bytes());
        header[32..40].copy_from_slice(&record.bytes_out.to_le_bytes());
        header[40..48].copy_from_slice(&self.count.to_le_bytes());
        header[48..64].copy_from_slice(&record.request_id);
        let mut flags = 0;
        if let Some(trace) = &record.trace_id {
            flags |= HAS_TRACE;
            header[64..80].copy_from_slice(trace);
        }
        if let Some(args) = record.args {
            flags |= HAS_ARGS;
            header[ARGS..ARGS + 4].copy_from_slice(&(self.args.len() as u32).to_le_bytes());
            header[ARGS + 4..DIGEST].copy_from_slice(&(args.len() as u64).to_le_bytes());
        }
        if let Some(digest) = &self.digest {
            flags |= HAS_DIGEST;
            header[DIGEST..].copy_from_slice(digest);
        }
        header[6] = flags;
        out.extend_from_slice(&header);
        for (field, text) in self.texts.iter().enumerate() {
            let length = match text {
                None => ABSENT,
                Some(text) if text.len() <= MAX_FIELD_BYTES => {
                    out.extend_from_slice(text.as_bytes());
                    text.len() as u16
                }
                Some(text) => copy_cut(out, text),
            };
            let at = start + LENGTHS + 2 * field;
            out[at..at + 2].copy_from_slice(&length.to_le_bytes());
        }
        out.extend_from_slice(self.args.as_bytes());
        let total = (out.len() - start) as u32;
        out[start..start + 4].copy_from_slice(&total.to_le_bytes());
    }
}

#[cold]
fn copy_cut(out: &mut Vec<u8>, text: &str) -> u16 {
    let before = out.len();
    let end = text.floor_char_boundary(MAX_FIELD_BYTES);
    out.extend_from_slice(&text.as_bytes()[..end]);
    out.extend_from_slice("…[cut: ".as_bytes());
    out.extend_from_slice(itoa::Buffer::new().format(text.len()).as_bytes());
    out.extend_from_slice(b" bytes]");
    (out.len() - before) as u16
}

pub(crate) fn sha256(bytes: &[u8]) -> Digest {
    let mut value = [0; 32];
    value.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    value
}

/// A copied record, read in place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Copied<'a> {
    bytes: &'a [u8],
}

impl<'a> Copied<'a> {
    /// The first record in `bytes` and what is behind it.
    pub(crate) fn split(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let total = u32::from_le_bytes(*bytes.first_chunk::<4>()?) as usize;
        if total < HEADER {
            return None;
        }
        let (bytes, rest) = bytes.split_at_checked(total)?;
        Some((Self { bytes }, rest))
    }

    /// As it was copied.
    pub(crate) const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    fn word(&self, at: usize) -> u64 {
        let mut word = [0; 8];
        word.copy_from_slice(&self.bytes[at..at + 8]);
        u64::from_le_bytes(word)
    }

    pub(crate) fn kind(&self) -> LineKind {
        LineKind::ALL[usize::from(self.bytes[4]) % LineKind::ALL.len()]
    }

    pub(crate) fn decision(&self) -> Option<Decision> {
        match self.bytes[5] {
            1 => Some(Decision::Allow),
            2 => Some(Decision::Deny),
            3 => Some(Decision::Flag),
            _ => None,
        }
    }

    pub(crate) fn time_us(&self) -> u64 {
        self.word(8)
    }

    pub(crate) fn latency_us(&self) -> u64 {
        self.word(16)
    }

    /// When the call ended, in microseconds since 1970.
    pub(crate) fn ended_us(&self) -> u64 {
        self.time_us().saturating_add(self.latency_us())
    }

    pub(crate) fn bytes_in(&self) -> u64 {
        self.word(24)
    }

    pub(crate) fn bytes_out(&self) -> u64 {
        self.word(32)
    }

    pub(crate) fn count(&self) -> u64 {
        self.word(40)
    }

    pub(crate) fn request_id(&self) -> Option<&'a [u8]> {
        let id = &self.bytes[48..64];
        id.iter().any(|byte| *byte != 0).then_some(id)
    }

    /// The request id as it is copied; all zeros when there is none.
    pub(crate) fn id(&self) -> [u8; 16] {
        let mut id = [0; 16];
        id.copy_from_slice(&self.bytes[48..64]);
        id
    }

    pub(crate) fn trace_id(&self) -> Option<&'a [u8]> {
        (self.bytes[6] & HAS_TRACE != 0).then_some(&self.bytes[64..80])
    }

    fn length(&self, field: usize) -> u16 {
        let at = LENGTHS + 2 * field;
        u16::from_le_bytes([self.bytes[at], self.bytes[at + 1]])
    }

    /// All texts, by [`Field`].
    pub(crate) fn texts(&self) -> [Option<&'a [u8]>; FIELDS] {
        let mut at = HEADER;
        let mut texts = [None; FIELDS];
        for (field, text) in texts.iter_mut().enumerate() {
            let length = self.length(field);
            if length != ABSENT {
                let end = at + usize::from(length);
                *text = self.bytes.get(at..end);
                at = end;
            }
        }
        texts
    }

    /// The arguments, or as much as was copied, and their full length.
    pub(crate) fn args(&self) -> Option<(&'a [u8], u64)> {
        if self.bytes[6] & HAS_ARGS == 0 {
            return None;
        }
        let copied = u32::from_le_bytes([
            self.bytes[ARGS],
            self.bytes[ARGS + 1],
            self.bytes[ARGS + 2],
            self.bytes[ARGS + 3],
        ]) as usize;
        let start = self.bytes.len().checked_sub(copied)?;
        Some((&self.bytes[start..], self.word(ARGS + 4)))
    }

    pub(crate) fn args_digest(&self) -> Option<Digest> {
        let (args, _) = self.args()?;
        if self.bytes[6] & HAS_DIGEST == 0 {
            return Some(sha256(args));
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(&self.bytes[DIGEST..HEADER]);
        Some(digest)
    }

    /// The record without its arguments, whose hash takes their place; for the ring.
    pub(crate) fn keep(&self, out: &mut Vec<u8>, args_digest: Option<&Digest>) {
        let start = out.len();
        let copied = self.args().map_or(0, |(args, _)| args.len());
        let end = self.bytes.len() - copied;
        out.extend_from_slice(&self.bytes[..end]);
        out[start..start + 4].copy_from_slice(&(end as u32).to_le_bytes());
        out[start + ARGS..start + ARGS + 4].fill(0);
        if let Some(digest) = args_digest {
            out[start + 6] |= HAS_DIGEST;
            out[start + DIGEST..start + HEADER].copy_from_slice(digest);
        }
    }
}

#[cfg(test)]
mod tests;
