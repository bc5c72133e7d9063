//! The life of one child: a task owns the process, everybody else holds a handle.

use std::fmt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use tokio::process::ChildStdout;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::group::{Group, number};
use crate::leftovers::Mark;
use crate::reader::LineReader;
use crate::spec::{ChildLimits, ChildSpec, SpawnError};
use crate::stdin::{self, StdinQueue};
use crate::{spawn, stderr};

/// How long the captured stderr may lag behind the exit before it is cut off. It ends at once unless a process that
/// left the group still holds it.
const STDERR_DRAIN: Duration = Duration::from_millis(250);

/// The same before those who wait for answers are told of the exit.
const STDERR_LAG: Duration = Duration::from_millis(20);

/// Last stderr lines shown in an error message.
const SHOWN_LINES: usize = 5;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitKind {
    /// By itself, with this exit code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// Not known: the runtime was shut down first.
    Unknown,
}

/// The end of a child. `Display` is one line that can go into an error message.
#[derive(Debug, Clone)]
pub struct Exit {
    /// Name from the spec.
    pub name: Arc<str>,
    /// How it ended.
    pub kind: ExitKind,
    /// Whether we asked it to end, or killed it.
    pub requested: bool,
    /// How long it ran.
    pub uptime: Duration,
    /// The last lines it wrote to stderr, oldest first; at most 20 of at most 512 bytes.
    pub stderr: Vec<String>,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "server `{}` ", self.name)?;
        match self.kind {
            ExitKind::Code(code) => write!(f, "exited with code {code}")?,
            ExitKind::Signal(signal) => write!(f, "was ended by signal {signal}")?,
            ExitKind::Unknown => write!(f, "has ended")?,
        }
        if self.requested {
            f.write_str(" on request")?;
        }
        write!(f, " after {:.1} s", self.uptime.as_secs_f64())?;
        let shown = &self.stderr[self.stderr.len().saturating_sub(SHOWN_LINES)..];
        if !shown.is_empty() {
            write!(f, "; last stderr: {}", shown.join(" | "))?;
        }
        Ok(())
    }
}

/// Tells when and how a child ended. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ExitWatch {
    name: Arc<str>,
    started: Instant,
    rx: watch::Receiver<Option<Arc<Exit>>>,
    died: watch::Receiver<Option<Arc<Exit>>>,
}

impl ExitWatch {
    /// How it ended, if it has.
    #[must_use]
    pub fn get(&self) -> Option<Arc<Exit>> {
        self.rx.borrow().clone()
    }

    /// Waits for the end. Afterwards the process is reaped and its group is gone.
    pub async fn wait(&self) -> Arc<Exit> {
        self.told(&self.rx).await
    }

    /// Waits until the process itself is reaped and its group killed. What left the group may still run, and stderr may
    /// have more lines: [`Self::wait`] waits for that. For those who only want to know that no answer will come.
    pub async fn died(&self) -> Arc<Exit> {
        self.told(&self.died).await
    }

    async fn told(&self, rx: &watch::Receiver<Option<Arc<Exit>>>) -> Arc<Exit> {
        let mut rx = rx.clone();
        let exit = rx
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|exit| exit.clone());
        exit.unwrap_or_else(|| {
            Arc::new(Exit {
                name: Arc::clone(&self.name),
                kind: ExitKind::Unknown,
                requested: true,
                uptime: self.started.elapsed(),
                stderr: Vec::new(),
            })
        })
    }
}

/// What the owner wants; only ever moves forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Wish {
    Run,
    Stop,
    Kill,
}

/// A running process. Dropping it kills the whole process group.
#[derive(Debug)]
pub struct Child {
    pid: u32,
    wish: watch::Sender<Wish>,
    exit: ExitWatch,
    stdin: StdinQueue,
    stdout: Option<LineReader<ChildStdout>>,
}

impl Child {
    /// Starts the program. Must be called on a tokio runtime with I/O and time enabled; its tasks run there.
    ///
    /// # Errors
    /// [`SpawnError`] if the program could not be started at all. A program that starts and fails is an [`Exit`].
    pub async fn spawn(spec: ChildSpec) -> Result<Self, SpawnError> {
        let mark = Mark::next();
        let started = spawn::spawn(&spec, &mark).await?;
        let name: Arc<str> = spec.name.as_str().into();
        let pid = number(started.group.id());

        let (wish, wishes) = watch::channel(Wish::Run);
        let (closing, closed) = watch::channel(false);
        let (exit_tx, exit_rx) = watch::channel(None);
        let (died_tx, died_rx) = watch::channel(None);
        let (stdin, writer) = stdin::queue(
            started.stdin,
            spec.limits.queue_messages,
            spec.limits.queue_bytes,
            closed,
        );
        let exit = ExitWatch {
            name: Arc::clone(&name),
            started: Instant::now(),
            rx: exit_rx,
            died: died_rx,
        };
        let tail = stderr::Tail::default();
        let monitor = Monitor {
            started: exit.started,
            limits: spec.limits,
            stderr: tokio::spawn(stderr::capture(
                started.stderr,
                tail.clone(),
                stderr::Log(Arc::clone(&name)),
                stderr::WINDOW,
            )),
            writer: tokio::spawn(writer.run()),
            name,
            group: started.group,
            wishes,
            closing,
            tail,
        };
        tokio::spawn(monitor.run(died_tx, exit_tx));
        Ok(Self {
            pid,
            wish,
            exit,
            stdin,
            stdout: Some(LineReader::new(started.stdout, spec.limits.max_line)),
        })
    }

