//! Requests that wait for their answer on a connection that all of them share.

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use bytes::Bytes;
use ferromcp_core::Principal;

use crate::ask::Question;
use crate::fault::Fault;
use crate::heard::Happening;

/// Most happenings that wait for one slow caller; the oldest is dropped, because progress makes older progress moot.
const MAX_HAPPENINGS: usize = 64;

/// Most questions of a server that wait for one caller to be asked.
const MAX_QUESTIONS: usize = 16;

/// How many given-up requests are remembered, so that their late answers are not taken for nonsense.
const MAX_GIVEN_UP: usize = 1024;

/// Where the answer to one request is put.
#[derive(Debug)]
pub(crate) struct Slot {
    /// A caller's request, not one of our own.
    call: bool,
    /// What the caller says its conversation is.
    conversation: Option<usize>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    waker: Option<Waker>,
    /// Whose the call is, while it waits for its caller to come back.
    parked: Option<Principal>,
    /// Everything but the end, in order.
    items: VecDeque<Item>,
    end: Option<Result<Bytes, Fault>>,
    /// Nobody will ask for the next item.
    abandoned: bool,
}

/// What a slot gives to the one who waits.
#[derive(Debug)]
pub(crate) enum Item {
    /// Something on the way.
    Happening(Happening),
    /// Something to ask the caller.
    Question(Question),
    /// The question with this raw id needs no answer any more.
    Withdrawn(Box<str>),
    /// The raw result, or why there is none.
    End(Result<Bytes, Fault>),
}

impl Slot {
    pub(crate) fn new(call: bool, conversation: Option<usize>) -> Self {
        Self {
            call,
            conversation,
            state: Mutex::default(),
        }
    }

    pub(crate) fn happened(&self, happening: Happening) {
        let mut state = lock(&self.state);
        if state.items.len() >= MAX_HAPPENINGS
            && let Some(oldest) = state
                .items
                .iter()
                .position(|item| matches!(item, Item::Happening(_)))
        {
            state.items.remove(oldest);
        }
        state.items.push_back(Item::Happening(happening));
        wake(state);
    }

    /// Hands a question on, or back if too many wait.
    pub(crate) fn asked(&self, question: Question) -> Result<(), Question> {
        let mut state = lock(&self.state);
        let waiting = state
            .items
            .iter()
            .filter(|item| !matches!(item, Item::Happening(_)));
        if waiting.count() >= MAX_QUESTIONS {
            return Err(question);
        }
        state.items.push_back(Item::Question(question));
        wake(state);
        Ok(())
    }

    /// The call waits for its caller to come back; `None`: it goes on.
    pub(crate) fn park(&self, owner: Option<Principal>) {
        lock(&self.state).parked = owner;
    }

    fn parked(&self) -> Option<Principal> {
        lock(&self.state).parked.clone()
    }

    /// Takes back a question with this raw id, if it was asked here.
    pub(crate) fn withdrawn(&self, id: &str) {
        let mut state = lock(&self.state);
        let waiting = state
            .items
            .iter()
            .position(|item| matches!(item, Item::Question(question) if &*question.id == id));
        match waiting {
            Some(at) => {
                state.items.remove(at);
            }
            None if state.items.len() < MAX_HAPPENINGS => {
                state.items.push_back(Item::Withdrawn(id.into()));
                wake(state);
            }
            None => {}
        }
    }

    /// The end; given back if nobody waits for it any more.
    pub(crate) fn end(&self, end: Result<Bytes, Fault>) -> Option<Result<Bytes, Fault>> {
        let mut state = lock(&self.state);
        if state.abandoned {
            return Some(end);
        }
        if state.end.is_none() {
            state.end = Some(end);
        }
        wake(state);
        None
    }

    /// Nobody waits any more. The end, if it came and was not taken.
    pub(crate) fn abandon(&self) -> Option<Result<Bytes, Fault>> {
        let mut state = lock(&self.state);
        state.abandoned = true;
        state.end.take()
    }

    /// The next item. Not to be called again after the end.
    pub(crate) async fn next(&self) -> Item {
        poll_fn(|cx| {
            let mut state = lock(&self.state);
            if let Some(item) = state.items.pop_front() {
                return Poll::Ready(item);
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

    /// The call that something without an address belongs to: the only one that runs, or the newest if all of them
    /// belong to the same conversation. Calls that wait for their callers seldom say anything; whose they are is told, for
    /// what is private must not go from one principal to another even then.
    pub(crate) fn attributed(&self) -> Option<(Arc<Slot>, Vec<Principal>)> {
        let inner = lock(&self.inner);
        let mut parked = Vec::new();
        let mut waiting = None;
        let mut found: Option<(u64, &Arc<Slot>)> = None;
        for (id, slot) in inner.slots.iter().filter(|(_, slot)| slot.call) {
            if let Some(owner) = slot.parked() {
                parked.push(owner);
                waiting = Some(slot);
                continue;
            }
            match found {
                Some((_, other))
                    if slot.conversation.is_none() || slot.conversation != other.conversation =>
                {
                    return None;
                }
                Some((newest, _)) if newest > *id => {}
                _ => found = Some((*id, slot)),
            }
        }
        match (found, waiting) {
            (Some((_, slot)), _) => Some((Arc::clone(slot), parked)),
            (None, Some(slot)) if parked.len() == 1 => Some((Arc::clone(slot), parked)),
            (None, _) => None,
        }
    }

    /// Tells all calls that a question needs no answer any more; only one of them knows it.
    pub(crate) fn withdrawn(&self, question: &str) {
        let calls: Vec<_> = {
            let inner = lock(&self.inner);
            inner.slots.values().filter(|slot| slot.call).cloned().collect()
        };
        for slot in calls {
            slot.withdrawn(question);
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
