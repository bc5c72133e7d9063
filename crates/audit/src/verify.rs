//! Checking a log from nothing but its files and the public key.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::head::{HEAD, Head, HeadFault, MAX_HEAD};
use crate::key::PublicKey;
use crate::line::{Chain, LineFault, Parts};
use crate::lines::{Line, Lines};
use crate::record::Digest;
use crate::storage::{names, segment_name, segments};
use crate::text;

/// What to check against.
#[derive(Clone, Debug, Default)]
pub struct VerifyOptions {
    /// Keys whose checkpoints are believed: the current one, and former ones if the key was changed.
    pub keys: Vec<PublicKey>,
    /// A record noted at another place before, which the log must still contain. Finds a log that
    /// was put back as a whole to an older state, which nothing in the directory can show.
    pub anchor: Option<Anchor>,
    /// The log is being written at this time: half a line at its end is no fault.
    pub live: bool,
}

/// A record as a fixed point: see [`Report::last`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// Number of the record.
    pub seq: u64,
    /// Its hash.
    pub hash: [u8; 32],
}

/// What was found. The log is in order if [`first_bad`](Self::first_bad) is `None`.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Segments walked.
    pub segments: usize,
    /// Records in order, checkpoints among them.
    pub records: u64,
    /// Checkpoints among them, each with a good signature.
    pub checkpoints: u64,
    /// Number of the first record; 0 when there is none.
    pub first_seq: u64,
    /// The last record in order; note it elsewhere as an [`Anchor`].
    pub last: Option<Anchor>,
    /// Last record that a good signature covers.
    pub signed_through: u64,
    /// Records behind it. They are chained, but somebody who can write to the directory could
    /// have replaced or removed them.
    pub unsigned: u64,
    /// The log ends with the checkpoint of an orderly close, and the head says the same.
    pub closed: bool,
    /// The first bad record.
    pub first_bad: Option<Bad>,
}

/// A bad record and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bad {
    /// Name of the file in the directory.
    pub file: String,
    /// Line in it, from 1; 0 when it is the file as a whole.
    pub line: u64,
    /// Number the record at this place has or should have; 0 for the head.
    pub seq: u64,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Its hash is not the hash of its bytes.
    Changed,
    /// Not a line of this log at all.
    Malformed,
    /// The file ends in the middle of it.
    Torn,
    /// It is not there; the record with the number `found`, or the end, is in its place.
    Missing {
        /// What is there instead.
        found: Option<u64>,
    },
    /// It is there twice, or was moved here or put in between.
    Inserted,
    /// In itself in order, but not the record that its neighbours are chained to: it was replaced.
    Unlinked,
    /// A checkpoint with a wrong signature: a record behind the last good checkpoint was replaced,
    /// or the checkpoint itself.
    Signature {
        /// The last good checkpoint; 0 when there is none.
        good: u64,
    },
    /// A checkpoint signed by a key that was not given.
    ForeignKey,
    /// Not the record that the signed head, or the anchor, names.
    NotAsSigned,
    /// `head.json` is missing.
    HeadMissing,
    /// `head.json` is none.
    HeadForm,
    /// `head.json` was signed by another key, or changed.
    HeadSignature,
}

impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            line,
            seq,
            fault,
        } = self;
        write!(f, "{file}:{line}: ")?;
        match fault {
            Fault::Changed => write!(f, "record {seq} was changed: its hash does not fit"),
            Fault::Malformed => write!(f, "record {seq} is no line of an audit log"),
            Fault::Torn => write!(f, "record {seq} is cut off in the middle"),
            Fault::Missing { found: Some(found) } => {
                write!(f, "record {seq} is missing: here is record {found}")
            }
            Fault::Missing { found: None } => write!(f, "record {seq} is missing: the log ends before it"),
            Fault::Inserted => write!(
                f,
                "a record was inserted or repeated where record {seq} should be"
            ),
            Fault::Unlinked => write!(
                f,
                "record {seq} was replaced: its neighbours are chained to another"
            ),
            Fault::Signature { good } => write!(
                f,
                "checkpoint {seq} has a wrong signature: it or a record after {good} was replaced"
            ),
            Fault::ForeignKey => write!(f, "checkpoint {seq} was signed by a key that was not given"),
            Fault::NotAsSigned => write!(
                f,
                "record {seq} is not the one that the signed head or the anchor names"
            ),
            Fault::HeadMissing => write!(f, "the signed head is missing"),
            Fault::HeadForm => write!(f, "this is no signed head"),
            Fault::HeadSignature => write!(f, "the signed head was changed, or signed by another key"),
        }
    }
}

/// The files cannot be read; says nothing about the records.
#[derive(Debug, Error)]
#[error("{}: {error}", path.display())]
pub struct VerifyError {
    /// The file or directory.
    pub path: PathBuf,
    /// What the system said.
    pub error: io::Error,
}

