//! A circuit breaker in front of one upstream server, without I/O and with the caller's time: after several failures in
//! a row calls fail at once for a while, then one call may try.
//!
//! Only failures in a row count. A server that fails every other call is not down, and cutting it off would lose the
//! calls that it does well.

use std::time::{Duration, Instant};

#[cfg(test)]
mod tests;

/// Failures in a row, within the window, that open it.
const FAILURES: u32 = 5;
/// Failures that are further apart do not add up.
const WINDOW: Duration = Duration::from_secs(10);
/// How long it stays open: doubled each time that the try fails.
const OPEN_MIN: Duration = Duration::from_millis(250);
const OPEN_MAX: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed,
    Open {
        until: Instant,
    },
    /// One call is trying.
    HalfOpen {
        since: Instant,
    },
}

/// What a call that was let in reports its end with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pass {
    Normal,
    /// The one call on which everything depends.
    Probe,
}

/// How a call ended, as far as the server's health goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Healthy,
    Failed,
    /// It was given up, or never got there.
    Unknown,
}

#[derive(Debug)]
pub(crate) struct Breaker {
    state: State,
    failures: u32,
    first_failure: Option<Instant>,
    /// How often it opened without having been closed since.
    opened: u32,
}

impl Breaker {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Closed,
            failures: 0,
            first_failure: None,
            opened: 0,
        }
    }

    /// Lets a call in, or says after what time it is worth trying again.
    pub(crate) fn enter(&mut self, now: Instant) -> Result<Pass, Duration> {
        match self.state {
            State::Closed => Ok(Pass::Normal),
            State::Open { until } if now < until => Err(until - now),
            // A try that never came back must not shut everybody out for good.
            State::HalfOpen { since } if now < since + OPEN_MAX => Err(OPEN_MIN),
            State::Open { .. } | State::HalfOpen { .. } => {
                self.state = State::HalfOpen { since: now };
                Ok(Pass::Probe)
            }
        }
    }

    /// Takes in how a call ended.
    pub(crate) fn leave(&mut self, pass: Pass, verdict: Verdict, now: Instant) {
        match (pass, verdict) {
            (Pass::Normal, Verdict::Healthy) if self.state == State::Closed => self.close(),
            (Pass::Normal, Verdict::Failed) if self.state == State::Closed => self.failed(now),
            // Calls from before it opened prove nothing.
            (Pass::Normal, _) => {}
            (Pass::Probe, Verdict::Healthy) => self.close(),
            (Pass::Probe, Verdict::Failed) => self.open(now),
            (Pass::Probe, Verdict::Unknown) => self.state = State::Open { until: now },
        }
    }

    fn close(&mut self) {
        *self = Self::new();
    }

    fn failed(&mut self, now: Instant) {
        if self.first_failure.is_none_or(|first| now > first + WINDOW) {
            self.first_failure = Some(now);
            self.failures = 0;
        }
        self.failures += 1;
        if self.failures >= FAILURES {
            self.open(now);
        }
    }

    fn open(&mut self, now: Instant) {
        let time = OPEN_MIN.saturating_mul(1 << self.opened.min(16)).min(OPEN_MAX);
        self.opened += 1;
        self.state = State::Open { until: now + time };
    }

    /// Nothing to remember: a call that goes well changes nothing.
    pub(crate) fn is_calm(&self) -> bool {
        self.state == State::Closed && self.failures == 0
    }

    /// The state in one word.
    pub(crate) fn word(&self, now: Instant) -> &'static str {
        match self.state {
            State::Closed => "closed",
            State::Open { until } if now < until => "open",
            State::Open { .. } | State::HalfOpen { .. } => "half_open",
        }
    }
}
