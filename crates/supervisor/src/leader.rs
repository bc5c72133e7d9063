//! A child of ours, from its start until it is reaped, by its pidfd.

use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::sync::OnceLock;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, kill_process_group, pidfd_open, waitpid};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Between two looks whether a process that exited can be reaped: not while a debugger has it.
const LOOK: Duration = Duration::from_millis(10);

/// A child that nobody else waits for, and that leads a process group. Dropping it kills the group, and has it reaped.
#[derive(Debug)]
pub(crate) struct Leader {
    id: Pid,
    reaped: bool,
    /// Readable when the process has exited. Dropped, and so deregistered, with the rest.
    pidfd: AsyncFd<OwnedFd>,
}

/// Whether this system has pidfds: Linux 5.3 and later, unless a filter of system calls is in the way.
pub(crate) fn supported() -> bool {
    static SUPPORTED: OnceLock<bool> = OnceLock::new();
    *SUPPORTED.get_or_init(|| {
        let ours = pidfd_open(rustix::process::getpid(), PidfdFlags::empty());
        !matches!(ours, Err(Errno::NOSYS | Errno::PERM | Errno::INVAL))
    })
}

impl Leader {
    /// Takes charge of a child. Must be called with a runtime entered.
    ///
    /// # Errors
    /// If there are too many open files. The child is killed then.
    pub(crate) fn new(id: Pid) -> std::io::Result<Self> {
        let pidfd = watched(id).inspect_err(|_| end(id))?;
        Ok(Self {
            id,
            reaped: false,
            pidfd,
        })
    }

    /// Waits until it has exited. Cancel-safe.
    pub(crate) async fn exited(&self) {
        // An error: the runtime is being shut down.
        let _ = self.pidfd.readable().await;
    }

    /// Reaps it when it has exited. `None`: somebody else has.
    pub(crate) async fn reap(&mut self) -> Option<ExitStatus> {
        self.exited().await;
        loop {
            match waitpid(Some(self.id), WaitOptions::NOHANG) {
                Ok(Some((_, status))) => {
                    self.reaped = true;
                    return Some(ExitStatus::from_raw(status.as_raw()));
                }
                Ok(None) => tokio::time::sleep(LOOK).await,
                Err(Errno::INTR) => {}
                Err(_) => {
                    self.reaped = true;
                    return None;
                }
            }
        }
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        if !self.reaped {
            end(self.id);
        }
    }
}

/// Kills a child that nobody will wait for, with its group.
fn end(id: Pid) {
    let _ = kill_process_group(id, Signal::KILL);
    // It is dead in a moment, but not for sure in this one. Without a thread it is reaped when this process ends.
    let _ = std::thread::Builder::new()
        .name("ferromcp-reap".into())
        .spawn(move || wait(id));
}

/// Reaps a child that has exited or is about to.
pub(crate) fn wait(id: Pid) {
    while matches!(waitpid(Some(id), WaitOptions::empty()), Err(Errno::INTR)) {}
}

#[expect(
    unsafe_code,
    reason = "tokio cannot check that a descriptor stays open while it is registered"
)]
fn watched(id: Pid) -> std::io::Result<AsyncFd<OwnedFd>> {
    let pidfd = pidfd_open(id, PidfdFlags::empty())?;
    // SAFETY: an `OwnedFd` is an open descriptor that only it can close and that never changes; it is moved into the
    // `AsyncFd` and dropped with it, so it stays the same open file for as long as it is registered.
    Ok(unsafe { AsyncFd::register_with_interest(pidfd, Interest::READABLE) }?)
}
