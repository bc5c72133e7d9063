//! The server as the rest of the program sees it.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use ferromcp_core::{CallContext, CallError, ErrorCode, Reply, SourceFuture};
use ferromcp_upstream::transport::http::{Http2, HttpSpec};
use ferromcp_upstream::{Found, Service, ServiceFuture};
use tracing::warn;

use crate::channel::Channel;
use crate::reflection::{self, MAX_BYTES};
use crate::tools::{self, Tools};
use crate::{call, reflection::Described};

/// How often a file is looked at.
const FILE_LOOK: Duration = Duration::from_secs(2);
/// How often a server is asked again.
const SERVER_LOOK: Duration = Duration::from_secs(300);
/// Most methods that are no tools which the log names.
const SHOWN: usize = 10;

/// What the configuration says of one server.
#[derive(Clone, Debug)]
pub struct GrpcSpec {
    /// Name, origin (`http` is HTTP/2 without TLS), metadata, limits and TLS.
    pub http: HttpSpec,
    /// A file of descriptors, looked at every two seconds; the server is asked if `None`.
    pub descriptors: Option<PathBuf>,
    /// Full names of the services to offer; all if empty.
    pub services: Vec<String>,
}

/// A gRPC server.
pub struct Grpc {
    spec: GrpcSpec,
    ready: ArcSwapOption<Ready>,
}

/// What calls need.
struct Ready {
    channel: Channel,
    tools: Tools,
    /// The file that the tools are from.
    file: Vec<u8>,
}

impl Grpc {
    /// Nothing is sent yet.
    #[must_use]
    pub fn new(spec: GrpcSpec) -> Self {
        Self {
            spec,
            ready: ArcSwapOption::empty(),
        }
    }

    async fn look_now(&self) -> Result<Found, String> {
        let before = self.ready.load_full();
        let channel = match &before {
            Some(before) => before.channel.clone(),
            None => Channel {
                http: Arc::new(Http2::new(&self.spec.http).map_err(|e| e.to_string())?),
                server: self.spec.http.name.as_str().into(),
            },
        };
        let (described, file) = match &self.spec.descriptors {
            None => (reflection::from_server(&channel).await?, Vec::new()),
            Some(path) => {
                let failed = |why: String| format!("its descriptors {}: {why}", path.display());
                let size = tokio::fs::metadata(path)
                    .await
                    .map_err(|e| failed(e.to_string()))?;
                if size.len() > MAX_BYTES as u64 {
                    return Err(failed(format!("more than {MAX_BYTES} bytes")));
                }
                let file = tokio::fs::read(path).await.map_err(|e| failed(e.to_string()))?;
                if let Some(before) = before.filter(|before| before.file == file) {
                    return Ok(found(&before));
                }
                (reflection::from_file(&file).map_err(failed)?, file)
            }
        };
        let tools = self.tools(described).await?;
        let ready = Ready { channel, tools, file };
        let found = found(&ready);
        self.ready.store(Some(Arc::new(ready)));
        Ok(found)
    }

    async fn tools(&self, described: Described) -> Result<Tools, String> {
        let wanted = self.spec.services.clone();
        // Many descriptors take a while.
        let read = tokio::task::spawn_blocking(move || tools::read(&described, &wanted));
        let tools = read.await.map_err(|e| e.to_string())??;
        let server = &self.spec.http.name;
        for why in tools.left_out.iter().take(SHOWN) {
            warn!(target: "ferromcp::server", server, "no tool: {why}");
        }
        if tools.left_out.len() > SHOWN {
            let more = tools.left_out.len() - SHOWN;
            warn!(target: "ferromcp::server", server, "and {more} more methods that are no tools");
        }
        if let (true, Some(why)) = (tools.specs.is_empty(), tools.left_out.first()) {
            return Err(format!("none of its methods can be a tool; {why}"));
        }
        Ok(tools)
    }

    async fn relay(&self, cx: &CallContext<'_>) -> Result<Reply, CallError> {
        let ready = self.ready.load_full();
        let found = ready
            .as_ref()
            .and_then(|ready| Some((ready, ready.tools.methods.get(cx.local_name)?)));
        let Some((ready, method)) = found else {
            let text = format!("server `{}`: it has no such method any more", self.spec.http.name);
            return Err(CallError::new(ErrorCode::ToolNotFound, text).with_rule("upstream.gone"));
        };
        call::call(&ready.channel, method, cx).await
    }
}

fn found(ready: &Ready) -> Found {
    Found {
        instructions: None,
        tools: ready.tools.specs.clone(),
    }
}

impl fmt::Debug for Grpc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grpc")
            .field("spec", &self.spec)
            .finish_non_exhaustive()
    }
}

impl Service for Grpc {
    fn look(&self) -> ServiceFuture<'_, Result<Found, String>> {
        Box::pin(self.look_now())
    }

    fn changed(&self) -> ServiceFuture<'_, ()> {
        let time = match self.spec.descriptors {
            Some(_) => FILE_LOOK,
            None => SERVER_LOOK,
        };
        Box::pin(tokio::time::sleep(time))
    }

    fn call<'a>(&'a self, cx: CallContext<'a>) -> SourceFuture<'a> {
        Box::pin(async move { self.relay(&cx).await })
    }
}
