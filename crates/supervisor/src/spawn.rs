//! The one place that forks.
//!
//! Processes are started from a thread of our own that lives as long as this process. The parent-death signal of Linux
//! fires when the *thread* that forked ends, so a runtime worker or a blocking-pool thread would take its children along
//! when it retires. It also keeps fork and exec off the runtime's threads.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::OnceLock;

use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};

use crate::spec::{ChildSpec, SpawnError};

/// Starts that may wait for the thread; a start takes about a millisecond.
const QUEUE: usize = 64;

type Job = Box<dyn FnOnce() + Send>;

static SPAWNER: OnceLock<mpsc::Sender<Job>> = OnceLock::new();

/// Starts the program of `spec` with piped standard streams, leading its own process group.
pub(crate) async fn spawn(spec: &ChildSpec) -> Result<Child, SpawnError> {
    let internal = |reason: &str| SpawnError::Internal {
        name: spec.name.clone(),
        reason: reason.to_owned(),
    };
    let (tx, rx) = oneshot::channel();
    let runtime = tokio::runtime::Handle::current();
    let owned = spec.clone();
    let job: Job = Box::new(move || {
        let _runtime = runtime.enter();
        // If the caller is gone the child is dropped here, which kills it.
        drop(tx.send(start(&owned)));
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

fn start(spec: &ChildSpec) -> Result<Child, SpawnError> {
    let env = spec.environment()?;
    let file = spec.program(env.get(std::ffi::OsStr::new("PATH")).map(AsRef::as_ref))?;
    let mut command = Command::new(&file);
    command
        .args(&spec.args)
        .env_clear()
        .envs(env)
        .process_group(0)
        .kill_on_drop(true);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if let Some(dir) = &spec.cwd {
        command.current_dir(dir);
    }
    die_with_parent(&mut command);
    command.spawn().map_err(|source| os_error(spec, file, source))
}

fn os_error(spec: &ChildSpec, file: PathBuf, source: std::io::Error) -> SpawnError {
    SpawnError::Os {
        name: spec.name.clone(),
        file,
        source,
    }
}

/// Has the kernel kill the child if this process dies, however it dies. It reaches the child only, not what the child
/// started; those see their pipes close.
#[cfg(target_os = "linux")]
#[expect(
    unsafe_code,
    reason = "a hook between fork and exec is the only way to set the parent-death signal"
)]
fn die_with_parent(command: &mut Command) {
    let parent = rustix::process::getpid();
    // SAFETY: the hook runs in the forked child of a process that may have other threads, so it must only do what is
    // async-signal-safe and must not unwind. It makes two system calls (prctl and getppid) through thin wrappers, and
    // builds `io::Error`s from bare error numbers: no allocation, no lock, no panic. It captures one integer by copy and
    // touches no file descriptor and no memory shared with the parent.
    unsafe {
        command.pre_exec(move || {
            rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
            // The parent may have died before the signal was armed.
            if rustix::process::getppid() == Some(parent) {
                Ok(())
            } else {
                Err(rustix::io::Errno::SRCH.into())
            }
        });
    }
}

#[cfg(not(target_os = "linux"))]
fn die_with_parent(_command: &mut Command) {}
