//! TLS, with a real handshake. The certificate and key in `tls/` are for these tests only.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ferromcp_upstream::transport::http::{Body, HttpSpec, HttpTransport};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{SOON, soon};

const CERTIFICATE: &[u8] = include_bytes!("tls/server.pem");
const KEY: &[u8] = include_bytes!("tls/server.key");

/// A TLS server for one connection; returns its port.
fn serve_tls() -> u16 {
    let certificate = CertificateDer::from_pem_slice(CERTIFICATE).unwrap();
    let key = PrivateKeyDer::from_pem_slice(KEY).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (socket, _) = listener.accept().unwrap();
        let mut stream = StreamOwned::new(ServerConnection::new(Arc::new(config)).unwrap(), socket);
        let mut request = [0; 4096];
        // A client that refuses the certificate ends the handshake.
        if stream.read(&mut request).is_ok_and(|n| n > 0) {
            let answer = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
            drop(stream.write_all(answer.as_bytes()).and_then(|()| stream.flush()));
            drop(stream.read(&mut request));
        }
    });
    port
}

async fn post(url: &str) -> Result<Body, String> {
    let client = HttpTransport::new(&HttpSpec::new("search", url)).unwrap();
    let reply = soon(client.post(Bytes::from_static(b"{}"), &[], SOON)).await;
    reply.map(|reply| reply.body).map_err(|error| {
        assert!(!error.may_have_run());
        error.to_string()
    })
}

#[tokio::test]
async fn an_untrusted_certificate_is_refused_with_advice() {
    let text = post(&format!("https://localhost:{}/mcp", serve_tls()))
        .await
        .unwrap_err();
    assert!(
        text.contains("cannot connect") && text.contains("SSL_CERT_FILE"),
        "{text}"
    );
}

/// A server that does not know TLS: it answers the first bytes, whatever they are, with `answer`, and stays.
async fn serve_plain(answer: &'static str) -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut hello = [0; 4096];
        while socket.read(&mut hello).await.is_ok_and(|n| n > 0) {
            socket.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    port
}

#[tokio::test]
async fn plain_http_behind_https_is_recognised() {
    let port = serve_plain("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
    let text = post(&format!("https://127.0.0.1:{port}/mcp")).await.unwrap_err();
    assert!(text.contains("does not speak TLS: is it `http://`?"), "{text}");
}

#[tokio::test]
async fn a_handshake_that_stalls_is_a_failure_to_connect() {
    let mut spec = HttpSpec::new(
        "search",
        format!("https://127.0.0.1:{}/mcp", serve_plain("").await),
    );
    spec.limits.connect_timeout = Duration::from_millis(200);
    let client = HttpTransport::new(&spec).unwrap();
    let error = soon(client.post(Bytes::from_static(b"{}"), &[], SOON))
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("no connection within 0.2 s") && !error.may_have_run(),
        "{error}"
    );
}

/// Set for the copy of this test binary that trusts the test authority.
const TRUSTING: &str = "FERROMCP_TEST_TRUSTING";

#[tokio::test]
async fn a_trusted_certificate_is_accepted_for_its_name_only() {
    if std::env::var_os(TRUSTING).is_some() {
        for host in ["localhost", "127.0.0.1"] {
            let body = post(&format!("https://{host}:{}/mcp", serve_tls()))
                .await
                .unwrap();
            assert!(matches!(body, Body::Json(json) if json == "{}"));
        }
        let text = post(&format!("https://127.0.0.2:{}/mcp", serve_tls()))
            .await
            .unwrap_err();
        assert!(text.contains("for another host name"), "{text}");
        return;
    }
    // The roots are read once per process, so another one is needed.
    let roots = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/tls/ca.pem");
    let child = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "tls::a_trusted_certificate_is_accepted_for_its_name_only",
        ])
        .env(TRUSTING, "1")
        .env("SSL_CERT_FILE", roots)
        .env_remove("SSL_CERT_DIR")
        .output();
    let output = soon(child).await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}
