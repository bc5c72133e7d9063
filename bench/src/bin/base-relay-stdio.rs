//! Baseline: HTTP to one child process. Gives each request an id of its own, writes it as a line, finds the answer by the id and
//! sends it back with the client's. What any relay to a child pays at least.
#![allow(
    clippy::print_stderr,
    reason = "a program without a log says what is wrong with its arguments"
)]

use std::collections::HashMap;
use std::convert::Infallible;
use std::process::{ExitCode, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{OnceCell, oneshot};

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
}

struct Relay {
    command: Vec<String>,
    child: OnceCell<Pipe>,
}

struct Pipe {
    _child: Child,
    input: tokio::sync::Mutex<ChildStdin>,
    waiting: Arc<Mutex<Waiting>>,
}

#[derive(Default)]
struct Waiting {
    last: u64,
    calls: HashMap<u64, oneshot::Sender<Vec<u8>>>,
}

fn main() -> ExitCode {
    let command: Vec<String> = std::env::args().skip(4).collect();
    if command.is_empty() {
        eprintln!("usage: --addr HOST:PORT --child COMMAND [ARGUMENT]...");
        return ExitCode::from(2);
    }
    let relay = Arc::new(Relay {
        command,
        child: OnceCell::new(),
    });
    ferromcp_bench::baseline::run(move |stream| {
        let relay = Arc::clone(&relay);
        async move {
            let serve = service_fn(|request| answer(&relay, request));
            // A client that goes away is no event here.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), serve)
                .await;
        }
    })
}

async fn answer(relay: &Relay, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = request.into_body().collect().await;
    let body = body.map(|body| body.to_bytes()).unwrap_or_default();
    let said = relay.ask(&body).await;
    let status = if said.is_some() {
        StatusCode::OK
    } else {
        StatusCode::BAD_GATEWAY
    };
    let mut response = Response::new(Full::new(said.unwrap_or_default().into()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

impl Relay {
    async fn ask(&self, body: &[u8]) -> Option<Vec<u8>> {
        let pipe = self
            .child
            .get_or_try_init(|| async { start(&self.command) })
            .await
            .ok()?;
        let (id, given) = {
            let mut waiting = lock(&pipe.waiting);
            waiting.last += 1;
            let id = waiting.last;
            let (give, given) = oneshot::channel();
            waiting.calls.insert(id, give);
            (id, given)
        };
        let (mut line, theirs) = with_id(body, &id.to_string())?;
        line.push(b'\n');
        pipe.input.lock().await.write_all(&line).await.ok()?;
        Some(with_id(&given.await.ok()?, &theirs)?.0)
    }
}

/// The message with another id, and the one that it had.
fn with_id(message: &[u8], id: &str) -> Option<(Vec<u8>, String)> {
    let envelope: Envelope<'_> = serde_json::from_slice(message).ok()?;
    let old = envelope.id.get();
    let at = old.as_ptr().addr() - message.as_ptr().addr();
    let mut out = Vec::with_capacity(message.len() + id.len() + 1);
    out.extend_from_slice(message.get(..at)?);
    out.extend_from_slice(id.as_bytes());
    out.extend_from_slice(message.get(at + old.len()..)?);
    Some((out, old.to_owned()))
}

fn start(command: &[String]) -> std::io::Result<Pipe> {
    let missing = || std::io::Error::other("no pipe");
    let (program, arguments) = command.split_first().ok_or_else(missing)?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let input = child.stdin.take().ok_or_else(missing)?;
    let output = child.stdout.take().ok_or_else(missing)?;
    let waiting = Arc::new(Mutex::new(Waiting::default()));
    tokio::spawn(listen(output, Arc::clone(&waiting)));
    Ok(Pipe {
        _child: child,
        input: tokio::sync::Mutex::new(input),
        waiting,
    })
}

async fn listen(output: ChildStdout, waiting: Arc<Mutex<Waiting>>) {
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    while output
        .read_until(b'\n', &mut line)
        .await
        .is_ok_and(|read| read > 0)
    {
        let envelope: Option<Envelope<'_>> = serde_json::from_slice(&line).ok();
        let id = envelope.and_then(|envelope| envelope.id.get().parse::<u64>().ok());
        let give = id.and_then(|id| lock(&waiting).calls.remove(&id));
        if let Some(give) = give {
            // A client that goes away is no event here.
            let _ = give.send(std::mem::take(&mut line));
        }
        line.clear();
    }
    lock(&waiting).calls.clear();
}

fn lock(waiting: &Mutex<Waiting>) -> std::sync::MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}
