//! The log as the writer sees it: a chain, lines that wait, and the segments they go to.
//!
//! Lines that wait are kept until they are durable. After a failed write or sync the segment is
//! cut back to what was durable and the lines are written again: a page cache that failed to sync
//! once may have lost anything that was written since.

use std::io;
use std::time::Duration;

use crate::head::{HEAD, Head};
use crate::key::SigningKey;
use crate::line::{Chain, StoredArgs};
use crate::record::{Copied, Digest};
use crate::storage::{LogFile, Storage, segment_name};

/// Memory for waiting lines that is kept after it was needed, in bytes.
const KEEP_CAPACITY: usize = 4 << 20;

/// Bounds of segments, of what is kept, and of how long things may wait.
#[derive(Clone, Debug)]
pub struct LogLimits {
    /// A segment is closed when it has this many bytes: 4 KiB to 1 TiB.
    pub segment_bytes: u64,
    /// A segment is closed at this age, if it has a record: at least 1 s.
    pub segment_age: Duration,
    /// Most segments, with the open one: at least 2. The oldest go first.
    pub keep_segments: Option<usize>,
    /// Closed segments older than this go.
    pub keep_age: Option<Duration>,
    /// While all segments together have more bytes than this, the oldest closed one goes.
    pub keep_bytes: Option<u64>,
    /// A signed checkpoint comes after this many records: 1 to 1,000,000.
    pub checkpoint_records: u32,
    /// And at the latest this long after a record without one: at least 10 ms.
    pub checkpoint_interval: Duration,
    /// Records are made durable at the latest this long after the writer took them, unless
    /// somebody waits for them: up to 10 s.
    pub commit_delay: Duration,
    /// Pause between attempts while writing fails: 10 ms to 1 h.
    pub retry: Duration,
}

impl Default for LogLimits {
    /// Segments of 64 MiB or a day, everything kept, a checkpoint every 4096 records or 10 s, commit
    /// within 50 ms, an attempt every second.
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            segment_age: Duration::from_secs(86_400),
            keep_segments: None,
            keep_age: None,
            keep_bytes: None,
            checkpoint_records: 4096,
            checkpoint_interval: Duration::from_secs(10),
            commit_delay: Duration::from_millis(50),
            retry: Duration::from_secs(1),
        }
    }
}

/// A closed segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    pub(crate) first: u64,
    pub(crate) last: Chain,
    pub(crate) bytes: u64,
    /// Time of its last record.
    pub(crate) ended_us: u64,
}

/// The segments in a directory.
pub(crate) struct Store {
    pub(crate) storage: Box<dyn Storage>,
    pub(crate) key: SigningKey,
    pub(crate) limits: LogLimits,
    pub(crate) file: Box<dyn LogFile>,
    /// First record of the open segment.
    pub(crate) first: u64,
    /// Bytes of the open segment that are durable.
    pub(crate) length: u64,
    /// When the open segment began, in the time that ages are counted in.
    pub(crate) began_us: u64,
    pub(crate) closed: Vec<Segment>,
    /// What retention let go and could not remove yet.
    pub(crate) doomed: Vec<Segment>,
    /// The head as it is on the disk.
    pub(crate) head: Head,
    pub(crate) base: Chain,
    /// The last checkpoint.
    pub(crate) signed: Chain,
}

pub(crate) struct Log {
    pub(crate) chain: Chain,
    /// Lines that are not durable.
    pending: Vec<u8>,
    /// How many bytes of them are in the file.
    written: usize,
    /// The file may hold anything behind its durable length.
    broken: bool,
    stored: Option<StoredArgs>,
    scratch: Vec<u8>,
    /// Copies of the lines for the second output.
    tap: Option<Vec<u8>>,
    /// What the open segment repeats of the one before, in records and bytes: no reason to begin another one.
    pub(crate) carried: (u64, u64),
    pub(crate) store: Option<Store>,
}

impl Log {
    pub(crate) fn new(chain: Chain, store: Option<Store>, stored: Option<StoredArgs>, tap: bool) -> Self {
        Self {
            chain,
            pending: Vec::new(),
            written: 0,
            broken: false,
            stored,
            scratch: Vec::new(),
            tap: tap.then(Vec::new),
            carried: (0, 0),
            store,
        }
    }

    pub(crate) fn append(&mut self, record: &Copied<'_>) -> Option<Digest> {
        let start = self.pending.len();
        let digest = self
            .chain
            .append(&mut self.pending, record, self.stored.as_ref(), &mut self.scratch);
        self.copy_to_tap(start);
        digest
    }

    /// Appends what a new segment repeats of the one before.
    pub(crate) fn carry(&mut self, record: &Copied<'_>) {
        let before = self.pending.len();
        self.append(record);
        self.carried.0 += 1;
        self.carried.1 += (self.pending.len() - before) as u64;
    }

    /// Appends a checkpoint, where there is a key to sign it with.
    pub(crate) fn checkpoint(&mut self, time_us: u64, why: &str) {
        let start = self.pending.len();
        let Some(store) = &mut self.store else { return };
        self.chain.checkpoint(&mut self.pending, time_us, why, &store.key);
        store.signed = self.chain;
        self.copy_to_tap(start);
    }

    fn copy_to_tap(&mut self, start: usize) {
        if let Some(tap) = &mut self.tap {
            tap.extend_from_slice(&self.pending[start..]);
        }
    }

