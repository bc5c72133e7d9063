//! JSON Schemas of messages, as the JSON mapping of protobuf (proto3 language guide, "JSON Mapping") writes and reads them.

use std::collections::BTreeSet;

use ferromcp_core::guard::CompiledSchema;
use prost_reflect::{Cardinality, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

use crate::tools::comment;

/// Most messages and enums that one schema refers to.
const MAX_TYPES: usize = 1_000;
/// Most fields of all of them.
const MAX_FIELDS: usize = 4_000;
/// Most names of an enum that are listed.
const MAX_NAMES: usize = 500;

/// Which way messages go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Read by us: what a caller may write.
    In,
    /// Written by us.
    Out,
}

/// The schema of a message. An error says why there is none.
pub(crate) fn of(message: &MessageDescriptor, way: Way) -> Result<Value, String> {
    let mut types = Types {
        way,
        known: BTreeSet::new(),
        waiting: Vec::new(),
        fields: 0,
    };
    let mut whole = match known(message.full_name(), way) {
        Some(schema) => schema,
        None => types.message(message)?,
    };
    let mut definitions = Map::new();
    while let Some((name, kind)) = types.waiting.pop() {
        let schema = match kind {
            Kind::Message(message) => types.message(&message)?,
            Kind::Enum(kind) => enumeration(&kind, way),
            _ => continue,
        };
        definitions.insert(name, schema);
    }
    if let Some(whole) = whole.as_object_mut().filter(|_| !definitions.is_empty()) {
        whole.insert("$defs".into(), Value::Object(definitions));
    }
    CompiledSchema::compile(&whole).map_err(|e| format!("its schema cannot be used: {e}"))?;
    Ok(whole)
}

struct Types {
    way: Way,
    /// Types that were met, by full name.
    known: BTreeSet<String>,
    waiting: Vec<(String, Kind)>,
    fields: usize,
}

impl Types {
    fn message(&mut self, message: &MessageDescriptor) -> Result<Value, String> {
        let mut properties = Map::new();
        let mut required = Vec::new();
        for field in message.fields() {
            self.fields += 1;
            if self.fields > MAX_FIELDS {
                return Err(format!("its messages have more than {MAX_FIELDS} fields"));
            }
            if field.cardinality() == Cardinality::Required {
                required.push(field.json_name().to_owned());
            }
            let mut schema = self.field(&field)?;
            let file = message.parent_file();
            let text = comment(file.file_descriptor_proto(), field.path());
            if let (Some(schema), false) = (schema.as_object_mut(), text.is_empty()) {
                schema.insert("description".into(), text.into());
            }
            properties.insert(field.json_name().to_owned(), schema);
        }
        let mut out = Map::new();
        out.insert("type".into(), "object".into());
        let choices: Vec<String> = message
            .oneofs()
            .filter(|oneof| !oneof.is_synthetic())
            .map(|oneof| {
                let names: Vec<String> = oneof.fields().map(|field| field.json_name().to_owned()).collect();
                format!("At most one of {} is set.", names.join(", "))
            })
            .collect();
        if !choices.is_empty() {
            out.insert("description".into(), choices.join(" ").into());
        }
        out.insert("properties".into(), Value::Object(properties));
        if !required.is_empty() {
            out.insert("required".into(), json!(required));
        }
        if self.way == Way::In {
            out.insert("additionalProperties".into(), false.into());
        }
        Ok(Value::Object(out))
    }

    fn field(&mut self, field: &FieldDescriptor) -> Result<Value, String> {
        if let (true, Kind::Message(entry)) = (field.is_map(), field.kind()) {
            let values = self.kind(&entry.map_entry_value_field().kind())?;
            return Ok(json!({ "type": "object", "additionalProperties": values }));
        }
        let one = self.kind(&field.kind())?;
        Ok(match field.is_list() {
            true => json!({ "type": "array", "items": one }),
            false => one,
        })
    }

