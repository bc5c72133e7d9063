//! A small process beside this one that ends our children if we cannot: it holds one end of a socket, and when the
//! kernel closes the other end, because we are gone however that came about, it ends every process group that it was
//! told of and every process that carries our mark. Parent-death signals do not reach grandchildren; this does.
//!
//! A child announces itself before it runs its program, so there is no moment in which it runs unknown.
//!
//! The protocol, one way: records of five bytes, `+` or `-` and the process group's id (little endian). The other way:
//! one byte when the watchdog is ready.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use crate::leftovers::Mark;

mod serve;
#[cfg(test)]
mod tests;

pub use serve::serve;

/// How long the watchdog may take to say that it is ready.
const READY: Duration = Duration::from_secs(10);
/// Pause before a watchdog that ended is started again.
const AGAIN: Duration = Duration::from_secs(1);

pub(crate) const ADD: u8 = b'+';
pub(crate) const REMOVE: u8 = b'-';
pub(crate) const RECORD: usize = 5;

pub(crate) fn record(kind: u8, group: u32) -> [u8; RECORD] {
    let [a, b, c, d] = group.to_le_bytes();
    [kind, a, b, c, d]
}

/// How to start the watchdog: a program that calls [`serve`] with the argument that follows `args`.
#[derive(Clone, Debug)]
pub struct WatchdogSpec {
    /// The program, as a path.
    pub program: PathBuf,
    /// Its arguments; one more is appended.
    pub args: Vec<OsString>,
}

/// A running watchdog. Cheap to clone; when the last clone is dropped it is told to end, and ends what is left.
#[derive(Clone, Debug)]
pub struct Watchdog(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    spec: WatchdogSpec,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// `None` while it is being started again.
    line: Option<Arc<UnixStream>>,
    groups: BTreeSet<u32>,
}

impl Watchdog {
    /// Starts it and waits until it is ready. Blocks for some milliseconds.
    ///
    /// # Errors
    /// If the program cannot be started or does not say that it is ready within 10 s.
    pub fn start(spec: WatchdogSpec) -> io::Result<Self> {
        let (line, process) = launch(&spec)?;
        let shared = Arc::new(Shared {
            spec,
            state: Mutex::new(State {
                line: Some(Arc::new(line)),
                groups: BTreeSet::new(),
            }),
        });
        let weak = Arc::downgrade(&shared);
        std::thread::Builder::new()
            .name("ferromcp-watch".into())
            .spawn(move || mind(process, &weak))?;
        Ok(Self(shared))
    }

    /// The line on which a child announces itself. `None` while there is no watchdog.
    pub(crate) fn line(&self) -> Option<Arc<UnixStream>> {
        self.0.lock().line.clone()
    }

    /// A group exists. Told also by the child itself; twice is once.
    pub(crate) fn add(&self, group: u32) {
        let mut state = self.0.lock();
        state.groups.insert(group);
        state.say(ADD, group);
    }

    /// A group is gone, or is about to be: its id may be another's soon.
    pub(crate) fn remove(&self, group: u32) {
        let mut state = self.0.lock();
        state.groups.remove(&group);
        state.say(REMOVE, group);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // A child that does not run its program yet holds the line too, so dropping ours may not close it.
        if let Some(line) = &self.lock().line {
            let _ = line.shutdown(Shutdown::Both);
        }
    }
}

impl State {
    /// The line does not block: five bytes always fit, unless the watchdog is stopped or gone, and then there is
    /// nothing to be done here; a new one is told of all groups.
    fn say(&self, kind: u8, group: u32) {
        if let Some(line) = &self.line {
            let _ = (&**line).write_all(&record(kind, group));
        }
    }
}

fn launch(spec: &WatchdogSpec) -> io::Result<(UnixStream, Child)> {
    let (ours, theirs) = UnixStream::pair()?;
    let process = Command::new(&spec.program)
        .args(&spec.args)
        .arg(Mark::of_all().to_string())
        .env_clear()
        // Nothing of ours may stay open because of it, and no directory in use.
        .current_dir("/")
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    ours.set_read_timeout(Some(READY))?;
    let mut ready = [0];
    let mut line = &ours;
    if let Err(error) = line.read_exact(&mut ready) {
        let mut process = process;
        let _ = process.kill();
        let _ = process.wait();
        return Err(error);
    }
    ours.set_nonblocking(true)?;
    Ok((ours, process))
}

/// Reaps the watchdog, and starts another one for as long as somebody needs it.
fn mind(mut process: Child, shared: &Weak<Shared>) {
    loop {
        let _ = process.wait();
        loop {
            // Nobody may see a line without a reader.
            match shared.upgrade() {
                Some(shared) => shared.lock().line = None,
                None => return,
            }
            pause();
            let Some(shared) = shared.upgrade() else { return };
            match launch(&shared.spec) {
                Ok((line, again)) => {
                    tracing::warn!(target: "ferromcp::server", "the watchdog had ended; there is a new one");
                    let mut state = shared.lock();
                    state.line = Some(Arc::new(line));
                    for group in &state.groups {
                        state.say(ADD, *group);
                    }
                    process = again;
                    break;
                }
                Err(error) => {
                    tracing::warn!(target: "ferromcp::server", %error, "the watchdog has ended and cannot be started again");
                }
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a thread of its own that must not spin")]
fn pause() {
    std::thread::sleep(AGAIN);
}
