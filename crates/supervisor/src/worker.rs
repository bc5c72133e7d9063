//! The policy that keeps one child running, without I/O: events in, actions out.
//!
//! The driver owns the real process and the protocol on top of it. It reports what happened together with the time and a
//! random number, carries out the [`Action`]s in order, and calls [`Worker::handle`] with [`Event::Tick`] when
//! [`Worker::deadline`] passes. Everything about a child carries its [`Generation`], so news of an earlier child that
//! arrive late are recognised and ignored.
//!
//! ```text
//!            Start                    Ready
//! Stopped ---------> Starting ----------------------> Ready
//!    ^                 |  ^                             |
//!    |        exit or  |  | Tick after the delay        | exit
//!    |        no spawn v  |                             v
//!    |              Backoff <---------------------------+
//!    |                 |  too many failures in a row
//!    |                 v
//!    |              Failed -- Start, after the longest delay --> Starting
//!    |
//!  Stopping <-- Stop, start timeout, failed or lost handshake; left when the child has exited
//! ```
//!
//! While it is ready, a child that gives no sign of life is asked for one (`Ping`), and after some questions without an
//! answer it is killed.
//!
//! Invariants (property-tested): at most one child at a time, a new one only after the exit of the last was reported;
//! the delay never leaves its bounds and its lower bound only grows until a healthy run resets it; `Up` and `Down` alternate.

use std::time::{Duration, Instant};

#[cfg(test)]
mod tests;

/// Failures in a row that are no accident any more.
const LOOP: u32 = 3;

/// Which child of a worker, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub u64);

/// When to restart and when to give up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// A child that is not ready after this long is stopped; counts as a failure. Default 30 s.
    pub start_timeout: Duration,
    /// Shortest delay before a restart. Default 250 ms.
    pub backoff_min: Duration,
    /// Longest delay before a restart. Default 30 s.
    pub backoff_max: Duration,
    /// A child that was ready for this long clears the count of failures when it ends. Default 10 s.
    pub healthy_after: Duration,
    /// After this many failures in a row restarts are no longer automatic. Default 10; at least 1.
    pub give_up_after: u32,
    /// A child that was silent for this long is asked for a sign of life, and again after the same time. `None`, the
    /// default, never asks.
    pub heartbeat: Option<Duration>,
    /// After this many questions without an answer it is killed. Default 2; at least 1.
    pub misses: u32,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            start_timeout: Duration::from_secs(30),
            backoff_min: Duration::from_millis(250),
            backoff_max: Duration::from_secs(30),
            healthy_after: Duration::from_secs(10),
            give_up_after: 10,
            heartbeat: None,
            misses: 2,
        }
    }
}

impl Policy {
    /// The delay after `failures` (1 or more) failures in a row: random between half and all of `2^failures * backoff_min`, within
    /// `backoff_min..=backoff_max`. `random` is any uniformly distributed number.
    #[must_use]
    pub fn delay(&self, failures: u32, random: u32) -> Duration {
        let max = self.backoff_max.max(self.backoff_min);
        let factor = 1u32.checked_shl(failures).unwrap_or(u32::MAX);
        let base = self.backoff_min.saturating_mul(factor).min(max);
        let half = base / 2;
        let jitter = half.mul_f64(f64::from(random) / (f64::from(u32::MAX) + 1.0));
        (half + jitter).clamp(self.backoff_min, max)
    }
}

/// Where a worker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Not wanted and not running.
    Stopped,
    /// The child was or is being started; it is not usable yet.
    Starting {
        /// When it is given up.
        until: Instant,
    },
    /// Usable.
    Ready {
        /// Since when.
        since: Instant,
    },
    /// Waiting to start again.
    Backoff {
        /// When that happens.
        until: Instant,
    },
    /// Failed too often in a row; a `Start` from `retry_at` on tries again.
    Failed {
        /// Earliest time of a new attempt.
        retry_at: Instant,
    },
    /// The child was told to stop and has not exited yet.
    Stopping,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The worker is wanted (at start-up, or by a call).
    Start,
    /// The worker is no longer wanted.
    Stop,
    /// The child is up and its handshake is done.
    Ready(Generation),
    /// The child runs but cannot be used: its handshake failed, or its output ended.
    Unusable(Generation),
    /// It answered a `Ping`, or gave another sign of life, or has a good reason not to.
    Alive(Generation),
    /// The child has exited and is reaped, or could not be started at all.
    Exited(Generation),
    /// Time has passed.
    Tick,
}

/// What the driver must do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Start a child. Answer with `Ready`, `Unusable` or `Exited`.
    Spawn(Generation),
    /// Stop it (asking first, then killing). Answer with `Exited`.
    Stop(Generation),
    /// Kill it: it does not listen. Answer with `Exited`.
    Kill(Generation),
    /// Ask it for a sign of life. Answer with `Alive` if there is one; nothing is done about none.
    Ping(Generation),
    /// Tell users that it can be called.
    Up(Generation),
    /// Tell users that it cannot be called any more; calls in flight fail.
    Down(Generation),
}

/// One worker: at most one child, and the plan for the next.
#[derive(Debug)]
pub struct Worker {
    policy: Policy,
    state: State,
    generation: Generation,
    /// Someone wants it running.
    wanted: bool,
    /// A child of the current generation may exist.
    child: bool,
    /// Failures in a row.
    failures: u32,
    /// While it is ready: when the next sign of life is due, and how many questions are unanswered.
    beat: Option<Instant>,
    unanswered: u32,
}

