//! Where the writer takes the time from.

use std::fmt;
use std::time::{Duration, Instant, SystemTime};

/// Time for the writer's own records and for what it does by time. A record of a caller carries
/// the caller's time.
pub trait Clock: Send + Sync + fmt::Debug {
    /// What is written into records.
    fn wall(&self) -> SystemTime;
    /// Time since some fixed moment; never goes back. Ages and delays are taken from this one, so
    /// that a jump of the wall clock neither rotates nor removes a segment.
    fn monotonic(&self) -> Duration;
}

/// The clocks of the machine.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock whose monotonic time begins now.
    #[must_use]
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}
