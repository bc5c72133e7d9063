//! An upstream server that does next to nothing, so that what is measured is the relay: MCP 2026-07-28 over standard input and
//! output, or over Streamable HTTP with `--addr HOST:PORT`. `--burn N` turns a loop N times for each call.
#![allow(
    clippy::print_stderr,
    reason = "a program without a log says what is wrong with its arguments"
)]

use std::convert::Infallible;
use std::io::{BufRead as _, Write as _};
use std::process::ExitCode;

use bytes::Bytes;
use ferromcp_bench::upstream::{Echo, answer};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1).peekable();
    let mut echo = Echo { tools: 1, burn: 0 };
    if words.peek().is_some_and(|word| word == "--burn") {
        words.next();
        match words.next().and_then(|number| number.parse().ok()) {
            Some(burn) => echo.burn = burn,
            None => {
                eprintln!("--burn needs a number");
                return ExitCode::from(2);
            }
        }
    }
    if words.peek().is_none() {
        return match over_pipes(echo) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        };
    }
    ferromcp_bench::baseline::run(move |stream| async move {
        // A client that goes away is no event here.
        let _ = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service_fn(|request| serve(request, echo)))
            .await;
    })
}

fn over_pipes(echo: Echo) -> std::io::Result<()> {
    let mut input = std::io::stdin().lock();
    let mut output = std::io::stdout().lock();
    let mut line = Vec::new();
    while input.read_until(b'\n', &mut line)? > 0 {
        if let Some(mut said) = answer(&line, echo) {
            said.push(b'\n');
            output.write_all(&said)?;
            output.flush()?;
        }
        line.clear();
    }
    Ok(())
}

async fn serve(request: Request<Incoming>, echo: Echo) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = request
        .into_body()
        .collect()
        .await
        .map(|body| body.to_bytes())
        .unwrap_or_default();
    let said = answer(&body, echo).unwrap_or_default();
    let mut response = Response::new(Full::new(said.into()));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}
