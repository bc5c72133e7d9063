//! Tokens that were verified lately. A signature costs tens of microseconds, and a client sends the same token with every
//! call.
//!
//! Bounded: sets of [`WAYS`] entries, chosen by the SHA-256 of the token. The whole digest is compared, so another token
//! never passes for one in here. It belongs to one verifier: with other keys or settings, everything is verified anew.

use std::sync::{Arc, Mutex, PoisonError};

use ring::digest::{SHA256, digest};

use crate::jwt::verifier::Verified;

const SETS: usize = 512;
const WAYS: usize = 8;

type Key = [u8; 32];

#[derive(Default)]
#[repr(align(64))]
struct Set {
    entries: [Option<(Key, Arc<Verified>)>; WAYS],
    next: usize,
}

pub(super) struct Cache {
    sets: Box<[Mutex<Set>]>,
}

impl Cache {
    pub(super) fn new() -> Self {
        Self {
            sets: (0..SETS).map(|_| Mutex::default()).collect(),
        }
    }

    pub(super) fn key(token: &str) -> Key {
        let mut key = [0; 32];
        key.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
        key
    }

    pub(super) fn get(&self, key: &Key) -> Option<Arc<Verified>> {
        let set = self.set(key).lock().unwrap_or_else(PoisonError::into_inner);
        let found = set.entries.iter().flatten().find(|(other, _)| other == key);
        found.map(|(_, verified)| Arc::clone(verified))
    }

    /// Takes the place of an entry that has expired, or of each in turn.
    pub(super) fn put(&self, key: Key, verified: &Arc<Verified>, now: u64) {
        let mut set = self.set(&key).lock().unwrap_or_else(PoisonError::into_inner);
        let free = set.entries.iter().position(|entry| match entry {
            Some((other, old)) => *other == key || old.good_until <= now,
            None => true,
        });
        let place = free.unwrap_or_else(|| {
            set.next = (set.next + 1) % WAYS;
            set.next
        });
        set.entries[place] = Some((key, Arc::clone(verified)));
    }

    pub(super) fn len(&self) -> usize {
        let lengths = self.sets.iter().map(|set| {
            let set = set.lock().unwrap_or_else(PoisonError::into_inner);
            set.entries.iter().flatten().count()
        });
        lengths.sum()
    }

    pub(super) const fn capacity() -> usize {
        SETS * WAYS
    }

    fn set(&self, key: &Key) -> &Mutex<Set> {
        // Digests are as good as random, and who makes tokens of this issuer is trusted.
        &self.sets[usize::from(u16::from_le_bytes([key[0], key[1]])) % SETS]
    }
}
