//! REST, and MCP for calls that are to tell of themselves.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error as SendError};
use hyper_util::rt::TokioExecutor;
use rustls::ClientConfig;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use sse_stream::SseStream;
use url::Url;

use crate::answer::{Answer, BatchAnswer, Event, Tool, of_call, of_result};
use crate::builder::MAX_ANSWER;
use crate::call::{Batch, Call, milliseconds};
use crate::error::{Error, Failure};
use crate::https;
use crate::usage::Usage;

/// Most pages of a list.
pub(crate) const MAX_PAGES: usize = 1000;
const REVISION: &str = "2026-07-28";

#[derive(Clone)]
pub(crate) struct Rest {
    base: Url,
    key: Option<String>,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl std::fmt::Debug for Rest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rest")
            .field("base", &self.base.as_str())
            .finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct CallBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    tool: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    arguments: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant_id: Option<&'a str>,
}

#[derive(Serialize)]
struct BatchBody<'a> {
    requests: Vec<CallBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_parallel: Option<u16>,
    stop_on_error: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant_id: Option<&'a str>,
}

impl Rest {
    pub(crate) fn new(mut base: Url, key: Option<String>, tls: ClientConfig, connect: Duration) -> Self {
        // Pasting the URL of the MCP door is a natural mistake, and it is clear what is meant.
        let path = base
            .path()
            .trim_end_matches('/')
            .trim_end_matches("/mcp")
            .to_owned();
        base.set_path(&path);
        base.set_query(None);
        base.set_fragment(None);
        Self {
            base,
            key,
            client: Client::builder(TokioExecutor::new()).build(https::http1(tls, connect)),
        }
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        let base = self.base.path().trim_end_matches('/');
        url.set_path(&format!("{base}{path}"));
        url
    }

    pub(crate) async fn tools(&self) -> Result<Vec<Tool>, Error> {
        let mut all = Vec::new();
        let mut cursor: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let mut url = self.url("/v1/tools");
            if let Some(cursor) = &cursor {
                url.query_pairs_mut().append_pair("cursor", cursor);
            }
            let mut page = self.json(Method::GET, &url, Bytes::new()).await?;
            let Some(Value::Array(tools)) = page.get_mut("tools").map(Value::take) else {
                return Err(refused(&url, page));
            };
            all.extend(tools.into_iter().map(Tool));
            cursor = page["next_cursor"].as_str().map(str::to_owned);
            if cursor.is_none() {
                return Ok(all);
            }
        }
        Err(Error::Broken(format!(
            "{} lists more than {MAX_PAGES} pages of tools",
            self.base
        )))
    }

    pub(crate) async fn call(&self, call: &Call) -> Result<Answer, Error> {
        let body = CallBody {
            id: None,
            tenant_id: call.tenant.as_deref(),
            ..one(call)
        };
        let url = self.url("/v1/tools/call");
        let answer = self.json(Method::POST, &url, written(&body)?).await?;
        match answer["success"].is_boolean() {
            true => of_call(answer),
            false => Err(refused(&url, answer)),
        }
    }

    pub(crate) async fn batch(&self, batch: &Batch) -> Result<BatchAnswer, Error> {
        let body = BatchBody {
            requests: batch.calls.iter().map(one).collect(),
            max_parallel: (batch.parallel > 0).then_some(batch.parallel),
            stop_on_error: batch.stop_on_error,
            timeout_ms: batch.timeout.map(milliseconds),
            tenant_id: batch.tenant.as_deref(),
        };
        let url = self.url("/v1/tools/batch");
        let answer = self.json(Method::POST, &url, written(&body)?).await?;
        match answer["responses"].is_array() {
            true => BatchAnswer::of(answer),
            false => Err(refused(&url, answer)),
        }
    }

    pub(crate) async fn usage(&self) -> Result<Usage, Error> {
        let url = self.url("/v1/usage");
        let answer = self.json(Method::GET, &url, Bytes::new()).await?;
        match answer["tenant"].is_string() {
            true => Ok(Usage(answer)),
            false => Err(refused(&url, answer)),
        }
    }

    pub(crate) async fn ready(&self) -> Result<bool, Error> {
        let url = self.url("/readyz");
        let response = self.send(Method::GET, &url, &[], Bytes::new()).await?;
        match response.status() {
            StatusCode::OK => Ok(true),
            StatusCode::SERVICE_UNAVAILABLE => Ok(false),
            status => Err(Error::Broken(format!(
                "{url} answered {status}; is this a FerroMCP server?"
            ))),
        }
    }

    pub(crate) async fn call_events(
        &self,
        call: &Call,
        heard: &mut (dyn FnMut(Event) + Send),
    ) -> Result<Answer, Error> {
        if call.tenant.is_some() || call.timeout.is_some() {
            return Err(Error::Usage(
                "a call over MCP has no tenant and no timeout of its own; use gRPC, or a key of the tenant"
                    .into(),
            ));
        }
        let started = Instant::now();
        let message = json!({
            "jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": {
                "name": call.tool,
                "_meta": {
                    "progressToken": 1,
                    "io.modelcontextprotocol/protocolVersion": REVISION,
                    "io.modelcontextprotocol/clientInfo": { "name": "ferromcp-client", "version": env!("CARGO_PKG_VERSION") },
                    "io.modelcontextprotocol/clientCapabilities": {},
                    "io.modelcontextprotocol/logLevel": "debug",
                },
            },
        });
        // The arguments travel as they were written.
        let message = message.to_string().replacen(
            "\"params\":{",
            &format!("\"params\":{{\"arguments\":{},", call.arguments()),
            1,
        );
        let headers = [
            ("accept", "application/json, text/event-stream"),
            ("mcp-protocol-version", REVISION),
            ("mcp-method", "tools/call"),
            ("mcp-name", &*ferromcp_protocol::header::encode_value(&call.tool)),
        ];
        let url = self.url("/mcp");
        let response = self.send(Method::POST, &url, &headers, message.into()).await?;
        let kind = response.headers().get(header::CONTENT_TYPE);
        if !kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream")) {
            let answer = read(&url, response).await?;
            return of_rpc(&url, answer, started);
        }
        let mut events =
            SseStream::new(Limited::new(response.into_body(), MAX_ANSWER).map_err(std::io::Error::other));
        while let Some(event) = events.next().await {
            let event = event.map_err(|e| Error::Broken(format!("{url}: the stream broke off: {e}")))?;
            let Some(data) = event.data else { continue };
            let message: Value = serde_json::from_str(&data)
                .map_err(|e| Error::Broken(format!("{url}: an event that is not JSON: {e}")))?;
            if message.get("id").is_some() && message.get("method").is_none() {
                return of_rpc(&url, message, started);
            }
            if let Some(event) = told(&message) {
                heard(event);
            }
        }
        Err(Error::Broken(format!("{url}: the stream ended without a result")))
    }

    async fn json(&self, method: Method, url: &Url, body: Bytes) -> Result<Value, Error> {
        let response = self
            .send(method, url, &[("accept", "application/json")], body)
            .await?;
        read(url, response).await
    }

    async fn send(
        &self,
        method: Method,
        url: &Url,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Response<Incoming>, Error> {
        let mut request = Request::builder().method(method).uri(url.as_str());
        if let Some(key) = &self.key {
            request = request.header(header::AUTHORIZATION, format!("Bearer {key}"));
        }
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request
            .body(Full::new(body))
            .map_err(|e| Error::Usage(format!("cannot build the request: {e}")))?;
        let sent = self.client.request(request).await;
        sent.map_err(|e| unreachable(url, &e))
    }
}

