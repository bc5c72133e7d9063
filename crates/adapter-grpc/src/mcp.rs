//! `Mcp`: JSON-RPC in both directions, like stdio.

use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use ferromcp_core::{Credential, Door as CameBy, Principal};
use ferromcp_endpoint::{Connection, InputEnd, Queue};
use ferromcp_grpc_api::{McpRequest, McpResponse};
use futures_core::Stream;
use tokio::time::Instant;
use tonic::{Status, Streaming};

use crate::service::{Door, Frame};
use crate::status;

/// Most bytes that wait for a client that does not read.
const MAX_QUEUED: usize = 4 << 20;
/// Calls that still run when the server stops have had their time; this is for their answers.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// When the client has said all, what it asked may still take so long.
const DRAIN: Duration = Duration::from_secs(30);

/// Messages to the client. Dropping it ends the conversation.
#[derive(Debug)]
pub(crate) struct Messages {
    queue: Queue,
    /// Why the conversation ended, if not because the client was done.
    broken: Arc<OnceLock<Status>>,
}

impl Stream for Messages {
    type Item = Result<McpResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.queue.poll_next(cx) {
            Poll::Ready(Some(queued)) => Poll::Ready(Some(Ok(McpResponse {
                message: Bytes::from(queued.into_message()),
            }))),
            Poll::Ready(None) => Poll::Ready(self.broken.get().cloned().map(Err)),
            Poll::Pending => Poll::Pending,
        }
    }
}

/// Opens a conversation.
pub(crate) fn open(
    door: Arc<Door>,
    frame: &Frame,
    principal: &Principal,
    messages: Streaming<McpRequest>,
) -> Result<Messages, Status> {
    let end = frame.timeout()?.map(|timeout| Instant::now() + timeout);
    let (connection, queue) = Connection::open(
        Arc::clone(&door.endpoint),
        Credential::Proven(principal),
        CameBy::Grpc,
        MAX_QUEUED,
    )
    .map_err(|refused| {
        let said = refused.into_json().unwrap_or_default();
        Status::permission_denied(String::from_utf8_lossy(&said).into_owned())
    })?;
    let broken = Arc::new(OnceLock::new());
    let told = Messages {
        queue,
        broken: Arc::clone(&broken),
    };
    tokio::spawn(async move {
        let talk = talk(door, connection, messages, &broken);
        match end {
            None => talk.await,
            Some(end) => {
                // Noted before the connection goes, which is what ends the stream.
                let mut talk = pin!(talk);
                if tokio::time::timeout_at(end, talk.as_mut()).await.is_err() {
                    let _ = broken.set(Status::deadline_exceeded(
                        "the deadline of this stream has passed",
                    ));
                }
            }
        }
    });
    Ok(told)
}

async fn talk(
    door: Arc<Door>,
    mut connection: Connection,
    mut messages: Streaming<McpRequest>,
    broken: &OnceLock<Status>,
) {
    let mut stopped = pin!(door.stopping.cancelled());
    let why = loop {
        connection.tidy();
        let next = tokio::select! {
            next = messages.message() => next,
            () = connection.gone() => break InputEnd::Gone,
            () = &mut stopped => break InputEnd::Shutdown,
        };
        match next {
            Ok(Some(McpRequest { message })) => {
                if connection.message(message).await.is_err() {
                    break InputEnd::Gone;
                }
            }
            Ok(None) => break InputEnd::Finished,
            Err(error) => {
                let _ = broken.set(status::unreadable(error, door.max_message));
                break InputEnd::Gone;
            }
        }
    };
    let limit = match why {
        InputEnd::Finished => DRAIN,
        InputEnd::Shutdown | InputEnd::Gone => LAST_WORDS,
    };
    if why == InputEnd::Shutdown {
        let _ = broken.set(status::stopping());
    }
    connection.finish(why, Instant::now() + limit).await;
}
