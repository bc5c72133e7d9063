use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;

use super::{Item, MAX_GIVEN_UP, MAX_HAPPENINGS, Owner, Pending, Slot};
use crate::fault::Fault;
use crate::heard::Happening;

fn slot(call: bool) -> Arc<Slot> {
    Arc::new(Slot::new(call, None))
}

fn end(slot: &Slot) -> Result<Bytes, Fault> {
    match slot.next().now_or_never() {
        Some(Item::End(end)) => end,
        other => panic!("{other:?}"),
    }
}

#[test]
fn calls_have_a_limit_and_requests_of_our_own_do_not() {
    let pending = Pending::new(2);
    for id in [1, 2] {
        pending.insert(id, slot(true)).unwrap();
    }
    assert!(matches!(
        pending.insert(3, slot(true)),
        Err(Fault::Busy { limit: 2 })
    ));
    pending.insert(4, slot(false)).unwrap();
    assert!(matches!(pending.take(1), Owner::Waiting(_)));
    assert!(matches!(pending.take(4), Owner::Waiting(_)));
    pending.insert(5, slot(true)).unwrap();
}

#[test]
fn an_answer_finds_its_owner_once() {
    let pending = Pending::new(10);
    pending.insert(1, slot(true)).unwrap();
    pending.insert(2, slot(true)).unwrap();
    assert!(pending.attributed().is_none());
    assert!(matches!(pending.take(1), Owner::Waiting(_)));
    assert!(matches!(pending.take(1), Owner::Nobody));
    assert!(pending.attributed().is_some());
    assert!(pending.give_up(2));
    assert!(!pending.give_up(2));
    assert!(matches!(pending.take(2), Owner::GaveUp));
    assert!(matches!(pending.take(2), Owner::Nobody));
}

#[test]
fn given_up_requests_are_remembered_within_bounds() {
    let pending = Pending::new(usize::MAX);
    let last = MAX_GIVEN_UP as u64 + 1;
    for id in 1..=last {
        pending.insert(id, slot(true)).unwrap();
        pending.give_up(id);
    }
    assert!(matches!(pending.take(1), Owner::Nobody));
    assert!(matches!(pending.take(2), Owner::GaveUp));
    assert!(matches!(pending.take(last), Owner::GaveUp));
}

#[test]
fn the_end_reaches_what_is_open_and_what_comes_later() {
    let pending = Pending::new(10);
    let open = slot(true);
    pending.insert(1, Arc::clone(&open)).unwrap();
    pending.end(&"gone".into());
    pending.end(&"gone again".into());
    match end(&open) {
        Err(Fault::Gone { why, sent: true }) => assert_eq!(&*why, "gone"),
        other => panic!("{other:?}"),
    }
    match pending.insert(2, slot(true)) {
        Err(Fault::Gone { why, sent: false }) => assert_eq!(&*why, "gone"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn happenings_come_before_the_end_and_the_newest_are_kept() {
    let slot = slot(true);
    for step in 0..=MAX_HAPPENINGS {
        slot.happened(Happening::Progress {
            progress: step as f64,
            total: None,
            message: None,
        });
    }
    slot.end(Ok(Bytes::from_static(b"{}")));
    slot.end(Err(Fault::SessionLost));
    let mut first = None;
    for _ in 0..MAX_HAPPENINGS {
        match slot.next().now_or_never() {
            Some(Item::Happening(Happening::Progress { progress, .. })) => {
                first.get_or_insert(progress);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(first, Some(1.0));
    assert_eq!(end(&slot).unwrap(), "{}");
}

#[test]
fn an_end_that_nobody_takes_is_given_back() {
    let result = || Ok(Bytes::from_static(b"{}"));
    let early = Slot::new(true, None);
    assert!(early.end(result()).is_none());
    assert!(matches!(early.abandon(), Some(Ok(end)) if &*end == b"{}"));
    let late = Slot::new(true, None);
    assert!(late.abandon().is_none());
    assert!(matches!(late.end(result()), Some(Ok(end)) if &*end == b"{}"));
}
