//! How many calls there were, and how many of them failed.

use std::sync::atomic::{AtomicU64, Ordering};

use ferromcp_core::record::Ending;

/// Counts calls by how they ended. Read while calls go on, the two numbers may be a few calls apart.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Tally {
    good: AtomicU64,
    failed: AtomicU64,
}

/// What there was until a moment, or between two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Calls that ended with what they were to end with.
    pub good: u64,
    /// Calls that failed, also by the tool's own word or because they were refused.
    pub failed: u64,
}

impl Tally {
    pub(crate) fn count(&self, ending: Ending) {
        let counter = match ending {
            Ending::Ok | Ending::InputRequired | Ending::Task => &self.good,
            Ending::ToolError | Ending::Failed(_) => &self.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Until now.
    pub fn now(&self) -> Counted {
        Counted {
            good: self.good.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
        }
    }
}

impl Counted {
    /// What came after `earlier`.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            good: self.good.saturating_sub(earlier.good),
            failed: self.failed.saturating_sub(earlier.failed),
        }
    }

    /// All calls.
    #[must_use]
    pub fn calls(self) -> u64 {
        self.good + self.failed
    }

    /// The part that failed, 0 to 1; 0 of none.
    #[must_use]
    pub fn rate(self) -> f64 {
        match self.calls() {
            0 => 0.0,
            calls => self.failed as f64 / calls as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use ferromcp_core::ErrorCode;

    use super::*;

    #[test]
    fn what_came_after_a_moment() {
        let tally = Tally::default();
        tally.count(Ending::Ok);
        let before = tally.now();
        for ending in [
            Ending::Task,
            Ending::ToolError,
            Ending::Failed(ErrorCode::Timeout),
            Ending::InputRequired,
        ] {
            tally.count(ending);
        }
        let after = tally.now().since(before);
        assert_eq!((after.good, after.failed, after.calls()), (2, 2, 4));
        assert!((after.rate() - 0.5).abs() < f64::EPSILON);
        assert!(Counted::default().rate().abs() < f64::EPSILON);
    }
}
