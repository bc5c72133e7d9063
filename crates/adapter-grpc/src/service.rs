//! The service: each method makes one call of the pipeline, or looks at what the caller may see.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ferromcp_core::catalog::listed;
use ferromcp_core::guesses::{Guesses, Shown, refusal};
use ferromcp_core::{
    Call, CallError, Client, Credential, Door as CameBy, ErrorCode, Gateway, NoClient, Operation, Outcome,
    Payload, View,
};
use ferromcp_endpoint::Endpoint;
use ferromcp_grpc_api::ferro_mcp_service_server::FerroMcpService;
use ferromcp_grpc_api::{
    BatchCallRequest, BatchCallResponse, CallToolRequest, CallToolResponse, CallToolStreamRequest,
    CallToolStreamResponse, GetPromptRequest, GetPromptResponse, GetUsageRequest, GetUsageResponse,
    ListPromptsRequest, ListPromptsResponse, ListResourceTemplatesRequest, ListResourceTemplatesResponse,
    ListResourcesRequest, ListResourcesResponse, ListToolsRequest, ListToolsResponse, McpRequest, Prompt,
    ReadResourceRequest, ReadResourceResponse, Resource, ResourceTemplate, Tool,
};
use tokio_util::sync::CancellationToken;
use tonic::metadata::MetadataMap;
use tonic::{Extensions, Request, Response, Status, Streaming};

use crate::list::page;
use crate::mcp::Messages;
use crate::route::Certificate;
use crate::status;
use crate::stream::{self, Events};
use crate::{batch, mcp, usage};

/// The service over a gateway.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    door: Arc<Door>,
}

/// What all requests share.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) guesses: Option<Guesses>,
    /// Most bytes of a message.
    pub(crate) max_message: usize,
    /// No call is taken any more, and those that ran have ended or had their time.
    pub(crate) stopping: CancellationToken,
}

/// What is called.
pub(crate) struct Wanted<'a> {
    pub(crate) operation: Operation,
    pub(crate) name: &'a str,
    /// JSON; empty: none.
    pub(crate) arguments: &'a [u8],
    /// Empty: the caller's own.
    pub(crate) tenant: &'a str,
}

/// What came with a request beside its message.
pub(crate) struct Frame {
    metadata: MetadataMap,
    extensions: Extensions,
}

impl Frame {
    pub(crate) fn of<T>(request: Request<T>) -> (Self, T) {
        let (metadata, extensions, message) = request.into_parts();
        (Self { metadata, extensions }, message)
    }

    fn credential(&self) -> Result<Credential<'_>, Status> {
        let value = |name| self.metadata.get(name).map(|value| value.as_bytes());
        Credential::of_headers(
            value("authorization"),
            value("x-api-key"),
            self.extensions.get::<Certificate>(),
        )
        .map_err(|error| status::of(&error, None))
    }

    /// The key or token, where guesses are counted.
    ///
    /// # Errors
    /// If it is not to be looked at.
    pub(crate) fn shown(&self, door: &Door) -> Result<Option<Shown>, Status> {
        let (Some(guesses), Some(from)) = (&door.guesses, self.extensions.get::<IpAddr>()) else {
            return Ok(None);
        };
        let value = |name| self.metadata.get(name).map(|value| value.as_bytes());
        let Some(text) = value("authorization").or_else(|| value("x-api-key")) else {
            return Ok(None);
        };
        let shown = guesses.shown(*from, text);
        match guesses.wait(shown) {
            Some(wait) => Err(status::of(&refusal(wait), None)),
            None => Ok(Some(shown)),
        }
    }

    /// How long the client waits.
    pub(crate) fn timeout(&self) -> Result<Option<Duration>, Status> {
        let Some(value) = self.metadata.get("grpc-timeout") else {
            return Ok(None);
        };
        let parsed = value.to_str().ok().and_then(timeout);
        parsed
            .map(Some)
            .ok_or_else(|| status::bad("grpc-timeout must be up to eight digits and one of H, M, S, m, u, n"))
    }

    /// A call of whoever sent this, without what is to be called. `tenant`: empty for the caller's own.
    pub(crate) fn about<'a>(&'a self, tenant: &'a str, client: &'a dyn Client) -> Result<Call<'a>, Status> {
        Ok(Call {
            tenant: (!tenant.is_empty()).then_some(tenant),
            client,
            timeout: self.timeout()?,
            ..Call::tool(CameBy::Grpc, self.credential()?, "", None)
        })
    }

    /// Makes the call.
    pub(crate) async fn call(
        &self,
        door: &Door,
        wanted: &Wanted<'_>,
        client: &dyn Client,
    ) -> Result<Outcome, Status> {
        let arguments = match wanted.arguments {
            [] => None,
            bytes => Some(
                std::str::from_utf8(bytes)
                    .map_err(|_| status::bad("arguments must be JSON in UTF-8; nothing was called"))?,
            ),
        };
        let call = Call {
            operation: wanted.operation,
            name: wanted.name,
            arguments,
            ..self.about(wanted.tenant, client)?
        };
        let shown = self.shown(door)?;
        let outcome = door.gateway.call(&call).await;
        door.learn(shown, outcome.result.as_ref().err());
        Ok(outcome)
    }
}

