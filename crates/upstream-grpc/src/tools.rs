//! Methods as tools.

use std::collections::{HashMap, HashSet};

use ferromcp_core::Spec;
use http::uri::PathAndQuery;
use prost_reflect::prost_types::FileDescriptorProto;
use prost_reflect::prost_types::method_options::IdempotencyLevel;
use prost_reflect::{MethodDescriptor, ServiceDescriptor};
use serde_json::{Map, Value, json};

use crate::reflection::Described;
use crate::schema::{self, Way};

/// Most tools of one server.
const MAX_TOOLS: usize = 5_000;
/// Longest name of a tool.
const MAX_NAME: usize = 64;
/// Longest comment, in bytes.
const MAX_TEXT: usize = 2_048;
/// Largest schema, in bytes.
const MAX_INPUT: usize = 256 * 1024;
const MAX_OUTPUT: usize = 64 * 1024;
/// Services that say something of the server, not of what it does.
const INFRASTRUCTURE: [&str; 3] = ["grpc.reflection.", "grpc.health.", "grpc.channelz."];

/// A method that can be called.
#[derive(Clone, Debug)]
pub(crate) struct Method {
    pub(crate) descriptor: MethodDescriptor,
    pub(crate) path: PathAndQuery,
}

/// What became of the descriptors.
#[derive(Debug, Default)]
pub(crate) struct Tools {
    pub(crate) specs: Vec<Spec>,
    pub(crate) methods: HashMap<String, Method>,
    /// Methods and services that are no tools, each with the reason.
    pub(crate) left_out: Vec<String>,
}

/// Reads the methods. `wanted`: full names of services; all if empty.
pub(crate) fn read(described: &Described, wanted: &[String]) -> Result<Tools, String> {
    let mut tools = Tools::default();
    let mut services: Vec<ServiceDescriptor> = Vec::new();
    if let Some(name) = wanted.iter().find(|name| !described.services.contains(name)) {
        let there = described.services.join(", ");
        return Err(format!("it has no service `{name}` (`services`); it has {there}"));
    }
    for name in &described.services {
        let is_wanted = match wanted.is_empty() {
            true => !INFRASTRUCTURE.iter().any(|begin| name.starts_with(begin)),
            false => wanted.contains(name),
        };
        if !is_wanted {
            continue;
        }
        match described.pool.get_service_by_name(name) {
            Some(service) => services.push(service),
            None => tools
                .left_out
                .push(format!("{name}: it is not in the descriptors")),
        }
    }
    let mut short = HashSet::new();
    let double: HashSet<String> = services
        .iter()
        .filter(|service| !short.insert(service.name().to_owned()))
        .map(|service| service.name().to_owned())
        .collect();
    for service in &services {
        let begin = match double.contains(service.name()) {
            true => service.full_name(),
            false => service.name(),
        };
        for method in service.methods() {
            let name = name(&format!("{begin}_{}", method.name()));
            if tools.specs.len() >= MAX_TOOLS || tools.methods.contains_key(&name) {
                tools.left_out.push(format!(
                    "{}: too many methods, or two of one name",
                    method.full_name()
                ));
                continue;
            }
            match definition(&name, &method) {
                Ok((spec, method)) => {
                    tools.methods.insert(name, method);
                    tools.specs.push(spec);
                }
                Err(why) => tools.left_out.push(format!("{}: {why}", method.full_name())),
            }
        }
    }
    Ok(tools)
}

fn definition(name: &str, method: &MethodDescriptor) -> Result<(Spec, Method), String> {
    if method.is_client_streaming() {
        return Err("it takes a stream, and a call of a tool has its arguments at once".to_owned());
    }
    let input = schema::of(&method.input(), Way::In)?;
    if input.get("type").and_then(Value::as_str) != Some("object") {
        return Err("its request is no object in JSON".to_owned());
    }
    let size = input.to_string().len();
    if size > MAX_INPUT {
        return Err(format!(
            "the schema of its request has {size} bytes, more than {MAX_INPUT}"
        ));
    }
    let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
    let path = PathAndQuery::try_from(path).map_err(|e| format!("its name is no path: {e}"))?;
    let mut out = Map::new();
    out.insert("name".into(), name.into());
    let file = method.parent_file();
    let text = comment(file.file_descriptor_proto(), method.path());
    let text = if text.is_empty() {
        method.full_name().to_owned()
    } else {
        text
    };
    out.insert("description".into(), text.into());
    out.insert("inputSchema".into(), input);
    if let Some(output) = output(method) {
        out.insert("outputSchema".into(), output);
    }
    out.insert("annotations".into(), annotations(method));
    let spec = Spec::new(name, Value::Object(out).to_string());
    let method = Method {
        descriptor: method.clone(),
        path,
    };
    Ok((spec, method))
}

/// Without one that can be used, the tool has none.
fn output(method: &MethodDescriptor) -> Option<Value> {
    let mut one = schema::of(&method.output(), Way::Out).ok()?;
    if method.is_server_streaming() {
        let definitions = one.as_object_mut()?.remove("$defs");
        let mut out = json!({
            "type": "object",
            "properties": { "messages": { "type": "array", "items": one }, "truncated": { "type": "boolean" } },
            "required": ["messages"],
        });
        if let Some(definitions) = definitions {
            out.as_object_mut()?.insert("$defs".into(), definitions);
        }
        one = out;
    }
    let is_object = one.get("type").and_then(Value::as_str) == Some("object");
    (is_object && one.to_string().len() <= MAX_OUTPUT).then_some(one)
}

fn annotations(method: &MethodDescriptor) -> Value {
    let options = method.method_descriptor_proto().options.as_ref();
    match options.map(|options| options.idempotency_level()) {
        Some(IdempotencyLevel::NoSideEffects) => json!({ "readOnlyHint": true }),
        Some(IdempotencyLevel::Idempotent) => json!({ "readOnlyHint": false, "idempotentHint": true }),
        _ => json!({ "readOnlyHint": false }),
    }
}

/// The comment before a part of a file, if the descriptors have any.
pub(crate) fn comment(file: &FileDescriptorProto, path: &[i32]) -> String {
    let info = file.source_code_info.as_ref();
    let places = info.map(|info| info.location.as_slice()).unwrap_or_default();
    let place = places.iter().find(|place| place.path == path);
    let text = place
        .map(|place| {
            let (before, behind) = (place.leading_comments(), place.trailing_comments());
            if before.trim().is_empty() { behind } else { before }
        })
        .unwrap_or_default();
    let lines: Vec<&str> = text
        .lines()
        .map(|line| line.strip_prefix(' ').unwrap_or(line))
        .collect();
    let text = lines.join("\n");
    let text = text.trim();
    text[..text.floor_char_boundary(MAX_TEXT)].to_owned()
}

/// A name of ASCII letters, digits and `_`; one that is too long ends in a hash.
fn name(full: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let clean: String = full.chars().map(plain).collect();
    if clean.len() <= MAX_NAME {
        return clean;
    }
    let hash = full.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, b| {
        (hash ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{}_{:08x}", &clean[..MAX_NAME - 9], hash as u32)
}
