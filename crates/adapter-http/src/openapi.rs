//! The OpenAPI 3.1 description of the REST doors. Made here and nowhere else; `docs/openapi.json`
//! is its golden copy.

mod batch;
mod schemas;
mod usage;

use std::sync::OnceLock;

use bytes::Bytes;
use ferromcp_core::ErrorCode;
use http::header::CONTENT_TYPE;
use http::{Response, StatusCode};
use serde_json::{Map, Value, json};

use crate::body::Body;
use crate::refusal::{JSON, status};
use crate::rest::MAX_PAGE;

/// Files that are generated from this crate: path in the repository, and text.
pub fn generated() -> Vec<(&'static str, String)> {
    vec![("docs/openapi.json", text())]
}

/// `GET /v1/openapi.json`.
pub(crate) fn answer() -> Response<Body> {
    static TEXT: OnceLock<Bytes> = OnceLock::new();
    let text = TEXT.get_or_init(|| text().into());
    let mut response = Response::new(Body::whole(text.clone()));
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

fn text() -> String {
    let mut text = serde_json::to_string_pretty(&document()).unwrap_or_default();
    text.push('\n');
    text
}

/// The whole document.
pub(crate) fn document() -> Value {
    json!({
        "openapi": "3.1.1",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {
            "title": "FerroMCP REST API",
            "version": "1.0.0",
            "summary": "Tools of any MCP server, called over plain HTTP.",
            "description": "Every call runs through the same pipeline as one that comes in over MCP. \
                MCP itself is spoken at `/mcp` and is described by the Model Context Protocol \
                specification. Bodies are JSON in UTF-8, unknown and repeated members are refused.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/", "description": "The server that gave this document." }],
        "security": [{}, { "bearer": [] }, { "apiKey": [] }],
        "tags": [
            { "name": "tools", "description": "List and call tools." },
            { "name": "health", "description": "State of the server." },
        ],
        "paths": {
            "/v1/tools": { "get": list_tools() },
            "/v1/tools/call": { "post": call_tool() },
            "/v1/tools/batch": { "post": batch::operation(&of_bodies()) },
            "/v1/usage": { "get": usage::operation() },
            "/v1/openapi.json": { "get": plain(
                "getOpenApi", "tools", "This document.", "application/json", &json!({ "type": "object" }),
            ) },
            "/healthz": { "get": plain(
                "isAlive", "health", "The process answers.", "text/plain", &json!({ "const": "ok" }),
            ) },
            "/readyz": { "get": ready() },
            "/health": { "get": plain(
                "getHealth", "health", "State of every part. 200 even when a source is down.",
                "application/json", &reference("Health"),
            ) },
        },
        "components": {
            "schemas": schemas::all(),
            "responses": error_responses(),
            "headers": {
                "RetryAfter": {
                    "description": "Whole seconds after which a retry makes sense.",
                    "schema": { "type": "integer", "minimum": 0 },
                },
                "RateLimitLimit": {
                    "description": "Calls that may come at once under the caller's tightest rate. Only where a rate is set.",
                    "schema": { "type": "integer", "minimum": 0 },
                },
                "RateLimitRemaining": {
                    "description": "Calls of them that are left.",
                    "schema": { "type": "integer", "minimum": 0 },
                },
                "RateLimitReset": {
                    "description": "Whole seconds until all of them are there again, if nobody calls.",
                    "schema": { "type": "integer", "minimum": 0 },
                },
            },
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer", "description": "Key or token of a tenant." },
                "apiKey": { "type": "apiKey", "in": "header", "name": "X-Api-Key" },
            },
        },
    })
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

fn list_tools() -> Value {
    let mut responses = errors(&[
        ErrorCode::InvalidRequest,
        ErrorCode::Unauthenticated,
        ErrorCode::PermissionDenied,
        ErrorCode::Internal,
    ]);
    responses.insert(
        "200".into(),
        json!({
            "description": "One page of the tools that the caller may use.",
            "content": { "application/json": {
                "schema": reference("ToolPage"),
                "examples": { "one": { "summary": "The builtin echo", "value": {
                    "tools": [{
                        "name": "echo",
                        "description": "Returns its message.",
                        "input_schema": {
                            "type": "object",
                            "properties": { "msg": { "type": "string" } },
                            "required": ["msg"],
                        },
                        "annotations": { "readOnlyHint": true },
                        "source": "builtin",
                        "available": true,
                    }],
                    "next_cursor": null,
                } } },
            } },
        }),
    );
    json!({
        "operationId": "listTools",
        "tags": ["tools"],
        "summary": "List the tools that the caller may use.",
        "parameters": [
            {
                "name": "cursor", "in": "query", "required": false,
                "description": "`next_cursor` of the page before. Opaque.",
                "schema": { "type": "string" },
            },
            {
                "name": "limit", "in": "query", "required": false,
                "description": "Most tools on the page.",
                "schema": { "type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": MAX_PAGE },
            },
        ],
        "responses": responses,
    })
}

