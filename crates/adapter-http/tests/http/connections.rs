//! Connections: slow ones, too many of them, and their end.

use std::time::Duration;

use ferromcp_adapter_http::{HttpSettings, Listener, Threads};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;

use crate::support::{Client, Server, get, patiently, post};

fn hasty() -> HttpSettings {
    HttpSettings {
        head_timeout: Duration::from_secs(1),
        idle_timeout: Duration::from_secs(1),
        body_timeout: Duration::from_millis(100),
        ..HttpSettings::default()
    }
}

#[tokio::test]
async fn slow_heads_are_cut_off_and_others_are_served() {
    let server = Server::with(hasty()).await;
    let mut silent = server.client().await;
    let mut slow = server.client().await;
    slow.send("POST /v1/tools/call HTT").await;
    let mut second = server.client().await;
    second.send(get("/healthz", &[])).await;
    assert_eq!(second.response().await.status, 200);
    second
        .send("GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-")
        .await;
    server.assert_well().await;
    assert!(silent.is_closed().await);
    assert!(slow.is_closed().await);
    assert!(second.is_closed().await);
    server.assert_well().await;
    server.stop().await;
}

#[tokio::test]
async fn idle_connections_are_closed() {
    let server = Server::with(hasty()).await;
    let mut idle = server.client().await;
    idle.send(get("/healthz", &[])).await;
    assert_eq!(idle.response().await.status, 200);
    assert!(idle.is_closed().await);
    server.stop().await;
}

#[tokio::test]
async fn a_connection_that_rested_goes_on() {
    let settings = HttpSettings {
        rest_after: Duration::ZERO,
        ..HttpSettings::default()
    };
    let server = Server::with(settings).await;
    let mut idle = server.client().await;
    let mut gone = server.client().await;
    let mut halfway = server.client().await;
    let mut running = server.client().await;
    running
        .send(post("/v1/tools/call", &[], "{\"tool\":\"gate\"}"))
        .await;
    for client in [&mut idle, &mut gone] {
        client.send(get("/healthz", &[])).await;
        assert_eq!(client.response().await.status, 200);
    }
    // A second request has begun in the same piece as the first.
    let mut both = get("/healthz", &[]);
    both.extend_from_slice(b"GET /healthz HTT");
    halfway.send(both).await;
    assert_eq!(halfway.response().await.status, 200);
    let resting = async |count: usize| {
        patiently(&format!("{count} connections to rest"), async {
            while server.doors.resting() != count {
                tokio::task::yield_now().await;
            }
        })
        .await;
    };
    resting(2).await;
    halfway.send("P/1.1\r\nHost: localhost\r\n\r\n").await;
    assert_eq!(halfway.response().await.status, 200);
    resting(3).await;
    drop(gone);
    resting(2).await;
    for _ in 0..2 {
        idle.send(post(
            "/v1/tools/call",
            &[],
            "{\"tool\":\"echo\",\"arguments\":{\"msg\":\"again\"}}",
        ))
        .await;
        assert_eq!(idle.response().await.json()["output"], "again");
    }
    server.script.gate.add_permits(1);
    assert_eq!(running.response().await.json()["output"], "opened");
    resting(3).await;
    server.stop.cancel();
    assert!(idle.is_closed().await);
    server.stop().await;
}

#[tokio::test]
async fn a_busy_connection_is_not_idle() {
    let server = Server::with(hasty()).await;
    let mut busy = server.client().await;
    busy.send(post("/v1/tools/call", &[], "{\"tool\":\"gate\"}"))
        .await;
    server.script.wait("the call to start", |s| s.started == 1).await;
    // Another connection goes idle, later, and is closed meanwhile.
    let mut idle = server.client().await;
    idle.send(get("/healthz", &[])).await;
    assert_eq!(idle.response().await.status, 200);
    assert!(idle.is_closed().await);
    server.script.gate.add_permits(1);
    assert_eq!(busy.response().await.json()["output"], "opened");
    server.stop().await;
}

#[tokio::test]
async fn slow_bodies_get_408_and_others_are_served() {
    let server = Server::with(hasty()).await;
    for path in ["/v1/tools/call", "/mcp"] {
        let mut slow = server.client().await;
        slow.send(post(path, &[("Content-Length", "100")], "{\"tool\":"))
            .await;
        server.assert_well().await;
        let answer = slow.response().await;
        assert_eq!(answer.status, 408, "{answer:?}");
        assert!(answer.message().contains("stood still"));
    }
    server.stop().await;
}

#[tokio::test]
async fn a_dripping_body_ends_too() {
    let server = Server::with(hasty()).await;
    let mut slow = server.client().await;
    slow.send(post("/v1/tools/call", &[("Content-Length", "1000000")], "{"))
        .await;
    let (mut reader, mut writer) = slow.split();
    // No byte is late, but the whole is: ten times 100 ms are over before a million bytes.
    let drip = tokio::spawn(async move {
        let mut every = tokio::time::interval(Duration::from_millis(20));
        loop {
            every.tick().await;
            if writer.write_all(b" ").await.is_err() {
                break;
            }
        }
    });
    let mut head = [0; 12];
    patiently("408", reader.read_exact(&mut head))
        .await
        .expect("an answer");
    assert_eq!(&head, b"HTTP/1.1 408");
    drip.abort();
    server.stop().await;
}

