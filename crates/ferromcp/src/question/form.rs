//! Forms for people: JSON Schemas restricted to what clients can show (2025-11-25 and 2026-07-28
//! client/elicitation, "Requested Schema"): a flat object of text, numbers, booleans and choices.

use std::marker::PhantomData;
use std::sync::Arc;

use ferromcp_core::InputKind;
use ferromcp_guard::CompiledSchema;
use ferromcp_protocol::ProtocolVersion;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::{Answer, Check, Question, elicited};
use crate::error::ToolError;
use crate::schema;

/// A form that a person fills in. `T` is the filled form.
pub struct Form<T> {
    message: String,
    schema: Value,
    check: Arc<CompiledSchema>,
    filled: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned + JsonSchema> Form<T> {
    /// A form with the fields of `T`: strings, numbers, booleans, enums of plain variants, lists
    /// of such enums, and `Option`s of these. Doc comments become descriptions. Anything else
    /// cannot be shown to a person, and is an error.
    pub fn new(message: impl Into<String>) -> Result<Self, ToolError> {
        let schema = flat(schema::inline::<T>()).map_err(|reason| {
            ToolError::msg(format!("a form cannot be made of {}: {reason}", T::schema_name()))
        })?;
        Self::with(message.into(), schema)
    }
}

impl Form<Value> {
    /// A form with a schema of your own, sent as it is.
    ///
    /// ```
    /// use ferromcp::Form;
    /// let form = Form::raw("Delete it?", serde_json::json!({
    ///     "type": "object",
    ///     "properties": { "sure": { "type": "boolean", "default": false } },
    ///     "required": ["sure"],
    /// }));
    /// assert!(form.is_ok());
    /// ```
    pub fn raw(message: impl Into<String>, schema: Value) -> Result<Self, ToolError> {
        if schema.get("type") != Some(&json!("object"))
            || !schema.get("properties").is_some_and(Value::is_object)
        {
            return Err(ToolError::msg(
                "the schema of a form must be an object with `properties`",
            ));
        }
        Self::with(message.into(), schema)
    }
}

impl<T> Form<T> {
    fn with(message: String, schema: Value) -> Result<Self, ToolError> {
        let check = Arc::new(CompiledSchema::compile(&schema)?);
        Ok(Self {
            message,
            schema,
            check,
            filled: PhantomData,
        })
    }
}

impl<T> Clone for Form<T> {
    fn clone(&self) -> Self {
        Self {
            message: self.message.clone(),
            schema: self.schema.clone(),
            check: Arc::clone(&self.check),
            filled: PhantomData,
        }
    }
}

impl<T> std::fmt::Debug for Form<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Form")
            .field("message", &self.message)
            .finish_non_exhaustive()
    }
}

impl<T: DeserializeOwned + Send> Question for Form<T> {
    type Answer = Answer<T>;

    fn kind(&self) -> InputKind {
        InputKind::ElicitForm
    }

    fn params(&self, version: ProtocolVersion, _in_place: bool) -> Result<String, ToolError> {
        let mut params = json!({ "message": self.message, "requestedSchema": self.schema });
        if version.has_url_elicitation() {
            params["mode"] = "form".into();
        }
        Ok(params.to_string())
    }

    fn check(&self) -> Check {
        Check::Form(Arc::clone(&self.check))
    }

    fn decode(&self, raw: &str) -> Result<Answer<T>, String> {
        Ok(match elicited(raw, Some(&self.check))? {
            Answer::Accepted(content) => {
                Answer::Accepted(T::deserialize(content).map_err(|e| e.to_string())?)
            }
            Answer::Declined => Answer::Declined,
            Answer::Cancelled => Answer::Cancelled,
        })
    }
}

/// Members that a field of each kind may keep.
const COMMON: [&str; 4] = ["type", "title", "description", "default"];
const STRING: [&str; 5] = ["minLength", "maxLength", "pattern", "enum", "oneOf"];
const NUMBER: [&str; 2] = ["minimum", "maximum"];
const ARRAY: [&str; 3] = ["minItems", "maxItems", "items"];
/// Formats that clients know.
const FORMATS: [&str; 4] = ["email", "uri", "date", "date-time"];

