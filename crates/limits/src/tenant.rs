//! All of one tenant: its rate, its quotas, what it has used of them.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::gcra::{Gcra, Reading};
use crate::nanos::Nanos;
use crate::rate::Rate;
use crate::state::TenantState;
use crate::verdict::{Limit, Refused, Rule, Standing};
use crate::window::{Quota, Window};

/// The quotas of a tenant; what is `None` is not limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quotas {
    /// Calls per window.
    pub tool_calls: Option<Quota>,
    /// Bytes per window, in and out.
    pub bytes: Option<Quota>,
    /// Calls at the same time. Calls that began while there was no such quota are not counted.
    pub concurrent: Option<u32>,
    /// Calls in one batch.
    pub batch_size: Option<u32>,
}

/// What is set for a tenant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TenantSettings {
    /// The rate of all its clients together.
    pub rate: Option<Rate>,
    /// Its quotas.
    pub quotas: Quotas,
}

/// What a tenant may use and has used. The settings belong to one configuration, what is used outlives it.
#[derive(Debug)]
pub struct TenantLimits {
    settings: TenantSettings,
    state: Arc<Cell>,
}

/// What is used, on cache lines of its own: tenants do not slow one another.
#[derive(Debug)]
#[repr(align(128))]
struct Cell {
    rate: Gcra,
    in_flight: AtomicU32,
    /// One lock for both windows, so that they are checked and counted together; held for a few nanoseconds, never across
    /// an await, and only by calls of this tenant.
    windows: Mutex<Windows>,
}

#[derive(Debug, Default)]
struct Windows {
    calls: Option<Window>,
    bytes: Option<Window>,
}

/// Holds the place of one concurrent call until it is dropped.
#[must_use = "a permit that is dropped at once holds nothing"]
#[derive(Debug, Default)]
pub struct Permit(Option<Arc<Cell>>);

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(cell) = &self.0 {
            cell.in_flight.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// What a tenant has used of its limits, at one time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Calls in the window, where there is such a quota.
    pub tool_calls: Option<WindowUsage>,
    /// Bytes in the window, where there is such a quota.
    pub bytes: Option<WindowUsage>,
    /// Calls running now and the most there may be, where there is such a quota.
    pub concurrent: Option<(u32, u32)>,
    /// The rate, where there is one.
    pub rate: Option<RateUsage>,
}

/// What is used of a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateUsage {
    /// The rate.
    pub rate: Rate,
    /// Calls that could come at once.
    pub remaining: u32,
    /// Time until all of the burst is there again, if nobody calls.
    pub reset_after: Duration,
}

impl RateUsage {
    pub(crate) fn of(rate: &Rate, reading: &Reading) -> Self {
        Self {
            rate: *rate,
            remaining: reading.remaining(),
            reset_after: reading.reset_after(),
        }
    }
}

/// What is used of a quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowUsage {
    /// Used in the window that ends now. May exceed the limit: answers are counted when their size is known, and a limit
    /// may have been lowered.
    pub used: u64,
    /// The limit.
    pub limit: u64,
    /// Length of the window.
    pub window: Duration,
    /// Time until all of it is free again, if nothing more is used.
    pub reset_after: Duration,
}

/// The windows of a tenant, checked and locked until the call is counted or given up.
#[derive(Debug)]
pub(crate) struct Reserved<'a>(Option<MutexGuard<'a, Windows>>);

impl Reserved<'_> {
    /// Counts one call of so many bytes.
    pub(crate) fn count(self, bytes: u64, now: Nanos) {
        let Some(mut windows) = self.0 else { return };
        if let Some(calls) = &mut windows.calls {
            calls.add(1, now);
        }
        if let Some(window) = &mut windows.bytes {
            window.add(bytes, now);
        }
    }
}

impl TenantLimits {
    /// Limits of which nothing is used.
    pub fn new(settings: TenantSettings, now: Nanos) -> Self {
        Self::restored(settings, &TenantState::default(), now)
    }

