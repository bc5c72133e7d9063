//! `CallToolStream`: what a running call says, and then its result.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use ferromcp_core::{Client, LogMessage, NoClient, Operation, Progress};
use ferromcp_grpc_api::call_tool_stream_response::Event;
use ferromcp_grpc_api::{CallToolStreamRequest, CallToolStreamResponse};
use ferromcp_protocol::{ClientCapabilities, LogLevel};
use futures_core::Stream;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::AbortHandle;
use tonic::Status;

use crate::service::{Door, Frame, Wanted, settled};
use crate::status;

/// Events that wait for a client; further ones are left out until it takes some.
const QUEUE: usize = 64;

type Item = Result<CallToolStreamResponse, Status>;

/// What a task says of its work, as the messages of a stream. Dropping it ends the work.
#[derive(Debug)]
pub(crate) struct Events<T> {
    queue: Receiver<Result<T, Status>>,
    work: AbortHandle,
}

impl<T: Send + 'static> Events<T> {
    /// `work` gets what takes its messages.
    pub(crate) fn of<W>(work: impl FnOnce(Sender<Result<T, Status>>) -> W) -> Self
    where
        W: Future<Output = ()> + Send + 'static,
    {
        let (sender, queue) = channel(QUEUE);
        Self {
            queue,
            work: tokio::spawn(work(sender)).abort_handle(),
        }
    }
}

impl<T> Stream for Events<T> {
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.queue.poll_recv(cx)
    }
}

impl<T> Drop for Events<T> {
    fn drop(&mut self) {
        self.work.abort();
    }
}

/// One call, and what it says while it runs.
pub(crate) fn call(
    door: Arc<Door>,
    frame: Frame,
    message: CallToolStreamRequest,
) -> Result<Events<CallToolStreamResponse>, Status> {
    let level = wanted_level(message.log_level)?;
    Ok(Events::of(move |sender| async move {
        let _logs = level.map(|level| door.gateway.want_logs(level));
        let caller = Caller {
            queue: &sender,
            level,
        };
        let wanted = Wanted {
            operation: Operation::CallTool,
            name: &message.tool,
            arguments: &message.arguments,
            tenant: &message.tenant_id,
        };
        let ended = frame
            .call(&door, &wanted, &caller)
            .await
            .and_then(|outcome| settled(&outcome));
        // Nobody is left to be told if this fails.
        let _ = sender
            .send(ended.map(|answer| event(Event::Result(answer))))
            .await;
    }))
}

fn event(event: Event) -> CallToolStreamResponse {
    CallToolStreamResponse { event: Some(event) }
}

/// The level from which on messages are sent; `None`: none are.
fn wanted_level(level: i32) -> Result<Option<LogLevel>, Status> {
    let bad = || {
        status::bad(
            "log_level is none that there is; 0 is no messages, 1 (debug) to 8 (emergency) are levels",
        )
    };
    match usize::try_from(level).map_err(|_| bad())? {
        0 => Ok(None),
        level => LogLevel::ALL.get(level - 1).copied().map(Some).ok_or_else(bad),
    }
}

struct Caller<'a> {
    queue: &'a Sender<Item>,
    level: Option<LogLevel>,
}

impl Client for Caller<'_> {
    fn capabilities(&self) -> &ClientCapabilities {
        Client::capabilities(&NoClient)
    }

    fn wants_progress(&self) -> bool {
        true
    }

    fn progress(&self, progress: &Progress<'_>) {
        let report = ferromcp_grpc_api::Progress {
            progress: progress.progress,
            total: progress.total,
            message: progress.message.unwrap_or_default().to_owned(),
        };
        let _ = self.queue.try_send(Ok(event(Event::Progress(report))));
    }

    fn wants_log(&self, level: LogLevel) -> bool {
        self.level.is_some_and(|least| level >= least)
    }

    fn log(&self, message: &LogMessage<'_>) {
        if !self.wants_log(message.level) {
            return;
        }
        let log = ferromcp_grpc_api::LogMessage {
            level: i32::from(message.level as u8) + 1,
            logger: message.logger.unwrap_or_default().to_owned(),
            data: Bytes::copy_from_slice(message.data.as_bytes()),
        };
        let _ = self.queue.try_send(Ok(event(Event::Log(log))));
    }
}