/// Walks a log from its first record to its last. Needs memory for one line.
///
/// # Errors
/// Only if a file cannot be read; what is wrong with the records is in the report.
pub fn verify(dir: &Path, options: &VerifyOptions) -> Result<Report, VerifyError> {
    let failed = |path: &Path, error: io::Error| VerifyError {
        path: path.to_owned(),
        error,
    };
    let names = names(dir).map_err(|error| failed(dir, error))?;
    let head_path = dir.join(HEAD);
    let head = read_head(&head_path, &options.keys).map_err(|error| failed(&head_path, error))?;
    let mut walk = Walk::new(options, head.ok());
    for first in segments(&names) {
        let name = segment_name(first);
        let path = dir.join(&name);
        walk.segment(&name, &path).map_err(|error| failed(&path, error))?;
        if walk.report.first_bad.is_some() {
            break;
        }
    }
    walk.end();
    let mut report = walk.report;
    if report.first_bad.is_none()
        && let Err(fault) = head
    {
        report.first_bad = Some(Bad {
            file: HEAD.to_owned(),
            line: if fault == Fault::HeadMissing { 0 } else { 1 },
            seq: 0,
            fault,
        });
    }
    report.closed &= report.first_bad.is_none();
    Ok(report)
}

fn read_head(path: &Path, keys: &[PublicKey]) -> io::Result<Result<Head, Fault>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Err(Fault::HeadMissing)),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(MAX_HEAD).read_to_end(&mut bytes)?;
    if keys.is_empty() {
        return Ok(Err(Fault::HeadSignature));
    }
    Ok(Head::read(&bytes, keys).map_err(|fault| match fault {
        HeadFault::Form => Fault::HeadForm,
        HeadFault::ForeignKey | HeadFault::Signature => Fault::HeadSignature,
    }))
}

/// A line as far as the walk needs it after the line is gone.
#[derive(Clone, Debug)]
struct Seen {
    file: String,
    line: u64,
    seq: u64,
    prev: Digest,
    hash: Digest,
    /// A good signature covers it.
    sealed: bool,
}

struct Walk<'o> {
    options: &'o VerifyOptions,
    head: Option<Head>,
    report: Report,
    /// The last record that fits.
    last: Option<Seen>,
    /// One that does not; the next line tells which of the two is wrong.
    odd: Option<Seen>,
    /// Lines of the file at hand, and its name.
    place: (String, u64),
}

impl<'o> Walk<'o> {
    fn new(options: &'o VerifyOptions, head: Option<Head>) -> Self {
        Self {
            options,
            head,
            report: Report::default(),
            last: None,
            odd: None,
            place: (HEAD.to_owned(), 0),
        }
    }

    fn segment(&mut self, name: &str, path: &Path) -> io::Result<()> {
        let mut lines = Lines::new(File::open(path)?);
        // An empty one is what a rotation leaves that was stopped half way.
        let mut number = 0;
        while let Some(line) = lines.next()? {
            number += 1;
            if number == 1 {
                self.report.segments += 1;
            }
            self.place = (name.to_owned(), number);
            match line {
                Line::Whole(line) => self.line(line),
                Line::TooLong(_) => self.unreadable(Fault::Malformed),
                Line::Torn(_) if self.options.live => return Ok(()),
                Line::Torn(_) => self.unreadable(Fault::Torn),
            }
            if self.report.first_bad.is_some() {
                break;
            }
        }
        Ok(())
    }

    fn expected(&self) -> Option<Chain> {
        match (&self.last, self.head) {
            (Some(last), _) => Some(Chain {
                seq: last.seq,
                hash: last.hash,
            }),
            (None, Some(head)) => Some(head.base),
            (None, None) => None,
        }
    }

    fn unreadable(&mut self, fault: Fault) {
        if self.odd.is_some() {
            return self.settle(None);
        }
        let seq = self.expected().map_or(1, |chain| chain.seq + 1);
        self.bad_here(seq, fault);
    }

    fn bad_here(&mut self, seq: u64, fault: Fault) {
        let (file, line) = self.place.clone();
        self.report.first_bad = Some(Bad {
            file,
            line,
            seq,
            fault,
        });
    }

