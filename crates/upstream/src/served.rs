//! Servers that do not speak MCP: what they have becomes tools, and each call is an exchange of its own. There is no
//! handshake and no session to keep, so there is no pool either; everything else is as with the others.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ferromcp_core::{
    CallContext, CallError, ErrorCode, Offers, Reply, SourceFuture, SourceState, Spec, WorkerHealth,
};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::link::MAX_CALLS;
use crate::replay;
use crate::upstream::{Offer, Upstream};

/// Time until a server that could not be looked at is looked at again: doubled each time.
const RETRY_MIN: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(30);

/// A future of a [`Service`].
pub type ServiceFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A server of another kind.
pub trait Service: fmt::Debug + Send + Sync + 'static {
    /// Finds out what the server has. `start_timeout` is the time for it. An error, which says why in words, is tried again
    /// after a while; what was found before stays in force meanwhile.
    fn look(&self) -> ServiceFuture<'_, Result<Found, String>>;

    /// Ends when [`look`](Self::look) may find something else than last time. It must not be at once.
    fn changed(&self) -> ServiceFuture<'_, ()>;

    /// Carries out a call of a tool that the last look found. Dropping the future cancels it.
    fn call<'a>(&'a self, cx: CallContext<'a>) -> SourceFuture<'a>;
}

/// What a server of another kind has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Advice for models.
    pub instructions: Option<String>,
    /// Its tools, by unique names.
    pub tools: Vec<Spec>,
}

/// What is known of such a server, and who is on the way to it.
pub(crate) struct Served {
    service: Arc<dyn Service>,
    in_flight: AtomicUsize,
    phase: Mutex<Phase>,
    ended: CancellationToken,
}

#[derive(Clone)]
enum Phase {
    Starting,
    Ready,
    Down {
        reason: Arc<str>,
        retry_at: Option<Instant>,
    },
}

impl Served {
    pub(crate) fn new(service: Arc<dyn Service>) -> Self {
        Self {
            service,
            in_flight: AtomicUsize::new(0),
            phase: Mutex::new(Phase::Starting),
            ended: CancellationToken::new(),
        }
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    fn phase(&self) -> Phase {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_phase(&self, phase: Phase) {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner) = phase;
    }

    pub(crate) fn health(&self) -> WorkerHealth {
        let (state, reason) = match self.phase() {
            Phase::Starting => ("starting", None),
            Phase::Ready => ("ready", None),
            Phase::Down { reason, retry_at } => {
                let state = if retry_at.is_some() { "backoff" } else { "stopped" };
                (state, Some(reason.to_string()))
            }
        };
        WorkerHealth {
            id: 1,
            state,
            pid: None,
            restarts: 0,
            in_flight: self.in_flight(),
            reason,
        }
    }

    /// Makes the call; once more if it was lost and that is safe.
    pub(crate) async fn relay(&self, upstream: &Upstream, cx: &CallContext<'_>) -> Result<Reply, CallError> {
        match self.phase() {
            Phase::Ready => {}
            Phase::Starting => {
                return Err(upstream.down(
                    "it is starting",
                    Some(Instant::now() + Duration::from_millis(200)),
                ));
            }
            Phase::Down { reason, retry_at } => return Err(upstream.down(&reason, retry_at)),
        }
        let _counted = Counted::new(&self.in_flight);
        if self.in_flight() > MAX_CALLS {
            let text = format!(
                "server `{}`: {MAX_CALLS} calls to it are running already, which is the limit",
                upstream.spec.name
            );
            return Err(CallError::new(ErrorCode::Unavailable, text)
                .with_rule("limit.upstream_calls")
                .with_retry_after(Duration::from_secs(1)));
        }
        let answer = self.ask(upstream, cx).await;
        match answer {
            Err(error) if replay::is_safe(&error, cx, &upstream.spec) && upstream.budget.spend() => {
                info!(
                    target: "ferromcp::server",
                    server = %upstream.spec.name, request_id = %cx.request_id, name = cx.local_name,
                    reason = error.message(),
                    "made once more: it changes nothing, or nothing more the second time, or was not begun"
                );
                self.ask(upstream, cx).await
            }
            answer => answer,
        }
    }

    async fn ask(&self, upstream: &Upstream, cx: &CallContext<'_>) -> Result<Reply, CallError> {
        let mut pass = upstream.enter()?;
        let answer = tokio::select! {
            answer = self.service.call(*cx) => answer,
            () = self.ended.cancelled() => {
                let text = format!("server `{}`: the gateway let go of it while the call was under way", upstream.spec.name);
                Err(CallError::new(ErrorCode::Unavailable, text).with_rule(replay::DIED).maybe_ran())
            }
        };
        if pass.ended(answer.as_ref().err()) {
            upstream.budget.earn();
        }
        answer
    }
}

/// One call that is under way.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Looks at the server until `stop`, and publishes what is found.
pub(crate) async fn run(upstream: Arc<Upstream>, stop: CancellationToken) {
    let Some(served) = &upstream.served else { return };
    let mut offer: Option<Offer> = None;
    let mut wait = RETRY_MIN;
    loop {
        let look = timeout(upstream.spec.start_timeout, served.service.look());
        let looked = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            looked = look => looked.unwrap_or_else(|_| {
                let time = upstream.spec.start_timeout.as_secs_f64();
                Err(format!("it did not tell what it has within {time:.1} s (`start_timeout`)"))
            }),
        };
        match looked {
            Ok(found) => {
                wait = RETRY_MIN;
                let next = offered(&upstream, found);
                served.set_phase(Phase::Ready);
                if offer.as_ref() != Some(&next) {
                    upstream.list(&next, SourceState::Ready);
                    offer = Some(next);
                }
            }
            Err(reason) if offer.is_some() => {
                // What it has was read before, and calls tell whether it answers.
                warn!(target: "ferromcp::server", server = %upstream.spec.name, reason, "not looked at again; what was found before stays");
            }
            Err(reason) => {
                warn!(target: "ferromcp::server", server = %upstream.spec.name, why = reason, "down");
                served.set_phase(Phase::Down {
                    reason: reason.as_str().into(),
                    retry_at: Some(Instant::now() + wait),
                });
                upstream.list(&Offer::tools_only(), SourceState::Down { reason });
                upstream.settle();
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = tokio::time::sleep(wait) => {}
                }
                wait = (wait * 2).min(RETRY_MAX);
                continue;
            }
        }
        upstream.settle();
        tokio::select! {
            () = stop.cancelled() => break,
            () = served.service.changed() => {}
        }
    }
    served.set_phase(Phase::Down {
        reason: "the gateway is stopping".into(),
        retry_at: None,
    });
    served.ended.cancel();
    upstream.settle();
}

fn offered(upstream: &Upstream, found: Found) -> Offer {
    let mut tools = found.tools;
    tools.retain(|tool| (upstream.spec.tools)(&tool.key));
    Offer {
        tools,
        instructions: found.instructions,
        ..Offer::tools_only()
    }
}

impl Offer {
    fn tools_only() -> Self {
        Self {
            offers: Offers {
                tools: true,
                ..Offers::default()
            },
            ..Self::default()
        }
    }
}
