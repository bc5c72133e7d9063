//! TLS and client certificates over real sockets.

mod pki;

use std::sync::Arc;
use std::time::Duration;

use ferromcp_adapter_http::{ClientAuth, HttpSettings, Refresh};
use ferromcp_core::tenancy::{AclSettings, Directory, KeySettings, List, TenantId, TenantSettings, new_key};
use ferromcp_core::{AccessSettings, Anonymous};
use rustls::version::{TLS12, TLS13};
use rustls::{ALL_VERSIONS, ClientConfig};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use self::pki::{Authority, Setup, Shown, connect, handshake, over, settings};
use crate::support::{Client, Response, Server, get, patiently, post, request};

const ECHO: &str = "{\"tool\":\"echo\",\"arguments\":{\"msg\":\"hi\"}}";

/// Two tenants with certificates; `a` may only echo. Gives the key of a third, `keyed`, which may only use `structured`.
fn tenants(server: &Server) -> String {
    let key = new_key(&TenantId::new("keyed").expect("an id"), &[7; 32]);
    let tenant = |id: &str, certificates: &[&str], tools: &[&str]| TenantSettings {
        id: id.into(),
        certificates: certificates.iter().map(|&rule| rule.into()).collect(),
        acl: AclSettings {
            tools: List {
                allow: tools.iter().map(|&tool| tool.into()).collect(),
                ..List::default()
            },
            ..AclSettings::default()
        },
        ..TenantSettings::default()
    };
    let mut keyed = tenant("keyed", &[], &["structured"]);
    keyed.keys = vec![KeySettings {
        hash: key.hash.to_string(),
        ..KeySettings::default()
    }];
    let all = [
        tenant("a", &["dns:*.a.example"], &["echo"]),
        tenant("b", &["dns:b.example", "dns:both.a.example"], &["*"]),
        keyed,
    ];
    server.gateway.set_access(AccessSettings {
        directory: Directory::new(&all).expect("tenants"),
        anonymous: Anonymous::Refuse,
        ..AccessSettings::default()
    });
    key.key
}

/// The server does not serve this client, whatever the client believes of its handshake: with TLS 1.3, it ends first.
async fn assert_refused(server: &Server, settings: &Arc<ClientConfig>) {
    if let Ok(stream) = handshake(server, settings).await {
        let mut client = Client::on(stream);
        client.try_send(get("/healthz", &[])).await;
        assert!(client.is_closed().await);
    }
}

async fn asked(server: &Server, settings: &Arc<ClientConfig>, request: Vec<u8>) -> Response {
    let mut client = connect(server, settings).await;
    client.send(request).await;
    client.response().await
}

#[tokio::test]
async fn both_versions_of_tls_are_spoken_and_the_older_one_can_be_refused() {
    let mut setup = Setup::new(None);
    for only_new in [false, true] {
        setup.files.tls13_only = only_new;
        let server = Server::over_tls(HttpSettings::default(), &setup.tls());
        for version in [&TLS12, &TLS13] {
            let client = settings(&Shown {
                trusted: &setup.servers,
                leaf: None,
                versions: &[version],
                http2: false,
            });
            if only_new && version.version == TLS12.version {
                assert!(handshake(&server, &client).await.is_err());
                continue;
            }
            let stream = handshake(&server, &client).await.expect("a handshake");
            assert_eq!(stream.get_ref().1.protocol_version(), Some(version.version));
            let mut client = Client::on(stream);
            for _ in 0..2 {
                client.send(post("/v1/tools/call", &[], ECHO)).await;
                assert_eq!(client.response().await.json()["output"], "hi");
            }
        }
        server.stop().await;
    }
}

