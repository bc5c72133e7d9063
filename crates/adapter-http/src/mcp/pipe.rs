//! What a running request says, on its way to the client.
//!
//! A request writes messages in; an event stream reads them out. In the modern era a message is
//! gone once it was read. In the legacy era it stays, so that a client that lost its connection can
//! ask for what came after the last event it saw.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use ferromcp_endpoint::{Opened, Outlet, Session};
use ferromcp_protocol::ProtocolVersion;
use futures_util::task::AtomicWaker;
use tokio::time::Instant;

/// Most messages of one request that are kept; the oldest go first.
const MAX_MESSAGES: usize = 1024;
/// The same in bytes. The answer itself may be larger.
const MAX_BYTES: usize = 4 << 20;

/// Bytes that all legacy streams together keep for clients that may come back.
#[derive(Debug)]
pub(crate) struct Budget {
    used: AtomicUsize,
    limit: usize,
}

impl Budget {
    pub(crate) const fn new(limit: usize) -> Self {
        Self {
            used: AtomicUsize::new(0),
            limit,
        }
    }

    /// Bytes that are kept now.
    #[cfg(test)]
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    fn has_room(&self, bytes: usize) -> bool {
        self.used.load(Ordering::Relaxed).saturating_add(bytes) <= self.limit
    }
}

/// What is known of a request once it runs.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) version: ProtocolVersion,
    pub(super) session: Option<Arc<Session>>,
}

/// The messages of one request.
pub(crate) struct Pipe {
    can_send: bool,
    state: Mutex<State>,
    /// Whoever waits for messages: the request's own task, later the reader of its stream.
    waker: AtomicWaker,
}

#[derive(Default)]
struct State {
    facts: Option<Facts>,
    messages: VecDeque<Vec<u8>>,
    /// Place of the first message that is still here; places count from 1.
    first: u64,
    /// Place of the next message to be read.
    next: u64,
    bytes: usize,
    /// Set while messages stay after they were read.
    kept: Option<Arc<Budget>>,
    /// The last message is in, since then.
    ended: Option<Instant>,
    /// The revision lets a client poll, so its stream may be closed although more is to come.
    polls: bool,
    /// It is to be closed so.
    released: bool,
    /// Counts readers; only the latest reads.
    reader: u32,
}

impl Pipe {
    pub(crate) fn new(can_send: bool) -> Arc<Self> {
        let state = State {
            first: 1,
            next: 1,
            ..State::default()
        };
        Arc::new(Self {
            can_send,
            state: Mutex::new(state),
            waker: AtomicWaker::new(),
        })
    }

    /// What is known of the request. Once: a stream that is kept must not hold its own session.
    pub(super) fn take_facts(&self) -> Option<Facts> {
        self.state().facts.take()
    }

    /// The request runs.
    pub(super) fn is_opened(&self) -> bool {
        self.state().facts.is_some()
    }

    /// Something is waiting to be streamed.
    pub(super) fn wants_stream(&self) -> bool {
        let state = self.state();
        !state.messages.is_empty() || state.released
    }

    /// The task to wake for the next message.
    pub(super) fn register(&self, cx: &Context<'_>) {
        self.waker.register(cx.waker());
    }

    /// From now on messages stay after they were read.
    pub(super) fn keep(&self, budget: &Arc<Budget>) {
        let mut state = self.state();
        budget.used.fetch_add(state.bytes, Ordering::Relaxed);
        state.kept = Some(Arc::clone(budget));
    }

    /// Puts the last message in, if there is one; it is never dropped for lack of room.
    pub(super) fn end(&self, last: Option<Vec<u8>>) {
        let mut state = self.state();
        if let Some(message) = last {
            state.make_room(message.len());
            state.push(message);
        }
        state.ended = Some(Instant::now());
        drop(state);
        self.waker.wake();
    }

    /// When the last message was put in.
    pub(super) fn ended(&self) -> Option<Instant> {
        self.state().ended
    }

