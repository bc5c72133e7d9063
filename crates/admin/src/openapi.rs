//! The OpenAPI 3.1 description of the API; `docs/admin-openapi.json` is its golden copy.

use serde_json::{Map, Value, json};

/// Files that are generated from this crate: path in the repository, and text.
pub fn generated() -> Vec<(&'static str, String)> {
    let mut text = serde_json::to_string_pretty(&document()).unwrap_or_default();
    text.push('\n');
    vec![("docs/admin-openapi.json", text)]
}

/// The whole document.
pub(crate) fn document() -> Value {
    json!({
        "openapi": "3.1.1",
        "info": {
            "title": "FerroMCP admin API",
            "version": "1.0.0",
            "description": "Tenants are made, changed and looked at while the server runs. A change is answered when it is \
                on disk and in force. Tenants of the configuration file are read-only. Unknown and repeated members are refused.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/", "description": "The server that gave this document." }],
        "security": [{ "bearer": [] }, { "apiKey": [] }],
        "paths": paths(),
        "components": {
            "schemas": schemas(),
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer", "description": "A key of `admin.keys`." },
                "apiKey": { "type": "apiKey", "in": "header", "name": "X-Api-Key" },
            },
        },
    })
}

fn paths() -> Value {
    let tenant = [path_parameter("id", "Id of a tenant.")];
    let key = [
        path_parameter("id", "Id of a tenant."),
        path_parameter("key", "Hash of the key, or at least its first 8 hex digits."),
    ];
    json!({
            "/admin/v1/tenants": {
                "get": operation("listTenants", "Tenants of file and store, by id.", &[
                    query("limit", "Most tenants in the answer; 1000 by default, at most 10000."),
                    query("after", "Only ids behind this one: `next_after` of the page before."),
                ], None, "200", &json!({
                    "type": "object", "required": ["tenants"],
                    "properties": { "tenants": { "type": "array", "items": reference("Tenant") }, "next_after": { "type": "string" } },
                })),
                "post": operation("createTenant", "Makes a tenant; the body has its `id`.", &[], Some("Tenant"), "201", &reference("Tenant")),
            },
            "/admin/v1/tenants/{id}": {
                "parameters": tenant,
                "get": operation("getTenant", "One tenant, with its version as ETag.", &[], None, "200", &reference("Tenant")),
                "put": operation("putTenant", "Makes or replaces a tenant. To replace one, `If-Match` or `version` is needed.",
                    &preconditions(), Some("Tenant"), "200", &reference("Tenant")),
                "patch": operation("patchTenant", "Changes members of a tenant (JSON Merge Patch, RFC 7396; null removes).",
                    &preconditions(), Some("Tenant"), "200", &reference("Tenant")),
                "delete": operation("deleteTenant", "Deletes a tenant: its keys are refused from now on.", &preconditions(), None, "200",
                    &json!({ "type": "object", "required": ["id", "deleted"] })),
            },
            "/admin/v1/tenants/{id}/suspend": { "parameters": tenant, "post": operation("suspendTenant",
                "Refuses every call of the tenant from now on.", &preconditions(), None, "200", &reference("Tenant")) },
            "/admin/v1/tenants/{id}/resume": { "parameters": tenant, "post": operation("resumeTenant",
                "Takes its calls again.", &preconditions(), None, "200", &reference("Tenant")) },
            "/admin/v1/tenants/{id}/keys": { "parameters": tenant, "post": operation("createKey",
                "Makes an API key. It is in this answer and nowhere else.", &preconditions(), Some("NewKey"), "201", &reference("Key")) },
            "/admin/v1/tenants/{id}/keys/{key}": { "parameters": key, "delete": operation("deleteKey",
                "Deletes an API key.", &preconditions(), None, "200", &reference("Tenant")) },
            "/admin/v1/tenants/{id}/usage": { "parameters": tenant, "get": operation("getUsage",
                "What of its rate and quotas is used now; null or absent is not limited.", &[], None, "200", &reference("Usage")) },
            "/admin/v1/audit": { "get": operation("queryAudit", "Records of the recent past, newest first.", &audit_parameters(), None,
                "200", &json!({ "type": "object", "required": ["records"],
                    "properties": { "records": { "type": "array", "items": { "type": "object" } } } })) },
            "/admin/v1/why": { "post": operation("explainCall",
                "What every stage would say to a call now, with the counters of this moment. Nothing is called or counted.",
                &[], Some("Question"), "200", &reference("Verdicts")) },
            "/admin/v1/status": { "get": operation("getStatus", "State of the server, its sources and its audit log.", &[], None, "200",
                &json!({ "type": "object", "required": ["version", "generation", "in_flight", "tenants", "sources"] })) },
            "/admin/v1/reload": { "post": operation("reload",
                "Take over the configuration file, or the configuration that is sent (`admin.accept_config`), all of it or, if anything in it cannot be, nothing. The answer is what changed, as `ferromcp plan --json` says it.",
                &[], Some("Reload"), "200", &json!({ "type": "object", "required": ["changes", "servers", "tenants", "settings"] })) },
            "/admin/v1/plan": { "post": operation("plan",
                "What a reload would change; nothing is changed.",
                &[], Some("Plan"), "200", &json!({ "type": "object", "required": ["changes", "servers", "tenants", "settings"] })) },
            "/admin/v1/rollback": { "post": operation("rollback",
                "Take back an earlier configuration, by default the one before the last, and write the file as it was then. Works as a reload does.",
                &[], Some("Rollback"), "200", &json!({ "type": "object", "required": ["changes", "servers", "tenants", "settings"] })) },
            "/admin/v1/upgrade": { "post": operation("upgrade",
                "Start the program file again and let the new process take this one's place: no call fails, and the answer comes when it serves.",
                &[], None, "200", &json!({ "type": "object", "required": ["pid", "version", "took_ms"],
                    "properties": { "pid": { "type": "integer" }, "version": { "type": "string" }, "took_ms": { "type": "integer" } } })) },
            "/admin/v1/generations": { "get": operation("listGenerations",
                "The last ten configurations since the start, the one in force first.",
                &[], None, "200", &json!({ "type": "object", "required": ["generations"] })) },
            "/admin/v1/openapi.json": { "get": operation("getOpenApi", "This document.", &[], None, "200", &json!({ "type": "object" })) },
    })
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

fn path_parameter(name: &str, description: &str) -> Value {
    json!({ "name": name, "in": "path", "required": true, "description": description, "schema": { "type": "string" } })
}

fn query(name: &str, description: &str) -> Value {
    json!({ "name": name, "in": "query", "description": description, "schema": { "type": "string" } })
}

fn preconditions() -> Vec<Value> {
    vec![json!({
        "name": "If-Match", "in": "header", "schema": { "type": "string" },
        "description": "The ETag of the version that is to be changed, or `*`. With another version there, the answer is 412.",
    })]
}

fn audit_parameters() -> Vec<Value> {
    [
        ("tenant", "Exactly this tenant."),
        ("principal", "Exactly this principal."),
        ("tool", "Exactly this tool, resource or prompt."),
        ("outcome", "`ok`, `tool_error`, or an error code."),
        ("rule", "The rule that refused or flagged."),
        ("kind", "`call`, `admin`, `reload`, `marker`."),
        ("decision", "`allow`, `deny` or `flag`."),
        (
            "since",
            "Not before this time (RFC 3339), or so long ago (`10m`).",
        ),
        ("until", "Before this time."),
        ("limit", "Most records; 100 by default, at most 1000."),
    ]
    .into_iter()
    .map(|(name, description)| query(name, description))
    .collect()
}

fn operation(
    id: &str,
    summary: &str,
    parameters: &[Value],
    body: Option<&str>,
    status: &str,
    schema: &Value,
) -> Value {
    let mut responses = Map::new();
    responses.insert(
        status.into(),
        json!({ "description": "Done.", "content": { "application/json": { "schema": schema } } }),
    );
    responses.insert(
        "default".into(),
        json!({ "description": "Refused.", "content": { "application/json": { "schema": reference("Refused") } } }),
    );
    let mut operation = json!({
        "operationId": id, "summary": summary, "parameters": parameters, "responses": responses,
    });
    if let Some(body) = body {
        operation["requestBody"] =
            json!({ "content": { "application/json": { "schema": reference(body) } } });
    }
    operation
}

fn schemas() -> Value {
    json!({
        "Tenant": {
            "type": "object",
            "description": "The fields of `tenants.ID` in ferromcp.yaml (docs/config.md), and these.",
            "properties": {
                "id": { "type": "string", "pattern": "^[a-z0-9][a-z0-9._-]{0,63}$" },
                "origin": { "enum": ["file", "store"], "description": "Those of the file are read-only." },
                "version": { "type": "integer", "description": "Higher after each change; the ETag." },
                "name": { "type": "string" },
                "suspended": { "type": "boolean" },
                "keys": { "type": "array", "items": { "type": "string", "description": "`sha256:HEX`, or `sha256:HEX until TIME`" } },
                "certificates": { "type": "array", "items": { "type": "string", "description": "`subject:`, `dns:`, `uri:` or `email:` and a pattern" } },
                "tools": reference("AccessList"),
                "resources": reference("AccessList"),
                "prompts": reference("AccessList"),
                "quotas": { "type": "object" },
                "limits": { "type": "object" },
                "acts_for": { "type": "array", "items": { "type": "string" } },
                "patterns": { "type": "object" },
            },
        },
        "AccessList": {
            "type": "object",
            "properties": {
                "allow": { "type": "array", "items": { "type": "string" } },
                "deny": { "type": "array", "items": { "type": "string" } },
            },
        },
        "NewKey": { "type": "object", "additionalProperties": false,
            "properties": { "until": { "type": "string", "format": "date-time" } } },
        "Key": { "type": "object", "required": ["tenant", "id", "key", "hash"],
            "properties": { "tenant": { "type": "string" }, "id": { "type": "string" }, "key": { "type": "string" },
                "hash": { "type": "string" }, "until": { "type": "string" } } },
        "Usage": ferromcp_core::usage::tenant_schema(),
        "Question": { "type": "object", "required": ["tool"], "additionalProperties": false,
            "properties": { "tenant": { "type": "string" }, "tool": { "type": "string" }, "arguments": { "type": "object" } } },
        "Plan": { "type": "object", "additionalProperties": false,
            "properties": { "config": { "type": "string", "description": "The text of a configuration. Default: the file's." } } },
        "Reload": { "type": "object", "additionalProperties": false,
            "properties": {
                "config": { "type": "string", "description": "The text of a configuration; once it is in force it is written to the file. Default: the file's." },
                "watch_ms": { "type": "integer", "minimum": 1, "maximum": 600_000, "description": "How long calls are looked at before the answer. With `rollback_on`." },
                "rollback_on": { "type": "number", "minimum": 0, "exclusiveMaximum": 1, "description": "Take the configuration back if a larger part of calls fails, and a larger one than before." },
            } },
        "Rollback": { "type": "object", "additionalProperties": false,
            "properties": { "to": { "type": "integer", "minimum": 1, "description": "Number of a generation." } } },
        "Verdicts": { "type": "object", "required": ["passes", "stages"],
            "properties": { "passes": { "type": "boolean" }, "stages": { "type": "array", "items": { "type": "object",
                "required": ["stage", "passes", "message"] } } } },
        "Refused": { "type": "object", "required": ["success", "error"],
            "properties": {
                "success": { "const": false },
                "error": { "type": "object", "required": ["code", "message", "rule"],
                    "properties": {
                        "code": { "type": "string" }, "message": { "type": "string" }, "rule": { "type": "string" },
                        "details": { "type": "object", "properties": { "issues": { "type": "array", "items": { "type": "object",
                            "required": ["pointer", "message"] } } } },
                    } },
            } },
    })
}