fn call_tool() -> Value {
    let mut responses = errors(&ErrorCode::ALL);
    responses.insert("200".into(), json!({
        "description": "The tool ran. `success` is false if the tool itself reports an error (`tool_error`).",
        "headers": rate_headers(),
        "content": { "application/json": {
            "schema": { "oneOf": [reference("CallSuccess"), reference("ToolFailure")] },
            "examples": {
                "success": { "summary": "The tool succeeded", "value": {
                    "success": true,
                    "output": "hello",
                    "content": [{ "type": "text", "text": "hello" }],
                    "request_id": "5a0f3c5b9d1e4f7788990a1b2c3d4e5f",
                    "latency_ms": 0.041,
                } },
                "tool_error": { "summary": "The tool failed", "value": {
                    "success": false,
                    "error": { "code": "tool_error", "message": "no such file: notes.txt" },
                    "content": [{ "type": "text", "text": "no such file: notes.txt" }],
                    "request_id": "5a0f3c5b9d1e4f7788990a1b2c3d4e60",
                    "latency_ms": 0.12,
                } },
            },
        } },
    }));
    responses.extend(of_bodies().map(|(status, response)| (status.to_owned(), response)));
    json!({
        "operationId": "callTool",
        "tags": ["tools"],
        "summary": "Call a tool and wait for its result.",
        "requestBody": {
            "required": true,
            "content": { "application/json": {
                "schema": reference("CallRequest"),
                "examples": {
                    "echo": { "summary": "Call the builtin echo", "value": {
                        "tool": "echo", "arguments": { "msg": "hello" },
                    } },
                    "deadline": { "summary": "With a deadline", "value": {
                        "tool": "echo", "arguments": { "msg": "hello" }, "timeout_ms": 500,
                    } },
                },
            } },
        },
        "responses": responses,
    })
}

