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
        of_any(address, |address| open(address, false))
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
        of_any(address, |address| open_shared(address, count))
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

/// What can be had of the first address of a name for which it can be had.
fn of_any<T>(
    address: impl ToSocketAddrs + std::fmt::Display,
    get: impl Fn(SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    let shown = address.to_string();
    let resolved = address.to_socket_addrs().map_err(|e| explain(&shown, &e))?;
    let mut last = io::Error::new(io::ErrorKind::InvalidInput, "the name has no address");
    for address in resolved {
        match get(address) {
            Ok(got) => return Ok(got),
            Err(e) => last = e,
        }
    }
    Err(explain(&shown, &last))
}

fn open(address: SocketAddr, shared: bool) -> io::Result<Listener> {
    let socket = bound(address, shared)?;
    socket.listen(BACKLOG)?;
    let socket = std::net::TcpListener::from(socket);
    let address = socket.local_addr()?;
    Ok(Listener { socket, address })
}

fn open_shared(address: SocketAddr, count: usize) -> io::Result<Vec<Listener>> {
    // A socket that does not share its address: two servers on one port must not go unnoticed. It does not listen, as a
    // client that connected to it would be cut off; so the others may have its address while it is there.
    let first = bound(address, false)?;
    let address = first
        .local_addr()?
        .as_socket()
        .ok_or_else(|| io::Error::from(io::ErrorKind::AddrNotAvailable))?;
    (0..count).map(|_| open(address, true)).collect()
}

/// A socket that does not listen yet.
fn bound(address: SocketAddr, shared: bool) -> io::Result<Socket> {
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
    Ok(socket)
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn a_port_that_another_socket_listens_on_is_refused() {
        let taken = Listener::bind_shared("127.0.0.1:0", 2).unwrap();
        assert_eq!(taken[0].local_addr(), taken[1].local_addr());
        for count in [1, 2] {
            let error = Listener::bind_shared(taken[0].local_addr(), count).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AddrInUse, "{error}");
        }
        let alone = Listener::bind("127.0.0.1:0").unwrap();
        let error = Listener::bind_shared(alone.local_addr(), 2).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse, "{error}");
    }

    /// A client that tries to connect all the time, from before there is a server.
    #[cfg(target_os = "linux")]
    #[test]
    fn who_connects_while_sockets_are_bound_is_served() {
        // Addresses that no other test has, and two of them: a client that is alone on an address can meet itself.
        let connect = |address: SocketAddr| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
            socket
                .bind(&SocketAddr::from(([127, 0, 7, 2], 0)).into())
                .unwrap();
            socket.connect(&address.into())
        };
        let address = Listener::bind("127.0.7.1:0").unwrap().local_addr();
        for _ in 0..300 {
            let (tries, bound) = (AtomicBool::new(false), AtomicBool::new(false));
            std::thread::scope(|scope| {
                let client = scope.spawn(|| {
                    let mut connected = 0;
                    while connected == 0 || !bound.load(Ordering::Acquire) {
                        connected += usize::from(connect(address).is_ok());
                        tries.store(true, Ordering::Release);
                    }
                    connected
                });
                while !tries.load(Ordering::Acquire) {
                    std::hint::spin_loop();
                }
                let listeners = Listener::bind_shared(address, 2).unwrap();
                bound.store(true, Ordering::Release);
                let connected = client.join().unwrap();
                let waiting =
                    |listener: &Listener| std::iter::from_fn(|| listener.socket.accept().ok()).count();
                assert_eq!(listeners.iter().map(waiting).sum::<usize>(), connected);
            });
        }
    }
}
