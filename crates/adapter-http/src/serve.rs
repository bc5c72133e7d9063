//! The server: accepts connections, bounds them, and ends them in good order.

mod connection;
mod control;
mod threads;
mod tls;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ferromcp_endpoint::Gate;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use crate::listen::Listener;
use crate::route::{Doors, Service, Site};
use control::{Clock, Control, Limits, Order};

pub(crate) use control::{Busy, Control as ConnectionControl};
pub use threads::Threads;

/// After an error of `accept` (out of file descriptors, mostly) it is tried again this much later.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Most connections at a time that are being told that the server is full.
const MAX_REFUSALS: usize = 64;
/// How long a refused client gets to read why.
const REFUSAL_TIME: Duration = Duration::from_secs(1);

const FULL: &str = "{\"success\":false,\"error\":{\"code\":\"unavailable\",\"message\":\"the server has its \
limit of connections open (max_connections); retry later\",\"retry_after_ms\":1000}}";

/// Serves one listener on the current runtime until `stop` is cancelled and every connection has
/// ended. Dropping the future closes all of its connections at once, so a caller bounds the drain
/// with a timeout around it.
///
/// Several listeners may serve the same [`Doors`], also from different runtimes.
///
/// # Errors
/// If the socket cannot be handed to the runtime.
pub async fn serve(listener: Listener, doors: Doors, stop: CancellationToken) -> std::io::Result<()> {
    let site = Arc::new(Site::new(doors, listener.local_addr(), stop.clone()));
    let listener = listener.into_tokio()?;
    let mut server = Server {
        site,
        clock: Arc::default(),
        connections: HashMap::new(),
        tasks: JoinSet::new(),
    };
    let left = server.accept(&listener, &stop).await;
    drop(listener);
    if left {
        server.leave(&stop).await;
    }
    server.finish().await;
    Ok(())
}

struct Server {
    site: Arc<Site>,
    clock: Arc<Clock>,
    connections: HashMap<Id, Arc<Control>>,
    tasks: JoinSet<()>,
}

impl Server {
    /// Accepts connections until the stop, or until another process has the socket (true).
    async fn accept(&mut self, listener: &TcpListener, stop: &CancellationToken) -> bool {
        let mut second = seconds();
        let site = Arc::clone(&self.site);
        let mut gate = site.endpoint().gates().follow();
        loop {
            let now = gate.now();
            if now == Gate::Left {
                return true;
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return false,
                () = gate.changed() => {}
                accepted = listener.accept(), if now == Gate::Open => match accepted {
                    Ok((stream, peer)) => self.start(stream, peer.ip()),
                    Err(e) => {
                        warn!(error = %e, "cannot accept a connection");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(ended) = self.tasks.join_next_with_id() => self.ended(ended),
                _ = second.tick() => self.sweep(),
            }
        }
    }

    /// Serves the connections that there are, while new ones are accepted elsewhere.
    async fn leave(&mut self, stop: &CancellationToken) {
        for control in self.connections.values() {
            control.order(Order::Leave);
        }
        let mut second = seconds();
        while !self.tasks.is_empty() {
            tokio::select! {
                () = stop.cancelled() => return,
                Some(ended) = self.tasks.join_next_with_id() => self.ended(ended),
                _ = second.tick() => self.sweep(),
            }
        }
    }

    fn start(&mut self, stream: TcpStream, peer: IpAddr) {
        // A reply is written in one piece and must not wait for the client's delayed ACK.
        let _ = stream.set_nodelay(true);
        let Some(place) = Place::take(&self.site) else {
            // Over TLS, saying why would cost a handshake.
            if self.site.tls().is_none() && self.tasks.len() < self.connections.len() + MAX_REFUSALS {
                self.tasks.spawn(refuse(stream, "503 Service Unavailable", FULL));
            }
            return;
        };
        let control = Control::new(Arc::clone(&self.clock));
        let service = Service::new(Arc::clone(&self.site), Arc::clone(&control), peer);
        let handle = match self.site.tls() {
            None => {
                let task = connection::run(stream, Arc::clone(&control), service);
                self.tasks.spawn(async move {
                    task.await;
                    drop(place);
                })
            }
            Some(tls) => {
                let task = tls::run(stream, tls.current(), Arc::clone(&control), service);
                self.tasks.spawn(async move {
                    task.await;
                    drop(place);
                })
            }
        };
        self.connections.insert(handle.id(), control);
    }

    fn ended(&mut self, ended: Result<(Id, ()), JoinError>) {
        let id = match ended {
            Ok((id, ())) => id,
            Err(e) => {
                if e.is_panic() {
                    error!(error = %e, "a connection's task panicked; other connections go on");
                }
                e.id()
            }
        };
        self.connections.remove(&id);
    }

    fn sweep(&self) {
        let now = self.clock.tick();
        let settings = self.site.settings();
        let limits = Limits {
            head: settings.head_timeout,
            idle: settings.idle_timeout,
            rest: settings.rest_after,
        };
        for control in self.connections.values() {
            control.sweep(now, limits);
        }
        self.site.sweep();
    }

    /// Ends every connection when its running request has been answered.
    async fn finish(&mut self) {
        for control in self.connections.values() {
            control.order(Order::Finish);
        }
        let mut second = seconds();
        while !self.tasks.is_empty() {
            tokio::select! {
                Some(ended) = self.tasks.join_next_with_id() => self.ended(ended),
                _ = second.tick() => self.sweep(),
            }
        }
        debug!("listener ended");
    }
}

fn seconds() -> tokio::time::Interval {
    let mut second = tokio::time::interval(Duration::from_secs(1));
    second.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    second
}

/// One of the server's connections, counted while it exists.
struct Place(Arc<Site>);

impl Place {
    fn take(site: &Arc<Site>) -> Option<Self> {
        let open: &AtomicUsize = site.connections();
        let before = open.fetch_add(1, Ordering::Relaxed);
        let place = Self(Arc::clone(site));
        (before < site.settings().max_connections).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.connections().fetch_sub(1, Ordering::Relaxed);
    }
}

/// Tells a client why it cannot be served, and waits a moment so that it can read it.
async fn refuse(mut stream: TcpStream, status: &'static str, body: &'static str) {
    let retry = if status.starts_with("503") {
        "retry-after: 1\r\n"
    } else {
        ""
    };
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{retry}\
         connection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let _ = tokio::time::timeout(REFUSAL_TIME, async {
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await?;
        let mut rest = [0; 1024];
        while stream.read(&mut rest).await? > 0 {}
        std::io::Result::Ok(())
    })
    .await;
}
