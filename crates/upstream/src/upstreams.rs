//! All upstream servers of a gateway, from start to stop.

use std::sync::Arc;
use std::time::Duration;

use ferromcp_core::{Gateway, Listing, Reconfiguration, Slot, SourceState};
use futures_util::future::join_all;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::driver;
use crate::spec::UpstreamSpec;
use crate::upstream::{Stage, Upstream};

/// How often it is looked whether a server that is not wanted any more still has calls.
const LOOK: Duration = Duration::from_millis(20);

/// The running upstream servers. Dropping it ends them without waiting.
#[derive(Debug)]
pub struct Upstreams {
    running: Vec<Running>,
    room: Arc<Semaphore>,
    stop: CancellationToken,
    /// Servers that finish their calls although they are not in the configuration any more.
    leaving: TaskTracker,
    _stop_on_drop: DropGuard,
}

#[derive(Debug)]
struct Running {
    upstream: Arc<Upstream>,
    driver: JoinHandle<()>,
    stop: CancellationToken,
}

impl Running {
    fn start(upstream: Arc<Upstream>, stop: CancellationToken) -> Self {
        let driver = tokio::spawn(driver::run(Arc::clone(&upstream), stop.clone()));
        Self {
            upstream,
            driver,
            stop,
        }
    }

    fn name(&self) -> &str {
        &self.upstream.spec.name
    }
}

/// Servers that were started for a configuration that is not in force yet. Dropping it ends them.
#[derive(Debug)]
pub struct Prepared {
    running: Vec<Running>,
    _stop_on_drop: DropGuard,
}

impl Prepared {
    /// Waits until each is ready or down, at most `limit`.
    ///
    /// # Errors
    /// Those that are not ready, with the reason.
    pub async fn ready(&self, limit: Duration) -> Result<(), Vec<(String, String)>> {
        settled(&self.running, limit).await;
        let failed = self.running.iter().filter_map(|running| {
            let reason = match &*running.upstream.stage() {
                Stage::Held(Some(listing)) => match &listing.state {
                    SourceState::Ready => return None,
                    SourceState::Starting => format!("it was not ready after {limit:?}"),
                    SourceState::Down { reason } => reason.clone(),
                },
                _ => "it said nothing".to_owned(),
            };
            Some((running.name().to_owned(), reason))
        });
        let failed: Vec<_> = failed.collect();
        if failed.is_empty() { Ok(()) } else { Err(failed) }
    }
}

/// A source of the next configuration, in its order.
#[derive(Debug)]
pub enum Next {
    /// An upstream server that goes on as it is.
    Keep(String),
    /// An upstream server that was prepared.
    Prepared(String),
    /// A source that is no upstream server.
    Own(Box<Listing>),
}

impl Upstreams {
    /// Publishes an empty listing in state `Starting` for each server, in order, and connects to all of them in the
    /// background. Must be called on a tokio runtime with I/O and time enabled; children, sessions and event streams
    /// live there. `max_workers`: most child processes of all of them at a time; one too many is not started, and says why.
    pub fn start(gateway: &Arc<Gateway>, specs: Vec<UpstreamSpec>, max_workers: usize) -> Self {
        let stop = CancellationToken::new();
        let room = Arc::new(Semaphore::new(max_workers.min(Semaphore::MAX_PERMITS)));
        let running = specs
            .into_iter()
            .map(|spec| {
                let upstream = Upstream::publish(gateway, spec, Arc::clone(&room));
                Running::start(upstream, stop.child_token())
            })
            .collect();
        Self {
            running,
            room,
            leaving: TaskTracker::new(),
            _stop_on_drop: stop.clone().drop_guard(),
            stop,
        }
    }

    /// Waits until every server of now has been ready or down once, at most `limit`.
    pub fn settled(&self, limit: Duration) -> impl Future<Output = ()> + Send + use<> {
        settled(&self.running, limit)
    }

    /// Starts servers whose listings nobody sees before [`Self::reconfigure`]. Their child processes count among
    /// `max_workers` beside those that are still in use.
    pub fn prepare(&self, gateway: &Arc<Gateway>, specs: Vec<UpstreamSpec>) -> Prepared {
        let stop = self.stop.child_token();
        let running = specs.into_iter().map(|spec| {
            let upstream = Upstream::held(gateway, spec, Arc::clone(&self.room));
            Running::start(upstream, stop.child_token())
        });
        Prepared {
            running: running.collect(),
            _stop_on_drop: stop.drop_guard(),
        }
    }