/// What a body can do wrong before anybody reads it.
fn of_bodies() -> [(&'static str, Value); 2] {
    [
        ("408", "The body stood still for too long. Nothing was called."),
        (
            "415",
            "The Content-Type is not application/json, or the body is compressed.",
        ),
    ]
    .map(|(status, when)| (status, failure(when, &[("invalid_request", when, json!({}))])))
}

fn plain(id: &str, tag: &str, what: &str, media: &str, schema: &Value) -> Value {
    let security: Value = if tag == "health" {
        json!([{}])
    } else {
        json!([{}, { "bearer": [] }])
    };
    json!({
        "operationId": id,
        "tags": [tag],
        "summary": what,
        "security": security,
        "responses": { "200": { "description": what, "content": { media: { "schema": schema } } } },
    })
}

fn ready() -> Value {
    let mut operation = plain(
        "isReady",
        "health",
        "The server takes calls.",
        "text/plain",
        &json!({ "const": "ready" }),
    );
    operation["responses"]["503"] = json!({
        "description": "The server is draining.",
        "content": { "text/plain": { "schema": { "const": "draining" } } },
    });
    operation
}

/// What a code means, in one sentence, and an example of its error object without `code`.
fn meaning(code: ErrorCode) -> (&'static str, Value) {
    match code {
        ErrorCode::InvalidRequest => (
            "Malformed JSON, wrong, unknown or repeated fields.",
            json!({ "message": "`tool` is missing" }),
        ),
        ErrorCode::Unauthenticated => (
            "Missing or bad credential.",
            json!({ "message": "this server needs a key" }),
        ),
        ErrorCode::PermissionDenied => (
            "Not allowed: the tenant, or the Host or Origin of the request.",
            json!({ "message": "this credential does not act for tenant `b`" }),
        ),
        ErrorCode::ToolNotFound => (
            "No such tool, or not for this caller.",
            json!({ "message": "Unknown tool: ech" }),
        ),
        ErrorCode::InvalidArguments => (
            "The arguments break the tool's schema, or a size, depth or pattern rule.",
            json!({
                "message": "arguments do not fit the input schema of echo: /msg: not a string",
                "rule": "schema.arguments",
                "details": { "issues": [{ "pointer": "/msg", "message": "not a string" }] },
            }),
        ),
        ErrorCode::PayloadTooLarge => (
            "The body is over the limit.",
            json!({ "message": "the body is larger than 4194304 bytes" }),
        ),
        ErrorCode::RateLimited => (
            "Too many calls in a short time.",
            json!({ "message": "slow down", "retry_after_ms": 120 }),
        ),
        ErrorCode::QuotaExceeded => (
            "A quota is used up.",
            json!({ "message": "quota used up", "retry_after_ms": 30000 }),
        ),
        ErrorCode::Timeout => (
            "The deadline passed; `details.may_have_run` says whether the tool may have run.",
            json!({
                "message": "slow gave no sign of life for 30s and was cancelled; it may have run",
                "rule": "deadline",
                "details": { "may_have_run": true },
            }),
        ),
        ErrorCode::Unavailable => (
            "The tool's source cannot be reached, or the server is full or draining.",
            json!({ "message": "the server is shutting down", "rule": "admit.draining", "retry_after_ms": 1000 }),
        ),
        ErrorCode::UpstreamError | ErrorCode::Relayed => (
            "The source broke the protocol, or answered with an error of its own (`details.rpc`).",
            json!({ "message": "boom", "details": { "rpc": { "code": -32603, "message": "boom" } } }),
        ),
        ErrorCode::Cancelled => (
            "The caller went away. Seen in records only.",
            json!({ "message": "cancelled" }),
        ),
        ErrorCode::Internal => (
            "Our fault. The server's log has details under the request id.",
            json!({ "message": "internal error", "details": { "may_have_run": true } }),
        ),
    }
}

/// References to the shared error responses of these codes.
fn errors(codes: &[ErrorCode]) -> Map<String, Value> {
    let responses = codes.iter().map(|code| {
        let status = status(*code);
        (
            status.as_u16().to_string(),
            json!({ "$ref": format!("#/components/responses/{}", name(status)) }),
        )
    });
    responses.collect()
}

/// One response for each status, with an example for each code that has it.
fn error_responses() -> Map<String, Value> {
    let mut made = Map::new();
    for code in ErrorCode::ALL {
        let same: Vec<ErrorCode> = ErrorCode::ALL
            .into_iter()
            .filter(|c| status(*c) == status(code) && *c != ErrorCode::Relayed)
            .collect();
        let examples: Vec<_> = same
            .iter()
            .map(|c| {
                let (when, error) = meaning(*c);
                (c.as_str(), when, error)
            })
            .collect();
        let when: Vec<&str> = examples.iter().map(|(_, when, _)| *when).collect();
        made.insert(name(status(code)), failure(&when.join(" "), &examples));
    }
    made
}

fn rate_headers() -> Value {
    json!({
        "RateLimit-Limit": { "$ref": "#/components/headers/RateLimitLimit" },
        "RateLimit-Remaining": { "$ref": "#/components/headers/RateLimitRemaining" },
        "RateLimit-Reset": { "$ref": "#/components/headers/RateLimitReset" },
    })
}

fn failure(description: &str, examples: &[(&str, &str, Value)]) -> Value {
    let shown: Map<String, Value> = examples
        .iter()
        .map(|(code, when, error)| {
            let mut error = error.clone();
            error["code"] = (*code).into();
            if error.get("message").is_none() {
                error["message"] = (*when).into();
            }
            let value = json!({ "success": false, "error": error });
            ((*code).to_owned(), json!({ "summary": when, "value": value }))
        })
        .collect();
    let mut response = json!({
        "description": description,
        "content": { "application/json": { "schema": reference("Failure"), "examples": shown } },
    });
    if examples
        .iter()
        .any(|(_, _, error)| error.get("retry_after_ms").is_some())
    {
        response["headers"] = json!({ "Retry-After": { "$ref": "#/components/headers/RetryAfter" } });
    }
    if examples
        .iter()
        .any(|(code, ..)| *code == ErrorCode::RateLimited.as_str())
    {
        let mut all = rate_headers();
        all["Retry-After"] = response["headers"]["Retry-After"].clone();
        response["headers"] = all;
    }
    response
}

fn name(status: StatusCode) -> String {
    format!("Error{}", status.as_u16())
}

#[cfg(test)]
mod tests;
