//! What a handler gets besides its arguments.

mod ask;
mod driver;

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ferromcp_core::{
    CallContext, CallError, Door, ErrorCode, Input, InputKind, InputRequest, Interaction, Principal,
    RequestId,
};
use ferromcp_protocol::{ClientCapabilities, LogLevel, ProtocolVersion, RpcError, code};
use futures_util::task::AtomicWaker;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{Notify, oneshot};

use crate::error::ToolError;
use crate::question::Check;
use crate::server::{ServerHandle, Shared};

pub use ask::Questions;
pub(crate) use driver::{Ended, TaskBody, drive, drive_task_body, release};

/// Messages that wait for the caller at most; a handler that says more without ever yielding loses
/// the excess.
const MAX_QUEUED: usize = 1024;

/// The running call, as its handler sees it: progress, logs, questions to the caller, cancellation.
///
/// Take it as the handler's last argument. It is cheap to clone, may be sent to other tasks and
/// threads, and does nothing once the call has ended.
///
/// # Asking the caller, in both protocol eras
///
/// [`ask`](Self::ask) and its shortcuts [`elicit`](Self::elicit), [`sample`](Self::sample) and
/// [`list_roots`](Self::list_roots) are the same code for every client:
///
/// - Up to 2025-11-25 the question travels as a server-to-client request, and the `await` ends with
///   its answer.
/// - In 2026-07-28 there are no such requests. The first `ask` returns an error that `?` passes on;
///   the call ends with `input_required`, and when the client calls again **the handler runs again
///   from its start**, where `ask` now returns the answer at once. So what a handler does before it
///   asks must be safe to do twice: ask first, act later.
/// - In a task (see [`TaskSupport`](crate::TaskSupport)) the question waits for `tasks/update`.
/// - A caller that cannot be asked (REST, or a client without the capability) makes `ask` fail with
///   an error that says what is missing. [`can_ask`](Self::can_ask) tells in advance.
///
/// Each question has a key, unique within the call; asking twice under one key gives the same
/// answer. Small facts that must survive from one round to the next go into
/// [`set_state`](Self::set_state), which is sealed against changes by the client.
#[derive(Clone)]
pub struct Context {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) request_id: RequestId,
    pub(crate) principal: Principal,
    pub(crate) version: ProtocolVersion,
    pub(crate) door: Door,
    pub(crate) capabilities: ClientCapabilities,
    interaction: Interaction,
    wants_progress: bool,
    pub(crate) server: Arc<Shared>,
    /// The call may still become a task.
    may_become_task: bool,
    in_task: AtomicBool,
    state: Mutex<State>,
    /// Wakes whoever drives the handler, to carry out commands.
    driver: AtomicWaker,
    cancelled: AtomicBool,
    cancel: Notify,
}

#[derive(Default)]
struct State {
    commands: VecDeque<Command>,
    /// Progress and log messages among the commands.
    queued: usize,
    /// Nobody carries out commands any more.
    closed: bool,
    /// Answers by key: of earlier rounds, and those that came in this one.
    answers: Vec<(String, String)>,
    /// Questions for the end of this round (2026-07-28).
    pending: Vec<InputRequest>,
    user_state: Option<String>,
}

/// What the handler wants from its driver, which alone can reach the caller.
pub(crate) enum Command {
    Progress {
        progress: f64,
        total: Option<f64>,
        message: Option<String>,
    },
    Log {
        level: LogLevel,
        logger: Option<String>,
        data: String,
    },
    ReleaseStream,
    Ask(Asked),
    BecomeTask(oneshot::Sender<Result<(), CallError>>),
}

/// A question on its way.
pub(crate) struct Asked {
    pub(crate) request: InputRequest,
    pub(crate) check: Check,
    pub(crate) reply: oneshot::Sender<Result<Box<str>, CallError>>,
}

