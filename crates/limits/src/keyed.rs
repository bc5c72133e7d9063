//! One rate for each of very many clients, in memory that does not grow.
//!
//! The table has a fixed number of slots in buckets of [`WAYS`]. A slot is two atomics: whose it is, and the TAT. Finding
//! a client reads one bucket and takes no lock; only a client that is new to the table locks its part of it.
//!
//! **Who is evicted**: the slot of the bucket with the smallest TAT. While any burst in the bucket is whole again, that is
//! one of those, and forgetting it loses nothing: its state equals that of a new client. Otherwise it is the client whose
//! burst would be whole soonest, the one that was seen least of late.
//!
//! **Why eviction gives nobody a fresh burst**: a slot keeps its TAT when its owner changes. A new client in a bucket
//! where everybody is busy starts from the least used burst there, not from a whole one; a client that had itself evicted
//! comes back to at least what it had used. Whoever invents keys gets at most `slots` times the rate in all, however many
//! keys it invents, and cannot choose whom it meets: the hash is keyed by a secret of the process.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::gcra::{Gcra, Reading, Receipt};
use crate::nanos::Nanos;
use crate::rate::Rate;

/// Fewest clients a table is made for.
pub const MIN_CLIENTS: usize = 1_024;
/// Most clients a table is made for (512 MiB).
pub const MAX_CLIENTS: usize = 1 << 24;

/// Slots per bucket: two cache lines.
const WAYS: usize = 8;
/// Locks for newcomers, each for its share of the buckets.
const LOCKS: usize = 64;
/// The key of a slot that nobody has.
const NOBODY: u64 = 0;

/// A client as the table knows it: a keyed hash of who it is. Two of a million clients share one with a probability of
/// 3 in 10^8. Make it once per connection or credential and keep it. Means something only to the [`Clients`] that made it
/// and those that carry its state on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientKey(u64);

#[derive(Debug)]
#[repr(align(128))]
struct Bucket {
    keys: [AtomicU64; WAYS],
    rates: [Gcra; WAYS],
}

#[derive(Debug, Default)]
#[repr(align(128))]
struct NewcomerLock(Mutex<()>);

/// The rates of clients; see the module's text on memory and eviction.
#[derive(Debug)]
pub struct Clients {
    buckets: Box<[Bucket]>,
    locks: Box<[NewcomerLock]>,
    hasher: RandomState,
}

impl Clients {
    /// A table for about `clients` clients that are busy at the same time, cut to [`MIN_CLIENTS`]..=[`MAX_CLIENTS`] and
    /// rounded up to a power of two. It has two slots of 16 bytes for each, all allocated at once. (A client is busy
    /// until its burst is whole again. With as many busy clients as the table is made for, about one bucket in fifty has
    /// more than it holds.)
    pub fn new(clients: usize) -> Self {
        Self::with_hasher(clients, RandomState::new())
    }

    fn with_hasher(clients: usize, hasher: RandomState) -> Self {
        Self {
            buckets: (0..slots_for(clients) / WAYS)
                .map(|_| Bucket {
                    keys: [const { AtomicU64::new(NOBODY) }; WAYS],
                    rates: [const { Gcra::new() }; WAYS],
                })
                .collect(),
            locks: (0..LOCKS).map(|_| NewcomerLock::default()).collect(),
            hasher,
        }
    }

    /// A table of another size with the same clients; `None` when the size is the same. In a smaller one, clients that
    /// find no slot share one, as newcomers do.
    pub(crate) fn resized(&self, clients: usize, now: Nanos) -> Option<Self> {
        if slots_for(clients) == self.slots() {
            return None;
        }
        let table = Self::with_hasher(clients, self.hasher.clone());
        for bucket in &self.buckets {
            for (key, rate) in bucket.keys.iter().zip(&bucket.rates) {
                let key = key.load(Ordering::Relaxed);
                if key != NOBODY && !rate.is_whole(now) {
                    table.slot(ClientKey(key)).at_least(rate.tat());
                }
            }
        }
        Some(table)
    }