impl Worker {
    /// A worker that is stopped.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            state: State::Stopped,
            generation: Generation(0),
            wanted: false,
            child: false,
            failures: 0,
            beat: None,
            unanswered: 0,
        }
    }

    /// Where it is.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// The latest child; 0 before the first.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// Failures in a row so far.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Whether it keeps failing: at least three times in a row, without a healthy run in between.
    #[must_use]
    pub fn is_looping(&self) -> bool {
        self.failures >= LOOP
    }

    /// When to send [`Event::Tick`] next; `None` if only other events can change anything.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Starting { until } | State::Backoff { until } => Some(until),
            State::Ready { .. } => self.beat,
            State::Stopped | State::Failed { .. } | State::Stopping => None,
        }
    }

    /// Takes in one event and appends what to do about it. `random`: any uniformly distributed number, for the jitter.
    pub fn handle(&mut self, event: Event, now: Instant, random: u32, actions: &mut Vec<Action>) {
        match event {
            Event::Start => self.start(now, actions),
            Event::Stop => self.stop(actions),
            Event::Ready(of) if self.is_current(of) => {
                if let State::Starting { .. } = self.state {
                    self.state = State::Ready { since: now };
                    self.heard(now);
                    actions.push(Action::Up(of));
                }
            }
            Event::Unusable(of) if self.is_current(of) => self.give_up_child(now, actions),
            Event::Exited(of) if self.is_current(of) => self.exited(now, random, actions),
            Event::Alive(of) if self.is_current(of) => self.heard(now),
            Event::Tick => self.tick(now, actions),
            Event::Ready(_) | Event::Unusable(_) | Event::Exited(_) | Event::Alive(_) => {}
        }
    }

    fn is_current(&self, of: Generation) -> bool {
        self.child && of == self.generation
    }

    fn start(&mut self, now: Instant, actions: &mut Vec<Action>) {
        self.wanted = true;
        match self.state {
            State::Stopped => {
                self.failures = 0;
                self.spawn(now, actions);
            }
            State::Failed { retry_at } if now >= retry_at => self.spawn(now, actions),
            _ => {}
        }
    }

    fn stop(&mut self, actions: &mut Vec<Action>) {
        self.wanted = false;
        match self.state {
            State::Starting { .. } | State::Ready { .. } => self.stop_child(actions),
            State::Backoff { .. } | State::Failed { .. } => self.state = State::Stopped,
            State::Stopped | State::Stopping => {}
        }
    }

    fn tick(&mut self, now: Instant, actions: &mut Vec<Action>) {
        match self.state {
            State::Starting { until } if now >= until => self.give_up_child(now, actions),
            State::Backoff { until } if now >= until => self.spawn(now, actions),
            State::Ready { since } if self.beat.is_some_and(|due| now >= due) => {
                if self.unanswered >= self.policy.misses.max(1) {
                    self.count_failure(since, now);
                    actions.push(Action::Down(self.generation));
                    self.state = State::Stopping;
                    actions.push(Action::Kill(self.generation));
                } else {
                    self.unanswered += 1;
                    self.beat = self.policy.heartbeat.map(|beat| after(now, beat));
                    actions.push(Action::Ping(self.generation));
                }
            }
            _ => {}
        }
    }

    fn heard(&mut self, now: Instant) {
        self.unanswered = 0;
        self.beat = self.policy.heartbeat.map(|beat| after(now, beat));
    }

    fn spawn(&mut self, now: Instant, actions: &mut Vec<Action>) {
        self.generation.0 += 1;
        self.child = true;
        self.state = State::Starting {
            until: after(now, self.policy.start_timeout),
        };
        actions.push(Action::Spawn(self.generation));
    }

    /// The child is of no use: stop it; whether to start another is decided when it has exited.
    fn give_up_child(&mut self, now: Instant, actions: &mut Vec<Action>) {
        match self.state {
            State::Starting { .. } => self.failures = self.failures.saturating_add(1),
            State::Ready { since } => self.count_failure(since, now),
            _ => return,
        }
        self.stop_child(actions);
    }

    fn stop_child(&mut self, actions: &mut Vec<Action>) {
        if let State::Ready { .. } = self.state {
            actions.push(Action::Down(self.generation));
        }
        self.state = State::Stopping;
        actions.push(Action::Stop(self.generation));
    }

    fn exited(&mut self, now: Instant, random: u32, actions: &mut Vec<Action>) {
        self.child = false;
        match self.state {
            State::Starting { .. } => self.failures = self.failures.saturating_add(1),
            State::Ready { since } => {
                actions.push(Action::Down(self.generation));
                self.count_failure(since, now);
            }
            // A child that was given up is counted already; one that was stopped on request is no failure.
            _ => {}
        }
        if !self.wanted {
            self.state = State::Stopped;
        } else if self.failures >= self.policy.give_up_after.max(1) {
            self.state = State::Failed {
                retry_at: after(now, self.policy.backoff_max),
            };
        } else if self.failures == 0 {
            // Stopped on request and wanted again meanwhile.
            self.spawn(now, actions);
        } else {
            self.state = State::Backoff {
                until: after(now, self.policy.delay(self.failures, random)),
            };
        }
    }

    fn count_failure(&mut self, ready_since: Instant, now: Instant) {
        if now.saturating_duration_since(ready_since) >= self.policy.healthy_after {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
    }
}

/// `now + by`; what lies beyond the clock's range is ten years from now.
fn after(now: Instant, by: Duration) -> Instant {
    now.checked_add(by)
        .unwrap_or_else(|| now + Duration::from_secs(10 * 365 * 86_400))
}
