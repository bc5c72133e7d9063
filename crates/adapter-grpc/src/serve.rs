//! The server: accepts connections, bounds them, and ends them in good order.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use ferromcp_endpoint::{Endpoint, Gate};
use ferromcp_tls::ServerTls;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use crate::route::{Certificate, Services};
use crate::settings::GrpcSettings;

/// After an error of `accept` (out of file descriptors, mostly) it is tried again this much later.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// At the end, answers that are on their way have this long. Calls have ended before.
const LAST_ANSWERS: Duration = Duration::from_secs(5);
/// Most metadata of a request, in bytes.
const MAX_METADATA: u32 = 16 << 10;

/// The gRPC door to an endpoint and its gateway.
#[derive(Clone, Debug)]
pub struct Doors {
    endpoint: Arc<Endpoint>,
    services: Arc<Services>,
    /// For connections, however many listeners there are.
    places: Arc<Semaphore>,
    tls: Option<Arc<ServerTls>>,
}

impl Doors {
    /// With TLS if there are settings for it.
    ///
    /// # Errors
    /// If the descriptors of this build are no good.
    pub fn new(
        endpoint: Arc<Endpoint>,
        settings: GrpcSettings,
        tls: Option<Arc<ServerTls>>,
    ) -> std::io::Result<Self> {
        let services = Services::new(Arc::clone(&endpoint), settings).map_err(std::io::Error::other)?;
        Ok(Self {
            endpoint,
            places: Arc::new(Semaphore::new(services.settings().max_connections)),
            services: Arc::new(services),
            tls,
        })
    }

    /// Open connections over all listeners.
    pub fn connections(&self) -> usize {
        let places = self.services.settings().max_connections;
        places.saturating_sub(self.places.available_permits())
    }
}

/// Serves until `stop` is cancelled and every connection has ended. What is still open a few seconds later is closed. Several
/// listeners may be served with clones of the same doors, each on a runtime of its own.
pub async fn serve(listener: TcpListener, doors: Doors, stop: CancellationToken) {
    let mut tasks = JoinSet::new();
    let mut follow = Box::pin(follow(&doors));
    let mut told = false;
    let endpoint = Arc::clone(&doors.endpoint);
    let mut gate = endpoint.gates().follow();
    doors.services.serving(doors.endpoint.gateway().is_ready()).await;
    loop {
        let now = gate.now();
        if now == Gate::Left && tasks.is_empty() {
            break;
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            () = gate.changed() => {}
            accepted = listener.accept(), if now == Gate::Open => match accepted {
                Ok((stream, peer)) => {
                    // Whoever comes when it is full finds the connection closed, and tries again.
                    if let Ok(place) = Arc::clone(&doors.places).try_acquire_owned() {
                        let work = connection(stream, peer.ip(), doors.clone(), stop.clone());
                        tasks.spawn(async move {
                            work.await;
                            drop(place);
                        });
                    }
                }
                Err(e) => {
                    warn!(error = %e, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(ended) = tasks.join_next() => {
                if let Err(e) = ended {
                    error!(error = %e, "a connection's task panicked; other connections go on");
                }
            }
            () = &mut follow, if !told => told = true,
        }
    }
    drop(listener);
    // It may be next in the queue for a lock that others wait for, and is polled no more.
    drop(follow);
    doors.services.end_streams().await;
    let all = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(LAST_ANSWERS, all).await.is_err() {
        debug!("connections were closed that clients kept open");
    }
}

/// Tells those who ask for health when the server is ready, and when no more calls are taken.
async fn follow(doors: &Doors) {
    let gateway = doors.endpoint.gateway();
    let mut events = gateway.events();
    let mut told = None;
    let mut over = false;
    while !over {
        over = gateway.is_draining();
        let ready = gateway.is_ready();
        if told != Some(ready) {
            doors.services.serving(ready).await;
            told = Some(ready);
        }
        // Of other events one may be lost: what is so is looked at after each.
        over |= !over && matches!(events.recv().await, Err(RecvError::Closed));
    }
}

async fn connection(stream: TcpStream, peer: IpAddr, doors: Doors, stop: CancellationToken) {
    // A reply is written in one piece and must not wait for the client's delayed ACK.
    let _ = stream.set_nodelay(true);
    let Some(tls) = &doors.tls else {
        return talk(stream, peer, None, &doors, stop).await;
    };
    let accept = TlsAcceptor::from(tls.current()).accept(stream);
    let limit = doors.services.settings().handshake_timeout;
    let accepted = tokio::select! {
        accepted = tokio::time::timeout(limit, accept) => accepted,
        () = stop.cancelled() => return,
    };
    let stream = match accepted {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return debug!(%error, "TLS handshake failed"),
        Err(_) => return debug!("TLS handshake took too long"),
    };
    match ferromcp_tls::client(stream.get_ref().1.peer_certificates()) {
        Ok(certificate) => talk(stream, peer, certificate, &doors, stop).await,
        Err(ferromcp_tls::Expired) => debug!("the certificate of a resumed session has expired"),
    }
}

async fn talk<S>(
    stream: S,
    peer: IpAddr,
    certificate: Option<Certificate>,
    doors: &Doors,
    stop: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let services = Arc::clone(&doors.services);
    let settings = services.settings().clone();
    let answer = service_fn(move |request| {
        let (services, certificate) = (Arc::clone(&services), certificate.clone());
        async move { Ok::<_, Infallible>(services.answer(request, peer, certificate).await) }
    });
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(settings.max_streams)
        .max_header_list_size(MAX_METADATA)
        .keep_alive_interval(settings.ping)
        .keep_alive_timeout(settings.ping);
    let mut work = pin!(builder.serve_connection(TokioIo::new(stream), answer));
    let finish = async {
        tokio::select! {
            () = doors.endpoint.gates().left() => {}
            () = stop.cancelled() => {}
        }
    };
    let ended = tokio::select! {
        ended = work.as_mut() => ended,
        // The client opens a new connection for what comes next: to another process, where one has the socket.
        () = finish => {
            work.as_mut().graceful_shutdown();
            work.await
        }
    };
    if let Err(error) = ended {
        debug!(%error, "connection ended early");
    }
}
