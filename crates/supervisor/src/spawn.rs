//! The one place that forks.
//!
//! Processes are started from a thread of our own that lives as long as this process. The parent-death signal of Linux
//! fires when the *thread* that forked ends, so a runtime worker or a blocking-pool thread would take its children along
//! when it retires. It also keeps fork and exec off the runtime's threads.

use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::OnceLock;

#[cfg(target_os = "linux")]
use rustix::net::SendFlags;
use rustix::process::{Resource, Rlimit};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};

use crate::leftovers::{MARK_ENV, Mark};
use crate::spec::{ChildSpec, Resources, SpawnError};
#[cfg(target_os = "linux")]
use crate::watchdog;
use crate::watchdog::Watchdog;

/// Starts that may wait for the thread; a start takes about a millisecond.
const QUEUE: usize = 64;

type Job = Box<dyn FnOnce() + Send>;

static SPAWNER: OnceLock<mpsc::Sender<Job>> = OnceLock::new();

/// Starts the program of `spec` with piped standard streams, leading its own process group.
pub(crate) async fn spawn(spec: &ChildSpec, mark: &Mark) -> Result<Child, SpawnError> {
    let internal = |reason: &str| SpawnError::Internal {
        name: spec.name.clone(),
        reason: reason.to_owned(),
    };
    let (tx, rx) = oneshot::channel();
    let runtime = tokio::runtime::Handle::current();
    let (owned, mark) = (spec.clone(), mark.clone());
    let job: Job = Box::new(move || {
        let _runtime = runtime.enter();
        // If the caller is gone the child is dropped here, which kills it.
        drop(tx.send(start(&owned, &mark)));
    });
    let spawner = spawner().map_err(|e| internal(&e.to_string()))?;
    spawner
        .send(job)
        .await
        .map_err(|_| internal("the spawning thread has ended"))?;
    rx.await
        .map_err(|_| internal("the spawning thread failed; is the runtime's I/O driver enabled?"))?
}

fn spawner() -> std::io::Result<&'static mpsc::Sender<Job>> {
    if let Some(tx) = SPAWNER.get() {
        return Ok(tx);
    }
    let (tx, mut rx) = mpsc::channel::<Job>(QUEUE);
    std::thread::Builder::new()
        .name("ferromcp-spawn".into())
        .spawn(move || {
            while let Some(job) = rx.blocking_recv() {
                // This thread must not end: every child would get its parent-death signal.
                drop(std::panic::catch_unwind(std::panic::AssertUnwindSafe(job)));
            }
        })?;
    // If two callers race, the loser's sender is dropped and its thread, which started nothing yet, ends.
    Ok(SPAWNER.get_or_init(|| tx))
}

fn start(spec: &ChildSpec, mark: &Mark) -> Result<Child, SpawnError> {
    let env = spec.environment()?;
    let file = spec.program(env.get(std::ffi::OsStr::new("PATH")).map(AsRef::as_ref))?;
    let mut command = Command::new(&file);
    command
        .args(&spec.args)
        .env_clear()
        .envs(env)
        .env(MARK_ENV, mark.to_string())
        .process_group(0)
        .kill_on_drop(true);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if let Some(dir) = &spec.cwd {
        command.current_dir(dir);
    }
    before_exec(&mut command, spec);
    let child = command.spawn().map_err(|source| os_error(spec, file, source))?;
    if let (Some(watchdog), Some(pid)) = (&spec.watchdog, child.id()) {
        watchdog.add(pid);
    }
    Ok(child)
}

fn os_error(spec: &ChildSpec, file: PathBuf, source: std::io::Error) -> SpawnError {
    SpawnError::Os {
        name: spec.name.clone(),
        file,
        source,
    }
}

/// Limits as the kernel wants them, made before the fork.
fn rlimits(resources: &Resources) -> Vec<(Resource, Rlimit)> {
    /// Between the signal that a program can handle and the one that it cannot.
    const LAST_WORDS: u64 = 5;
    let cpu = resources
        .cpu_time
        .map(|time| time.as_secs() + u64::from(time.subsec_nanos() > 0));
    [
        (Resource::Data, resources.memory, 0),
        (Resource::Cpu, cpu, LAST_WORDS),
        (Resource::Nofile, resources.open_files, 0),
        (Resource::Nproc, resources.processes, 0),
    ]
    .into_iter()
    .filter_map(|(resource, limit, more)| {
        // Raising a hard limit is for root only.
        let hard = rustix::process::getrlimit(resource).maximum.unwrap_or(u64::MAX);
        let limit = limit?;
        let rlimit = Rlimit {
            current: Some(limit.min(hard)),
            maximum: Some(limit.saturating_add(more).min(hard)),
        };
        Some((resource, rlimit))
    })
    .collect()
}

/// What has to happen in the child before the program runs: its limits, the word to the watchdog, and on Linux the
/// parent-death signal, with which the kernel kills the child if this process dies, however it dies. That one reaches the
/// child only, not what the child started.
#[expect(
    unsafe_code,
    reason = "a hook between fork and exec is the only way to set these before the program runs"
)]
fn before_exec(command: &mut Command, spec: &ChildSpec) {
    let limits = rlimits(&spec.resources);
    let line = spec.watchdog.as_ref().and_then(Watchdog::line);
    let parent = rustix::process::getpid();
    // SAFETY: the hook runs in the forked child of a process that may have other threads, so it must only do what is
    // async-signal-safe and must not unwind. It makes system calls (setrlimit, getpid, send, prctl, getppid) through thin
    // wrappers, and builds `io::Error`s from bare error numbers: no allocation, no lock, no panic. It reads a vector and a
    // socket that were made before the fork and that it owns; it writes no memory shared with the parent.
    unsafe {
        command.pre_exec(move || {
            if let Some(line) = &line {
                announce(line);
            }
            for (resource, limit) in &limits {
                rustix::process::setrlimit(*resource, *limit)?;
            }
            die_with(parent)
        });
    }
}

/// Tells the watchdog of the process group that this process leads. An error says that there is no watchdog any more;
/// the next one is told of all groups.
#[cfg(target_os = "linux")]
fn announce(line: &UnixStream) {
    let group = rustix::process::getpid().as_raw_nonzero().get();
    let record = watchdog::record(watchdog::ADD, group.unsigned_abs());
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    let _ = rustix::net::send(line, &record, flags);
}

/// Elsewhere sending could raise a signal; there the parent tells it, a moment later.
#[cfg(not(target_os = "linux"))]
fn announce(_line: &UnixStream) {}

#[cfg(target_os = "linux")]
fn die_with(parent: rustix::process::Pid) -> std::io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    // The parent may have died before the signal was armed.
    if rustix::process::getppid() == Some(parent) {
        Ok(())
    } else {
        Err(rustix::io::Errno::SRCH.into())
    }
}

#[cfg(not(target_os = "linux"))]
fn die_with(_parent: rustix::process::Pid) -> std::io::Result<()> {
    Ok(())
}
