//! Where legacy HTTP sessions are kept (architecture invariant 11: behind a small trait, with an
//! embedded default).

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::session::Session;

/// There is no room for one more session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreFull {
    /// The limit.
    pub limit: usize,
}

impl fmt::Display for StoreFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there are {} open sessions, which is the limit", self.limit)
    }
}

impl std::error::Error for StoreFull {}

/// Keeps sessions by id.
pub trait SessionStore: Send + Sync + 'static {
    /// Adds a session.
    fn insert(&self, session: Arc<Session>) -> Result<(), StoreFull>;
    /// Finds a session.
    fn get(&self, id: &str) -> Option<Arc<Session>>;
    /// Takes a session out.
    fn remove(&self, id: &str) -> Option<Arc<Session>>;
    /// Takes out all sessions for which `dead` is true.
    fn sweep(&self, dead: &dyn Fn(&Session) -> bool) -> Vec<Arc<Session>>;
    /// Shows all sessions.
    fn each(&self, look: &mut dyn FnMut(&Session));
    /// How many there are.
    fn len(&self) -> usize;
    /// True if there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

const SHARDS: usize = 16;

type Shard = Mutex<HashMap<Box<str>, Arc<Session>>>;

/// Sessions in the memory of this process, in shards so that cores seldom meet at a lock.
pub struct MemoryStore {
    shards: [Shard; SHARDS],
    count: AtomicUsize,
    limit: usize,
}

impl MemoryStore {
    /// A store for at most `limit` sessions.
    pub fn new(limit: usize) -> Self {
        Self {
            shards: Default::default(),
            count: AtomicUsize::new(0),
            limit,
        }
    }

    fn shard(&self, id: &str) -> &Shard {
        // Ids are random, so their last byte is as good as a hash.
        let last = id.as_bytes().last().copied().unwrap_or_default();
        &self.shards[usize::from(last) % SHARDS]
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("len", &self.len())
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

impl SessionStore for MemoryStore {
    fn insert(&self, session: Arc<Session>) -> Result<(), StoreFull> {
        let room = self
            .count
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| {
                (n < self.limit).then_some(n + 1)
            });
        if room.is_err() {
            return Err(StoreFull { limit: self.limit });
        }
        let before = lock(self.shard(session.id())).insert(session.id().into(), session);
        if before.is_some() {
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
        Ok(())
    }

    fn get(&self, id: &str) -> Option<Arc<Session>> {
        lock(self.shard(id)).get(id).map(Arc::clone)
    }

    fn remove(&self, id: &str) -> Option<Arc<Session>> {
        let found = lock(self.shard(id)).remove(id)?;
        self.count.fetch_sub(1, Ordering::Relaxed);
        Some(found)
    }

    fn sweep(&self, dead: &dyn Fn(&Session) -> bool) -> Vec<Arc<Session>> {
        let mut taken = Vec::new();
        for shard in &self.shards {
            let mut shard = lock(shard);
            taken.extend(
                shard
                    .extract_if(|_, session| dead(session))
                    .map(|(_, session)| session),
            );
            // Memory of a burst goes back.
            if shard.capacity() > 64 && shard.len() * 4 < shard.capacity() {
                shard.shrink_to_fit();
            }
        }
        self.count.fetch_sub(taken.len(), Ordering::Relaxed);
        taken
    }

    fn each(&self, look: &mut dyn FnMut(&Session)) {
        for shard in &self.shards {
            // Not under the lock: looking may take a while.
            let sessions: Vec<_> = lock(shard).values().cloned().collect();
            sessions.iter().for_each(|session| look(session));
        }
    }

    fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

/// A lock whose holder panicked still guards consistent data: every change here is one statement.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
