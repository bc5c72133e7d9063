//! All limits of one configuration, and what they do to one call.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::gcra::{Gcra, Reading, Receipt};
use crate::keyed::{ClientKey, Clients};
use crate::nanos::Nanos;
use crate::rate::Rate;
use crate::spread::{Spread, SpreadRate, Taken};
use crate::state::{RateState, SavedState};
use crate::tenant::{Permit, RateUsage, TenantLimits, TenantSettings};
use crate::verdict::{Limit, Refused, Rule, Standing};

/// What is set. What is `None` or not named is not limited.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LimitSettings {
    /// The rate of the whole server.
    pub global: Option<Rate>,
    /// The rate of each client.
    pub client: Option<Rate>,
    /// How many clients can be busy at the same time before they start to share: see [`Clients::new`].
    pub max_clients: usize,
    /// By tenant id.
    pub tenants: HashMap<String, TenantSettings>,
    /// The rates of tools, by name; all tenants together.
    pub tools: HashMap<String, Rate>,
}

/// All limits of one configuration. What is used outlives it: see [`Self::with_settings`].
#[derive(Debug)]
pub struct Limits {
    global: Option<(SpreadRate, Arc<Spread>)>,
    client: Option<Rate>,
    /// There even without a rate of clients, so that keys stay the same when one is set.
    clients: Arc<Clients>,
    tenants: HashMap<String, Arc<TenantLimits>>,
    tools: HashMap<String, Arc<ToolLimit>, RandomState>,
}

/// The rate of a tool.
#[derive(Debug)]
pub struct ToolLimit {
    rate: SpreadRate,
    state: Arc<Spread>,
}

/// One call, with what was looked up for it before.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request<'a> {
    /// The tenant's limits, from [`Limits::tenant`].
    pub tenant: Option<&'a TenantLimits>,
    /// The client, from [`Limits::client_key`].
    pub client: Option<ClientKey>,
    /// The tool's rate, from [`Limits::tool`].
    pub tool: Option<&'a ToolLimit>,
    /// Size of the request in bytes, for the quota of bytes.
    pub bytes: u64,
}

/// Rates that one call can meet.
const RATES: usize = 4;

/// A call that may pass.
#[derive(Debug)]
pub struct Admitted {
    /// To be kept until the call has ended.
    pub permit: Permit,
    readings: [Option<(Rule, Reading)>; RATES],
}

/// What was taken of one rate.
#[derive(Clone, Copy, Debug)]
enum Part<'a> {
    Cell(&'a Rate, &'a Gcra, Receipt),
    Spread(&'a SpreadRate, &'a Spread, Taken),
}

impl Part<'_> {
    fn rate(&self) -> &Rate {
        match self {
            Self::Cell(rate, ..) => rate,
            Self::Spread(rate, ..) => rate.whole(),
        }
    }

    fn give_back(&self) {
        match self {
            Self::Cell(rate, cell, receipt) => cell.give_back(rate, 1, *receipt),
            Self::Spread(rate, spread, taken) => spread.give_back(rate, *taken),
        }
    }
}

impl Limits {
    /// Limits of which nothing is used.
    pub fn new(settings: &LimitSettings, now: Nanos) -> Self {
        Self::restored(settings, &SavedState::default(), now)
    }

    /// Limits of which so much is used already, as saved by another process. What is saved for tenants and tools that
    /// are not set any more is ignored.
    pub fn restored(settings: &LimitSettings, saved: &SavedState, now: Nanos) -> Self {
        let global = settings
            .global
            .map(|rate| shared(rate, saved.global.as_ref(), now));
        let tenants: HashMap<_, _> = saved.tenants.iter().map(|(id, state)| (id, state)).collect();
        let tools: HashMap<_, _> = saved.tools.iter().map(|(name, state)| (name, state)).collect();
        let restored_tenant = |(id, settings): (&String, &TenantSettings)| {
            let tenant = match tenants.get(id) {
                Some(saved) => TenantLimits::restored(*settings, saved, now),
                None => TenantLimits::new(*settings, now),
            };
            (id.clone(), Arc::new(tenant))
        };
        let restored_tool = |(name, rate): (&String, &Rate)| {
            let (rate, state) = shared(*rate, tools.get(name).copied(), now);
            (name.clone(), Arc::new(ToolLimit { rate, state }))
        };
        Self {
            global,
            client: settings.client,
            clients: Arc::new(Clients::new(table_size(settings))),
            tenants: settings.tenants.iter().map(restored_tenant).collect(),
            tools: settings.tools.iter().map(restored_tool).collect(),
        }
    }

