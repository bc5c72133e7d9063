//! A large catalog: 100 upstream servers with 100 tools each, all of them in this program, behind one gateway.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use memchr::memmem;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;

use crate::Result;
use crate::client::Connection;
use crate::server::{Server, Start};
use crate::target::{Program, list_request};
use crate::throughput::median;
use crate::upstream::{Echo, answer};

const SERVERS: usize = 100;
const TOOLS_EACH: usize = 100;
/// With `echo`, which is built in.
const TOOLS: usize = SERVERS * TOOLS_EACH + 1;
const PATIENCE: Duration = Duration::from_secs(60);
const REPEATS: usize = 100;

/// Measures and prints a table.
///
/// # Errors
/// The gateway does not start, or does not list all tools.
pub async fn run() -> Result<()> {
    let listed = Arc::new(AtomicUsize::new(0));
    let upstream = upstream(Arc::clone(&listed)).await?;
    let servers: Map<String, Value> = (0..SERVERS)
        .map(|n| {
            let url = format!("http://{upstream}/s{n}");
            (format!("server{n:02}"), json!({ "url": url, "era": "modern" }))
        })
        .collect();
    let start = Start {
        servers: Some(Arc::new(Value::Object(servers))),
        ..Start::default()
    };
    let begin = Instant::now();
    let server = Server::start(Program::Ferromcp, &start).await?;
    let mut connection = Connection::open(server.address).await?;
    while listed.load(Ordering::Acquire) < SERVERS {
        if begin.elapsed() > PATIENCE {
            return Err(format!(
                "only {} servers were asked for their tools",
                listed.load(Ordering::Acquire)
            ));
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let connected = begin.elapsed();
    let mut first = None;
    let asked = Instant::now();
    let whole = loop {
        let whole = list(&mut connection).await?;
        first.get_or_insert_with(|| (asked.elapsed(), whole.tools));
        if whole.tools == TOOLS {
            break whole;
        }
        if asked.elapsed() > PATIENCE {
            return Err(format!("only {} of {TOOLS} tools are listed", whole.tools));
        }
    };
    let complete = asked.elapsed();
    let mut times = Vec::with_capacity(REPEATS);
    for _ in 0..REPEATS {
        let since = Instant::now();
        let again = fetch(&mut connection).await?;
        times.push(since.elapsed().as_secs_f64() * 1e3);
        if again != whole.bytes {
            return Err("the list changed while nothing happened".to_owned());
        }
    }
    let (resident, peak) = (server.resident_kib()?, server.peak_kib()?);
    let generation = generation(&mut connection).await?;
    server.stop().await?;
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    println!(
        "{SERVERS} servers with {TOOLS_EACH} tools each, {} KiB of definitions",
        whole.bytes / 1024
    );
    println!("| measure | value |");
    println!("|---|---:|");
    println!(
        "| start of the gateway to the last server's list read | {:.0} ms |",
        ms(connected)
    );
    println!(
        "| from then to the whole `tools/list` ({} pages) | {:.0} ms |",
        whole.pages,
        ms(complete)
    );
    println!(
        "| the same list again, median of {REPEATS} | {:.2} ms |",
        median(times)
    );
    println!("| resident memory | {:.1} MiB |", resident as f64 / 1024.0);
    println!(
        "| most resident memory so far | {:.1} MiB |",
        peak as f64 / 1024.0
    );
    println!("| changes of the catalog in all | {generation} |");
    Ok(())
}

struct Whole {
    tools: usize,
    pages: usize,
    bytes: usize,
}

/// The whole list, looked at.
async fn list(connection: &mut Connection) -> Result<Whole> {
    let mut whole = Whole {
        tools: 0,
        pages: 0,
        bytes: 0,
    };
    let mut cursor = String::new();
    loop {
        let body = page(connection, &cursor).await?;
        whole.tools += memmem::find_iter(body, b"\"inputSchema\":").count();
        whole.pages += 1;
        whole.bytes += body.len();
        match next_cursor(body) {
            Some(next) => cursor = next.to_owned(),
            None => return Ok(whole),
        }
    }
}

/// The whole list, as fast as a client can read it; its size.
async fn fetch(connection: &mut Connection) -> Result<usize> {
    let mut bytes = 0;
    let mut cursor = String::new();
    loop {
        let body = page(connection, &cursor).await?;
        bytes += body.len();
        match next_cursor(body) {
            Some(next) => cursor = next.to_owned(),
            None => return Ok(bytes),
        }
    }
}

async fn page<'a>(connection: &'a mut Connection, cursor: &str) -> Result<&'a [u8]> {
    let answer = connection.exchange(&list_request(cursor)).await?;
    if answer.status == 200 {
        Ok(answer.body)
    } else {
        let said = String::from_utf8_lossy(answer.body);
        Err(format!("tools/list answered {}: {said}", answer.status))
    }
}

/// It stands behind the tools.
fn next_cursor(body: &[u8]) -> Option<&str> {
    const MEMBER: &[u8] = b"\"nextCursor\":\"";
    let rest = &body[memmem::rfind(body, MEMBER)? + MEMBER.len()..];
    std::str::from_utf8(&rest[..memchr::memchr(b'"', rest)?]).ok()
}

async fn generation(connection: &mut Connection) -> Result<u64> {
    let answer = connection
        .exchange(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        .await?;
    let health: Value = serde_json::from_slice(answer.body).map_err(|error| format!("/health: {error}"))?;
    health["generation"]
        .as_u64()
        .ok_or_else(|| "/health has no generation".to_owned())
}

/// All the servers, one path each. Counts those that were asked for their tools.
async fn upstream(listed: Arc<AtomicUsize>) -> Result<SocketAddr> {
    let failed = |error: std::io::Error| format!("cannot serve: {error}");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let listed = Arc::clone(&listed);
            tokio::spawn(async move {
                let serve = service_fn(|request| serve(request, &listed));
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), serve)
                    .await;
            });
        }
    });
    Ok(address)
}

async fn serve(
    request: Request<Incoming>,
    listed: &AtomicUsize,
) -> std::result::Result<Response<Full<Bytes>>, Infallible> {
    let body = request.into_body().collect().await;
    let body = body.map(|body| body.to_bytes()).unwrap_or_default();
    let echo = Echo {
        tools: TOOLS_EACH,
        burn: 0,
    };
    let said = answer(&body, echo).unwrap_or_default();
    if memmem::find(&body, b"\"tools/list\"").is_some() {
        listed.fetch_add(1, Ordering::AcqRel);
    }
    let mut response = Response::new(Full::new(said.into()));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::next_cursor;

    #[test]
    fn the_cursor_is_found_behind_the_tools() {
        assert_eq!(
            next_cursor(br#"{"tools":[],"nextCursor":"abc","ttlMs":1}"#),
            Some("abc")
        );
        assert_eq!(next_cursor(br#"{"tools":[]}"#), None);
    }
}
