//! The recent past in memory.
//!
//! Only the writer adds; it puts whole chunks behind each other, so that a reader holds the lock
//! for no longer than it takes to note which chunks there are, and looks through them without it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::entry::{Entry, Filter};
use crate::record::{Copied, Digest};

/// A chunk is closed at this size, in bytes.
const CHUNK_BYTES: usize = 64 << 10;
/// Below this size, the next batch is put behind it in the same chunk.
const SMALL: usize = 8 << 10;
/// Bytes before each record: its number.
const PREFIX: usize = 8;

/// Ring of records without their arguments, bounded in records and in bytes.
#[derive(Debug)]
pub(crate) struct Recent {
    max_records: usize,
    max_bytes: usize,
    chunks: Mutex<Chunks>,
}

#[derive(Debug, Default)]
struct Chunks {
    list: VecDeque<Arc<Chunk>>,
    records: usize,
    bytes: usize,
}

#[derive(Clone, Debug, Default)]
struct Chunk {
    bytes: Vec<u8>,
    offsets: Vec<u32>,
}

/// What the writer is gathering.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    chunk: Chunk,
}

impl Chunk {
    fn size(&self) -> usize {
        self.bytes.len() + 4 * self.offsets.len()
    }

    fn get(&self, index: usize) -> Option<(u64, Copied<'_>)> {
        let at = *self.offsets.get(index)? as usize;
        let (seq, rest) = self.bytes.get(at..)?.split_first_chunk::<PREFIX>()?;
        let (record, _) = Copied::split(rest)?;
        Some((u64::from_le_bytes(*seq), record))
    }
}

impl Recent {
    pub(crate) fn new(max_records: usize, max_bytes: usize) -> Self {
        Self {
            max_records,
            max_bytes,
            chunks: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Chunks> {
        self.chunks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds to the batch; shows it when it is large.
    pub(crate) fn add(&self, batch: &mut Batch, seq: u64, record: &Copied<'_>, digest: Option<&Digest>) {
        if self.max_records == 0 {
            return;
        }
        let chunk = &mut batch.chunk;
        chunk.offsets.push(chunk.bytes.len() as u32);
        chunk.bytes.extend_from_slice(&seq.to_le_bytes());
        record.keep(&mut chunk.bytes, digest);
        // An eighth of the bound, so that letting go of a whole chunk is no great loss.
        if chunk.size() >= CHUNK_BYTES.min(self.max_bytes / 8) {
            self.show(batch);
        }
    }

    /// Makes the batch visible.
    pub(crate) fn show(&self, batch: &mut Batch) {
        let mut new = std::mem::take(&mut batch.chunk);
        if new.offsets.is_empty() {
            return;
        }
        let mut chunks = self.lock();
        if chunks
            .list
            .back()
            .is_some_and(|last| last.size() < SMALL.min(self.max_bytes / 8))
            && let Some(last) = chunks.list.pop_back()
        {
            chunks.records -= last.offsets.len();
            chunks.bytes -= last.size();
            let mut joined = Arc::unwrap_or_clone(last);
            let shift = joined.bytes.len() as u32;
            joined.offsets.extend(new.offsets.iter().map(|at| at + shift));
            joined.bytes.append(&mut new.bytes);
            new = joined;
        }
        new.bytes.shrink_to_fit();
        new.offsets.shrink_to_fit();
        chunks.records += new.offsets.len();
        chunks.bytes += new.size();
        chunks.list.push_back(Arc::new(new));
        while let Some(oldest) = chunks.list.front() {
            let (records, size) = (oldest.offsets.len(), oldest.size());
            // The oldest chunk stays while it holds one of the last `max_records`; a query passes
            // over the rest of it.
            if chunks.records - records < self.max_records && chunks.bytes <= self.max_bytes {
                break;
            }
            chunks.records -= records;
            chunks.bytes -= size;
            chunks.list.pop_front();
        }
    }

    /// Entries that match, from the newest to the oldest.
    pub(crate) fn query(&self, filter: &Filter) -> Vec<Entry> {
        let chunks: Vec<Arc<Chunk>> = self.lock().list.iter().cloned().collect();
        let limit = filter.limit.unwrap_or(usize::MAX);
        let mut entries = Vec::new();
        let all = chunks.iter().rev().flat_map(|chunk| {
            (0..chunk.offsets.len())
                .rev()
                .filter_map(|index| chunk.get(index))
        });
        for (seq, record) in all.take(self.max_records) {
            if entries.len() >= limit {
                break;
            }
            if filter.matches_copied(&record) {
                entries.push(Entry::copied(seq, &record, record.args_digest()));
            }
        }
        entries
    }

    #[cfg(test)]
    fn size(&self) -> (usize, usize) {
        let chunks = self.lock();
        (chunks.records, chunks.bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::record::{CopyRule, Decision, Kind, Prepared, Record};

    fn add(ring: &Recent, seq: u64, tenant: &str) {
        let record = Record {
            tenant: Some(tenant),
            args: Some("{}"),
            decision: Some(if seq.is_multiple_of(2) {
                Decision::Allow
            } else {
                Decision::Deny
            }),
            ..Record::new(
                Kind::Call,
                SystemTime::UNIX_EPOCH + Duration::from_secs(seq),
                "http",
                "ok",
            )
        };
        let mut bytes = Vec::new();
        Prepared::new(
            &record,
            CopyRule {
                whole: 100,
                prefix: 0,
            },
        )
        .copy(&mut bytes);
        let (copied, _) = Copied::split(&bytes).unwrap();
        let mut batch = Batch::default();
        ring.add(&mut batch, seq, &copied, copied.args_digest().as_ref());
        ring.show(&mut batch);
    }

    #[test]
    fn the_last_ones_stay_and_filters_find_them() {
        let ring = Recent::new(100, 1 << 20);
        for seq in 1..=1000 {
            add(&ring, seq, if seq % 3 == 0 { "a" } else { "b" });
        }
        let all = ring.query(&Filter::default());
        let seqs: Vec<u64> = all.iter().map(|entry| entry.seq).collect();
        assert_eq!(seqs, (901..=1000).rev().collect::<Vec<_>>());
        assert_eq!(
            all[0].args_sha256.as_deref(),
            Some("44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a")
        );
        let at = |seconds| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        let found = ring.query(&Filter {
            tenant: Some("a".into()),
            decision: Some(Decision::Allow),
            from: at(950),
            until: at(990),
            limit: Some(3),
            ..Filter::default()
        });
        let seqs: Vec<u64> = found.iter().map(|entry| entry.seq).collect();
        assert_eq!(seqs, [984, 978, 972]);
        assert!(found.iter().all(|entry| {
            Filter {
                tenant: Some("a".into()),
                ..Filter::default()
            }
            .matches(entry)
        }));
    }

    #[test]
    fn bytes_are_bounded_too() {
        let ring = Recent::new(1_000_000, 40_000);
        let tenant = "t".repeat(400);
        for seq in 1..=1000 {
            add(&ring, seq, &tenant);
            let (records, bytes) = ring.size();
            assert!(bytes <= 40_000, "{bytes}");
            assert!(seq < 40 || records >= 50 - 15, "{records}");
        }
        let ring = Recent::new(0, 40_000);
        add(&ring, 1, "a");
        assert_eq!(ring.query(&Filter::default()), []);
    }
}
