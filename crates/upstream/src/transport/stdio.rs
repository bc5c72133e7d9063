//! A server that is a child process: one JSON message per line on its stdin and stdout.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ferromcp_protocol::lines::LineError;
use ferromcp_supervisor::{Child, ChildSpec, Exit, ExitWatch, LineReader, ReadError, StdinQueue};
use tokio::process::ChildStdout;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::TransportError;

/// After the exit, how long output that is still in the pipe is read. It ends by itself unless a process that left the
/// group holds the pipe.
const DRAIN: Duration = Duration::from_secs(1);

/// After the end of the output or of the input, how long to wait for the exit of a process that is ending, so that the
/// end can be explained with it.
const EXIT_LAG: Duration = Duration::from_millis(500);

/// How long a process that still runs may be about to end. Callers wait meanwhile.
const CLOSE_LAG: Duration = Duration::from_millis(50);

/// The sending half; owns the child. Dropping it kills the child.
#[derive(Debug)]
pub struct StdioTransport {
    name: Arc<str>,
    child: Child,
}

/// The receiving half. It must be read, or the child blocks.
#[derive(Debug)]
pub struct StdioIncoming {
    stdout: LineReader<ChildStdout>,
    exit: ExitWatch,
    stdin: StdinQueue,
    pid: u32,
    /// Set once the exit is known: until when the rest of the output is read.
    drain_until: Option<Instant>,
    /// Set once the process takes no more input: until when it may exit, or answer what it has read.
    deaf_until: Option<Instant>,
}

/// What comes from the child.
#[derive(Debug)]
pub enum Incoming {
    /// One line of valid UTF-8, not empty; normally a JSON-RPC message.
    Message(Bytes),
    /// One line was refused (too long, not UTF-8, cut off by the end); the next is fine.
    Refused(LineError),
    /// The last item: nothing more will come.
    End(End),
}

/// Why nothing more will come.
#[derive(Debug, Clone)]
pub enum End {
    /// The process has exited.
    Exited(Arc<Exit>),
    /// The process closed its stdout and still runs. It is of no use any more: close the transport.
    OutputClosed,
    /// The process closed its stdin and still runs. What was sent last is lost; it is of no use any more either.
    InputClosed,
}

impl StdioTransport {
    /// Starts the child. Nothing is sent yet.
    ///
    /// # Errors
    /// [`TransportError::Spawn`] if it could not be started.
    pub async fn connect(spec: ChildSpec) -> Result<(Self, StdioIncoming), TransportError> {
        let name: Arc<str> = spec.name.as_str().into();
        let mut child = Child::spawn(spec).await?;
        let Some(stdout) = child.take_stdout() else {
            return Err(TransportError::Closed {
                name,
                exit: child.exit().get(),
            });
        };
        let incoming = StdioIncoming {
            stdout,
            exit: child.exit().clone(),
            stdin: child.stdin().clone(),
            pid: child.pid(),
            drain_until: None,
            deaf_until: None,
        };
        Ok((Self { name, child }, incoming))
    }

    /// Queues one message, waiting for room if the child is slow to read. Line ends between its tokens, which JSON
    /// allows and this framing does not, become spaces.
    ///
    /// # Errors
    /// [`TransportError::Closed`] if the child no longer reads.
    pub async fn send(&self, message: Bytes) -> Result<(), TransportError> {
        let message = one_line(message);
        if self.child.stdin().send(message).await.is_ok() {
            return Ok(());
        }
        // Nobody reads, most likely because it has just died: the exit, known in a moment, says why.
        let exit = timeout(EXIT_LAG, self.child.exit().died()).await.ok();
        Err(TransportError::Closed {
            name: Arc::clone(&self.name),
            exit,
        })
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// Tells how the child ends.
    #[must_use]
    pub fn exit(&self) -> &ExitWatch {
        self.child.exit()
    }

    /// Ends the child: closes its stdin after what is queued, and signals it if that does not help. Returns when it is
    /// reaped.
    pub async fn close(&self) -> Arc<Exit> {
        self.child.stop().await
    }

    /// Kills the child and everything that it started. Returns when it is reaped.
    pub async fn kill(&self) -> Arc<Exit> {
        self.child.kill().await
    }

    /// Begins what [`close`](Self::close) does, without waiting.
    pub fn begin_close(&self) {
        self.child.begin_stop();
    }
}

impl StdioIncoming {
    /// The next item. Cancel-safe. After [`Incoming::End`] it keeps returning that.
    pub async fn next(&mut self) -> Incoming {
        loop {
            let item = match self.drain_until {
                Some(until) => timeout_at(until, self.stdout.next()).await.unwrap_or(None),
                None => tokio::select! {
                    biased;
                    item = self.stdout.next() => item,
                    () = self.stdin.broken(), if self.deaf_until.is_none() => {
                        self.deaf_until = Some(Instant::now() + CLOSE_LAG);
                        continue;
                    }
                    () = sleep_until(self.deaf_until.unwrap_or_else(Instant::now)), if self.deaf_until.is_some() => break,
                    _ = self.exit.died() => {
                        self.drain_until = Some(Instant::now() + DRAIN);
                        continue;
                    }
                },
            };
            match item {
                Some(Ok(line)) => return Incoming::Message(line),
                Some(Err(ReadError::Line(error))) => return Incoming::Refused(error),
                // A pipe that cannot be read has ended; the exit tells more.
                Some(Err(ReadError::Io(_))) | None => break,
            }
        }
        // The streams of a process that ends close a moment before it has ended.
        if let Ok(exit) = timeout(CLOSE_LAG, self.exit.died()).await {
            return Incoming::End(End::Exited(exit));
        }
        if !ferromcp_supervisor::is_running(self.pid)
            && let Ok(exit) = timeout(EXIT_LAG, self.exit.died()).await
        {
            return Incoming::End(End::Exited(exit));
        }
        Incoming::End(match self.deaf_until {
            Some(_) => End::InputClosed,
            None => End::OutputClosed,
        })
    }
}

/// The message without line ends. In valid JSON they only occur between tokens, never inside a string.
fn one_line(message: Bytes) -> Bytes {
    if memchr::memchr2(b'\n', b'\r', &message).is_none() {
        return message;
    }
    message
        .iter()
        .map(|b| if matches!(b, b'\n' | b'\r') { b' ' } else { *b })
        .collect()
}