#[tokio::test]
async fn http2_is_agreed_on_in_the_handshake() {
    use http_body_util::{BodyExt as _, Full};
    let setup = Setup::new(Some(ClientAuth::Required));
    let server = Server::over_tls(HttpSettings::default(), &setup.tls());
    tenants(&server);
    let leaf = setup.clients.leaf("x.a.example");
    let client = settings(&Shown {
        trusted: &setup.servers,
        leaf: Some(&leaf),
        versions: ALL_VERSIONS,
        http2: true,
    });
    let stream = handshake(&server, &client).await.expect("a handshake");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let io = hyper_util::rt::TokioIo::new(stream);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, io)
        .await
        .expect("handshake");
    let connection = tokio::spawn(connection);
    for (tool, status) in [("echo", 200), ("structured", 404)] {
        let body = format!("{{\"tool\":\"{tool}\",\"arguments\":{{\"msg\":\"hi\"}}}}");
        let request = http::Request::post(format!("https://{}/v1/tools/call", server.address))
            .header("content-type", "application/json")
            .body(Full::new(bytes::Bytes::from(body)))
            .expect("a request");
        let answer = patiently("an answer", sender.send_request(request))
            .await
            .expect("an answer");
        assert_eq!(answer.status(), status);
        let body = answer.into_body().collect().await.expect("a body").to_bytes();
        let body: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!(body["success"], status == 200, "{body}");
    }
    drop(sender);
    server.stop().await;
    let _ = patiently("the connection to end", connection).await;
}

#[tokio::test]
async fn a_client_that_does_not_trust_the_server_goes_away_and_others_are_served() {
    let setup = Setup::new(None);
    let server = Server::over_tls(HttpSettings::default(), &setup.tls());
    let wary = settings(&Shown {
        trusted: &setup.clients,
        leaf: None,
        versions: ALL_VERSIONS,
        http2: false,
    });
    assert!(handshake(&server, &wary).await.is_err());
    let answer = asked(&server, &setup.client(None), get("/healthz", &[])).await;
    assert_eq!(answer.status, 200);
    server.stop().await;
}

#[tokio::test]
async fn who_may_connect_with_which_certificate() {
    for auth in [ClientAuth::Required, ClientAuth::Optional] {
        let setup = Setup::new(Some(auth));
        let server = Server::over_tls(HttpSettings::default(), &setup.tls());
        let stranger = Authority::new("clients");
        for bad in [setup.clients.expired("x.a.example"), stranger.leaf("x.a.example")] {
            for versions in [&[&TLS12], &[&TLS13]] {
                let client = settings(&Shown {
                    trusted: &setup.servers,
                    leaf: Some(&bad),
                    versions,
                    http2: false,
                });
                assert_refused(&server, &client).await;
            }
        }
        let nothing = setup.client(None);
        match auth {
            ClientAuth::Required => assert_refused(&server, &nothing).await,
            ClientAuth::Optional => {
                let answer = asked(&server, &nothing, get("/healthz", &[])).await;
                assert_eq!(answer.status, 200);
            }
        }
        let good = setup.client(Some(&setup.clients.leaf("x.a.example")));
        assert_eq!(asked(&server, &good, get("/healthz", &[])).await.status, 200);
        server.stop().await;
    }
}

