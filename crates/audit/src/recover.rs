//! Opening a directory: what a crash left is put in order, what no crash leaves is refused.
//!
//! Everything up to the head's checkpoint was durable, and closed segments were durable as a whole.
//! So only the end of the last segment, behind that checkpoint, can be torn. That end is moved to
//! a side file. Anything else that does not fit was done by something other than a crash.

use std::io::{self, Read};
use std::path::Path;

use crate::error::OpenError;
use crate::head::{HEAD, Head, HeadFault, MAX_HEAD};
use crate::journal::Journal;
use crate::key::{PublicKey, SigningKey};
use crate::line::{Chain, LineFault, Parts};
use crate::lines::{Line, Lines};
use crate::log::{LogLimits, Segment, Store};
use crate::storage::{Storage, segment_name, segments};
use crate::verify::{Bad, Fault};

/// How much of a side file is copied at a time.
const COPY: usize = 1 << 20;

/// A closed segment ends with a checkpoint, and that is shorter than this, in bytes.
const LAST_LINE: u64 = 4096;

/// A log that can be written on.
pub(crate) struct Opened {
    pub(crate) store: Store,
    pub(crate) chain: Chain,
    pub(crate) found: Found,
    /// Calls that began and have no end.
    pub(crate) interrupted: Journal,
}

/// How the last writer left the log.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Nothing,
    Closed,
    /// It was not closed; so many bytes were moved to this side file.
    Unclosed {
        bytes: u64,
        side: Option<String>,
    },
}

/// Errors that become an [`OpenError`] when the directory is known.
enum Failure {
    Io(String, io::Error),
    Bad(Box<Bad>),
}

type Step<T> = Result<T, Failure>;

fn at<T>(what: &str, result: io::Result<T>) -> Step<T> {
    result.map_err(|error| Failure::Io(what.to_owned(), error))
}

fn bad(file: &str, line: u64, seq: u64, fault: Fault) -> Failure {
    Failure::Bad(Box::new(Bad {
        file: file.to_owned(),
        line,
        seq,
        fault,
    }))
}

/// Opens the log in `storage`. `now_us` is the time of a log that begins.
pub(crate) fn open(
    dir: &Path,
    storage: Box<dyn Storage>,
    key: SigningKey,
    limits: LogLimits,
    now_us: u64,
) -> Result<Opened, OpenError> {
    recover(storage, key, limits, now_us).map_err(|failure| match failure {
        Failure::Io(what, error) => OpenError::Io {
            dir: dir.to_owned(),
            what,
            error,
        },
        Failure::Bad(bad) => OpenError::Damaged {
            dir: dir.to_owned(),
            bad,
        },
    })
}

fn recover(mut storage: Box<dyn Storage>, key: SigningKey, limits: LogLimits, now_us: u64) -> Step<Opened> {
    let names = at("listing files", storage.list())?;
    let mut firsts = segments(&names);
    drop_empty(storage.as_mut(), &mut firsts)?;
    let head = match read_head(storage.as_ref(), &names, &key.public_key())? {
        Some(head) => head,
        None if firsts.is_empty() => {
            let head = Head {
                base: Chain::START,
                last: Chain::START,
                time_us: now_us,
            };
            at("writing head.json", storage.replace(HEAD, &head.write(&key)))?;
            head
        }
        None => return Err(bad(HEAD, 1, 0, Fault::HeadMissing)),
    };
    let closed = closed_segments(storage.as_ref(), &firsts)?;
    let (doomed, closed): (Vec<_>, Vec<_>) = closed
        .into_iter()
        .partition(|segment| segment.last.seq <= head.base.seq);
    let before = closed.last().map_or(head.base, |segment| segment.last);
    let tail = match firsts.last() {
        Some(first) => Tail::scan(storage.as_ref(), *first, before, &head)?,
        None => Tail::empty(before),
    };
    if tail.chain.seq < head.last.seq {
        let file = segment_name(firsts.last().copied().unwrap_or(before.seq + 1));
        let seq = tail.chain.seq + 1;
        return Err(bad(&file, tail.lines + 1, seq, Fault::Missing { found: None }));
    }
    let side = if tail.torn > 0 {
        Some(move_tail(storage.as_mut(), &names, &tail)?)
    } else {
        None
    };
    let first = firsts.last().copied().unwrap_or(tail.chain.seq + 1);
    let mut file = at("opening the segment", storage.open(&segment_name(first)))?;
    at("cutting the segment", file.truncate(tail.good))?;
    at("syncing the segment", file.sync())?;
    at("syncing the directory", storage.sync_names())?;
    let found = if tail.chain.seq == 0 && tail.torn == 0 {
        Found::Nothing
    } else if tail.closed && tail.torn == 0 {
        Found::Closed
    } else {
        Found::Unclosed {
            bytes: tail.torn,
            side,
        }
    };
    let interrupted = interrupted(storage.as_ref(), &found, &firsts, (first, tail.good))?;
    let store = Store {
        storage,
        key,
        limits,
        file,
        first,
        length: tail.good,
        began_us: tail.began_us.unwrap_or(now_us),
        closed,
        doomed,
        head,
        base: head.base,
        signed: if tail.signed.seq > head.last.seq {
            tail.signed
        } else {
            head.last
        },
    };
    Ok(Opened {
        store,
        chain: tail.chain,
        found,
        interrupted,
    })
}

