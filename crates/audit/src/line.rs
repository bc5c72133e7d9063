//! Lines of the log: how they are written, and the strict look at one that chain checks need.

use crate::key::{PublicKey, SigningKey};
use crate::record::{Copied, Digest, Field, sha256};
use crate::redact::{SecretKeys, redact};
use crate::text::{self, TIME_LEN, number};

/// Longest line that is read, in bytes with its end. Settings keep what is written below it.
pub(crate) const MAX_LINE: usize = 4 << 20;
/// What a checkpoint's signature covers before the bytes of its line.
pub(crate) const CHECKPOINT_CONTEXT: &[u8] = b"ferromcp-audit checkpoint v1\n";

const HASH: &[u8] = b",\"hash\":\"";
const PREV: &[u8] = b",\"prev\":\"";
const SIG: &[u8] = b",\"sig\":\"";
const KEY: &[u8] = b",\"key\":\"";
const TIME: &[u8] = b",\"time\":\"";
const KIND: &[u8] = b"\",\"kind\":\"";
const CHECKPOINT: &[u8] = b"checkpoint\"";

/// How arguments are stored.
#[derive(Clone, Debug)]
pub(crate) struct StoredArgs {
    pub(crate) secret: SecretKeys,
    pub(crate) max_bytes: usize,
}

/// Where the chain stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chain {
    /// Of the last record; 0 before the first.
    pub(crate) seq: u64,
    /// Of the last record; zeros before the first.
    pub(crate) hash: Digest,
}

impl Chain {
    pub(crate) const START: Self = Self {
        seq: 0,
        hash: [0; 32],
    };

    /// Appends the line of a record; returns the hash of its arguments.
    pub(crate) fn append(
        &mut self,
        out: &mut Vec<u8>,
        record: &Copied<'_>,
        stored: Option<&StoredArgs>,
        scratch: &mut Vec<u8>,
    ) -> Option<Digest> {
        let start = out.len();
        begin(out, self.seq + 1, record.time_us(), record.kind().as_str());
        if let Some(id) = record.request_id() {
            bytes(out, b",\"request_id\":\"", id);
        }
        if let Some(id) = record.trace_id() {
            bytes(out, b",\"trace_id\":\"", id);
        }
        let texts = record.texts();
        let field = |out: &mut Vec<u8>, key: &[u8], field: Field| {
            if let Some(value) = texts[field as usize] {
                string(out, key, value);
            }
        };
        field(out, b",\"door\":\"", Field::Door);
        field(out, b",\"tenant\":\"", Field::Tenant);
        field(out, b",\"principal\":\"", Field::Principal);
        field(out, b",\"client\":\"", Field::Client);
        field(out, b",\"method\":\"", Field::Method);
        field(out, b",\"tool\":\"", Field::Tool);
        field(out, b",\"source\":\"", Field::Source);
        let digest = record.args_digest();
        if let Some(digest) = &digest {
            bytes(out, b",\"args_sha256\":\"", digest);
        }
        if let (Some(stored), Some((args, length))) = (stored, record.args()) {
            scratch.clear();
            redact(scratch, args, length, &stored.secret, stored.max_bytes);
            string(out, b",\"args\":\"", scratch);
        }
        if let Some(decision) = record.decision() {
            string(out, b",\"decision\":\"", decision.as_str().as_bytes());
        }
        field(out, b",\"rule\":\"", Field::Rule);
        field(out, b",\"outcome\":\"", Field::Outcome);
        field(out, b",\"note\":\"", Field::Note);
        if record.count() > 0 {
            number(out, b",\"count\":", record.count());
        }
        number(out, b",\"latency_us\":", record.latency_us());
        number(out, b",\"bytes_in\":", record.bytes_in());
        number(out, b",\"bytes_out\":", record.bytes_out());
        bytes(out, PREV, &self.hash);
        self.end(out, start);
        digest
    }

    /// Appends a signed checkpoint.
    pub(crate) fn checkpoint(&mut self, out: &mut Vec<u8>, time_us: u64, why: &str, key: &SigningKey) {
        let start = out.len();
        begin(out, self.seq + 1, time_us, "checkpoint");
        string(out, b",\"note\":\"", why.as_bytes());
        bytes(out, KEY, key.public_key().bytes());
        bytes(out, PREV, &self.hash);
        let mut message = CHECKPOINT_CONTEXT.to_vec();
        message.extend_from_slice(&out[start..]);
        bytes(out, SIG, &key.sign(&message));
        self.end(out, start);
    }