#[tokio::test]
async fn a_certificate_is_its_tenant_over_rest() {
    let setup = Setup::new(Some(ClientAuth::Optional));
    let server = Server::over_tls(HttpSettings::default(), &setup.tls());
    let key = tenants(&server);
    let structured = "{\"tool\":\"structured\",\"arguments\":{}}";
    let leaf = setup.clients.leaf("x.a.example");
    let client = setup.client(Some(&leaf));
    let listed = asked(&server, &client, get("/v1/tools", &[])).await;
    let tools = listed.json()["tools"].as_array().expect("tools").clone();
    assert_eq!(tools.len(), 1, "{listed:?}");
    assert_eq!(tools[0]["name"], "echo");
    let mut connection = connect(&server, &client).await;
    for _ in 0..2 {
        connection.send(post("/v1/tools/call", &[], ECHO)).await;
        assert_eq!(connection.response().await.json()["output"], "hi");
        connection.send(post("/v1/tools/call", &[], structured)).await;
        let hidden = connection.response().await;
        assert_eq!((hidden.status, &*hidden.code()), (404, "tool_not_found"));
        // A key in the request wins over the certificate, also when it is no good.
        let keyed = [("X-Api-Key", key.as_str())];
        connection.send(post("/v1/tools/call", &keyed, structured)).await;
        assert_eq!(connection.response().await.status, 200);
        connection.send(post("/v1/tools/call", &keyed, ECHO)).await;
        assert_eq!(connection.response().await.status, 404);
        for header in [("X-Api-Key", "nonsense"), ("Authorization", "Bearer x")] {
            connection.send(post("/v1/tools/call", &[header], ECHO)).await;
            let refused = connection.response().await;
            assert_eq!(
                (refused.status, refused.json()["error"]["rule"].as_str()),
                (401, Some("auth.key.unknown"))
            );
        }
    }
    for (name, rule) in [
        (Some("nobody.example"), "auth.certificate.unknown"),
        (Some("both.a.example"), "auth.certificate.ambiguous"),
        (None, "auth.missing"),
    ] {
        let leaf = name.map(|name| setup.clients.leaf(name));
        let client = setup.client(leaf.as_ref());
        for request in [post("/v1/tools/call", &[], ECHO), get("/v1/tools", &[])] {
            let refused = asked(&server, &client, request).await;
            assert_eq!(refused.json()["error"]["rule"], rule, "{refused:?}");
            assert_eq!(refused.status, 401, "{refused:?}");
        }
        let keyed = post("/v1/tools/call", &[("X-Api-Key", &key)], structured);
        assert_eq!(asked(&server, &client, keyed).await.status, 200);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_certificate_is_its_tenant_over_mcp_of_both_eras() {
    let setup = Setup::new(Some(ClientAuth::Required));
    let server = Server::over_tls(HttpSettings::default(), &setup.tls());
    let key = tenants(&server);
    let (a, b, nobody) = (
        setup.clients.leaf("x.a.example"),
        setup.clients.leaf("b.example"),
        setup.clients.leaf("nobody.example"),
    );
    let [a, b, nobody] = [a, b, nobody].map(|leaf| setup.client(Some(&leaf)));

    let modern = |headers: &[(&str, &str)]| crate::modern::call(1, "echo", &json!({ "msg": "hi" }), headers);
    let answer = asked(&server, &a, modern(&[])).await;
    assert_eq!(answer.json()["result"]["content"][0]["text"], "hi", "{answer:?}");
    let list = asked(&server, &a, crate::modern::other("tools/list", json!({}))).await;
    assert_eq!(list.json()["result"]["tools"].as_array().map(Vec::len), Some(1));
    let refused = asked(&server, &nobody, modern(&[])).await;
    assert_eq!(refused.status, 401, "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.body).contains("auth.certificate.unknown"));
    let other = asked(&server, &a, modern(&[("X-Api-Key", &key)])).await;
    assert_ne!(other.json()["result"]["content"][0]["text"], "hi", "{other:?}");

    let accept = ("Accept", "application/json, text/event-stream");
    let initialize = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" },
    } })
    .to_string();
    let opened = asked(&server, &a, post("/mcp", &[accept], &initialize)).await;
    let session = opened.header("mcp-session-id").expect("a session");
    let headers = [
        accept,
        ("Mcp-Session-Id", session),
        ("MCP-Protocol-Version", "2025-11-25"),
    ];
    let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" }).to_string();
    let call = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {
        "name": "echo", "arguments": { "msg": "hi" },
    } })
    .to_string();
    let ready = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }).to_string();
    assert_eq!(
        asked(&server, &a, post("/mcp", &headers, &ready)).await.status,
        202
    );
    let listed = asked(&server, &a, post("/mcp", &headers, &list)).await;
    assert_eq!(listed.json()["result"]["tools"].as_array().map(Vec::len), Some(1));
    let called = asked(&server, &a, post("/mcp", &headers, &call)).await;
    assert_eq!(called.json()["result"]["content"][0]["text"], "hi");
    // The session is of tenant a: no other certificate can use, read or end it.
    for client in [&b, &nobody] {
        let requests = [
            post("/mcp", &headers, &call),
            get("/mcp", &headers),
            request("DELETE", "/mcp", &headers, b""),
        ];
        for request in requests {
            let refused = asked(&server, client, request).await;
            assert!(matches!(refused.status, 401 | 403 | 404), "{refused:?}");
        }
    }
    let ended = asked(&server, &a, request("DELETE", "/mcp", &headers, b"")).await;
    assert_eq!(ended.status, 204);
    server.stop().await;
}

