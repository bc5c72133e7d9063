//! Waiting, for async callers without a runtime of ours and for threads.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use crate::error::{NotRecorded, Unavailable};
use crate::queue::{Queue, Ticket};
use crate::record::{Prepared, Record};

/// Wakers of tasks that wait for one thing; each is woken once and registers again if it has to.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    list: Mutex<List>,
}

#[derive(Debug, Default)]
struct List {
    next: u64,
    wakers: Vec<(u64, Waker)>,
}

impl Waiters {
    fn lock(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers, or renews the registration with this id.
    pub(crate) fn register(&self, id: Option<u64>, waker: &Waker) -> u64 {
        let mut list = self.lock();
        if let Some(id) = id
            && let Some((_, old)) = list.wakers.iter_mut().find(|(other, _)| *other == id)
        {
            old.clone_from(waker);
            return id;
        }
        let id = list.next;
        list.next += 1;
        list.wakers.push((id, waker.clone()));
        id
    }

    pub(crate) fn forget(&self, id: u64) {
        self.lock().wakers.retain(|(other, _)| *other != id);
    }

    pub(crate) fn wake(&self) {
        let wakers = std::mem::take(&mut self.lock().wakers);
        for (_, waker) in wakers {
            waker.wake();
        }
    }
}

/// Ready when the records it was made for are durable, or cannot be made durable now.
///
/// An error says nothing about later: the records stay in line and the log tries again by itself.
#[must_use = "does nothing unless awaited or waited for"]
#[derive(Debug)]
pub struct Durable {
    queue: Arc<Queue>,
    tickets: Vec<Ticket>,
    /// A failure counts only when so many attempts were made.
    attempts: u64,
    slot: Option<u64>,
}

impl Durable {
    pub(crate) fn one(queue: Arc<Queue>, ticket: Ticket) -> Self {
        Self {
            queue,
            tickets: vec![ticket],
            attempts: 0,
            slot: None,
        }
    }

    /// Everything recorded so far; asks for an attempt even while writing fails.
    pub(crate) fn all(queue: Arc<Queue>) -> Self {
        let tickets = queue
            .taken()
            .into_iter()
            .enumerate()
            .map(|(shard, number)| Ticket { shard, number })
            .collect();
        // One attempt may be under way that began before the last of these records was taken.
        let attempts = queue.attempts() + 2;
        Self {
            queue,
            tickets,
            attempts,
            slot: None,
        }
    }

    /// Blocks the thread until it is ready.
    ///
    /// # Errors
    /// The log cannot be written now.
    pub fn wait(self) -> Result<(), Unavailable> {
        block_on(self)
    }

    fn look(&mut self) -> Option<Result<(), Unavailable>> {
        let queue = &self.queue;
        self.tickets.retain(|ticket| !queue.is_durable(*ticket));
        let forced = self.attempts > 0;
        if self.tickets.is_empty() && (!forced || queue.attempts() >= self.attempts || queue.is_closed()) {
            return Some(if forced && queue.is_failing() {
                Err(queue.unavailable())
            } else {
                Ok(())
            });
        }
        if queue.is_closed() || (queue.is_failing() && queue.attempts() >= self.attempts) {
            return Some(Err(queue.unavailable()));
        }
        None
    }
}

impl Future for Durable {
    type Output = Result<(), Unavailable>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if let Some(result) = this.look() {
            return Poll::Ready(result);
        }
        this.slot = Some(this.queue.progress.register(this.slot, context.waker()));
        // The writer may have finished between the look and the registration.
        if let Some(result) = this.look() {
            return Poll::Ready(result);
        }
        this.queue.hurry();
        Poll::Pending
    }
}

impl Drop for Durable {
    fn drop(&mut self) {
        if let Some(slot) = self.slot {
            self.queue.progress.forget(slot);
        }
    }
}

/// Ready when there may be room for a record, or when waiting for it makes no sense any more.
#[derive(Debug)]
struct Room<'q> {
    queue: &'q Queue,
    size: usize,
    slot: Option<(usize, u64)>,
}

impl Future for Room<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if this
            .queue
            .register_for_room(this.size, &mut this.slot, context.waker())
        {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        if let Some(slot) = self.slot {
            self.queue.forget_room(slot);
        }
    }
}

/// Records as soon as there is room, without blocking the thread.
pub(crate) async fn push(queue: &Queue, record: &Record<'_>) -> Result<Ticket, NotRecorded> {
    let record = Prepared::new(record, queue.rule);
    loop {
        let failing = queue.is_failing();
        match queue.push(&record, false, failing) {
            Err(NotRecorded::Full) if !failing => {}
            done => return done,
        }
        Room {
            queue,
            size: record.size(),
            slot: None,
        }
        .await;
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        std::thread::park();
    }
}