    /// New settings, with everything that is used carried over: a changed limit keeps what was consumed, an unchanged one
    /// is the same as before, and keys of clients stay good. Calls that still run on the old settings count on the same state
    /// (of clients only while the size of their table stays).
    pub fn with_settings(&self, settings: &LimitSettings, now: Nanos) -> Self {
        let global = settings.global.map(|rate| match &self.global {
            Some((from, spread)) => carried(from, spread, rate, now),
            None => shared(rate, None, now),
        });
        if let (Some(from), Some(to)) = (&self.client, &settings.client) {
            self.clients.rescale(from, to, now);
        }
        let clients = match self.clients.resized(table_size(settings), now) {
            Some(clients) => Arc::new(clients),
            None => Arc::clone(&self.clients),
        };
        let tenant = |(id, settings): (&String, &TenantSettings)| {
            let tenant = match self.tenants.get(id) {
                Some(old) if old.settings() == settings => Arc::clone(old),
                Some(old) => Arc::new(old.with_settings(*settings, now)),
                None => Arc::new(TenantLimits::new(*settings, now)),
            };
            (id.clone(), tenant)
        };
        let tool = |(name, rate): (&String, &Rate)| {
            let (rate, state) = match self.tools.get(name) {
                Some(old) => carried(&old.rate, &old.state, *rate, now),
                None => shared(*rate, None, now),
            };
            (name.clone(), Arc::new(ToolLimit { rate, state }))
        };
        Self {
            global,
            client: settings.client,
            clients,
            tenants: settings.tenants.iter().map(tenant).collect(),
            tools: settings.tools.iter().map(tool).collect(),
        }
    }

    /// Takes over what another process has used, in place of what is used here. For limits that nobody has used yet: what
    /// calls take meanwhile may be lost.
    pub fn take_over(&self, saved: &SavedState, now: Nanos) {
        let restore = |rate: &SpreadRate, spread: &Spread, saved: &RateState| {
            spread.middle().restore(saved, rate.whole(), now);
            spread.fill(0);
        };
        if let (Some((rate, spread)), Some(saved)) = (&self.global, &saved.global) {
            restore(rate, spread, saved);
        }
        for (id, saved) in &saved.tenants {
            if let Some(tenant) = self.tenants.get(id) {
                tenant.take_over(saved, now);
            }
        }
        for (name, saved) in &saved.tools {
            if let Some(tool) = self.tools.get(name) {
                restore(&tool.rate, &tool.state, saved);
            }
        }
    }

    /// What is used, as plain data.
    pub fn save(&self, now: Nanos) -> SavedState {
        let mut saved = SavedState {
            global: self
                .global
                .as_ref()
                .and_then(|(rate, spread)| spread.middle().save(rate.whole(), now)),
            tenants: self
                .tenants
                .iter()
                .map(|(id, tenant)| (id.clone(), tenant.save(now)))
                .collect(),
            tools: self
                .tools
                .iter()
                .filter_map(|(name, tool)| {
                    let saved = tool.state.middle().save(tool.rate.whole(), now)?;
                    Some((name.clone(), saved))
                })
                .collect(),
        };
        saved.tenants.sort_by(|one, other| one.0.cmp(&other.0));
        saved.tools.sort_by(|one, other| one.0.cmp(&other.0));
        saved
    }

    /// The limits of a tenant, to be looked up once; `None` when nothing is set for it.
    pub fn tenant(&self, id: &str) -> Option<&Arc<TenantLimits>> {
        self.tenants.get(id)
    }

