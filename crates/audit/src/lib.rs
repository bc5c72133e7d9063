//! Audit: a record for every call, a ring of the recent past, a durable log that shows tampering.
//!
//! Owns: the record, its redaction, the queue between calls and writer, the log's segments, its
//! reader and its verifier. Must not know: the pipeline, tenants' rules, doors, tokio.
//!
//! Start reading at [`Audit`] and [`Record`]; then `queue.rs` (what a call pays for), `writer.rs` (what
//! happens to it) and [`verify`](verify()).
//!
//! # The directory
//!
//! | file | what |
//! |---|---|
//! | `audit-<20 digits>.jsonl` | a segment; the digits are the `seq` of its first line |
//! | `head.json` | the signed head |
//! | `audit.pub` | the public key, SubjectPublicKeyInfo in PEM; a convenience: who verifies brings a key |
//! | `sign.key` | only if no key was configured: the signing key |
//! | `torn-*.bin` | what recovery cut off the end of a log after a crash; not part of the log |
//! | `lock` | held by the writer |
//!
//! An empty segment is what a stopped rotation leaves, and counts as none.
//!
//! # A line
//!
//! A line is one JSON object in UTF-8, ended by `\n`, at most 4 MiB long, without white space between
//! members. The members come in this order; those in brackets are absent when there is nothing to say:
//! `seq, time, kind, [request_id], [trace_id], [door], [tenant], [principal], [client], [method], [tool], [source],
//! [args_sha256], [args], [decision], [rule], [outcome], [note], [count], latency_us, bytes_in, bytes_out, prev, hash`.
//!
//! - `seq`: 1 for the first record ever, one more each time, without a gap and over all segments.
//!   The order is the writer's: records of one thread keep theirs.
//! - `time`: RFC 3339, UTC, always 27 characters. The caller's clock; may go back.
//! - `kind`: `call`, `admin`, `reload`, `marker`, `begin` (a call is about to be carried out; repeated at the beginning of a
//!   segment while it runs); the log's own are `start`, `recovery` (after a stop without a close; `count` bytes were cut),
//!   `interrupted` (the call with this `request_id` began before the start and has no end: it may have run; with `count`, so
//!   many more), `dropped` (`count` records found no room), `resumed` (after a failure that `note` names), `retention`
//!   (`count` segments go) and `checkpoint`.
//! - `args_sha256`: over the bytes of the arguments as received. `args`: their text, redacted and bounded,
//!   as a string; if nothing was redacted or cut, its SHA-256 is `args_sha256`.
//! - `prev`: the `hash` of the record before, in any segment; 64 zeros for record 1.
//! - `hash`: SHA-256, lower-case hexadecimal, **over the bytes of the line from `{` up to and without
//!   `,"hash":"`**. `hash` is the last member, so that is the line without its last 75 bytes and its `\n`. It covers
//!   `prev` and everything else.
//!
//! A checkpoint is `{"seq":..,"time":..,"kind":"checkpoint","note":..,"key":..,"prev":..,"sig":..,"hash":..}`: `key` the public
//! key in hexadecimal, `sig` an Ed25519 signature (RFC 8032, hexadecimal) over the 29 bytes
//! `ferromcp-audit checkpoint v1\n` and the bytes of the line from `{` up to and without `,"sig":"`. Through `prev`
//! it vouches for every record before it. `note` says why it is there: `open`, `count`, `interval`, `rotate`,
//! `retention`, `close`. A segment that is not the last ends with one, and a log that was closed ends with
//! one whose note is `close`.
//!
//! # The head
//!
//! `head.json` is one line `{"v":1,"base_seq":..,"base_hash":..,"seq":..,"hash":..,"time":..,"key":..,"sig":..}`; `sig` is over
//! the 23 bytes `ferromcp-audit head v1\n` and the bytes from `{` up to and without `,"sig":"`. `seq` and `hash` are a
//! checkpoint that is durable, at the time of writing the last one. `base_seq` and `base_hash` are the last record
//! that retention let go (0 and zeros if none): the first line left continues from there. Lines up to the
//! base may still be there; they have to fit too.
//!
//! # What verification finds, and what it cannot
//!
//! Up to the head's checkpoint, every changed, removed, inserted, repeated, swapped or cut record is found,
//! and the first bad one is named. With a single change the record named is the changed one; if somebody
//! rewrote the chain behind a change up to a checkpoint, that checkpoint is named with the last good
//! one before it, and the bad record is between them.
//!
//! Behind the last checkpoint, records are chained but not signed. Changes that leave the chain broken are found there too,
//! but who can write to the directory could cut records off that end, or replace them and compute new
//! hashes. `checkpoint_records` and `checkpoint_interval` bound that part, and an orderly close leaves none.
//!
//! Who puts a whole older state of the directory back, head and all, cannot be found out from the
//! directory: note [`Report::last`] elsewhere and verify against it as an [`Anchor`]. Who has the signing key can forge anything.
//!
//! # Durability
//!
//! [`Durable`] is ready after `fdatasync` of the segment. A crash may lose or tear what was not durable; the
//! next start moves a torn end to a side file, says so in a `recovery` record, and goes on with the chain.
//! Damage that no crash explains is refused at the start, and left as it is.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod audit;
mod clock;
mod entry;
mod error;
mod handover;
mod head;
mod journal;
mod key;
mod line;
mod lines;
mod log;
mod queue;
mod read;
mod recent;
mod record;
mod recover;
mod redact;
mod sink;
mod storage;
mod text;
mod verify;
mod wait;
mod writer;

pub use audit::{Audit, AuditWriter, Config, Health, OnError, OnFull, State, StoreArgs};
pub use clock::{Clock, SystemClock};
pub use entry::{Entry, Filter};
pub use error::{ConfigError, KeyError, NotRecorded, OpenError, Unavailable};
pub use handover::{FORMAT, Handover, Heir};
pub use key::{PublicKey, SigningKey};
pub use log::LogLimits;
pub use queue::Ticket;
pub use read::{Entries, ReadError, query, tail};
pub use record::{Decision, Kind, MAX_FIELD_BYTES, Record};
pub use redact::{DEFAULT_SECRET_KEYS, NOT_JSON, REDACTED, SecretKeys};
pub use sink::Tap;
pub use storage::{Directory, LogFile, Storage};
pub use verify::{Anchor, Bad, Fault, Report, VerifyError, VerifyOptions, verify};
pub use wait::Durable;