    /// The name from the spec.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.exit.name
    }

    /// The process id, which is also the id of its process group.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Where lines for the child go.
    #[must_use]
    pub fn stdin(&self) -> &StdinQueue {
        &self.stdin
    }

    /// The child's output; `Some` the first time. It must be read, or the child blocks. After the exit it normally ends,
    /// except while a process that left the group still holds it.
    pub fn take_stdout(&mut self) -> Option<LineReader<ChildStdout>> {
        self.stdout.take()
    }

    /// Tells of the end, also after this handle is gone.
    #[must_use]
    pub fn exit(&self) -> &ExitWatch {
        &self.exit
    }

    /// Begins the stop sequence and returns at once: close stdin after what is queued, SIGTERM to the group after
    /// `stop_grace`, SIGKILL after `term_grace` more.
    pub fn begin_stop(&self) {
        self.wish(Wish::Stop);
    }

    /// Stops the child and waits for its end. Dropping the future does not take the stop back.
    pub async fn stop(&self) -> Arc<Exit> {
        self.begin_stop();
        self.exit.wait().await
    }

    /// Kills the whole group with SIGKILL and waits for the end.
    pub async fn kill(&self) -> Arc<Exit> {
        self.wish(Wish::Kill);
        self.exit.wait().await
    }

    fn wish(&self, wish: Wish) {
        self.wish.send_if_modified(|now| {
            let forward = wish > *now;
            if forward {
                *now = wish;
            }
            forward
        });
    }
}

/// Owns the process until it is reaped.
struct Monitor {
    name: Arc<str>,
    started: Instant,
    limits: ChildLimits,
    group: Group,
    wishes: watch::Receiver<Wish>,
    closing: watch::Sender<bool>,
    stderr: JoinHandle<()>,
    writer: JoinHandle<()>,
    tail: stderr::Tail,
}

impl Monitor {
    async fn run(mut self, died: watch::Sender<Option<Arc<Exit>>>, exit: watch::Sender<Option<Arc<Exit>>>) {
        let requested = self.until_exit().await;
        let status = self.group.reap().await;
        self.writer.abort();
        let quiet = tokio::time::timeout(STDERR_LAG, &mut self.stderr).await.is_ok();
        let end = Exit {
            name: Arc::clone(&self.name),
            kind: status.map_or(ExitKind::Unknown, exit_kind),
            requested,
            uptime: self.started.elapsed(),
            stderr: self.tail.lines(),
        };
        // Calls need not wait for what follows: it looks at every process of the machine.
        died.send_replace(Some(Arc::new(end.clone())));
        self.group.sweep().await;
        if !quiet
            && tokio::time::timeout(STDERR_DRAIN, &mut self.stderr)
                .await
                .is_err()
        {
            self.stderr.abort();
        }
        let end = Arc::new(Exit {
            stderr: self.tail.lines(),
            ..end
        });
        tracing::debug!(target: "ferromcp::server", server = %end.name, "{end}");
        exit.send_replace(Some(end));
    }

    /// Waits for the exit and walks through the stop sequence if that is wished. Returns whether it was.
    async fn until_exit(&mut self) -> bool {
        let mut wish = tokio::select! {
            biased;
            () = self.group.exited() => return false,
            wish = more_than(&mut self.wishes, Wish::Run) => wish,
        };
        self.closing.send_replace(true);
        for (grace, signal) in [
            (self.limits.stop_grace, Signal::TERM),
            (self.limits.term_grace, Signal::KILL),
        ] {
            if wish == Wish::Kill {
                break;
            }
            tokio::select! {
                biased;
                () = self.group.exited() => return true,
                more = more_than(&mut self.wishes, Wish::Stop) => wish = more,
                () = tokio::time::sleep(grace) => {
                    tracing::debug!(target: "ferromcp::server", server = %self.name, ?signal, "still running");
                    self.group.signal(signal);
                }
            }
        }
        self.group.signal(Signal::KILL);
        self.group.exited().await;
        true
    }
}

/// Waits for a stronger wish; an owner that is gone wishes the end.
async fn more_than(wishes: &mut watch::Receiver<Wish>, than: Wish) -> Wish {
    wishes
        .wait_for(|wish| *wish > than)
        .await
        .map_or(Wish::Kill, |wish| *wish)
}

fn exit_kind(status: ExitStatus) -> ExitKind {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => ExitKind::Code(code),
        (None, Some(signal)) => ExitKind::Signal(signal),
        (None, None) => ExitKind::Unknown,
    }
}