#[tokio::test]
async fn a_certificate_that_ends_ends_on_open_and_resumed_connections() {
    let setup = Setup::new(Some(ClientAuth::Required));
    let server = Server::over_tls(HttpSettings::default(), &setup.tls());
    tenants(&server);
    let leaf = setup.clients.until("x.a.example", Duration::from_secs(5));
    let client = setup.client(Some(&leaf));
    let mut open = connect(&server, &client).await;
    open.send(post("/v1/tools/call", &[], ECHO)).await;
    assert_eq!(open.response().await.status, 200);
    let mut every = tokio::time::interval(Duration::from_millis(100));
    let refused = patiently("the certificate to end", async {
        loop {
            every.tick().await;
            open.send(post("/v1/tools/call", &[], ECHO)).await;
            let answer = open.response().await;
            if answer.status != 200 {
                break answer;
            }
        }
    })
    .await;
    assert_eq!(refused.status, 401, "{refused:?}");
    assert_eq!(refused.json()["error"]["rule"], "auth.certificate.expired");
    // The client has tickets of the first connection.
    assert_refused(&server, &client).await;
    server.stop().await;
}

#[tokio::test]
async fn plain_http_is_told_to_use_tls() {
    let setup = Setup::new(None);
    let server = Server::over_tls(HttpSettings::default(), &setup.tls());
    for plain in [get("/healthz", &[]), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()] {
        let answer = server.once(plain).await;
        assert_eq!(
            (answer.status, &*answer.code()),
            (400, "invalid_request"),
            "{answer:?}"
        );
        assert!(answer.message().contains("https://"));
    }
    server.stop().await;
}

