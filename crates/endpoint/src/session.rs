//! What one legacy client, or one long connection, has with us between messages.

use std::any::Any;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ferromcp_core::{LogWish, Principal, Watch};
use ferromcp_protocol::{ClientCapabilities, LogLevel, ProtocolVersion, RpcError};
use tokio::sync::oneshot;
use tokio::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

use crate::stop::Stop;

/// A legacy HTTP session, or a long connection on which both eras may speak.
///
/// Lean on purpose: an idle session is one allocation of some hundred bytes, its client facts, and
/// nothing else; there is no task and no channel per session.
pub struct Session {
    id: Box<str>,
    principal: Principal,
    created: Instant,
    /// Milliseconds from `created` to the last message.
    seen: AtomicU64,
    /// Something came in after the message that opened the session.
    used: AtomicBool,
    /// Streams for change notifications that are open now.
    feeds: AtomicU32,
    client: OnceLock<LegacyClient>,
    /// Minimum level of log messages, as its `u8` value.
    log_level: AtomicU32,
    state: Mutex<State>,
    ended: CancellationToken,
    slot: OnceLock<Box<dyn Any + Send + Sync>>,
}

/// What `initialize` told of the client.
#[derive(Debug)]
pub(crate) struct LegacyClient {
    pub(crate) version: ProtocolVersion,
    pub(crate) capabilities: ClientCapabilities,
    pub(crate) name: Option<Box<str>>,
}

#[derive(Default)]
struct State {
    running: Vec<Running>,
    questions: Vec<Question>,
    next: u64,
    watches: Vec<Watch>,
    /// What sources are told of its log level, once it has said one.
    logs: Option<LogWish>,
    /// Nobody can answer questions any more.
    mute: bool,
}

struct Running {
    key: u64,
    id: Box<str>,
    stop: Arc<Stop>,
}

struct Question {
    id: u64,
    answer: oneshot::Sender<Result<Box<str>, RpcError>>,
}

/// Why a request cannot start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotStarted {
    /// A request with this id is still running.
    Duplicate,
    /// So many are running already.
    Full(usize),
    /// The session has ended.
    Ended,
}

/// Why a question cannot be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotAsked {
    /// So many are open already.
    Full(usize),
    /// Nobody can answer any more.
    Closed,
}

impl Session {
    /// A long connection: never in a store, no id.
    pub(crate) fn connection(principal: Principal) -> Self {
        Self::with_id("".into(), principal)
    }

    /// A legacy HTTP session with a random id of 192 bits in visible ASCII (2025-11-25
    /// basic/transports, "Session Management"). `None` without a system random source.
    pub(crate) fn http(principal: Principal) -> Option<Self> {
        let mut random = [0u8; 24];
        getrandom::fill(&mut random).ok()?;
        Some(Self::with_id(URL_SAFE_NO_PAD.encode(random).into(), principal))
    }

    /// A session of another process, whose numbers are not to be used again.
    pub(crate) fn taken(id: &str, principal: Principal, next: u64) -> Self {
        let taken = Self::with_id(id.into(), principal);
        taken.state().next = next;
        taken.touch();
        taken
    }

    /// Resources that are watched.
    pub(crate) fn watched(&self) -> Vec<String> {
        self.state()
            .watches
            .iter()
            .map(|watch| watch.uri().to_owned())
            .collect()
    }

    /// The last number that was given to a request or a question.
    pub(crate) fn last_number(&self) -> u64 {
        self.state().next
    }

    /// The client has said which log messages it wants.
    pub(crate) fn has_log_level(&self) -> bool {
        self.state().logs.is_some()
    }

    fn with_id(id: Box<str>, principal: Principal) -> Self {
        Self {
            id,
            principal,
            created: Instant::now(),
            seen: AtomicU64::new(0),
            used: AtomicBool::new(false),
            feeds: AtomicU32::new(0),
            client: OnceLock::new(),
            log_level: AtomicU32::new(LogLevel::Info as u32),
            state: Mutex::default(),
            ended: CancellationToken::new(),
            slot: OnceLock::new(),
        }
    }

