//! Messages on their way out: a queue with a bound in bytes, and the one task that writes it.

use std::io;
use std::sync::Arc;

use ferromcp_endpoint::Outlet;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Most messages that wait; the bound in bytes bites first unless they are tiny.
const MAX_MESSAGES: usize = 4096;
/// Messages are gathered up to this size before they are written.
const GATHER: usize = 64 * 1024;

/// The way into the queue. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    queue: Sender<Queued>,
    room: Arc<Semaphore>,
    max: usize,
}

#[derive(Debug)]
pub(crate) struct Queued {
    message: Vec<u8>,
    _room: OwnedSemaphorePermit,
}

/// The other side is gone: nothing can be written any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gone;

pub(crate) fn queue(max: usize) -> (Outgoing, Receiver<Queued>) {
    let max = max.clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize));
    let (sender, receiver) = mpsc::channel(MAX_MESSAGES);
    (
        Outgoing {
            queue: sender,
            room: Arc::new(Semaphore::new(max)),
            max,
        },
        receiver,
    )
}

impl Outgoing {
    /// Queues a message that must arrive; waits for room.
    pub(crate) async fn deliver(&self, message: Vec<u8>) -> Result<(), Gone> {
        let room = Arc::clone(&self.room)
            .acquire_many_owned(self.weight(&message))
            .await
            .map_err(|_| Gone)?;
        self.queue
            .send(Queued { message, _room: room })
            .await
            .map_err(|_| Gone)
    }

    /// Waits until nothing can be written any more.
    pub(crate) async fn closed(&self) {
        self.queue.closed().await;
    }

    /// What a message takes of the bound. One that is larger than the bound passes when the queue is
    /// empty.
    fn weight(&self, message: &[u8]) -> u32 {
        u32::try_from(message.len().min(self.max)).unwrap_or(u32::MAX)
    }
}

impl Outlet for Outgoing {
    fn can_send(&self) -> bool {
        true
    }

    fn send(&self, message: Vec<u8>) -> bool {
        let weight = self.weight(&message);
        let Ok(room) = Arc::clone(&self.room).try_acquire_many_owned(weight) else {
            return false;
        };
        self.queue.try_send(Queued { message, _room: room }).is_ok()
    }
}

/// Writes what is queued until all senders are gone. An error ends it; senders then see [`Gone`].
pub(crate) async fn write_all(
    mut queue: Receiver<Queued>,
    mut writer: impl AsyncWrite + Unpin,
) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(4096);
    while let Some(first) = queue.recv().await {
        push_line(&mut buffer, &first.message);
        let mut held = vec![first];
        while buffer.len() < GATHER
            && let Ok(next) = queue.try_recv()
        {
            push_line(&mut buffer, &next.message);
            held.push(next);
        }
        writer.write_all(&buffer).await?;
        writer.flush().await?;
        // Room is given back only for what has left.
        drop(held);
        buffer.clear();
        buffer.shrink_to(GATHER * 2);
    }
    writer.shutdown().await
}

/// Appends a message and the line end. Raw parts of a message may come from a pretty printer: line
/// ends between tokens become spaces (within JSON strings they are always escaped).
fn push_line(buffer: &mut Vec<u8>, message: &[u8]) {
    let start = buffer.len();
    buffer.extend_from_slice(message);
    let mut at = start;
    while let Some(found) = memchr::memchr2(b'\n', b'\r', &buffer[at..]) {
        at += found;
        buffer[at] = b' ';
    }
    buffer.push(b'\n');
}

#[cfg(test)]
mod tests {
    use ferromcp_endpoint::Outlet;

    use super::{Gone, push_line, queue, write_all};

    #[test]
    fn a_message_is_one_line() {
        let mut out = b"first\n".to_vec();
        push_line(&mut out, b"{\r\n  \"a\": \"x\\n\"\n}");
        assert_eq!(out, b"first\n{    \"a\": \"x\\n\" }\n");
    }

    #[tokio::test]
    async fn reports_are_dropped_and_answers_wait_when_the_queue_is_full() {
        let (outgoing, receiver) = queue(10);
        assert!(outgoing.send(b"12345678".to_vec()));
        assert!(!outgoing.send(b"123".to_vec()), "there are two bytes left");
        let sender = outgoing.clone();
        let mut waiting = Box::pin(async move { sender.deliver(vec![b'x'; 100]).await });
        assert!(
            poll_once(waiting.as_mut()).await.is_none(),
            "an answer waits for room"
        );
        let (mut near, far) = tokio::io::duplex(1000);
        let writer = tokio::spawn(write_all(receiver, far));
        assert_eq!(waiting.await, Ok(()));
        drop(outgoing);
        writer.await.unwrap().unwrap();
        let mut text = String::new();
        tokio::io::AsyncReadExt::read_to_string(&mut near, &mut text)
            .await
            .unwrap();
        assert_eq!(text, format!("12345678\n{}\n", "x".repeat(100)));
    }

    #[tokio::test]
    async fn a_reader_that_left_is_noticed() {
        let (outgoing, receiver) = queue(1000);
        let (near, far) = tokio::io::duplex(8);
        drop(near);
        assert_eq!(outgoing.deliver(b"x".to_vec()).await, Ok(()));
        let error = write_all(receiver, far).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
        assert_eq!(outgoing.deliver(b"x".to_vec()).await, Err(Gone));
    }

    async fn poll_once<F: Future>(mut future: std::pin::Pin<&mut F>) -> Option<F::Output> {
        std::future::poll_fn(|cx| {
            std::task::Poll::Ready(match future.as_mut().poll(cx) {
                std::task::Poll::Ready(output) => Some(output),
                std::task::Poll::Pending => None,
            })
        })
        .await
    }
}
