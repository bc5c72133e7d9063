//! `POST /v1/tools/batch`.

use ferromcp_core::ErrorCode;
use ferromcp_core::batch::{DEFAULT_PARALLEL, MAX_CALLS, MAX_ID, MAX_PARALLEL};
use serde_json::{Map, Value, json};

use super::{errors, reference};

/// The operation.
pub(super) fn operation(also: &[(&str, Value)]) -> Value {
    let mut responses = errors(&[
        ErrorCode::InvalidRequest,
        ErrorCode::Unauthenticated,
        ErrorCode::PermissionDenied,
        ErrorCode::PayloadTooLarge,
        ErrorCode::QuotaExceeded,
        ErrorCode::Internal,
    ]);
    responses.extend(
        also.iter()
            .map(|(status, response)| ((*status).to_owned(), response.clone())),
    );
    responses.insert(
        "200".into(),
        json!({
            "description": "Every call has an answer, in the order of the requests, and failed or succeeded on its own.",
            "content": { "application/json": { "schema": reference("BatchAnswer") } },
        }),
    );
    json!({
        "operationId": "batchCall",
        "tags": ["tools"],
        "summary": "Call many tools in one request.",
        "description": "Each call is authorised, limited, checked and recorded on its own. A call's arguments may hold \
            `{\"$result\": ID, \"pointer\": POINTER}` anywhere: in its place comes the output of the call with this id, or the \
            part of it that the JSON Pointer (RFC 6901) leads to. That call is made before, wherever it stands. If it \
            fails, the calls that need it are not made (rule `batch.dependency`).",
        "requestBody": {
            "required": true,
            "content": { "application/json": {
                "schema": reference("BatchRequest"),
                "examples": examples(),
            } },
        },
        "responses": responses,
    })
}

fn examples() -> Value {
    json!({
        "parallel": { "summary": "Two calls at the same time", "value": {
            "parallel": true,
            "requests": [
                { "id": "a", "tool": "echo", "arguments": { "msg": "one" } },
                { "id": "b", "tool": "echo", "arguments": { "msg": "two" } },
            ],
        } },
        "chain": { "summary": "A call that needs the result of another", "value": {
            "stop_on_error": true,
            "requests": [
                { "id": "first", "tool": "echo", "arguments": { "msg": "{\"name\":\"ferro\"}" } },
                { "tool": "echo", "arguments": { "msg": { "$result": "first", "pointer": "/name" } } },
            ],
        } },
    })
}

/// The schemas by name.
pub(super) fn schemas() -> Map<String, Value> {
    let timeout = |what: &str| json!({ "type": "integer", "minimum": 1, "description": what });
    let made = json!({
        "BatchRequest": {
            "type": "object",
            "required": ["requests"],
            "additionalProperties": false,
            "properties": {
                "requests": { "type": "array", "minItems": 1, "maxItems": MAX_CALLS, "items": {
                    "type": "object",
                    "required": ["tool"],
                    "additionalProperties": false,
                    "properties": {
                        "id": {
                            "type": "string", "minLength": 1, "maxLength": MAX_ID,
                            "description": "Unique in the batch; other calls refer to it, and the answer repeats it. At most so many bytes.",
                        },
                        "tool": { "type": "string", "description": "Name as listed." },
                        "arguments": { "type": ["object", "null"], "description": "What the tool's `input_schema` asks for, with references in it." },
                        "timeout_ms": timeout("The longest that this call may take, in milliseconds."),
                    },
                } },
                "parallel": {
                    "type": "boolean", "default": false,
                    "description": "Make calls at the same time. Otherwise they are made in order, one at a time.",
                },
                "max_parallel": {
                    "type": "integer", "minimum": 1, "maximum": MAX_PARALLEL, "default": DEFAULT_PARALLEL,
                    "description": "Most calls at the same time; implies `parallel`. Never more than the tenant's quota of concurrent calls.",
                },
                "stop_on_error": {
                    "type": "boolean", "default": false,
                    "description": "Once a call has failed, make no more (rule `batch.stopped`).",
                },
                "timeout_ms": timeout("The longest that all calls together may take, in milliseconds."),
                "tenant_id": { "type": "string", "description": "The tenant to act for, where the credential may." },
            },
        },
        "BatchAnswer": {
            "type": "object",
            "required": ["responses", "success_count", "error_count", "latency_ms"],
            "properties": {
                "responses": { "type": "array", "items": {
                    "oneOf": [reference("CallSuccess"), reference("ToolFailure"), reference("CallFailure")],
                } },
                "success_count": { "type": "integer", "minimum": 0 },
                "error_count": { "type": "integer", "minimum": 0 },
                "latency_ms": { "$ref": "#/components/schemas/Latency" },
            },
        },
        "CallFailure": {
            "description": "A call that failed, or was not made. `id` is there where the request has one.",
            "allOf": [reference("Failure"), {
                "required": ["request_id", "latency_ms"],
                "properties": { "error": { "properties": { "code": { "not": { "const": "tool_error" } } } } },
            }],
        },
    });
    match made {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
