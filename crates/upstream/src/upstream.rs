//! One upstream server as the rest of the program sees it: its workers, its listing, and its [`Source`].

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use ferromcp_core::{
    CallContext, CallError, ErrorCode, Gateway, Listing, Offers, Operation, Principal, Reply, Source,
    SourceFuture, SourceHealth, SourceState, Spec, WorkerHealth,
};
use ferromcp_protocol::{Era, LogLevel};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout};

use crate::breaker::{Breaker, Pass, Verdict};
use crate::parked::{self, Parking};
use crate::pool::{Lease, Patience, Phase, Pool};
use crate::replay::{self, Budget};
use crate::rounds::State;
use crate::served::Served;
use crate::session::{Called, Session};
use crate::spec::{Effect, EraChoice, TransportSpec, UpstreamSpec};
use crate::tasks::Book;
use crate::watched::Watched;

/// How long a call that may be made twice waits for another worker.
const REPLAY_WAIT: Duration = Duration::from_secs(5);

/// What a server said that it has.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Offer {
    pub(crate) offers: Offers,
    pub(crate) instructions: Option<String>,
    pub(crate) tools: Vec<Spec>,
    pub(crate) resources: Vec<Spec>,
    pub(crate) templates: Vec<Spec>,
    pub(crate) prompts: Vec<Spec>,
}

impl Offer {
    /// Before anything is known: it may have everything. A client that asks for our capabilities now must not conclude
    /// that there will never be tools.
    pub(crate) fn unknown() -> Self {
        let offers = Offers {
            tools: true,
            resources: true,
            prompts: true,
            completions: true,
            tasks: false,
        };
        Self {
            offers,
            ..Self::default()
        }
    }
}

/// Shared by the driver, which writes, and by calls, which read.
pub(crate) struct Upstream {
    pub(crate) spec: UpstreamSpec,
    /// The gateway holds the listing, which holds this.
    pub(crate) gateway: Weak<Gateway>,
    /// What all child processes of the gateway together may take.
    pub(crate) room: Arc<Semaphore>,
    pub(crate) pool: Arc<Pool>,
    /// What there is in the place of workers if it does not speak MCP.
    pub(crate) served: Option<Served>,
    settled: watch::Sender<bool>,
    pub(crate) watched: Watched,
    /// Calls that wait for answers of their callers.
    parking: Arc<Parking>,
    /// Tasks that callers know.
    pub(crate) tasks: Arc<Book>,
    /// The most verbose log level that a caller wants.
    pub(crate) logs: watch::Receiver<Option<LogLevel>>,
    /// Itself, for what outlives a call.
    own: Weak<Self>,
    /// The dialect that was found; a restart need not ask again.
    era: Mutex<Option<Era>>,
    breaker: Mutex<Breaker>,
    /// The breaker has nothing to remember, so calls need not look at it.
    calm: AtomicBool,
    pub(crate) budget: Budget,
    /// Whether its listings are published.
    stage: Mutex<Stage>,
}

/// What becomes of an upstream's listings.
#[derive(Debug)]
pub(crate) enum Stage {
    /// They are published.
    Live,
    /// It is made ready for a configuration that is not in force yet: the last one is kept.
    Held(Option<Box<Listing>>),
    /// Its place is taken, or it is gone: they are dropped.
    Retired,
}

impl Upstream {
    /// Publishes a listing in state `Starting`.
    pub(crate) fn publish(gateway: &Arc<Gateway>, spec: UpstreamSpec, room: Arc<Semaphore>) -> Arc<Self> {
        Self::made(gateway, spec, room, Stage::Live)
    }

    /// The same, but nothing is published before it is told to.
    pub(crate) fn held(gateway: &Arc<Gateway>, spec: UpstreamSpec, room: Arc<Semaphore>) -> Arc<Self> {
        Self::made(gateway, spec, room, Stage::Held(None))
    }

