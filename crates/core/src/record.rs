//! The record that every call ends in, whatever way it ends.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use ferromcp_limits::Standing;

use crate::call::{Call, Door, Operation, Principal, RequestId};
use crate::error::{CallError, ErrorCode};

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With a result.
    Ok,
    /// With a result in which the tool says that it failed.
    ToolError,
    /// With questions to the caller.
    InputRequired,
    /// With a task.
    Task,
    /// With an error.
    Failed(ErrorCode),
}

impl Ending {
    /// The name in records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::ToolError => "tool_error",
            Self::InputRequired => "input_required",
            Self::Task => "task",
            Self::Failed(code) => code.as_str(),
        }
    }
}

/// One finished call.
#[derive(Clone, Debug)]
pub struct CallRecord<'a> {
    /// When it started.
    pub time: SystemTime,
    /// Its id.
    pub request_id: RequestId,
    /// Where it came in.
    pub door: Door,
    /// Who called; `None` if that was never found out.
    pub principal: Option<&'a Principal>,
    /// The caller's program.
    pub client: Option<&'a str>,
    /// What was wanted.
    pub operation: Operation,
    /// Of what.
    pub name: &'a str,
    /// Name of the source; `None` if none was found.
    pub source: Option<&'a str>,
    /// How it ended.
    pub ending: Ending,
    /// The rule that refused it.
    pub rule: Option<&'static str>,
    /// A pattern rule that matched and let the call go on.
    pub flagged: Option<&'static str>,
    /// From start to end.
    pub latency: Duration,
    /// Raw arguments.
    pub arguments: Option<&'a str>,
    /// W3C `traceparent` of the request, as raw JSON.
    pub traceparent: Option<&'a str>,
    /// Size of the arguments.
    pub bytes_in: usize,
    /// Size of the result.
    pub bytes_out: usize,
}

/// A call that may have effects, before it does.
#[derive(Clone, Debug)]
pub struct CallStart<'a> {
    /// Now.
    pub time: SystemTime,
    /// Its id; its [`CallRecord`] has the same.
    pub request_id: RequestId,
    /// Where it came in.
    pub door: Door,
    /// Who calls.
    pub principal: &'a Principal,
    /// The caller's program.
    pub client: Option<&'a str>,
    /// What is wanted.
    pub operation: Operation,
    /// Of what.
    pub name: &'a str,
    /// Name of the source.
    pub source: &'a str,
    /// Raw arguments.
    pub arguments: Option<&'a str>,
    /// W3C `traceparent` of the request, as raw JSON.
    pub traceparent: Option<&'a str>,
}

/// What a call with effects waits for before it is carried out.
pub type Begun<'a> = Pin<Box<dyn Future<Output = Result<(), CallError>> + Send + 'a>>;

/// Takes records. Called on the call path: must only enqueue.
pub trait Observer: Send + Sync + 'static {
    /// Asked before every call whether its record can be taken. An observer whose records must not be
    /// lost makes calls wait here while it is full, or refuses them while it cannot write.
    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        let _ = cx;
        Poll::Ready(Ok(()))
    }

    /// A call that may have effects has passed all checks and is about to be handed to its source. An observer that keeps a
    /// journal makes it wait until that is written, or refuses it.
    fn call_begins<'a>(&'a self, start: &CallStart<'_>) -> Option<Begun<'a>> {
        let _ = start;
        None
    }

    /// A call ended.
    fn call_ended(&self, record: &CallRecord<'_>);
}

/// Observes nothing.
impl Observer for () {
    fn call_ended(&self, _record: &CallRecord<'_>) {}
}

/// Writes the record exactly once: when told how the call ended, or on drop, which means that the
/// caller went away.
pub(crate) struct Recorder<'a> {
    observer: &'a dyn Observer,
    call: &'a Call<'a>,
    started: std::time::Instant,
    pub(crate) request_id: RequestId,
    pub(crate) principal: Option<Principal>,
    pub(crate) standing: Option<Standing>,
    pub(crate) flagged: Option<&'static str>,
    pub(crate) source: Option<std::sync::Arc<str>>,
    done: bool,
}

impl<'a> Recorder<'a> {
    pub(crate) fn start(observer: &'a dyn Observer, call: &'a Call<'a>) -> Self {
        Self {
            observer,
            call,
            started: std::time::Instant::now(),
            request_id: RequestId::next(),
            principal: None,
            standing: None,
            flagged: None,
            source: None,
            done: false,
        }
    }

    /// What to wait for before the call is carried out.
    pub(crate) fn begin(&self, principal: &Principal, source: &str) -> Option<Begun<'a>> {
        self.observer.call_begins(&CallStart {
            time: SystemTime::now(),
            request_id: self.request_id,
            door: self.call.door,
            principal,
            client: self.call.client.name(),
            operation: self.call.operation,
            name: self.call.name,
            source,
            arguments: self.call.arguments,
            traceparent: self.call.meta.traceparent,
        })
    }

    /// There is nothing to record.
    pub(crate) fn forget(mut self) {
        self.done = true;
    }

    pub(crate) fn finish(
        &mut self,
        ending: Ending,
        rule: Option<&'static str>,
        bytes_out: usize,
    ) -> Duration {
        self.done = true;
        let latency = self.started.elapsed();
        self.observer.call_ended(&CallRecord {
            time: SystemTime::now() - latency,
            request_id: self.request_id,
            door: self.call.door,
            principal: self.principal.as_ref(),
            client: self.call.client.name(),
            operation: self.call.operation,
            name: self.call.name,
            source: self.source.as_deref(),
            ending,
            rule,
            latency,
            flagged: self.flagged,
            arguments: self.call.arguments,
            traceparent: self.call.meta.traceparent,
            bytes_in: self.call.arguments.map_or(0, str::len),
            bytes_out,
        });
        latency
    }
}

impl Drop for Recorder<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.finish(Ending::Failed(ErrorCode::Cancelled), None, 0);
        }
    }
}
