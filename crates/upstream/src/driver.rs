//! Keeps the workers of one server running: carries out what their state machines decide, publishes the result, and
//! starts and ends workers as calls want them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ferromcp_core::SourceState;
use ferromcp_supervisor::worker::{Action, Event, Generation, Policy, State, Worker};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::fault::Fault;
use crate::life::{self, News};
use crate::pool::{Phase, Seat};
use crate::served;
use crate::session::Session;
use crate::sharing::Key;
use crate::spec::TransportSpec;
use crate::upstream::{Offer, Upstream};

mod keyed;

/// Runs until `stop`, and then until nothing of the server is left.
pub(crate) async fn run(upstream: Arc<Upstream>, stop: CancellationToken) {
    if upstream.served.is_some() {
        return served::run(upstream, stop).await;
    }
    let (news, mut inbox) = mpsc::channel(16);
    let mut driver = Driver::new(upstream, news);
    for _ in 0..driver.upstream.pool.size.min.max(1) {
        driver.add(None);
    }
    let pool = Arc::clone(&driver.upstream.pool);
    while !(driver.stopping && driver.members.is_empty()) {
        let deadline = driver.deadline();
        tokio::select! {
            biased;
            () = stop.cancelled(), if !driver.stopping => driver.stop(),
            news = inbox.recv() => if let Some(news) = news { driver.news(news).await },
            () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => driver.tick(),
            () = pool.wanted.notified(), if !driver.stopping => driver.wanted(),
        }
        driver.bury().await;
    }
}

struct Driver {
    upstream: Arc<Upstream>,
    policy: Policy,
    members: Vec<Member>,
    next_id: u32,
    news: mpsc::Sender<News>,
    /// The last lists, kept while the server is down.
    offer: Offer,
    listed: SourceState,
    /// `offer` is not what was published last.
    unpublished: bool,
    stopping: bool,
}

/// A seat and who sits there.
struct Member {
    seat: Arc<Seat>,
    worker: Worker,
    life: Option<Life>,
    /// What becomes the phase when the worker says `Up`, and is asked for signs of life.
    session: Option<Arc<Session>>,
    /// Why it is down, or was last.
    reason: Arc<str>,
    /// It is to end and not to start again.
    leaving: bool,
}

struct Life {
    end: life::End,
    task: JoinHandle<()>,
}