/// The answer to a call of a tool, or why there is none.
pub(crate) fn settled(outcome: &Outcome) -> Result<CallToolResponse, Status> {
    let payload = outcome
        .settled()
        .map_err(|error| status::of(&error, Some(outcome.request_id)))?;
    Ok(tool_answer(outcome, payload))
}

/// The answer to a call of a tool that gave this result.
pub(crate) fn tool_answer(outcome: &Outcome, payload: &Payload) -> CallToolResponse {
    CallToolResponse {
        result: Bytes::copy_from_slice(payload.as_bytes()),
        is_error: payload.is_error(),
        request_id: outcome.request_id.to_string(),
        latency_us: u64::try_from(outcome.latency.as_micros()).unwrap_or(u64::MAX),
    }
}

impl Door {
    /// What came of a key or token. Errors that a call has for other reasons before it is looked at say nothing.
    pub(crate) fn learn(&self, shown: Option<Shown>, error: Option<&CallError>) {
        let (Some(shown), Some(guesses)) = (shown, &self.guesses) else {
            return;
        };
        let good = error.is_none_or(|error| {
            matches!(
                error.code(),
                ErrorCode::ToolNotFound | ErrorCode::InvalidArguments
            )
        });
        guesses.learn(shown, good, error.and_then(CallError::challenge).as_ref());
    }
}

impl Service {
    pub(crate) fn new(door: Door) -> Self {
        Self { door: Arc::new(door) }
    }

    fn view(&self, frame: &Frame) -> Result<View, Status> {
        let credential = frame.credential()?;
        let shown = frame.shown(&self.door)?;
        let view = self.door.gateway.view(credential);
        self.door.learn(shown, view.as_ref().err());
        view.map_err(|error| status::of(&error, None))
    }

    async fn result(&self, frame: &Frame, wanted: &Wanted<'_>) -> Result<(Bytes, String), Status> {
        let outcome = frame.call(&self.door, wanted, &NoClient).await?;
        let payload = outcome
            .settled()
            .map_err(|error| status::of(&error, Some(outcome.request_id)))?;
        Ok((
            Bytes::copy_from_slice(payload.as_bytes()),
            outcome.request_id.to_string(),
        ))
    }
}

#[tonic::async_trait]
impl FerroMcpService for Service {
    type CallToolStreamStream = Events<CallToolStreamResponse>;
    type BatchCallStream = Events<BatchCallResponse>;
    type McpStream = Messages;

    async fn list_tools(
        &self,
        request: Request<ListToolsRequest>,
    ) -> Result<Response<ListToolsResponse>, Status> {
        let (frame, wanted) = Frame::of(request);
        let view = self.view(&frame)?;
        let (tools, next_page_token) = page(
            &view.tools(),
            wanted.page_size,
            &wanted.page_token,
            |tool| &tool.name,
            |tool| Tool {
                name: tool.name.to_string(),
                definition: text(tool.listed(true)),
                source: tool.source.name.to_string(),
                available: tool.is_available(),
            },
        )?;
        Ok(Response::new(ListToolsResponse {
            tools,
            next_page_token,
        }))
    }

    async fn call_tool(
        &self,
        request: Request<CallToolRequest>,
    ) -> Result<Response<CallToolResponse>, Status> {
        let (frame, message) = Frame::of(request);
        let wanted = Wanted {
            operation: Operation::CallTool,
            name: &message.tool,
            arguments: &message.arguments,
            tenant: &message.tenant_id,
        };
        let outcome = frame.call(&self.door, &wanted, &NoClient).await?;
        settled(&outcome).map(Response::new)
    }

    async fn call_tool_stream(
        &self,
        request: Request<CallToolStreamRequest>,
    ) -> Result<Response<Events<CallToolStreamResponse>>, Status> {
        let (frame, message) = Frame::of(request);
        stream::call(Arc::clone(&self.door), frame, message).map(Response::new)
    }

    async fn batch_call(
        &self,
        request: Request<BatchCallRequest>,
    ) -> Result<Response<Events<BatchCallResponse>>, Status> {
        let (frame, message) = Frame::of(request);
        Ok(Response::new(batch::call(Arc::clone(&self.door), frame, message)))
    }

    async fn mcp(&self, request: Request<Streaming<McpRequest>>) -> Result<Response<Messages>, Status> {
        let (frame, messages) = Frame::of(request);
        let view = self.view(&frame)?;
        mcp::open(Arc::clone(&self.door), &frame, view.principal(), messages).map(Response::new)
    }