    /// The rate of a tool, to be looked up once; `None` when nothing is set for it.
    pub fn tool(&self, name: &str) -> Option<&Arc<ToolLimit>> {
        self.tools.get(name)
    }

    /// The key of a client, to be made once; see [`Clients::key`].
    pub fn client_key(&self, tenant: &str, client: &[u8]) -> ClientKey {
        self.clients.key(tenant, client)
    }

    /// What a client has used of its rate now; `None` when clients have none. Counts nothing.
    pub fn client_usage(&self, client: ClientKey, now: Nanos) -> Option<RateUsage> {
        let rate = self.client.as_ref()?;
        Some(RateUsage::of(rate, &self.clients.peek(client, rate, now)))
    }

    /// The table of clients.
    pub fn clients(&self) -> &Clients {
        &self.clients
    }

    /// Whether one more call may pass; if so, it is counted everywhere.
    ///
    /// First all limits are looked at, then all are taken, most specific first; when one has been used up in between by
    /// another thread, what was taken is given back. So a refused call leaves nothing behind, and one that is refused in
    /// the first pass (a flood is) writes to nothing that others use. Under concurrency no limit is ever exceeded, and
    /// what is counted is exactly the calls that passed; a call may be refused though, because another that is itself
    /// about to be refused held the last place for some nanoseconds. The quotas of a tenant are taken together, under its
    /// lock, and never given back.
    ///
    /// # Errors
    /// The first limit that refuses: rates of client, tenant, tool and server, then concurrent calls, calls and bytes.
    pub fn admit(&self, request: &Request<'_>, now: Nanos) -> Result<Admitted, Refused> {
        self.look(request, now)?;
        let Some(tenant) = request.tenant else {
            let readings = self.take_rates(request, now)?;
            let permit = Permit::default();
            return Ok(Admitted { permit, readings });
        };
        let permit = tenant.enter()?;
        let reserved = tenant.reserve(request.bytes, now)?;
        let readings = self.take_rates(request, now)?;
        reserved.count(request.bytes, now);
        Ok(Admitted { permit, readings })
    }

    /// How every limit that this call meets stands now, in the order in which they refuse. Counts nothing.
    pub fn explain(&self, request: &Request<'_>, now: Nanos) -> Vec<Standing> {
        let mut standings: Vec<Standing> = self
            .rates(request, now)
            .into_iter()
            .flatten()
            .map(|(rule, _, reading)| standing(rule, &reading))
            .collect();
        if let Some(tenant) = request.tenant {
            standings.extend(tenant.standings(request.bytes, now));
        }
        standings
    }

    /// The rates that a call meets, most specific first, and what they would say.
    #[inline]
    fn rates<'a>(&'a self, request: &Request<'a>, now: Nanos) -> [Option<(Rule, &'a Rate, Reading)>; RATES] {
        [
            self.client.as_ref().zip(request.client).map(|(rate, key)| {
                let reading = self.clients.peek(key, rate, now);
                (Rule::RateClient, rate, reading)
            }),
            request.tenant.and_then(TenantLimits::rate).map(|(rate, cell)| {
                let reading = cell.peek(rate, now);
                (Rule::RateTenant, rate, reading)
            }),
            request.tool.map(|tool| {
                let reading = tool.state.peek(&tool.rate, now);
                (Rule::RateTool, tool.rate.whole(), reading)
            }),
            self.global.as_ref().map(|(rate, spread)| {
                let reading = spread.peek(rate, now);
                (Rule::RateGlobal, rate.whole(), reading)
            }),
        ]
    }

    #[inline]
    fn look(&self, request: &Request<'_>, now: Nanos) -> Result<(), Refused> {
        for (rule, rate, reading) in self.rates(request, now).into_iter().flatten() {
            if !reading.allowed() {
                return Err(refused(rule, rate, &reading));
            }
        }
        Ok(())
    }

    fn take_rates(
        &self,
        request: &Request<'_>,
        now: Nanos,
    ) -> Result<[Option<(Rule, Reading)>; RATES], Refused> {
        let mut taking = Taking::default();
        if let Some((rate, key)) = self.client.as_ref().zip(request.client) {
            let (reading, receipt, cell) = self.clients.take_receipt(key, rate, now);
            taking.add(Rule::RateClient, reading, Part::Cell(rate, cell, receipt))?;
        }
        if let Some((rate, cell)) = request.tenant.and_then(TenantLimits::rate) {
            let (reading, receipt) = cell.take_many(rate, 1, now);
            taking.add(Rule::RateTenant, reading, Part::Cell(rate, cell, receipt))?;
        }
        if let Some(tool) = request.tool {
            let (reading, taken) = tool.state.take(&tool.rate, now);
            let part = Part::Spread(&tool.rate, &tool.state, taken);
            taking.add(Rule::RateTool, reading, part)?;
        }
        if let Some((rate, spread)) = &self.global {
            let (reading, taken) = spread.take(rate, now);
            taking.add(Rule::RateGlobal, reading, Part::Spread(rate, spread, taken))?;
        }
        Ok(taking.readings)
    }
}

