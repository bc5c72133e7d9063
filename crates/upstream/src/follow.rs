//! A connection that is open: first lists, then following its server's changes.

use std::collections::BTreeSet;
use std::future::pending;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use ferromcp_protocol::json;
use ferromcp_supervisor::worker::Generation;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::fault::Fault;
use crate::heard::{Ear, Lists};
use crate::life::News;
use crate::link::Link;
use crate::lists;
use crate::opening::{self, Opened};
use crate::pool::Seat;
use crate::session::{Level, Session};
use crate::upstream::{Offer, Upstream};

/// Changes within this time are one change.
const DEBOUNCE: Duration = Duration::from_millis(100);
/// Shortest and longest wait before a listening stream that ended is opened again.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);
const LISTEN_AGAIN_MAX: Duration = Duration::from_secs(60);

/// A server is told to say less only if nobody wants more for this long: calls come and go.
const QUIETER_AFTER: Duration = Duration::from_secs(10);
/// Longest wait for the beginning of a legacy server's own stream. One that does not begin to answer is called all the
/// same; what it says meanwhile may be lost.
const STREAM_OPENS: Duration = Duration::from_secs(3);

/// An open connection and whose it is.
pub(crate) struct Life<'a> {
    pub(crate) upstream: &'a Arc<Upstream>,
    pub(crate) seat: &'a Arc<Seat>,
    pub(crate) ear: Arc<Ear>,
    pub(crate) cancel: &'a CancellationToken,
    pub(crate) news: &'a mpsc::Sender<News>,
    pub(crate) generation: Generation,
    pub(crate) offer: Offer,
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
    pub(crate) async fn serve(&mut self, link: &Link, opened: Opened) -> Option<String> {
        let Opened { version, facts } = opened;
        let session = Arc::new(Session {
            name: Arc::clone(&self.ear.name),
            link: link.clone(),
            version,
            facts,
            number: self.ear.number,
            level: Level::default(),
        });
        let _ = self.ear.session.set(Arc::downgrade(&session));
        let lists = self.upstream.pool.lead() == 0;
        let mut stream = own_stream(&session);
        {
            let prepare = async {
                let read = async {
                    if lists {
                        return lists::read(&session, Lists::ALL, &self.upstream.spec.tools, &mut self.offer)
                            .await;
                    }
                    // Another worker lists. To be read if this one has to.
                    self.ear.changes.add(Lists::ALL);
                    Ok(())
                };
                tokio::join!(read, stream_opens(&session)).0
            };
            let read = tokio::select! {
                biased;
                () = self.cancel.cancelled() => return None,
                read = prepare => read,
                () = drive(&mut stream) => Ok(()),
            };
            if let Err(fault) = read {
                return Some(format!("its lists cannot be read: {fault}"));
            }
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
        let why = tokio::select! {
            biased;
            () = self.cancel.cancelled() => None,
            why = ended(link) => Some(why.to_string()),
            why = self.follow(&session, stream) => Some(why.to_string()),
        };
        self.upstream.tasks.ended(&session);
        why
    }

    /// Keeps lists, subscriptions and session up to date. Ends only with a reason.
    async fn follow(&mut self, session: &Session, stream: Option<Listening<'_>>) -> Fault {
        let mut subscribed = BTreeSet::new();
        let mut wait = LISTEN_AGAIN;
        let mut since = Instant::now();
        let (upstream, seat) = (self.upstream, self.seat);
        let mut logs = upstream.logs.clone();
        logs.mark_changed();
        let mut quieter = pin!(sleep(Duration::ZERO));
        let mut is_loud = false;
        let ear = Arc::clone(&self.ear);
        let mut listening = stream.unwrap_or_else(|| self.listen(session, Duration::ZERO));
        if let Err(fault) = self.subscribe(session, &mut subscribed).await {
            return fault;
        }
        loop {
            let step = tokio::select! {
                () = ear.changes.bell.notified() => self.changed(session).await,
                () = seat.leads.notified() => {
                    if session.version.is_modern() {
                        listening = self.listen(session, Duration::ZERO);
                    }
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
                Ok(()) = logs.changed(), if session.facts.logging => {
                    let wanted = *logs.borrow_and_update();
                    session.tell_level(wanted, true).await;
                    quieter.as_mut().reset(Instant::now() + QUIETER_AFTER);
                    is_loud = true;
                    Ok(())
                }
                () = &mut quieter, if is_loud => {
                    is_loud = false;
                    let wanted = *logs.borrow();
                    session.tell_level(wanted, false).await;
                    Ok(())
                }
                () = session_lost(&session.link) => {
                    session.level.forget();
                    logs.mark_changed();
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

    /// Listens for changes where they do not come by themselves, nor on a stream of the server's own.
    fn listen<'s>(&self, session: &'s Session, after: Duration) -> Listening<'s> {
        if !session.version.is_modern() {
            return Box::pin(pending());
        }
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

/// Reads the own stream of a legacy server over HTTP, from its beginning to when the server has none any more. `None`:
/// whatever such a server says comes over its pipe, or has to be listened for.
fn own_stream(session: &Arc<Session>) -> Option<Listening<'static>> {
    let link = match &session.link {
        Link::Http(link) if !session.version.is_modern() => Arc::clone(link),
        _ => return None,
    };
    Some(Box::pin(async move {
        link.hear_server().await;
        Heard::Never
    }))
}

/// Waits until that stream is open, or it is known that there is none: what the server asks or tells before is lost.
async fn stream_opens(session: &Session) {
    if let Link::Http(link) = &session.link
        && !session.version.is_modern()
        && timeout(STREAM_OPENS, link.hears()).await.is_err()
    {
        debug!(target: "ferromcp::server", server = %session.name, "no answer yet to the request for its own stream");
    }
}

/// Drives the stream while something else is waited for. Never returns.
async fn drive(stream: &mut Option<Listening<'_>>) {
    if let Some(reading) = stream {
        reading.await;
        // It is over for good, and a future that has ended must not be asked again.
        *stream = Some(Box::pin(pending()));
    }
    pending::<()>().await;
}
