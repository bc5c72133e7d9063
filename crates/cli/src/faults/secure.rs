//! TLS of the server at a URL, with a certificate that the gateway trusts and one that it does not.

use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use ferromcp_tls::Part;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// Who signed the one that is trusted; in PEM.
pub(super) const CA: &str = include_str!("tls/ca.pem");
const TRUSTED: &str = include_str!("tls/trusted.pem");
const UNTRUSTED: &str = include_str!("tls/untrusted.pem");

#[derive(Debug)]
pub(super) struct Server {
    trusted: Arc<ServerConfig>,
    untrusted: Arc<ServerConfig>,
}

impl Server {
    /// Writes what it needs into `directory`.
    pub(super) fn new(directory: &Path) -> std::io::Result<Self> {
        Ok(Self {
            trusted: settings(directory, "trusted.pem", TRUSTED)?,
            untrusted: settings(directory, "untrusted.pem", UNTRUSTED)?,
        })
    }

    /// The handshake takes place with the first bytes that are read.
    pub(super) fn accept(
        &self,
        stream: TcpStream,
        trusted: bool,
    ) -> Option<StreamOwned<ServerConnection, TcpStream>> {
        let settings = if trusted { &self.trusted } else { &self.untrusted };
        let connection = ServerConnection::new(Arc::clone(settings)).ok()?;
        Some(StreamOwned::new(connection, stream))
    }
}

fn settings(directory: &Path, name: &str, pem: &str) -> std::io::Result<Arc<ServerConfig>> {
    let path = directory.join(name);
    std::fs::write(&path, pem)?;
    let chain = ferromcp_tls::certificates(Part::Certificate, &path);
    let chain = chain.map_err(|e| std::io::Error::other(e.problem))?;
    let key = ferromcp_tls::private_key(&path).map_err(|e| std::io::Error::other(e.problem))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut settings = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(std::io::Error::other)?;
    // A resumed session shows no certificate, and it is the certificate that is to be looked at.
    settings.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    settings.send_tls13_tickets = 0;
    Ok(Arc::new(settings))
}
