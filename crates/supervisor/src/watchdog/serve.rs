//! The watchdog process itself.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};

use super::{ADD, RECORD, REMOVE};
use crate::leftovers::{self, Mark};

/// Time between SIGTERM and SIGKILL.
const TERM_GRACE: Duration = Duration::from_secs(1);
/// How long it goes on killing. A process that is stuck in the kernel does not die sooner by more signals.
const GIVE_UP: Duration = Duration::from_secs(30);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(10);

/// Is the watchdog: reads what groups there are from standard input, a socket, until it is closed; then ends them all.
/// Returns when nothing is left. `mark`: the last argument that [`Watchdog::start`](super::Watchdog::start) gave.
///
/// # Errors
/// If `mark` is none, or the standard input is no socket of a gateway.
pub fn serve(mark: &str) -> io::Result<()> {
    let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, what.to_owned());
    let mark = Mark::parse(mark).ok_or_else(|| bad("this command is for ferromcp itself"))?;
    // A session of its own: signals of the terminal, and to our group, do not come here. It fails if we lead one.
    let _ = rustix::process::setsid();
    let _deaf = ignore_signals()?;
    let line = rustix::stdio::stdin();
    rustix::net::send(line, b"r", rustix::net::SendFlags::empty())?;
    let groups = follow(io::stdin().lock());
    end(&mark, &groups);
    Ok(())
}

/// Whoever signals everything of ours, as a service manager does, means the gateway; we end after it.
fn ignore_signals() -> io::Result<impl Sized> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let inside = runtime.enter();
    let kinds = [
        SignalKind::terminate(),
        SignalKind::interrupt(),
        SignalKind::hangup(),
        SignalKind::quit(),
        SignalKind::user_defined1(),
        SignalKind::user_defined2(),
    ];
    let signals = kinds.into_iter().map(signal).collect::<io::Result<Vec<_>>>()?;
    drop(inside);
    Ok((signals, runtime))
}

/// Reads records to the end. What is no record ends it as well: better too early than never.
pub(super) fn follow(mut line: impl Read) -> BTreeSet<i32> {
    let mut groups = BTreeSet::new();
    let mut record = [0; RECORD];
    while line.read_exact(&mut record).is_ok() {
        let [kind, rest @ ..] = record;
        // Zero and one would be our own group and everybody.
        let group = i32::from_le_bytes(rest);
        match kind {
            ADD if group > 1 => {
                groups.insert(group);
            }
            REMOVE => {
                groups.remove(&group);
            }
            _ => break,
        }
    }
    groups
}

/// Ends everything: first asking, then not.
fn end(mark: &Mark, groups: &BTreeSet<i32>) {
    let since = Instant::now();
    if leftovers::signal(mark, groups, Signal::TERM) == 0 {
        return;
    }
    // Stopped processes take a SIGTERM only when they go on.
    leftovers::signal(mark, groups, Signal::CONT);
    while since.elapsed() < GIVE_UP {
        look_again();
        let left = if since.elapsed() < TERM_GRACE {
            leftovers::count(mark, groups)
        } else {
            leftovers::signal(mark, groups, Signal::KILL)
        };
        if left == 0 {
            return;
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "between two looks at what has no event")]
fn look_again() {
    std::thread::sleep(LOOK);
}
