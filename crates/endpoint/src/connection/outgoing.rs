//! Messages on their way out: a queue with a bound in bytes.

use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::incoming::Outlet;

/// Most messages that wait; the bound in bytes bites first unless they are tiny.
const MAX_MESSAGES: usize = 4096;

/// The way into the queue. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    queue: Sender<Queued>,
    room: Arc<Semaphore>,
    max: usize,
}

/// The other end of it: what the door writes, in this order. Ends once the connection has.
#[derive(Debug)]
pub struct Queue(Receiver<Queued>);

/// One whole message. It counts as waiting until it is dropped.
#[derive(Debug)]
pub struct Queued {
    message: Vec<u8>,
    _room: OwnedSemaphorePermit,
}

impl Queued {
    /// The message: JSON.
    pub fn message(&self) -> &[u8] {
        &self.message
    }

    /// The message, which no longer counts as waiting.
    pub fn into_message(self) -> Vec<u8> {
        self.message
    }
}

impl Queue {
    /// Waits for the next message. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Queued> {
        self.0.recv().await
    }

    /// The next message, if there is one already.
    pub fn try_next(&mut self) -> Option<Queued> {
        self.0.try_recv().ok()
    }

    /// As [`Self::next`].
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Queued>> {
        self.0.poll_recv(cx)
    }
}

/// The other side is gone: nothing can be written any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

pub(crate) fn queue(max: usize) -> (Outgoing, Queue) {
    let max = max.clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize));
    let (sender, receiver) = mpsc::channel(MAX_MESSAGES);
    (
        Outgoing {
            queue: sender,
            room: Arc::new(Semaphore::new(max)),
            max,
        },
        Queue(receiver),
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

#[cfg(test)]
mod tests {
    use super::{Gone, queue};
    use crate::incoming::Outlet;

    #[tokio::test]
    async fn reports_are_dropped_and_answers_wait_when_the_queue_is_full() {
        let (outgoing, mut queue) = queue(10);
        assert!(outgoing.send(b"12345678".to_vec()));
        assert!(!outgoing.send(b"123".to_vec()), "there are two bytes left");
        let mut waiting = Box::pin(outgoing.deliver(vec![b'x'; 100]));
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(
            waiting.as_mut().poll(&mut cx).is_pending(),
            "an answer waits for room"
        );
        let first = queue.next().await.unwrap();
        assert!(
            waiting.as_mut().poll(&mut cx).is_pending(),
            "the first still counts"
        );
        assert_eq!(first.into_message(), b"12345678");
        assert_eq!(waiting.await, Ok(()));
        assert_eq!(queue.try_next().unwrap().message(), [b'x'; 100]);
    }

    #[tokio::test]
    async fn a_reader_that_left_is_noticed() {
        let (outgoing, queue) = queue(1000);
        drop(queue);
        assert_eq!(outgoing.deliver(b"x".to_vec()).await, Err(Gone));
        outgoing.closed().await;
    }
}
