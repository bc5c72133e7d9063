//! Clients that call all the time, and look at every answer.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::json;

use super::client::{Answer, Client};
use super::report::{Invariant, Report};
use super::{Random, pause};

#[cfg(test)]
mod tests;

const CLIENTS: u64 = 4;

/// Tools and how often they are called. Nothing is ever done to `calm`.
const TOOLS: [&str; 11] = [
    "calm__echo",
    "calm__echo",
    "calm__slow",
    "direct__echo",
    "direct__record",
    "direct__slow",
    "wrapped__echo",
    "wrapped__record",
    "remote__echo",
    "remote__slow",
    "secure__echo",
];

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    /// Where the gateway is; `None` while it is not.
    address: Mutex<Option<SocketAddr>>,
    /// Counts gateways, twice each: odd while one runs.
    epoch: AtomicU64,
    next: AtomicU64,
    calls: AtomicU64,
    failed: AtomicU64,
    found: Mutex<Found>,
}

#[derive(Debug, Default)]
struct Found {
    violations: Vec<(Invariant, String)>,
    /// Numbers of `record` calls that were answered, and of those that are said not to have run.
    done: BTreeSet<u64>,
    not_run: BTreeSet<u64>,
}

#[derive(Debug)]
pub(super) struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Load {
    pub(super) fn start(seed: u64) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let client = |number| {
            let shared = Arc::clone(&shared);
            let random = Random(seed.wrapping_add(number));
            std::thread::Builder::new().spawn(move || shared.call_all_the_time(random))
        };
        let clients = (1..=CLIENTS).map(client).collect::<std::io::Result<_>>()?;
        Ok(Self { shared, clients })
    }

    /// There is a gateway here, or none.
    pub(super) fn point_to(&self, address: Option<SocketAddr>) {
        // First the count: what breaks from now on broke with the gateway.
        self.shared.epoch.fetch_add(1, Ordering::SeqCst);
        *lock(&self.shared.address) = address;
    }

    /// Ends the load and reports what it found; `journal` has the numbers that `record` ran with.
    pub(super) fn finish(&mut self, journal: &Path, report: &mut Report) {
        self.shared.stop.store(true, Ordering::SeqCst);
        for client in self.clients.drain(..) {
            let _ = client.join();
        }
        let found = std::mem::take(&mut *lock(&self.shared.found));
        for (invariant, how) in found.violations {
            report.violated(invariant, how);
        }
        let mut ran: BTreeMap<u64, u32> = BTreeMap::new();
        for line in std::fs::read_to_string(journal).unwrap_or_default().lines() {
            if let Ok(n) = line.parse() {
                *ran.entry(n).or_default() += 1;
            }
        }
        for (n, times) in ran.iter().filter(|(_, times)| **times > 1) {
            report.violated(Invariant::NotTwice, format!("call {n} ran {times} times"));
        }
        for n in found.done.iter().filter(|n| !ran.contains_key(n)) {
            report.violated(
                Invariant::Honest,
                format!("call {n} was answered and did not run"),
            );
        }
        for n in found.not_run.iter().filter(|n| ran.contains_key(n)) {
            report.violated(
                Invariant::Honest,
                format!("call {n} ran and is said not to have run"),
            );
        }
        report.calls(
            self.shared.calls.load(Ordering::SeqCst),
            self.shared.failed.load(Ordering::SeqCst),
        );
    }
}

impl Shared {
    fn call_all_the_time(&self, mut random: Random) {
        let mut client: Option<(SocketAddr, Client)> = None;
        while !self.stop.load(Ordering::SeqCst) {
            pause(Duration::from_millis(2));
            let epoch = self.epoch.load(Ordering::SeqCst);
            let Some(address) = *lock(&self.address) else {
                continue;
            };
            if client.as_ref().is_none_or(|(at, _)| *at != address) {
                client = Some((address, Client::new(address)));
            }
            let Some((_, client)) = &mut client else { continue };
            let tool = TOOLS[random.below(TOOLS.len())];
            let n = self.next.fetch_add(1, Ordering::SeqCst) + 1;
            let answer = client.call(tool, &json!({ "n": n }));
            self.calls.fetch_add(1, Ordering::SeqCst);
            let same = epoch % 2 == 1 && self.epoch.load(Ordering::SeqCst) == epoch;
            self.judge(tool, n, answer, same);
        }
    }

    /// `same`: the gateway ran all the time.
    fn judge(&self, tool: &str, n: u64, answer: Answer, same: bool) {
        let mut found = lock(&self.found);
        let record = tool.ends_with("record");
        match answer {
            Answer::Text(text) if text == n.to_string() => {
                if record {
                    found.done.insert(n);
                }
            }
            Answer::Text(text) => {
                let how = format!("{tool} was called with {n} and answered {text:?}");
                found.violations.push((Invariant::NoWrongAnswer, how));
            }
            Answer::Stuck => found
                .violations
                .push((Invariant::NoStuckCall, format!("{tool} {n}"))),
            Answer::Broken if same => {
                let how = format!("{tool} {n}: the gateway broke the connection");
                found.violations.push((Invariant::NoStuckCall, how));
            }
            Answer::Broken => {}
            Answer::Refused {
                rule,
                message,
                may_have_run,
            } => {
                self.failed.fetch_add(1, Ordering::SeqCst);
                if tool.starts_with("calm") && same {
                    let how = format!("{tool} {n}: {rule}: {message}");
                    found.violations.push((Invariant::OthersUnharmed, how));
                }
                if record && !may_have_run {
                    found.not_run.insert(n);
                }
            }
        }
    }
}