    /// The key of a client of a tenant: what tells clients apart (credential, session, address) is the caller's choice.
    pub fn key(&self, tenant: &str, client: &[u8]) -> ClientKey {
        let mut hasher = self.hasher.build_hasher();
        // The length keeps ("ab", "c") and ("a", "bc") apart.
        hasher.write_usize(tenant.len());
        hasher.write(tenant.as_bytes());
        hasher.write(client);
        ClientKey(hasher.finish().max(1))
    }

    /// Takes one call of a client if its rate allows it.
    #[inline]
    pub fn take(&self, key: ClientKey, rate: &Rate, now: Nanos) -> Reading {
        self.slot(key).take(rate, now)
    }

    /// What [`Self::take`] would say now. A client that is not in the table is not entered.
    #[inline]
    pub fn peek(&self, key: ClientKey, rate: &Rate, now: Nanos) -> Reading {
        match self.find(key) {
            Some(slot) => slot.peek(rate, now),
            None => self.victim(key).1.peek(rate, now),
        }
    }

    #[inline]
    pub(crate) fn take_receipt<'a>(
        &'a self,
        key: ClientKey,
        rate: &Rate,
        now: Nanos,
    ) -> (Reading, Receipt, &'a Gcra) {
        let slot = self.slot(key);
        let (reading, receipt) = slot.take_many(rate, 1, now);
        (reading, receipt, slot)
    }

    /// Slots in use: clients that the table remembers now. Walks the table.
    pub fn len(&self) -> usize {
        let keys = self.buckets.iter().flat_map(|bucket| &bucket.keys);
        keys.filter(|key| key.load(Ordering::Relaxed) != NOBODY).count()
    }

    /// Whether the table remembers nobody.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Slots in all; [`Self::len`] never exceeds it.
    pub fn slots(&self) -> usize {
        self.buckets.len() * WAYS
    }

    /// Memory of the table in bytes: it never changes.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.buckets) + size_of_val(&*self.locks) + size_of::<Self>()
    }

    /// Carries what all clients have used over to another rate. Walks the table.
    pub(crate) fn rescale(&self, from: &Rate, to: &Rate, now: Nanos) {
        for rate in self.buckets.iter().flat_map(|bucket| &bucket.rates) {
            rate.rescale(from, to, now);
        }
    }

    #[inline]
    fn index(&self, key: ClientKey) -> usize {
        // The number of buckets is a power of two.
        key.0 as usize & (self.buckets.len() - 1)
    }

    #[inline]
    fn find(&self, key: ClientKey) -> Option<&Gcra> {
        let bucket = &self.buckets[self.index(key)];
        let way = bucket
            .keys
            .iter()
            .position(|owner| owner.load(Ordering::Relaxed) == key.0)?;
        Some(&bucket.rates[way])
    }

    #[inline]
    fn slot(&self, key: ClientKey) -> &Gcra {
        match self.find(key) {
            Some(slot) => slot,
            None => self.enter(key),
        }
    }

    /// Gives a client a slot. Only here do slots change hands, under the lock of the bucket's part, so a client never has
    /// two. A call of the old owner that is just looking at the slot is counted on it: the slot stays within its rate.
    #[cold]
    fn enter(&self, key: ClientKey) -> &Gcra {
        let lock = &self.locks[self.index(key) % LOCKS];
        let _guard = lock.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = self.find(key) {
            return slot;
        }
        let (owner, slot) = self.victim(key);
        owner.store(key.0, Ordering::Relaxed);
        slot
    }

    /// The slot of the key's bucket whose burst is whole soonest.
    fn victim(&self, key: ClientKey) -> (&AtomicU64, &Gcra) {
        let bucket = &self.buckets[self.index(key)];
        let mut least = 0;
        for way in 1..WAYS {
            if bucket.rates[way].tat() < bucket.rates[least].tat() {
                least = way;
            }
        }
        (&bucket.keys[least], &bucket.rates[least])
    }
}

fn slots_for(clients: usize) -> usize {
    clients.clamp(MIN_CLIENTS, MAX_CLIENTS).next_power_of_two() * 2
}

#[cfg(test)]
mod tests;
