//! Time as the limits see it.

use std::time::Duration;

/// How far the clock may step back before it counts as a new time base. Smaller steps (threads that read the clock and
/// were then held up) leave all state as it is. After a larger one a rate counts as used up and a window keeps what it
/// counted, both from the new time on: nobody gains by a clock that is set back, and nobody is locked out until it has
/// caught up.
pub const MAX_BACKSTEP: Duration = Duration::from_secs(60);

pub(crate) const BACKSTEP: u64 = 60_000_000_000;

/// Nanoseconds on a clock that does not go back: the wall time at the start of the process (since the Unix epoch) plus
/// the monotonic time since. Any other start works too, but saved state then means nothing to the next process.
///
/// Holds at most 2^63 - 1 (the year 2262); later times are cut to that, so sums of a time and a tolerance never
/// overflow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nanos(u64);

impl Nanos {
    /// The last time there is.
    pub const MAX: Self = Self(u64::MAX >> 1);

    /// A time, cut to [`Self::MAX`].
    pub const fn new(nanos: u64) -> Self {
        if nanos > Self::MAX.0 {
            Self::MAX
        } else {
            Self(nanos)
        }
    }

    /// Nanoseconds since the start of the clock.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// This time plus a duration, cut to [`Self::MAX`].
    pub fn after(self, duration: Duration) -> Self {
        Self::new(self.0.saturating_add(nanos_of(duration)))
    }
}

/// A duration in nanoseconds, at most `u64::MAX` (584 years).
pub(crate) fn nanos_of(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
