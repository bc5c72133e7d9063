//! All operations of a document as tools.

use std::collections::{HashMap, HashSet};

use ferromcp_core::Spec;
use serde_json::Value;

use crate::document::{Document, text};
use crate::names;
use crate::operation::{Fixed, Found, Operation};

/// Most tools of one document.
const MAX_TOOLS: usize = 5_000;
/// Most bytes of definitions.
const MAX_BYTES: usize = 32 * 1024 * 1024;
/// The methods that are tools. HEAD, OPTIONS and TRACE say nothing that a model wants to know.
const METHODS: [&str; 5] = ["get", "put", "post", "delete", "patch"];

/// What became of a document.
#[derive(Debug, Default)]
pub(crate) struct Tools {
    pub(crate) specs: Vec<Spec>,
    pub(crate) operations: HashMap<String, Operation>,
    /// Operations that are no tools, each with the reason.
    pub(crate) left_out: Vec<String>,
}

/// Reads the operations in the order of their paths. `own_servers`: those with servers of their own are taken as well.
pub(crate) fn read(document: &Document, fixed: &Fixed, own_servers: bool) -> Tools {
    let mut tools = Tools::default();
    let mut found = Vec::new();
    let paths = document.root().get("paths").and_then(Value::as_object);
    for (path, item) in paths
        .into_iter()
        .flatten()
        .filter(|(path, _)| !path.starts_with("x-"))
    {
        let item = match document.resolve(item) {
            Ok(item) => item,
            Err(why) => {
                tools.left_out.push(left(path, &why));
                continue;
            }
        };
        for method in METHODS {
            let Some(operation) = item.get(method) else {
                continue;
            };
            let found_there = Found {
                document,
                method,
                path,
                item,
                operation,
                fixed,
            };
            found.push((
                names::tool(text(operation, "operationId"), method, path),
                found_there,
            ));
        }
    }
    let mut seen = HashSet::new();
    let mut double = HashSet::new();
    for (name, _) in &found {
        if !seen.insert(name.clone()) {
            double.insert(name.clone());
        }
    }
    let mut bytes = 0;
    for (name, found) in found {
        let name = match double.contains(&name) {
            true => names::unique(&name, found.method, found.path),
            false => name,
        };
        let shown = format!("{} {}", found.method.to_ascii_uppercase(), found.path);
        let servers = [found.operation, found.item]
            .into_iter()
            .any(|of| of.get("servers").is_some());
        if servers && !own_servers {
            let why = "it has servers of its own, and only one is called; set `base_url`";
            tools.left_out.push(left(&shown, why));
            continue;
        }
        if tools.specs.len() >= MAX_TOOLS || bytes > MAX_BYTES {
            tools
                .left_out
                .push(left(&shown, "the document has too many operations"));
            continue;
        }
        match found.read(&name) {
            Err(why) => tools.left_out.push(left(&shown, &why)),
            Ok(_) if tools.operations.contains_key(&name) => {
                tools
                    .left_out
                    .push(left(&shown, "another operation has the same name"));
            }
            Ok((operation, definition)) => {
                bytes += definition.len();
                tools.operations.insert(name.clone(), operation);
                tools.specs.push(Spec::new(name, definition));
            }
        }
    }
    tools
}

fn left(what: &str, why: &str) -> String {
    let what: String = what.chars().take(200).collect();
    format!("{}: {why}", what.escape_debug())
}
