//! [`Client`].

use std::sync::Arc;

use crate::answer::{Answer, BatchAnswer, Event, Tool};
use crate::builder::Builder;
use crate::call::{Batch, Call};
use crate::error::Error;
use crate::grpc::Grpc;
use crate::rest::Rest;
use crate::usage::Usage;

/// A client of one server. Cheap to clone; clones share connections.
#[derive(Clone, Debug)]
pub struct Client {
    pub(crate) transport: Transport,
}

#[derive(Clone, Debug)]
pub(crate) enum Transport {
    Rest(Arc<Rest>),
    Grpc(Grpc),
}

impl Client {
    /// A client for `http://`, `https://` (REST), `grpc://` or `grpcs://` (gRPC, with TLS).
    pub fn builder(url: impl Into<String>) -> Builder {
        Builder::new(url.into())
    }

    /// All tools that the caller may use.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn tools(&self) -> Result<Vec<Tool>, Error> {
        match &self.transport {
            Transport::Rest(rest) => rest.tools().await,
            Transport::Grpc(grpc) => grpc.tools().await,
        }
    }

    /// Calls a tool. Dropping the future cancels the call.
    ///
    /// # Errors
    /// See [`Error`]; a tool that says that it failed is [`Error::Failed`] with the code `tool_error`.
    pub async fn call(&self, call: &Call) -> Result<Answer, Error> {
        match &self.transport {
            Transport::Rest(rest) => rest.call(call).await,
            Transport::Grpc(grpc) => grpc.call(call).await,
        }
    }

    /// Calls a tool and hears of it while it runs. Over HTTP this is a call over MCP, which has neither [`Call::tenant`] nor
    /// [`Call::timeout`]: with them it is refused.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn call_events(
        &self,
        call: &Call,
        mut heard: impl FnMut(Event) + Send,
    ) -> Result<Answer, Error> {
        match &self.transport {
            Transport::Rest(rest) => rest.call_events(call, &mut heard).await,
            Transport::Grpc(grpc) => grpc.call_events(call, &mut heard).await,
        }
    }

    /// Calls many tools in one request.
    ///
    /// # Errors
    /// Why no call was made. Each call fails on its own, in the answer.
    pub async fn batch(&self, batch: &Batch) -> Result<BatchAnswer, Error> {
        match &self.transport {
            Transport::Rest(rest) => rest.batch(batch).await,
            Transport::Grpc(grpc) => grpc.batch(batch).await,
        }
    }

    /// What the caller's tenant may use, and has used at this moment. Counts against nothing.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn usage(&self) -> Result<Usage, Error> {
        match &self.transport {
            Transport::Rest(rest) => rest.usage().await,
            Transport::Grpc(grpc) => grpc.usage().await,
        }
    }

    /// Whether the server takes calls.
    ///
    /// # Errors
    /// It cannot be reached, or is no FerroMCP server.
    pub async fn ready(&self) -> Result<bool, Error> {
        match &self.transport {
            Transport::Rest(rest) => rest.ready().await,
            Transport::Grpc(grpc) => grpc.ready().await,
        }
    }
}