    fn kind(&mut self, kind: &Kind) -> Result<Value, String> {
        let written = self.way == Way::Out;
        Ok(match kind {
            Kind::Bool => json!({ "type": "boolean" }),
            Kind::String => json!({ "type": "string" }),
            Kind::Bytes => json!({ "type": "string", "contentEncoding": "base64" }),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
                json!({ "type": "integer", "minimum": i32::MIN, "maximum": i32::MAX })
            }
            Kind::Uint32 | Kind::Fixed32 => json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX }),
            // Numbers of 64 bits are written as text, because readers of JSON lose their last digits.
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 | Kind::Uint64 | Kind::Fixed64 if written => {
                json!({ "type": "string" })
            }
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
                json!({ "type": ["integer", "string"], "pattern": "^-?[0-9]+$" })
            }
            Kind::Uint64 | Kind::Fixed64 => {
                json!({ "type": ["integer", "string"], "minimum": 0, "pattern": "^[0-9]+$" })
            }
            Kind::Float | Kind::Double if written => json!({ "type": ["number", "string"] }),
            Kind::Float | Kind::Double => json!({ "type": "number" }),
            Kind::Enum(inner) => {
                if inner.full_name() == "google.protobuf.NullValue" {
                    return Ok(json!({ "type": "null" }));
                }
                self.refer(inner.full_name().to_owned(), kind.clone())?
            }
            Kind::Message(inner) => match known(inner.full_name(), self.way) {
                Some(schema) => schema,
                None => self.refer(inner.full_name().to_owned(), kind.clone())?,
            },
        })
    }

    fn refer(&mut self, name: String, kind: Kind) -> Result<Value, String> {
        let reference = json!({ "$ref": format!("#/$defs/{name}") });
        if self.known.insert(name.clone()) {
            if self.known.len() > MAX_TYPES {
                return Err(format!("it refers to more than {MAX_TYPES} types"));
            }
            self.waiting.push((name, kind));
        }
        Ok(reference)
    }
}

fn enumeration(kind: &EnumDescriptor, way: Way) -> Value {
    let names: Vec<String> = kind.values().map(|value| value.name().to_owned()).collect();
    if names.len() > MAX_NAMES {
        return json!({ "type": ["string", "integer"] });
    }
    match way {
        Way::In => json!({ "type": "string", "enum": names }),
        // A value that these descriptors do not know is written as its number.
        Way::Out => json!({ "anyOf": [{ "type": "string", "enum": names }, { "type": "integer" }] }),
    }
}

/// Messages of protobuf itself that JSON writes in their own way.
fn known(name: &str, way: Way) -> Option<Value> {
    let nullable = |kind: Value| json!({ "type": [kind, "null"] });
    Some(match name.strip_prefix("google.protobuf.")? {
        "Timestamp" => json!({ "type": "string", "format": "date-time" }),
        "Duration" => json!({ "type": "string", "description": "Seconds, as in 1.5s" }),
        "FieldMask" => json!({ "type": "string", "description": "Names of fields, separated by commas" }),
        "Struct" => json!({ "type": "object" }),
        "Value" => json!({}),
        "ListValue" => json!({ "type": "array" }),
        "Any" => {
            json!({ "type": "object", "properties": { "@type": { "type": "string" } }, "required": ["@type"] })
        }
        "Empty" if way == Way::In => {
            json!({ "type": "object", "properties": {}, "additionalProperties": false })
        }
        "Empty" => json!({ "type": "object" }),
        "BoolValue" => nullable("boolean".into()),
        "StringValue" | "BytesValue" => nullable("string".into()),
        "Int32Value" | "UInt32Value" => nullable("integer".into()),
        "Int64Value" | "UInt64Value" if way == Way::Out => nullable("string".into()),
        "Int64Value" | "UInt64Value" => json!({ "type": ["integer", "string", "null"] }),
        "FloatValue" | "DoubleValue" => json!({ "type": ["number", "string", "null"] }),
        _ => return None,
    })
}