/// Reduces a generated schema to a form, or says which field cannot be one.
fn flat(generated: Value) -> Result<Value, String> {
    let Value::Object(mut generated) = generated else {
        return Err("it is not an object".into());
    };
    if generated.get("type") != Some(&json!("object")) {
        return Err("it is not a struct with named fields".into());
    }
    let mut properties = Map::new();
    if let Some(Value::Object(fields)) = generated.remove("properties") {
        for (name, field) in fields {
            let field = flat_field(field).map_err(|reason| format!("field `{name}` {reason}"))?;
            properties.insert(name, field);
        }
    }
    let mut form = json!({ "type": "object", "properties": properties });
    if let Some(required) = generated.remove("required") {
        form["required"] = required;
    }
    Ok(form)
}

fn flat_field(field: Value) -> Result<Value, String> {
    let Value::Object(mut field) = field else {
        return Err("accepts anything".into());
    };
    unwrap_option(&mut field);
    if let Some(options) = field.remove("oneOf") {
        field.insert("oneOf".into(), titled(options)?);
        field.insert("type".into(), "string".into());
    }
    let keep: &[&str] = match field.get("type").and_then(Value::as_str) {
        Some("string") => &STRING,
        Some("integer" | "number") => &NUMBER,
        Some("boolean") => &[],
        Some("array") => {
            let items = field.remove("items").ok_or("is a list of anything")?;
            field.insert("items".into(), choices(&items)?);
            &ARRAY
        }
        Some("object") => return Err("is a struct of its own; forms are flat".into()),
        _ => return Err("is neither text, number, boolean nor a choice".into()),
    };
    let format = field
        .get("format")
        .and_then(Value::as_str)
        .filter(|f| FORMATS.contains(f))
        .map(str::to_owned);
    // `default: null` of an absent option says nothing.
    field.retain(|name, value| {
        (COMMON.contains(&name.as_str()) || keep.contains(&name.as_str()))
            && !(name == "default" && value.is_null())
    });
    if let Some(format) = format {
        field.insert("format".into(), format.into());
    }
    Ok(Value::Object(field))
}

/// An optional field is one that is not required; `null` is nothing a form can give.
fn unwrap_option(field: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = field.get_mut("type") {
        types.retain(|t| t != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            field.insert("type".into(), only);
        }
    }
    if let Some(Value::Array(options)) = field.get_mut("enum") {
        options.retain(|o| !o.is_null());
    }
    let Some(Value::Array(branches)) = field.get("anyOf") else {
        return;
    };
    let mut real = branches.iter().filter(|b| b.get("type") != Some(&json!("null")));
    if let (Some(Value::Object(only)), None) = (real.next(), real.next()) {
        let only = only.clone();
        field.remove("anyOf");
        for (name, value) in only {
            field.entry(name).or_insert(value);
        }
    }
}

/// A documented enum: each variant a `const` whose description becomes its title.
fn titled(options: Value) -> Result<Value, String> {
    let Value::Array(options) = options else {
        return Err("has malformed alternatives".into());
    };
    let mut made = Vec::new();
    for option in options {
        match (
            option.get("const").and_then(Value::as_str),
            option.get("enum").and_then(Value::as_array),
        ) {
            (Some(name), _) => {
                let title = option
                    .get("title")
                    .or_else(|| option.get("description"))
                    .and_then(Value::as_str);
                made.push(json!({ "const": name, "title": title.unwrap_or(name) }));
            }
            (None, Some(names)) => {
                made.extend(
                    names
                        .iter()
                        .filter_map(Value::as_str)
                        .map(|n| json!({ "const": n, "title": n })),
                );
            }
            (None, None) => return Err("has variants with data; forms have plain choices only".into()),
        }
    }
    Ok(made.into())
}

/// Items of a list of choices.
fn choices(items: &Value) -> Result<Value, String> {
    if let Some(options) = items.get("oneOf") {
        return Ok(json!({ "anyOf": titled(options.clone())? }));
    }
    match items.get("enum") {
        Some(names) if names.as_array().is_some_and(|n| n.iter().all(Value::is_string)) => {
            Ok(json!({ "type": "string", "enum": names }))
        }
        _ => Err("is a list of something other than choices".into()),
    }
}

#[cfg(test)]
mod tests;
