//! Any bytes on a connection to a real server, or as a body that reaches one of its doors.
#![no_main]

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ferromcp_adapter_http::{Doors, HttpSettings, Listener, serve};
use ferromcp_core::{Gateway, Identity, Policy};
use ferromcp_endpoint::{Endpoint, EndpointSettings};
use libfuzzer_sys::fuzz_target;
use tokio_util::sync::CancellationToken;

/// Longer than any limit of the server under test; a connection that lives on is a finding.
const PATIENCE: Duration = Duration::from_secs(20);

const LEGACY: &str = "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n";
const MODERN: &str = "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: echo\r\n";
const REST: &str = "POST /v1/tools/call HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";

fuzz_target!(|input: (u8, &[u8])| {
    let (door, data) = input;
    let head = match door % 4 {
        0 => return exchange(data),
        1 => LEGACY,
        2 => MODERN,
        _ => REST,
    };
    let mut request = format!(
        "{head}Content-Length: {}\r\nConnection: close\r\n\r\n",
        data.len()
    )
    .into_bytes();
    request.extend_from_slice(data);
    exchange(&request);
});

fn exchange(bytes: &[u8]) {
    let mut stream = TcpStream::connect(server()).expect("the server listens");
    stream
        .set_read_timeout(Some(PATIENCE))
        .expect("a timeout can be set");
    // The server may refuse and close before it has read everything.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    if let Err(error) = stream.read_to_end(&mut answer) {
        assert_eq!(
            error.kind(),
            std::io::ErrorKind::ConnectionReset,
            "the connection did not end: {error}"
        );
    }
    // HTTP/2 answers in frames; that the connection ends is all that is looked at.
    if answer.is_empty() || bytes.starts_with(b"PRI") {
        return;
    }
    assert!(
        answer.starts_with(b"HTTP/1."),
        "no HTTP: {:?}",
        String::from_utf8_lossy(&answer)
    );
    assert_ne!(
        answer.get(9..12),
        Some(&b"500"[..]),
        "{}",
        String::from_utf8_lossy(&answer)
    );
}

/// One server for the whole run, on a thread of its own.
fn server() -> SocketAddr {
    static SERVER: OnceLock<SocketAddr> = OnceLock::new();
    *SERVER.get_or_init(|| {
        let gateway = Arc::new(Gateway::new(Identity::default(), Policy::default(), ()));
        gateway.publish(ferromcp_tools::echo());
        let endpoint = Arc::new(Endpoint::new(gateway, EndpointSettings::default()));
        let settings = HttpSettings {
            head_timeout: Duration::from_secs(1),
            body_timeout: Duration::from_secs(1),
            ..HttpSettings::default()
        };
        let (send, receive) = std::sync::mpsc::sync_channel(1);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async {
                let listener = Listener::bind("127.0.0.1:0").expect("a free port");
                send.send(listener.local_addr()).expect("somebody waits");
                serve(listener, Doors::new(endpoint, settings), CancellationToken::new())
                    .await
                    .expect("it serves");
            });
        });
        receive.recv().expect("the server starts")
    })
}
