//! How this program reaches others over HTTP: the connector that its clients have in common.

use std::error::Error;
use std::io;
use std::time::Duration;

use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::ClientConfig;

/// Connections over HTTP/1.1, with TLS where the URL says so, each made within `connect`.
pub(crate) fn connector(tls: ClientConfig, connect: Duration) -> HttpsConnector<HttpConnector> {
    HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .wrap_connector(tcp(connect))
}

/// The same with what the system trusts, which is read only if the URL has this scheme: `https`.
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

fn tcp(connect: Duration) -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(connect));
    tcp
}

/// The cause below all others: what people can act on.
pub(crate) fn innermost(error: &dyn Error) -> String {
    let mut innermost = error;
    while let Some(inner) = innermost.source() {
        innermost = inner;
    }
    innermost.to_string()
}
