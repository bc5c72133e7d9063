//! Lines on their way to the sending thread, within a bound.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// Lines of one request at most, in bytes; a request is about twice as long.
const BATCH_BYTES: usize = 256 << 10;
/// And in number.
const BATCH_LINES: usize = 2048;

#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State>,
    capacity: usize,
    wake: Notify,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<u8>,
    /// Bytes of the batch that is being sent: they count as well.
    in_hand: usize,
    /// Lines lost that nobody was told of yet.
    lost: u64,
    /// Until when what is left may be sent.
    closed: Option<Instant>,
}

/// Lines for one request.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) lines: Vec<u8>,
    /// Lines lost before it.
    pub(crate) lost: u64,
}

pub(crate) fn count(lines: &[u8]) -> u64 {
    lines.iter().filter(|byte| **byte == b'\n').count() as u64
}

impl Queue {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            state: Mutex::default(),
            capacity,
            wake: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes as many whole lines as there is room for; returns how many there was none for.
    pub(crate) fn push(&self, lines: &[u8]) -> u64 {
        let mut state = self.lock();
        let room = self.capacity.saturating_sub(state.lines.len() + state.in_hand);
        let taken = whole_lines(lines, room);
        let was_empty = state.lines.is_empty();
        state.lines.extend_from_slice(&lines[..taken]);
        let lost = count(&lines[taken..]);
        state.lost += lost;
        let full = state.lines.len() >= BATCH_BYTES;
        drop(state);
        if was_empty || full {
            self.wake.notify_one();
        }
        lost
    }

    /// Nothing comes after this; what is there may be sent within `limit`.
    pub(crate) fn close(&self, limit: Duration) {
        self.lock().closed = Some(Instant::now() + limit);
        self.wake.notify_one();
    }

    /// Until when it goes on, once it is closed.
    pub(crate) fn closed(&self) -> Option<Instant> {
        self.lock().closed
    }

    /// Waits until it is closed and what was left has had its time.
    pub(crate) async fn time_is_up(&self) {
        loop {
            match self.closed() {
                Some(end) => return tokio::time::sleep_until(end.into()).await,
                None => self.wake.notified().await,
            }
        }
    }

    /// Waits until it is closed, or for `limit`.
    pub(crate) async fn pause(&self, limit: Duration) {
        let sleep = tokio::time::sleep(limit);
        tokio::pin!(sleep);
        while self.closed().is_none() {
            tokio::select! {
                () = &mut sleep => return,
                () = self.wake.notified() => {}
            }
        }
    }

    /// The next lines to send: at once when there are enough for a request, else after `gather`, in which more may come.
    /// `None` when it is closed and empty.
    pub(crate) async fn next(&self, gather: Duration) -> Option<Batch> {
        loop {
            let (waiting, closed) = {
                let state = self.lock();
                (state.lines.len(), state.closed.is_some())
            };
            match (waiting, closed) {
                (0, true) => return None,
                (0, false) => self.wake.notified().await,
                _ => break,
            }
        }
        let sleep = tokio::time::sleep(gather);
        tokio::pin!(sleep);
        loop {
            {
                let mut state = self.lock();
                if state.closed.is_some() || state.lines.len() >= BATCH_BYTES || sleep.is_elapsed() {
                    return Some(state.batch());
                }
            }
            tokio::select! {
                () = &mut sleep => {}
                () = self.wake.notified() => {}
            }
        }
    }

    /// The batch is done with; `lost` of its lines, and of those before it that it was to tell of, did not arrive.
    pub(crate) fn done(&self, lost: u64) {
        let mut state = self.lock();
        state.in_hand = 0;
        state.lost += lost;
    }

    /// Takes out everything, as lost; returns how many lines that are, with those nobody was told of.
    pub(crate) fn give_up(&self) -> u64 {
        let mut state = self.lock();
        let lines = std::mem::take(&mut state.lines);
        std::mem::take(&mut state.lost) + count(&lines)
    }
}

impl State {
    fn batch(&mut self) -> Batch {
        let mut end = whole_lines(&self.lines, BATCH_BYTES);
        if end == 0 {
            // One line that is longer than a batch.
            end = self
                .lines
                .iter()
                .position(|byte| *byte == b'\n')
                .map_or(self.lines.len(), |end| end + 1);
        }
        if let Some((last, _)) = self.lines[..end]
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'\n')
            .nth(BATCH_LINES - 1)
        {
            end = last + 1;
        }
        let rest = self.lines.split_off(end);
        let lines = std::mem::replace(&mut self.lines, rest);
        self.in_hand = lines.len();
        Batch {
            lines,
            lost: std::mem::take(&mut self.lost),
        }
    }
}

/// How many bytes of whole lines fit into `room`.
fn whole_lines(lines: &[u8], room: usize) -> usize {
    if lines.len() <= room {
        return lines.len();
    }
    lines[..room]
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |end| end + 1)
}

#[cfg(test)]
mod tests;
