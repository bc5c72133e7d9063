//! Another process takes the place of this one, without a call that fails.
//!
//! The old process starts the program file again, with its own arguments and one end of a socket as standard input, and
//! gives it its listening sockets. When the new one has read its configuration, the old one lets go of the audit log and of
//! the tenants' store; what it still records travels to the new one. When the new one's servers are ready, the old one stops
//! accepting, tells of its sessions, and the new one begins. The old one then serves the connections that it has to their
//! end. Until the new process says that it serves, whatever goes wrong leaves the old one as it was.

mod link;
mod new;
mod old;
mod used;
mod wire;

use std::net::{SocketAddr, TcpListener};

use ferromcp_adapter_http::Listener;
use serde_json::Value;

use crate::args::Upgrade;
use crate::exit::Failure;
use crate::files::print;
use crate::tenants::asked;

pub(crate) use new::Coming;
pub(crate) use old::{Going, Parts};

/// Names of doors, as sockets are handed over under them.
pub(crate) const HTTP: &str = "http";
pub(crate) const GRPC: &str = "grpc";
pub(crate) const ADMIN: &str = "admin";

/// Listening sockets: those of a process before, and those that this one has.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    /// Not used yet.
    handed: Vec<Socket>,
    own: Vec<Socket>,
}

/// A listening socket.
#[derive(Debug)]
struct Socket {
    door: String,
    /// As the configuration names it, where port 0 may be any.
    address: SocketAddr,
    socket: TcpListener,
}

impl Sockets {
    /// Those of a door: the ones that were handed over for the same address, or new ones.
    pub(crate) fn bind(
        &mut self,
        door: &'static str,
        address: SocketAddr,
        count: usize,
    ) -> std::io::Result<Vec<Listener>> {
        let (own, rest): (Vec<_>, Vec<_>) = self
            .handed
            .drain(..)
            .partition(|socket| socket.door == door && socket.address == address);
        self.handed = rest;
        let listeners = match own.is_empty() {
            true => Listener::bind_shared(address, count)?,
            false => own
                .into_iter()
                .map(|socket| Listener::from_std(socket.socket))
                .collect::<Result<_, _>>()?,
        };
        for listener in &listeners {
            self.own.push(Socket {
                door: door.to_owned(),
                address,
                socket: listener.try_clone()?,
            });
        }
        Ok(listeners)
    }
}

/// `ferromcp upgrade`.
pub(crate) fn run(args: &Upgrade) -> Result<(), Failure> {
    let answer = asked(&args.api, http::Method::POST, &["upgrade"], String::new())?;
    if args.json {
        return print(&format!("{answer:#}\n"));
    }
    let took = answer["took_ms"].as_u64().unwrap_or_default();
    print(&format!(
        "process {} serves, version {}, after {}.{:03} s\n",
        answer["pid"],
        answer["version"].as_str().unwrap_or_default(),
        took / 1000,
        took % 1000
    ))?;
    match &answer["old_pid"] {
        Value::Null => Ok(()),
        old => print(&format!(
            "process {old} serves the connections that it has, and ends\n"
        )),
    }
}