    /// Limits of which so much is used already.
    pub fn restored(settings: TenantSettings, saved: &TenantState, now: Nanos) -> Self {
        let rate = Gcra::new();
        if let (Some(saved), Some(to)) = (&saved.rate, &settings.rate) {
            rate.restore(saved, to, now);
        }
        let window = |quota: Option<Quota>, saved| {
            quota.map(|quota| match saved {
                Some(saved) => Window::restored(saved, quota.window(), now),
                None => Window::new(quota.window(), now),
            })
        };
        let windows = Windows {
            calls: window(settings.quotas.tool_calls, saved.tool_calls.as_ref()),
            bytes: window(settings.quotas.bytes, saved.bytes.as_ref()),
        };
        Self {
            settings,
            state: Arc::new(Cell {
                rate,
                in_flight: AtomicU32::new(0),
                windows: Mutex::new(windows),
            }),
        }
    }

    /// Takes over what another process has used.
    pub(crate) fn take_over(&self, saved: &TenantState, now: Nanos) {
        let taken = Self::restored(self.settings, saved, now);
        self.state.rate.at_least(taken.state.rate.tat());
        std::mem::swap(&mut *self.lock(), &mut *taken.lock());
    }

    /// New settings for the same tenant: what is used stays used, running calls stay counted. Calls that still run on
    /// the old settings count on the same state.
    pub fn with_settings(&self, settings: TenantSettings, now: Nanos) -> Self {
        if let (Some(from), Some(to)) = (&self.settings.rate, &settings.rate) {
            self.state.rate.rescale(from, to, now);
        }
        let mut windows = self.lock();
        carry(&mut windows.calls, settings.quotas.tool_calls, now);
        carry(&mut windows.bytes, settings.quotas.bytes, now);
        drop(windows);
        Self {
            settings,
            state: Arc::clone(&self.state),
        }
    }

    /// What is set.
    pub fn settings(&self) -> &TenantSettings {
        &self.settings
    }

    /// Checks the number of calls in a batch. Each of them is admitted on its own after that.
    ///
    /// # Errors
    /// [`Rule::QuotaBatchSize`].
    pub fn check_batch(&self, calls: usize) -> Result<(), Refused> {
        match self.settings.quotas.batch_size {
            Some(limit) if calls > limit as usize => Err(Refused {
                rule: Rule::QuotaBatchSize,
                limit: Limit::Calls(limit),
                retry_after: None,
                reset_after: None,
            }),
            _ => Ok(()),
        }
    }

    /// Counts bytes whose number was not known when the call was admitted (an answer). Never refused: the next call is,
    /// when this was too much.
    pub fn charge_bytes(&self, bytes: u64, now: Nanos) {
        if self.settings.quotas.bytes.is_some()
            && let Some(window) = &mut self.lock().bytes
        {
            window.add(bytes, now);
        }
    }

    /// What is used now.
    pub fn usage(&self, now: Nanos) -> Usage {
        let quotas = &self.settings.quotas;
        let mut windows = self.lock();
        let usage = |quota: Option<Quota>, window: &mut Option<Window>| {
            let (quota, window) = quota.zip(window.as_mut())?;
            Some(WindowUsage {
                used: window.used(now),
                limit: quota.amount(),
                window: quota.window(),
                reset_after: window.empty_after(now),
            })
        };
        Usage {
            tool_calls: usage(quotas.tool_calls, &mut windows.calls),
            bytes: usage(quotas.bytes, &mut windows.bytes),
            concurrent: quotas
                .concurrent
                .map(|limit| (self.state.in_flight.load(Ordering::Relaxed), limit)),
            rate: self
                .settings
                .rate
                .map(|rate| RateUsage::of(&rate, &self.state.rate.peek(&rate, now))),
        }
    }

    /// What is used, as plain data.
    pub fn save(&self, now: Nanos) -> TenantState {
        let mut windows = self.lock();
        TenantState {
            rate: self
                .settings
                .rate
                .and_then(|rate| self.state.rate.save(&rate, now)),
            tool_calls: windows.calls.as_mut().map(|window| window.save(now)),
            bytes: windows.bytes.as_mut().map(|window| window.save(now)),
        }
    }

