//! One run of a server, from connecting to closing: handshake, first lists, then following its changes until the
//! connection ends or is no longer wanted.

use std::collections::BTreeSet;
use std::future::pending;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use ferromcp_protocol::{Era, json};
use ferromcp_supervisor::worker::Generation;
use futures_util::FutureExt;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::fault::Fault;
use crate::heard::{Changes, Ear, Lists, Nonsense};
use crate::link::Link;
use crate::link::http::HttpLink;
use crate::link::stdio::StdioLink;
use crate::lists;
use crate::opening::{self, Opened, Unopened};
use crate::pool::Seat;
use crate::session::Session;
use crate::spec::TransportSpec;
use crate::transport::TransportError;
use crate::transport::http::HttpKind;
use crate::upstream::{Offer, Upstream};

/// Changes within this time are one change.
const DEBOUNCE: Duration = Duration::from_millis(100);
/// Shortest and longest wait before a listening stream that ended is opened again.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);
const LISTEN_AGAIN_MAX: Duration = Duration::from_secs(60);

/// What a life reports to its driver. The number is that of its seat.
#[derive(Debug)]
pub(crate) enum News {
    /// It can be called. The lists, if it is the one that lists.
    Ready(u32, Generation, Arc<Session>, Option<Offer>),
    /// Its lists changed.
    Listed(u32, Generation, Offer),
    /// It answered when it was asked for a sign of life.
    Alive(u32, Generation),
    /// It cannot be called any more, and why. What is left of it is being cleared away.
    Lost(u32, Generation, String),
    /// It is over, and nothing of it is left; the text says why, if that is not known yet and it was not told to end.
    Ended(u32, Generation, Option<String>),
}

impl News {
    pub(crate) fn seat(&self) -> u32 {
        match self {
            Self::Ready(seat, ..)
            | Self::Listed(seat, ..)
            | Self::Alive(seat, ..)
            | Self::Lost(seat, ..)
            | Self::Ended(seat, ..) => *seat,
        }
    }
}

/// How a life is told to end.
#[derive(Clone, Debug, Default)]
pub(crate) struct End {
    pub(crate) stop: CancellationToken,
    /// Cancelled before `stop` if asking is of no use.
    pub(crate) kill: CancellationToken,
}

/// Runs until the end. The last news is always `Ended`.
pub(crate) async fn run(
    upstream: Arc<Upstream>,
    seat: Arc<Seat>,
    generation: Generation,
    end: End,
    news: mpsc::Sender<News>,
) {
    // A panic is a bug, but one that must not leave the server down for good.
    let lived = AssertUnwindSafe(live(&upstream, &seat, generation, &end, &news))
        .catch_unwind()
        .await;
    let why = lived.unwrap_or_else(|_| Some("internal error while it was served; the log has it".to_owned()));
    // An error says that the driver is gone; then nobody wants to know.
    let _ = news.send(News::Ended(seat.id, generation, why)).await;
}

async fn live(
    upstream: &Arc<Upstream>,
    seat: &Arc<Seat>,
    generation: Generation,
    end: &End,
    news: &mpsc::Sender<News>,
) -> Option<String> {
    let _room = match room(upstream) {
        Ok(room) => room,
        Err(why) => return Some(why),
    };
    let cancel = &end.stop;
    let ear = Arc::new(Ear {
        name: Arc::clone(&upstream.spec.name),
        gateway: upstream.gateway.clone(),
        changes: Changes::default(),
        nonsense: Nonsense::default(),
    });
    let (link, opened) = match open(upstream, &ear, cancel).await {
        Ok(open) => open,
        Err(why) => return why,
    };
    let mut life = Life {
        upstream,
        seat,
        ear,
        cancel,
        news,
        generation,
        offer: Offer::default(),
    };
    let why = life.serve(&link, opened).await;
    if let Some(why) = why {
        // Ending a child takes a while; nobody should call it meanwhile. An error says that the driver is gone.
        let _ = news.send(News::Lost(seat.id, generation, why)).await;
    }
    if end.kill.is_cancelled() {
        link.kill().await;
    } else {
        tokio::select! {
            () = link.close() => {}
            () = end.kill.cancelled() => link.kill().await,
        }
    }
    None
}

