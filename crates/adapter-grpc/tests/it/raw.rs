//! Bytes that no client library would send.

use bytes::Bytes;
use ferromcp_adapter_grpc::GrpcSettings;
use http::{HeaderMap, Request, StatusCode};
use http_body::Frame;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::support::{PATIENCE, Server, call};

/// A body of pieces; its last may be cut off.
struct Pieces(Vec<Bytes>);

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let next = (!self.0.is_empty()).then(|| self.0.remove(0));
        std::task::Poll::Ready(next.map(|piece| Ok(Frame::data(piece))))
    }
}

async fn connect(server: &Server) -> SendRequest<Pieces> {
    let stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
    let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    sender
}

/// HTTP status, and status and message of gRPC, from trailers or from the head.
async fn say(
    sender: &mut SendRequest<Pieces>,
    path: &str,
    headers: &[(&'static str, &'static str)],
    pieces: &[&[u8]],
) -> (StatusCode, Option<String>, String) {
    let mut request = Request::post(format!("http://localhost{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = Pieces(pieces.iter().map(|piece| Bytes::copy_from_slice(piece)).collect());
    let answer = async {
        let response = sender.send_request(request.body(body).unwrap()).await.unwrap();
        let (head, mut body) = response.into_parts();
        let mut trailers = head.headers.clone();
        while let Some(frame) =
            std::future::poll_fn(|cx| http_body::Body::poll_frame(std::pin::Pin::new(&mut body), cx)).await
        {
            if let Ok(found) = frame.unwrap().into_trailers() {
                trailers = found;
            }
        }
        let text = |trailers: &HeaderMap, name: &str| {
            trailers.get(name).map(|value| value.to_str().unwrap().to_owned())
        };
        (
            head.status,
            text(&trailers, "grpc-status"),
            text(&trailers, "grpc-message").unwrap_or_default(),
        )
    };
    tokio::time::timeout(PATIENCE, answer).await.unwrap()
}

const CALL: &str = "/ferromcp.v1.FerroMcpService/CallTool";
const MCP: &str = "/ferromcp.v1.FerroMcpService/Mcp";

/// A message with its prefix.
fn framed(message: &[u8]) -> Vec<u8> {
    let mut out = vec![0];
    out.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
    out.extend_from_slice(message);
    out
}

/// `echo` with a message, as its fields are written by hand; field 99 is nobody's.
fn echo_with_an_unknown_field() -> Vec<u8> {
    let arguments = b"{\"msg\":\"hi\"}";
    let mut message = vec![0x0a, 4];
    message.extend_from_slice(b"echo");
    message.extend_from_slice(&[0x12, arguments.len() as u8]);
    message.extend_from_slice(arguments);
    message.extend_from_slice(&[0x9a, 0x06, 3, b'n', b'e', b'w']);
    message
}

#[tokio::test]
async fn what_is_cut_off_or_lies_about_its_length_is_refused_and_the_connection_goes_on() {
    let server = Server::start(GrpcSettings::default()).await;
    let mut sender = connect(&server).await;
    let good = framed(&echo_with_an_unknown_field());
    let at = good.len() / 2;
    let huge = [0, 0xff, 0xff, 0xff, 0xff, 1, 2, 3];
    for path in [CALL, MCP] {
        for (what, pieces) in [
            ("half a message", vec![&good[..at]]),
            ("half a prefix", vec![&good[..3]]),
            ("four gigabytes", vec![&huge[..]]),
            ("an unknown flag", vec![&[7, 0, 0, 0, 0][..]]),
            ("a wrong type", vec![&[0, 0, 0, 0, 2, 0x08, 0x01][..]]),
            ("a length beyond the end", vec![&[0, 0, 0, 0, 2, 0x0a, 0x7f][..]]),
        ] {
            let (status, code, message) = say(&mut sender, path, &[], &pieces).await;
            assert_eq!(status, StatusCode::OK, "{path}: {what}: {message}");
            assert!(
                code.as_deref().is_some_and(|code| code != "0"),
                "{path}: {what}: {code:?} {message}"
            );
        }
    }
    // In pieces of any size, with a field that a newer client might know.
    let pieces: Vec<&[u8]> = good.chunks(3).collect();
    assert_eq!(say(&mut sender, CALL, &[], &pieces).await.1.as_deref(), Some("0"));
    server
        .client()
        .await
        .call_tool(call("echo", "{\"msg\":\"hi\"}"))
        .await
        .unwrap();
}

#[tokio::test]
async fn requests_that_are_not_for_this_door() {
    let server = Server::start(GrpcSettings::default()).await;
    let mut sender = connect(&server).await;
    let good = framed(&echo_with_an_unknown_field());
    for (path, headers, code) in [
        ("/", &[][..], "12"),
        ("/ferromcp.v1.FerroMcpService/NoSuchMethod", &[], "12"),
        ("/other.Service/CallTool", &[], "12"),
        (CALL, &[("grpc-encoding", "snappy")], "12"),
        (CALL, &[("grpc-timeout", "soon")], "3"),
        (CALL, &[("authorization", "Bearer ")], "16"),
    ] {
        let (_, found, message) = say(&mut sender, path, headers, &[&good]).await;
        assert_eq!(found.as_deref(), Some(code), "{path} {headers:?}: {message}");
    }
    let packed = [&[1u8][..], &good[1..]].concat();
    let (_, found, _) = say(&mut sender, CALL, &[("grpc-encoding", "gzip")], &[&packed]).await;
    assert!(
        found.is_some_and(|code| code != "0"),
        "what is said to be packed and is not"
    );
}
