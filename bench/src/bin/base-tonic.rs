//! Baseline: tonic's codec on bare hyper. Reads a `CallToolRequest`, sends its arguments back. What any gRPC server on tonic
//! pays at least; tonic's own server with its router and layers pays more.

use std::convert::Infallible;
use std::process::ExitCode;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tonic::server::Grpc;
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

/// As in `proto/ferromcp/v1/ferromcp.proto`.
#[derive(Clone, PartialEq, prost::Message)]
struct CallToolRequest {
    #[prost(string, tag = "1")]
    tool: String,
    #[prost(bytes = "bytes", tag = "2")]
    arguments: Bytes,
}

/// As in `proto/ferromcp/v1/ferromcp.proto`.
#[derive(Clone, PartialEq, prost::Message)]
struct CallToolResponse {
    #[prost(bytes = "bytes", tag = "1")]
    result: Bytes,
}

struct Echo;

impl tower_service::Service<Request<CallToolRequest>> for Echo {
    type Response = Response<CallToolResponse>;
    type Error = Status;
    type Future = std::future::Ready<Result<Response<CallToolResponse>, Status>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<CallToolRequest>) -> Self::Future {
        let result = request.into_inner().arguments;
        std::future::ready(Ok(Response::new(CallToolResponse { result })))
    }
}

fn main() -> ExitCode {
    ferromcp_bench::baseline::run(|stream| async move {
        // A client that goes away is no event here.
        let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(stream), service_fn(answer))
            .await;
    })
}

async fn answer(request: hyper::Request<Incoming>) -> Result<hyper::Response<tonic::body::Body>, Infallible> {
    let codec = ProstCodec::<CallToolResponse, CallToolRequest>::default();
    Ok(Grpc::new(codec).unary(Echo, request).await)
}