    fn made(gateway: &Arc<Gateway>, spec: UpstreamSpec, room: Arc<Semaphore>, stage: Stage) -> Arc<Self> {
        let children = match spec.transport {
            TransportSpec::Stdio(_) => Some(Arc::clone(&room)),
            TransportSpec::Http(_) | TransportSpec::Service(_) => None,
        };
        let served = match &spec.transport {
            TransportSpec::Service(service) => Some(Served::new(Arc::clone(service))),
            TransportSpec::Stdio(_) | TransportSpec::Http(_) => None,
        };
        let made = Arc::new_cyclic(|own| Self {
            own: Weak::clone(own),
            logs: gateway.wanted_logs(),
            tasks: Book::new(Arc::clone(&spec.name), Arc::downgrade(gateway)),
            pool: Arc::new(Pool::new(spec.pool, children)),
            served,
            spec,
            gateway: Arc::downgrade(gateway),
            room,
            settled: watch::Sender::new(false),
            watched: Watched::default(),
            parking: Parking::new(parked::TTL),
            era: Mutex::new(None),
            breaker: Mutex::new(Breaker::new()),
            calm: AtomicBool::new(true),
            budget: Budget::new(),
            stage: Mutex::new(stage),
        });
        made.list(&Offer::unknown(), SourceState::Starting);
        made
    }

    /// Puts a listing in place of the last one.
    pub(crate) fn list(self: &Arc<Self>, offer: &Offer, state: SourceState) {
        let Some(gateway) = self.gateway.upgrade() else {
            return;
        };
        // The same source for all listings of the server: watches follow the source.
        let source: Arc<dyn Source> = Arc::<Self>::clone(self);
        let mut listing = Listing::new(Arc::clone(&self.spec.name), source);
        listing.foreign = true;
        listing.edits = Arc::clone(&self.spec.edits);
        listing.prefix = Arc::clone(&self.spec.prefix);
        listing.offers = offer.offers;
        listing.state = state;
        listing.timeout = self.spec.call_timeout;
        listing.instructions.clone_from(&offer.instructions);
        listing.tools.clone_from(&offer.tools);
        listing.resources.clone_from(&offer.resources);
        listing.templates.clone_from(&offer.templates);
        listing.prompts.clone_from(&offer.prompts);
        // Published under the lock: whoever changes the stage knows that nothing of before is on its way.
        match &mut *self.stage() {
            Stage::Live => gateway.publish(listing),
            Stage::Held(last) => *last = Some(Box::new(listing)),
            Stage::Retired => {}
        }
    }

    pub(crate) fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls that its workers have now.
    pub(crate) fn in_flight(&self) -> usize {
        match &self.served {
            Some(served) => served.in_flight(),
            None => self.pool.seats().iter().map(|seat| seat.in_flight()).sum(),
        }
    }

