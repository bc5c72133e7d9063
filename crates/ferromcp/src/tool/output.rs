//! What tools return.

use ferromcp_core::Payload;
use ferromcp_protocol::json;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::content::{Content, write_all};
use crate::error::ToolError;
use crate::schema;

/// Something a tool may return: text (`String`, `&str`), [`Json`] for structured data, [`Content`]
/// blocks, a whole [`ToolResult`], nothing (`()`), or a `Result` of these with [`ToolError`].
pub trait ToolOutput {
    /// The schema of the structured content, if there is any.
    fn output_schema() -> Option<Value> {
        None
    }

    /// The result as it travels.
    #[doc(hidden)]
    fn into_payload(self) -> Result<Payload, ToolError>;
}

impl ToolOutput for String {
    fn into_payload(self) -> Result<Payload, ToolError> {
        Ok(Payload::text(&self))
    }
}

impl ToolOutput for &str {
    fn into_payload(self) -> Result<Payload, ToolError> {
        Ok(Payload::text(self))
    }
}

impl ToolOutput for () {
    fn into_payload(self) -> Result<Payload, ToolError> {
        Ok(Payload::tool("[]", None, false, None))
    }
}

impl ToolOutput for Content {
    fn into_payload(self) -> Result<Payload, ToolError> {
        vec![self].into_payload()
    }
}

impl ToolOutput for Vec<Content> {
    fn into_payload(self) -> Result<Payload, ToolError> {
        Ok(Payload::tool(&write_all(&self), None, false, None))
    }
}

impl<T: ToolOutput> ToolOutput for Result<T, ToolError> {
    fn output_schema() -> Option<Value> {
        T::output_schema()
    }

    fn into_payload(self) -> Result<Payload, ToolError> {
        self?.into_payload()
    }
}

/// Structured data. Travels as `structuredContent`, and as JSON text for clients that know only
/// that. The type's schema becomes the tool's output schema.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Json<T>(pub T);

impl<T: Serialize + JsonSchema> ToolOutput for Json<T> {
    fn output_schema() -> Option<Value> {
        Some(schema::of_output::<T>())
    }

    fn into_payload(self) -> Result<Payload, ToolError> {
        let structured = serde_json::to_string(&self.0)?;
        let mut content = Vec::with_capacity(structured.len() + 32);
        content.extend_from_slice(b"[{\"type\":\"text\",\"text\":");
        json::write_str(&mut content, &structured);
        content.extend_from_slice(b"}]");
        let content = String::from_utf8(content)?;
        Ok(Payload::tool(&content, Some(&structured), false, None))
    }
}

/// A tool result in all its parts.
///
/// ```
/// use ferromcp::{Content, ToolResult};
/// let result = ToolResult::new()
///     .content(Content::text("3 files"))
///     .structured(&serde_json::json!({ "files": 3 }))
///     .meta(serde_json::json!({ "example.com/took": "3 ms" }));
/// # let _ = result;
/// ```
#[derive(Clone, Debug, Default)]
pub struct ToolResult {
    content: Vec<Content>,
    structured: Option<Result<String, String>>,
    is_error: bool,
    meta: Option<Value>,
}

impl ToolResult {
    /// An empty result.
    pub fn new() -> Self {
        Self::default()
    }

    /// One more content block.
    #[must_use]
    pub fn content(mut self, content: impl Into<Content>) -> Self {
        self.content.push(content.into());
        self
    }

    /// Sets the structured content.
    #[must_use]
    pub fn structured(mut self, value: &impl Serialize) -> Self {
        self.structured = Some(serde_json::to_string(value).map_err(|e| e.to_string()));
        self
    }

    /// Says that the tool failed.
    #[must_use]
    pub fn error(mut self) -> Self {
        self.is_error = true;
        self
    }

    /// Sets `_meta`, a JSON object.
    #[must_use]
    pub fn meta(mut self, meta: Value) -> Self {
        self.meta = Some(meta);
        self
    }
}

impl ToolOutput for ToolResult {
    fn into_payload(self) -> Result<Payload, ToolError> {
        let structured = self.structured.transpose().map_err(ToolError::msg)?;
        let meta = self.meta.filter(Value::is_object).map(|m| m.to_string());
        Ok(Payload::tool(
            &write_all(&self.content),
            structured.as_deref(),
            self.is_error,
            meta.as_deref(),
        ))
    }
}
