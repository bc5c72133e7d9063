//! `GET /v1/usage`.

use ferromcp_core::ErrorCode;
use serde_json::{Value, json};

use super::{errors, reference};

/// The operation.
pub(super) fn operation() -> Value {
    let mut responses = errors(&[
        ErrorCode::InvalidRequest,
        ErrorCode::Unauthenticated,
        ErrorCode::PermissionDenied,
        ErrorCode::RateLimited,
        ErrorCode::Internal,
    ]);
    responses.insert(
        "200".into(),
        json!({
            "description": "Rates and quotas as they stand at this moment. Never to be cached (`Cache-Control: no-store`).",
            "content": { "application/json": { "schema": reference("Usage"), "examples": examples() } },
        }),
    );
    json!({
        "operationId": "getUsage",
        "tags": ["tools"],
        "summary": "What the caller's tenant may use, and has used.",
        "description": "The tenant is the credential's. Asking counts against no rate and no quota. Limits that all tenants share \
            (of the whole server, of a tool) are not told: they would tell what others do.",
        "responses": responses,
    })
}

fn examples() -> Value {
    json!({
        "limited": { "summary": "A tenant with a rate and quotas", "value": {
            "tenant": "company-a",
            "rate": {
                "limit": 200, "used": 3, "remaining": 197, "resets_in_ms": 30, "calls": 100, "window_ms": 1000,
            },
            "client_rate": null,
            "concurrent": { "limit": 10, "now": 1, "remaining": 9 },
            "quotas": {
                "tool_calls": {
                    "limit": 1000, "used": 412, "remaining": 588, "window_ms": 60_000, "resets_in_ms": 59_120,
                },
                "batch_size": { "limit": 50 },
            },
        } },
        "local": { "summary": "A server without tenants and limits", "value": {
            "tenant": "local", "rate": null, "client_rate": null, "concurrent": null, "quotas": {},
        } },
    })
}
