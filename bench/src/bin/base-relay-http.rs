//! Baseline: a relay on bare hyper. Sends the body on to one server over connections that are kept, and its answer back. What
//! any HTTP relay on hyper pays at least.
#![allow(
    clippy::print_stderr,
    reason = "a program without a log says what is wrong with its arguments"
)]

use std::convert::Infallible;
use std::process::ExitCode;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};

type Pool = Client<HttpConnector, Full<Bytes>>;

fn main() -> ExitCode {
    let Some(upstream) = std::env::args().nth(4).and_then(|uri| uri.parse::<Uri>().ok()) else {
        eprintln!("usage: --addr HOST:PORT --upstream URL");
        return ExitCode::from(2);
    };
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let pool: Pool = Client::builder(TokioExecutor::new()).build(connector);
    ferromcp_bench::baseline::run(move |stream| {
        let (pool, upstream) = (pool.clone(), upstream.clone());
        async move {
            let relay = service_fn(|request| relay(&pool, &upstream, request));
            // A client that goes away is no event here.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), relay)
                .await;
        }
    })
}

async fn relay(
    pool: &Pool,
    upstream: &Uri,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let json = HeaderValue::from_static("application/json");
    let body = request.into_body().collect().await;
    let body = body.map(|body| body.to_bytes()).unwrap_or_default();
    let mut onward = Request::new(Full::new(body));
    *onward.method_mut() = Method::POST;
    *onward.uri_mut() = upstream.clone();
    onward.headers_mut().insert(CONTENT_TYPE, json.clone());
    let answer = match pool.request(onward).await {
        Ok(answer) => answer
            .into_body()
            .collect()
            .await
            .map(|body| body.to_bytes())
            .ok(),
        Err(_) => None,
    };
    let mut response = Response::new(Full::new(answer.clone().unwrap_or_default()));
    if answer.is_none() {
        *response.status_mut() = StatusCode::BAD_GATEWAY;
    }
    response.headers_mut().insert(CONTENT_TYPE, json);
    Ok(response)
}
