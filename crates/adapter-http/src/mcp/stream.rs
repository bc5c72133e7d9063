//! Event streams: bodies that say more than one thing.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use ferromcp_endpoint::{Answer, Subscription};
use futures_util::{Stream, StreamExt, stream};
use tokio::time::{Instant, Sleep, sleep};

use super::frame::{self, EventId};
use super::pipe::Pipe;

/// The work on one message, with everything it needs.
pub(super) type Exchange = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// The stream of a request that nobody can come back to: it carries out the request itself, so a
/// client that goes away cancels it.
pub(super) struct Direct {
    exchange: Option<Exchange>,
    pipe: Arc<Pipe>,
    reader: u32,
}

impl Direct {
    pub(super) fn new(exchange: Exchange, pipe: Arc<Pipe>) -> Self {
        let reader = pipe.attach(0);
        Self {
            exchange: Some(exchange),
            pipe,
            reader,
        }
    }
}

impl Stream for Direct {
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if let Some(exchange) = &mut self.exchange
            && let Poll::Ready(answer) = exchange.as_mut().poll(cx)
        {
            self.exchange = None;
            self.pipe.end(answer.into_json());
        }
        self.pipe
            .read(self.reader, cx, |_, json| frame::message(None, json))
    }
}

/// The stream of a request that goes on without its reader.
pub(super) struct Resumable {
    pipe: Arc<Pipe>,
    reader: u32,
    number: u64,
    prime: Option<Duration>,
}

impl Resumable {
    /// From the beginning. `retry` primes the client to come back after that time.
    pub(super) fn begin(pipe: Arc<Pipe>, number: u64, retry: Option<Duration>) -> Self {
        let reader = pipe.attach(0);
        Self {
            pipe,
            reader,
            number,
            prime: retry,
        }
    }

    /// From after an event that the client has seen.
    pub(super) fn resume(pipe: Arc<Pipe>, last: EventId) -> Self {
        let reader = pipe.attach(last.event);
        Self {
            pipe,
            reader,
            number: last.stream,
            prime: None,
        }
    }
}

impl Stream for Resumable {
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let stream = self.number;
        if let Some(retry) = self.prime.take() {
            return Poll::Ready(Some(frame::prime(EventId { stream, event: 0 }, retry)));
        }
        self.pipe.read(self.reader, cx, |event, json| {
            frame::message(Some(EventId { stream, event }), json)
        })
    }
}

/// Carries out a request whose client may go away and come back.
pub(super) async fn carry_out(exchange: Exchange, pipe: Arc<Pipe>) {
    // Ends the stream whatever way the work ends, also by a panic.
    struct End(Arc<Pipe>);
    impl Drop for End {
        fn drop(&mut self) {
            if self.0.ended().is_none() {
                self.0.end(None);
            }
        }
    }
    let end = End(pipe);
    let answer = exchange.await;
    end.0.end(answer.into_json());
}

/// What `subscriptions/listen` yields.
pub(super) fn subscription(subscription: Box<Subscription>) -> impl Stream<Item = Bytes> + Send {
    stream::unfold(subscription, async |mut subscription| {
        let message = subscription.next().await?;
        Some((frame::message(None, &message), subscription))
    })
}

/// Puts a comment into a stream that is quiet, so that nothing on the way takes it for dead.
pub(super) struct KeptAlive<S> {
    stream: S,
    every: Duration,
    timer: Pin<Box<Sleep>>,
}

impl<S> KeptAlive<S> {
    pub(super) fn new(stream: S, every: Duration) -> Self {
        Self {
            stream,
            every,
            timer: Box::pin(sleep(every)),
        }
    }
}

impl<S: Stream<Item = Bytes> + Unpin> Stream for KeptAlive<S> {
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let this = &mut *self;
        let piece = match this.stream.poll_next_unpin(cx) {
            Poll::Ready(piece) => piece,
            Poll::Pending => {
                std::task::ready!(this.timer.as_mut().poll(cx));
                Some(frame::KEEP_ALIVE)
            }
        };
        this.timer.as_mut().reset(Instant::now() + this.every);
        Poll::Ready(piece)
    }
}
