//! The JSON Schema of [`TenantUsage`](super::TenantUsage)'s JSON, for the descriptions of all that answer with it.

use serde_json::{Value, json};

/// The schema of [`json`](super::TenantUsage::json).
pub fn schema() -> Value {
    let mut made = tenant_schema();
    made["properties"]["client_rate"] =
        rate("The rate of the caller itself (`limits.rate`). Null: none is set.");
    made["required"] = json!(["tenant", "rate", "client_rate", "concurrent", "quotas"]);
    made
}

/// The schema of [`tenant_json`](super::TenantUsage::tenant_json).
pub fn tenant_schema() -> Value {
    let concurrent = json!({
        "type": ["object", "null"],
        "required": ["limit", "now", "remaining"],
        "properties": {
            "limit": count("Most calls at the same time."),
            "now": count("Calls that run now."),
            "remaining": count("Calls that could begin now."),
        },
        "description": "Calls at the same time. Null: not limited, and not counted.",
    });
    json!({
        "type": "object",
        "required": ["tenant", "rate", "concurrent", "quotas"],
        "properties": {
            "tenant": { "type": "string", "description": "Id of the tenant; `local` for callers of a server without tenants." },
            "rate": rate("The rate of all the tenant's clients together. Null: none is set."),
            "concurrent": concurrent,
            "quotas": {
                "type": "object",
                "description": "What is absent is not limited.",
                "properties": {
                    "tool_calls": quota("Calls per window."),
                    "bytes": quota("Bytes of arguments and results per window."),
                    "batch_size": {
                        "type": "object",
                        "required": ["limit"],
                        "properties": { "limit": count("Most calls in one batch.") },
                    },
                },
            },
        },
    })
}

fn rate(what: &str) -> Value {
    json!({
        "type": ["object", "null"],
        "required": ["limit", "used", "remaining", "resets_in_ms", "calls", "window_ms"],
        "properties": {
            "limit": count("Calls that may come at once (the burst)."),
            "used": count("Those of them that are used now."),
            "remaining": count("Calls that could come at once now."),
            "resets_in_ms": count("Milliseconds until all of `limit` is there again, if nobody calls."),
            "calls": count("Calls that come back per `window_ms`."),
            "window_ms": count("Milliseconds."),
        },
        "description": what,
    })
}

fn quota(what: &str) -> Value {
    json!({
        "type": "object",
        "required": ["limit", "used", "remaining", "window_ms", "resets_in_ms"],
        "properties": {
            "limit": count("Most in a window."),
            "used": count("Used in the window that ends now. May exceed the limit: results count once their size is known."),
            "remaining": count("What is left; 0 if more is used than the limit."),
            "window_ms": count("Length of the window, in milliseconds."),
            "resets_in_ms": count("Milliseconds until all of it is free again, if nothing more is used."),
        },
        "description": what,
    })
}

fn count(what: &str) -> Value {
    json!({ "type": "integer", "minimum": 0, "description": what })
}
