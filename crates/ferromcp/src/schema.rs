//! JSON Schemas of Rust types.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

/// 2020-12, which MCP takes for granted, so it is not named in each schema.
fn settings() -> SchemaSettings {
    SchemaSettings::draft2020_12().with(|s| s.meta_schema = None)
}

/// What a type accepts.
pub(crate) fn of_input<T: JsonSchema>() -> Value {
    let schema = settings()
        .for_deserialize()
        .into_generator()
        .into_root_schema_for::<T>();
    object(tidy(schema.into()))
}

/// What a type serializes to.
pub(crate) fn of_output<T: JsonSchema>() -> Value {
    tidy(
        settings()
            .for_serialize()
            .into_generator()
            .into_root_schema_for::<T>()
            .into(),
    )
}

/// What a type accepts, without references.
pub(crate) fn inline<T: JsonSchema>() -> Value {
    let settings = settings().for_deserialize().with(|s| s.inline_subschemas = true);
    tidy(settings.into_generator().into_root_schema_for::<T>().into())
}

/// The schema of no arguments. Extra members are let through: some clients send a dummy argument to
/// tools without parameters.
pub(crate) fn empty() -> Value {
    json!({ "type": "object", "properties": {} })
}

/// The name of the Rust type helps nobody.
fn tidy(mut schema: Value) -> Value {
    if let Value::Object(members) = &mut schema {
        members.remove("title");
    }
    schema
}

/// MCP wants `type: object` at the root of arguments, which enums of structs do not have by
/// themselves.
fn object(mut schema: Value) -> Value {
    if let Value::Object(members) = &mut schema
        && !members.contains_key("type")
        && ["oneOf", "anyOf", "allOf", "$ref"]
            .iter()
            .any(|key| members.contains_key(*key))
    {
        members.insert("type".into(), "object".into());
    }
    schema
}
