//! The gRPC door beside the others.

use std::net::TcpListener;
use std::sync::Arc;

use ferromcp_adapter_grpc::{Doors, GrpcSettings};
use ferromcp_config::{Config, LogFormat};
use ferromcp_endpoint::Endpoint;
use tokio::task::JoinHandle;
use tracing::info;

use super::Server;
use crate::build;
use crate::exit::Failure;

/// Binds the socket, if there is to be one.
pub(super) fn bind(config: &Config) -> Result<Option<TcpListener>, Failure> {
    let Some(address) = config.listen.grpc else {
        return Ok(None);
    };
    let bound = TcpListener::bind(address).and_then(|socket| {
        socket.set_nonblocking(true)?;
        Ok(socket)
    });
    bound.map(Some).map_err(|e| {
        Failure::Bind(format!(
            "listen.grpc: cannot listen on {address}: {e}; stop what listens there, or choose another address (--grpc-addr)"
        ))
    })
}

impl Server {
    /// Opens the door on the main runtime.
    pub(super) fn open_grpc(&mut self, endpoint: &Arc<Endpoint>) -> Result<Option<JoinHandle<()>>, Failure> {
        let Some(socket) = self.grpc.take() else {
            return Ok(None);
        };
        let failed = |e| Failure::other("cannot start the gRPC door", e);
        let settings = GrpcSettings {
            max_message: self.config.validation.max_body,
            guesses: build::guesses(&self.config)?,
            ..GrpcSettings::default()
        };
        let doors = Doors::new(Arc::clone(endpoint), settings, self.tls.clone()).map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        let _in = self.runtime.enter();
        let listener = tokio::net::TcpListener::from_std(socket).map_err(failed)?;
        if self.config.log.format == LogFormat::Json {
            info!(%address, "gRPC listening");
        } else {
            eprintln!("gRPC {address}");
        }
        let stop = self.stop.clone();
        Ok(Some(tokio::spawn(ferromcp_adapter_grpc::serve(
            listener, doors, stop,
        ))))
    }
}