    async fn get_usage(
        &self,
        request: Request<GetUsageRequest>,
    ) -> Result<Response<GetUsageResponse>, Status> {
        let (frame, _) = Frame::of(request);
        let view = self.view(&frame)?;
        Ok(Response::new(usage::told(&view.usage())))
    }

    async fn list_resources(
        &self,
        request: Request<ListResourcesRequest>,
    ) -> Result<Response<ListResourcesResponse>, Status> {
        let (frame, wanted) = Frame::of(request);
        let view = self.view(&frame)?;
        let (resources, next_page_token) = page(
            &view.resources(),
            wanted.page_size,
            &wanted.page_token,
            |resource| &resource.uri,
            |resource| Resource {
                uri: resource.uri.to_string(),
                definition: text(listed(&resource.definition, &resource.source)),
            },
        )?;
        Ok(Response::new(ListResourcesResponse {
            resources,
            next_page_token,
        }))
    }

    async fn list_resource_templates(
        &self,
        request: Request<ListResourceTemplatesRequest>,
    ) -> Result<Response<ListResourceTemplatesResponse>, Status> {
        let (frame, wanted) = Frame::of(request);
        let view = self.view(&frame)?;
        let (resource_templates, next_page_token) = page(
            &view.templates(),
            wanted.page_size,
            &wanted.page_token,
            |template| template.uri.as_str(),
            |template| ResourceTemplate {
                uri_template: template.uri.as_str().to_owned(),
                definition: text(listed(&template.definition, &template.source)),
            },
        )?;
        Ok(Response::new(ListResourceTemplatesResponse {
            resource_templates,
            next_page_token,
        }))
    }

    async fn read_resource(
        &self,
        request: Request<ReadResourceRequest>,
    ) -> Result<Response<ReadResourceResponse>, Status> {
        let (frame, message) = Frame::of(request);
        let wanted = Wanted {
            operation: Operation::ReadResource,
            name: &message.uri,
            arguments: &[],
            tenant: &message.tenant_id,
        };
        let (result, request_id) = self.result(&frame, &wanted).await?;
        Ok(Response::new(ReadResourceResponse { result, request_id }))
    }

    async fn list_prompts(
        &self,
        request: Request<ListPromptsRequest>,
    ) -> Result<Response<ListPromptsResponse>, Status> {
        let (frame, wanted) = Frame::of(request);
        let view = self.view(&frame)?;
        let (prompts, next_page_token) = page(
            &view.prompts(),
            wanted.page_size,
            &wanted.page_token,
            |prompt| &prompt.name,
            |prompt| Prompt {
                name: prompt.name.to_string(),
                definition: text(listed(&prompt.definition, &prompt.source)),
            },
        )?;
        Ok(Response::new(ListPromptsResponse {
            prompts,
            next_page_token,
        }))
    }

    async fn get_prompt(
        &self,
        request: Request<GetPromptRequest>,
    ) -> Result<Response<GetPromptResponse>, Status> {
        let (frame, message) = Frame::of(request);
        let wanted = Wanted {
            operation: Operation::GetPrompt,
            name: &message.name,
            arguments: &message.arguments,
            tenant: &message.tenant_id,
        };
        let (result, request_id) = self.result(&frame, &wanted).await?;
        Ok(Response::new(GetPromptResponse { result, request_id }))
    }
}

fn text(definition: Cow<'_, str>) -> Bytes {
    Bytes::from(definition.into_owned())
}

/// `grpc-timeout`, as gRPC over HTTP/2 has it. What has passed already is the shortest time there is.
fn timeout(text: &str) -> Option<Duration> {
    let (unit, digits) = text.as_bytes().split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let count: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    let time = match unit {
        b'H' => Duration::from_secs(count * 3600),
        b'M' => Duration::from_secs(count * 60),
        b'S' => Duration::from_secs(count),
        b'm' => Duration::from_millis(count),
        b'u' => Duration::from_micros(count),
        b'n' => Duration::from_nanos(count),
        _ => return None,
    };
    Some(time.max(Duration::from_nanos(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_of_every_unit() {
        for (text, time) in [
            ("2H", Duration::from_secs(7200)),
            ("99999999H", Duration::from_secs(99_999_999 * 3600)),
            ("3M", Duration::from_secs(180)),
            ("4S", Duration::from_secs(4)),
            ("50m", Duration::from_millis(50)),
            ("6u", Duration::from_micros(6)),
            ("7n", Duration::from_nanos(7)),
            ("0S", Duration::from_nanos(1)),
        ] {
            assert_eq!(timeout(text), Some(time), "{text}");
        }
        for bad in ["", "S", "1", "1s", "-1S", "+1S", "1.5S", "123456789S", "1 S", "ü"] {
            assert_eq!(timeout(bad), None, "{bad}");
        }
    }
}
