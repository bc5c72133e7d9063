//! Schemas of the document as JSON Schemas (2020-12) of one tool: what they refer to comes along in `$defs`, so cycles stay
//! cycles; what only OpenAPI knows is translated or left out.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value, json};

use crate::document::{Document, cut};

/// Deepest nesting of one schema, references not followed.
const MAX_DEPTH: usize = 48;
/// Most schemas in one tool's arguments or results.
const MAX_SCHEMAS: usize = 5_000;
/// Longest description of a part, in bytes.
const MAX_TEXT: usize = 1024;

/// Which way values of a schema go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// To the server: nothing that is `readOnly`.
    Out,
    /// From the server: nothing that is `writeOnly`.
    Back,
}

/// Translates the schemas of one tool's arguments or results.
pub(crate) struct Translation<'d> {
    document: &'d Document,
    way: Way,
    /// Names in `$defs` by reference.
    names: HashMap<&'d str, String>,
    taken: HashSet<String>,
    waiting: Vec<(String, &'d Value)>,
    schemas: usize,
}

impl<'d> Translation<'d> {
    pub(crate) fn new(document: &'d Document, way: Way) -> Self {
        Self {
            document,
            way,
            names: HashMap::new(),
            taken: HashSet::new(),
            waiting: Vec::new(),
            schemas: 0,
        }
    }

    /// The schema with references into `$defs`.
    pub(crate) fn take(&mut self, schema: &'d Value) -> Result<Value, String> {
        self.schema(schema, 0)
    }

    /// Adds `$defs` to the schema that holds all that was taken.
    pub(crate) fn finish(mut self, whole: &mut Map<String, Value>) -> Result<(), String> {
        let mut definitions = Map::new();
        while let Some((name, schema)) = self.waiting.pop() {
            let translated = self.schema(schema, 0)?;
            definitions.insert(name, translated);
        }
        if !definitions.is_empty() {
            whole.insert("$defs".into(), Value::Object(definitions));
        }
        Ok(())
    }

