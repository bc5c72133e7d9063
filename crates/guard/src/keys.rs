//! Detects duplicate keys of the objects that are open at one time.
//!
//! Few keys are compared pairwise, with a one-word filter before the bytes; an object that outgrows this moves its keys
//! to a set hashed with a random seed, so no choice of keys makes the check quadratic.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::lex::{Decoded, decode};
use crate::stack::InlineStack;

/// Keys of one object that are compared pairwise. At 16 keys the pairwise check costs about what hashing them would.
const PAIRWISE: u32 = 16;

#[derive(Clone, Copy, Debug, Default)]
struct Key {
    /// Offsets of the inside of the token: behind the opening, at the closing quote.
    start: u32,
    end: u32,
    /// Equal keys have equal prints; most unequal keys differ in it.
    print: u32,
    escaped: bool,
}

/// The keys seen so far of one open object.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct KeyScope {
    base: u32,
    count: u32,
    hashed: bool,
}

#[derive(Debug)]
pub(crate) struct Keys<'a> {
    bytes: &'a [u8],
    /// Keys of all open objects that are compared pairwise, outermost first.
    pairwise: InlineStack<Key, PAIRWISE_INLINE>,
    /// One set per open object that outgrew the pairwise check, outermost first.
    sets: Vec<HashSet<Cow<'a, [u8]>>>,
}

/// Keys kept without the heap, over all open objects.
const PAIRWISE_INLINE: usize = 16;

impl<'a> Keys<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            pairwise: InlineStack::new(),
            sets: Vec::new(),
        }
    }

    /// Begins an object inside the ones that are open.
    #[inline]
    pub(crate) fn open(&self) -> KeyScope {
        KeyScope {
            base: self.pairwise.len() as u32,
            count: 0,
            hashed: false,
        }
    }

    /// Ends the innermost object.
    #[inline]
    pub(crate) fn close(&mut self, scope: KeyScope) {
        self.pairwise.truncate(scope.base as usize);
        if scope.hashed {
            self.sets.pop();
        }
    }

    /// Adds a key of the innermost object, given the offsets of its inside. False: the object has it already.
    #[inline]
    pub(crate) fn insert(&mut self, scope: &mut KeyScope, start: usize, end: usize, escaped: bool) -> bool {
        if scope.hashed {
            return self.insert_hashed(start, end, escaped);
        }
        let key = Key {
            start: start as u32,
            end: end as u32,
            print: self.print(start, end, escaped),
            escaped,
        };
        let mut at = scope.base as usize;
        while let Some(other) = self.pairwise.get(at) {
            if other.print == key.print && self.equal(other, key) {
                return false;
            }
            at += 1;
        }
        if scope.count == PAIRWISE {
            self.move_to_set(scope);
            return self.insert_hashed(start, end, escaped);
        }
        scope.count += 1;
        self.pairwise.push(key);
        true
    }

    #[inline]
    fn raw(&self, key: Key) -> &'a [u8] {
        self.bytes
            .get(key.start as usize..key.end as usize)
            .unwrap_or_default()
    }

    #[inline]
    fn print(&self, start: usize, end: usize, escaped: bool) -> u32 {
        let raw = self.bytes.get(start..end).unwrap_or_default();
        if escaped {
            return print_of(decode(raw).as_bytes());
        }
        print_of(raw)
    }

    #[inline]
    fn equal(&self, a: Key, b: Key) -> bool {
        if a.escaped || b.escaped {
            return Decoded::new(self.raw(a)).eq(Decoded::new(self.raw(b)));
        }
        self.raw(a) == self.raw(b)
    }

    #[cold]
    fn move_to_set(&mut self, scope: &mut KeyScope) {
        let mut set = HashSet::with_capacity(4 * PAIRWISE as usize);
        let mut at = scope.base as usize;
        while let Some(key) = self.pairwise.get(at) {
            set.insert(decoded(self.raw(key), key.escaped));
            at += 1;
        }
        self.pairwise.truncate(scope.base as usize);
        self.sets.push(set);
        scope.hashed = true;
    }

    fn insert_hashed(&mut self, start: usize, end: usize, escaped: bool) -> bool {
        let bytes = self.bytes;
        let key = decoded(bytes.get(start..end).unwrap_or_default(), escaped);
        self.sets.last_mut().is_none_or(|set| set.insert(key))
    }
}

fn decoded(raw: &[u8], escaped: bool) -> Cow<'_, [u8]> {
    if escaped {
        Cow::Owned(decode(raw).into_bytes())
    } else {
        Cow::Borrowed(raw)
    }
}

/// Length, first, middle and last byte.
#[inline]
fn print_of(key: &[u8]) -> u32 {
    match key {
        [] => 0,
        [first, .., last] => {
            let middle = key[key.len() / 2];
            u32::from_le_bytes([key.len() as u8, *first, middle, *last])
        }
        [only] => u32::from_le_bytes([1, *only, 0, 0]),
    }
}
