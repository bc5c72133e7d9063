//! One run of a server, from connecting to closing: the handshake, then what `follow.rs` does until the connection ends
//! or is no longer wanted.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use ferromcp_protocol::Era;
use ferromcp_supervisor::worker::Generation;
use futures_util::FutureExt;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::fault::Fault;
use crate::follow::Life;
use crate::heard::{Changes, Ear, Nonsense};
use crate::link::Link;
use crate::link::http::HttpLink;
use crate::link::stdio::StdioLink;
use crate::opening::{self, Opened, Unopened};
use crate::pool::Seat;
use crate::session::Session;
use crate::spec::TransportSpec;
use crate::transport::TransportError;
use crate::transport::http::HttpKind;
use crate::upstream::{Offer, Upstream};

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
    static CONNECTIONS: AtomicU64 = AtomicU64::new(0);
    let ear = Arc::new(Ear {
        number: CONNECTIONS.fetch_add(1, Ordering::Relaxed),
        tasks: Arc::clone(&upstream.tasks),
        name: Arc::clone(&upstream.spec.name),
        gateway: upstream.gateway.clone(),
        changes: Changes::default(),
        nonsense: Nonsense::default(),
        session: OnceLock::new(),
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
    if let TransportSpec::Http(_) | TransportSpec::Service(_) = upstream.spec.transport {
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
        TransportSpec::Service(_) => return Err(Fault::Protocol("it does not speak MCP".to_owned())),
    })
}
