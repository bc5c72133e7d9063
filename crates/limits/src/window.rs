//! One quota: an amount per sliding window.
//!
//! The window is cut into [`SLOTS`] slots, and what counts is the slot of now and the [`SLOTS`] before it. So in *every*
//! stretch of time as long as the window at most the limit passes: there is no boundary at which two limits' worth can
//! meet, as with windows that start anew. The price is that what was used comes back up to one slot (a sixteenth of the
//! window) late, and in steps.

use std::fmt;
use std::time::Duration;

use crate::nanos::{BACKSTEP, Nanos, nanos_of};
use crate::parse::{ParseError, parse_bytes_per, parse_calls_per};
use crate::rate::Period;
use crate::state::WindowState;

/// Slots per window.
pub const SLOTS: usize = 16;
/// The slots that are kept: those of a window, and the one that is beginning.
const RING: usize = SLOTS + 1;
/// Shortest window.
pub const MIN_WINDOW: Duration = Duration::from_secs(1);
/// Longest window.
pub const MAX_WINDOW: Duration = Duration::from_secs(366 * 86_400);

/// So much per window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    amount: u64,
    window: Duration,
}

/// Why there is no such quota.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QuotaError {
    /// The text is no amount per period.
    Syntax(ParseError),
    /// The amount is 0.
    Amount,
    /// The window is not within [`MIN_WINDOW`] to [`MAX_WINDOW`].
    Window,
}

impl Quota {
    /// At most `amount` (calls or bytes) in every stretch of time as long as `window`.
    ///
    /// # Errors
    /// When a value is out of its bounds: see [`QuotaError`].
    pub fn new(amount: u64, window: Duration) -> Result<Self, QuotaError> {
        if amount == 0 {
            return Err(QuotaError::Amount);
        }
        if !(MIN_WINDOW..=MAX_WINDOW).contains(&window) {
            return Err(QuotaError::Window);
        }
        Ok(Self { amount, window })
    }

    /// A quota of calls as people write it: `1000/min`, `10/day`.
    ///
    /// # Errors
    /// [`QuotaError::Syntax`] with the position.
    pub fn parse_calls(text: &str) -> Result<Self, QuotaError> {
        let (amount, window) = parse_calls_per(text).map_err(QuotaError::Syntax)?;
        Self::new(amount, window)
    }

    /// A quota of bytes as people write it: `64MiB/h`, `10GB/day`.
    ///
    /// # Errors
    /// [`QuotaError::Syntax`] with the position.
    pub fn parse_bytes(text: &str) -> Result<Self, QuotaError> {
        let (amount, window) = parse_bytes_per(text).map_err(QuotaError::Syntax)?;
        Self::new(amount, window)
    }

    /// Calls or bytes per window.
    pub const fn amount(&self) -> u64 {
        self.amount
    }

    /// Length of the window.
    pub const fn window(&self) -> Duration {
        self.window
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.amount, Period(self.window))
    }
}

impl fmt::Display for QuotaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(error) => write!(f, "{error}"),
            Self::Amount => f.write_str("a quota is at least 1; to allow none, deny the tool"),
            Self::Window => f.write_str("the window of a quota is 1 s to 366 days"),
        }
    }
}

impl std::error::Error for QuotaError {}

/// What was used of a quota. The limit is given to each question: it may change while this stays.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    /// Length of a slot in nanoseconds.
    slot: u64,
    /// Start of the current slot.
    start: u64,
    /// Index of the current slot.
    head: usize,
    /// Sum of the ring.
    total: u64,
    ring: [u64; RING],
}

impl Window {
    pub(crate) fn new(length: Duration, now: Nanos) -> Self {
        let slot = slot_of(length);
        Self {
            slot,
            start: now.get() - now.get() % slot,
            head: 0,
            total: 0,
            ring: [0; RING],
        }
    }

    /// What was used in the window that ends now.
    pub(crate) fn used(&mut self, now: Nanos) -> u64 {
        self.advance(now);
        self.total
    }