    /// A new reader, from after place `last` on. An earlier reader finds its end.
    pub(super) fn attach(&self, last: u64) -> u32 {
        let mut state = self.state();
        state.reader = state.reader.wrapping_add(1);
        state.released &= last == 0;
        state.next = last.saturating_add(1).max(state.first);
        let reader = state.reader;
        drop(state);
        self.waker.wake();
        reader
    }

    /// The next message for this reader, framed with its place; `None` when no more will come to it.
    pub(super) fn read(
        &self,
        reader: u32,
        cx: &Context<'_>,
        frame: impl FnOnce(u64, &[u8]) -> Bytes,
    ) -> Poll<Option<Bytes>> {
        let mut state = self.state();
        if state.reader != reader {
            return Poll::Ready(None);
        }
        if let Some(framed) = state.take(frame) {
            return Poll::Ready(Some(framed));
        }
        if state.ended.is_some() || std::mem::take(&mut state.released) {
            return Poll::Ready(None);
        }
        // Under the lock, so that no message can slip in between the look and the registration.
        self.waker.register(cx.waker());
        Poll::Pending
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn push(&mut self, message: Vec<u8>) {
        self.bytes += message.len();
        if let Some(budget) = &self.kept {
            budget.used.fetch_add(message.len(), Ordering::Relaxed);
        }
        self.messages.push_back(message);
    }

    fn drop_first(&mut self) -> Option<Vec<u8>> {
        let message = self.messages.pop_front()?;
        self.first += 1;
        self.bytes -= message.len();
        if let Some(budget) = &self.kept {
            budget.used.fetch_sub(message.len(), Ordering::Relaxed);
        }
        Some(message)
    }

    /// Drops the oldest messages until one more of this size fits. False if it does not fit at all.
    fn make_room(&mut self, size: usize) -> bool {
        while !self.messages.is_empty()
            && (self.messages.len() >= MAX_MESSAGES || self.bytes.saturating_add(size) > MAX_BYTES)
        {
            self.drop_first();
        }
        // What was read already goes before anything new is refused.
        while self.kept.as_ref().is_some_and(|b| !b.has_room(size)) && self.first < self.next {
            if self.drop_first().is_none() {
                break;
            }
        }
        size <= MAX_BYTES && self.kept.as_ref().is_none_or(|b| b.has_room(size))
    }

    /// Frames the next message, which goes unless messages are kept.
    fn take(&mut self, frame: impl FnOnce(u64, &[u8]) -> Bytes) -> Option<Bytes> {
        let place = self.next.max(self.first);
        let index = usize::try_from(place - self.first).ok()?;
        let framed = frame(place, self.messages.get(index)?);
        self.next = place + 1;
        if self.kept.is_none() {
            self.drop_first();
        }
        Some(framed)
    }
}

impl Outlet for Pipe {
    fn opened(&self, request: &Opened<'_>) {
        let mut state = self.state();
        state.polls = self.can_send && request.session.is_some() && request.version.has_sse_polling();
        state.facts = Some(Facts {
            version: request.version,
            session: request.session.cloned(),
        });
    }

    fn can_send(&self) -> bool {
        self.can_send
    }

    fn send(&self, message: Vec<u8>) -> bool {
        if !self.can_send {
            return false;
        }
        let mut state = self.state();
        if state.ended.is_some() || !state.make_room(message.len()) {
            return false;
        }
        state.push(message);
        drop(state);
        self.waker.wake();
        true
    }

    fn release_stream(&self) {
        let mut state = self.state();
        if state.polls && state.ended.is_none() {
            state.released = true;
            drop(state);
            self.waker.wake();
        }
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(budget) = &state.kept {
            budget.used.fetch_sub(state.bytes, Ordering::Relaxed);
        }
    }
}

impl fmt::Debug for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("Pipe")
            .field("messages", &state.messages.len())
            .field("ended", &state.ended)
            .finish()
    }
}

#[cfg(test)]
mod tests;
