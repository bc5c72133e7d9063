//! What we announce, what clients have to declare, and which methods follow from it.

use ferromcp_core::{InputKind, Offers, Snapshot};
use ferromcp_protocol::{ClientCapabilities, Method, ProtocolVersion, RpcError, code};
use serde_json::{Map, Value, json};

/// Raw JSON: what a client has to declare for the tasks extension.
pub(crate) const TASKS: &str = "{\"extensions\":{\"io.modelcontextprotocol/tasks\":{}}}";

/// True if the server implements a method, given what its sources offer. What is not announced is
/// not served.
pub(crate) fn serves(offers: Offers, method: Method) -> bool {
    match method {
        Method::ToolsList | Method::ToolsCall => offers.tools,
        Method::ResourcesList
        | Method::ResourceTemplatesList
        | Method::ResourcesRead
        | Method::ResourcesSubscribe
        | Method::ResourcesUnsubscribe => offers.resources,
        Method::PromptsList | Method::PromptsGet => offers.prompts,
        Method::Complete => offers.completions,
        Method::TasksGet | Method::TasksUpdate | Method::TasksCancel => offers.tasks,
        _ => true,
    }
}

/// The server's capabilities.
pub(crate) fn announced(snapshot: &Snapshot, logging: bool, version: ProtocolVersion) -> Value {
    let offers = snapshot.catalog.offers();
    let mut found = Map::new();
    if offers.tools {
        found.insert("tools".into(), json!({ "listChanged": true }));
    }
    if offers.resources {
        found.insert(
            "resources".into(),
            json!({ "listChanged": true, "subscribe": true }),
        );
    }
    if offers.prompts {
        found.insert("prompts".into(), json!({ "listChanged": true }));
    }
    if offers.completions {
        found.insert("completions".into(), json!({}));
    }
    if logging {
        found.insert("logging".into(), json!({}));
    }
    if offers.tasks && version.is_modern() {
        found.insert(
            "extensions".into(),
            json!({ ferromcp_protocol::capability::TASKS_EXTENSION: {} }),
        );
    }
    Value::Object(found)
}

/// True if the client declared what a question needs, in a revision that knows it.
pub(crate) fn can_ask(kind: InputKind, capabilities: &ClientCapabilities, version: ProtocolVersion) -> bool {
    match kind {
        InputKind::ElicitForm => capabilities.elicitation_form && version.has_elicitation(),
        InputKind::ElicitUrl => capabilities.elicitation_url && version.has_url_elicitation(),
        InputKind::Sample => capabilities.sampling,
        InputKind::Roots => capabilities.roots,
    }
}

/// Raw JSON: the capability that a question needs.
pub(crate) const fn needed(kind: InputKind) -> &'static str {
    match kind {
        InputKind::ElicitForm => "{\"elicitation\":{\"form\":{}}}",
        InputKind::ElicitUrl => "{\"elicitation\":{\"url\":{}}}",
        InputKind::Sample => "{\"sampling\":{}}",
        InputKind::Roots => "{\"roots\":{}}",
    }
}

/// The error for a client capability that was not declared. `required` is raw JSON.
pub(crate) fn missing(required: &str) -> RpcError {
    RpcError::new(
        code::MISSING_CLIENT_CAPABILITY,
        format!("Missing required client capability: the request needs the client to declare {required}"),
    )
    .with_data(format!("{{\"requiredCapabilities\":{required}}}"))
}
