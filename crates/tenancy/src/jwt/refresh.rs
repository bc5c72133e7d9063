//! When a key set has to be fetched again. Does not fetch: whoever does asks [`JwksRefresh::poll`] and reports back.
//!
//! The keys at hand stay good while fetching fails: an issuer that cannot be reached must not lock everybody out.

use std::time::Duration;

use crate::jwt::jwks::{JwkSet, JwksError};

/// How often a key set is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefreshSettings {
    /// Age at which it is fetched again.
    pub max_age: Duration,
    /// Shortest time between two fetches because of an unknown key: tokens can be invented, fetches must not follow them.
    pub min_interval: Duration,
    /// First wait after a failure; it doubles with each, up to `max_backoff`.
    pub backoff: Duration,
    /// Longest wait after failures.
    pub max_backoff: Duration,
}

impl Default for RefreshSettings {
    fn default() -> Self {
        Self {
            max_age: Duration::from_secs(600),
            min_interval: Duration::from_secs(30),
            backoff: Duration::from_secs(1),
            max_backoff: Duration::from_secs(300),
        }
    }
}

/// The state of one key set that is fetched. Times are Unix seconds; a clock that is set back only makes the next fetch
/// come at once.
#[derive(Clone, Debug)]
pub struct JwksRefresh {
    settings: RefreshSettings,
    fetching: bool,
    wanted: bool,
    failures: u32,
    attempted: Option<u64>,
    fetched: Option<u64>,
    last_error: Option<String>,
}

impl JwksRefresh {
    /// Nothing was fetched yet.
    pub fn new(settings: RefreshSettings) -> Self {
        Self {
            settings,
            fetching: false,
            wanted: false,
            failures: 0,
            attempted: None,
            fetched: None,
            last_error: None,
        }
    }

    /// Whether to fetch now. After `true`, report with [`Self::on_document`] or [`Self::on_failure`]; until then the answer
    /// is `false`.
    pub fn poll(&mut self, now: u64) -> bool {
        if self.fetching || self.due(now) > now {
            return false;
        }
        self.fetching = true;
        self.wanted = false;
        self.attempted = Some(now);
        true
    }

    /// When [`Self::poll`] will say yes, if nothing happens before; for a timer. Not in the past of `now` by design: a time
    /// that has come is `now`.
    pub fn due(&self, now: u64) -> u64 {
        let Some(attempted) = self.attempted.filter(|at| *at <= now) else {
            return now;
        };
        let wait = if self.failures > 0 {
            self.wait_after_failure()
        } else if self.wanted {
            self.settings.min_interval.min(self.settings.max_age)
        } else {
            self.settings.max_age
        };
        attempted.saturating_add(wait.as_secs()).max(now)
    }

    /// A token named a key that is not in the set. Fetches are at least `min_interval` apart, however many tokens come.
    pub fn on_unknown_key(&mut self) {
        self.wanted = true;
    }

    /// A document arrived. With an error the keys at hand are kept, and it counts as a failure.
    ///
    /// # Errors
    /// When it is no key set.
    pub fn on_document(&mut self, document: &[u8], now: u64) -> Result<JwkSet, JwksError> {
        match JwkSet::parse(document) {
            Ok(keys) => {
                self.fetching = false;
                self.failures = 0;
                self.fetched = Some(now);
                self.last_error = None;
                Ok(keys)
            }
            Err(error) => {
                self.on_failure(&error.to_string());
                Err(error)
            }
        }
    }

    /// Fetching failed; the keys at hand are kept.
    pub fn on_failure(&mut self, reason: &str) {
        self.fetching = false;
        self.failures = self.failures.saturating_add(1);
        self.last_error = Some(reason.chars().take(500).collect());
    }

    /// Failures since the last success.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Why the last attempt failed; `None` when it did not.
    pub fn last_error(&self) -> Option<&str> {
        self.last_error.as_deref()
    }

    /// Age of the keys at hand; `None` when there never were any.
    pub fn age(&self, now: u64) -> Option<Duration> {
        self.fetched.map(|at| Duration::from_secs(now.saturating_sub(at)))
    }

    fn wait_after_failure(&self) -> Duration {
        let doublings = (self.failures - 1).min(30);
        let wait = self.settings.backoff.saturating_mul(1 << doublings);
        wait.min(self.settings.max_backoff)
    }
}
