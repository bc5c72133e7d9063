//! The gRPC door beside the others.

use std::sync::Arc;
use std::thread::JoinHandle;

use ferromcp_adapter_grpc::{Doors, GrpcSettings};
use ferromcp_adapter_http::Listener;
use ferromcp_config::{Config, LogFormat};
use ferromcp_endpoint::Endpoint;
use tokio::net::TcpListener;
use tracing::{error, info};

use super::Server;
use crate::build;
use crate::exit::Failure;
use crate::upgrade::{self, Sockets};

/// Binds the sockets, one for each thread, if there are to be any.
pub(super) fn bind(config: &Config, sockets: &mut Sockets, threads: usize) -> Result<Vec<Listener>, Failure> {
    let Some(address) = config.listen.grpc else {
        return Ok(Vec::new());
    };
    sockets
        .bind(upgrade::GRPC, address, threads)
        .map_err(|e| Failure::Bind(format!("listen.grpc: {e} (--grpc-addr)")))
}

impl Server {
    /// Opens the door, on threads with a runtime each: the same calls on one runtime for all cost a fifth more.
    pub(super) fn open_grpc(
        &self,
        listeners: Vec<Listener>,
        endpoint: &Arc<Endpoint>,
    ) -> Result<(Vec<JoinHandle<()>>, Option<Doors>), Failure> {
        let Some(address) = listeners.first().map(Listener::local_addr) else {
            return Ok((Vec::new(), None));
        };
        let failed = |e| Failure::other("cannot start the gRPC door", e);
        let settings = GrpcSettings {
            max_message: self.config.validation.max_body,
            guesses: build::guesses(&self.config)?,
            ..GrpcSettings::default()
        };
        let doors = Doors::new(Arc::clone(endpoint), settings, self.tls.clone()).map_err(failed)?;
        let mut threads = Vec::new();
        for (number, listener) in listeners.into_iter().enumerate() {
            let (doors, stop) = (doors.clone(), self.stop.clone());
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(failed)?;
            let serve = async move {
                match TcpListener::from_std(listener.into_std()) {
                    Ok(listener) => ferromcp_adapter_grpc::serve(listener, doors, stop).await,
                    Err(e) => error!(error = %e, "the gRPC door cannot be served"),
                }
            };
            let thread = std::thread::Builder::new().name(format!("grpc-{number}"));
            threads.push(thread.spawn(move || runtime.block_on(serve)).map_err(failed)?);
        }
        if self.config.log.format == LogFormat::Json {
            info!(%address, "gRPC listening");
        } else {
            eprintln!("gRPC {address}");
        }
        Ok((threads, Some(doors)))
    }
}
