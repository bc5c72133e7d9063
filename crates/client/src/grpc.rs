//! gRPC.

use std::time::Duration;

use bytes::Bytes;
use ferromcp_grpc_api::batch_call_response::Event as BatchEvent;
use ferromcp_grpc_api::batch_result::Outcome;
use ferromcp_grpc_api::call_tool_stream_response::Event as CallEvent;
use ferromcp_grpc_api::ferro_mcp_service_client::FerroMcpServiceClient;
use ferromcp_grpc_api::{
    BatchCallItem, BatchCallRequest, BatchResult, BatchSummary, CallFailure, CallToolRequest,
    CallToolResponse, CallToolStreamRequest, GetUsageRequest, ListToolsRequest, LogLevel,
};
use rustls::ClientConfig;
use serde_json::{Map, Value, json};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;
use url::Url;

use crate::answer::{Answer, BatchAnswer, Event, Tool, of_call, of_result};
use crate::builder::MAX_ANSWER;
use crate::call::{Batch, Call, milliseconds};
use crate::error::{Error, Failure};
use crate::https;
use crate::rest::MAX_PAGES;
use crate::usage::Usage;

#[derive(Clone, Debug)]
pub(crate) struct Grpc {
    url: Url,
    key: Option<MetadataValue<Ascii>>,
    channel: Channel,
}

impl Grpc {
    pub(crate) fn new(
        url: &Url,
        key: Option<String>,
        tls: ClientConfig,
        connect: Duration,
    ) -> Result<Self, Error> {
        let bad = |why: String| Error::Usage(format!("{url}: {why}"));
        let scheme = if url.scheme() == "grpcs" { "https" } else { "http" };
        let host = url.host_str().unwrap_or_default();
        let port = url
            .port()
            .ok_or_else(|| bad("a URL of gRPC needs a port".into()))?;
        let endpoint = Endpoint::from_shared(format!("{scheme}://{host}:{port}"))
            .map_err(|e| bad(https::innermost(&e)))?;
        let key = match key.map(MetadataValue::<Ascii>::try_from).transpose() {
            Ok(key) => key,
            Err(_) => return Err(Error::Usage("a key has visible ASCII characters only".into())),
        };
        Ok(Self {
            url: url.clone(),
            key,
            channel: endpoint.connect_with_connector_lazy(https::http2(tls, connect)),
        })
    }

    fn client(&self) -> FerroMcpServiceClient<Channel> {
        FerroMcpServiceClient::new(self.channel.clone()).max_decoding_message_size(MAX_ANSWER)
    }

