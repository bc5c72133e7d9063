//! How this program reaches others over HTTP: the connectors that its clients have in common.

use std::io;
use std::time::Duration;

use ferromcp_client::https::tcp;
pub(crate) use ferromcp_client::https::{http1, innermost};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;

/// Connections over HTTP/1.1 with what the system trusts, which is read only if the URL has this scheme: `https`.
///
/// # Errors
/// The system's certificates cannot be read.
pub(crate) fn trusting_the_system(
    scheme: Option<&str>,
    connect: Duration,
) -> io::Result<HttpsConnector<HttpConnector>> {
    let tls = HttpsConnectorBuilder::new();
    let tls = if scheme == Some("https") {
        tls.with_native_roots()?
    } else {
        tls.with_webpki_roots()
    };
    Ok(tls.https_or_http().enable_http1().wrap_connector(tcp(connect)))
}