    /// The id for `Mcp-Session-Id`; empty for connections.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whose session it is. Requests of anybody else are told that it does not exist.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// The negotiated legacy revision; `None` before `initialize`.
    pub fn version(&self) -> Option<ProtocolVersion> {
        self.client.get().map(|c| c.version)
    }

    /// State of the door's own that lives as long as the session (event logs for resuming streams).
    /// Made on first use; every later call has to name the same type, else it gets `None`.
    pub fn slot<T: Any + Send + Sync>(&self, init: impl FnOnce() -> T) -> Option<&T> {
        self.slot.get_or_init(|| Box::new(init())).downcast_ref()
    }

    /// True after DELETE, expiry, or the end of the connection.
    pub fn is_ended(&self) -> bool {
        self.ended.is_cancelled()
    }

    /// Waits until the session ends.
    pub async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Ends the session: running requests are cancelled, open questions fail, watches end.
    pub(crate) fn end(&self) {
        self.ended.cancel();
        let state = std::mem::take(&mut *self.state());
        for running in state.running {
            running.stop.set();
        }
    }

    /// Number of requests that run now.
    pub fn in_flight(&self) -> usize {
        self.state().running.len()
    }

    pub(crate) fn client(&self) -> Option<&LegacyClient> {
        self.client.get()
    }

    /// Sets what `initialize` told. False if that happened before.
    pub(crate) fn initialize(&self, client: LegacyClient) -> bool {
        self.client.set(client).is_ok()
    }

    pub(crate) fn log_level(&self) -> LogLevel {
        let level = self.log_level.load(Ordering::Relaxed);
        LogLevel::ALL
            .get(level as usize)
            .copied()
            .unwrap_or(LogLevel::Info)
    }

    pub(crate) fn set_log_level(&self, level: LogLevel, wish: LogWish) {
        let before = self.state().logs.replace(wish);
        drop(before);
        self.log_level.store(level as u32, Ordering::Relaxed);
    }

