//! Listening sockets.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;
/// A peer that is silent for this long is probed, so that a dead one is noticed.
const PROBE_AFTER: Duration = Duration::from_secs(60);
/// Sent data that nobody acknowledges for this long ends the connection (Linux).
const UNACKNOWLEDGED: Duration = Duration::from_secs(60);

/// A bound socket. It belongs to no runtime until it is served, so that it can be handed to the
/// thread that serves it.
#[derive(Debug)]
pub struct Listener {
    socket: std::net::TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Binds one socket. Errors name the address and what to do.
    pub fn bind(address: impl ToSocketAddrs + std::fmt::Display) -> io::Result<Self> {
        let shown = address.to_string();
        let resolved = address.to_socket_addrs().map_err(|e| explain(&shown, &e))?;
        let mut last = io::Error::new(io::ErrorKind::InvalidInput, "the name has no address");
        for address in resolved {
            match open(address, false) {
                Ok(listener) => return Ok(listener),
                Err(e) => last = e,
            }
        }
        Err(explain(&shown, &last))
    }

    /// Binds `count` sockets on one address, between which the kernel divides new connections:
    /// one for each thread that serves. Where the system cannot do that, it binds one.
    pub fn bind_shared(
        address: impl ToSocketAddrs + std::fmt::Display,
        count: usize,
    ) -> io::Result<Vec<Self>> {
        if count <= 1 || !cfg!(target_os = "linux") {
            return Ok(vec![Self::bind(address)?]);
        }
        // A first socket without address sharing: two servers on one port must not go unnoticed.
        let first = Self::bind(&*address.to_string())?;
        let address = first.address;
        drop(first);
        (0..count)
            .map(|_| open(address, true).map_err(|e| explain(&address.to_string(), &e)))
            .collect()
    }

    /// A socket that listens already, of another process.
    ///
    /// # Errors
    /// It is no socket that listens.
    pub fn from_std(socket: std::net::TcpListener) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address })
    }

    /// The same socket once more, to be handed to another process.
    ///
    /// # Errors
    /// The process has too many files open.
    pub fn try_clone(&self) -> io::Result<std::net::TcpListener> {
        self.socket.try_clone()
    }

    /// The address that was bound, with the real port.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The socket itself, for another door. It does not block.
    pub fn into_std(self) -> std::net::TcpListener {
        self.socket
    }

    /// Hands the socket to the current runtime.
    pub(crate) fn into_tokio(self) -> io::Result<tokio::net::TcpListener> {
        tokio::net::TcpListener::from_std(self.socket)
    }
}

fn open(address: SocketAddr, shared: bool) -> io::Result<Listener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(cfg!(unix))?;
    #[cfg(target_os = "linux")]
    {
        socket.set_reuse_port(shared)?;
        socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))?;
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (shared, UNACKNOWLEDGED);
    // Accepted sockets inherit this on the systems that we serve on.
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(PROBE_AFTER))?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    let socket = std::net::TcpListener::from(socket);
    let address = socket.local_addr()?;
    Ok(Listener { socket, address })
}

fn explain(address: &str, error: &io::Error) -> io::Error {
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => "another program listens there; stop it or choose another port",
        io::ErrorKind::PermissionDenied => "ports below 1024 need a privilege; choose another port",
        io::ErrorKind::AddrNotAvailable => "this machine has no such address",
        _ => "check the address, it has the form HOST:PORT",
    };
    io::Error::new(
        error.kind(),
        format!("cannot listen on {address}: {error}; {advice}"),
    )
}
