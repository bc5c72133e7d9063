//! Serving: the doors with settings that suit a program of one server.

use std::fmt;
use std::io::{self, Read};
use std::net::ToSocketAddrs;
use std::sync::Arc;
use std::time::Duration;

use ferromcp_adapter_http::{Doors, HttpSettings, Listener};
use ferromcp_adapter_stdio::StdioSettings;
use ferromcp_core::Gateway;
use ferromcp_endpoint::{Endpoint, EndpointSettings};
use tokio::io::AsyncWriteExt;
use tokio_util::sync::CancellationToken;

use crate::server::Server;

/// How long running calls may take to end after the order to stop.
const DRAIN: Duration = Duration::from_secs(30);

impl Server {
    /// Serves one MCP client on standard input and output until the input ends or the process is
    /// told to stop (Ctrl-C, SIGTERM). Nothing else may write to standard output meanwhile.
    ///
    /// # Errors
    /// Of reading and writing.
    pub async fn serve_stdio(self) -> io::Result<()> {
        let gateway = self.into_gateway();
        let endpoint = Arc::new(Endpoint::new(Arc::clone(&gateway), EndpointSettings::default()));
        let (input, output) = (standard_input()?, tokio::io::stdout());
        let settings = StdioSettings::default();
        ferromcp_adapter_stdio::serve(endpoint, input, output, settings, told_to_stop()).await?;
        gateway.drain(DRAIN).await;
        Ok(())
    }

    /// Serves MCP at `/mcp` and REST at `/v1` over HTTP until the process is told to stop (Ctrl-C,
    /// SIGTERM); running calls then have 30 s to end.
    ///
    /// There is no authentication here, so only loopback addresses are accepted. To serve a
    /// network, put the server behind the `ferromcp` gateway, or take responsibility with
    /// [`serve_http_on`](Self::serve_http_on).
    ///
    /// # Errors
    /// The address cannot be bound, or is not on loopback.
    pub async fn serve_http(self, addr: impl ToSocketAddrs + fmt::Display) -> io::Result<()> {
        let shown = addr.to_string();
        let listener = Listener::bind(addr)?;
        if !listener.local_addr().ip().is_loopback() {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!(
                    "{shown} can be reached from the network, and there is no authentication; \
                     listen on 127.0.0.1, or call serve_http_on if something before it authenticates"
                ),
            ));
        }
        let stop = CancellationToken::new();
        let told = stop.clone();
        let watcher = tokio::spawn(async move {
            told_to_stop().await;
            told.cancel();
        });
        let served = self.serve_http_on(listener, HttpSettings::default(), stop).await;
        watcher.abort();
        served
    }

    /// Serves HTTP on a socket that is bound already, with settings of your own, until `stop` is
    /// cancelled; running calls then have 30 s to end.
    ///
    /// ```no_run
    /// # async fn run(server: ferromcp::Server) -> std::io::Result<()> {
    /// use ferromcp::http::{HttpSettings, Listener, StopToken};
    ///
    /// let listener = Listener::bind("127.0.0.1:0")?;
    /// let address = listener.local_addr();
    /// let stop = StopToken::new();
    /// let serving = tokio::spawn(server.serve_http_on(listener, HttpSettings::default(), stop.clone()));
    /// // ... talk to http://{address}/mcp ...
    /// # let _ = address;
    /// stop.cancel();
    /// serving.await?
    /// # }
    /// ```
    ///
    /// # Errors
    /// The socket cannot be handed to the runtime.
    pub async fn serve_http_on(
        self,
        listener: Listener,
        settings: HttpSettings,
        stop: CancellationToken,
    ) -> io::Result<()> {
        let address = listener.local_addr();
        let gateway = self.into_gateway();
        let endpoint = Arc::new(Endpoint::new(Arc::clone(&gateway), EndpointSettings::default()));
        let doors = Doors::new(endpoint, settings);
        tracing::info!(%address, "serving MCP at /mcp and REST at /v1");
        serve_until(
            gateway,
            ferromcp_adapter_http::serve(listener, doors, stop.clone()),
            stop,
        )
        .await
    }
}

/// Serves until the end, or until the drain limit after the order to stop.
async fn serve_until(
    gateway: Arc<Gateway>,
    serving: impl Future<Output = io::Result<()>>,
    stop: CancellationToken,
) -> io::Result<()> {
    let over = async {
        stop.cancelled().await;
        if !gateway.drain(DRAIN).await {
            tracing::warn!(
                running = gateway.in_flight(),
                "calls were still running at the end of the drain"
            );
            return;
        }
        // Every call has been answered; what is left is writing the answers.
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        served = serving => served,
        () = over => Ok(()),
    }
}

/// Standard input, read by a thread of its own: tokio's would keep the runtime from ending while a
/// read waits for a client that has nothing more to say.
fn standard_input() -> io::Result<tokio::io::DuplexStream> {
    const CHUNK: usize = 64 * 1024;
    let (mut to, from) = tokio::io::duplex(CHUNK);
    let runtime = tokio::runtime::Handle::current();
    let copy = move || {
        let mut chunk = vec![0; CHUNK];
        while let Ok(read @ 1..) = io::stdin().lock().read(&mut chunk) {
            if runtime.block_on(to.write_all(&chunk[..read])).is_err() {
                return;
            }
        }
    };
    std::thread::Builder::new().name("stdin".into()).spawn(copy)?;
    Ok(from)
}

/// Ends when the process is told to stop.
async fn told_to_stop() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    // Without a signal handler nobody can tell us.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// What [`Server::serve_http_on`] takes.
pub mod http {
    pub use ferromcp_adapter_http::{HttpSettings, Listener};
    pub use tokio_util::sync::CancellationToken as StopToken;
}