    /// The lines since the last call, for the second output.
    pub(crate) fn tapped(&mut self, take: impl FnOnce(&[u8])) {
        if let Some(tap) = &mut self.tap {
            take(tap);
            tap.clear();
            tap.shrink_to(KEEP_CAPACITY);
        }
    }

    /// Bytes that are not durable.
    pub(crate) const fn waiting(&self) -> usize {
        self.pending.len()
    }

    /// Records behind the last checkpoint.
    pub(crate) fn unsigned(&self) -> u64 {
        self.store
            .as_ref()
            .map_or(0, |store| self.chain.seq - store.signed.seq)
    }

    /// Hands what waits to the system, without waiting for the disk.
    pub(crate) fn write(&mut self) -> io::Result<()> {
        let Some(store) = &mut self.store else {
            self.pending.clear();
            return Ok(());
        };
        if self.broken {
            store.file.truncate(store.length)?;
            self.written = 0;
            self.broken = false;
        }
        if self.written < self.pending.len() {
            let result = store.file.append(&self.pending[self.written..]);
            self.broken = result.is_err();
            result?;
            self.written = self.pending.len();
        }
        Ok(())
    }

    /// Makes everything durable, and the head if there is a new checkpoint. After an error
    /// [`waiting`](Self::waiting) still tells whether the lines themselves are durable.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.write()?;
        let Some(store) = &mut self.store else {
            return Ok(());
        };
        if !self.pending.is_empty() {
            let result = store.file.sync();
            self.broken = result.is_err();
            result?;
            store.length += self.pending.len() as u64;
            self.pending.clear();
            self.pending.shrink_to(KEEP_CAPACITY);
            self.written = 0;
        }
        if store.head.last != store.signed || store.head.base != store.base {
            let head = Head {
                base: store.base,
                last: store.signed,
                time_us: store.head.time_us,
            };
            store.storage.replace(HEAD, &head.write(&store.key))?;
            store.head = head;
        }
        Ok(())
    }

    /// The time that the next head carries.
    pub(crate) fn set_time(&mut self, wall_us: u64) {
        if let Some(store) = &mut self.store {
            store.head.time_us = wall_us;
        }
    }

    /// Whether the open segment is to be closed. `age_us` is the time that ages are counted in.
    pub(crate) fn is_rotation_due(&self, age_us: u64) -> bool {
        let Some(store) = &self.store else {
            return false;
        };
        let bytes = (store.length + self.pending.len() as u64).saturating_sub(self.carried.1);
        let age = Duration::from_micros(age_us.saturating_sub(store.began_us));
        // Its own start and a checkpoint are no reason to begin another one.
        let has_records = self.chain.seq > store.first + 1 + self.carried.0;
        has_records && (bytes >= store.limits.segment_bytes || age >= store.limits.segment_age)
    }

    /// Closes the open segment with a checkpoint and begins the next one.
    pub(crate) fn rotate(&mut self, wall_us: u64, age_us: u64) -> io::Result<()> {
        self.checkpoint(wall_us, "rotate");
        self.sync()?;
        let Some(store) = &mut self.store else {
            return Ok(());
        };
        let first = self.chain.seq + 1;
        let name = segment_name(first);
        let opened = store.storage.open(&name).and_then(|file| {
            store.storage.sync_names()?;
            Ok(file)
        });
        let file = match opened {
            Ok(file) => file,
            Err(error) => {
                // It may have been made; empty, it would be in the way of nothing but a reader's eye.
                let _ = store.storage.remove(&name);
                return Err(error);
            }
        };
        store.closed.push(Segment {
            first: store.first,
            last: self.chain,
            bytes: store.length,
            ended_us: wall_us,
        });
        store.file = file;
        store.first = first;
        store.length = 0;
        store.began_us = age_us;
        self.carried = (0, 0);
        Ok(())
    }

    /// Lets go of segments beyond the bounds; returns how many, and the last record in them. What
    /// was let go is removed by [`remove_doomed`](Self::remove_doomed), after the log and the head say so.
    pub(crate) fn let_go(&mut self, age_us: u64) -> Option<(usize, u64)> {
        let store = self.store.as_mut()?;
        let limits = &store.limits;
        let mut bytes: u64 = store.closed.iter().map(|segment| segment.bytes).sum::<u64>() + store.length;
        let mut count = 0;
        while let Some(oldest) = store.closed.get(count) {
            let segments = store.closed.len() - count + 1;
            let age = Duration::from_micros(age_us.saturating_sub(oldest.ended_us));
            let goes = limits.keep_segments.is_some_and(|most| segments > most)
                || limits.keep_bytes.is_some_and(|most| bytes > most)
                || limits.keep_age.is_some_and(|most| age > most);
            if !goes {
                break;
            }
            bytes -= oldest.bytes;
            count += 1;
        }
        store.doomed.extend(store.closed.drain(..count));
        let last = store.doomed.last().filter(|_| count > 0)?.last;
        store.base = last;
        Some((count, last.seq))
    }

    /// Removes what was let go, as far as the head on the disk says that it is gone.
    pub(crate) fn remove_doomed(&mut self) -> io::Result<()> {
        let Some(store) = &mut self.store else {
            return Ok(());
        };
        if store.doomed.is_empty() {
            return Ok(());
        }
        while let Some(segment) = store.doomed.first() {
            if segment.last.seq > store.head.base.seq {
                break;
            }
            match store.storage.remove(&segment_name(segment.first)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => store.doomed.remove(0),
            };
        }
        store.storage.sync_names()
    }
}