impl Context {
    pub(crate) fn new(cx: &CallContext<'_>, server: &Arc<Shared>, may_become_task: bool) -> Self {
        let call = cx.call;
        let input = call.input;
        let state = State {
            answers: input.map(|i: &Input| i.answers.clone()).unwrap_or_default(),
            user_state: input.and_then(|i| i.state.clone()),
            ..State::default()
        };
        Self {
            inner: Arc::new(Inner {
                request_id: cx.request_id,
                principal: cx.principal.clone(),
                version: call.version,
                door: call.door,
                capabilities: call.client.capabilities().clone(),
                interaction: call.client.interaction(),
                wants_progress: call.client.wants_progress(),
                server: Arc::clone(server),
                may_become_task,
                in_task: AtomicBool::new(false),
                state: Mutex::new(state),
                driver: AtomicWaker::new(),
                cancelled: AtomicBool::new(false),
                cancel: Notify::new(),
            }),
        }
    }

    /// The call's id in answers, logs and records.
    pub fn request_id(&self) -> RequestId {
        self.inner.request_id
    }

    /// Who calls.
    pub fn principal(&self) -> &Principal {
        &self.inner.principal
    }

    /// The protocol version that the caller speaks.
    pub fn version(&self) -> ProtocolVersion {
        self.inner.version
    }

    /// Where the call came in.
    pub fn door(&self) -> Door {
        self.inner.door
    }

    /// What the caller says it can do.
    pub fn client_capabilities(&self) -> &ClientCapabilities {
        &self.inner.capabilities
    }

    /// The server that the handler belongs to, to change it while it runs.
    pub fn server(&self) -> ServerHandle {
        ServerHandle::new(Arc::clone(&self.inner.server))
    }

    /// Reports progress, which also keeps the call's idle deadline away. `progress` must increase
    /// with every report; `total` is in the same unit. Dropped if the caller did not ask for it.
    pub fn progress(&self, progress: f64, total: Option<f64>, message: impl Into<Option<String>>) {
        let message = if self.wants_progress() || self.in_task() {
            message.into()
        } else {
            None
        };
        self.send(Command::Progress {
            progress,
            total,
            message,
        });
    }

    /// True if progress reports reach anybody; the deadline profits from them in any case.
    pub fn wants_progress(&self) -> bool {
        self.inner.wants_progress
    }

    /// Sends a log message to the caller, if it wants that level. `data` is anything that
    /// serializes; a string is usual.
    pub fn log(&self, level: LogLevel, logger: Option<&str>, data: &impl Serialize) {
        if let Ok(data) = serde_json::to_string(data) {
            self.send(Command::Log {
                level,
                logger: logger.map(str::to_owned),
                data,
            });
        }
    }

    /// Sends an `info` log message to the caller.
    pub fn info(&self, message: impl AsRef<str>) {
        self.log(LogLevel::Info, None, &message.as_ref());
    }

    /// Lets the server close the caller's response stream while the call goes on, where the
    /// protocol knows polling (2025-11-25); elsewhere it does nothing. For long calls over
    /// connections that do not last.
    pub fn release_stream(&self) {
        self.send(Command::ReleaseStream);
    }

    /// True once the call was cancelled. For blocking handlers, which cannot be stopped from
    /// outside: look at it now and then.
    pub fn is_cancelled(&self) -> bool {
        self.inner.cancelled.load(Ordering::Acquire)
    }

    /// Ends when the call is cancelled. Async handlers rarely need it: their future is dropped.
    pub async fn cancelled(&self) {
        let notified = self.inner.cancel.notified();
        let mut notified = std::pin::pin!(notified);
        notified.as_mut().enable();
        if !self.is_cancelled() {
            notified.await;
        }
    }

    /// The state that an earlier round of this call left with [`set_state`](Self::set_state).
    pub fn state<T: DeserializeOwned>(&self) -> Option<T> {
        let state = self.inner.lock();
        serde_json::from_str(state.user_state.as_deref()?).ok()
    }

    /// Leaves state for later rounds of this call. It travels through the client, sealed: the
    /// client can neither change it nor use it for another call.
    pub fn set_state<T: Serialize>(&self, state: &T) -> Result<(), ToolError> {
        let json = serde_json::to_string(state)?;
        self.inner.lock().user_state = Some(json);
        Ok(())
    }

    /// True if the call runs as a task.
    pub fn in_task(&self) -> bool {
        self.inner.in_task.load(Ordering::Acquire)
    }