    fn schema(&mut self, schema: &'d Value, depth: usize) -> Result<Value, String> {
        self.schemas += 1;
        if self.schemas > MAX_SCHEMAS {
            return Err(format!("it has more than {MAX_SCHEMAS} schemas"));
        }
        if depth > MAX_DEPTH {
            return Err("its schemas are nested too deeply".to_owned());
        }
        let members = match schema {
            Value::Bool(flag) => return Ok(Value::Bool(*flag)),
            Value::Object(members) => members,
            _ => return Err("a schema is no object".to_owned()),
        };
        let mut out = Map::new();
        if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
            let name = self.name(reference)?;
            out.insert("$ref".into(), format!("#/$defs/{name}").into());
            if self.document.is_3_0 {
                return Ok(Value::Object(out));
            }
        }
        if members.contains_key("$dynamicRef") {
            return Err("it uses `$dynamicRef`, which is not followed".to_owned());
        }
        let hidden = self.hidden(members)?;
        for (key, value) in members {
            if let Some(value) = self.keyword(key, value, &hidden, depth)? {
                out.insert(key.clone(), value);
            }
        }
        if self.document.is_3_0 {
            out = modernised(out, members);
        }
        Ok(Value::Object(out))
    }

    fn keyword(
        &mut self,
        key: &str,
        value: &'d Value,
        hidden: &HashSet<&str>,
        depth: usize,
    ) -> Result<Option<Value>, String> {
        Ok(match (key, value) {
            ("properties", Value::Object(parts)) => {
                let parts = parts.iter().filter(|(name, _)| !hidden.contains(name.as_str()));
                Some(self.map(parts, depth)?)
            }
            ("patternProperties" | "dependentSchemas", Value::Object(parts)) => {
                Some(self.map(parts.iter(), depth)?)
            }
            ("allOf" | "anyOf" | "oneOf" | "prefixItems", Value::Array(parts)) if !parts.is_empty() => {
                let parts = parts.iter().map(|part| self.schema(part, depth + 1));
                Some(Value::Array(parts.collect::<Result<_, _>>()?))
            }
            // Whoever wrote the document may have added members since.
            ("additionalProperties" | "unevaluatedProperties", Value::Bool(false))
                if self.way == Way::Back =>
            {
                None
            }
            (
                "not"
                | "items"
                | "contains"
                | "additionalProperties"
                | "propertyNames"
                | "if"
                | "then"
                | "else"
                | "unevaluatedItems"
                | "unevaluatedProperties"
                | "contentSchema",
                Value::Object(_) | Value::Bool(_),
            ) => Some(self.schema(value, depth + 1)?),
            ("required", Value::Array(names)) => {
                let kept = names
                    .iter()
                    .filter(|name| name.as_str().is_some_and(|name| !hidden.contains(name)));
                let kept: Vec<Value> = kept.cloned().collect();
                (!kept.is_empty()).then_some(Value::Array(kept))
            }
            ("type", Value::String(name)) if is_type(name) => Some(value.clone()),
            ("type", Value::Array(names))
                if !names.is_empty() && names.iter().all(|name| name.as_str().is_some_and(is_type)) =>
            {
                Some(value.clone())
            }
            ("enum" | "examples", Value::Array(_)) | ("const" | "default", _) => Some(value.clone()),
            ("description" | "title", Value::String(text)) => Some(cut(text, MAX_TEXT).into()),
            ("format" | "pattern" | "contentMediaType" | "contentEncoding", Value::String(_))
            | ("uniqueItems" | "deprecated", Value::Bool(_))
            | (
                "maxLength" | "minLength" | "maxItems" | "minItems" | "maxProperties" | "minProperties"
                | "maxContains" | "minContains" | "maximum" | "minimum" | "exclusiveMaximum"
                | "exclusiveMinimum" | "multipleOf",
                Value::Number(_),
            )
            | ("dependentRequired", Value::Object(_)) => Some(value.clone()),
            _ => None,
        })
    }

    fn map(
        &mut self,
        parts: impl Iterator<Item = (&'d String, &'d Value)>,
        depth: usize,
    ) -> Result<Value, String> {
        let mut out = Map::new();
        for (name, part) in parts {
            out.insert(name.clone(), self.schema(part, depth + 1)?);
        }
        Ok(Value::Object(out))
    }

    /// The properties that do not go this way.
    fn hidden(&self, members: &'d Map<String, Value>) -> Result<HashSet<&'d str>, String> {
        let flag = match self.way {
            Way::Out => "readOnly",
            Way::Back => "writeOnly",
        };
        let mut hidden = HashSet::new();
        let properties = members.get("properties").and_then(Value::as_object);
        for (name, part) in properties.into_iter().flatten() {
            let there = self.document.resolve(part)?;
            if part.get(flag) == Some(&Value::Bool(true)) || there.get(flag) == Some(&Value::Bool(true)) {
                hidden.insert(name.as_str());
            }
        }
        Ok(hidden)
    }

    fn name(&mut self, reference: &'d str) -> Result<String, String> {
        if let Some(name) = self.names.get(reference) {
            return Ok(name.clone());
        }
        let schema = self.document.find(reference)?;
        let last = reference.rsplit('/').next().unwrap_or_default();
        let clean = |c: char| {
            if c.is_ascii_alphanumeric() || matches!(c, '.' | '-') {
                c
            } else {
                '_'
            }
        };
        let clean: String = last.chars().take(64).map(clean).collect();
        let mut name = clean.clone();
        let mut number = 2;
        while !self.taken.insert(name.clone()) {
            name = format!("{clean}_{number}");
            number += 1;
        }
        self.names.insert(reference, name.clone());
        self.waiting.push((name.clone(), schema));
        Ok(name)
    }
}

fn is_type(name: &str) -> bool {
    matches!(
        name,
        "null" | "boolean" | "object" | "array" | "number" | "string" | "integer"
    )
}

