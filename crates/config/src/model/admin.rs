//! The admin API as plain data.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::KeyHash;

/// `admin`: the API that changes tenants while the server runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// Take configurations that are sent to it; default no.
    pub accept_config: bool,
    /// Where it listens: a loopback address; default 127.0.0.1:9090.
    pub listen: SocketAddr,
    /// Hashes of the keys that open it: 1 to 16, none of them a tenant's.
    pub keys: Vec<KeyHash>,
    /// Directory of the tenants that are made through it, resolved against the config file. It need not exist.
    pub store: PathBuf,
}