    fn request<T>(&self, message: T, timeout: Option<Duration>) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(key) = &self.key {
            request.metadata_mut().insert("x-api-key", key.clone());
        }
        if let Some(timeout) = timeout {
            request.set_timeout(timeout);
        }
        request
    }

    pub(crate) async fn tools(&self) -> Result<Vec<Tool>, Error> {
        let mut all = Vec::new();
        let mut page_token = String::new();
        for _ in 0..MAX_PAGES {
            let request = self.request(
                ListToolsRequest {
                    page_size: 0,
                    page_token,
                },
                None,
            );
            let page = self.client().list_tools(request).await;
            let page = page.map_err(|status| self.failed(&status))?.into_inner();
            for tool in page.tools {
                let definition = self.parsed(&tool.definition)?;
                all.push(Tool::of_mcp(definition, tool.source, tool.available));
            }
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(all);
            }
        }
        Err(Error::Broken(format!(
            "{} lists more than {MAX_PAGES} pages of tools",
            self.url
        )))
    }

    pub(crate) async fn call(&self, call: &Call) -> Result<Answer, Error> {
        let message = CallToolRequest {
            tool: call.tool.clone(),
            arguments: arguments(call),
            tenant_id: call.tenant.clone().unwrap_or_default(),
        };
        let answer = self.client().call_tool(self.request(message, call.timeout)).await;
        let answer = answer.map_err(|status| self.failed(&status))?.into_inner();
        of_call(self.object(&answer)?)
    }

    pub(crate) async fn call_events(
        &self,
        call: &Call,
        heard: &mut (dyn FnMut(Event) + Send),
    ) -> Result<Answer, Error> {
        let message = CallToolStreamRequest {
            tool: call.tool.clone(),
            arguments: arguments(call),
            tenant_id: call.tenant.clone().unwrap_or_default(),
            log_level: LogLevel::Debug.into(),
        };
        let request = self.request(message, call.timeout);
        let events = self.client().call_tool_stream(request).await;
        let mut events = events.map_err(|status| self.failed(&status))?.into_inner();
        while let Some(event) = events.message().await.map_err(|status| self.failed(&status))? {
            match event.event {
                Some(CallEvent::Result(answer)) => return of_call(self.object(&answer)?),
                Some(CallEvent::Progress(report)) => heard(Event::Progress {
                    progress: report.progress,
                    total: report.total,
                    message: (!report.message.is_empty()).then_some(report.message),
                }),
                Some(CallEvent::Log(log)) => heard(Event::Log {
                    level: log
                        .level()
                        .as_str_name()
                        .trim_start_matches("LOG_LEVEL_")
                        .to_ascii_lowercase(),
                    data: self.parsed(&log.data)?,
                    logger: (!log.logger.is_empty()).then_some(log.logger),
                }),
                // What a newer server has to say.
                None => {}
            }
        }
        Err(self.ended_early())
    }

    pub(crate) async fn batch(&self, batch: &Batch) -> Result<BatchAnswer, Error> {
        let calls = batch.calls.iter().map(|call| BatchCallItem {
            id: call.id.clone().unwrap_or_default(),
            tool: call.tool.clone(),
            arguments: arguments(call),
            timeout_ms: call.timeout.map_or(0, milliseconds),
        });
        let message = BatchCallRequest {
            calls: calls.collect(),
            max_parallel: batch.parallel.into(),
            stop_on_error: batch.stop_on_error,
            tenant_id: batch.tenant.clone().unwrap_or_default(),
        };
        let mut responses = vec![Value::Null; batch.calls.len()];
        let request = self.request(message, batch.timeout);
        let events = self.client().batch_call(request).await;
        let mut events = events.map_err(|status| self.failed(&status))?.into_inner();
        while let Some(event) = events.message().await.map_err(|status| self.failed(&status))? {
            match event.event {
                Some(BatchEvent::Result(result)) => {
                    let place = usize::try_from(result.index).ok();
                    let Some(place) = place.and_then(|at| responses.get_mut(at)) else {
                        return Err(Error::Broken(format!("{}: a result of no call", self.url)));
                    };
                    *place = self.of_batch(result)?;
                }
                Some(BatchEvent::Summary(summary)) => return BatchAnswer::of(whole(&responses, &summary)),
                None => {}
            }
        }
        Err(self.ended_early())
    }

    pub(crate) async fn usage(&self) -> Result<Usage, Error> {
        let answer = self
            .client()
            .get_usage(self.request(GetUsageRequest {}, None))
            .await;
        let answer = answer.map_err(|status| self.failed(&status))?;
        Ok(Usage::of_grpc(&answer.into_inner()))
    }

    pub(crate) async fn ready(&self) -> Result<bool, Error> {
        use tonic_health::pb::health_check_response::ServingStatus;
        use tonic_health::pb::health_client::HealthClient;
        let ask = tonic_health::pb::HealthCheckRequest::default();
        let answer = HealthClient::new(self.channel.clone()).check(ask).await;
        let answer = answer.map_err(|status| self.failed(&status))?.into_inner();
        Ok(answer.status() == ServingStatus::Serving)
    }

    fn of_batch(&self, result: BatchResult) -> Result<Value, Error> {
        let mut object = match result.outcome {
            Some(Outcome::Response(answer)) => self.object(&answer)?,
            Some(Outcome::Failure(failure)) => of_failure(&failure),
            None => {
                return Err(Error::Broken(format!(
                    "{}: a result without an outcome",
                    self.url
                )));
            }
        };
        if !result.id.is_empty() {
            object["id"] = result.id.into();
        }
        Ok(object)
    }

    /// The object of REST for a result.
    fn object(&self, answer: &CallToolResponse) -> Result<Value, Error> {
        let result = self.parsed(&answer.result)?;
        let latency = Duration::from_micros(answer.latency_us);
        Ok(of_result(
            &result,
            &answer.request_id,
            latency.as_secs_f64() * 1000.0,
        ))
    }

    fn parsed(&self, bytes: &[u8]) -> Result<Value, Error> {
        serde_json::from_slice(bytes)
            .map_err(|e| Error::Broken(format!("{}: no JSON in a message: {e}", self.url)))
    }

    fn ended_early(&self) -> Error {
        Error::Broken(format!("{}: the stream ended without a result", self.url))
    }

    /// What a status says, as REST would.
    fn failed(&self, status: &Status) -> Error {
        let details = status.get_error_details();
        let Some(info) = details.error_info().filter(|info| info.domain == "ferromcp") else {
            return self.not_ours(status);
        };
        let mut error = Map::new();
        error.insert("code".into(), info.reason.clone().into());
        error.insert("message".into(), status.message().into());
        if let Some(rule) = info.metadata.get("rule") {
            error.insert("rule".into(), rule.clone().into());
        }
        if let Some(after) = details.retry_info().and_then(|retry| retry.retry_delay) {
            error.insert("retry_after_ms".into(), milliseconds(after).into());
        }
        let issues = details.bad_request().map(|bad| &bad.field_violations);
        let issues = issues.into_iter().flatten();
        let issues = issues.map(|v| json!({ "pointer": v.field, "message": v.description }));
        let may_have_run = info
            .metadata
            .get("may_have_run")
            .is_some_and(|said| said == "true");
        let rpc = info.metadata.get("rpc_code").and_then(|code| code.parse().ok());
        with_details(&mut error, issues.collect(), may_have_run, rpc);
        let mut whole = json!({ "success": false, "error": error });
        if let Some(id) = info.metadata.get("request_id") {
            whole["request_id"] = id.clone().into();
        }
        Failure(whole).into()
    }

    /// A status that this side made, or that nothing of ours did.
    fn not_ours(&self, status: &Status) -> Error {
        let reason =
            std::error::Error::source(status).map_or_else(|| status.message().to_owned(), https::innermost);
        match status.code() {
            Code::DeadlineExceeded | Code::Cancelled => {
                let error = json!({ "code": "timeout", "message": format!("{}: no answer in time", self.url), "details": { "may_have_run": true } });
                Failure(json!({ "success": false, "error": error })).into()
            }
            Code::Unavailable => Error::Unreachable(format!("cannot reach {}: {reason}", self.url)),
            code => Error::Broken(format!("{}: {code:?}: {reason}", self.url)),
        }
    }
}

