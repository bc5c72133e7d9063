//! The one place that starts servers' processes.
//!
//! They are started from a thread of our own that lives as long as this process. The parent-death signal of Linux
//! fires when the *thread* that started the process ends, so a runtime worker or a blocking-pool thread would take its
//! children along when it retires. It also keeps the wait for exec off the runtime's threads.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, OnceLock};
use std::{collections::BTreeMap, io, os::unix::net::UnixStream};

#[cfg(target_os = "linux")]
use rustix::net::SendFlags;
use rustix::process::{Pid, Resource, Rlimit};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::{mpsc, oneshot};

#[cfg(target_os = "linux")]
use crate::group::number;
use crate::group::{Group, Process};
use crate::leftovers::{MARK_ENV, Mark};
use crate::spec::{ChildSpec, Resources, SpawnError};
use crate::watchdog::{self, Watchdog};

#[cfg(target_os = "linux")]
mod shared;

/// Starts that may wait for the thread; a start takes about a millisecond.
const QUEUE: usize = 64;

type Job = Box<dyn FnOnce() + Send>;

static SPAWNER: OnceLock<mpsc::Sender<Job>> = OnceLock::new();

/// A process that was started, and our ends of its standard streams.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) group: Group,
    pub(crate) stdin: ChildStdin,
    pub(crate) stdout: ChildStdout,
    pub(crate) stderr: ChildStderr,
}

/// Starts the program of `spec` with piped standard streams, leading its own process group.
pub(crate) async fn spawn(spec: &ChildSpec, mark: &Mark) -> Result<Started, SpawnError> {
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

fn spawner() -> io::Result<&'static mpsc::Sender<Job>> {
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

fn start(spec: &ChildSpec, mark: &Mark) -> Result<Started, SpawnError> {
    let mut env = spec.environment()?;
    let file = spec.program(env.get(OsStr::new("PATH")).map(AsRef::as_ref))?;
    env.insert(MARK_ENV.into(), mark.to_string().into());
    started(spec, &file, &env, mark).map_err(|source| SpawnError::Os {
        name: spec.name.clone(),
        file,
        source,
    })
}

fn started(
    spec: &ChildSpec,
    file: &Path,
    env: &BTreeMap<OsString, OsString>,
    mark: &Mark,
) -> io::Result<Started> {
    let before = Before::new(spec);
    #[cfg(target_os = "linux")]
    if crate::leader::supported() {
        let (program, streams) = shared::Program::new(
            file.as_os_str(),
            spec.args.iter().map(AsRef::as_ref),
            env.iter().map(|(key, value)| (key.as_ref(), value.as_ref())),
            spec.cwd.as_deref().map(Path::as_os_str),
            before,
        )?;
        let (id, leader) = program.start()?;
        return Ok(Started {
            group: Group::new(Process::Own(leader), id, mark.clone(), spec.watchdog.clone()),
            stdin: ChildStdin::from_std(streams.stdin.into())?,
            stdout: ChildStdout::from_std(streams.stdout.into())?,
            stderr: ChildStderr::from_std(streams.stderr.into())?,
        });
    }
    by_command(spec, file, env, mark, before)
}

/// Where there is no better way.
fn by_command(
    spec: &ChildSpec,
    file: &Path,
    env: &BTreeMap<OsString, OsString>,
    mark: &Mark,
    before: Before,
) -> io::Result<Started> {
    let mut command = Command::new(file);
    command
        .args(&spec.args)
        .env_clear()
        .envs(env)
        .process_group(0)
        .kill_on_drop(true)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if let Some(dir) = &spec.cwd {
        command.current_dir(dir);
    }
    before_exec(&mut command, before);
    let mut child = command.spawn()?;
    let id = child
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .and_then(Pid::from_raw);
    let parts = (id, child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (Some(id), Some(stdin), Some(stdout), Some(stderr)) = parts else {
        return Err(io::Error::other(
            "it has no id, or not all of its standard streams",
        ));
    };
    let process = Process::Command(Box::new(child));
    Ok(Started {
        group: Group::new(process, id, mark.clone(), spec.watchdog.clone()),
        stdin,
        stdout,
        stderr,
    })
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

/// What has to happen in the child before the program runs: the word to the watchdog, its limits, and on Linux the
/// parent-death signal, with which the kernel kills the child if this process dies, however it dies. That one reaches the
/// child only, not what the child started.
struct Before {
    limits: Vec<(Resource, Rlimit)>,
    line: Option<Arc<UnixStream>>,
    parent: Pid,
}

impl Before {
    fn new(spec: &ChildSpec) -> Self {
        Self {
            limits: rlimits(&spec.resources),
            line: spec.watchdog.as_ref().and_then(Watchdog::line),
            parent: rustix::process::getpid(),
        }
    }

    /// In the child, which may share our memory or have a copy of that of one thread of many: it makes system calls through
    /// thin wrappers, and neither allocates, locks nor panics.
    fn run(&self) -> rustix::io::Result<()> {
        if let Some(line) = &self.line {
            tell(line, watchdog::ADD, rustix::process::getpid());
        }
        for (resource, limit) in &self.limits {
            rustix::process::setrlimit(*resource, *limit)?;
        }
        die_with(self.parent)
    }

    /// In the parent: what was announced is not there.
    #[cfg(target_os = "linux")]
    fn take_back(&self, id: Pid) {
        if let Some(line) = &self.line {
            tell(line, watchdog::REMOVE, id);
        }
    }
}

#[expect(
    unsafe_code,
    reason = "a hook between fork and exec is the only way to set these before the program runs"
)]
fn before_exec(command: &mut Command, before: Before) {
    // SAFETY: the hook runs in the forked child of a process that may have other threads, so it must only do what is
    // async-signal-safe and must not unwind. `Before::run` is that, and an `io::Error` is built from a bare number. It reads
    // what was made before the fork and is owned by the hook; it writes no memory shared with the parent.
    unsafe {
        command.pre_exec(move || Ok(before.run()?));
    }
}

/// Tells the watchdog of a process group, from the child or of a child. An error says that there is no watchdog any
/// more; the next one is told of all groups.
#[cfg(target_os = "linux")]
fn tell(line: &UnixStream, kind: u8, group: Pid) {
    let record = watchdog::record(kind, number(group));
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    let _ = rustix::net::send(line, &record, flags);
}

/// Elsewhere sending could raise a signal; there the parent tells it, a moment later.
#[cfg(not(target_os = "linux"))]
fn tell(_line: &UnixStream, _kind: u8, _group: Pid) {}

#[cfg(target_os = "linux")]
fn die_with(parent: Pid) -> rustix::io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    // The parent may have died before the signal was armed.
    if rustix::process::getppid() == Some(parent) {
        Ok(())
    } else {
        Err(rustix::io::Errno::SRCH)
    }
}

#[cfg(not(target_os = "linux"))]
fn die_with(_parent: Pid) -> rustix::io::Result<()> {
    Ok(())
}