    fn line(&mut self, line: &[u8]) {
        let parts = match Parts::parse(line) {
            Ok(parts) => parts,
            Err(LineFault::Hash) => return self.unreadable(Fault::Changed),
            Err(LineFault::Form) => return self.unreadable(Fault::Malformed),
        };
        if self.odd.is_some() {
            return self.settle(Some(parts.prev));
        }
        let seen = Seen {
            file: self.place.0.clone(),
            line: self.place.1,
            seq: parts.seq,
            prev: parts.prev,
            hash: parts.hash,
            sealed: false,
        };
        let fits = match self.expected() {
            // Older than the base, but not removed yet, or no base is known: the chain begins here.
            Some(base) if self.last.is_none() && parts.seq <= base.seq => true,
            None => true,
            Some(before) => parts.seq == before.seq + 1 && parts.prev == before.hash,
        };
        if !fits {
            let sealed = parts.checkpoint.is_some_and(|signed| {
                let mut keys = self.options.keys.iter();
                keys.any(|key| signed.is_signed_by(key))
            });
            self.odd = Some(Seen { sealed, ..seen });
            return;
        }
        self.take(&parts, seen);
    }

    fn take(&mut self, parts: &Parts<'_>, mut seen: Seen) {
        if let Some(signed) = &parts.checkpoint {
            let Some(key) = self.options.keys.iter().find(|key| *key.bytes() == signed.key) else {
                return self.bad_here(parts.seq, Fault::ForeignKey);
            };
            if !signed.is_signed_by(key) {
                let good = self.report.signed_through;
                return self.bad_here(parts.seq, Fault::Signature { good });
            }
            seen.sealed = true;
        }
        let known = [
            self.head.map(|head| head.base),
            self.head.map(|head| head.last),
            self.options.anchor.map(|anchor| Chain {
                seq: anchor.seq,
                hash: anchor.hash,
            }),
        ];
        if known
            .iter()
            .flatten()
            .any(|known| known.seq == parts.seq && known.hash != parts.hash)
        {
            return self.bad_here(parts.seq, Fault::NotAsSigned);
        }
        if seen.sealed {
            self.report.checkpoints += 1;
            self.report.signed_through = parts.seq;
        }
        if self.report.records == 0 {
            self.report.first_seq = parts.seq;
        }
        self.report.records += 1;
        self.report.closed = parts.checkpoint.is_some_and(|signed| signed.close)
            && self.head.is_none_or(|head| head.last.seq == parts.seq);
        self.report.last = Some(Anchor {
            seq: parts.seq,
            hash: parts.hash,
        });
        self.last = Some(seen);
    }

    /// Tells which of two records that do not fit is the wrong one: the one that the next line is
    /// not chained to. `next` is what the next line is chained to.
    fn settle(&mut self, next: Option<Digest>) {
        let Some(odd) = self.odd.take() else { return };
        let before = self.expected().unwrap_or(Chain::START);
        let expected = before.seq + 1;
        // A good signature says as much as a next line.
        let next_knows_odd = odd.sealed || next == Some(odd.hash);
        let next_knows_last = next == Some(before.hash);
        let last = self.last.clone().filter(|last| !last.sealed);
        let (seen, seq, fault) = match last {
            // Two records for one place: the next line is chained to the right one.
            Some(last) if odd.prev == last.prev && next_knows_odd && !next_knows_last => {
                let seq = last.seq;
                (last, seq, Fault::Inserted)
            }
            // Somebody replaced the record before, and gave it a hash that fits.
            Some(last) if odd.seq == expected && next_knows_odd => {
                let seq = last.seq;
                (last, seq, Fault::Unlinked)
            }
            _ if odd.seq == expected => (odd, expected, Fault::Unlinked),
            _ if odd.seq < expected || next_knows_last => (odd, expected, Fault::Inserted),
            _ => {
                let found = Some(odd.seq);
                (odd, expected, Fault::Missing { found })
            }
        };
        self.report.first_bad = Some(Bad {
            file: seen.file,
            line: seen.line,
            seq,
            fault,
        });
    }

    fn end(&mut self) {
        if self.odd.is_some() {
            self.settle(None);
        }
        let last = self.expected().map_or(0, |chain| chain.seq);
        let must_reach = [
            self.head.map(|head| head.last.seq),
            self.options.anchor.map(|a| a.seq),
        ];
        let must_reach = must_reach.into_iter().flatten().max().unwrap_or(0);
        if self.report.first_bad.is_none() && last < must_reach {
            self.place.1 += 1;
            self.bad_here(last + 1, Fault::Missing { found: None });
        }
        if let Some(head) = self.head {
            self.report.signed_through = self.report.signed_through.max(head.last.seq.min(last));
        }
        let through = self.report.last.map_or(0, |last| last.seq);
        self.report.unsigned = through.saturating_sub(self.report.signed_through);
    }
}

impl fmt::Display for Anchor {
    /// `SEQ:HASH`, the form that [`Anchor::parse`] reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.seq, text::hex_string(&self.hash))
    }
}

impl Anchor {
    /// Reads `SEQ:HASH`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (seq, hash) = text.split_once(':')?;
        Some(Self {
            seq: text::decimal(seq.as_bytes())?,
            hash: text::unhex(hash.as_bytes())?,
        })
    }
}