impl Drop for Life {
    fn drop(&mut self) {
        // Ends it also when the driver itself is dropped.
        self.end.stop.cancel();
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
                TransportSpec::Stdio(_) | TransportSpec::Service(_) => Policy::default().give_up_after,
            },
            heartbeat: upstream.spec.heartbeat,
            ..Policy::default()
        };
        Self {
            upstream,
            policy,
            members: Vec::new(),
            next_id: 1,
            news,
            offer: Offer::unknown(),
            listed: SourceState::Starting,
            unpublished: false,
            stopping: false,
        }
    }

    /// One more worker, for the calls of one caller where callers do not share.
    fn add(&mut self, key: Option<Key>) {
        let seat = Arc::new(Seat::new(self.next_id, key));
        self.next_id += 1;
        self.members.push(Member {
            seat,
            worker: Worker::new(self.policy),
            life: None,
            session: None,
            reason: "it has not been started".into(),
            leaving: false,
        });
        self.show_seats();
        self.handle(self.members.len() - 1, Event::Start);
    }

    fn show_seats(&self) {
        let seats = self.members.iter().map(|member| Arc::clone(&member.seat));
        self.upstream.pool.set_seats(seats.collect());
    }

    fn stop(&mut self) {
        self.stopping = true;
        for at in 0..self.members.len() {
            self.members[at].reason = "the gateway is stopping".into();
            self.members[at].leaving = true;
            self.handle(at, Event::Stop);
        }
    }

    /// Takes out the workers that have left, when nothing of them is there any more.
    async fn bury(&mut self) {
        let gone = |member: &Member| member.leaving && member.worker.state() == State::Stopped;
        if !self.members.iter().any(gone) {
            return;
        }
        for member in self.members.iter_mut().filter(|member| gone(member)) {
            if let Some(life) = &mut member.life {
                // Its last act was to report its end.
                let _ = (&mut life.task).await;
            }
        }
        self.members.retain(|member| !gone(member));
        self.show_seats();
    }

    /// When to look again: at what the workers wait for, or at one that may be idle for too long.
    fn deadline(&self) -> Option<Instant> {
        let workers = self.members.iter().filter_map(|member| member.worker.deadline());
        let idle = self.may_shrink().then(|| self.idle().map(|(_, at)| at)).flatten();
        workers.map(Instant::from_std).chain(idle).min()
    }

    fn staying(&self) -> usize {
        self.members.iter().filter(|member| !member.leaving).count()
    }

    fn may_shrink(&self) -> bool {
        self.staying() > self.upstream.pool.size.min.max(1)
    }

    /// The worker that may be ended first, and when. A busy one is looked at again later.
    fn idle(&self) -> Option<(usize, Instant)> {
        let idle = self.upstream.pool.size.idle;
        let lead = self.upstream.pool.lead();
        let keyed = self.is_keyed();
        let members = self.members.iter().enumerate();
        members
            .filter(|(_, member)| !member.leaving && member.seat.id != lead && member.may_idle(keyed))
            .map(|(at, member)| {
                (
                    at,
                    member.seat.idle_at(idle).unwrap_or_else(|| Instant::now() + idle),
                )
            })
            .min_by_key(|(_, when)| *when)
    }

    fn shrink(&mut self) {
        while self.may_shrink()
            && let Some((at, when)) = self.idle()
            && when <= Instant::now()
        {
            let member = &mut self.members[at];
            if !member.seat.close() {
                return;
            }
            member.leaving = true;
            member.reason = "it was not needed any more".into();
            debug!(target: "ferromcp::server", server = %self.upstream.spec.name, worker = member.seat.id, "idle; ending it");
            self.handle(at, Event::Stop);
        }
    }

    /// Calls wait. What is down may be tried again, and if all are busy there may be one more.
    fn wanted(&mut self) {
        for at in 0..self.members.len() {
            let member = &self.members[at];
            if member.seat.take_broken() && member.seat.is_ready() {
                let generation = member.worker.generation();
                self.fell(at, "it takes no more input".into());
                self.handle(at, Event::Unusable(generation));
                continue;
            }
            // Only what changes something: news of no change would make the waiting ask again.
            if let State::Failed { retry_at } = self.members[at].worker.state()
                && Instant::from_std(retry_at) <= Instant::now()
            {
                self.handle(at, Event::Start);
            }
        }
        if self.is_keyed() {
            return self.feed();
        }
        let pool = Arc::clone(&self.upstream.pool);
        let mut coming = 0;
        for member in self.members.iter().filter(|member| !member.leaving) {
            match member.worker.state() {
                State::Ready { .. } => {}
                State::Starting { .. } => coming += 1,
                // Another one would most likely fail as well.
                _ => return,
            }
        }
        for _ in coming..pool.waiting() {
            if self.staying() >= pool.size.max {
                return;
            }
            if !pool.has_room() {
                // Who waited for one more takes what there is.
                return pool.poke();
            }
            self.add(None);
        }
    }

    async fn news(&mut self, news: News) {
        let Some(at) = self
            .members
            .iter()
            .position(|member| member.seat.id == news.seat())
        else {
            return;
        };
        let current = self.members[at].worker.generation();
        match news {
            News::Ready(_, generation, session, offer) if generation == current => {
                self.members[at].session = Some(session);
                if let Some(offer) = offer {
                    self.offered(at, offer);
                }
                self.handle(at, Event::Ready(generation));
            }
            News::Listed(_, generation, offer) if generation == current => {
                self.offered(at, offer);
                if self.listed == SourceState::Ready {
                    self.publish(SourceState::Ready);
                }
            }
            News::Alive(_, generation) => self.handle(at, Event::Alive(generation)),
            News::Lost(_, generation, why) => {
                self.fell(at, why);
                self.handle(at, Event::Unusable(generation));
            }
            News::Ended(_, generation, why) => {
                if let Some(why) = why {
                    self.fell(at, why);
                }
                self.handle(at, Event::Exited(generation));
            }
            // News of an earlier life.
            News::Ready(..) | News::Listed(..) => {}
        }
    }

    /// Only the first among the workers lists; the others have the same.
    fn offered(&mut self, at: usize, offer: Offer) {
        let (lead, id) = (self.upstream.pool.lead(), self.members[at].seat.id);
        // A worker of one caller may list what is that caller's only.
        let lists = self.members[at].seat.key.is_none();
        if lists && (lead == id || lead == 0) && offer != self.offer {
            self.offer = offer;
            self.unpublished = true;
        }
    }

    fn fell(&mut self, at: usize, why: String) {
        let member = &mut self.members[at];
        warn!(target: "ferromcp::server", server = %self.upstream.spec.name, worker = member.seat.id, why, "down");
        member.reason = why.into();
    }

    fn tick(&mut self) {
        for at in 0..self.members.len() {
            let due = self.members[at].worker.deadline();
            if due.is_some_and(|due| Instant::from_std(due) <= Instant::now()) {
                self.due(at);
            }
        }
        self.shrink();
    }

    fn due(&mut self, at: usize) {
        let member = &mut self.members[at];
        match member.worker.state() {
            State::Starting { .. } => {
                member.reason = format!(
                    "it was not ready within {:.1} s (`start_timeout`)",
                    self.upstream.spec.start_timeout.as_secs_f64()
                )
                .into();
            }
            State::Ready { .. } if member.has_an_excuse() => {
                let generation = member.worker.generation();
                return self.handle(at, Event::Alive(generation));
            }
            _ => {}
        }
        self.handle(at, Event::Tick);
    }

    fn handle(&mut self, at: usize, event: Event) {
        let mut actions = Vec::new();
        let now = Instant::now();
        self.members[at]
            .worker
            .handle(event, now.into_std(), random(), &mut actions);
        for action in actions {
            self.act(at, action);
        }
        let member = &self.members[at];
        let retry_at = match member.worker.state() {
            State::Starting { .. } | State::Ready { .. } => return,
            State::Backoff { until } => Some(Instant::from_std(until)),
            State::Failed { retry_at } => Some(Instant::from_std(retry_at)),
            State::Stopping if !member.leaving => Some(now + Duration::from_secs(1)),
            State::Stopping | State::Stopped => None,
        };
        self.down(at, retry_at);
    }

    fn act(&mut self, at: usize, action: Action) {
        match action {
            Action::Spawn(generation) => self.spawn(at, generation),
            Action::Stop(_) => {
                if let Some(life) = &self.members[at].life {
                    life.end.stop.cancel();
                }
            }
            Action::Kill(_) => {
                let beat = self.policy.heartbeat.unwrap_or_default().as_secs_f64();
                let questions = self.policy.misses;
                self.fell(
                    at,
                    format!(
                        "it gave no sign of life: {questions} questions, {beat:.1} s apart, were not answered"
                    ),
                );
                if let Some(life) = &self.members[at].life {
                    life.end.kill.cancel();
                    life.end.stop.cancel();
                }
            }
            Action::Up(_) => self.up(at),
            // The state after it says what to publish.
            Action::Down(_) => self.members[at].session = None,
            Action::Ping(generation) => self.ping(at, generation),
        }
    }

    fn spawn(&mut self, at: usize, generation: Generation) {
        let pool = &self.upstream.pool;
        let member = &mut self.members[at];
        member.seat.starts.fetch_add(1, Ordering::Relaxed);
        pool.set_phase(
            &member.seat,
            Phase::Starting {
                hopeful: member.worker.failures() <= 1,
                last: Arc::clone(&member.reason),
            },
        );
        let end = life::End::default();
        let life = life::run(
            Arc::clone(&self.upstream),
            Arc::clone(&member.seat),
            generation,
            end.clone(),
            self.news.clone(),
        );
        member.life = Some(Life {
            end,
            task: tokio::spawn(life),
        });
    }

    fn up(&mut self, at: usize) {
        let member = &self.members[at];
        let Some(session) = member.session.clone() else {
            return;
        };
        let pool = Arc::clone(&self.upstream.pool);
        if pool.lead() == 0 && member.seat.key.is_none() {
            pool.set_lead(member.seat.id);
            member.seat.leads.notify_one();
        }
        // The lists first: who sees the worker ready must find its tools.
        let seat = Arc::clone(&member.seat);
        seat.touch();
        self.publish(SourceState::Ready);
        pool.set_phase(&seat, Phase::Ready(session));
        self.upstream.settle();
    }

    /// Asks for a sign of life, in the background.
    fn ping(&self, at: usize, generation: Generation) {
        let member = &self.members[at];
        let (Some(session), Some(limit)) = (member.session.clone(), self.policy.heartbeat) else {
            return;
        };
        let (news, seat) = (self.news.clone(), member.seat.id);
        tokio::spawn(async move {
            let method = if session.version.is_modern() {
                "server/discover"
            } else {
                "ping"
            };
            // Any answer will do: old servers may not know the question.
            if let Ok(Ok(_) | Err(Fault::Rpc(_) | Fault::Protocol(_) | Fault::Status { .. })) =
                timeout(limit, session.ask(method, "")).await
            {
                let _ = news.send(News::Alive(seat, generation)).await;
            }
        });
    }

    /// Tells callers first: they must not wait for the lists to be rebuilt.
    fn down(&mut self, at: usize, retry_at: Option<Instant>) {
        let pool = Arc::clone(&self.upstream.pool);
        let member = &self.members[at];
        let phase = Phase::Down {
            reason: Arc::clone(&member.reason),
            retry_at,
            looping: member.worker.is_looping(),
        };
        pool.set_phase(&member.seat, phase);
        if pool.lead() == member.seat.id {
            let next = self
                .members
                .iter()
                .find(|member| member.seat.is_ready() && member.seat.key.is_none());
            pool.set_lead(next.map_or(0, |next| next.seat.id));
            if let Some(next) = next {
                next.seat.leads.notify_one();
            }
        }
        let leaves = self.members[at].leaving && !self.stopping;
        if !leaves && !self.members.iter().any(|member| member.seat.is_ready()) {
            let reason = self.members[at].reason.to_string();
            self.publish(SourceState::Down { reason });
        }
        // Who waited for it looks at what was published.
        self.upstream.settle();
    }

    /// Puts lists and state in place of the last ones, if they differ.
    fn publish(&mut self, state: SourceState) {
        if self.unpublished || state != self.listed {
            self.unpublished = false;
            self.listed = state;
            self.upstream.list(&self.offer, self.listed.clone());
        }
    }
}

impl Member {
    /// Whether it can be without anything to do. `keyed`: callers do not share workers; then one that fails is given up as well
    /// when its caller does not come back, and the one that lists is none of them.
    fn may_idle(&self, keyed: bool) -> bool {
        if !keyed {
            return self.seat.is_ready();
        }
        self.seat.key.is_some() && !matches!(self.worker.state(), State::Starting { .. })
    }

    /// Whether silence means nothing. A server that does one thing at a time cannot answer while it works, and its calls
    /// have a deadline of their own; but a process that is stopped does not work.
    fn has_an_excuse(&self) -> bool {
        if self.seat.take_heard() {
            return true;
        }
        let pid = self.session.as_ref().and_then(|session| session.link.pid());
        self.seat.in_flight() > 0 && !pid.is_some_and(ferromcp_supervisor::is_stopped)
    }
}

/// For the jitter of restarts only.
fn random() -> u32 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish() as u32
}
