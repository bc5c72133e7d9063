//! One upstream server as the rest of the program sees it: its phase, its listing, and its [`Source`].

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use ferromcp_core::{
    CallContext, CallError, ErrorCode, Gateway, Listing, Offers, Source, SourceFuture, SourceState, Spec,
};
use ferromcp_protocol::Era;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::session::Session;
use crate::spec::{EraChoice, UpstreamSpec};
use crate::watched::Watched;

/// Whether it can be called now.
#[derive(Clone, Debug)]
pub(crate) enum Phase {
    /// An attempt is under way. Calls wait for its end if `hopeful`: it is the first, or the first after a failure.
    Starting { hopeful: bool, last: Arc<str> },
    /// It answers.
    Ready(Arc<Session>),
    /// It does not answer.
    Down {
        reason: Arc<str>,
        /// When the next attempt is made; `None` if none will be.
        retry_at: Option<Instant>,
    },
}

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
    phase: ArcSwap<Phase>,
    changed: watch::Sender<()>,
    settled: watch::Sender<bool>,
    /// A call found the server down for long enough: the driver may try again.
    pub(crate) wanted: Notify,
    pub(crate) watched: Watched,
    /// The dialect that was found; a restart need not ask again.
    era: Mutex<Option<Era>>,
}

impl Upstream {
    /// Publishes a listing in state `Starting`.
    pub(crate) fn publish(gateway: &Arc<Gateway>, spec: UpstreamSpec) -> Arc<Self> {
        let made = Arc::new(Self {
            spec,
            gateway: Arc::downgrade(gateway),
            phase: ArcSwap::from_pointee(Phase::Starting {
                hopeful: true,
                last: "".into(),
            }),
            changed: watch::Sender::new(()),
            settled: watch::Sender::new(false),
            wanted: Notify::new(),
            watched: Watched::default(),
            era: Mutex::new(None),
        });
        made.list(&Offer::unknown(), SourceState::Starting);
        made
    }

    /// Puts a listing in place of the last one.
    pub(crate) fn list(self: &Arc<Self>, offer: &Offer, state: SourceState) {
        let Some(gateway) = self.gateway.upgrade() else {
            return;
        };
        let mut listing = Listing::new(
            Arc::clone(&self.spec.name),
            Arc::new(UpstreamSource(Arc::clone(self))),
        );
        listing.prefix = Arc::clone(&self.spec.prefix);
        listing.offers = offer.offers;
        listing.state = state;
        listing.timeout = self.spec.call_timeout;
        listing.instructions.clone_from(&offer.instructions);
        listing.tools.clone_from(&offer.tools);
        listing.resources.clone_from(&offer.resources);
        listing.templates.clone_from(&offer.templates);
        listing.prompts.clone_from(&offer.prompts);
        gateway.publish(listing);
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

    pub(crate) fn set_phase(&self, phase: Phase) {
        let settled = !matches!(phase, Phase::Starting { .. });
        self.phase.store(Arc::new(phase));
        self.changed.send_replace(());
        if settled {
            self.settled.send_if_modified(|now| !std::mem::replace(now, true));
        }
    }

    /// Waits until it has been ready or down once.
    pub(crate) async fn settled(&self) {
        // An error cannot be: the sender is `self`.
        let _ = self.settled.subscribe().wait_for(|settled| *settled).await;
    }

    /// The session to call, waiting while the first attempt to start is under way. The call's deadline bounds the wait.
    pub(crate) async fn session(&self) -> Result<Arc<Session>, CallError> {
        if let Phase::Ready(session) = &**self.phase.load() {
            return Ok(Arc::clone(session));
        }
        let mut changed = self.changed.subscribe();
        loop {
            changed.mark_unchanged();
            match &**self.phase.load() {
                Phase::Ready(session) => return Ok(Arc::clone(session)),
                Phase::Starting { hopeful: true, .. } => {}
                Phase::Starting { last, .. } => return Err(self.down(last, Some(Duration::from_secs(1)))),
                Phase::Down { reason, retry_at } => {
                    let after = retry_at.map(|at| at.saturating_duration_since(Instant::now()));
                    if after.is_some_and(|after| after.is_zero()) {
                        self.wanted.notify_one();
                    }
                    return Err(self.down(reason, after));
                }
            }
            let _ = changed.changed().await;
        }
    }

    fn down(&self, reason: &str, retry_after: Option<Duration>) -> CallError {
        let name = &self.spec.name;
        let error = CallError::new(
            ErrorCode::Unavailable,
            format!("server `{name}` is not available, nothing was sent to it: {reason}"),
        )
        .with_rule("upstream.down");
        match retry_after {
            Some(after) => error.with_retry_after(after.max(Duration::from_millis(1))),
            None => error,
        }
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream")
            .field("spec", &self.spec)
            .field("phase", &self.phase.load())
            .finish_non_exhaustive()
    }
}

/// What the catalog holds.
struct UpstreamSource(Arc<Upstream>);

impl Source for UpstreamSource {
    fn call<'a>(&'a self, cx: CallContext<'a>) -> SourceFuture<'a> {
        Box::pin(async move { self.0.session().await?.call(&cx).await })
    }

    fn watch(&self, uri: &str, on: bool) {
        self.0.watched.set(uri, on);
    }
}