    /// Whether so much more is within the limit.
    ///
    /// # Errors
    /// The time after which it would be, or `None` when it is more than the limit itself.
    pub(crate) fn fits(&mut self, amount: u64, limit: u64, now: Nanos) -> Result<(), Option<Duration>> {
        self.advance(now);
        if amount > limit {
            return Err(None);
        }
        // The sum itself could overflow.
        let room = limit - amount;
        if self.total <= room {
            return Ok(());
        }
        Err(Some(self.freed_after(self.total - room, now)))
    }

    /// Counts on the slot that [`Self::advance`] left as the current one.
    pub(crate) fn add(&mut self, amount: u64, now: Nanos) {
        self.advance(now);
        // The sum never overflows, so neither does a slot.
        let amount = amount.min(u64::MAX - self.total);
        self.total += amount;
        self.ring[self.head] += amount;
    }

    /// Time until at least so much has left the window.
    fn freed_after(&self, needed: u64, now: Nanos) -> Duration {
        let mut freed = 0;
        for step in 1..=RING {
            freed += self.ring[(self.head + step) % RING];
            if freed >= needed {
                let at = self.start.saturating_add(self.slot.saturating_mul(step as u64));
                return Duration::from_nanos(at - now.get().min(at));
            }
        }
        Duration::from_nanos(self.slot.saturating_mul(RING as u64))
    }

    /// Time until everything has left the window, if nothing is added.
    pub(crate) fn empty_after(&self, now: Nanos) -> Duration {
        if self.total == 0 {
            return Duration::ZERO;
        }
        self.freed_after(self.total, now)
    }

    fn advance(&mut self, now: Nanos) {
        let now = now.get();
        if now.wrapping_sub(self.start) >= self.slot {
            self.turn(now);
        }
    }

    /// Makes the slot of `now` the current one.
    #[cold]
    fn turn(&mut self, now: u64) {
        if now < self.start {
            if self.start - now > BACKSTEP {
                // The clock was set back: what was used stays used, as if it were used now.
                self.ring = [0; RING];
                self.ring[self.head] = self.total;
                self.start = now - now % self.slot;
            }
            return;
        }
        let steps = (now - self.start) / self.slot;
        self.start += steps * self.slot;
        if steps >= RING as u64 {
            self.ring = [0; RING];
            self.total = 0;
            return;
        }
        for _ in 0..steps {
            self.head = (self.head + 1) % RING;
            self.total -= std::mem::take(&mut self.ring[self.head]);
        }
    }

    /// The same use in a window of another length. Each slot's use counts at the end of the slot, so it is never
    /// forgotten too early; what lies in the future counts now.
    pub(crate) fn resized(&mut self, length: Duration, now: Nanos) -> Self {
        self.advance(now);
        Self::restored(&self.save(now), length, now)
    }

    pub(crate) fn has_length(&self, length: Duration) -> bool {
        self.slot == slot_of(length)
    }

    pub(crate) fn save(&mut self, now: Nanos) -> WindowState {
        self.advance(now);
        let slots = (0..RING).filter_map(|age| {
            let amount = self.ring[(self.head + RING - age) % RING];
            let end = (self.start + self.slot).saturating_sub(self.slot.saturating_mul(age as u64));
            (amount > 0).then(|| (Nanos::new(end), amount))
        });
        WindowState {
            used: slots.collect(),
        }
    }

    /// What was saved, in a window of this length. Nothing in it is trusted: times in the future count as now.
    pub(crate) fn restored(saved: &WindowState, length: Duration, now: Nanos) -> Self {
        let mut window = Self::new(length, now);
        for (end, amount) in &saved.used {
            // The end belongs to the next slot.
            let at = end.get().saturating_sub(1).min(now.get());
            let age = if at >= window.start {
                0
            } else {
                (window.start - at).div_ceil(window.slot)
            };
            let Ok(age) = usize::try_from(age) else { continue };
            if age < RING {
                let amount = (*amount).min(u64::MAX - window.total);
                window.total += amount;
                window.ring[(RING - age) % RING] += amount;
            }
        }
        window
    }
}

fn slot_of(length: Duration) -> u64 {
    nanos_of(length).div_ceil(SLOTS as u64).max(1)
}

#[cfg(test)]
mod tests;
