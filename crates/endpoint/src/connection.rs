//! One long connection on which messages go both ways (stdio, a bidirectional stream), whatever its framing is: which requests
//! run at the same time, what waits to go out, and how it ends.

mod outgoing;

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use ferromcp_core::{Credential, Door};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::answer::{Answer, Body};
use crate::endpoint::Endpoint;
use crate::feed::Feed;
use crate::incoming::{Incoming, Link};
use crate::listen::Subscription;
use crate::session::Session;
use outgoing::Outgoing;

pub use outgoing::{Gone, Queue, Queued};

/// The connection, for the door that reads from it. What goes out comes from the [`Queue`], which another task writes.
#[derive(Debug)]
pub struct Connection {
    endpoint: Arc<Endpoint>,
    session: Arc<Session>,
    door: Door,
    outgoing: Outgoing,
    /// Requests that wait for their source.
    calls: JoinSet<()>,
    /// Subscriptions and the feed: they end with the connection.
    streams: JoinSet<()>,
    /// Tells the streams that we stop.
    stopping: CancellationToken,
}

/// Why nothing more is read from a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputEnd {
    /// The client has said all that it had to say; it still reads.
    Finished,
    /// We stop.
    Shutdown,
    /// The client does not read any more, or reading failed.
    Gone,
}

impl Connection {
    /// Opens a connection for a caller. At most `max_queued` bytes wait to be written; a larger single message passes when
    /// nothing else waits.
    ///
    /// # Errors
    /// An answer with status 401 or 403.
    pub fn open(
        endpoint: Arc<Endpoint>,
        credential: Credential<'_>,
        door: Door,
        max_queued: usize,
    ) -> Result<(Self, Queue), Answer> {
        let session = endpoint.connect(credential)?;
        let (outgoing, queue) = outgoing::queue(max_queued);
        let mut connection = Self {
            endpoint,
            session,
            door,
            outgoing,
            calls: JoinSet::new(),
            streams: JoinSet::new(),
            stopping: CancellationToken::new(),
        };
        let feed = connection.endpoint.feed(&connection.session);
        connection.streams.spawn(relay_feed(
            feed,
            connection.outgoing.clone(),
            connection.stopping.clone(),
        ));
        Ok((connection, queue))
    }

    /// Takes in one message, or one batch. Waits only if the client does not read its answers.
    ///
    /// # Errors
    /// If the client reads no more.
    pub async fn message(&mut self, message: Bytes) -> Result<(), Gone> {
        let mut exchange: Pin<Box<dyn Future<Output = Answer> + Send>> = Box::pin(exchange(
            Arc::clone(&self.endpoint),
            Arc::clone(&self.session),
            self.door,
            self.outgoing.clone(),
            message,
        ));
        // Most requests are answered without waiting: no task for those. A task of its own polls
        // the others from now on, and sets its own wakers when it first does.
        let first = poll_fn(|cx| Poll::Ready(exchange.as_mut().poll(cx))).await;
        if let Poll::Ready(answer) = first {
            return self.answer(answer).await;
        }
        let outgoing = self.outgoing.clone();
        self.calls.spawn(async move {
            let answer = exchange.await;
            if let Body::Json(message) = answer.body {
                // An error says that nobody is there to read the answer.
                let _ = outgoing.deliver(message).await;
            }
        });
        Ok(())
    }

    /// Tells the client of something that is no message at all.
    ///
    /// # Errors
    /// If the client reads no more.
    pub async fn unreadable(&mut self, why: &str) -> Result<(), Gone> {
        self.answer(Answer::unreadable(why)).await
    }

    async fn answer(&mut self, answer: Answer) -> Result<(), Gone> {
        match answer.body {
            Body::Json(message) => self.outgoing.deliver(message).await,
            Body::Listen(subscription) => {
                let relay = relay_subscription(subscription, self.outgoing.clone(), self.stopping.clone());
                self.streams.spawn(relay);
                Ok(())
            }
            Body::None | Body::Cancelled => Ok(()),
        }
    }

    /// Gives back the memory of requests that have ended. Call it before waiting for the client.
    pub fn tidy(&mut self) {
        while self.calls.try_join_next().is_some() {}
        while self.streams.try_join_next().is_some() {}
    }

    /// Waits until the client reads no more. Dropping it loses nothing.
    pub async fn gone(&self) {
        self.outgoing.closed().await;
    }

    /// Lets running calls end, then everything else; the queue ends with what they said. False if the time was up before.
    pub async fn finish(mut self, why: InputEnd, by: Instant) -> bool {
        let mut drained = true;
        match why {
            InputEnd::Finished => {
                // Nobody can answer questions any more.
                self.endpoint.input_ended(&self.session);
                drained = all(&mut self.calls, by).await;
            }
            InputEnd::Shutdown => {
                drained = all(&mut self.calls, by).await;
                // Subscriptions end with a result of their own.
                self.stopping.cancel();
                all(&mut self.streams, by).await;
            }
            InputEnd::Gone => {}
        }
        self.endpoint.end(&self.session);
        self.calls.shutdown().await;
        self.streams.shutdown().await;
        drained
    }
}

impl Drop for Connection {
    /// A connection whose task is dropped ends like one that is finished.
    fn drop(&mut self) {
        self.endpoint.end(&self.session);
    }
}

/// Waits for all tasks; false if the time is up before.
async fn all(tasks: &mut JoinSet<()>, by: Instant) -> bool {
    timeout_at(by, async { while tasks.join_next().await.is_some() {} })
        .await
        .is_ok()
}

async fn exchange(
    endpoint: Arc<Endpoint>,
    session: Arc<Session>,
    door: Door,
    outgoing: Outgoing,
    message: Bytes,
) -> Answer {
    endpoint
        .exchange(Incoming {
            body: &message,
            door,
            // The connection has proved it already.
            credential: Credential::Anonymous,
            link: Link::Connection(&session),
            outlet: &outgoing,
        })
        .await
}

async fn relay_feed(mut feed: Feed, outgoing: Outgoing, stopping: CancellationToken) {
    while let Some(Some(message)) = stopping.run_until_cancelled(feed.next()).await {
        if outgoing.deliver(message).await.is_err() {
            return;
        }
    }
}

async fn relay_subscription(
    mut subscription: Box<Subscription>,
    outgoing: Outgoing,
    stopping: CancellationToken,
) {
    while let Some(next) = stopping.run_until_cancelled(subscription.next()).await {
        let Some(message) = next else { return };
        if outgoing.deliver(message).await.is_err() {
            return;
        }
    }
    if let Some(result) = subscription.finish() {
        // An error says that nobody is there to read it.
        let _ = outgoing.deliver(result).await;
    }
}