#[tokio::test]
async fn broken_and_slow_handshakes_end_and_free_their_place() {
    let setup = Setup::new(Some(ClientAuth::Required));
    let hasty = HttpSettings {
        head_timeout: Duration::from_secs(1),
        max_connections: 8,
        ..HttpSettings::default()
    };
    let server = Server::over_tls(hasty, &setup.tls());
    let good = setup.client(Some(&setup.clients.leaf("x.a.example")));
    let mut oversized = vec![22, 3, 1, 0xff, 0xff];
    oversized.resize(100_000, 0);
    let broken: [&[u8]; 8] = [
        b"",
        b"\x16",
        // A hello that is announced and never comes.
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x16\x03\x01\x00\x04\x01\x00\x00\x00",
        // SSL 2, and what is nothing at all.
        b"\x80\x2e\x01\x00\x02",
        b"\x00\xff\x00\xff",
        b"ssh-2.0-x\r\n",
        &oversized,
    ];
    let mut open = Vec::new();
    for bytes in broken {
        let mut client = server.client().await;
        client.try_send(bytes).await;
        open.push(client);
    }
    for client in open {
        let said = client.rest().await;
        // At most an alert.
        assert!(said.is_empty() || said[0] == 21, "{said:?}");
    }
    patiently("the places to be free", async {
        while server.doors.connections() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(asked(&server, &good, get("/healthz", &[])).await.status, 200);
    // Cut off half way, after a handshake that was good so far.
    let mut stream = tokio::net::TcpStream::connect(server.address)
        .await
        .expect("connect");
    stream.write_all(b"\x16\x03\x01\x02\x00\x01").await.expect("sent");
    drop(stream);
    server.stop().await;
}

#[tokio::test]
async fn who_is_one_too_many_is_closed_and_a_handshake_does_not_hold_up_the_end() {
    let setup = Setup::new(None);
    let settings = HttpSettings {
        max_connections: 1,
        ..HttpSettings::default()
    };
    let server = Server::over_tls(settings, &setup.tls());
    let mut first = server.client().await;
    first.send(b"\x16\x03\x01\x02\x00\x01".to_vec()).await;
    patiently("the first to be there", async {
        while server.doors.connections() == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let mut second = server.client().await;
    assert!(second.is_closed().await);
    server.stop.cancel();
    assert!(first.is_closed().await);
    server.stop().await;
}

#[tokio::test]
async fn a_new_certificate_is_for_new_connections_and_open_ones_go_on() {
    let setup = Setup::new(None);
    let tls = setup.tls();
    let server = Server::over_tls(HttpSettings::default(), &tls);
    let before = setup.client(None);
    let mut open = connect(&server, &before).await;
    open.send(post("/v1/tools/call", &[], ECHO)).await;
    assert_eq!(open.response().await.status, 200);
    let successor = Authority::new("successors");
    successor.leaf("localhost").put(setup.directory.path());
    assert!(matches!(tls.refresh(), Refresh::Replaced { .. }));
    let after = settings(&Shown {
        trusted: &successor,
        leaf: None,
        versions: ALL_VERSIONS,
        http2: false,
    });
    assert_eq!(asked(&server, &after, get("/healthz", &[])).await.status, 200);
    // Nor is a session of the old certificate resumed.
    assert!(handshake(&server, &before).await.is_err());
    open.send(post("/v1/tools/call", &[], ECHO)).await;
    assert_eq!(open.response().await.json()["output"], "hi");
    // A pair that is no good changes nothing.
    std::fs::write(&setup.files.key, "no key").expect("written");
    assert!(matches!(tls.refresh(), Refresh::Refused(_)));
    assert_eq!(asked(&server, &after, get("/healthz", &[])).await.status, 200);
    server.stop().await;
}

#[tokio::test]
async fn large_answers_arrive_whole_and_the_connection_rests_and_goes_on() {
    const CALLS: usize = 40;
    let setup = Setup::new(None);
    let restless = HttpSettings {
        rest_after: Duration::ZERO,
        ..HttpSettings::default()
    };
    let server = Server::over_tls(restless, &setup.tls());
    let client = setup.client(None);
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    // Little fits on the way, so the server waits for the client to read.
    socket.set_recv_buffer_size(4096).expect("a size");
    let stream = socket.connect(server.address).await.expect("connect");
    let slow = Client::on(over(stream, &client).await.expect("a handshake"));
    let large = "x".repeat(100_000);
    let body = json!({ "tool": "echo", "arguments": { "msg": large } }).to_string();
    let request = post("/v1/tools/call", &[], &body);
    let (reader, mut writer) = slow.split();
    let sent = tokio::spawn(async move {
        for _ in 0..CALLS {
            writer.write_all(&request).await.expect("sent");
        }
        writer.flush().await.expect("sent");
        writer
    });
    server.script.wait("a call to end", |s| s.finished > 0).await;
    let resting = async |count: usize| {
        patiently(&format!("{count} connections to rest"), async {
            while server.doors.resting() < count {
                tokio::task::yield_now().await;
            }
        })
        .await;
    };
    let mut quick = connect(&server, &client).await;
    quick.send(get("/healthz", &[])).await;
    assert_eq!(quick.response().await.status, 200);
    resting(1).await;
    let mut slow = Client::on(tokio::io::join(reader, tokio::io::sink()));
    for _ in 0..CALLS {
        assert_eq!(slow.response().await.json()["output"], large);
    }
    let mut writer = patiently("all to be sent", sent).await.expect("no panic");
    resting(2).await;
    writer.write_all(&get("/healthz", &[])).await.expect("sent");
    writer.flush().await.expect("sent");
    assert_eq!(slow.response().await.status, 200);
    server.stop().await;
}
