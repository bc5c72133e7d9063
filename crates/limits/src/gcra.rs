//! One rate: the generic cell rate algorithm (ITU-T I.371) over one atomic.
//!
//! The whole state is the theoretical arrival time (TAT): the time at which the burst is whole again. A call moves it on
//! by one interval; what lies beyond `now + tolerance` is refused. Idle time needs no bookkeeping.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::nanos::{BACKSTEP, Nanos};
use crate::rate::Rate;
use crate::state::RateState;

/// The state of one rate. The [`Rate`] itself is given to each operation, so that many can share it.
#[derive(Debug, Default)]
pub struct Gcra {
    /// At most [`Nanos::MAX`] + a tolerance, which fits.
    tat: AtomicU64,
}

/// What a rate said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    allowed: bool,
    limit: u32,
    interval: u64,
    tolerance: u64,
    /// Nanoseconds until the burst is whole again.
    debt: u64,
}

impl Gcra {
    /// A rate of which nothing is used.
    pub const fn new() -> Self {
        Self {
            tat: AtomicU64::new(0),
        }
    }

    /// What [`Self::take`] would say now, without taking.
    #[inline]
    pub fn peek(&self, rate: &Rate, now: Nanos) -> Reading {
        let debt = self.debt(self.tat.load(Ordering::Relaxed), rate, now);
        let allowed = debt + rate.interval_nanos() <= rate.tolerance();
        Reading::new(allowed, rate, debt)
    }

    /// Takes one call if the rate allows it. Lock-free; a refused call changes nothing.
    #[inline]
    pub fn take(&self, rate: &Rate, now: Nanos) -> Reading {
        self.take_many(rate, 1, now).0
    }

    /// Takes `calls` (at least 1) or nothing. The second value is the receipt for [`Self::give_back`].
    #[inline]
    pub(crate) fn take_many(&self, rate: &Rate, calls: u32, now: Nanos) -> (Reading, Receipt) {
        let cost = rate.interval_nanos() * u64::from(calls);
        let mut tat = self.tat.load(Ordering::Relaxed);
        loop {
            let debt = self.debt(tat, rate, now);
            if debt + cost > rate.tolerance() {
                return (Reading::new(false, rate, debt), Receipt(0));
            }
            let after = now.get() + debt + cost;
            // Relaxed: the time is all there is, nothing else is published by it.
            match self
                .tat
                .compare_exchange_weak(tat, after, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return (Reading::new(true, rate, debt + cost), Receipt(after)),
                Err(current) => tat = current,
            }
        }
    }

    /// Undoes a [`Self::take_many`] of a call that another limit refused, as if it had never been.
    ///
    /// While calls follow one another without the burst becoming whole, TATs differ by whole intervals; once it was
    /// whole, the next call starts from its own time. So when TAT and receipt differ by anything else, time has already
    /// given back what was taken, and doing it again would let one call too many through.
    pub(crate) fn give_back(&self, rate: &Rate, calls: u32, receipt: Receipt) {
        let cost = rate.interval_nanos() * u64::from(calls);
        // An error means that there was nothing left to undo.
        let _ = self
            .tat
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |tat| {
                (tat.abs_diff(receipt.0) % rate.interval_nanos() == 0).then(|| tat.saturating_sub(cost))
            });
    }

    /// Nanoseconds until the burst is whole again.
    #[inline]
    fn debt(&self, tat: u64, rate: &Rate, now: Nanos) -> u64 {
        let debt = tat.saturating_sub(now.get());
        if debt > rate.tolerance() + BACKSTEP {
            return self.rebase(tat, rate, now);
        }
        debt
    }

    /// The clock was set back: the burst counts as used up from now on.
    #[cold]
    fn rebase(&self, tat: u64, rate: &Rate, now: Nanos) -> u64 {
        let debt = rate.tolerance();
        // If another thread was faster, its value stands.
        let _ = self
            .tat
            .compare_exchange(tat, now.get() + debt, Ordering::Relaxed, Ordering::Relaxed);
        debt
    }

    /// Whether the burst is whole, so that this state equals a new one.
    #[inline]
    pub(crate) fn is_whole(&self, now: Nanos) -> bool {
        self.tat.load(Ordering::Relaxed) <= now.get()
    }

    pub(crate) fn tat(&self) -> u64 {
        self.tat.load(Ordering::Relaxed)
    }

    /// Sets the TAT, unless it is later already.
    pub(crate) fn at_least(&self, tat: u64) {
        self.tat.fetch_max(tat, Ordering::Relaxed);
    }

    /// Carries what was used over to another rate: so many calls used of the old burst are so many of the new one (at
    /// most all of it).
    pub(crate) fn rescale(&self, from: &Rate, to: &Rate, now: Nanos) {
        if from.interval_nanos() == to.interval_nanos() && from.burst() == to.burst() {
            return;
        }
        let _ = self
            .tat
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |tat| {
                Some(converted(tat, from.interval_nanos(), to, now))
            });
    }

    /// What is used, as plain data; `None` when nothing is.
    pub(crate) fn save(&self, rate: &Rate, now: Nanos) -> Option<RateState> {
        (!self.is_whole(now)).then(|| RateState {
            whole_at: Nanos::new(self.tat()),
            interval: rate.interval(),
        })
    }

    pub(crate) fn restore(&self, saved: &RateState, rate: &Rate, now: Nanos) {
        let from = crate::nanos::nanos_of(saved.interval).max(1);
        self.tat.store(
            converted(saved.whole_at.get(), from, rate, now),
            Ordering::Relaxed,
        );
    }
}

fn converted(tat: u64, from_interval: u64, to: &Rate, now: Nanos) -> u64 {
    let debt = u128::from(tat.saturating_sub(now.get()));
    let debt = debt * u128::from(to.interval_nanos()) / u128::from(from_interval);
    let debt = u64::try_from(debt).unwrap_or(u64::MAX).min(to.tolerance());
    if debt == 0 {
        tat.min(now.get())
    } else {
        now.get() + debt
    }
}

/// What a take left behind, to undo it by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Receipt(u64);

impl Reading {
    #[inline]
    fn new(allowed: bool, rate: &Rate, debt: u64) -> Self {
        Self {
            allowed,
            limit: rate.burst(),
            interval: rate.interval_nanos(),
            tolerance: rate.tolerance(),
            debt,
        }
    }

    /// The same reading of a rate whose burst is really this one.
    pub(crate) fn with_limit(mut self, limit: u32) -> Self {
        self.limit = limit;
        self
    }

    pub(crate) fn with_allowed(mut self, allowed: bool) -> Self {
        self.allowed = allowed;
        self
    }

    /// Whether the call passes.
    pub const fn allowed(&self) -> bool {
        self.allowed
    }

    /// The burst: calls that can come at once when nothing is used.
    pub const fn limit(&self) -> u32 {
        self.limit
    }

    /// Calls that could come at once right after this one. Costs a division: ask when it is shown.
    pub fn remaining(&self) -> u32 {
        if !self.allowed {
            return 0;
        }
        let calls = self.tolerance.saturating_sub(self.debt) / self.interval;
        u32::try_from(calls).unwrap_or(u32::MAX)
    }

    /// Time until the burst is whole again, if nobody calls.
    pub const fn reset_after(&self) -> Duration {
        Duration::from_nanos(self.debt)
    }

    /// Time until the next call can pass: exact to the nanosecond, zero when one could pass right now.
    pub const fn retry_after(&self) -> Duration {
        Duration::from_nanos((self.debt + self.interval).saturating_sub(self.tolerance))
    }
}

#[cfg(test)]
mod tests;