fn one(call: &Call) -> CallBody<'_> {
    CallBody {
        id: call.id.as_deref(),
        tool: &call.tool,
        arguments: call.arguments.as_deref(),
        timeout_ms: call.timeout.map(milliseconds),
        tenant_id: None,
    }
}

fn written(body: &impl Serialize) -> Result<Bytes, Error> {
    let bytes = serde_json::to_vec(body);
    bytes
        .map(Bytes::from)
        .map_err(|e| Error::Usage(format!("the request cannot be written: {e}")))
}

async fn read(url: &Url, response: Response<Incoming>) -> Result<Value, Error> {
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_ANSWER)
        .collect()
        .await
        .map_err(|e| Error::Broken(format!("{url}: the answer broke off: {e}")))?
        .to_bytes();
    serde_json::from_slice(&body).map_err(|_| {
        Error::Broken(format!(
            "{url} answered {status} with something that is not JSON; is this a FerroMCP server?"
        ))
    })
}

/// What a server said that did not do it.
fn refused(url: &Url, answer: Value) -> Error {
    match answer["error"]["code"].is_string() {
        true => Failure(answer).into(),
        false => Error::Broken(format!(
            "{url} answered with JSON of another kind; is this a FerroMCP server?"
        )),
    }
}

/// The answer of MCP to a call.
fn of_rpc(url: &Url, mut answer: Value, started: Instant) -> Result<Answer, Error> {
    let latency = started.elapsed().as_secs_f64() * 1000.0;
    if answer["result"].is_object() {
        return of_call(of_result(&answer["result"], "", latency));
    }
    let data = answer["error"]["data"].take();
    let message = answer["error"]["message"].take();
    if !message.is_string() {
        return Err(refused(url, answer));
    }
    // Ours have a code of the table; others are those of a server behind the gateway.
    let mut error = match data {
        Value::Object(data) if data.get("code").is_some_and(Value::is_string) => Value::Object(data),
        _ => json!({ "code": "upstream_error" }),
    };
    error["message"] = message;
    Err(Failure(json!({ "success": false, "error": error, "latency_ms": latency })).into())
}

/// A notification that a running call sends.
fn told(message: &Value) -> Option<Event> {
    let params = &message["params"];
    let text = |value: &Value| value.as_str().map(str::to_owned);
    match message["method"].as_str()? {
        "notifications/progress" => Some(Event::Progress {
            progress: params["progress"].as_f64()?,
            total: params["total"].as_f64(),
            message: text(&params["message"]),
        }),
        "notifications/message" => Some(Event::Log {
            level: text(&params["level"])?,
            logger: text(&params["logger"]),
            data: params["data"].clone(),
        }),
        _ => None,
    }
}

fn unreachable(url: &Url, error: &SendError) -> Error {
    let message = format!("cannot reach {url}: {}", https::innermost(error));
    match error.is_connect() {
        true => Error::Unreachable(message),
        false => Error::Broken(message),
    }
}
