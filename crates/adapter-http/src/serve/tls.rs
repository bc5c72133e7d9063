//! A connection that begins with a TLS handshake.

use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::server::TlsStream;

use super::connection::{Socket, talk_http, told_to_finish, until_closed};
use super::control::Control;
use super::refuse;
use crate::route::Service;

/// First byte of a TLS handshake (RFC 8446, 5.1).
const HANDSHAKE: u8 = 22;

const PLAIN: &str = "{\"success\":false,\"error\":{\"code\":\"invalid_request\",\"message\":\"this port speaks \
TLS and got plain HTTP; use an https:// URL\"}}";

impl Socket for TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// Serves a connection to its end. The handshake has as long as a request head, and then the first head has as long again.
pub(super) async fn run(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    control: Arc<Control>,
    service: Service,
) {
    let watch = Arc::clone(&control);
    // Boxed: the state of a handshake is large, and gone after it.
    until_closed(&watch, Box::pin(talk(stream, config, control, service))).await;
}

async fn talk(stream: TcpStream, config: Arc<ServerConfig>, control: Arc<Control>, service: Service) {
    let mut first = [0; 1];
    let count = tokio::select! {
        biased;
        count = stream.peek(&mut first) => count,
        () = told_to_finish(&control) => return,
    };
    match (count, first) {
        (Ok(1), [HANDSHAKE]) => {}
        (Ok(1), [byte]) if byte.is_ascii_uppercase() => {
            return refuse(stream, "400 Bad Request", PLAIN).await;
        }
        _ => return,
    }
    let accepted = tokio::select! {
        biased;
        accepted = TlsAcceptor::from(config).accept(stream) => accepted,
        () = told_to_finish(&control) => return,
    };
    let stream = match accepted {
        Ok(stream) => stream,
        Err(error) => {
            tracing::debug!(%error, "TLS handshake failed");
            return;
        }
    };
    let Ok(certificate) = ferromcp_tls::client(stream.get_ref().1.peer_certificates()) else {
        tracing::debug!("the certificate of a resumed session has expired");
        return;
    };
    control.opened();
    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    talk_http(stream, http2, control, service.with_certificate(certificate)).await;
}
