//! Ports and limits of the machine.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::time::Duration;

use bytes::Bytes;
use ferromcp_config::{Config, Transport};
use http::Method;
use url::Url;

use super::finding::Finding;
use crate::build;
use crate::client::{remote, trust};

/// How long whoever has a port may take to say who it is.
const ASK: Duration = Duration::from_secs(3);

/// An address that serve would bind.
#[derive(Clone, Copy)]
pub(super) struct Port {
    name: &'static str,
    address: SocketAddr,
}

pub(super) fn ports(config: &Config) -> Vec<Port> {
    let all = [
        ("listen.http", Some(config.listen.http)),
        ("listen.grpc", config.listen.grpc),
        ("admin.listen", config.admin.as_ref().map(|admin| admin.listen)),
    ];
    let named = all
        .into_iter()
        .filter_map(|(name, address)| Some((name, address?)));
    named.map(|(name, address)| Port { name, address }).collect()
}

pub(super) async fn port(config: &Config, port: Port) -> Finding {
    let Port { name, address } = port;
    let error = match TcpListener::bind(address) {
        Ok(_) => return Finding::ok(name, format!("{address} is free")),
        Err(error) => error,
    };
    match error.kind() {
        ErrorKind::AddrInUse if runs_here(config).await => Finding::ok(
            name,
            format!("{address} is taken; a ferromcp answers at {}", config.listen.http),
        ),
        ErrorKind::AddrInUse => Finding::fail(
            name,
            format!("{address} is taken, and not by a ferromcp that answers"),
            format!(
                "set another {name}, or end what has it: ss -ltnp 'sport = :{}'",
                address.port()
            ),
        ),
        ErrorKind::PermissionDenied => Finding::fail(
            name,
            format!("{address} cannot be bound: permission denied"),
            "use a port from 1024 on, or allow it: setcap cap_net_bind_service=+ep $(command -v ferromcp)",
        ),
        ErrorKind::AddrNotAvailable => Finding::fail(
            name,
            format!("{address} is no address of this machine"),
            "name one of `ip address`, or 127.0.0.1",
        ),
        _ => Finding::fail(
            name,
            format!("{address} cannot be bound: {error}"),
            format!("set another {name}"),
        ),
    }
}

/// Whether a ferromcp has the HTTP door of this configuration, by what its health says.
async fn runs_here(config: &Config) -> bool {
    let mut at = config.listen.http;
    if at.ip().is_unspecified() {
        at.set_ip(match at.ip() {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        });
    }
    let Ok(url) = Url::parse(&format!("{}://{at}/health", build::scheme(config))) else {
        return false;
    };
    let Ok(tls) = trust::system() else {
        return false;
    };
    let asked = remote::exchange(tls, Method::GET, &url, &[], Bytes::new());
    match tokio::time::timeout(ASK, asked).await {
        Ok(Ok((_, health))) => {
            health["sources"].is_array() && health["generation"].is_number() && health["version"].is_string()
        }
        _ => false,
    }
}

#[cfg(unix)]
pub(super) fn open_files(config: &Config) -> Vec<Finding> {
    /// Pipes of a child process.
    const OF_A_CHILD: u64 = 4;
    /// Listeners, logs, libraries.
    const OWN: u64 = 64;
    const CHECK: &str = "open files";
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let Some(soft) = limit.current else {
        return vec![Finding::ok(CHECK, "no limit")];
    };
    let hard = limit
        .maximum
        .map_or_else(|| "no".to_owned(), |hard| hard.to_string());
    let children: usize = config
        .servers
        .iter()
        .filter(|server| matches!(server.transport, Transport::Stdio(_)))
        .map(|server| server.pool.max)
        .sum();
    let children = children.min(config.supervisor.max_workers) as u64;
    let needed = OWN + OF_A_CHILD * children;
    let sessions = config.sessions.max as u64;
    let raise = |to: u64| format!("ulimit -n {to} before the start, or LimitNOFILE={to} of systemd");
    let finding = if soft < needed {
        Finding::fail(
            CHECK,
            format!("the limit is {soft}, and {children} child processes alone need {needed}"),
            raise(needed + sessions),
        )
    } else if soft < needed + sessions {
        Finding::warn(
            CHECK,
            format!(
                "the limit is {soft} (hard limit {hard}): enough for {} connections, sessions.max is {sessions}",
                soft - needed
            ),
            format!("{}; or a lower sessions.max", raise(needed + sessions)),
        )
    } else {
        Finding::ok(
            CHECK,
            format!("the limit is {soft}, {} are needed at most", needed + sessions),
        )
    };
    vec![finding]
}

#[cfg(not(unix))]
pub(super) fn open_files(_: &Config) -> Vec<Finding> {
    vec![Finding::skipped(
        "open files",
        "this system has no limit to look at",
    )]
}
