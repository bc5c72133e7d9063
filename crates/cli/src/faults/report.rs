//! What must hold, what did not, and how long things took.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::json;

/// Violations of one kind that are shown.
const SHOWN: usize = 5;

#[cfg(test)]
mod tests;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Invariant {
    NoOrphan,
    NoZombie,
    NoStuckCall,
    NoWrongAnswer,
    OthersUnharmed,
    NotTwice,
    Honest,
    FailsAtOnce,
    Recovers,
    MemoryFlat,
    FilesFlat,
    StopsCleanly,
}

impl Invariant {
    const ALL: [Self; 12] = [
        Self::NoOrphan,
        Self::NoZombie,
        Self::NoStuckCall,
        Self::NoWrongAnswer,
        Self::OthersUnharmed,
        Self::NotTwice,
        Self::Honest,
        Self::FailsAtOnce,
        Self::Recovers,
        Self::MemoryFlat,
        Self::FilesFlat,
        Self::StopsCleanly,
    ];

    fn id(self) -> &'static str {
        match self {
            Self::NoOrphan => "no_orphan",
            Self::NoZombie => "no_zombie",
            Self::NoStuckCall => "no_stuck_call",
            Self::NoWrongAnswer => "no_wrong_answer",
            Self::OthersUnharmed => "others_unharmed",
            Self::NotTwice => "not_twice",
            Self::Honest => "honest",
            Self::FailsAtOnce => "fails_at_once",
            Self::Recovers => "recovers",
            Self::MemoryFlat => "memory_flat",
            Self::FilesFlat => "files_flat",
            Self::StopsCleanly => "stops_cleanly",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::NoOrphan => "no process is left behind, also by a killed gateway",
            Self::NoZombie => "every child is reaped",
            Self::NoStuckCall => "every call gets an answer in time",
            Self::NoWrongAnswer => "every answer is that of its call",
            Self::OthersUnharmed => "calls of other servers all succeed",
            Self::NotTwice => "a call with effects never runs twice",
            Self::Honest => "what is said to have run has, what is said not to have run has not",
            Self::FailsAtOnce => "a call in flight fails when its server dies, and says that it may have run",
            Self::Recovers => "the server can be called again",
            Self::MemoryFlat => "memory of the gateway stays flat",
            Self::FilesFlat => "open files of the gateway stay flat",
            Self::StopsCleanly => "the gateway stops when asked, with nothing left",
        }
    }
}

#[derive(Debug)]
pub(super) struct Report {
    seed: u64,
    cycles: u32,
    calls: u64,
    failed: u64,
    violations: BTreeMap<Invariant, (u64, Vec<String>)>,
    times: BTreeMap<&'static str, Vec<Duration>>,
}

impl Report {
    pub(super) fn new(seed: u64, cycles: u32) -> Self {
        Self {
            seed,
            cycles,
            calls: 0,
            failed: 0,
            violations: BTreeMap::new(),
            times: BTreeMap::new(),
        }
    }

    pub(super) fn violated(&mut self, invariant: Invariant, how: String) {
        let (count, shown) = self.violations.entry(invariant).or_default();
        *count += 1;
        if shown.len() < SHOWN {
            shown.push(how);
        }
    }

    pub(super) fn took(&mut self, what: &'static str, time: Duration) {
        self.times.entry(what).or_default().push(time);
    }

    pub(super) fn calls(&mut self, calls: u64, failed: u64) {
        (self.calls, self.failed) = (calls, failed);
    }

    pub(super) fn passed(&self) -> bool {
        self.violations.is_empty()
    }

    /// Name, median, longest, in milliseconds.
    fn times(&self) -> impl Iterator<Item = (&'static str, u128, u128)> {
        self.times.iter().map(|(what, times)| {
            let mut times = times.clone();
            times.sort();
            let median = times.get(times.len() / 2).copied().unwrap_or_default();
            let longest = times.last().copied().unwrap_or_default();
            (*what, median.as_millis(), longest.as_millis())
        })
    }

    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        for invariant in Invariant::ALL {
            let found = self.violations.get(&invariant);
            let verdict = if found.is_some() { "FAIL" } else { "pass" };
            let _ = writeln!(out, "{verdict}  {:<16} {}", invariant.id(), invariant.words());
            if let Some((count, shown)) = found {
                for how in shown {
                    let _ = writeln!(out, "        {how}");
                }
                if *count > shown.len() as u64 {
                    let _ = writeln!(out, "        and {} more", count - shown.len() as u64);
                }
            }
        }
        for (what, median, longest) in self.times() {
            let _ = writeln!(out, "      {what}: median {median} ms, longest {longest} ms");
        }
        let verdict = if self.passed() { "PASSED" } else { "FAILED" };
        let _ = write!(
            out,
            "{verdict}: {} cycles, seed {}, {} calls, of which {} failed with their server",
            self.cycles, self.seed, self.calls, self.failed
        );
        out
    }

    pub(super) fn json(&self) -> String {
        let invariants = Invariant::ALL.map(|invariant| {
            let (count, shown) = self.violations.get(&invariant).cloned().unwrap_or_default();
            json!({ "id": invariant.id(), "what": invariant.words(), "pass": count == 0, "violations": count, "shown": shown })
        });
        let times = self.times().map(
            |(what, median, longest)| json!({ "what": what, "median_ms": median, "longest_ms": longest }),
        );
        json!({
            "passed": self.passed(), "cycles": self.cycles, "seed": self.seed, "calls": self.calls, "failed": self.failed,
            "invariants": invariants, "times": times.collect::<Vec<_>>(),
        })
        .to_string()
    }
}
