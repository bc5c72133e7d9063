//! The JSON Schemas of requests and answers.

use ferromcp_core::ErrorCode;
use serde_json::{Value, json};

/// All schemas by name.
pub(super) fn all() -> Value {
    let mut all = single();
    if let Value::Object(map) = &mut all {
        map.extend(super::batch::schemas());
    }
    all
}

fn single() -> Value {
    json!({
        "Tool": tool(),
        "ToolPage": {
            "type": "object",
            "required": ["tools", "next_cursor"],
            "properties": {
                "tools": { "type": "array", "items": { "$ref": "#/components/schemas/Tool" } },
                "next_cursor": {
                    "type": ["string", "null"],
                    "description": "Give it back as `cursor` for the next page; null on the last.",
                },
            },
        },
        "CallRequest": call_request(),
        "CallSuccess": {
            "type": "object",
            "required": ["success", "output", "content", "request_id", "latency_ms"],
            "properties": {
                "success": { "const": true },
                "output": {
                    "description": "The tool's structured content; else its text, if it has only text; else null.",
                },
                "content": { "$ref": "#/components/schemas/Content" },
                "request_id": { "$ref": "#/components/schemas/RequestId" },
                "latency_ms": { "$ref": "#/components/schemas/Latency" },
            },
        },
        "ToolFailure": {
            "type": "object",
            "required": ["success", "error", "content", "request_id", "latency_ms"],
            "properties": {
                "success": { "const": false },
                "error": {
                    "type": "object",
                    "required": ["code", "message"],
                    "properties": { "code": { "const": "tool_error" }, "message": { "type": "string" } },
                },
                "output": { "description": "The tool's structured content, if it gave any." },
                "content": { "$ref": "#/components/schemas/Content" },
                "request_id": { "$ref": "#/components/schemas/RequestId" },
                "latency_ms": { "$ref": "#/components/schemas/Latency" },
            },
        },
        "Failure": {
            "type": "object",
            "required": ["success", "error"],
            "properties": {
                "success": { "const": false },
                "error": { "$ref": "#/components/schemas/Error" },
                "request_id": { "$ref": "#/components/schemas/RequestId" },
                "latency_ms": { "$ref": "#/components/schemas/Latency" },
            },
            "description": "`request_id` and `latency_ms` are there once the request became a call.",
        },
        "Error": error(),
        "Content": {
            "type": "array",
            "description": "Content blocks exactly as MCP defines them (text, image, audio, resources).",
            "items": { "type": "object", "required": ["type"], "properties": { "type": { "type": "string" } } },
        },
        "RequestId": {
            "type": "string",
            "pattern": "^[0-9a-f]{32}$",
            "description": "Names the call in logs and records.",
        },
        "Latency": { "type": "number", "minimum": 0, "description": "Milliseconds from start to end." },
        "Usage": ferromcp_core::usage::schema(),
        "Health": health(),
    })
}

fn tool() -> Value {
    json!({
        "type": "object",
        "required": ["name", "input_schema", "source", "available"],
        "properties": {
            "name": { "type": "string" },
            "title": { "type": "string" },
            "description": { "type": "string" },
            "input_schema": { "type": "object", "description": "JSON Schema of the arguments." },
            "output_schema": { "type": "object", "description": "JSON Schema of structured output." },
            "annotations": { "type": "object", "description": "Hints of MCP, such as `readOnlyHint`." },
            "source": { "type": "string", "description": "Who carries it out." },
            "available": {
                "type": "boolean",
                "description": "False while its source is down: it stays listed as it was last known, and calls of it fail at once.",
            },
        },
    })
}

fn call_request() -> Value {
    json!({
        "type": "object",
        "required": ["tool"],
        "additionalProperties": false,
        "properties": {
            "tool": { "type": "string", "description": "Name as listed." },
            "arguments": { "type": ["object", "null"], "description": "What the tool's `input_schema` asks for." },
            "timeout_ms": {
                "type": "integer",
                "minimum": 1,
                "description": "A shorter deadline than the server's, in milliseconds.",
            },
            "tenant_id": {
                "type": "string",
                "description": "May be given, and must then be the tenant of the credential.",
            },
        },
    })
}

fn error() -> Value {
    let mut codes: Vec<&str> = Vec::new();
    for code in ErrorCode::ALL {
        if !codes.contains(&code.as_str()) {
            codes.push(code.as_str());
        }
    }
    json!({
        "type": "object",
        "required": ["code", "message"],
        "properties": {
            "code": { "enum": codes },
            "message": { "type": "string", "description": "What happened and what to do, for people." },
            "rule": { "type": "string", "description": "Stable name of the rule that refused the call." },
            "retry_after_ms": { "type": "integer", "minimum": 0 },
            "details": {
                "type": "object",
                "properties": {
                    "issues": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["pointer", "message"],
                            "properties": {
                                "pointer": {
                                    "type": "string",
                                    "description": "JSON Pointer (RFC 6901) into the arguments.",
                                },
                                "message": { "type": "string" },
                            },
                        },
                    },
                    "may_have_run": { "type": "boolean", "description": "A blind retry is not safe." },
                    "rpc": { "type": "object", "description": "The JSON-RPC error of the upstream server." },
                },
            },
        },
    })
}

fn health() -> Value {
    json!({
        "type": "object",
        "required": ["status", "name", "version", "uptime_seconds", "in_flight", "sources"],
        "properties": {
            "status": { "enum": ["starting", "ok", "degraded", "draining"] },
            "name": { "type": "string" },
            "version": { "type": "string" },
            "uptime_seconds": { "type": "integer", "minimum": 0 },
            "generation": { "type": "integer", "description": "Counts up with every change of the catalog." },
            "in_flight": { "type": "integer", "description": "Calls that are running." },
            "connections": { "type": "integer", "description": "Open HTTP connections." },
            "sessions": { "type": "integer", "description": "Open MCP sessions." },
            "sources": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["name", "state", "tools", "resources", "prompts"],
                    "properties": {
                        "name": { "type": "string" },
                        "state": { "enum": ["starting", "ready", "down"] },
                        "reason": { "type": "string", "description": "Why it is down." },
                        "tools": { "type": "integer" },
                        "resources": { "type": "integer" },
                        "prompts": { "type": "integer" },
                    },
                },
            },
        },
    })
}