    /// Puts a configuration in force, with `sources` in the place of its own. Servers that are not among them any more get no
    /// new calls; they end when they have no more, at the latest after `drain`.
    pub fn reconfigure(
        &mut self,
        gateway: &Gateway,
        mut next: Reconfiguration,
        sources: Vec<Next>,
        prepared: Prepared,
        drain: Duration,
    ) {
        let Prepared {
            running: mut made,
            _stop_on_drop,
        } = prepared;
        // They are wanted from now on.
        let _ = _stop_on_drop.disarm();
        let mut before = std::mem::take(&mut self.running);
        let mut after = Vec::with_capacity(sources.len());
        let take = |from: &mut Vec<Running>, name: &str| {
            let at = from.iter().position(|running| running.name() == name)?;
            Some(from.swap_remove(at))
        };
        let mut slots = Vec::with_capacity(sources.len());
        let mut held = Vec::new();
        for source in sources {
            match source {
                Next::Own(listing) => slots.push(Some(Slot::Put(listing))),
                Next::Keep(name) => {
                    slots.push(Some(Slot::Keep(name.as_str().into())));
                    after.extend(take(&mut before, &name));
                }
                Next::Prepared(name) => {
                    if let Some(running) = take(&mut made, &name) {
                        held.push((slots.len(), Arc::clone(&running.upstream)));
                        slots.push(None);
                        after.push(running);
                    }
                }
            }
        }
        // No listing of these is on its way while the configuration changes.
        let mut retiring: Vec<_> = before.iter().map(|running| running.upstream.stage()).collect();
        let mut coming: Vec<_> = held
            .iter()
            .map(|(at, upstream)| (*at, upstream.stage()))
            .collect();
        for (at, stage) in &mut coming {
            if let Stage::Held(last) = &mut **stage
                && let Some(listing) = last.take()
            {
                slots[*at] = Some(Slot::Put(listing));
            }
        }
        next.sources = slots.into_iter().flatten().collect();
        gateway.reconfigure(next);
        for stage in &mut retiring {
            **stage = Stage::Retired;
        }
        for (_, stage) in &mut coming {
            **stage = Stage::Live;
        }
        drop(retiring);
        drop(coming);
        self.running = after;
        for running in before {
            self.leaving.spawn(leave(running, drain));
        }
    }

    /// Ends children and sessions in good order, all at the same time. Calls in flight fail. Returns when every child is
    /// reaped; the grace periods of [`ChildLimits`](ferromcp_supervisor::ChildLimits) bound the time.
    pub async fn stop(self) {
        self.stop.cancel();
        // A driver that panicked has dropped, and so killed, its child.
        let _ = join_all(self.running.into_iter().map(|r| r.driver)).await;
        self.leaving.close();
        self.leaving.wait().await;
    }
}

fn settled(running: &[Running], limit: Duration) -> impl Future<Output = ()> + Send + use<> {
    let all: Vec<_> = running.iter().map(|r| Arc::clone(&r.upstream)).collect();
    async move {
        let all = join_all(all.iter().map(|upstream| upstream.settled()));
        // What has not settled in time shows in the state of its listing.
        let _ = tokio::time::timeout(limit, all).await;
    }
}

/// Ends a server when its calls have ended.
async fn leave(running: Running, drain: Duration) {
    let end = Instant::now() + drain;
    let stopped = running.stop.clone();
    // A call that saw the old configuration may be about to ask for a worker.
    let mut idle = 0;
    while idle < 3 && Instant::now() < end && !stopped.is_cancelled() {
        tokio::time::sleep(LOOK).await;
        idle = if running.upstream.in_flight() == 0 {
            idle + 1
        } else {
            0
        };
    }
    let (server, in_flight) = (running.name().to_owned(), running.upstream.in_flight());
    if in_flight > 0 && !stopped.is_cancelled() {
        warn!(
            server,
            in_flight, "left the configuration and still had calls after {drain:?}; they fail"
        );
    }
    running.stop.cancel();
    let _ = running.driver.await;
    info!(
        server,
        "ended; it is not in the configuration any more, or another one took its place"
    );
}
