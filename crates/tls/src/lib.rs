//! Certificates: PEM files to the TLS settings of a server, exchanged while it runs, and what a client certificate says
//! about its owner.
//!
//! **Owns** reading and checking of certificate, key and CA files, with errors that say which file is wrong and what to
//! do; the TLS settings that follow from them ([`ServerTls`]); the names in a client certificate ([`names`]).
//! **Must not know** sockets, runtimes, HTTP, configuration files, or whose tenant's a certificate is.
//!
//! Start reading at [`ServerTls::load`]. The cryptography is ring's; nothing older than TLS 1.2 is spoken.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod files;
mod names;
mod server;

pub use files::{MAX_FILE, Part, TlsError, certificates, private_key};
pub use names::{Expired, client, names};
pub use rustls::ServerConfig;
pub use server::{ClientAuth, Refresh, ServerFiles, ServerTls, end_of};
