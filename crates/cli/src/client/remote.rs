//! A running server, over REST or gRPC; and its admin API.

use std::time::Duration;

use bytes::Bytes;
use ferromcp_client::{Batch, Call, Client, Error};
use ferromcp_core::BatchRequest;
use http::{Method, Request, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy;
use hyper_util::rt::TokioExecutor;
use rustls::ClientConfig;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use url::Url;

use super::trust;
use crate::args::{Server, Target};
use crate::exit::Failure;
use crate::https;

/// Largest answer that is read, in bytes.
const MAX_ANSWER: usize = 256 << 20;
/// How long a server may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// What those are told who reach nobody.
const HINT: &str =
    ". Start a server with `ferromcp serve`, name another with --url, or use --config FILE without a server";

/// The list of tools: `{"tools":[...]}`.
pub(super) async fn tools(target: &Target) -> Result<Value, Failure> {
    let tools = client(&target.server)?.tools().await.map_err(failed)?;
    let tools: Vec<Value> = tools.iter().map(|tool| tool.json().clone()).collect();
    Ok(json!({ "tools": tools }))
}

/// Calls a tool; the answer is the REST contract's object, also for a failed call.
pub(super) async fn call(
    target: &Target,
    tool: &str,
    arguments: &str,
    timeout_ms: Option<u64>,
) -> Result<Value, Failure> {
    let mut call = made(tool, Some(arguments))?;
    if let Some(ms) = timeout_ms {
        call = call.timeout(Duration::from_millis(ms));
    }
    match client(&target.server)?.call(&call).await {
        Ok(answer) => Ok(answer.json().clone()),
        Err(Error::Failed(failure)) => Ok(failure.json().clone()),
        Err(error) => Err(failed(error)),
    }
}

/// Calls many tools; the answer is the REST contract's object.
pub(super) async fn batch(target: &Target, body: &str) -> Result<Value, Failure> {
    let wanted = BatchRequest::parse(body.as_bytes()).map_err(|e| Failure::Usage(e.message().to_owned()))?;
    let mut batch = Batch::new().parallel(u16::try_from(wanted.parallel).unwrap_or(u16::MAX));
    for one in &wanted.calls {
        let mut call = made(&one.tool, one.arguments)?;
        if let Some(id) = &one.id {
            call = call.id(&**id);
        }
        if let Some(timeout) = one.timeout {
            call = call.timeout(timeout);
        }
        batch = batch.call(call);
    }
    if wanted.stop_on_error {
        batch = batch.stop_on_error();
    }
    if let Some(timeout) = wanted.timeout {
        batch = batch.timeout(timeout);
    }
    if let Some(tenant) = &wanted.tenant {
        batch = batch.tenant(&**tenant);
    }
    let answer = client(&target.server)?.batch(&batch).await.map_err(failed)?;
    Ok(answer.json().clone())
}

/// What is used of rates and quotas, as REST says it.
pub(super) async fn usage(server: &Server) -> Result<Value, Failure> {
    let told = client(server)?.usage().await;
    // There is nothing here that a configuration without a server could say instead.
    let told = told.map_err(|error| match error {
        Error::Unreachable(message) => Failure::Other(format!(
            "{message}. Start a server with `ferromcp serve`, or name another with --url"
        )),
        error => failed(error),
    })?;
    Ok(told.json().clone())
}

/// The arguments travel as they were written.
fn made(tool: &str, arguments: Option<&str>) -> Result<Call, Failure> {
    let Some(arguments) = arguments else {
        return Ok(Call::bare(tool));
    };
    let raw: &RawValue = serde_json::from_str(arguments)
        .map_err(|e| Failure::Usage(format!("the arguments are not JSON: {e}")))?;
    Call::new(tool, &raw).map_err(failed)
}

fn client(server: &Server) -> Result<Client, Failure> {
    let address = &server.address;
    let mut builder = Client::builder(&address.url).connect_timeout(CONNECT);
    if let Some(key) = &server.tenant_key {
        builder = builder.key(key);
    }
    let secure = ["https:", "grpcs:"]
        .iter()
        .any(|scheme| address.url.starts_with(scheme));
    // Files are read where they are needed, and where they were named.
    if secure || address.ca.is_some() || address.cert.is_some() {
        builder = builder.tls(trust::settings(address)?);
    }
    builder.build().map_err(|e| Failure::Usage(format!("--url {e}")))
}

fn failed(error: Error) -> Failure {
    match error {
        Error::Usage(message) => Failure::Usage(message),
        Error::Unreachable(message) => Failure::Other(format!("{message}{HINT}")),
        Error::Failed(failure) => Failure::Other(format!("the server refused: {failure}")),
        error => Failure::Other(error.to_string()),
    }
}

/// One request, one JSON answer.
pub(crate) async fn exchange(
    tls: ClientConfig,
    method: Method,
    url: &Url,
    headers: &[(header::HeaderName, String)],
    body: Bytes,
) -> Result<(http::StatusCode, Value), Failure> {
    let connector = https::http1(tls, CONNECT);
    let client: legacy::Client<_, Full<Bytes>> =
        legacy::Client::builder(TokioExecutor::new()).build(connector);
    let mut request = Request::builder()
        .method(method)
        .uri(url.as_str())
        .header(header::ACCEPT, "application/json");
    if !body.is_empty() {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request
        .body(Full::new(body))
        .map_err(|e| Failure::Usage(format!("cannot build the request: {e}")))?;
    let response = client.request(request).await.map_err(|e| unreachable(url, &e))?;
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_ANSWER)
        .collect()
        .await
        .map_err(|e| Failure::Other(format!("{url}: the answer broke off: {e}")))?
        .to_bytes();
    let value = serde_json::from_slice(&body).map_err(|_| {
        Failure::Other(format!(
            "{url} answered {status} with something that is not JSON; is this a FerroMCP server?"
        ))
    })?;
    Ok((status, value))
}

fn unreachable(url: &Url, error: &legacy::Error) -> Failure {
    let reason = https::innermost(error);
    let hint = if error.is_connect() { HINT } else { "" };
    Failure::Other(format!("cannot reach {url}: {reason}{hint}"))
}

/// What a server said that did not do it.
pub(crate) fn refusal(url: &Url, status: http::StatusCode, answer: &Value) -> String {
    match answer["error"]["message"].as_str() {
        Some(message) => format!("{url} answered {status}: {message}"),
        None => format!("{url} answered {status} with JSON of another kind; is this a FerroMCP server?"),
    }
}
