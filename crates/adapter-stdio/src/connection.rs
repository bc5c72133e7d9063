//! One connection from its first line to its end.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use ferromcp_core::{Credential, Door};
use ferromcp_endpoint::{Answer, Body, Endpoint, Feed, Incoming, Link, Session, Subscription};
use ferromcp_protocol::lines::{LineError, LineSplitter};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::outgoing::{self, Gone, Outgoing};
use crate::{Ended, StdioSettings};

/// How much is read at once.
const CHUNK: usize = 16 * 1024;

/// Serves one client until its input ends, `shutdown` resolves, or it stops reading.
///
/// Requests run at the same time, as many as the endpoint allows for one client; what is answered
/// at once never leaves this task. After the end of the input, running calls have
/// [`StdioSettings::drain`] to be answered. Dropping the future cancels everything.
///
/// Errors are those of reading and writing, except that a broken pipe is an [`Ended`].
pub async fn serve(
    endpoint: Arc<Endpoint>,
    reader: impl AsyncRead + Unpin + Send,
    writer: impl AsyncWrite + Unpin + Send + 'static,
    settings: StdioSettings,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<Ended> {
    let credential = match &settings.tenant {
        Some(tenant) => Credential::Tenant(tenant),
        None => Credential::Local,
    };
    let session = endpoint.connect(credential).map_err(|refused| {
        let said = refused.into_json().unwrap_or_default();
        io::Error::new(
            io::ErrorKind::PermissionDenied,
            String::from_utf8_lossy(&said).into_owned(),
        )
    })?;
    let (outgoing, queue) = outgoing::queue(settings.max_queued);
    let writer = tokio::spawn(outgoing::write_all(queue, writer));
    let mut connection = Connection {
        endpoint,
        session,
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
    let read = connection.read(reader, settings.max_line, shutdown).await;
    connection
        .finish(read, writer, Instant::now() + settings.drain)
        .await
}

struct Connection {
    endpoint: Arc<Endpoint>,
    session: Arc<Session>,
    outgoing: Outgoing,
    /// Requests that wait for their source.
    calls: JoinSet<()>,
    /// Subscriptions and the feed: they end with the connection.
    streams: JoinSet<()>,
    /// Tells the streams that we stop.
    stopping: CancellationToken,
}

/// Why reading stopped.
enum Stopped {
    EndOfInput,
    Shutdown,
    Gone,
}

impl Connection {
    async fn read(
        &mut self,
        mut reader: impl AsyncRead + Unpin,
        max_line: usize,
        shutdown: impl Future<Output = ()>,
    ) -> io::Result<Stopped> {
        let mut shutdown = pin!(shutdown);
        let mut lines = LineSplitter::new(max_line);
        loop {
            while let Some(line) = lines.next_line() {
                if self.line(line).await.is_err() {
                    return Ok(Stopped::Gone);
                }
            }
            // Ended requests give their memory back while the client is silent.
            while self.calls.try_join_next().is_some() {}
            while self.streams.try_join_next().is_some() {}
            let read = tokio::select! {
                read = reader.read_buf(lines.buffer(CHUNK)) => read?,
                () = &mut shutdown => return Ok(Stopped::Shutdown),
                () = self.outgoing.closed() => return Ok(Stopped::Gone),
            };
            if read == 0 {
                let last = match lines.finish() {
                    // A last message without its line end is still a message.
                    Some(LineError::Unterminated { line }) => self.line(Ok(line)).await,
                    Some(broken) => self.line(Err(broken)).await,
                    None => Ok(()),
                };
                return Ok(if last.is_ok() {
                    Stopped::EndOfInput
                } else {
                    Stopped::Gone
                });
            }
        }
    }

    /// Takes in one line. Waits only if the client does not read its answers.
    async fn line(&mut self, line: Result<Bytes, LineError>) -> Result<(), Gone> {
        let line = match line {
            Ok(line) => line,
            Err(broken) => {
                warn!(error = %broken, "line refused");
                return self.answer(Answer::unreadable(&unreadable(&broken))).await;
            }
        };
        let mut exchange: Pin<Box<dyn Future<Output = Answer> + Send>> = Box::pin(exchange(
            Arc::clone(&self.endpoint),
            Arc::clone(&self.session),
            self.outgoing.clone(),
            line,
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

    /// Lets running calls end, then everything else.
    async fn finish(
        mut self,
        read: io::Result<Stopped>,
        writer: JoinHandle<io::Result<()>>,
        end: Instant,
    ) -> io::Result<Ended> {
        let mut drained = true;
        match &read {
            Ok(Stopped::EndOfInput) => {
                // Nobody can answer questions any more.
                self.endpoint.input_ended(&self.session);
                drained = all(&mut self.calls, end).await;
            }
            Ok(Stopped::Shutdown) => {
                drained = all(&mut self.calls, end).await;
                // Subscriptions end with a result of their own.
                self.stopping.cancel();
                all(&mut self.streams, end).await;
            }
            Ok(Stopped::Gone) | Err(_) => {}
        }
        self.endpoint.end(&self.session);
        self.calls.shutdown().await;
        self.streams.shutdown().await;
        let Self { outgoing, .. } = self;
        drop(outgoing);
        // A client that does not read its last answers cannot keep us.
        let abort = writer.abort_handle();
        let written = match timeout_at(end.max(Instant::now()), writer).await {
            Ok(Ok(written)) => written,
            Ok(Err(panicked)) => Err(io::Error::other(panicked)),
            Err(_late) => {
                abort.abort();
                return Ok(Ended::DrainTimedOut);
            }
        };
        debug!(drained, "connection ended");
        match (read, written) {
            (Err(error), _) => Err(error),
            (Ok(_), Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Ended::BrokenPipe),
            (Ok(_), Err(error)) => Err(error),
            (Ok(_), Ok(())) if !drained => Ok(Ended::DrainTimedOut),
            (Ok(_), Ok(())) => Ok(Ended::Clean),
        }
    }
}

/// Waits for all tasks; false if the time is up before.
async fn all(tasks: &mut JoinSet<()>, end: Instant) -> bool {
    timeout_at(end, async { while tasks.join_next().await.is_some() {} })
        .await
        .is_ok()
}

async fn exchange(endpoint: Arc<Endpoint>, session: Arc<Session>, outgoing: Outgoing, line: Bytes) -> Answer {
    endpoint
        .exchange(Incoming {
            body: &line,
            door: Door::Stdio,
            credential: Credential::Local,
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

/// What the client is told of a line that is no message.
fn unreadable(broken: &LineError) -> String {
    match broken {
        LineError::TooLong { limit, .. } => {
            format!(
                "the message is longer than {limit} bytes, which is the limit of this server; it was skipped"
            )
        }
        LineError::NotUtf8 { valid_up_to, .. } => {
            format!("the message is not valid UTF-8 (at byte {valid_up_to}); it was skipped")
        }
        LineError::Unterminated { .. } => "the input ended inside a message".into(),
    }
}
