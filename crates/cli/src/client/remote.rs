//! A running server, over REST.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use rustls::ClientConfig;
use serde_json::{Value, json};
use url::Url;

use super::trust;
use crate::args::Target;
use crate::exit::Failure;
use crate::https;

/// Largest answer that is read, in bytes.
const MAX_ANSWER: usize = 256 << 20;
/// How long a server may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// Most pages of a list.
const MAX_PAGES: usize = 1000;

/// All pages of the list of tools: `{"tools":[...]}`.
pub(super) async fn tools(target: &Target) -> Result<Value, Failure> {
    let mut all = Vec::new();
    let mut cursor: Option<String> = None;
    for _ in 0..MAX_PAGES {
        let mut url = endpoint(target, "v1/tools")?;
        if let Some(cursor) = &cursor {
            url.query_pairs_mut().append_pair("cursor", cursor);
        }
        let (status, mut page) = send(target, Method::GET, &url, Bytes::new()).await?;
        let Some(Value::Array(tools)) = page.get_mut("tools").map(Value::take) else {
            return Err(refused(&url, status, &page));
        };
        all.extend(tools);
        cursor = page["next_cursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            return Ok(json!({ "tools": all }));
        }
    }
    Err(Failure::Other(format!(
        "{} lists more than {MAX_PAGES} pages of tools",
        target.url
    )))
}

/// Calls a tool; the answer is the REST contract's object, also for a failed call.
pub(super) async fn call(
    target: &Target,
    tool: &str,
    arguments: &str,
    timeout_ms: Option<u64>,
) -> Result<Value, Failure> {
    let url = endpoint(target, "v1/tools/call")?;
    // The arguments travel as they were written.
    let timeout = timeout_ms
        .map(|ms| format!(",\"timeout_ms\":{ms}"))
        .unwrap_or_default();
    let body = format!(
        "{{\"tool\":{},\"arguments\":{arguments}{timeout}}}",
        Value::from(tool)
    );
    let (status, answer) = send(target, Method::POST, &url, body.into()).await?;
    if !answer["success"].is_boolean() {
        return Err(refused(&url, status, &answer));
    }
    Ok(answer)
}

/// Calls many tools; the answer is the REST contract's object.
pub(super) async fn batch(target: &Target, body: &str) -> Result<Value, Failure> {
    let url = endpoint(target, "v1/tools/batch")?;
    let (status, answer) = send(target, Method::POST, &url, Bytes::from(body.to_owned())).await?;
    if !answer["responses"].is_array() {
        return Err(refused(&url, status, &answer));
    }
    Ok(answer)
}

fn endpoint(target: &Target, path: &str) -> Result<Url, Failure> {
    let bad = |why: &str| {
        Failure::Usage(format!(
            "--url {}: {why}; it looks like http://127.0.0.1:8080",
            target.url
        ))
    };
    let mut url = Url::parse(&target.url).map_err(|e| bad(&e.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(bad("the scheme must be http or https"));
    }
    // Pasting the URL of the MCP door is a natural mistake, and it is clear what is meant.
    let base = url
        .path()
        .trim_end_matches('/')
        .trim_end_matches("/mcp")
        .to_owned();
    url.set_path(&format!("{base}/{path}"));
    url.set_query(None);
    Ok(url)
}

async fn send(
    target: &Target,
    method: Method,
    url: &Url,
    body: Bytes,
) -> Result<(http::StatusCode, Value), Failure> {
    let key = target.tenant_key.as_ref();
    let headers: Vec<_> = key
        .map(|key| (header::AUTHORIZATION, format!("Bearer {key}")))
        .into_iter()
        .collect();
    exchange(trust::settings(target)?, method, url, &headers, body).await
}

/// One request, one JSON answer.
pub(crate) async fn exchange(
    tls: ClientConfig,
    method: Method,
    url: &Url,
    headers: &[(header::HeaderName, String)],
    body: Bytes,
) -> Result<(http::StatusCode, Value), Failure> {
    let connector = https::connector(tls, CONNECT);
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build(connector);
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

fn unreachable(url: &Url, error: &hyper_util::client::legacy::Error) -> Failure {
    let reason = https::innermost(error);
    let hint = if error.is_connect() {
        ". Start a server with `ferromcp serve`, name another with --url, or use --config FILE without a server"
    } else {
        ""
    };
    Failure::Other(format!("cannot reach {url}: {reason}{hint}"))
}

fn refused(url: &Url, status: http::StatusCode, answer: &Value) -> Failure {
    Failure::Other(refusal(url, status, answer))
}

/// What a server said that did not do it.
pub(crate) fn refusal(url: &Url, status: http::StatusCode, answer: &Value) -> String {
    match answer["error"]["message"].as_str() {
        Some(message) => format!("{url} answered {status}: {message}"),
        None => format!("{url} answered {status} with JSON of another kind; is this a FerroMCP server?"),
    }
}
