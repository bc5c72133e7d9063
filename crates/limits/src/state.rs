//! State as plain data, to be kept across a restart. How it is written down is the business of whoever keeps it.

use std::time::Duration;

use crate::nanos::Nanos;

/// Everything worth keeping: what the tenants, the tools and the server have used. Clients are not in it: a restart gives
/// each client one burst.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SavedState {
    /// The rate of the whole server, where something of it is used.
    pub global: Option<RateState>,
    /// By tenant id.
    pub tenants: Vec<(String, TenantState)>,
    /// By tool name.
    pub tools: Vec<(String, RateState)>,
}

impl SavedState {
    /// The same on another clock, which shows `to` when this one shows `from`.
    #[must_use]
    pub fn on_another_clock(mut self, from: Nanos, to: Nanos) -> Self {
        let moved = |time: &mut Nanos| {
            let ahead = time.get().saturating_sub(from.get());
            let behind = from.get().saturating_sub(time.get());
            *time = Nanos::new(to.get().saturating_add(ahead).saturating_sub(behind));
        };
        let rates = self
            .global
            .iter_mut()
            .chain(self.tools.iter_mut().map(|(_, rate)| rate));
        rates.for_each(|rate| moved(&mut rate.whole_at));
        for (_, tenant) in &mut self.tenants {
            tenant.rate.iter_mut().for_each(|rate| moved(&mut rate.whole_at));
            let windows = tenant.tool_calls.iter_mut().chain(&mut tenant.bytes);
            for (end, _) in windows.flat_map(|window| &mut window.used) {
                moved(end);
            }
        }
        self
    }
}

/// What a tenant has used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TenantState {
    /// Of its rate, where something is used.
    pub rate: Option<RateState>,
    /// Of its quota of calls, where it has one.
    pub tool_calls: Option<WindowState>,
    /// Of its quota of bytes, where it has one.
    pub bytes: Option<WindowState>,
}

/// What is used of a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateState {
    /// When the burst is whole again.
    pub whole_at: Nanos,
    /// The time per call that this was counted with.
    pub interval: Duration,
}

/// What is used of a quota.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WindowState {
    /// The end of each slot in which something was used, and how much; newest first, at most [`crate::SLOTS`] + 1.
    pub used: Vec<(Nanos, u64)>,
}