/// Calls without an end. `open` is the last segment and how much of it is in order.
fn interrupted(storage: &dyn Storage, found: &Found, firsts: &[u64], open: (u64, u64)) -> Step<Journal> {
    let mut calls = Journal::default();
    // A segment repeats what was running at its beginning; only a crash can leave one without all of it.
    if let (Found::Unclosed { .. }, [.., before, _]) = (found, firsts) {
        let name = segment_name(*before);
        at(&name, calls.read(storage, &name, u64::MAX))?;
    }
    let name = segment_name(open.0);
    at(&name, calls.read(storage, &name, open.1))?;
    Ok(calls)
}

/// A rotation that a crash or an error stopped leaves an empty segment.
fn drop_empty(storage: &mut dyn Storage, firsts: &mut Vec<u64>) -> Step<()> {
    let mut kept = Vec::with_capacity(firsts.len());
    for first in firsts.drain(..) {
        let name = segment_name(first);
        if at(&name, storage.size(&name))? == 0 {
            at(&name, storage.remove(&name))?;
        } else {
            kept.push(first);
        }
    }
    *firsts = kept;
    Ok(())
}

fn read_head(storage: &dyn Storage, names: &[String], own: &PublicKey) -> Step<Option<Head>> {
    if !names.iter().any(|name| name == HEAD) {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    let mut input = at("reading head.json", storage.read(HEAD, 0))?.take(MAX_HEAD);
    at("reading head.json", input.read_to_end(&mut bytes))?;
    // A head of a former key is taken at its word: who changes the key knows the old one.
    let keys = match Head::names_key(&bytes) {
        Some(key) if key == *own => vec![key],
        _ => Vec::new(),
    };
    match Head::read(&bytes, &keys) {
        Ok(head) => Ok(Some(head)),
        Err(HeadFault::Form) => Err(bad(HEAD, 1, 0, Fault::HeadForm)),
        Err(_) => Err(bad(HEAD, 1, 0, Fault::HeadSignature)),
    }
}

/// All segments but the last, from their last lines.
fn closed_segments(storage: &dyn Storage, firsts: &[u64]) -> Step<Vec<Segment>> {
    let mut closed: Vec<Segment> = Vec::new();
    for pair in firsts.windows(2) {
        let name = segment_name(pair[0]);
        let bytes = at(&name, storage.size(&name))?;
        let from = bytes.saturating_sub(LAST_LINE);
        let mut text = Vec::new();
        at(
            &name,
            at(&name, storage.read(&name, from))?.read_to_end(&mut text),
        )?;
        let last = text
            .strip_suffix(b"\n")
            .map(|text| memchr::memrchr(b'\n', text).map_or(text, |end| &text[end + 1..]));
        let parts = last.and_then(|line| Parts::parse(line).ok());
        let Some(parts) = parts else {
            return Err(bad(&name, 0, pair[1].saturating_sub(1), Fault::Malformed));
        };
        if parts.seq + 1 != pair[1] {
            let missing = Fault::Missing { found: Some(pair[1]) };
            return Err(bad(&segment_name(pair[1]), 1, parts.seq + 1, missing));
        }
        closed.push(Segment {
            first: pair[0],
            last: Chain {
                seq: parts.seq,
                hash: parts.hash,
            },
            bytes,
            ended_us: parts.time_us,
        });
    }
    Ok(closed)
}

/// The last segment.
struct Tail {
    name: String,
    chain: Chain,
    signed: Chain,
    /// Bytes that are in order.
    good: u64,
    /// Bytes behind them.
    torn: u64,
    lines: u64,
    closed: bool,
    began_us: Option<u64>,
}

impl Tail {
    fn empty(before: Chain) -> Self {
        Self {
            name: segment_name(before.seq + 1),
            chain: before,
            signed: Chain::START,
            good: 0,
            torn: 0,
            lines: 0,
            // Nothing but a rotation or the beginning ends like this.
            closed: true,
            began_us: None,
        }
    }

    fn scan(storage: &dyn Storage, first: u64, before: Chain, head: &Head) -> Step<Self> {
        let name = segment_name(first);
        let mut tail = Self {
            name: name.clone(),
            closed: false,
            ..Self::empty(before)
        };
        // When the segments before it were let go but its own beginning was, too, it hangs on nothing.
        let hangs = first == before.seq + 1;
        if !hangs && first > before.seq {
            let missing = Fault::Missing { found: Some(first) };
            return Err(bad(&name, 1, before.seq + 1, missing));
        }
        if !hangs {
            tail.chain.seq = first - 1;
        }
        let mut lines = Lines::new(at(&name, storage.read(&name, 0))?);
        loop {
            let good = lines.consumed();
            let expected = tail.chain.seq + 1;
            let fault = match at(&name, lines.next())? {
                None => break,
                Some(Line::Whole(line)) => match Parts::parse(line) {
                    Ok(parts) => match tail.take(&parts, hangs || tail.lines > 0, head) {
                        None => continue,
                        Some(fault) => fault,
                    },
                    Err(LineFault::Hash) => Fault::Changed,
                    Err(LineFault::Form) => Fault::Malformed,
                },
                Some(Line::TooLong(_)) => Fault::Malformed,
                Some(Line::Torn(_)) => Fault::Torn,
            };
            if expected <= head.last.seq {
                return Err(bad(&name, tail.lines + 1, expected, fault));
            }
            tail.good = good;
            tail.torn = at(&name, storage.size(&name))?.saturating_sub(good);
            tail.closed = false;
            return Ok(tail);
        }
        tail.good = lines.consumed();
        Ok(tail)
    }

    fn take(&mut self, parts: &Parts<'_>, linked: bool, head: &Head) -> Option<Fault> {
        if parts.seq != self.chain.seq + 1 {
            return Some(Fault::Missing {
                found: Some(parts.seq),
            });
        }
        if linked && parts.prev != self.chain.hash {
            return Some(Fault::Unlinked);
        }
        if parts.seq == head.last.seq && parts.hash != head.last.hash {
            return Some(Fault::NotAsSigned);
        }
        self.chain = Chain {
            seq: parts.seq,
            hash: parts.hash,
        };
        self.lines += 1;
        self.began_us.get_or_insert(parts.time_us);
        self.closed = parts.checkpoint.is_some_and(|signed| signed.close);
        if parts.checkpoint.is_some() {
            self.signed = self.chain;
        }
        None
    }
}

/// Copies the torn end into a file of its own, durably; returns its name.
fn move_tail(storage: &mut dyn Storage, names: &[String], tail: &Tail) -> Step<String> {
    let seq = tail.chain.seq + 1;
    let mut number = 1;
    let side = loop {
        let side = format!("torn-{seq:020}-{number}.bin");
        if !names.contains(&side) {
            break side;
        }
        number += 1;
    };
    let mut input = at(&tail.name, storage.read(&tail.name, tail.good))?;
    let mut file = at(&side, storage.open(&side))?;
    let mut block = vec![0; COPY];
    loop {
        let count = at(&tail.name, input.read(&mut block))?;
        if count == 0 {
            break;
        }
        at(&side, file.append(&block[..count]))?;
    }
    at(&side, file.sync())?;
    at("syncing the directory", storage.sync_names())?;
    Ok(side)
}
