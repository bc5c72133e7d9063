//! Sockets, and what else goes over to another process.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use ferromcp_adapter_http::Listener;
use ferromcp_config::Config;
use ferromcp_core::Gateway;
use ferromcp_endpoint::Endpoint;

use super::{Server, grpc};
use crate::args::Serve;
use crate::exit::Failure;
use crate::upgrade::{self, Going, Sockets};

/// How often is looked whether connections have ended.
const LOOK: Duration = Duration::from_millis(20);

/// The sockets of all doors.
pub(super) struct Bound {
    pub(super) http: Vec<Listener>,
    pub(super) grpc: Vec<Listener>,
    pub(super) admin: Option<TcpListener>,
}

/// Binds them, or takes those that were handed over. `threads`: none without HTTP.
pub(super) fn bind(config: &Config, sockets: &mut Sockets, threads: Option<usize>) -> Result<Bound, Failure> {
    let (mut http, mut grpc) = (Vec::new(), Vec::new());
    if let Some(threads) = threads {
        let bound = sockets.bind(upgrade::HTTP, config.listen.http, threads);
        http = bound.map_err(|e| Failure::Bind(e.to_string()))?;
        grpc = grpc::bind(config, sockets, threads)?;
    }
    let admin = config.admin.as_ref();
    let admin = admin.map(|admin| bind_admin(sockets, admin.listen)).transpose()?;
    Ok(Bound { http, grpc, admin })
}

fn bind_admin(sockets: &mut Sockets, address: SocketAddr) -> Result<TcpListener, Failure> {
    let failed = |e: &dyn std::fmt::Display| Failure::Bind(format!("admin.listen: {e}"));
    let bound = sockets.bind(upgrade::ADMIN, address, 1).map_err(|e| failed(&e))?;
    let socket = bound.into_iter().next().map(Listener::into_std);
    socket.ok_or_else(|| failed(&"no socket"))
}

impl Server {
    /// What another process can take over.
    pub(super) fn going(&mut self, args: &Serve, endpoint: &Arc<Endpoint>) -> Arc<Going> {
        let (tenants, audit) = std::mem::take(&mut self.handed);
        let going = Going::new(upgrade::Parts {
            mode: args.mode,
            sockets: std::mem::take(&mut self.sockets),
            endpoint: Arc::clone(endpoint),
            gateway: Arc::clone(&self.gateway),
            tenants,
            audit,
            reloader: Arc::clone(&self.reloader),
        });
        self.reloader.set_going(Arc::clone(&going));
        going
    }
}

/// Waits until the connections that there are have ended, at most `limit`.
pub(super) async fn served_to_the_end(gateway: &Gateway, open: impl Fn() -> usize, limit: Duration) {
    let ended = async {
        while open() > 0 || gateway.in_flight() > 0 {
            tokio::time::sleep(LOOK).await;
        }
    };
    // What is open after that are connections without a call.
    let _ = tokio::time::timeout(limit, ended).await;
}
