//! Tools that answer with each kind of content.

use ferromcp::{Content, JsonSchema, ResourceContents, Tool, ToolError, Value};
use serde::Deserialize;

/// One red pixel.
pub(crate) const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==";
/// A WAV file with one silent sample.
const WAV: &str = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA=";

/// Every keyword that must arrive as it was written.
const SCHEMA_2020_12: &str = r##"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "$defs": {
    "address": {
      "$anchor": "addressDef",
      "type": "object",
      "properties": { "street": { "type": "string" }, "city": { "type": "string" } }
    }
  },
  "properties": {
    "name": { "type": "string" },
    "address": { "$ref": "#/$defs/address" },
    "contactMethod": { "type": "string", "enum": ["phone", "email"] },
    "phone": { "type": "string" },
    "email": { "type": "string" }
  },
  "allOf": [{ "anyOf": [{ "required": ["phone"] }, { "required": ["email"] }] }],
  "if": { "properties": { "contactMethod": { "const": "phone" } }, "required": ["contactMethod"] },
  "then": { "required": ["phone"] },
  "else": { "required": ["email"] },
  "additionalProperties": false
}"##;

#[derive(Deserialize, JsonSchema)]
struct Routed {
    /// Travels in the header `Mcp-Param-Region` as well.
    region: String,
}

pub(crate) fn tools() -> Vec<Tool> {
    vec![
        Tool::new("test_simple_text", "Answers with text", || async {
            "This is a simple text response for testing."
        })
        .read_only(),
        Tool::new("test_image_content", "Answers with an image", || async {
            Content::image_base64(PNG, "image/png")
        }),
        Tool::new("test_audio_content", "Answers with a sound", || async {
            Content::audio_base64(WAV, "audio/wav")
        }),
        Tool::new(
            "test_embedded_resource",
            "Answers with an embedded resource",
            || async {
                Content::resource(
                    ResourceContents::text("This is an embedded resource content.")
                        .uri("test://embedded-resource")
                        .mime_type("text/plain"),
                )
            },
        ),
        Tool::new(
            "test_multiple_content_types",
            "Answers with text, an image and a resource",
            || async {
                vec![
                    Content::text("Multiple content types test:"),
                    Content::image_base64(PNG, "image/png"),
                    Content::resource(
                        ResourceContents::text(r#"{"test":"data","value":123}"#)
                            .uri("test://mixed-content-resource")
                            .mime_type("application/json"),
                    ),
                ]
            },
        ),
        Tool::new("test_error_handling", "Fails", || async {
            Err::<String, _>(ToolError::msg(
                "This tool intentionally returns an error for testing",
            ))
        }),
        Tool::raw(
            "json_schema_2020_12_tool",
            "Has an input schema with much of JSON Schema 2020-12",
            SCHEMA_2020_12,
            |arguments: Value| async move { format!("JSON Schema 2020-12 tool called with: {arguments}") },
        ),
        Tool::new(
            "test_custom_header",
            "Has a parameter that HTTP clients repeat in a header",
            |args: Routed| async move { format!("region: {}", args.region) },
        )
        .header("region", "Region"),
    ]
}