/// The place of one child process among all of them.
fn room(upstream: &Upstream) -> Result<Option<OwnedSemaphorePermit>, String> {
    if let TransportSpec::Http(_) = upstream.spec.transport {
        return Ok(None);
    }
    Arc::clone(&upstream.room).try_acquire_owned().map(Some).map_err(|_| {
        "it was not started: the limit of child processes is reached (`supervisor.max_workers`); raise it, or lower \
         `pool.min` or `pool.max` of servers"
            .to_owned()
    })
}

/// Connects and opens. The link is closed again if that fails.
async fn open(
    upstream: &Arc<Upstream>,
    ear: &Arc<Ear>,
    cancel: &CancellationToken,
) -> Result<(Link, Opened), Option<String>> {
    let mut era = upstream.era();
    let mut events =
        matches!(&upstream.spec.transport, TransportSpec::Http(spec) if spec.kind == HttpKind::Events);
    // Why Streamable HTTP did not work.
    let mut refused: Option<Fault> = None;
    loop {
        let link = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(None),
            link = connect(upstream, ear, events) => link,
        };
        let link = link.map_err(|fault| {
            let fault = match (fault, refused.take()) {
                (Fault::Transport(TransportError::NoStream { .. }), Some(first)) => {
                    opening::no_transport(first)
                }
                (fault, _) => fault,
            };
            Some(fault.to_string())
        })?;
        if events {
            era = Some(Era::Legacy);
        }
        let outcome = tokio::select! {
            biased;
            () = cancel.cancelled() => Err(None),
            opened = opening::open(&link, era) => Ok(opened),
        };
        match outcome {
            Ok(Ok(opened)) => {
                upstream.set_era(Some(opened.version.era()));
                return Ok((link, opened));
            }
            Ok(Err(Unopened::AgainLegacy)) => {
                debug!(target: "ferromcp::server", server = %ear.name, "ended on the probe; starting it again as a legacy server");
                era = Some(Era::Legacy);
                link.close().await;
            }
            Ok(Err(Unopened::OldTransport(fault))) => {
                link.close().await;
                debug!(target: "ferromcp::server", server = %ear.name, %fault, "no Streamable HTTP; trying HTTP+SSE");
                events = true;
                refused = Some(fault);
            }
            Ok(Err(Unopened::Failed(fault))) => {
                upstream.set_era(None);
                link.close().await;
                return Err(Some(fault.to_string()));
            }
            Err(why) => {
                link.close().await;
                return Err(why);
            }
        }
    }
}

/// `events`: over HTTP+SSE, if it is HTTP.
async fn connect(upstream: &Upstream, ear: &Arc<Ear>, events: bool) -> Result<Link, Fault> {
    let time = upstream.spec.start_timeout;
    Ok(match &upstream.spec.transport {
        TransportSpec::Stdio(spec) => Link::Stdio(StdioLink::connect(spec.clone(), Arc::clone(ear)).await?),
        TransportSpec::Http(spec) if events => {
            Link::Stdio(StdioLink::connect_events(spec, Arc::clone(ear), time).await?)
        }
        TransportSpec::Http(spec) => Link::Http(HttpLink::new(spec, Arc::clone(ear), time)?),
    })
}

struct Life<'a> {
    upstream: &'a Arc<Upstream>,
    seat: &'a Arc<Seat>,
    ear: Arc<Ear>,
    cancel: &'a CancellationToken,
    news: &'a mpsc::Sender<News>,
    generation: Generation,
    offer: Offer,
}

type Listening<'a> = Pin<Box<dyn Future<Output = Heard> + Send + 'a>>;

/// How listening for changes ended.
enum Heard {
    /// The server has no such stream: do not try again.
    Never,
    /// Try again later.
    Over,
}

