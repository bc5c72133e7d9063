//! A process group: its leader, which is our child, and whatever that started.

use std::process::ExitStatus;

use rustix::process::{Pid, Signal};

use crate::leftovers::Mark;
use crate::watchdog::Watchdog;

/// A process group whose leader is our child. Dropping it kills the group.
///
/// The group is always killed *before* its leader is reaped: until then the leader's id cannot be given to another
/// process, so a signal can never hit a stranger. Linux lets us see the exit without reaping (pidfd); where there is no
/// pidfd, the leader is reaped first and the group, if it still has members, keeps the id reserved.
#[derive(Debug)]
pub(crate) struct Group {
    process: Process,
    id: Pid,
    mark: Mark,
    watchdog: Option<Watchdog>,
    reaped: bool,
}

/// The leader.
#[derive(Debug)]
pub(crate) enum Process {
    #[cfg(target_os = "linux")]
    Own(crate::leader::Leader),
    Command(Box<tokio::process::Child>),
}

/// The id as the watchdog's records have it.
pub(crate) fn number(id: Pid) -> u32 {
    id.as_raw_nonzero().get().unsigned_abs()
}

impl Group {
    pub(crate) fn new(process: Process, id: Pid, mark: Mark, watchdog: Option<Watchdog>) -> Self {
        if let Some(watchdog) = &watchdog {
            watchdog.add(number(id));
        }
        Self {
            process,
            id,
            mark,
            watchdog,
            reaped: false,
        }
    }

    /// Of the group and of its leader.
    pub(crate) fn id(&self) -> Pid {
        self.id
    }

    /// Waits until the leader has exited. Cancel-safe.
    pub(crate) async fn exited(&mut self) {
        match &mut self.process {
            #[cfg(target_os = "linux")]
            Process::Own(leader) => leader.exited().await,
            Process::Command(child) => self.reaped |= child.wait().await.is_ok(),
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        // The only expected error is that nobody is left.
        let _ = rustix::process::kill_process_group(self.id, signal);
    }

    /// After the leader's exit: kills the rest of the group and reaps the leader.
    pub(crate) async fn reap(&mut self) -> Option<ExitStatus> {
        self.signal(Signal::KILL);
        self.forget();
        let status = match &mut self.process {
            #[cfg(target_os = "linux")]
            Process::Own(leader) => leader.reap().await,
            Process::Command(child) => child.wait().await.ok(),
        };
        self.reaped = true;
        status
    }

    /// Ends what left the group, as daemons do.
    pub(crate) async fn sweep(&self) {
        // Elsewhere there is no way to read another process's environment.
        #[cfg(target_os = "linux")]
        if !crate::sweep::sweep(self.mark.clone()).await {
            tracing::warn!(target: "ferromcp::server", pid = number(self.id), "processes that this child started cannot be ended");
        }
    }

    /// The group is being killed, and its id can be another's once the leader is reaped.
    fn forget(&mut self) {
        if let Some(watchdog) = self.watchdog.take() {
            watchdog.remove(number(self.id));
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.reaped {
            self.signal(Signal::KILL);
            self.forget();
            // `process` is dropped next, and reaped in the background.
        }
    }
}
