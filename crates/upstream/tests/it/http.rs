use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use ferromcp_upstream::transport::TransportError;
use ferromcp_upstream::transport::http::{Body, HttpReply, HttpSpec, HttpTransport};
use ferromcp_upstream::transport::sse::SseError;
use http::{HeaderName, HeaderValue, StatusCode};
use tokio::sync::{Notify, mpsc};

use crate::server::{Conn, Server, always, serve};
use crate::{SOON, soon};

fn client(url: &str) -> HttpTransport {
    HttpTransport::new(&spec(url)).unwrap()
}

fn spec(url: &str) -> HttpSpec {
    let mut spec = HttpSpec::new("search", url);
    spec.limits.max_body = 10_000;
    spec.limits.max_event = 1_000;
    spec.limits.max_other = 100;
    spec
}

async fn post(server: &Server) -> Result<HttpReply, TransportError> {
    client(&server.url)
        .post(Bytes::from_static(b"{}"), &[], SOON)
        .await
}

/// The error of a POST, with its text.
async fn fails(server: &Server) -> (TransportError, String) {
    let error = post(server).await.expect_err("an error");
    let text = error.to_string();
    assert!(text.starts_with("server `search`: "), "{text}");
    (error, text)
}

/// A server that reads one request and then does `then`.
async fn after_request<F, Fut>(then: F) -> Server
where
    F: Fn(Conn) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    serve(move |mut conn| {
        let then = then.clone();
        async move {
            if conn.request().await.is_some() {
                then(conn).await;
            }
        }
    })
    .await
}