    /// What is known of the dialect it speaks.
    pub(crate) fn era(&self) -> Option<Era> {
        match self.spec.era {
            EraChoice::Legacy => Some(Era::Legacy),
            EraChoice::Modern => Some(Era::Modern),
            EraChoice::Auto => *self.era.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    pub(crate) fn set_era(&self, era: Option<Era>) {
        *self.era.lock().unwrap_or_else(PoisonError::into_inner) = era;
    }

    /// It has been ready or down once.
    pub(crate) fn settle(&self) {
        self.settled.send_if_modified(|now| !std::mem::replace(now, true));
    }

    pub(crate) async fn settled(&self) {
        // An error cannot be: the sender is `self`.
        let _ = self.settled.subscribe().wait_for(|settled| *settled).await;
    }

    /// Makes the call on a worker; once more on another one, or on the next, if that is safe and the first was lost.
    async fn relay(&self, cx: &CallContext<'_>) -> Result<Reply, CallError> {
        if let Some(served) = &self.served {
            return Box::pin(served.relay(self, cx)).await;
        }
        if let Some((node, id)) = cx.call.input.and_then(State::parked) {
            return self.parking.resume(cx, &self.spec.name, node, id).await;
        }
        if matches!(
            cx.call.operation,
            Operation::GetTask | Operation::UpdateTask | Operation::CancelTask
        ) {
            return Box::pin(self.about_task(cx)).await;
        }
        let pass = self.enter()?;
        let key = self.spec.pool.per.key(cx.principal);
        let lease = self
            .pool
            .lease(Patience::Start, None, key.as_ref())
            .await
            .map_err(|(why, at)| self.down(&why, at))?;
        let answer = self.ask(&lease, cx, pass).await;
        match answer {
            Err(error) if replay::is_safe(&error, cx, &self.spec) && self.budget.spend() => {
                let lost = Arc::clone(&lease.session);
                drop(lease);
                // Boxed: rare, and the future of every call would have to have room for it.
                Box::pin(self.replay(cx, error, &lost)).await
            }
            answer => answer,
        }
    }

    async fn about_task(&self, cx: &CallContext<'_>) -> Result<Reply, CallError> {
        let mut pass = self.enter()?;
        let answer = self.tasks.call(cx, self).await;
        pass.verdict = verdict(answer.as_ref().err());
        answer
    }

    async fn ask(
        &self,
        lease: &Lease,
        cx: &CallContext<'_>,
        mut pass: Entered<'_>,
    ) -> Result<Reply, CallError> {
        if lease.session.facts.logging {
            // It has to know before it runs what is to be heard of it.
            let wanted = *self.logs.borrow();
            lease.session.tell_level(wanted, true).await;
        }
        let answer = match lease.session.call(cx).await {
            Ok(Called::Over(reply)) => Ok(reply),
            // The worker stays taken.
            Ok(Called::Waits(halted)) => self.parking.park(cx, &self.spec.name, lease.again(), halted),
            Ok(Called::Task(made)) => self.tasks.adopt(cx, lease.again(), &made),
            Err(error) => Err(error),
        };
        pass.verdict = verdict(answer.as_ref().err());
        if pass.verdict == Verdict::Healthy {
            lease.heard();
            self.budget.earn();
        } else if answer
            .as_ref()
            .is_err_and(|error| error.rule() == Some(replay::DOWN))
        {
            lease.broken();
        }
        answer
    }

    async fn replay(
        &self,
        cx: &CallContext<'_>,
        error: CallError,
        lost: &Arc<Session>,
    ) -> Result<Reply, CallError> {
        let key = self.spec.pool.per.key(cx.principal);
        let lease = self.pool.lease(Patience::Restart, Some(lost), key.as_ref());
        let lease = timeout(REPLAY_WAIT, lease).await;
        let (Ok(Ok(lease)), Ok(pass)) = (lease, self.enter()) else {
            return Err(error);
        };
        tracing::info!(
            target: "ferromcp::server",
            server = %self.spec.name, request_id = %cx.request_id, name = cx.local_name, reason = error.message(),
            "made once more: it changes nothing, or nothing more the second time, or was not begun"
        );
        self.ask(&lease, cx, pass).await
    }

    /// Past the breaker, if this server has one: a child that dies is known to be gone, a server at an address is not.
    pub(crate) fn enter(&self) -> Result<Entered<'_>, CallError> {
        let mut entered = Entered {
            upstream: self,
            pass: None,
            verdict: Verdict::Unknown,
        };
        if let TransportSpec::Stdio(_) = self.spec.transport {
            return Ok(entered);
        }
        if self.calm.load(Ordering::Acquire) {
            entered.pass = Some(Pass::Normal);
            return Ok(entered);
        }
        match self.breaker().enter(Instant::now().into_std()) {
            Ok(pass) => {
                entered.pass = Some(pass);
                Ok(entered)
            }
            Err(after) => {
                let text = format!(
                    "server `{}` failed several calls in a row and gets a pause; nothing was sent to it",
                    self.spec.name
                );
                Err(CallError::new(ErrorCode::Unavailable, text)
                    .with_rule("upstream.breaker")
                    .with_retry_after(after.max(Duration::from_millis(1))))
            }
        }
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn down(&self, reason: &str, retry_at: Option<Instant>) -> CallError {
        let name = &self.spec.name;
        let error = CallError::new(
            ErrorCode::Unavailable,
            format!("server `{name}` is not available, nothing was sent to it: {reason}"),
        )
        .with_rule("upstream.down");
        match retry_at {
            Some(at) => {
                let after = at.saturating_duration_since(Instant::now());
                error.with_retry_after(after.max(Duration::from_millis(1)))
            }
            None => error,
        }
    }

    fn health_now(&self) -> SourceHealth {
        let breaker = match self.spec.transport {
            TransportSpec::Http(_) | TransportSpec::Service(_) => {
                Some(self.breaker().word(Instant::now().into_std()))
            }
            TransportSpec::Stdio(_) => None,
        };
        if let Some(served) = &self.served {
            return SourceHealth {
                workers: vec![served.health()],
                breaker,
            };
        }
        let seats = self.pool.seats();
        let workers = seats.iter().map(|seat| {
            let (state, pid, reason) = match &*seat.phase() {
                Phase::Starting { last, .. } => ("starting", None, Some(last.to_string())),
                Phase::Ready(session) => ("ready", session.link.pid(), None),
                Phase::Down {
                    reason,
                    retry_at,
                    looping,
                } => {
                    let state = match (retry_at, looping) {
                        (None, _) => "stopped",
                        (Some(_), true) => "crash_loop",
                        (Some(_), false) => "backoff",
                    };
                    (state, None, Some(reason.to_string()))
                }
            };
            WorkerHealth {
                id: seat.id,
                state,
                pid,
                restarts: seat.starts.load(Ordering::Relaxed).saturating_sub(1),
                in_flight: seat.in_flight(),
                reason: reason.filter(|reason| !reason.is_empty()),
            }
        });
        SourceHealth {
            workers: workers.collect(),
            breaker,
        }
    }
}

/// What an error says of the server's health: errors of tools are healthy, and so is a refusal of ours.
fn verdict(error: Option<&CallError>) -> Verdict {
    match error.and_then(CallError::rule) {
        Some(replay::DIED | replay::LOST | "upstream.status") => Verdict::Failed,
        Some("upstream.down" | "limit.upstream_calls" | "deadline") => Verdict::Unknown,
        _ => Verdict::Healthy,
    }
}

/// A call that the breaker let in; tells it how the call ended, also when it is dropped.
pub(crate) struct Entered<'a> {
    upstream: &'a Upstream,
    pass: Option<Pass>,
    verdict: Verdict,
}

impl Entered<'_> {
    /// Notes how the call ended. True if the server is well.
    pub(crate) fn ended(&mut self, error: Option<&CallError>) -> bool {
        self.verdict = verdict(error);
        self.verdict == Verdict::Healthy
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        let Some(pass) = self.pass else { return };
        let calm = &self.upstream.calm;
        if calm.load(Ordering::Acquire) && self.verdict != Verdict::Failed {
            return;
        }
        let mut breaker = self.upstream.breaker();
        breaker.leave(pass, self.verdict, Instant::now().into_std());
        // Under the lock, so that it never says calm when the breaker is not.
        calm.store(breaker.is_calm(), Ordering::Release);
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream")
            .field("spec", &self.spec)
            .field("pool", &self.pool)
            .finish_non_exhaustive()
    }
}

impl Source for Upstream {
    fn call<'a>(&'a self, cx: CallContext<'a>) -> SourceFuture<'a> {
        Box::pin(async move { self.relay(&cx).await })
    }

    fn has_effects(&self, tool: &str, hinted: bool) -> bool {
        let configured = self.spec.effects.get(tool);
        configured.map_or(hinted, |effect| *effect == Effect::Effects)
    }

    fn watch(&self, uri: &str, on: bool) {
        self.watched.set(uri, on);
    }

    fn watch_task(&self, owner: &Principal, id: &str, on: bool) -> bool {
        self.tasks.listen(&self.own, owner, id, on)
    }

    fn health(&self) -> SourceHealth {
        self.health_now()
    }
}
