//! `listen.tls` as plain data.

use std::path::PathBuf;

use ferromcp_tls::{ClientAuth, ServerFiles};

/// `listen.tls`. When the config was read, the files were there and fitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The server's certificate chain, resolved against the config file.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Authorities of client certificates; `None`: clients are not asked for one.
    pub client_ca: Option<PathBuf>,
    /// Nobody connects without a certificate; default true. False without `client_ca`.
    pub client_required: bool,
    /// TLS 1.2 is refused; default false.
    pub tls13_only: bool,
}

impl Tls {
    /// What the TLS layer reads.
    pub fn files(&self) -> ServerFiles {
        ServerFiles {
            certificate: self.cert.clone(),
            key: self.key.clone(),
            client_ca: self.client_ca.clone(),
            client_auth: if self.client_required {
                ClientAuth::Required
            } else {
                ClientAuth::Optional
            },
            tls13_only: self.tls13_only,
        }
    }
}
