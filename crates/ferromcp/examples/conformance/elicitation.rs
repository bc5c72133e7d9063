//! Tools that ask for one thing; mostly for scenarios of the legacy era.

use ferromcp::{Answer, Context, Form, JsonSchema, Sample, Tool, ToolError, Value};
use serde::{Deserialize, Serialize};
use serde_json::json;

#[derive(Deserialize, JsonSchema)]
struct Prompted {
    /// The prompt to send to the model.
    prompt: String,
}

#[derive(Deserialize, JsonSchema)]
struct Asked {
    /// The message to show to the user.
    message: String,
}

#[derive(Deserialize, Serialize, JsonSchema)]
struct User {
    /// User's response
    username: String,
    /// User's email address
    email: String,
}

pub(crate) fn tools() -> Vec<Tool> {
    vec![
        Tool::new(
            "test_sampling",
            "Asks the client's model",
            |args: Prompted, cx: Context| async move {
                let answer = cx
                    .sample("sampling", Sample::new(args.prompt).max_tokens(100))
                    .await?;
                Ok(format!("LLM response: {}", answer.text()))
            },
        ),
        Tool::new(
            "test_elicitation",
            "Asks the user",
            |args: Asked, cx: Context| async move {
                let answer = cx.elicit::<User>("elicitation", args.message).await?;
                describe("User response", &answer)
            },
        ),
        Tool::new(
            "test_elicitation_sep1034_defaults",
            "Asks with default values",
            |cx: Context| async move {
                let form = Form::raw(
                    "Please review and update the form fields with defaults",
                    defaults(),
                )?;
                describe("Elicitation completed", &cx.ask("defaults", form).await?)
            },
        ),
        Tool::new(
            "test_elicitation_sep1330_enums",
            "Asks with choices of every kind",
            |cx: Context| async move {
                let form = Form::raw("Please select options from the enum fields", choices())?;
                describe("Elicitation completed", &cx.ask("choices", form).await?)
            },
        ),
    ]
}

fn describe<T: Serialize>(what: &str, answer: &Answer<T>) -> Result<String, ToolError> {
    let content = match answer {
        Answer::Accepted(content) => serde_json::to_value(content)?,
        Answer::Declined | Answer::Cancelled => json!({}),
    };
    Ok(format!("{what}: action={}, content={content}", answer.action()))
}

/// SEP-1034.
fn defaults() -> Value {
    json!({
        "type": "object",
        "properties": {
            "name": { "type": "string", "description": "User name", "default": "John Doe" },
            "age": { "type": "integer", "description": "User age", "default": 30 },
            "score": { "type": "number", "description": "User score", "default": 95.5 },
            "status": {
                "type": "string", "description": "User status",
                "enum": ["active", "inactive", "pending"], "default": "active",
            },
            "verified": { "type": "boolean", "description": "Verification status", "default": true },
        },
        "required": [],
    })
}

/// SEP-1330.
fn choices() -> Value {
    json!({
        "type": "object",
        "properties": {
            "untitledSingle": {
                "type": "string", "description": "Select one option",
                "enum": ["option1", "option2", "option3"],
            },
            "titledSingle": {
                "type": "string", "description": "Select one option with titles",
                "oneOf": [
                    { "const": "value1", "title": "First Option" },
                    { "const": "value2", "title": "Second Option" },
                    { "const": "value3", "title": "Third Option" },
                ],
            },
            "legacyEnum": {
                "type": "string", "description": "Select one option (legacy)",
                "enum": ["opt1", "opt2", "opt3"], "enumNames": ["Option One", "Option Two", "Option Three"],
            },
            "untitledMulti": {
                "type": "array", "description": "Select multiple options", "minItems": 1, "maxItems": 3,
                "items": { "type": "string", "enum": ["option1", "option2", "option3"] },
            },
            "titledMulti": {
                "type": "array", "description": "Select multiple options with titles", "minItems": 1, "maxItems": 3,
                "items": {
                    "anyOf": [
                        { "const": "value1", "title": "First Choice" },
                        { "const": "value2", "title": "Second Choice" },
                        { "const": "value3", "title": "Third Choice" },
                    ],
                },
            },
        },
        "required": [],
    })
}