    /// Goes on as a task from here, if the tool and the client support tasks: the client gets the
    /// task's id now and fetches the result later. Returns whether it did; if not, the call simply
    /// goes on. Questions that must be answered before work starts are asked before this.
    ///
    /// Only tools with [`Tool::task_when_asked`](crate::Tool::task_when_asked) decide this
    /// themselves.
    pub async fn become_task(&self) -> Result<bool, ToolError> {
        if self.in_task() {
            return Ok(true);
        }
        if !self.inner.may_become_task {
            return Ok(false);
        }
        let (reply, done) = oneshot::channel();
        self.send(Command::BecomeTask(reply));
        match done.await {
            Ok(Ok(())) => Ok(true),
            Ok(Err(refused)) => Err(ToolError::call(refused)),
            Err(_) => Err(ended()),
        }
    }

    /// True if the caller can be asked for this kind of input.
    pub fn can_ask(&self, kind: InputKind) -> bool {
        (self.in_task() || self.inner.interaction != Interaction::None) && self.inner.declares(kind)
    }

    /// Fails unless the caller can be asked for this kind of input: with the error that the
    /// protocol defines for a missing client capability (2026-07-28), or one that says the same.
    pub fn require(&self, kind: InputKind) -> Result<(), ToolError> {
        if self.can_ask(kind) {
            return Ok(());
        }
        let (name, required) = capability(kind);
        if self.inner.declares(kind) || self.inner.interaction == Interaction::None {
            return Err(ToolError::call(
                CallError::new(
                    ErrorCode::InvalidRequest,
                    format!("this needs input by {name} from its caller, which this way of calling does not offer; call it from an MCP client"),
                )
                .with_rule("ask.unsupported"),
            ));
        }
        let message = format!("this needs the client capability {name}, which the client did not declare");
        if self.inner.version.is_modern() {
            return Err(ToolError::call(missing_capability(message, required)));
        }
        Err(ToolError::msg(message))
    }

    /// The questions and state with which this round ends.
    pub(crate) fn take_pending(&self) -> (Vec<InputRequest>, Option<String>) {
        let mut state = self.inner.lock();
        (std::mem::take(&mut state.pending), state.user_state.clone())
    }

    fn send(&self, command: Command) {
        let mut state = self.inner.lock();
        if state.closed {
            return;
        }
        if matches!(command, Command::Progress { .. } | Command::Log { .. }) {
            if state.queued == MAX_QUEUED {
                return;
            }
            state.queued += 1;
        }
        state.commands.push_back(command);
        drop(state);
        self.inner.driver.wake();
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change under the lock is complete in itself, so a panic elsewhere leaves it whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn declares(&self, kind: InputKind) -> bool {
        let (can, version) = (&self.capabilities, self.version);
        match kind {
            InputKind::ElicitForm => can.elicitation_form && version.has_elicitation(),
            InputKind::ElicitUrl => can.elicitation_url && version.has_url_elicitation(),
            InputKind::Sample => can.sampling,
            InputKind::Roots => can.roots,
        }
    }

    /// The call was cancelled.
    fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
        self.cancel.notify_waiters();
    }
}

/// Name for people, and the capability as the client would declare it.
fn capability(kind: InputKind) -> (&'static str, &'static str) {
    match kind {
        InputKind::ElicitForm => ("elicitation (form)", r#"{"elicitation":{"form":{}}}"#),
        InputKind::ElicitUrl => ("elicitation (url)", r#"{"elicitation":{"url":{}}}"#),
        InputKind::Sample => ("sampling", r#"{"sampling":{}}"#),
        InputKind::Roots => ("roots", r#"{"roots":{}}"#),
    }
}

/// 2026-07-28 basic/index, "Missing Required Client Capability". `required` is the raw JSON of the
/// capabilities object that would do.
pub(crate) fn missing_capability(message: impl Into<String>, required: &str) -> CallError {
    let message = message.into();
    CallError::new(ErrorCode::InvalidRequest, message.clone())
        .with_rule("client.capability")
        .with_rpc(
            RpcError::new(code::MISSING_CLIENT_CAPABILITY, message)
                .with_data(format!("{{\"requiredCapabilities\":{required}}}")),
        )
}

/// The call ended while something of it still ran.
pub(crate) fn ended() -> ToolError {
    ToolError::call(CallError::new(ErrorCode::Cancelled, "the call has ended"))
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("request_id", &self.inner.request_id)
            .finish_non_exhaustive()
    }
}