    pub(crate) fn rate(&self) -> Option<(&Rate, &Gcra)> {
        self.settings.rate.as_ref().map(|rate| (rate, &self.state.rate))
    }

    /// Takes a place for one more concurrent call.
    pub(crate) fn enter(&self) -> Result<Permit, Refused> {
        let Some(limit) = self.settings.quotas.concurrent else {
            return Ok(Permit::default());
        };
        let entered = self
            .state
            .in_flight
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |running| {
                (running < limit).then(|| running + 1)
            });
        match entered {
            Ok(_) => Ok(Permit(Some(Arc::clone(&self.state)))),
            Err(_) => Err(Refused {
                rule: Rule::QuotaConcurrent,
                limit: Limit::Calls(limit),
                retry_after: None,
                reset_after: None,
            }),
        }
    }

    /// Checks the windows and keeps them locked until the call is counted.
    pub(crate) fn reserve(&self, bytes: u64, now: Nanos) -> Result<Reserved<'_>, Refused> {
        let quotas = &self.settings.quotas;
        if quotas.tool_calls.is_none() && quotas.bytes.is_none() {
            return Ok(Reserved(None));
        }
        let mut windows = self.lock();
        check(
            &mut windows.calls,
            quotas.tool_calls,
            Rule::QuotaToolCalls,
            1,
            now,
        )?;
        check(&mut windows.bytes, quotas.bytes, Rule::QuotaBytes, bytes, now)?;
        Ok(Reserved(Some(windows)))
    }

    /// How the quotas stand for a call of so many bytes.
    pub(crate) fn standings(&self, bytes: u64, now: Nanos) -> Vec<Standing> {
        let quotas = &self.settings.quotas;
        let mut standings = Vec::new();
        if let Some(limit) = quotas.concurrent {
            let running = self.state.in_flight.load(Ordering::Relaxed);
            let allowed = running < limit;
            standings.push(Standing {
                rule: Rule::QuotaConcurrent,
                allowed,
                limit: u64::from(limit),
                remaining: u64::from(limit.saturating_sub(running)),
                reset_after: Duration::ZERO,
                retry_after: allowed.then_some(Duration::ZERO),
            });
        }
        let mut windows = self.lock();
        let Windows { calls, bytes: sizes } = &mut *windows;
        let both = [
            (Rule::QuotaToolCalls, quotas.tool_calls, calls, 1),
            (Rule::QuotaBytes, quotas.bytes, sizes, bytes),
        ];
        for (rule, quota, window, amount) in both {
            let Some((quota, window)) = quota.zip(window.as_mut()) else {
                continue;
            };
            let fits = window.fits(amount, quota.amount(), now);
            standings.push(Standing {
                rule,
                allowed: fits.is_ok(),
                limit: quota.amount(),
                remaining: quota.amount().saturating_sub(window.used(now)),
                reset_after: window.empty_after(now),
                retry_after: fits.err().unwrap_or(Some(Duration::ZERO)),
            });
        }
        standings
    }

    fn lock(&self) -> MutexGuard<'_, Windows> {
        self.state.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn check(
    window: &mut Option<Window>,
    quota: Option<Quota>,
    rule: Rule,
    amount: u64,
    now: Nanos,
) -> Result<(), Refused> {
    let Some((quota, window)) = quota.zip(window.as_mut()) else {
        return Ok(());
    };
    window
        .fits(amount, quota.amount(), now)
        .map_err(|retry_after| Refused {
            rule,
            limit: Limit::Quota(quota),
            retry_after,
            reset_after: Some(window.empty_after(now)),
        })
}

fn carry(window: &mut Option<Window>, quota: Option<Quota>, now: Nanos) {
    *window = match (window.take(), quota) {
        (_, None) => None,
        (None, Some(quota)) => Some(Window::new(quota.window(), now)),
        (Some(old), Some(quota)) if old.has_length(quota.window()) => Some(old),
        (Some(mut old), Some(quota)) => Some(old.resized(quota.window(), now)),
    };
}

#[cfg(test)]
mod tests;
