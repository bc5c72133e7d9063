//! The second output: the same lines to any writer, on a thread of its own, so that a slow pipe
//! never holds up the log. Lines beyond the bound are dropped, counted, and the gap is marked.

use std::io::{self, Write};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::queue::Queue;

/// Bytes that may wait for the sink.
const MAX_PENDING: usize = 8 << 20;

/// An output beside the log that takes lines and never waits: for what sends them elsewhere. Dropped when the log is closed;
/// may then take a bounded time for what it still has.
pub trait Tap: Send {
    /// Takes whole lines, each ended by `\n`, and returns how many it had no room for. Called on the thread of the log: must
    /// not block.
    fn take(&mut self, lines: &[u8]) -> u64;
}

#[derive(Debug)]
pub(crate) struct Sink {
    shared: Arc<Shared>,
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct State {
    pending: Vec<u8>,
    dropped: u64,
    closed: bool,
}

impl State {
    fn mark_dropped(&mut self) {
        if self.dropped > 0 {
            let dropped = std::mem::take(&mut self.dropped);
            let mark = format!("{{\"kind\":\"sink_dropped\",\"count\":{dropped}}}\n");
            self.pending.extend_from_slice(mark.as_bytes());
        }
    }
}

fn lock(shared: &Shared) -> MutexGuard<'_, State> {
    shared.state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sink {
    pub(crate) fn start(output: Box<dyn Write + Send>, queue: Arc<Queue>) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("audit-sink".into())
            .spawn(move || write_all(&theirs, output))?;
        Ok(Self {
            shared,
            queue,
            thread: Some(thread),
        })
    }

    /// Hands over whole lines.
    pub(crate) fn push(&self, lines: &[u8]) {
        if lines.is_empty() {
            return;
        }
        let mut state = lock(&self.shared);
        if state.pending.len() + lines.len() > MAX_PENDING && !state.pending.is_empty() {
            let count = memchr::memchr_iter(b'\n', lines).count() as u64;
            state.dropped += count;
            self.queue.counts.sink_dropped.fetch_add(count, Ordering::Relaxed);
            return;
        }
        let was_empty = state.pending.is_empty();
        state.mark_dropped();
        state.pending.extend_from_slice(lines);
        drop(state);
        if was_empty {
            self.shared.wake.notify_one();
        }
    }
}

impl Drop for Sink {
    /// Writes what waits, and ends the thread.
    fn drop(&mut self) {
        let mut state = lock(&self.shared);
        state.mark_dropped();
        state.closed = true;
        drop(state);
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic of the sink was already reported by the panic hook.
            let _ = thread.join();
        }
    }
}

fn write_all(shared: &Shared, mut output: Box<dyn Write + Send>) {
    let mut batch = Vec::new();
    let mut failing = false;
    loop {
        let mut state = lock(shared);
        while state.pending.is_empty() && !state.closed {
            state = shared.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.pending.is_empty() {
            return;
        }
        std::mem::swap(&mut batch, &mut state.pending);
        drop(state);
        let result = output.write_all(&batch).and_then(|()| output.flush());
        match &result {
            Err(error) if !failing => tracing::warn!(%error, "the second audit output cannot be written"),
            _ => {}
        }
        failing = result.is_err();
        batch.clear();
        batch.shrink_to(1 << 20);
    }
}