fn arguments(call: &Call) -> Bytes {
    Bytes::copy_from_slice(call.arguments().as_bytes())
}

/// The object of REST for a call of a batch that failed.
fn of_failure(failure: &CallFailure) -> Value {
    let mut error = Map::new();
    error.insert("code".into(), failure.reason.clone().into());
    error.insert("message".into(), failure.message.clone().into());
    if !failure.rule.is_empty() {
        error.insert("rule".into(), failure.rule.clone().into());
    }
    if failure.retry_after_ms > 0 {
        error.insert("retry_after_ms".into(), failure.retry_after_ms.into());
    }
    let issues = failure.violations.iter();
    let issues = issues.map(|v| json!({ "pointer": v.field, "message": v.description }));
    with_details(
        &mut error,
        issues.collect(),
        failure.may_have_run,
        failure.rpc_code,
    );
    json!({ "success": false, "error": error, "request_id": failure.request_id })
}

fn with_details(error: &mut Map<String, Value>, issues: Vec<Value>, may_have_run: bool, rpc: Option<i32>) {
    let mut details = Map::new();
    if !issues.is_empty() {
        details.insert("issues".into(), issues.into());
    }
    if may_have_run {
        details.insert("may_have_run".into(), true.into());
    }
    if let Some(code) = rpc {
        details.insert("rpc".into(), json!({ "code": code }));
    }
    if !details.is_empty() {
        error.insert("details".into(), details.into());
    }
}

fn whole(responses: &[Value], summary: &BatchSummary) -> Value {
    let latency = Duration::from_micros(summary.latency_us);
    json!({
        "responses": responses,
        "success_count": summary.succeeded,
        "error_count": summary.failed,
        "latency_ms": latency.as_secs_f64() * 1000.0,
    })
}