    /// Notes a sign of life.
    pub(crate) fn touch(&self) {
        let now = u64::try_from(self.created.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.seen.store(now, Ordering::Relaxed);
        self.used.store(true, Ordering::Relaxed);
    }

    /// True if nothing was heard for too long and nothing is open.
    pub(crate) fn is_idle(&self, now: Instant, idle: Duration, init: Duration) -> bool {
        let last = self.created + Duration::from_millis(self.seen.load(Ordering::Relaxed));
        let limit = if self.used.load(Ordering::Relaxed) {
            idle
        } else {
            init.min(idle)
        };
        now.saturating_duration_since(last) >= limit
            && self.feeds.load(Ordering::Relaxed) == 0
            && self.state().running.is_empty()
    }

    /// Counts a request in. The guard counts it out.
    pub(crate) fn begin(self: &Arc<Self>, id: &str, max: usize) -> Result<RunningGuard, NotStarted> {
        let mut state = self.state();
        if self.is_ended() {
            return Err(NotStarted::Ended);
        }
        if state.running.iter().any(|r| &*r.id == id) {
            return Err(NotStarted::Duplicate);
        }
        if state.running.len() >= max {
            return Err(NotStarted::Full(max));
        }
        state.next += 1;
        let key = state.next;
        let stop = Arc::new(Stop::default());
        state.running.push(Running {
            key,
            id: id.into(),
            stop: Arc::clone(&stop),
        });
        Ok(RunningGuard {
            session: Arc::clone(self),
            key,
            stop,
        })
    }

    /// Cancels a running request. False if there is none with this raw id.
    pub(crate) fn cancel(&self, id: &str) -> bool {
        let state = self.state();
        let found = state.running.iter().find(|r| &*r.id == id);
        if let Some(running) = found {
            running.stop.set();
        }
        found.is_some()
    }

    /// Opens a question to the client.
    pub(crate) fn question(self: &Arc<Self>, max: usize) -> Result<QuestionGuard, NotAsked> {
        let mut state = self.state();
        if state.mute || self.is_ended() {
            return Err(NotAsked::Closed);
        }
        if state.questions.len() >= max {
            return Err(NotAsked::Full(max));
        }
        state.next += 1;
        let id = state.next;
        let (sender, receiver) = oneshot::channel();
        state.questions.push(Question { id, answer: sender });
        Ok(QuestionGuard {
            session: Arc::clone(self),
            id,
            receiver,
        })
    }

    /// Fails open questions and those to come.
    pub(crate) fn close_questions(&self) {
        let questions = {
            let mut state = self.state();
            state.mute = true;
            std::mem::take(&mut state.questions)
        };
        drop(questions);
    }

    /// Takes in the client's answer to a question. Unknown and late ones are dropped: false.
    pub(crate) fn answer(&self, id: &str, outcome: Result<&str, RpcError>) -> bool {
        let Ok(id) = id.parse::<u64>() else { return false };
        let found = {
            let mut state = self.state();
            let place = state.questions.iter().position(|q| q.id == id);
            place.map(|place| state.questions.swap_remove(place))
        };
        let Some(question) = found else { return false };
        // The request that asked may be gone by now.
        let _ = question.answer.send(outcome.map(Into::into));
        true
    }

    /// Adds a watch. False if there are too many.
    pub(crate) fn watch(&self, uri: &str, max: usize, make: impl FnOnce() -> Watch) -> bool {
        {
            let state = self.state();
            if state.watches.iter().any(|w| w.uri() == uri) {
                return true;
            }
            if state.watches.len() >= max || self.is_ended() {
                return false;
            }
        }
        // Made outside the lock: it calls into a source.
        let watch = make();
        self.state().watches.push(watch);
        true
    }

    /// Ends a watch; false if there was none.
    pub(crate) fn unwatch(&self, uri: &str) -> bool {
        let found = {
            let mut state = self.state();
            let place = state.watches.iter().position(|w| w.uri() == uri);
            place.map(|place| state.watches.swap_remove(place))
        };
        found.is_some()
    }

    pub(crate) fn watches(&self, uri: &str) -> bool {
        self.state().watches.iter().any(|w| w.uri() == uri)
    }

    pub(crate) fn open_feed(&self) {
        self.feeds.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn close_feed(&self) {
        self.touch();
        self.feeds.fetch_sub(1, Ordering::Relaxed);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The id is a secret of sorts: it stays out of logs.
        f.debug_struct("Session")
            .field("version", &self.version())
            .finish_non_exhaustive()
    }
}

/// A request that runs.
#[derive(Debug)]
pub(crate) struct RunningGuard {
    session: Arc<Session>,
    key: u64,
    stop: Arc<Stop>,
}

impl RunningGuard {
    pub(crate) fn stop(&self) -> &Stop {
        &self.stop
    }
}

impl Drop for RunningGuard {
    fn drop(&mut self) {
        let mut state = self.session.state();
        if let Some(place) = state.running.iter().position(|r| r.key == self.key) {
            state.running.swap_remove(place);
        }
    }
}

/// A question that waits for the client.
pub(crate) struct QuestionGuard {
    session: Arc<Session>,
    pub(crate) id: u64,
    receiver: oneshot::Receiver<Result<Box<str>, RpcError>>,
}

impl QuestionGuard {
    /// The client's answer; `None` if the session ended.
    pub(crate) async fn answer(&mut self) -> Option<Result<Box<str>, RpcError>> {
        (&mut self.receiver).await.ok()
    }
}

impl Drop for QuestionGuard {
    fn drop(&mut self) {
        let mut state = self.session.state();
        if let Some(place) = state.questions.iter().position(|q| q.id == self.id) {
            state.questions.swap_remove(place);
        }
    }
}
