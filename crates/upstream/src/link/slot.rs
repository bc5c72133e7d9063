//! Requests that wait for their answer on a connection that all of them share.

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use bytes::Bytes;

use crate::fault::Fault;
use crate::heard::Happening;

/// Most happenings that wait for one slow caller; the oldest is dropped, because progress makes older progress moot.
const MAX_HAPPENINGS: usize = 64;

/// How many given-up requests are remembered, so that their late answers are not taken for nonsense.
const MAX_GIVEN_UP: usize = 1024;

/// Where the answer to one request is put.
#[derive(Debug)]
pub(crate) struct Slot {
    /// A caller's request, not one of our own.
    call: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    waker: Option<Waker>,
    happenings: VecDeque<Happening>,
    end: Option<Result<Bytes, Fault>>,
}

/// What a slot gives to the one who waits.
#[derive(Debug)]
pub(crate) enum Item {
    /// Something on the way.
    Happening(Happening),
    /// The raw result, or why there is none.
    End(Result<Bytes, Fault>),
}

impl Slot {
    pub(crate) fn new(call: bool) -> Self {
        Self {
            call,
            state: Mutex::default(),
        }
    }

    pub(crate) fn happened(&self, happening: Happening) {
        let mut state = lock(&self.state);
        if state.happenings.len() == MAX_HAPPENINGS {
            state.happenings.pop_front();
        }
        state.happenings.push_back(happening);
        wake(state);
    }

    pub(crate) fn end(&self, end: Result<Bytes, Fault>) {
        let mut state = lock(&self.state);
        if state.end.is_none() {
            state.end = Some(end);
        }
        wake(state);
    }

    /// The next item. Not to be called again after the end.
    pub(crate) async fn next(&self) -> Item {
        poll_fn(|cx| {
            let mut state = lock(&self.state);
            if let Some(happening) = state.happenings.pop_front() {
                return Poll::Ready(Item::Happening(happening));
            }
            if let Some(end) = state.end.take() {
                return Poll::Ready(Item::End(end));
            }
            match &mut state.waker {
                Some(waker) => waker.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
            Poll::Pending
        })
        .await
    }
}

/// Wakes outside the lock: the woken thread would only run into it.
fn wake(mut state: MutexGuard<'_, State>) {
    let waker = state.waker.take();
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// The requests in flight on one connection.
#[derive(Debug)]
pub(crate) struct Pending {
    max: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    slots: HashMap<u64, Arc<Slot>>,
    given_up: VecDeque<u64>,
    ended: Option<Arc<str>>,
}

/// Whose answer arrived.
#[derive(Debug)]
pub(crate) enum Owner {
    Waiting(Arc<Slot>),
    /// Nobody waits any more.
    GaveUp,
    /// It was never asked for, or answered before.
    Nobody,
}

impl Pending {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            max,
            inner: Mutex::default(),
        }
    }

    pub(crate) fn insert(&self, id: u64, slot: Arc<Slot>) -> Result<(), Fault> {
        let mut inner = lock(&self.inner);
        if let Some(why) = &inner.ended {
            return Err(Fault::Gone {
                why: Arc::clone(why),
                sent: false,
            });
        }
        // Requests of our own are few and must get through.
        if slot.call && inner.slots.len() >= self.max {
            return Err(Fault::Busy { limit: self.max });
        }
        inner.slots.insert(id, slot);
        Ok(())
    }

    /// Takes out the request that an answer is for.
    pub(crate) fn take(&self, id: u64) -> Owner {
        let mut inner = lock(&self.inner);
        if let Some(slot) = inner.slots.remove(&id) {
            return Owner::Waiting(slot);
        }
        match inner.given_up.iter().position(|given_up| *given_up == id) {
            Some(at) => {
                inner.given_up.remove(at);
                Owner::GaveUp
            }
            None => Owner::Nobody,
        }
    }

    pub(crate) fn get(&self, id: u64) -> Option<Arc<Slot>> {
        lock(&self.inner).slots.get(&id).cloned()
    }

    /// The call in flight, if there is exactly one.
    pub(crate) fn only_call(&self) -> Option<Arc<Slot>> {
        let inner = lock(&self.inner);
        let mut calls = inner.slots.values().filter(|slot| slot.call);
        match (calls.next(), calls.next()) {
            (Some(only), None) => Some(Arc::clone(only)),
            _ => None,
        }
    }

    /// Nobody waits for this any more. True if it had not been answered.
    pub(crate) fn give_up(&self, id: u64) -> bool {
        let mut inner = lock(&self.inner);
        if inner.slots.remove(&id).is_none() {
            return false;
        }
        if inner.given_up.len() == MAX_GIVEN_UP {
            inner.given_up.pop_front();
        }
        inner.given_up.push_back(id);
        true
    }

    /// Fails everything in flight and everything that comes later.
    pub(crate) fn end(&self, why: &Arc<str>) {
        let slots = {
            let mut inner = lock(&self.inner);
            inner.ended.get_or_insert_with(|| Arc::clone(why));
            std::mem::take(&mut inner.slots)
        };
        for slot in slots.into_values() {
            slot.end(Err(Fault::Gone {
                why: Arc::clone(why),
                sent: true,
            }));
        }
    }
}

/// A lock whose holder panicked still guards consistent data here: every change is complete in itself.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
