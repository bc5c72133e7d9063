//! One tool, with all that a call needs prepared.

use std::borrow::Cow;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use ferromcp_guard::CompiledSchema;
use ferromcp_protocol::json::{self, Object};
use serde_json::Value;

use super::edits::Edit;
use super::header::{ParamHeader, param_headers};
use super::mark;
use super::names::fnv1a;
use crate::error::Issue;
use crate::source::{Listing, SourceState, Spec};

/// A tool of one listing. What follows from its definition alone is shared with the entries of later listings.
#[derive(Debug)]
pub struct ToolEntry {
    /// Who carries it out.
    pub source: Arc<Listing>,
    prepared: Arc<PreparedTool>,
}

impl Deref for ToolEntry {
    type Target = PreparedTool;

    fn deref(&self) -> &PreparedTool {
        &self.prepared
    }
}

/// What follows from a tool's definition, prefix and edits.
#[derive(Debug)]
pub struct PreparedTool {
    /// Name as callers use it.
    pub name: Arc<str>,
    /// Name at the source.
    pub local_name: Arc<str>,
    /// Raw definition for callers of 2026-07-28.
    pub definition: Box<str>,
    /// The definition as the source sent it.
    pub original: Arc<str>,
    /// Raw definition for legacy callers, where it differs: they only know object output.
    legacy: Option<Box<str>>,
    /// Parameters that HTTP callers repeat in headers.
    pub param_headers: Vec<ParamHeader>,
    /// Whether a call may change something that a second one would change again: it is annotated neither `readOnlyHint` nor
    /// `idempotentHint`.
    pub has_effects: bool,
    pub(super) hash: u64,
    input: OnceLock<Result<Option<CompiledSchema>, String>>,
    output: OnceLock<Result<Option<CompiledSchema>, String>>,
}

impl ToolEntry {
    /// Prepares a tool; an error says why it cannot be offered.
    pub(super) fn new(
        source: &Arc<Listing>,
        spec: &Spec,
        name: Arc<str>,
        edit: Option<&Edit>,
    ) -> Result<Self, String> {
        Ok(Self {
            source: Arc::clone(source),
            prepared: Arc::new(PreparedTool::new(spec, name, edit)?),
        })
    }

    /// The same tool with the URIs in its definition as callers know them; `None` if they are.
    pub(super) fn with_uris(&self, exposed: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let definition: Box<str> = exposed(&self.definition)?.into();
        let legacy = |raw: &str| exposed(raw).map_or_else(|| raw.into(), String::into_boxed_str);
        Some(Self {
            source: Arc::clone(&self.source),
            prepared: Arc::new(PreparedTool {
                name: Arc::clone(&self.name),
                local_name: Arc::clone(&self.local_name),
                hash: fnv1a(definition.as_bytes()),
                definition,
                original: Arc::clone(&self.original),
                legacy: self.legacy.as_deref().map(legacy),
                param_headers: self.param_headers.clone(),
                has_effects: self.has_effects,
                input: OnceLock::new(),
                output: OnceLock::new(),
            }),
        })
    }

    /// The same tool in a later listing.
    pub(super) fn carried(&self, source: &Arc<Listing>) -> Self {
        Self {
            source: Arc::clone(source),
            prepared: Arc::clone(&self.prepared),
        }
    }

    /// Raw definition as MCP lists it to callers of 2026-07-28 (`modern`) or before, marked if the source is down.
    pub fn listed(&self, modern: bool) -> Cow<'_, str> {
        let definition = if modern {
            &self.definition
        } else {
            self.legacy_definition()
        };
        mark::listed(definition, &self.source)
    }

    /// Whether its source is up, as far as is known.
    pub fn is_available(&self) -> bool {
        !matches!(self.source.state, SourceState::Down { .. })
    }

    /// Appends the definition as the REST door lists it: snake case, with `source` and `available`. Pages of it are kept
    /// ([`View::cached`](crate::View::cached)), so a tool's own text is not.
    pub fn write_rest(&self, out: &mut Vec<u8>) {
        let object = Object::parse(&self.definition).unwrap_or_default();
        let wanted = [
            ("name", "name"),
            ("title", "title"),
            ("description", "description"),
            ("inputSchema", "input_schema"),
            ("outputSchema", "output_schema"),
            ("annotations", "annotations"),
        ];
        out.push(b'{');
        for (from, to) in wanted {
            if let Some(value) = object.get(from) {
                json::write_str(out, to);
                out.push(b':');
                out.extend_from_slice(value.as_bytes());
                out.push(b',');
            }
        }
        out.extend_from_slice(b"\"source\":");
        json::write_str(out, &self.source.name);
        out.extend_from_slice(if self.is_available() {
            b",\"available\":true}"
        } else {
            b",\"available\":false}"
        });
    }
}