/// Rates taken so far for one call.
#[derive(Default)]
struct Taking<'a> {
    parts: [Option<Part<'a>>; RATES],
    readings: [Option<(Rule, Reading)>; RATES],
    taken: usize,
}

impl<'a> Taking<'a> {
    /// Notes what a rate said; when it refused, gives back all that was taken before.
    #[inline]
    fn add(&mut self, rule: Rule, reading: Reading, part: Part<'a>) -> Result<(), Refused> {
        if !reading.allowed() {
            self.parts.iter().flatten().for_each(Part::give_back);
            return Err(refused(rule, part.rate(), &reading));
        }
        self.parts[self.taken] = Some(part);
        self.readings[self.taken] = Some((rule, reading));
        self.taken += 1;
        Ok(())
    }
}

impl Admitted {
    /// How the rates stood right after this call, most specific first.
    pub fn standings(&self) -> impl Iterator<Item = Standing> + '_ {
        self.readings
            .iter()
            .flatten()
            .map(|(rule, reading)| standing(*rule, reading))
    }

    /// The rate that has least left: what the `RateLimit-*` headers tell.
    pub fn tightest(&self) -> Option<Standing> {
        let readings = self.readings.iter().flatten();
        let (rule, reading) = readings.min_by_key(|(_, reading)| reading.remaining())?;
        Some(standing(*rule, reading))
    }
}

impl ToolLimit {
    /// The rate.
    pub fn rate(&self) -> &Rate {
        self.rate.whole()
    }
}

/// The state of a rate that all threads share, with what was saved of it.
fn shared(rate: Rate, saved: Option<&RateState>, now: Nanos) -> (SpreadRate, Arc<Spread>) {
    let rate = SpreadRate::new(rate);
    let spread = Spread::new(&rate);
    if let Some(saved) = saved {
        spread.middle().restore(saved, rate.whole(), now);
        spread.fill(0);
    }
    (rate, Arc::new(spread))
}

/// The same state for another rate.
fn carried(from: &SpreadRate, spread: &Arc<Spread>, to: Rate, now: Nanos) -> (SpreadRate, Arc<Spread>) {
    let to = SpreadRate::new(to);
    spread.rescale(from, &to, now);
    (to, Arc::clone(spread))
}

fn table_size(settings: &LimitSettings) -> usize {
    if settings.client.is_some() {
        settings.max_clients
    } else {
        0
    }
}

#[cold]
fn refused(rule: Rule, rate: &Rate, reading: &Reading) -> Refused {
    Refused {
        rule,
        limit: Limit::Rate(*rate),
        retry_after: Some(reading.retry_after()),
        reset_after: Some(reading.reset_after()),
    }
}

fn standing(rule: Rule, reading: &Reading) -> Standing {
    Standing {
        rule,
        allowed: reading.allowed(),
        limit: u64::from(reading.limit()),
        remaining: u64::from(reading.remaining()),
        reset_after: reading.reset_after(),
        retry_after: Some(reading.retry_after()),
    }
}

#[cfg(test)]
mod tests;
