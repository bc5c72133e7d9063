//! The bounded queue in front of a child's stdin, and the one task that writes it.

use std::sync::Arc;

use bytes::Bytes;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

/// Small messages that are waiting together go out in one write of up to this many bytes.
const COALESCE: usize = 64 * 1024;

/// Why a line was not queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The child has exited, closed its stdin, or is being stopped.
    #[error("the process no longer accepts input")]
    Closed,
    /// The line has a line end in it and would arrive as two.
    #[error("a line must not contain a line end")]
    LineEnd,
}

#[derive(Debug)]
struct Queued {
    line: Bytes,
    _room: OwnedSemaphorePermit,
}

/// Queues lines for a child's stdin. Cheap to clone; lines of one sender keep their order.
#[derive(Debug, Clone)]
pub struct StdinQueue {
    tx: mpsc::Sender<Queued>,
    room: Arc<Semaphore>,
    max_bytes: usize,
    broken: watch::Receiver<bool>,
}

impl StdinQueue {
    /// Waits until the child has closed its input although nobody asked it to end. Lines that were queued then may be
    /// lost.
    pub async fn broken(&self) {
        let mut broken = self.broken.clone();
        if broken.wait_for(|broken| *broken).await.is_err() {
            // It ended in good order.
            std::future::pending::<()>().await;
        }
    }

    /// Queues one line (without its line end), waiting for room if the child is slow to read.
    ///
    /// `Ok` means queued, not received: a child may die before it reads the line.
    ///
    /// # Errors
    /// [`SendError::LineEnd`] for a line with CR or LF in it, [`SendError::Closed`] if nobody reads any more, also when
    /// that happens while waiting.
    pub async fn send(&self, line: Bytes) -> Result<(), SendError> {
        if memchr::memchr2(b'\n', b'\r', &line).is_some() {
            return Err(SendError::LineEnd);
        }
        // A message larger than the whole budget takes all of it, so it passes alone.
        let bytes = line.len().clamp(1, self.max_bytes);
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room)
            .acquire_many_owned(bytes)
            .await
            .map_err(|_| SendError::Closed)?;
        self.tx
            .send(Queued { line, _room: room })
            .await
            .map_err(|_| SendError::Closed)
    }

    /// Whether lines are no longer accepted.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.tx.is_closed()
    }
}

/// The receiving side: owns the child's stdin until it is closed.
#[derive(Debug)]
pub(crate) struct Writer<W> {
    sink: W,
    rx: mpsc::Receiver<Queued>,
    room: Arc<Semaphore>,
    closing: watch::Receiver<bool>,
    broken: watch::Sender<bool>,
}

/// A queue and its writer. `closing` turning true (or its sender going away) closes the sink once the lines that are
/// already queued are written.
pub(crate) fn queue<W: AsyncWrite + Unpin>(
    sink: W,
    messages: usize,
    bytes: usize,
    closing: watch::Receiver<bool>,
) -> (StdinQueue, Writer<W>) {
    let max_bytes = bytes.clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize));
    let (tx, rx) = mpsc::channel(messages.max(1));
    let room = Arc::new(Semaphore::new(max_bytes));
    let (tell_broken, broken) = watch::channel(false);
    let queue = StdinQueue {
        tx,
        room: Arc::clone(&room),
        max_bytes,
        broken,
    };
    (
        queue,
        Writer {
            sink,
            rx,
            room,
            closing,
            broken: tell_broken,
        },
    )
}

impl<W: AsyncWrite + Unpin> Writer<W> {
    /// Writes until told to close, the reader goes away, or all senders are dropped.
    pub(crate) async fn run(mut self) {
        let mut out = Vec::new();
        let mut open = true;
        loop {
            let next = if open {
                tokio::select! {
                    next = self.rx.recv() => Some(next),
                    _ = self.closing.wait_for(|closing| *closing) => None,
                }
            } else {
                Some(self.rx.recv().await)
            };
            let Some(next) = next else {
                open = false;
                self.refuse();
                continue;
            };
            let Some(next) = next else { break };
            if self.write(&mut out, next).await.is_err() {
                self.broken.send_replace(true);
                break;
            }
        }
        self.refuse();
        // Dropping `self` closes the pipe: the child sees the end of its input.
    }

    fn refuse(&mut self) {
        self.rx.close();
        self.room.close();
    }

    async fn write(&mut self, out: &mut Vec<u8>, first: Queued) -> std::io::Result<()> {
        out.clear();
        let mut next = Some(first);
        while let Some(queued) = next {
            if queued.line.len() > COALESCE {
                // Large lines are written from where they are.
                self.sink.write_all(out).await?;
                out.clear();
                self.sink.write_all(&queued.line).await?;
                out.push(b'\n');
                break;
            }
            out.extend_from_slice(&queued.line);
            out.push(b'\n');
            next = if out.len() < COALESCE {
                self.rx.try_recv().ok()
            } else {
                None
            };
        }
        self.sink.write_all(out).await?;
        self.sink.flush().await
    }
}