impl PreparedTool {
    fn new(spec: &Spec, name: Arc<str>, edit: Option<&Edit>) -> Result<Self, String> {
        let object = Object::parse(&spec.definition).map_err(|e| e.to_string())?;
        let schema = object.get("inputSchema").ok_or("it has no inputSchema")?;
        if json::kind(schema) != "an object" {
            return Err(format!(
                "its inputSchema is {}, not an object",
                json::kind(schema)
            ));
        }
        let headers = if schema.contains("x-mcp-header") {
            let schema: Value = serde_json::from_str(schema).map_err(|e| format!("inputSchema: {e}"))?;
            param_headers(&schema)?
        } else {
            Vec::new()
        };
        let output_is_object = object.get("outputSchema").is_none_or(|schema| {
            Object::parse(schema).is_ok_and(|o| o.get("type").is_some_and(|t| t == "\"object\""))
        });
        let texts = || edit.into_iter().flat_map(Edit::texts);
        let legacy = (!output_is_object).then(|| edited(&object, &name, texts(), &["outputSchema"]));
        let definition = edited(&object, &name, texts(), &[]);
        let hints = object
            .get("annotations")
            .and_then(|hints| Object::parse(hints).ok());
        let is_set = |hint: &str| hints.as_ref().and_then(|hints| hints.get(hint)) == Some("true");
        Ok(Self {
            has_effects: !is_set("readOnlyHint") && !is_set("idempotentHint"),
            hash: fnv1a(definition.as_bytes()),
            definition,
            original: Arc::clone(&spec.definition),
            legacy,
            name,
            local_name: Arc::clone(&spec.key),
            param_headers: headers,
            input: OnceLock::new(),
            output: OnceLock::new(),
        })
    }

    /// Raw definition for legacy callers.
    pub fn legacy_definition(&self) -> &str {
        self.legacy.as_deref().unwrap_or(&self.definition)
    }

    /// True if legacy callers must not see structured output of this tool.
    pub fn hides_structured_from_legacy(&self) -> bool {
        self.legacy.is_some()
    }

    /// The compiled schema of the arguments, made on first use; `None` if it accepts anything.
    pub fn input_schema(&self) -> Result<Option<&CompiledSchema>, &str> {
        let schema = self
            .input
            .get_or_init(|| compiled(&self.definition, "inputSchema"));
        schema.as_ref().map(Option::as_ref).map_err(String::as_str)
    }

    /// The compiled schema of the structured output, made on first use; `None` if there is none.
    pub fn output_schema(&self) -> Result<Option<&CompiledSchema>, &str> {
        let schema = self
            .output
            .get_or_init(|| compiled(&self.definition, "outputSchema"));
        schema.as_ref().map(Option::as_ref).map_err(String::as_str)
    }

    /// Checks the `structuredContent` of a result that is no error, raw, against the output schema. Without a schema that can
    /// be used, anything passes.
    ///
    /// # Errors
    /// What does not fit, or that there is none.
    pub fn check_output(&self, structured: Option<&str>) -> Result<(), Vec<Issue>> {
        let Ok(Some(schema)) = self.output_schema() else {
            return Ok(());
        };
        let whole = |message: String| {
            vec![Issue {
                pointer: String::new(),
                message,
            }]
        };
        let structured = structured.ok_or_else(|| whole("there is no structuredContent".to_owned()))?;
        let value: Value = serde_json::from_str(structured).map_err(|e| whole(e.to_string()))?;
        schema.check(&value).map_err(|issues| {
            let issues = issues.into_iter().map(|issue| Issue {
                pointer: issue.pointer,
                message: issue.message,
            });
            issues.collect()
        })
    }
}

fn compiled(definition: &str, member: &str) -> Result<Option<CompiledSchema>, String> {
    let object = Object::parse(definition).map_err(|e| e.to_string())?;
    let Some(raw) = object.get(member) else {
        return Ok(None);
    };
    let schema: Value = serde_json::from_str(raw).map_err(|e| format!("{member}: {e}"))?;
    CompiledSchema::compile(&schema)
        .map(Some)
        .map_err(|e| format!("{member}: {e}"))
}

/// The object with another name and other texts (put first) and some members left out; everything else as it was.
pub(super) fn edited<'a>(
    object: &Object<'_>,
    name: &'a str,
    texts: impl Iterator<Item = (&'static str, &'a str)>,
    without: &[&str],
) -> Box<str> {
    let mut out = Vec::with_capacity(256);
    let mut written: Vec<&str> = Vec::with_capacity(3);
    for (member, text) in std::iter::once(("name", name)).chain(texts) {
        out.push(if written.is_empty() { b'{' } else { b',' });
        json::write_str(&mut out, member);
        out.push(b':');
        json::write_str(&mut out, text);
        written.push(member);
    }
    for (key, raw) in object
        .iter()
        .filter(|(k, _)| !written.contains(k) && !without.contains(k))
    {
        out.push(b',');
        json::write_str(&mut out, key);
        out.push(b':');
        out.extend_from_slice(raw.as_bytes());
    }
    out.push(b'}');
    String::from_utf8(out).unwrap_or_default().into()
}
