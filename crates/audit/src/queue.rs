//! Between the calls and the writer: sharded buffers of copied records.
//!
//! A thread always uses the same shard, so that its lock is free nearly always and is held for one
//! copy. The writer takes a shard's whole buffer and leaves an empty one.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;

use crate::error::{NotRecorded, Unavailable};
use crate::handover::Order;
use crate::record::{CopyRule, Prepared};
use crate::wait::Waiters;

/// Where a record stands in the queue: what to wait for until it is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    pub(crate) shard: usize,
    pub(crate) number: u64,
}

/// On a cache line of its own, and on none of its neighbour's that the processor fetches along.
#[derive(Debug)]
#[repr(align(128))]
struct Shard {
    state: Mutex<State>,
    room: Condvar,
    waiters: Waiters,
    /// Records of this shard that are durable.
    durable: AtomicU64,
}

#[derive(Debug)]
struct State {
    buffer: Vec<u8>,
    /// Records ever taken.
    taken: u64,
    /// Records that found no room since the writer last asked.
    dropped: u64,
    blocked: usize,
    closed: bool,
}

const HEALTHY: u8 = 0;
const FAILING: u8 = 1;
const CLOSED: u8 = 2;

#[derive(Debug)]
pub(crate) struct Queue {
    shards: Box<[Shard]>,
    capacity: usize,
    pub(crate) rule: CopyRule,
    /// Waits for records to become durable.
    pub(crate) progress: Waiters,
    phase: AtomicU8,
    /// Attempts to make records durable.
    attempts: AtomicU64,
    reason: Mutex<String>,
    writer: OnceLock<Thread>,
    sleeping: AtomicBool,
    urgent: AtomicBool,
    closing: AtomicBool,
    orders: Mutex<VecDeque<Order>>,
    pub(crate) counts: Counts,
}

impl std::fmt::Debug for Order {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Order")
    }
}

/// Counters for [`Health`](crate::Health).
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) written: AtomicU64,
    pub(crate) durable: AtomicU64,
    pub(crate) dropped: AtomicU64,
    pub(crate) failures: AtomicU64,
    pub(crate) sink_dropped: AtomicU64,
}

thread_local! {
    static HOME: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// A number for this thread, the same on every call.
fn home() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    HOME.with(|home| {
        if home.get() == usize::MAX {
            home.set(NEXT.fetch_add(1, Ordering::Relaxed) & (usize::MAX >> 1));
        }
        home.get()
    })
}

