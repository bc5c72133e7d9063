//! Keeps one server running: carries out what the worker state machine decides, and publishes the result.

use std::sync::Arc;
use std::time::Duration;

use ferromcp_core::SourceState;
use ferromcp_supervisor::worker::{Action, Event, Generation, Policy, State, Worker};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::life::{self, News};
use crate::session::Session;
use crate::spec::TransportSpec;
use crate::upstream::{Offer, Phase, Upstream};

/// Runs until `stop`, and then until nothing of the server is left.
pub(crate) async fn run(upstream: Arc<Upstream>, stop: CancellationToken) {
    let (news, mut inbox) = mpsc::channel(16);
    let mut driver = Driver::new(upstream, news);
    driver.handle(Event::Start);
    let mut stopping = false;
    while !(stopping && driver.worker.state() == State::Stopped) {
        let deadline = driver.worker.deadline().map(Instant::from_std);
        tokio::select! {
            biased;
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                driver.reason = "the gateway is stopping".into();
                driver.handle(Event::Stop);
            }
            news = inbox.recv() => if let Some(news) = news { driver.news(news) },
            () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => driver.tick(),
            () = driver.upstream.wanted.notified(), if !stopping => driver.handle(Event::Start),
        }
    }
    if let Some(life) = &mut driver.life {
        // Its last act was to report its end.
        let _ = (&mut life.task).await;
    }
}

struct Driver {
    upstream: Arc<Upstream>,
    worker: Worker,
    actions: Vec<Action>,
    news: mpsc::Sender<News>,
    life: Option<Life>,
    /// What becomes the phase when the worker says `Up`.
    session: Option<Arc<Session>>,
    /// The last lists, kept while the server is down.
    offer: Offer,
    /// Why it is down, or was last.
    reason: Arc<str>,
    listed: SourceState,
}

struct Life {
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

impl Drop for Life {
    fn drop(&mut self) {
        // Ends it also when the driver itself is dropped.
        self.cancel.cancel();
    }
}

impl Driver {
    fn new(upstream: Arc<Upstream>, news: mpsc::Sender<News>) -> Self {
        let policy = Policy {
            start_timeout: upstream.spec.start_timeout,
            // A remote server comes back without our doing, and asking costs little. A program that fails ten times in
            // a row is started again when a call wants it.
            give_up_after: match upstream.spec.transport {
                TransportSpec::Http(_) => u32::MAX,
                TransportSpec::Stdio(_) => Policy::default().give_up_after,
            },
            ..Policy::default()
        };
        Self {
            upstream,
            worker: Worker::new(policy),
            actions: Vec::new(),
            news,
            life: None,
            session: None,
            offer: Offer::unknown(),
            reason: "it has not been started".into(),
            listed: SourceState::Starting,
        }
    }

    fn news(&mut self, news: News) {
        match news {
            News::Ready(generation, session, offer) if generation == self.worker.generation() => {
                self.session = Some(session);
                self.offer = offer;
                self.handle(Event::Ready(generation));
            }
            News::Listed(generation, offer) if generation == self.worker.generation() => {
                self.offer = offer;
                self.upstream.list(&self.offer, self.listed.clone());
            }
            News::Lost(generation, why) => {
                self.fell(why);
                self.handle(Event::Unusable(generation));
            }
            News::Ended(generation, why) => {
                if let Some(why) = why {
                    self.fell(why);
                }
                self.handle(Event::Exited(generation));
            }
            // News of an earlier life.
            News::Ready(..) | News::Listed(..) => {}
        }
    }

    fn fell(&mut self, why: String) {
        warn!(target: "ferromcp::server", server = %self.upstream.spec.name, why, "down");
        self.reason = why.into();
    }

    fn tick(&mut self) {
        if let State::Starting { .. } = self.worker.state() {
            self.reason = format!(
                "it was not ready within {:.1} s (`start_timeout`)",
                self.upstream.spec.start_timeout.as_secs_f64()
            )
            .into();
        }
        self.handle(Event::Tick);
    }

    fn handle(&mut self, event: Event) {
        let mut actions = std::mem::take(&mut self.actions);
        self.worker
            .handle(event, Instant::now().into_std(), random(), &mut actions);
        for action in actions.drain(..) {
            self.act(action);
        }
        self.actions = actions;
        let retry_at = match self.worker.state() {
            State::Starting { .. } | State::Ready { .. } => return,
            State::Backoff { until } => Some(Instant::from_std(until)),
            State::Failed { retry_at } => Some(Instant::from_std(retry_at)),
            State::Stopping => Some(Instant::now() + Duration::from_secs(1)),
            State::Stopped => None,
        };
        self.down(retry_at);
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Spawn(generation) => self.spawn(generation),
            Action::Stop(_) => {
                if let Some(life) = &self.life {
                    life.cancel.cancel();
                }
            }
            Action::Up(_) => {
                if let Some(session) = self.session.take() {
                    self.list(SourceState::Ready);
                    self.upstream.set_phase(Phase::Ready(session));
                }
            }
            // The state after it says what to publish.
            Action::Down(_) => self.session = None,
        }
    }

    fn spawn(&mut self, generation: Generation) {
        let hopeful = self.worker.failures() <= 1;
        self.upstream.set_phase(Phase::Starting {
            hopeful,
            last: Arc::clone(&self.reason),
        });
        let cancel = CancellationToken::new();
        let life = life::run(
            Arc::clone(&self.upstream),
            generation,
            cancel.clone(),
            self.news.clone(),
        );
        self.life = Some(Life {
            cancel,
            task: tokio::spawn(life),
        });
    }

    /// Tells callers first: they must not wait for the lists to be rebuilt.
    fn down(&mut self, retry_at: Option<Instant>) {
        self.upstream.set_phase(Phase::Down {
            reason: Arc::clone(&self.reason),
            retry_at,
        });
        self.list(SourceState::Down {
            reason: self.reason.to_string(),
        });
    }

    fn list(&mut self, state: SourceState) {
        // A restart can change the lists, so `Ready` is always published.
        if state == SourceState::Ready || state != self.listed {
            self.listed = state;
            self.upstream.list(&self.offer, self.listed.clone());
        }
    }
}

/// For the jitter of restarts only.
fn random() -> u32 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish() as u32
}
