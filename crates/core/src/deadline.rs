//! One deadline per call: an idle bound that progress extends, inside an absolute one.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// The running deadline of a call.
#[derive(Debug)]
pub struct Deadline {
    started: Instant,
    idle: Duration,
    total: Duration,
    /// Milliseconds after `started` of the last sign of life.
    last: AtomicU64,
    /// How many waits for the caller are open; the idle bound stands still meanwhile.
    paused: AtomicU32,
}

/// The deadline passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expired {
    /// Nothing was heard for this long.
    Idle(Duration),
    /// The absolute bound.
    Total(Duration),
}

impl Deadline {
    /// Starts the clock.
    pub fn start(idle: Duration, total: Duration) -> Self {
        Self {
            started: Instant::now(),
            idle,
            total,
            last: AtomicU64::new(0),
            paused: AtomicU32::new(0),
        }
    }

    /// When the call started.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// A sign of life: the idle bound starts anew.
    pub fn touch(&self) {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(now, Ordering::Relaxed);
    }

    /// Stops the idle bound until the guard is dropped (a person may be thinking).
    pub fn pause(&self) -> Pause<'_> {
        self.paused.fetch_add(1, Ordering::Relaxed);
        Pause(self)
    }

    /// The absolute end.
    pub fn end(&self) -> Instant {
        self.started + self.total
    }

    fn next(&self) -> Instant {
        if self.paused.load(Ordering::Relaxed) > 0 {
            return self.end();
        }
        let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
        (self.started + last + self.idle).min(self.end())
    }

    /// Runs a future within the deadline. A future that is ready at once costs no timer.
    /// It comes pinned: by value it would be in the caller's state twice.
    pub async fn run<F: Future>(&self, mut future: Pin<&mut F>) -> Result<F::Output, Expired> {
        let mut timer: Option<Pin<Box<Sleep>>> = None;
        poll_fn(|cx| {
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(Ok(output));
            }
            loop {
                let at = self.next();
                let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
                if timer.deadline() > at {
                    timer.as_mut().reset(at);
                }
                if timer.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                let now = Instant::now();
                if now >= self.end() {
                    return Poll::Ready(Err(Expired::Total(self.total)));
                }
                let at = self.next();
                if now >= at {
                    return Poll::Ready(Err(Expired::Idle(self.idle)));
                }
                timer.as_mut().reset(at);
            }
        })
        .await
    }
}

/// Keeps the idle bound still.
#[derive(Debug)]
pub struct Pause<'a>(&'a Deadline);

impl Drop for Pause<'_> {
    fn drop(&mut self) {
        self.0.touch();
        self.0.paused.fetch_sub(1, Ordering::Relaxed);
    }
}