    fn end(&mut self, out: &mut Vec<u8>, start: usize) {
        self.hash = sha256(&out[start..]);
        self.seq += 1;
        bytes(out, HASH, &self.hash);
        out.extend_from_slice(b"}\n");
    }
}

fn begin(out: &mut Vec<u8>, seq: u64, time_us: u64, kind: &str) {
    number(out, b"{\"seq\":", seq);
    out.extend_from_slice(TIME);
    text::timestamp(out, time_us);
    out.extend_from_slice(KIND);
    out.extend_from_slice(kind.as_bytes());
    out.push(b'"');
}

fn bytes(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    out.extend_from_slice(key);
    text::hex(out, value);
    out.push(b'"');
}

fn string(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    out.extend_from_slice(key);
    text::escaped(out, value);
    out.push(b'"');
}

/// What the chain needs of a line, taken from fixed places, so that no text in a record can
/// pretend to be one of these members.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts<'a> {
    pub(crate) seq: u64,
    pub(crate) time_us: u64,
    pub(crate) prev: Digest,
    pub(crate) hash: Digest,
    pub(crate) checkpoint: Option<Signed<'a>>,
}

/// The signed part of a checkpoint.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signed<'a> {
    covered: &'a [u8],
    pub(crate) key: [u8; 32],
    signature: [u8; 64],
    /// The last thing written on a close.
    pub(crate) close: bool,
}

/// Why a line is none of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LineFault {
    /// Not of the form of a line.
    Form,
    /// Its hash is not the hash of its bytes.
    Hash,
}

impl<'a> Parts<'a> {
    /// `line` is without its end.
    pub(crate) fn parse(line: &'a [u8]) -> Result<Self, LineFault> {
        let whole = line.strip_suffix(b"}").ok_or(LineFault::Form)?;
        let (body, hash) = take_back::<32>(whole, HASH)?;
        let (rest, signature) = match take_back::<64>(body, SIG) {
            Ok((rest, signature)) => (rest, Some(signature)),
            Err(_) => (body, None),
        };
        let (before, prev) = take_back::<32>(rest, PREV)?;
        let after = before.strip_prefix(b"{\"seq\":").ok_or(LineFault::Form)?;
        let digits = after
            .iter()
            .position(|byte| !byte.is_ascii_digit())
            .ok_or(LineFault::Form)?;
        let (seq, after) = after.split_at(digits);
        if seq.first() == Some(&b'0') {
            return Err(LineFault::Form);
        }
        let seq = text::decimal(seq).ok_or(LineFault::Form)?;
        let after = after.strip_prefix(TIME).ok_or(LineFault::Form)?;
        let (time, after) = after.split_at_checked(TIME_LEN).ok_or(LineFault::Form)?;
        let time_us = text::parse_timestamp(time).ok_or(LineFault::Form)?;
        let kind = after.strip_prefix(KIND).ok_or(LineFault::Form)?;
        if sha256(body) != hash {
            return Err(LineFault::Hash);
        }
        let checkpoint = match (kind.strip_prefix(CHECKPOINT), signature) {
            (Some(members), Some(signature)) => {
                let (note, key) = take_back::<32>(members, KEY)?;
                Some(Signed {
                    covered: rest,
                    key,
                    signature,
                    close: note == b",\"note\":\"close\"",
                })
            }
            (None, None) => None,
            _ => return Err(LineFault::Form),
        };
        Ok(Self {
            seq,
            time_us,
            prev,
            hash,
            checkpoint,
        })
    }
}

impl Signed<'_> {
    pub(crate) fn is_signed_by(&self, key: &PublicKey) -> bool {
        if self.key != *key.bytes() {
            return false;
        }
        let mut message = CHECKPOINT_CONTEXT.to_vec();
        message.extend_from_slice(self.covered);
        key.verifies(&message, &self.signature)
    }
}

/// Takes `KEY<hexadecimal>"` off the end.
fn take_back<'a, const N: usize>(text: &'a [u8], key: &[u8]) -> Result<(&'a [u8], [u8; N]), LineFault> {
    let take = || {
        let text = text.strip_suffix(b"\"")?;
        let (rest, value) = text.split_at_checked(text.len().checked_sub(2 * N)?)?;
        Some((rest.strip_suffix(key)?, text::unhex::<N>(value)?))
    };
    take().ok_or(LineFault::Form)
}
