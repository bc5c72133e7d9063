//! From an HTTP/2 request to the service that it is for.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use ferromcp_core::CertificateNames;
use ferromcp_endpoint::Endpoint;
use ferromcp_grpc_api::ferro_mcp_service_server::FerroMcpServiceServer;
use ferromcp_grpc_api::{DESCRIPTORS, SERVICE};
use http::{HeaderValue, Request, Response};
use http_body::Frame;
use hyper::body::Incoming;
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::codec::CompressionEncoding;
use tonic::{Code, Status};
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};
use tonic_reflection::server::Builder;
use tower_service::Service as _;

use crate::service::{Door, Service};
use crate::settings::GrpcSettings;
use crate::status;

/// The names in the client certificate of a connection.
pub(crate) type Certificate = Arc<CertificateNames>;

/// Longest question to health or reflection, in bytes.
const MAX_QUESTION: usize = 64 << 10;

/// The path of conversations.
const MCP: &str = "/ferromcp.v1.FerroMcpService/Mcp";

type Answer = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;
type Reflection = Box<dyn Fn(Request<Arriving>) -> Answer + Send + Sync>;

/// The services of the door.
pub(crate) struct Services {
    tools: FerroMcpServiceServer<Service>,
    health: HealthServer<HealthService>,
    reporter: HealthReporter,
    reflection: Reflection,
    /// What clients still ask for that do not know version 1, Google's own for Python among them.
    older: Reflection,
    settings: GrpcSettings,
    stopping: CancellationToken,
}

impl std::fmt::Debug for Services {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Services")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl Services {
    /// # Errors
    /// If the descriptors of this build are no good.
    pub(crate) fn new(
        endpoint: Arc<Endpoint>,
        settings: GrpcSettings,
    ) -> Result<Self, tonic_reflection::server::Error> {
        let reporter = HealthReporter::new();
        let described = || {
            Builder::configure()
                .register_encoded_file_descriptor_set(DESCRIPTORS)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        let reflection = described().build_v1()?.max_decoding_message_size(MAX_QUESTION);
        let older = described()
            .build_v1alpha()?
            .max_decoding_message_size(MAX_QUESTION);
        let stopping = CancellationToken::new();
        let door = Door {
            gateway: Arc::clone(endpoint.gateway()),
            endpoint,
            guesses: settings.guesses.map(ferromcp_core::guesses::Guesses::new),
            max_message: settings.max_message,
            stopping: stopping.clone(),
        };
        Ok(Self {
            tools: FerroMcpServiceServer::new(Service::new(door))
                .accept_compressed(CompressionEncoding::Gzip)
                .send_compressed(CompressionEncoding::Gzip)
                .max_decoding_message_size(settings.max_message),
            health: HealthServer::new(HealthService::from_health_reporter(reporter.clone()))
                .max_decoding_message_size(MAX_QUESTION),
            reporter,
            reflection: Box::new(move |request| {
                let mut service = reflection.clone();
                Box::pin(async move { infallible(service.call(request).await) })
            }),
            older: Box::new(move |request| {
                let mut service = older.clone();
                Box::pin(async move { infallible(service.call(request).await) })
            }),
            settings,
            stopping,
        })
    }

    pub(crate) fn settings(&self) -> &GrpcSettings {
        &self.settings
    }

    /// Says whether calls are taken.
    pub(crate) async fn serving(&self, serving: bool) {
        let status = if serving {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        };
        for name in ["", SERVICE] {
            self.reporter.set_service_status(name, status).await;
        }
    }

    /// Ends the streams that would stay open: conversations, and those who watch.
    pub(crate) async fn end_streams(&self) {
        self.stopping.cancel();
        for name in ["", SERVICE] {
            self.reporter.clone().clear_service_status(name).await;
        }
    }

    /// Answers a request.
    pub(crate) async fn answer(
        &self,
        request: Request<Incoming>,
        peer: IpAddr,
        certificate: Option<Certificate>,
    ) -> Response<Body> {
        // A conversation has no end of its own.
        let limit = (request.uri().path() != MCP).then_some(self.settings.request_timeout);
        let mut request = request.map(|body| Arriving {
            body,
            limit,
            timer: None,
        });
        request.extensions_mut().insert(peer);
        if let Some(certificate) = certificate {
            request.extensions_mut().insert(certificate);
        }
        let path = request.uri().path();
        let service = path.strip_prefix('/').and_then(|path| path.split_once('/'));
        match service.map(|(service, _)| service) {
            Some(SERVICE) => {
                let response = infallible(self.tools.clone().call(request).await);
                self.sized(response)
            }
            Some("grpc.health.v1.Health") => infallible(self.health.clone().call(request).await),
            Some("grpc.reflection.v1.ServerReflection") => (self.reflection)(request).await,
            Some("grpc.reflection.v1alpha.ServerReflection") => (self.older)(request).await,
            _ => Status::unimplemented(
                "there is no such service here; there are ferromcp.v1.FerroMcpService, grpc.health.v1.Health and \
                 grpc.reflection.v1.ServerReflection",
            )
            .into_http(),
        }
    }

    /// A message that was too large ends with the status that the table of errors has for it. tonic says "out of range", which
    /// nothing else here does.
    fn sized(&self, response: Response<Body>) -> Response<Body> {
        let status = response
            .headers()
            .get(Status::GRPC_STATUS)
            .map(HeaderValue::as_bytes);
        if status.is_some_and(|status| Code::from_bytes(status) == Code::OutOfRange) {
            return status::too_large(self.settings.max_message).into_http();
        }
        response
    }
}

fn infallible<T>(result: Result<T, Infallible>) -> T {
    match result {
        Ok(value) => value,
        Err(never) => match never {},
    }
}

/// A request's messages, which must have arrived after a while.
pub(crate) struct Arriving {
    body: Incoming,
    limit: Option<Duration>,
    /// Runs from the first time that there is nothing yet.
    timer: Option<Pin<Box<Sleep>>>,
}

impl http_body::Body for Arriving {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let Some(limit) = self.limit else {
            return Poll::Pending;
        };
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        timer.as_mut().poll(cx).map(|()| {
            let message = format!("the request had not arrived after {limit:?}; nothing was called");
            Some(Err(status::bad(message).into()))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}