#[tokio::test]
async fn too_many_connections_are_told_so() {
    let server = Server::with(HttpSettings {
        max_connections: 2,
        ..HttpSettings::default()
    })
    .await;
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut client = server.client().await;
        client.send(get("/healthz", &[])).await;
        assert_eq!(client.response().await.status, 200);
        open.push(client);
    }
    assert_eq!(server.doors.connections(), 2);
    let mut third = server.client().await;
    third.send(get("/healthz", &[])).await;
    let refused = third.response().await;
    assert_eq!(
        (refused.status, &*refused.code()),
        (503, "unavailable"),
        "{refused:?}"
    );
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert!(third.is_closed().await);
    open[0].send(get("/healthz", &[])).await;
    assert_eq!(open[0].response().await.status, 200);
    // A place that was given back is taken again.
    drop(open);
    patiently("a free place", async {
        loop {
            let mut client = server.client().await;
            client.try_send(get("/healthz", &[])).await;
            if client.response().await.status == 200 {
                break;
            }
        }
    })
    .await;
    server.stop().await;
}

#[tokio::test]
async fn stopping_finishes_what_runs_and_closes_what_does_not() {
    let server = Server::start().await;
    let mut idle = server.client().await;
    idle.send(get("/healthz", &[])).await;
    assert_eq!(idle.response().await.status, 200);
    let mut fresh = server.client().await;
    let mut running = server.client().await;
    running
        .send(post("/v1/tools/call", &[], "{\"tool\":\"gate\"}"))
        .await;
    server.script.wait("the call to start", |s| s.started == 1).await;
    server.stop.cancel();
    assert!(idle.is_closed().await);
    assert!(fresh.is_closed().await);
    server.script.gate.add_permits(1);
    let answer = running.response().await;
    assert_eq!(answer.json()["output"], "opened");
    assert!(running.is_closed().await);
    server.stop().await;
}

#[tokio::test]
async fn a_slow_head_does_not_hold_up_the_end() {
    let server = Server::with(hasty()).await;
    let mut slow = server.client().await;
    slow.send(get("/healthz", &[])).await;
    assert_eq!(slow.response().await.status, 200);
    slow.send("GET /healthz HTT").await;
    // The server has the head's beginning once it has answered a request that was sent after it.
    server.assert_well().await;
    server.stop.cancel();
    assert!(slow.is_closed().await);
    server.stop().await;
}

#[tokio::test]
async fn dropping_the_server_closes_every_connection() {
    let server = Server::start().await;
    let mut running = server.client().await;
    running
        .send(post("/v1/tools/call", &[], "{\"tool\":\"gate\"}"))
        .await;
    server.script.wait("the call to start", |s| s.started == 1).await;
    server.task.abort();
    assert!(running.is_closed().await);
    server
        .script
        .wait("the call to be cancelled", |s| s.dropped == 1)
        .await;
}

#[tokio::test]
async fn http2_with_prior_knowledge_is_served() {
    use http_body_util::{BodyExt as _, Full};
    let server = Server::start().await;
    let stream = tokio::net::TcpStream::connect(server.address)
        .await
        .expect("connect");
    let io = hyper_util::rt::TokioIo::new(stream);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, io)
        .await
        .expect("handshake");
    let connection = tokio::spawn(connection);
    for n in 0..10 {
        let body = format!("{{\"tool\":\"echo\",\"arguments\":{{\"msg\":\"{n}\"}}}}");
        let request = http::Request::post(format!("http://{}/v1/tools/call", server.address))
            .header("content-type", "application/json")
            .body(Full::new(bytes::Bytes::from(body)))
            .expect("a request");
        let answer = patiently("an answer", sender.send_request(request))
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 200);
        let body = answer.into_body().collect().await.expect("a body").to_bytes();
        let body: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!(body["output"], n.to_string());
    }
    let head = http::Request::head(format!("http://{}/health", server.address))
        .body(Full::new(bytes::Bytes::new()))
        .expect("a request");
    let answer = patiently("an answer", sender.send_request(head))
        .await
        .expect("an answer");
    assert!(answer.headers().contains_key("content-length"));
    assert!(
        answer
            .into_body()
            .collect()
            .await
            .expect("a body")
            .to_bytes()
            .is_empty()
    );
    drop(sender);
    server.stop().await;
    let _ = patiently("the connection to end", connection).await;
}

#[test]
fn threads_share_one_port() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let server = runtime.block_on(Server::start());
    let listeners = Listener::bind_shared("127.0.0.1:0", 2).expect("a port");
    let address = listeners[0].local_addr();
    assert!(listeners.iter().all(|l| l.local_addr() == address));
    let stop = CancellationToken::new();
    let threads = Threads::start(listeners, &server.doors, &stop, Duration::from_secs(5)).expect("threads");
    runtime.block_on(async {
        for n in 0..20 {
            let mut client = Client::connect(address).await;
            let body = format!("{{\"tool\":\"echo\",\"arguments\":{{\"msg\":\"{n}\"}}}}");
            client.send(post("/v1/tools/call", &[], &body)).await;
            assert_eq!(client.response().await.json()["output"], n.to_string());
        }
    });
    stop.cancel();
    assert!(threads.join());
    assert!(std::net::TcpStream::connect(address).is_err());
    runtime.block_on(server.stop());
}

#[test]
fn a_taken_port_is_explained() {
    let first = Listener::bind("127.0.0.1:0").expect("a port");
    let address = first.local_addr().to_string();
    for error in [
        Listener::bind(&*address).expect_err("taken"),
        Listener::bind_shared(&*address, 2).expect_err("taken"),
    ] {
        assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains(&address), "{error}");
    }
    assert!(Listener::bind("nonsense").is_err());
}
