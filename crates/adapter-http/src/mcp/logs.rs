//! Streams of a legacy session that a client may come back to (2025-11-25 basic/transports,
//! "Resumability and Redelivery").

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use ferromcp_endpoint::Session;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::pipe::{Budget, Pipe};

/// How long a stream is kept after its last message.
const KEEP: Duration = Duration::from_secs(120);
/// Most ended streams that a session keeps.
const MAX_ENDED: usize = 64;
/// Bytes that all sessions together keep.
const MAX_BYTES: usize = 64 << 20;

/// All sessions that keep streams, so that one sweep can let go of old ones.
#[derive(Debug)]
pub(crate) struct Keeper {
    budget: Arc<Budget>,
    due: Mutex<VecDeque<(Instant, Weak<Session>)>>,
}

impl Default for Keeper {
    fn default() -> Self {
        Self {
            budget: Arc::new(Budget::new(MAX_BYTES)),
            due: Mutex::default(),
        }
    }
}

impl Keeper {
    /// Keeps the stream of a running request under a number that is new in its session.
    pub(super) fn keep(&self, session: &Arc<Session>, pipe: &Arc<Pipe>) -> Option<u64> {
        let logs = session.slot(Logs::default)?;
        pipe.keep(&self.budget);
        let (number, first) = logs.add(pipe);
        if first {
            lock(&self.due).push_back((Instant::now() + KEEP, Arc::downgrade(session)));
        }
        Some(number)
    }

    /// Lets go of streams that ended long ago.
    pub(crate) fn sweep(&self, now: Instant) {
        let mut due = lock(&self.due);
        while let Some((at, _)) = due.front()
            && *at <= now
        {
            let Some((_, session)) = due.pop_front() else {
                break;
            };
            if let Some(session) = session.upgrade()
                && let Some(logs) = session.slot(Logs::default)
                && logs.prune(now)
            {
                due.push_back((now + KEEP, Arc::downgrade(&session)));
            }
        }
    }
}

/// What one session keeps.
#[derive(Debug, Default)]
pub(super) struct Logs(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    last: u64,
    streams: VecDeque<(u64, Arc<Pipe>)>,
    /// The session stands in the keeper's queue.
    queued: bool,
    /// Ends the stream that GET opened last.
    standalone: Option<CancellationToken>,
}

impl Logs {
    /// The streams of a session.
    pub(super) fn of(session: &Session) -> Option<&Self> {
        session.slot(Self::default)
    }

    fn add(&self, pipe: &Arc<Pipe>) -> (u64, bool) {
        let mut kept = lock(&self.0);
        if kept.streams.len() >= MAX_ENDED
            && let Some(oldest) = kept.streams.iter().position(|(_, p)| p.ended().is_some())
        {
            kept.streams.remove(oldest);
        }
        kept.last += 1;
        let number = kept.last;
        kept.streams.push_back((number, Arc::clone(pipe)));
        (number, !std::mem::replace(&mut kept.queued, true))
    }

    /// Finds a stream.
    pub(super) fn find(&self, number: u64) -> Option<Arc<Pipe>> {
        lock(&self.0)
            .streams
            .iter()
            .find(|(n, _)| *n == number)
            .map(|(_, pipe)| Arc::clone(pipe))
    }

    /// Drops streams that ended long ago; true if there are others.
    fn prune(&self, now: Instant) -> bool {
        let mut kept = lock(&self.0);
        kept.streams
            .retain(|(_, pipe)| pipe.ended().is_none_or(|at| now.duration_since(at) < KEEP));
        kept.queued = !kept.streams.is_empty();
        kept.queued
    }

    /// Takes the place of the stream that an earlier GET opened: the client has lost that one, or
    /// it would not ask again, and no message may go out twice.
    pub(super) fn take_over(&self) -> CancellationToken {
        let token = CancellationToken::new();
        if let Some(before) = lock(&self.0).standalone.replace(token.clone()) {
            before.cancel();
        }
        token
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
