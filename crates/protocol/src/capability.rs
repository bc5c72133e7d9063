//! What a client says it can do: the few facts the server acts on, and the raw text for relays.

use crate::json::Object;

/// Parsed client capabilities. Unknown ones stay in `raw`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientCapabilities {
    /// Accepts `sampling/createMessage`.
    pub sampling: bool,
    /// Accepts tools in sampling requests.
    pub sampling_tools: bool,
    /// Accepts `roots/list`.
    pub roots: bool,
    /// Accepts form elicitation (also when the capability is an empty object).
    pub elicitation_form: bool,
    /// Accepts URL elicitation.
    pub elicitation_url: bool,
    /// Declares the extension `io.modelcontextprotocol/tasks`.
    pub tasks: bool,
}

/// Name of the tasks extension (SEP-2663).
pub const TASKS_EXTENSION: &str = "io.modelcontextprotocol/tasks";

impl ClientCapabilities {
    /// Reads the raw JSON object. Anything that is not an object counts as "none declared" only
    /// when absent; a wrong type is an error, said in words.
    pub fn parse(raw: &str) -> Result<Self, String> {
        if raw == "{}" {
            return Ok(Self::default());
        }
        let object = Object::parse(raw).map_err(|e| format!("client capabilities: {e}"))?;
        let mut found = Self::default();
        for (key, value) in object.iter() {
            match key {
                "sampling" => {
                    let inner = member_object(key, value)?;
                    found.sampling = true;
                    found.sampling_tools = inner.get("tools").is_some();
                }
                "roots" => {
                    member_object(key, value)?;
                    found.roots = true;
                }
                "elicitation" => {
                    let inner = member_object(key, value)?;
                    found.elicitation_url = inner.get("url").is_some();
                    // An empty object means form mode (2025-11-25 client/elicitation, "Capabilities").
                    found.elicitation_form = inner.get("form").is_some() || !found.elicitation_url;
                }
                "extensions" => {
                    found.tasks = member_object(key, value)?.get(TASKS_EXTENSION).is_some();
                }
                _ => {}
            }
        }
        Ok(found)
    }
}

fn member_object<'a>(key: &str, value: &'a str) -> Result<Object<'a>, String> {
    Object::parse(value).map_err(|e| format!("client capability `{key}` must be an object: {e}"))
}
