//! What the server knows of one connection, and how it tells the connection to end.
//!
//! The request path only stores a number: what the connection does, and since which second. One
//! sweep per second over all connections finds the slow ones, so no request needs a timer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::task::Waker;
use std::time::Duration;

use futures_util::task::AtomicWaker;

/// Seconds since the server started, counted by its sweep.
#[derive(Debug, Default)]
pub(crate) struct Clock(AtomicU32);

impl Clock {
    pub(crate) fn now(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn tick(&self) -> u32 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// What a connection does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Phase {
    /// Waits for the first byte of a request.
    Idle = 0,
    /// Has begun a request head.
    Head = 1,
    /// Is being answered.
    Busy = 2,
    /// Speaks HTTP/2, which looks after itself with pings. Stays so.
    Exempt = 3,
}

/// What the server wants of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Order {
    Run = 0,
    /// Finish what is running, then close.
    Finish = 1,
    /// Close now.
    Close = 2,
}

/// Shared by the connection's task, its requests and the server.
#[derive(Debug)]
pub(crate) struct Control {
    clock: Arc<Clock>,
    /// Phase in the low byte, second in the rest.
    phase: AtomicU64,
    order: AtomicU8,
    task: AtomicWaker,
}

impl Control {
    /// A connection that was just accepted: its first head is due.
    pub(crate) fn new(clock: Arc<Clock>) -> Arc<Self> {
        let made = Self {
            clock,
            phase: AtomicU64::new(0),
            order: AtomicU8::new(0),
            task: AtomicWaker::new(),
        };
        made.enter(Phase::Head);
        Arc::new(made)
    }

    fn enter(&self, phase: Phase) {
        if self.phase.load(Ordering::Relaxed) & 0xff == Phase::Exempt as u64 {
            return;
        }
        self.phase
            .store(u64::from(self.clock.now()) << 8 | phase as u64, Ordering::Relaxed);
    }

    /// Bytes came in: if nothing was going on, a request head begins.
    pub(crate) fn received(&self) {
        if self.phase.load(Ordering::Relaxed) & 0xff == Phase::Idle as u64 {
            self.enter(Phase::Head);
        }
    }

    /// The connection speaks HTTP/2: only pings can tell whether it is alive.
    pub(crate) fn exempt(&self) {
        self.enter(Phase::Exempt);
    }

    /// A request is being answered until the guard is dropped.
    pub(crate) fn busy(self: &Arc<Self>) -> Busy {
        self.enter(Phase::Busy);
        Busy(Arc::clone(self))
    }

    /// Tells the connection what to do, if that is more than it was told before.
    pub(crate) fn order(&self, order: Order) {
        if self.order.fetch_max(order as u8, Ordering::AcqRel) < order as u8 {
            self.task.wake();
        }
    }

    /// The last order.
    pub(crate) fn ordered(&self) -> Order {
        match self.order.load(Ordering::Acquire) {
            0 => Order::Run,
            1 => Order::Finish,
            _ => Order::Close,
        }
    }

    /// The task to wake for orders. A task's waker stays good for all of its life, so once is enough.
    pub(crate) fn register(&self, task: &Waker) {
        self.task.register(task);
    }

    /// Closes the connection if its head or its next request is overdue.
    pub(crate) fn sweep(&self, now: u32, head: Duration, idle: Duration) {
        let phase = self.phase.load(Ordering::Relaxed);
        let since = Duration::from_secs(u64::from(now).saturating_sub(phase >> 8));
        let overdue = match phase & 0xff {
            p if p == Phase::Idle as u64 => since > idle,
            p if p == Phase::Head as u64 => since > head,
            _ => false,
        };
        if overdue {
            self.order(Order::Close);
        }
    }
}

/// Marks a connection as busy.
#[derive(Debug)]
pub(crate) struct Busy(Arc<Control>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.enter(Phase::Idle);
    }
}

#[cfg(test)]
mod tests;