/// What 3.0 says in its own way.
fn modernised(mut out: Map<String, Value>, members: &Map<String, Value>) -> Map<String, Value> {
    for (bound, exclusive) in [("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")] {
        if members.get(exclusive) == Some(&Value::Bool(true))
            && let Some(limit) = out.remove(bound)
        {
            out.insert(exclusive.into(), limit);
        }
    }
    if members.get("nullable") != Some(&Value::Bool(true)) {
        return out;
    }
    if let Some(Value::Array(choices)) = out.get_mut("enum")
        && !choices.contains(&Value::Null)
    {
        choices.push(Value::Null);
    }
    let wraps = ["allOf", "anyOf", "oneOf", "not"]
        .iter()
        .any(|key| out.contains_key(*key));
    match out.get("type") {
        Some(Value::String(name)) if !wraps => {
            let both = json!([name, "null"]);
            out.insert("type".into(), both);
            out
        }
        None if !wraps => out,
        _ => {
            let mut either = Map::new();
            either.insert("anyOf".into(), json!([out, {"type": "null"}]));
            either
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(document: &str, way: Way) -> Result<Value, String> {
        let document = Document::parse(document.as_bytes()).unwrap();
        let mut translation = Translation::new(&document, way);
        let mut schema = translation.take(&document.root()["s"])?;
        translation.finish(schema.as_object_mut().unwrap())?;
        Ok(schema)
    }

    fn of_3_0(schema: &str) -> Value {
        translated(
            &format!(r#"{{"openapi":"3.0.3","paths":{{}},"s":{schema}}}"#),
            Way::Out,
        )
        .unwrap()
    }

    #[test]
    fn what_3_0_says_in_its_own_way() {
        for (given, expected) in [
            (
                json!({"type": "string", "nullable": true}),
                json!({"type": ["string", "null"]}),
            ),
            (
                json!({"type": "string", "nullable": true, "enum": ["a"]}),
                json!({"type": ["string", "null"], "enum": ["a", null]}),
            ),
            (
                json!({"nullable": true, "allOf": [{"type": "object"}]}),
                json!({"anyOf": [{"allOf": [{"type": "object"}]}, {"type": "null"}]}),
            ),
            (
                json!({"type": "number", "minimum": 1, "exclusiveMinimum": true, "maximum": 2, "exclusiveMaximum": false}),
                json!({"type": "number", "exclusiveMinimum": 1, "maximum": 2}),
            ),
            (
                json!({"type": "file", "example": 1, "xml": {}, "x-a": 1, "discriminator": {}, "required": true, "enum": 1}),
                json!({}),
            ),
        ] {
            assert_eq!(of_3_0(&given.to_string()), expected, "{given}");
        }
    }

    #[test]
    fn what_does_not_go_a_way_is_left_out() {
        let document = r##"{"openapi":"3.1.0","paths":{},"id":{"type":"integer","readOnly":true},"s":{"type":"object",
            "required":["id","name","secret"],"additionalProperties":false,
            "properties":{"id":{"$ref":"#/id"},"name":{"type":"string"},"secret":{"type":"string","writeOnly":true}}}}"##;
        let out = translated(document, Way::Out).unwrap();
        assert_eq!(
            out,
            json!({"type": "object", "required": ["name", "secret"], "additionalProperties": false,
                "properties": {"name": {"type": "string"}, "secret": {"type": "string"}}})
        );
        let back = translated(document, Way::Back).unwrap();
        assert_eq!(
            back,
            json!({"type": "object", "required": ["id", "name"], "$defs": {"id": {"type": "integer"}},
                "properties": {"id": {"$ref": "#/$defs/id"}, "name": {"type": "string"}}})
        );
    }

    #[test]
    fn cycles_stay_cycles_and_names_stay_apart() {
        let document = r##"{"openapi":"3.1.0","paths":{},"a":{"Node":{"type":"object","properties":{"next":{"$ref":"#/a/Node"}}}},
            "b":{"Node":{"type":"string"}},"s":{"anyOf":[{"$ref":"#/a/Node"},{"$ref":"#/b/Node","description":"beside"}]}}"##;
        let schema = translated(document, Way::Out).unwrap();
        assert_eq!(
            schema,
            json!({"anyOf": [{"$ref": "#/$defs/Node"}, {"$ref": "#/$defs/Node_2", "description": "beside"}], "$defs": {
                "Node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}, "Node_2": {"type": "string"}}})
        );
    }

    #[test]
    fn what_cannot_be_translated() {
        let deep = format!("{}{{}}{}", r#"{"not":"#.repeat(60), "}".repeat(60));
        let wide = format!(r#"{{"anyOf":[{}]}}"#, vec!["{}"; 6000].join(","));
        for (schema, why) in [
            (r#"{"$ref":"other.json#/a"}"#, "outside"),
            (r##"{"$ref":"#/nowhere"}"##, "nowhere"),
            (r##"{"$dynamicRef":"#a"}"##, "$dynamicRef"),
            (r#"{"items":{"properties":{"a":7}}}"#, "no object"),
            (&deep, "too deeply"),
            (&wide, "more than"),
        ] {
            let document = format!(r#"{{"openapi":"3.1.0","paths":{{}},"s":{schema}}}"#);
            let error = translated(&document, Way::Out).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
