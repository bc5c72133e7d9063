//! Lists as text, kept as long as the snapshot that they are of.
//!
//! A list of ten thousand tools is megabytes of text that is the same for everybody who sees the same. It is made once for
//! a snapshot, an access list and a page, and thrown away with the snapshot.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// Most bytes of text that one snapshot keeps. What does not fit is made anew for each request.
pub const MAX_TEXT: usize = 16 << 20;
/// Most texts: a cursor is a client's word, and short lists would fit in any number.
const MAX_TEXTS: usize = 1024;

/// What a text is, besides whose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListKey<'a> {
    /// The list, and the form that it is in.
    pub list: u8,
    /// Most items on a page.
    pub limit: usize,
    /// Where the page begins, as the client said it; empty for the first page.
    pub cursor: &'a str,
}

#[derive(Debug, Default)]
pub(crate) struct ListTexts {
    kept: Mutex<Kept>,
}

type Key = (usize, u8, usize, Box<str>);

#[derive(Debug, Default)]
struct Kept {
    texts: HashMap<Key, Bytes>,
    /// Oldest first.
    order: VecDeque<Key>,
    bytes: usize,
}

fn owned(seen_by: usize, key: ListKey<'_>) -> Key {
    (seen_by, key.list, key.limit, key.cursor.into())
}

impl ListTexts {
    pub(crate) fn find(&self, seen_by: usize, key: ListKey<'_>) -> Option<Bytes> {
        self.kept().texts.get(&owned(seen_by, key)).cloned()
    }

    pub(crate) fn keep(&self, seen_by: usize, key: ListKey<'_>, text: &Bytes) {
        if text.len() > MAX_TEXT {
            return;
        }
        let key = owned(seen_by, key);
        let mut kept = self.kept();
        if kept.texts.insert(key.clone(), text.clone()).is_some() {
            // Two made it at the same time, and it is the same.
            return;
        }
        kept.bytes += text.len();
        kept.order.push_back(key);
        while kept.bytes > MAX_TEXT || kept.order.len() > MAX_TEXTS {
            let Some(oldest) = kept.order.pop_front() else {
                return;
            };
            if let Some(gone) = kept.texts.remove(&oldest) {
                kept.bytes -= gone.len();
            }
        }
    }

    /// A lock whose holder panicked still guards consistent data: at worst a text too few is counted.
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(cursor: &str) -> ListKey<'_> {
        ListKey {
            list: b't',
            limit: 10,
            cursor,
        }
    }

    #[test]
    fn keeps_texts_apart_and_lets_the_oldest_go() {
        let lists = ListTexts::default();
        let third = Bytes::from(vec![b'x'; MAX_TEXT / 3]);
        for cursor in ["", "a", "b"] {
            lists.keep(0, key(cursor), &third);
        }
        assert!(lists.find(0, key("")).is_some());
        assert!(
            lists.find(1, key("")).is_none(),
            "of somebody who sees something else"
        );
        lists.keep(1, key(""), &third);
        assert!(lists.find(0, key("")).is_none(), "there is no room for four");
        assert!(lists.find(0, key("a")).is_some() && lists.find(1, key("")).is_some());
        lists.keep(0, key("huge"), &Bytes::from(vec![b'x'; MAX_TEXT + 1]));
        assert!(lists.find(0, key("huge")).is_none() && lists.find(0, key("b")).is_some());
    }

    #[test]
    fn the_number_of_texts_is_bounded() {
        let lists = ListTexts::default();
        for i in 0..2 * MAX_TEXTS {
            lists.keep(0, key(&i.to_string()), &Bytes::from_static(b"{}"));
        }
        let kept = lists.kept();
        assert_eq!((kept.texts.len(), kept.order.len()), (MAX_TEXTS, MAX_TEXTS));
        assert_eq!(kept.bytes, 2 * MAX_TEXTS);
    }
}