fn lock(mutex: &Mutex<State>) -> MutexGuard<'_, State> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Queue {
    pub(crate) fn new(shards: usize, capacity: usize, rule: CopyRule) -> Self {
        let shard = || Shard {
            state: Mutex::new(State {
                buffer: Vec::with_capacity(capacity),
                taken: 0,
                dropped: 0,
                blocked: 0,
                closed: false,
            }),
            room: Condvar::new(),
            waiters: Waiters::default(),
            durable: AtomicU64::new(0),
        };
        Self {
            shards: (0..shards).map(|_| shard()).collect(),
            capacity,
            rule,
            progress: Waiters::default(),
            phase: AtomicU8::new(HEALTHY),
            attempts: AtomicU64::new(0),
            reason: Mutex::default(),
            writer: OnceLock::new(),
            sleeping: AtomicBool::new(false),
            urgent: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            orders: Mutex::default(),
            counts: Counts::default(),
        }
    }

    pub(crate) const fn capacity(&self) -> usize {
        self.capacity
    }

    pub(crate) const fn shards(&self) -> usize {
        self.shards.len()
    }

    fn shard(&self) -> (usize, &Shard) {
        let index = home() % self.shards.len();
        (index, &self.shards[index])
    }

    /// Copies a record into this thread's shard. `wait`: waits for room as long as the log can be
    /// written. `count`: a record that is not taken counts as dropped.
    pub(crate) fn push(&self, record: &Prepared<'_>, wait: bool, count: bool) -> Result<Ticket, NotRecorded> {
        self.put(record.size(), wait, count, |buffer| record.copy(buffer))
    }

    /// Takes a record that was copied by another process.
    pub(crate) fn hand_in(&self, record: &[u8]) -> Result<Ticket, NotRecorded> {
        if record.len() > self.capacity {
            return Err(NotRecorded::Full);
        }
        self.put(record.len(), true, false, |buffer| {
            buffer.extend_from_slice(record);
        })
    }

    fn put(
        &self,
        size: usize,
        wait: bool,
        count: bool,
        copy: impl FnOnce(&mut Vec<u8>),
    ) -> Result<Ticket, NotRecorded> {
        let (index, shard) = self.shard();
        let mut state = lock(&shard.state);
        loop {
            if state.closed {
                return Err(NotRecorded::Closed);
            }
            if state.buffer.len() + size <= self.capacity {
                break;
            }
            if !wait || self.is_failing() {
                state.dropped += u64::from(count);
                if count {
                    self.counts.dropped.fetch_add(1, Ordering::Relaxed);
                }
                return Err(NotRecorded::Full);
            }
            state.blocked += 1;
            self.hurry();
            state = shard.room.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.blocked -= 1;
        }
        let before = state.buffer.len();
        copy(&mut state.buffer);
        state.taken += 1;
        let ticket = Ticket {
            shard: index,
            number: state.taken,
        };
        let after = state.buffer.len();
        drop(state);
        let half = self.capacity / 2;
        if before == 0 {
            self.rouse();
        } else if before < half && after >= half {
            self.hurry();
        }
        Ok(ticket)
    }

    /// Registers for room in this thread's shard unless a record of this size finds it now.
    pub(crate) fn register_for_room(
        &self,
        size: usize,
        slot: &mut Option<(usize, u64)>,
        waker: &std::task::Waker,
    ) -> bool {
        let (index, shard) = match slot {
            Some((index, _)) => (*index, &self.shards[*index]),
            None => self.shard(),
        };
        let state = lock(&shard.state);
        if state.closed || self.is_failing() || state.buffer.len() + size <= self.capacity {
            return true;
        }
        // Under the shard's lock, which the writer has to take before it wakes anybody.
        let id = shard.waiters.register(slot.map(|(_, id)| id), waker);
        drop(state);
        *slot = Some((index, id));
        self.hurry();
        false
    }

    pub(crate) fn forget_room(&self, slot: (usize, u64)) {
        self.shards[slot.0].waiters.forget(slot.1);
    }

    /// Takes what waits in a shard; `spare`, empty, takes its place. Returns how many records were
    /// ever taken, and how many were dropped since the last time.
    pub(crate) fn take(&self, index: usize, spare: &mut Vec<u8>) -> (u64, u64) {
        let shard = &self.shards[index];
        let mut state = lock(&shard.state);
        std::mem::swap(&mut state.buffer, spare);
        let dropped = std::mem::take(&mut state.dropped);
        let result = (state.taken, dropped);
        let blocked = state.blocked > 0;
        drop(state);
        if blocked {
            shard.room.notify_all();
        }
        if !spare.is_empty() {
            shard.waiters.wake();
        }
        result
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.shards.iter().all(|shard| {
            let state = lock(&shard.state);
            state.buffer.is_empty() && state.dropped == 0
        })
    }

    /// How many records each shard ever took.
    pub(crate) fn taken(&self) -> Vec<u64> {
        self.shards.iter().map(|shard| lock(&shard.state).taken).collect()
    }

    pub(crate) fn is_durable(&self, ticket: Ticket) -> bool {
        self.shards
            .get(ticket.shard)
            .is_some_and(|shard| shard.durable.load(Ordering::Acquire) >= ticket.number)
    }

    /// Says that so many records of a shard are durable; wakes nobody yet.
    pub(crate) fn set_durable(&self, index: usize, number: u64) {
        self.shards[index].durable.store(number, Ordering::Release);
    }

    pub(crate) fn attempts(&self) -> u64 {
        self.attempts.load(Ordering::Acquire)
    }

    /// An attempt to make records durable is over: whoever waits looks again.
    pub(crate) fn attempted(&self) {
        self.attempts.fetch_add(1, Ordering::AcqRel);
        self.progress.wake();
    }

    pub(crate) fn is_failing(&self) -> bool {
        self.phase.load(Ordering::Acquire) == FAILING
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.phase.load(Ordering::Acquire) == CLOSED
    }

    pub(crate) fn unavailable(&self) -> Unavailable {
        let reason = if self.is_closed() {
            "it was closed".to_owned()
        } else {
            self.reason.lock().unwrap_or_else(PoisonError::into_inner).clone()
        };
        Unavailable { reason }
    }

    pub(crate) fn set_failing(&self, reason: String) {
        *self.reason.lock().unwrap_or_else(PoisonError::into_inner) = reason;
        self.phase.store(FAILING, Ordering::Release);
        self.let_go();
    }

    pub(crate) fn set_healthy(&self) {
        self.phase.store(HEALTHY, Ordering::Release);
    }

    /// Whoever waits for room is not to wait for a disk.
    fn let_go(&self) {
        for shard in &self.shards {
            // With the lock, so that nobody is between looking at the phase and waiting.
            drop(lock(&shard.state));
            shard.room.notify_all();
            shard.waiters.wake();
        }
    }

    /// Takes no more records; the writer finishes what there is.
    pub(crate) fn close(&self) {
        for shard in &self.shards {
            lock(&shard.state).closed = true;
        }
        self.closing.store(true, Ordering::SeqCst);
        self.let_go();
        self.hurry();
    }

    /// The writer is gone, in order or not.
    pub(crate) fn finished(&self) {
        for shard in &self.shards {
            lock(&shard.state).closed = true;
        }
        self.phase.store(CLOSED, Ordering::Release);
        self.orders().clear();
        self.let_go();
        self.attempted();
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }

    pub(crate) fn orders(&self) -> MutexGuard<'_, VecDeque<Order>> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the writer if it sleeps because there was nothing to do.
    fn rouse(&self) {
        if self.sleeping.load(Ordering::SeqCst)
            && self.sleeping.swap(false, Ordering::SeqCst)
            && let Some(writer) = self.writer.get()
        {
            writer.unpark();
        }
    }

    /// Wakes the writer in any case: somebody waits, or a buffer is filling up.
    pub(crate) fn hurry(&self) {
        self.urgent.store(true, Ordering::SeqCst);
        if let Some(writer) = self.writer.get() {
            writer.unpark();
        }
    }

    /// For the writer: whether somebody hurried it since the last time.
    pub(crate) fn take_urgent(&self) -> bool {
        self.urgent.swap(false, Ordering::SeqCst)
    }

    pub(crate) fn is_urgent(&self) -> bool {
        self.urgent.load(Ordering::SeqCst)
    }

    /// For the writer, on its own thread.
    pub(crate) fn set_writer(&self, thread: Thread) {
        let _ = self.writer.set(thread);
    }

    pub(crate) fn set_sleeping(&self, sleeping: bool) {
        self.sleeping.store(sleeping, Ordering::SeqCst);
    }
}
