//! `ferromcp faults`: a real gateway with real servers under load, which are killed, frozen and broken one after the
//! other; what must hold all the same is checked and reported.
//!
//! Start reading at [`run`], then `faults/inject.rs` (what goes wrong) and `faults/load.rs` (what is called meanwhile).

mod client;
mod inject;
mod load;
mod remote;
mod report;
mod rig;
mod secure;
mod server;
mod stop;

use std::time::{Duration, Instant};

use crate::args::Faults;
use crate::exit::Failure;

use inject::Fault;
use report::Report;
use rig::Rig;

pub(crate) use server::run as server;

/// Longest wait for anything that should happen. A server that is killed again and again is started at longer and longer
/// intervals, up to half a minute.
const PATIENCE: Duration = Duration::from_secs(90);

pub(crate) fn run(args: &Faults) -> Result<(), Failure> {
    if !std::path::Path::new("/proc/self/stat").exists() {
        return Err(Failure::Usage(
            "this command looks at processes in /proc, which this system does not have".into(),
        ));
    }
    let seed = args.seed.unwrap_or_else(|| {
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed();
        now.map_or(1, |time| time.as_nanos() as u64 % 1_000_000)
    });
    let broken = |error: std::io::Error| Failure::other("cannot run the faults", error);
    stop::listen().map_err(broken)?;
    let mut report = Report::new(seed, args.cycles);
    let mut rig = Rig::start(seed).map_err(broken)?;
    let mut random = Random(seed);
    let mut faults = Vec::new();
    let mut rounds = 0u32;
    for cycle in 1..=args.cycles {
        if faults.is_empty() {
            faults = Fault::ALL.to_vec();
            // What grows shows only in a gateway that lives for a while.
            faults.retain(|fault| *fault != Fault::KillGateway || rounds.is_multiple_of(4));
            rounds += 1;
        }
        let fault = faults.swap_remove(random.below(faults.len()));
        let since = Instant::now();
        rig.cycle(fault, &mut random, &mut report).map_err(broken)?;
        if !args.json {
            eprintln!(
                "{cycle:>5}/{}  {:<40} {:>6} ms",
                args.cycles,
                fault.words(),
                since.elapsed().as_millis()
            );
        }
    }
    rig.finish(&mut report).map_err(broken)?;
    drop(rig);
    stop::check().map_err(broken)?;
    println!("{}", if args.json { report.json() } else { report.text() });
    if report.passed() {
        Ok(())
    } else {
        Err(Failure::Silent)
    }
}

/// A small generator whose numbers the seed decides (SplitMix64).
#[derive(Clone, Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

/// Waits until `look` finds something; `None` after [`PATIENCE`], or when this command is to end.
fn eventually<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    eventually_now(|| match stop::is_wanted() {
        true => Some(None),
        false => look().map(Some),
    })?
}

/// The same, also when this command is to end.
fn eventually_now<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let since = Instant::now();
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if since.elapsed() > PATIENCE {
            return None;
        }
        pause(Duration::from_millis(5));
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "threads of this command, no runtime: between two looks, or as a slow server"
)]
fn pause(time: Duration) {
    std::thread::sleep(time);
}