#[tokio::test]
async fn json_goes_out_with_its_headers_and_comes_back_on_one_connection() {
    let (tx, mut rx) = mpsc::channel(10);
    let server = serve(move |mut conn| {
        let tx = tx.clone();
        async move {
            while let Some(request) = conn.request().await {
                tx.send(request).await.unwrap();
                conn.answer("200 OK", "Application/JSON; charset=utf-8", "{\"ok\":1}")
                    .await;
            }
        }
    })
    .await;
    let client = HttpTransport::new(
        &spec(&format!("{}?key=1", server.url))
            .header("Authorization", "Bearer x")
            .header("X-A", "config"),
    )
    .unwrap();
    let extra = [(HeaderName::from_static("x-a"), HeaderValue::from_static("call"))];
    for _ in 0..3 {
        let reply = client
            .post(Bytes::from_static(b"{\"id\":1}"), &extra, SOON)
            .await
            .unwrap();
        assert_eq!(reply.status, StatusCode::OK);
        let Body::Json(body) = reply.body else {
            panic!("{:?}", reply.body)
        };
        assert_eq!(body, "{\"ok\":1}");
        let request = rx.recv().await.unwrap();
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        assert_eq!(body, "{\"id\":1}");
        assert!(head.starts_with("POST /mcp?key=1 HTTP/1.1\r\n"), "{head}");
        for line in [
            "authorization: Bearer x",
            "x-a: call",
            "content-type: application/json",
            "accept: application/json, text/event-stream",
        ] {
            assert_eq!(head.lines().filter(|l| *l == line).count(), 1, "{line} in {head}");
        }
        assert!(!head.contains("x-a: config"));
    }
    assert_eq!(server.connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn events_come_as_they_are_sent_and_the_end_is_an_end() {
    let seen = Arc::new(Notify::new());
    let go_on = Arc::clone(&seen);
    let server = after_request(move |mut conn| {
        let go_on = Arc::clone(&go_on);
        async move {
            conn.begin_events().await;
            conn.chunk("retry: 50\nid: 1\ndata: {\"a\"").await;
            conn.chunk(":1}\n\n").await;
            go_on.notified().await;
            conn.chunk("data: 2\n\ndata: unfinished\n").await;
            conn.send("0\r\n\r\n").await;
            conn.closed().await;
        }
    })
    .await;
    let Body::Sse(mut stream) = post(&server).await.unwrap().body else {
        panic!("not a stream")
    };
    let first = soon(stream.next()).await.unwrap().unwrap();
    assert_eq!(
        (first.data, first.id.as_deref()),
        (Bytes::from_static(b"{\"a\":1}"), Some("1"))
    );
    assert_eq!(stream.retry(), Some(Duration::from_millis(50)));
    // The second is sent only after the first was seen.
    seen.notify_one();
    assert_eq!(soon(stream.next()).await.unwrap().unwrap().data, "2");
    assert!(soon(stream.next()).await.is_none());
    assert!(soon(stream.next()).await.is_none());
}

#[tokio::test]
async fn a_stream_that_is_cut_tells_so_and_knows_where_to_resume() {
    for reset in [false, true] {
        let server = after_request(move |mut conn| async move {
            conn.begin_events().await;
            conn.chunk("id: 9\ndata: x\n\n").await;
            conn.chunk("id: 10\ndata: half").await;
            if reset {
                conn.reset();
            }
        })
        .await;
        let Body::Sse(mut stream) = post(&server).await.unwrap().body else {
            panic!("not a stream")
        };
        let error = match soon(stream.next()).await.unwrap() {
            Ok(event) => {
                assert_eq!(event.data, "x");
                assert_eq!(stream.last_event_id(), Some("9"));
                soon(stream.next()).await.unwrap().unwrap_err()
            }
            // A reset may overtake what was sent before it.
            Err(error) if reset => error,
            Err(error) => panic!("{error}"),
        };
        let text = error.to_string();
        assert!(
            text.contains("broke in the middle of an event stream") && error.may_have_run(),
            "{text}"
        );
        assert!(soon(stream.next()).await.is_none());
    }
}

#[tokio::test]
async fn a_refused_event_does_not_end_the_stream() {
    let server = after_request(|mut conn| async move {
        conn.begin_events().await;
        conn.chunk(&format!("data: {}\n\ndata: fine\n\n", "x".repeat(5000)))
            .await;
        conn.closed().await;
    })
    .await;
    let Body::Sse(mut stream) = post(&server).await.unwrap().body else {
        panic!("not a stream")
    };
    let error = soon(stream.next()).await.unwrap().unwrap_err();
    assert!(
        matches!(
            error,
            TransportError::Event {
                source: SseError::TooLarge { limit: 1000 },
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(soon(stream.next()).await.unwrap().unwrap().data, "fine");
}

#[tokio::test]
async fn accepted_and_errors_are_answers() {
    let reply = post(&always("202 Accepted", "text/plain", "").await)
        .await
        .unwrap();
    assert!(matches!(
        (reply.status, reply.body),
        (StatusCode::ACCEPTED, Body::Empty)
    ));

    let reply = post(&always("400 Bad Request", "application/json", "{\"error\":1}").await)
        .await
        .unwrap();
    assert!(
        matches!((reply.status, reply.body), (StatusCode::BAD_REQUEST, Body::Json(json)) if json == "{\"error\":1}")
    );

    let reply = post(&always("502 Bad Gateway", "text/html; x=y", "<".repeat(5000)).await)
        .await
        .unwrap();
    let Body::Other {
        content_type,
        content,
    } = reply.body
    else {
        panic!("{:?}", reply.body)
    };
    assert_eq!(
        (content_type.as_deref(), content.len()),
        (Some("text/html; x=y"), 100)
    );

    let reply = post(&always("404 Not Found", "text/event-stream", "data: x\n\n").await)
        .await
        .unwrap();
    assert!(
        matches!(reply.body, Body::Other { .. }),
        "a failed stream is no stream"
    );
}

#[tokio::test]
async fn an_unknown_type_is_handed_over_as_such() {
    let reply = post(&always("200 OK", "text/html", "<html>").await)
        .await
        .unwrap();
    assert!(matches!(reply.body, Body::Other { content, .. } if content == "<html>"));
    let server = after_request(|mut conn| async move {
        conn.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await;
        conn.closed().await;
    })
    .await;
    assert!(
        matches!(post(&server).await.unwrap().body, Body::Other { content_type: None, content } if content == "hi")
    );
}

#[tokio::test]
async fn an_oversize_body_is_refused_whether_declared_or_not() {
    let at_limit = post(&always("200 OK", "application/json", vec![b'1'; 10_000]).await)
        .await
        .unwrap();
    assert!(matches!(at_limit.body, Body::Json(json) if json.len() == 10_000));

    let (error, _) = fails(&always("200 OK", "application/json", vec![b'1'; 10_001]).await).await;
    assert!(
        matches!(error, TransportError::TooLarge { limit: 10_000, .. }),
        "{error}"
    );

    let server = after_request(|mut conn| async move {
        conn.send("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")
            .await;
        // More than the limit, and the end never comes.
        conn.chunk(&"1".repeat(6_000)).await;
        conn.chunk(&"1".repeat(6_000)).await;
        conn.closed().await;
    })
    .await;
    let (error, text) = fails(&server).await;
    assert!(
        matches!(error, TransportError::TooLarge { .. }) && error.may_have_run(),
        "{text}"
    );
}

#[tokio::test]
async fn a_refused_connection_says_so_and_certainly_did_not_run() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/mcp?token=hunter2", listener.local_addr().unwrap());
    drop(listener);
    let error = client(&url).post(Bytes::new(), &[], SOON).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("cannot connect to http://127.0.0.1:"), "{text}");
    assert!(
        text.contains("refused") && text.contains("is the server running"),
        "{text}"
    );
    assert!(!text.contains("hunter2"), "{text}");
    assert!(!error.may_have_run());
}

#[tokio::test]
async fn an_unknown_host_says_so() {
    let error = client("http://no-such-host.invalid/mcp")
        .post(Bytes::new(), &[], SOON)
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("cannot connect to http://no-such-host.invalid/mcp") && text.contains("lookup"),
        "{text}"
    );
    assert!(!error.may_have_run());
}

#[tokio::test]
async fn a_reset_before_and_in_the_middle_of_an_answer() {
    let (error, text) = fails(&after_request(|conn| async move { conn.reset() }).await).await;
    assert!(
        text.contains("broke before an answer came") && error.may_have_run(),
        "{text}"
    );

    let (_, text) = fails(&after_request(|conn| async move { drop(conn) }).await).await;
    assert!(text.contains("broke before an answer came"), "{text}");

    let half = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{\"half\":";
    let server = after_request(move |mut conn| async move { conn.send(half).await }).await;
    let (error, text) = fails(&server).await;
    assert!(
        text.contains("broke while its answer was read") && error.may_have_run(),
        "{text}"
    );
}

#[tokio::test]
async fn what_is_not_http_is_reported_as_broken() {
    for garbage in [
        "SSH-2.0-OpenSSH_9.6\r\n",
        "\0\0\0\0\0\0\0\0\r\n\r\n",
        "HTTP/1.1 nonsense\r\n\r\n",
    ] {
        let server = after_request(move |mut conn| async move { conn.send(garbage).await }).await;
        let (error, text) = fails(&server).await;
        assert!(matches!(error, TransportError::Broken { .. }), "{text}");
    }
}

#[tokio::test]
async fn slow_heads_and_slow_bodies_run_out_of_time() {
    let begun = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    for answer in ["", "HTTP/1.1 200 OK\r\n", begun] {
        let server = after_request(move |mut conn| async move {
            conn.send(answer).await;
            conn.closed().await;
        })
        .await;
        let time = Duration::from_millis(100);
        let error = client(&server.url)
            .post(Bytes::new(), &[], time)
            .await
            .unwrap_err();
        assert!(
            matches!(&error, TransportError::Timeout { after, .. } if *after == time),
            "{error}"
        );
        assert!(
            error.to_string().contains("within 0.1 s") && error.may_have_run(),
            "{error}"
        );
    }
}

#[tokio::test]
async fn redirects_are_refused_with_the_address_to_use() {
    let server = after_request(|mut conn| async move {
        conn.send(
            "HTTP/1.1 307 Temporary Redirect\r\nlocation: /v2/mcp?secret=1\r\ncontent-length: 0\r\n\r\n",
        )
        .await;
        conn.closed().await;
    })
    .await;
    let (error, text) = fails(&server).await;
    assert!(!error.may_have_run());
    assert!(
        text.contains("307") && text.contains(&server.url.replace("/mcp", "/v2/mcp")),
        "{text}"
    );
    assert!(
        text.contains("put the final address in `url`") && !text.contains("secret"),
        "{text}"
    );
}

#[tokio::test]
async fn a_caller_that_goes_away_closes_the_request() {
    let gone = Arc::new(Notify::new());
    let (arrived_tx, mut arrived) = mpsc::channel(1);
    let tell = Arc::clone(&gone);
    let server = after_request(move |mut conn| {
        let (tell, arrived) = (Arc::clone(&tell), arrived_tx.clone());
        async move {
            arrived.send(()).await.unwrap();
            conn.closed().await;
            tell.notify_one();
        }
    })
    .await;
    let client = client(&server.url);
    let call = tokio::spawn(async move { client.post(Bytes::from_static(b"{}"), &[], SOON).await.map(drop) });
    soon(arrived.recv()).await.unwrap();
    call.abort();
    soon(gone.notified()).await;
}

#[tokio::test]
async fn get_resumes_and_delete_ends() {
    let (tx, mut rx) = mpsc::channel(10);
    let server = serve(move |mut conn| {
        let tx = tx.clone();
        async move {
            while let Some(request) = conn.request().await {
                tx.send(request).await.unwrap();
                conn.answer("405 Method Not Allowed", "text/plain", "").await;
            }
        }
    })
    .await;
    let client = client(&server.url);
    let session = [(
        HeaderName::from_static("mcp-session-id"),
        HeaderValue::from_static("s1"),
    )];
    let reply = client.get_stream(Some("e 7"), &session, SOON).await.unwrap();
    assert!(matches!(
        (reply.status, reply.body),
        (StatusCode::METHOD_NOT_ALLOWED, Body::Empty)
    ));
    let request = rx.recv().await.unwrap();
    assert!(request.starts_with("GET /mcp HTTP/1.1\r\n"), "{request}");
    assert!(
        request.contains("last-event-id: e 7\r\n") && request.contains("accept: text/event-stream\r\n"),
        "{request}"
    );
    client.get_stream(Some("bad\nid"), &session, SOON).await.unwrap();
    assert!(!rx.recv().await.unwrap().contains("last-event-id"));
    client.delete(&session, SOON).await.unwrap();
    let request = rx.recv().await.unwrap();
    assert!(
        request.starts_with("DELETE /mcp HTTP/1.1\r\n") && request.contains("mcp-session-id: s1\r\n"),
        "{request}"
    );
    assert!(!request.contains("content-type"), "{request}");
}

#[test]
fn a_config_that_cannot_work_is_refused_without_telling_secrets() {
    let refused = |spec: &HttpSpec| {
        let text = HttpTransport::new(spec).unwrap_err().to_string();
        assert!(
            !text.contains("hunter2") && !format!("{spec:?}").contains("hunter2"),
            "{text} {spec:?}"
        );
        text
    };
    assert!(refused(&spec("/mcp")).contains("not an absolute URL"));
    assert!(refused(&spec("ftp://h.example/")).contains("`ftp`"));
    assert!(refused(&spec("https://me:hunter2@h.example/")).contains("user or password"));
    let good = "http://h.example/?k=hunter2";
    assert!(refused(&spec(good).header("Content-Length", "hunter2")).contains("set by the protocol"));
    assert!(refused(&spec(good).header("Mcp-Session-Id", "hunter2")).contains("set by the protocol"));
    assert!(refused(&spec(good).header("a b", "hunter2")).contains("not a header name"));
    assert!(refused(&spec(good).header("X", "hunter2\n")).contains("cannot hold"));
    assert!(refused(&spec(good).header("X", "hunter2").header("x", "hunter2")).contains("twice"));
    let fine = HttpTransport::new(&spec(good).header("X", "hunter2")).unwrap();
    assert!(!format!("{fine:?}").contains("hunter2"));
}
