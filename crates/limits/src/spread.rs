//! One rate that all threads share, without a cache line that all threads write.
//!
//! A large burst is split: most of it is one [`Gcra`], the rest lies in shards of a few calls each. A thread takes from
//! its own shard and fills it from the middle, `lease` calls at a time. When the middle is used up, it takes what is left
//! in the shards of others. The parts add up to the burst, so nothing is exceeded; as calls in shards are calls already
//! taken from the middle, the rate over time is exact, and of the burst at most one part in [`RESERVE`] can be missing
//! after a pause. Small bursts are not split: then so few calls pass that there is nothing to contend for.

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use crate::gcra::{Gcra, Reading, Receipt};
use crate::nanos::Nanos;
use crate::rate::Rate;

const SHARDS: usize = 16;
/// All shards together hold at most the burst divided by this.
const RESERVE: u32 = 64;
const MIN_LEASE: u32 = 8;
const MAX_LEASE: u32 = 64;

/// A rate and how it is split.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SpreadRate {
    whole: Rate,
    middle: Rate,
    /// Calls per shard; 0 when the rate is not split.
    lease: u32,
}

impl SpreadRate {
    pub(crate) fn new(rate: Rate) -> Self {
        let lease = (rate.burst() / RESERVE / SHARDS as u32).min(MAX_LEASE);
        let lease = if lease < MIN_LEASE { 0 } else { lease };
        Self {
            whole: rate,
            middle: rate.less_burst(lease * SHARDS as u32),
            lease,
        }
    }

    pub(crate) fn whole(&self) -> &Rate {
        &self.whole
    }
}

#[derive(Debug, Default)]
#[repr(align(128))]
struct Middle(Gcra);

#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard(AtomicU32);

/// The state of such a rate.
#[derive(Debug)]
pub(crate) struct Spread {
    middle: Middle,
    shards: [Shard; SHARDS],
}

/// Where a call was taken from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Taken {
    Middle(Receipt),
    Shard(usize),
}

impl Spread {
    pub(crate) fn new(rate: &SpreadRate) -> Self {
        let spread = Self {
            middle: Middle::default(),
            shards: Default::default(),
        };
        spread.fill(rate.lease);
        spread
    }

    pub(crate) fn peek(&self, rate: &SpreadRate, now: Nanos) -> Reading {
        let reading = self.reading(rate, now);
        if reading.allowed() || rate.lease == 0 {
            return reading;
        }
        let own = own_shard();
        let left = self.shards[own].0.load(Ordering::Relaxed) > 0
            || self
                .shards
                .iter()
                .any(|shard| shard.0.load(Ordering::Relaxed) > 0);
        reading.with_allowed(left)
    }

    pub(crate) fn take(&self, rate: &SpreadRate, now: Nanos) -> (Reading, Taken) {
        if rate.lease == 0 {
            let (reading, receipt) = self.middle.0.take_many(&rate.middle, 1, now);
            return (reading, Taken::Middle(receipt));
        }
        let own = own_shard();
        if self.take_from(own) {
            return (self.reading(rate, now).with_allowed(true), Taken::Shard(own));
        }
        let (reading, receipt) = self.middle.0.take_many(&rate.middle, rate.lease, now);
        if reading.allowed() {
            self.keep(rate, own, receipt);
            return (reading.with_limit(rate.whole.burst()), Taken::Shard(own));
        }
        let (reading, receipt) = self.middle.0.take_many(&rate.middle, 1, now);
        let reading = reading.with_limit(rate.whole.burst());
        if reading.allowed() {
            return (reading, Taken::Middle(receipt));
        }
        for other in 0..SHARDS {
            if self.take_from(other) {
                return (reading.with_allowed(true), Taken::Shard(other));
            }
        }
        (reading, Taken::Middle(receipt))
    }

    pub(crate) fn give_back(&self, rate: &SpreadRate, taken: Taken) {
        match taken {
            Taken::Middle(receipt) => self.middle.0.give_back(&rate.middle, 1, receipt),
            // A shard that others filled meanwhile loses the call: better one too few than one too many.
            Taken::Shard(shard) => {
                let shard = &self.shards[shard].0;
                let _ = shard.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |calls| {
                    (calls < rate.lease).then(|| calls + 1)
                });
            }
        }
    }

    /// Carries what was used over to another rate. What lies in shards counts as used when their size changes.
    pub(crate) fn rescale(&self, from: &SpreadRate, to: &SpreadRate, now: Nanos) {
        self.middle.0.rescale(&from.middle, &to.middle, now);
        if from.lease != to.lease {
            self.fill(0);
        }
    }

    /// The middle, for saving and restoring.
    pub(crate) fn middle(&self) -> &Gcra {
        &self.middle.0
    }

    /// Makes all shards hold so many calls.
    pub(crate) fn fill(&self, calls: u32) {
        for shard in &self.shards {
            shard.0.store(calls, Ordering::Relaxed);
        }
    }

    fn reading(&self, rate: &SpreadRate, now: Nanos) -> Reading {
        let reading = self.middle.0.peek(&rate.middle, now);
        reading.with_limit(rate.whole.burst())
    }

    fn take_from(&self, shard: usize) -> bool {
        let shard = &self.shards[shard].0;
        if shard.load(Ordering::Relaxed) == 0 {
            return false;
        }
        shard
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |calls| calls.checked_sub(1))
            .is_ok()
    }

    /// Puts a fresh lease, less the call that asked for it, into a shard. When another thread with the same shard has just
    /// done so, the rest goes back.
    fn keep(&self, rate: &SpreadRate, shard: usize, receipt: Receipt) {
        let rest = rate.lease - 1;
        let kept = self.shards[shard]
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |calls| {
                (calls + rest <= rate.lease).then(|| calls + rest)
            });
        if kept.is_err() {
            self.middle.0.give_back(&rate.middle, rest, receipt);
        }
    }
}

/// The shard of this thread: threads take turns, so as many threads as shards never meet.
fn own_shard() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    OWN.with(|own| {
        if own.get() == usize::MAX {
            own.set(NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS);
        }
        own.get()
    })
}

#[cfg(test)]
mod tests;
