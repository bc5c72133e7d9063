//! What the server knows of one connection, and how it tells the connection to end.
//!
//! The request path only stores a number: what the connection does, and since which second. One
//! sweep per second over all connections finds the slow ones, so no request needs a timer.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Waker;
use std::time::Duration;

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
    /// Another process takes new connections: ask the client to open one as soon as it can hear that.
    Leave = 1,
    /// Finish what is running, then close.
    Finish = 2,
    /// Close now.
    Close = 3,
}

/// Shared by the connection's task, its requests and the server.
#[derive(Debug)]
pub(crate) struct Control {
    clock: Arc<Clock>,
    /// Phase in the low byte, second in the rest.
    phase: AtomicU64,
    order: AtomicU8,
    rest: AtomicU8,
    /// All that was written is on its way.
    flushed: AtomicBool,
    task: OnceLock<Waker>,
}

/// Whether a connection has buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Rest {
    /// It has.
    Awake = 0,
    /// It is asked to give them back.
    Asked = 1,
    /// It has none until the client speaks again.
    Resting = 2,
}

impl Control {
    /// A connection that was just accepted: its first head is due.
    pub(crate) fn new(clock: Arc<Clock>) -> Arc<Self> {
        let made = Self {
            clock,
            phase: AtomicU64::new(0),
            order: AtomicU8::new(Order::Run as u8),
            rest: AtomicU8::new(Rest::Awake as u8),
            flushed: AtomicBool::new(true),
            task: OnceLock::new(),
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

    /// Something is to be written.
    pub(crate) fn written(&self) {
        self.flushed.store(false, Ordering::Relaxed);
    }

    /// Everything was written.
    pub(crate) fn flushed(&self) {
        self.flushed.store(true, Ordering::Relaxed);
    }

    /// True once if the connection is asked to give its buffers back, and nothing is in them: no
    /// request has begun, and every answer is out.
    pub(crate) fn may_rest(&self) -> bool {
        if self.rest.load(Ordering::Acquire) != Rest::Asked as u8 {
            return false;
        }
        let idle = self.phase.load(Ordering::Relaxed) & 0xff == Phase::Idle as u64;
        let rests = idle && self.flushed.load(Ordering::Relaxed);
        self.rest.store(
            if rests { Rest::Resting } else { Rest::Awake } as u8,
            Ordering::Release,
        );
        rests
    }

    /// The client speaks again.
    pub(crate) fn awake(&self) {
        self.rest.store(Rest::Awake as u8, Ordering::Release);
    }

    /// The TLS handshake is done: from now on the first head is due.
    pub(crate) fn opened(&self) {
        self.enter(Phase::Head);
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
            self.wake();
        }
    }

    fn wake(&self) {
        if let Some(task) = self.task.get() {
            task.wake_by_ref();
        }
    }

    /// The last order.
    pub(crate) fn ordered(&self) -> Order {
        match self.order.load(Ordering::Acquire) {
            0 => Order::Run,
            1 => Order::Leave,
            2 => Order::Finish,
            _ => Order::Close,
        }
    }

    /// The task to wake for orders, before it looks for one the first time. A task's waker stays good
    /// for all of its life.
    pub(crate) fn register(&self, task: &Waker) {
        let _ = self.task.set(task.clone());
    }

    /// Closes the connection if its head or its next request is overdue, and asks it for its buffers
    /// if it has idled for a while.
    pub(crate) fn sweep(&self, now: u32, limits: Limits) {
        let phase = self.phase.load(Ordering::Relaxed);
        let since = Duration::from_secs(u64::from(now).saturating_sub(phase >> 8));
        let idles = phase & 0xff == Phase::Idle as u64;
        let limit = if idles { limits.idle } else { limits.head };
        if since > limit && (idles || phase & 0xff == Phase::Head as u64) {
            self.order(Order::Close);
        } else if idles && since > limits.rest {
            let (awake, asked) = (Rest::Awake as u8, Rest::Asked as u8);
            if self
                .rest
                .compare_exchange(awake, asked, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
            {
                self.wake();
            }
        }
    }
}

/// How long a connection may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// For a request head, and before the first one for the TLS handshake.
    pub(crate) head: Duration,
    /// Between requests.
    pub(crate) idle: Duration,
    /// Between requests, before it gives its buffers back.
    pub(crate) rest: Duration,
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
