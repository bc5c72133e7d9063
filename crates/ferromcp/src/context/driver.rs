//! Drives a handler's future: the handler owns its [`Context`](crate::Context) and may take it
//! anywhere, but only the call's own future can reach the caller. So the context queues commands,
//! and this carries them out between polls of the handler, in the same task, without a channel or
//! a spawn.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context as Task, Poll};

use ferromcp_core::{CallContext, CallError, LogMessage, Payload, Progress};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::oneshot;

use super::{Asked, Command, Context};
use crate::error::ToolError;

type Asks<'a> = FuturesUnordered<Pin<Box<dyn Future<Output = ()> + Send + 'a>>>;

/// A handler that can outlive the call that started it.
pub(crate) type TaskBody = Pin<Box<dyn Future<Output = Result<Payload, ToolError>> + Send>>;

/// Runs a handler to its end for a call that stays a call.
pub(crate) async fn drive<F: Future>(cx: CallContext<'_>, context: &Context, future: F) -> F::Output {
    let mut guard = Guard {
        context: Some(context),
        finished: false,
    };
    let mut future = pin!(future);
    let mut calls = Calls { cx, asks: None };
    let output = poll_fn(|task| {
        let polled = future.as_mut().poll(task);
        calls.carry_out(context, task, polled.is_pending());
        polled
    })
    .await;
    guard.finished = true;
    output
}

/// How a call ended that may become a task.
pub(crate) enum Ended {
    /// With the handler.
    Done(Result<Payload, ToolError>),
    /// The handler wants to go on as a task and waits for the word.
    BecomeTask(TaskBody, oneshot::Sender<Result<(), CallError>>),
}

/// Runs a handler until it ends or wants to become a task.
pub(crate) async fn drive_task_body(cx: CallContext<'_>, context: &Context, body: TaskBody) -> Ended {
    let mut guard = Guard {
        context: Some(context),
        finished: false,
    };
    let mut body = Some(body);
    let mut calls = Calls { cx, asks: None };
    let ended = poll_fn(|task| {
        let Some(running) = body.as_mut() else {
            return Poll::Pending;
        };
        let polled = running.as_mut().poll(task);
        let wish = calls.carry_out(context, task, polled.is_pending());
        match (polled, wish, body.take()) {
            (Poll::Ready(output), ..) => Poll::Ready(Ended::Done(output)),
            (Poll::Pending, Some(reply), Some(running)) => Poll::Ready(Ended::BecomeTask(running, reply)),
            (Poll::Pending, _, running) => {
                body = running;
                Poll::Pending
            }
        }
    })
    .await;
    guard.finished = true;
    if matches!(ended, Ended::BecomeTask(..)) {
        // The task goes on with the context.
        guard.context = None;
    }
    ended
}

struct Calls<'a> {
    cx: CallContext<'a>,
    asks: Option<Asks<'a>>,
}

impl<'a> Calls<'a> {
    /// Carries out what the handler has queued. Returns its wish to become a task.
    fn carry_out(
        &mut self,
        context: &Context,
        task: &mut Task<'_>,
        pending: bool,
    ) -> Option<oneshot::Sender<Result<(), CallError>>> {
        if pending {
            // Before looking: what is queued from another thread after the look wakes us.
            context.inner.driver.register(task.waker());
        }
        let mut wish = None;
        for command in context.take_commands() {
            match command {
                Command::Progress {
                    progress,
                    total,
                    message,
                } => {
                    self.cx.progress(&Progress {
                        progress,
                        total,
                        message: message.as_deref(),
                    });
                }
                Command::Log { level, logger, data } => {
                    self.cx.log(&LogMessage {
                        level,
                        logger: logger.as_deref(),
                        data: &data,
                    });
                }
                Command::ReleaseStream => self.cx.call.client.release_stream(),
                Command::Ask(Asked { request, reply, .. }) => {
                    let cx = self.cx;
                    let asks = self.asks.get_or_insert_with(FuturesUnordered::new);
                    asks.push(Box::pin(async move {
                        let answer = cx.ask(&request).await;
                        // The handler may have lost interest.
                        let _ = reply.send(answer);
                    }));
                }
                Command::BecomeTask(reply) => wish = Some(reply),
            }
        }
        if let Some(asks) = &mut self.asks
            && pending
        {
            // An answer wakes the handler through its own channel, which wakes this task.
            while let Poll::Ready(Some(())) = asks.poll_next_unpin(task) {}
        }
        wish
    }
}

impl Context {
    pub(crate) fn take_commands(&self) -> std::collections::VecDeque<Command> {
        let mut state = self.inner.lock();
        state.queued = 0;
        std::mem::take(&mut state.commands)
    }

    /// Wakes the task that carries out commands when there are new ones.
    pub(crate) fn register_driver(&self, task: &Task<'_>) {
        self.inner.driver.register(task.waker());
    }

    /// From now on the call is a task: questions wait for `tasks/update`.
    pub(crate) fn entered_task(&self) {
        self.inner
            .in_task
            .store(true, std::sync::atomic::Ordering::Release);
    }
}

/// Nobody carries out commands any more: whoever waits for one is told. `finished` is false if the
/// handler was stopped before its end.
pub(crate) fn release(context: &Context, finished: bool) {
    if !finished {
        context.inner.cancel();
    }
    let dropped = {
        let mut state = context.inner.lock();
        state.closed = true;
        std::mem::take(&mut state.commands)
    };
    drop(dropped);
}

struct Guard<'a> {
    context: Option<&'a Context>,
    finished: bool,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if let Some(context) = self.context {
            release(context, self.finished);
        }
    }
}