impl Life<'_> {
    /// Reads the lists, then serves. `None` if it was told to end.
    async fn serve(&mut self, link: &Link, opened: Opened) -> Option<String> {
        let Opened { version, facts } = opened;
        let session = Arc::new(Session {
            name: Arc::clone(&self.ear.name),
            link: link.clone(),
            version,
            facts,
        });
        let lists = self.upstream.pool.lead() == 0;
        if lists {
            let read = tokio::select! {
                biased;
                () = self.cancel.cancelled() => return None,
                read = lists::read(&session, Lists::ALL, &self.upstream.spec.tools, &mut self.offer) => read,
            };
            if let Err(fault) = read {
                return Some(format!("its lists cannot be read: {fault}"));
            }
        } else {
            // Another worker lists. To be read if this one has to.
            self.ear.changes.add(Lists::ALL);
        }
        info!(
            target: "ferromcp::server",
            server = %self.ear.name, worker = self.seat.id, %version, lists, tools = self.offer.tools.len(),
            resources = self.offer.resources.len(), prompts = self.offer.prompts.len(), "ready"
        );
        let offer = lists.then(|| self.offer.clone());
        let ready = News::Ready(self.seat.id, self.generation, Arc::clone(&session), offer);
        if self.news.send(ready).await.is_err() {
            return None;
        }
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => None,
            why = ended(link) => Some(why.to_string()),
            why = self.follow(&session) => Some(why.to_string()),
        }
    }

    /// Keeps lists, subscriptions and session up to date. Ends only with a reason.
    async fn follow(&mut self, session: &Session) -> Fault {
        let mut subscribed = BTreeSet::new();
        let mut wait = LISTEN_AGAIN;
        let mut since = Instant::now();
        let (upstream, seat) = (self.upstream, self.seat);
        let ear = Arc::clone(&self.ear);
        let mut listening = self.listen(session, Duration::ZERO);
        if let Err(fault) = self.subscribe(session, &mut subscribed).await {
            return fault;
        }
        loop {
            let step = tokio::select! {
                () = ear.changes.bell.notified() => self.changed(session).await,
                () = seat.leads.notified() => {
                    listening = self.listen(session, Duration::ZERO);
                    match self.changed(session).await {
                        Ok(()) => self.subscribe(session, &mut subscribed).await,
                        Err(fault) => Err(fault),
                    }
                }
                () = upstream.watched.changed.notified(), if self.leads() => {
                    if session.version.is_modern() {
                        // The filter is part of the request, so there is a new one.
                        listening = self.listen(session, Duration::ZERO);
                    }
                    self.subscribe(session, &mut subscribed).await
                }
                () = session_lost(&session.link) => {
                    subscribed.clear();
                    match self.renew(session).await {
                        Ok(()) => self.subscribe(session, &mut subscribed).await,
                        Err(fault) => Err(fault),
                    }
                }
                heard = &mut listening => {
                    // One that held for long ended for its own reasons.
                    wait = if since.elapsed() > LISTEN_AGAIN_MAX * 2 { LISTEN_AGAIN } else { wait };
                    since = Instant::now();
                    listening = match heard {
                        Heard::Never => Box::pin(pending()),
                        Heard::Over => self.listen(session, wait),
                    };
                    wait = (wait * 2).min(LISTEN_AGAIN_MAX);
                    Ok(())
                }
            };
            match step {
                Ok(()) => {}
                // Rings `session_lost` as well.
                Err(Fault::SessionLost) => {}
                Err(fault @ (Fault::Gone { .. } | Fault::Transport(_))) => return fault,
                Err(fault) => {
                    warn!(target: "ferromcp::server", server = %ear.name, %fault, "changes could not be followed; the last lists stay");
                }
            }
        }
    }

    /// Whether this is the worker that lists and subscribes.
    fn leads(&self) -> bool {
        self.upstream.pool.lead() == self.seat.id
    }

    /// Reads changed lists anew.
    async fn changed(&mut self, session: &Session) -> Result<(), Fault> {
        if !self.leads() {
            // What changed stays noted until this one leads.
            return Ok(());
        }
        sleep(DEBOUNCE).await;
        let lists = self.ear.changes.take();
        if lists == Lists::NONE {
            return Ok(());
        }
        let limit = self.upstream.spec.start_timeout;
        let mut offer = self.offer.clone();
        let read = timeout(
            limit,
            lists::read(session, lists, &self.upstream.spec.tools, &mut offer),
        )
        .await;
        match read.unwrap_or(Err(Fault::Slow(limit))) {
            Ok(()) => {}
            Err(Fault::SessionLost) => {
                // To be read again with the new session.
                self.ear.changes.add(lists);
                return Err(Fault::SessionLost);
            }
            Err(fault) => return Err(fault),
        }
        if offer != self.offer {
            self.offer = offer;
            // An error says that the driver is gone, and with it the cancel token's patience.
            let _ = self
                .news
                .send(News::Listed(self.seat.id, self.generation, self.offer.clone()))
                .await;
        }
        Ok(())
    }

    /// Opens a new session in place of a lost one.
    async fn renew(&mut self, session: &Session) -> Result<(), Fault> {
        let limit = self.upstream.spec.start_timeout;
        let opened = timeout(limit, opening::initialize(&session.link)).await;
        let opened = match opened.unwrap_or(Err(Fault::Slow(limit))) {
            Ok(opened) => opened,
            Err(fault) => {
                let why = format!("its session was lost and no new one could be opened: {fault}");
                return Err(Fault::Gone {
                    why: why.into(),
                    sent: false,
                });
            }
        };
        if opened.version != session.version {
            // Calls were built for the other revision: start over.
            let why = format!("it speaks revision {} after a restart", opened.version);
            return Err(Fault::Gone {
                why: why.into(),
                sent: false,
            });
        }
        debug!(target: "ferromcp::server", server = %self.ear.name, "session opened anew");
        // Whatever ended the old session may have changed the lists.
        self.ear.changes.add(Lists::ALL);
        Ok(())
    }

    /// Brings single-resource subscriptions in line with what is watched (legacy era).
    async fn subscribe(&self, session: &Session, subscribed: &mut BTreeSet<String>) -> Result<(), Fault> {
        if session.version.is_modern() || !session.facts.subscribe || !self.leads() {
            return Ok(());
        }
        let wanted = self.upstream.watched.all();
        let steps = wanted
            .difference(subscribed)
            .map(|uri| ("resources/subscribe", uri.clone()))
            .chain(
                subscribed
                    .difference(&wanted)
                    .map(|uri| ("resources/unsubscribe", uri.clone())),
            )
            .collect::<Vec<_>>();
        let limit = self.upstream.spec.start_timeout;
        for (method, uri) in steps {
            let members = format!("\"uri\":{}", json::quote(&uri));
            let answer = timeout(limit, session.ask(method, &members)).await;
            match answer.unwrap_or(Err(Fault::Slow(limit))) {
                Ok(_) | Err(Fault::Rpc(_)) => {}
                Err(fault) => return Err(fault),
            }
            if method == "resources/subscribe" {
                subscribed.insert(uri);
            } else {
                subscribed.remove(&uri);
            }
        }
        Ok(())
    }

    /// Listens for changes where they do not come by themselves.
    fn listen<'s>(&self, session: &'s Session, after: Duration) -> Listening<'s> {
        match &session.link {
            Link::Stdio(_) if !session.version.is_modern() => Box::pin(pending()),
            Link::Http(link) if !session.version.is_modern() => Box::pin(async move {
                link.hear_server().await;
                Heard::Never
            }),
            _ => {
                let filter = self.filter(session);
                let changes = Arc::clone(&self.ear);
                Box::pin(async move {
                    let Some(filter) = filter else { return Heard::Never };
                    sleep(after).await;
                    if !after.is_zero() {
                        // What was said in between is lost.
                        changes.changes.add(Lists::ALL);
                    }
                    match session.ask("subscriptions/listen", &filter).await {
                        Err(Fault::Rpc(error)) => {
                            debug!(target: "ferromcp::server", message = error.message, "no subscriptions");
                            Heard::Never
                        }
                        Ok(_) | Err(_) => Heard::Over,
                    }
                })
            }
        }
    }

    /// The members of a `subscriptions/listen`; `None` if there is nothing to listen for.
    fn filter(&self, session: &Session) -> Option<String> {
        if !self.leads() {
            return None;
        }
        let facts = &session.facts;
        let mut parts: Vec<String> = [
            (facts.tools_changed, "toolsListChanged"),
            (facts.resources_changed, "resourcesListChanged"),
            (facts.prompts_changed, "promptsListChanged"),
        ]
        .into_iter()
        .filter(|(told, _)| *told)
        .map(|(_, name)| format!("\"{name}\":true"))
        .collect();
        let watched = self.upstream.watched.all();
        if facts.subscribe && !watched.is_empty() {
            let uris: Vec<String> = watched.iter().map(|uri| json::quote(uri)).collect();
            parts.push(format!("\"resourceSubscriptions\":[{}]", uris.join(",")));
        }
        (!parts.is_empty()).then(|| format!("\"notifications\":{{{}}}", parts.join(",")))
    }
}

async fn ended(link: &Link) -> Arc<str> {
    match link {
        Link::Stdio(link) => link.ended().await,
        Link::Http(link) => link.ended().await,
    }
}

async fn session_lost(link: &Link) {
    match link {
        Link::Stdio(_) => pending().await,
        Link::Http(link) => loop {
            link.session_lost.notified().await;
            if link.needs_session() {
                return;
            }
        },
    }
}
