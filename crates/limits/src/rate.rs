//! What a rate is.

use std::fmt;
use std::time::Duration;

use crate::nanos::nanos_of;
use crate::parse::{ParseError, parse_calls_per};

/// Shortest period of a rate.
pub const MIN_PERIOD: Duration = Duration::from_millis(1);
/// Longest period of a rate.
pub const MAX_PERIOD: Duration = Duration::from_secs(366 * 86_400);
/// Shortest time per call: a rate is at most a million calls per second, so that rounding the time per call up to whole
/// nanoseconds makes it slower by less than a thousandth.
pub const MIN_INTERVAL: Duration = Duration::from_micros(1);

/// `burst` times the time per call stays below this (73 years), so that no sum overflows.
const MAX_TOLERANCE: u64 = 1 << 61;

/// So many calls per period, and so many at once.
///
/// After a pause `burst` calls may come together; from then on one per `period / count`. In any stretch of time of
/// length `t` at most `burst + t * count / period` calls pass. The burst is full again after `burst * period / count`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    period: Duration,
    count: u32,
    burst: u32,
    /// Nanoseconds per call, rounded up.
    interval: u64,
}

/// Why there is no such rate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RateError {
    /// The text is no rate.
    Syntax(ParseError),
    /// The count is 0 (deny the tool instead) or over `u32::MAX`.
    Count,
    /// The period is not within [`MIN_PERIOD`] to [`MAX_PERIOD`].
    Period,
    /// More than one call per [`MIN_INTERVAL`].
    TooFast,
    /// The burst is 0, or takes longer than 73 years to come back.
    Burst,
}

impl Rate {
    /// `count` calls per `period`, `burst` of them at once.
    ///
    /// # Errors
    /// When a value is out of its bounds: see [`RateError`].
    pub fn new(count: u32, period: Duration, burst: u32) -> Result<Self, RateError> {
        if count == 0 {
            return Err(RateError::Count);
        }
        if !(MIN_PERIOD..=MAX_PERIOD).contains(&period) {
            return Err(RateError::Period);
        }
        let interval = nanos_of(period).div_ceil(u64::from(count));
        if nanos_of(period) < nanos_of(MIN_INTERVAL) * u64::from(count) {
            return Err(RateError::TooFast);
        }
        let tolerance = interval.checked_mul(u64::from(burst));
        if burst == 0 || tolerance.is_none_or(|tolerance| tolerance > MAX_TOLERANCE) {
            return Err(RateError::Burst);
        }
        Ok(Self {
            period,
            count,
            burst,
            interval,
        })
    }

    /// A rate as people write it: `100/s`, `1000/min`, `5/h`, `10/day`. The burst is the count.
    ///
    /// # Errors
    /// [`RateError::Syntax`] with the position, or what [`Self::new`] says.
    pub fn parse(text: &str) -> Result<Self, RateError> {
        let (count, period) = parse_calls_per(text).map_err(RateError::Syntax)?;
        let count = u32::try_from(count).map_err(|_| RateError::Count)?;
        Self::new(count, period, count)
    }

    /// The same rate with another burst.
    ///
    /// # Errors
    /// [`RateError::Burst`].
    pub fn with_burst(self, burst: u32) -> Result<Self, RateError> {
        Self::new(self.count, self.period, burst)
    }

    /// Calls per [`Self::period`].
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// The period that [`Self::count`] is for.
    pub const fn period(&self) -> Duration {
        self.period
    }

    /// Calls that may come at once.
    pub const fn burst(&self) -> u32 {
        self.burst
    }

    /// Time per call, rounded up to whole nanoseconds.
    pub const fn interval(&self) -> Duration {
        Duration::from_nanos(self.interval)
    }

    pub(crate) const fn interval_nanos(&self) -> u64 {
        self.interval
    }

    /// The time after which a used-up burst is whole again, in nanoseconds.
    pub(crate) const fn tolerance(&self) -> u64 {
        self.interval * self.burst as u64
    }

    /// The same rate with a burst that is smaller by `less`, but at least 1.
    pub(crate) const fn less_burst(mut self, less: u32) -> Self {
        self.burst = self.burst.saturating_sub(less);
        if self.burst == 0 {
            self.burst = 1;
        }
        self
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, Period(self.period))?;
        if self.burst != self.count {
            write!(f, " (burst {})", self.burst)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rate({self})")
    }
}

/// A period as [`Rate::parse`] reads it, where it has a name.
pub(crate) struct Period(pub(crate) Duration);

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.as_secs(), self.0.subsec_nanos()) {
            (1, 0) => f.write_str("s"),
            (60, 0) => f.write_str("min"),
            (3_600, 0) => f.write_str("h"),
            (86_400, 0) => f.write_str("day"),
            _ => write!(f, "{:?}", self.0),
        }
    }
}

impl fmt::Display for RateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(error) => write!(f, "{error}"),
            Self::Count => write!(
                f,
                "a rate lets through 1 to {} calls per period; to allow none, deny the tool",
                u32::MAX
            ),
            Self::Period => f.write_str("the period of a rate is 1 ms to 366 days"),
            Self::TooFast => f.write_str("a rate is at most 1,000,000 calls per second"),
            Self::Burst => f.write_str("a burst is at least 1, and comes back within 73 years"),
        }
    }
}

impl std::error::Error for RateError {}
