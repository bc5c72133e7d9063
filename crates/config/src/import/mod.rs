//! Other MCP hosts' JSON (`mcpServers` and its kin) to our YAML.
//!
//! Nothing is dropped silently: what has no counterpart here becomes a comment in the output and a [`Note`] in the report.

mod convert;
mod emit;
mod handover;
mod hosts;
pub(crate) mod json;

use std::path::Path;

pub(crate) use convert::looks_secret;
pub use hosts::{Host, HostServer, Launch, Merged, MergedServer, Place, merge};

use crate::load::{accept_size, read_text};
use crate::node::{Data, Entry, Node};
use crate::problem::{ConfigError, Problem, Problems};
use crate::source::Source;

/// The result of an import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// Text of a `ferromcp.yaml`. Literal secrets of the source are in it: store it as carefully.
    pub yaml: String,
    /// What the user should know, in the order of the source. Contains no values of the source.
    pub notes: Vec<Note>,
    /// How many servers were taken over.
    pub servers: usize,
}

/// One remark about an import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Line in the source, counted from 1.
    pub line: usize,
    /// Column in the source in characters, counted from 1.
    pub column: usize,
    /// Path in the source, as in `mcpServers.files.env.TOKEN`.
    pub path: String,
    /// What was changed or could not be taken over, and what to do.
    pub message: String,
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}:{}: {}: {}",
            self.line, self.column, self.path, self.message
        )
    }
}

/// Converts the file of another MCP host: `{"mcpServers": {...}}` (Claude Desktop, Cursor and others), `{"servers": {...}}`
/// and `{"mcp": {"servers": {...}}}` (VS Code), or the bare mapping of servers. `origin` names the file in errors.
///
/// # Errors
/// All mistakes of the text at once: not JSON, larger than 4 MiB, nested deeper than 64 levels, duplicate keys, no
/// servers in it, fields of the wrong type.
pub fn import(text: &str, origin: &Path) -> Result<Imported, ConfigError> {
    let text = accept_size(text, origin)?;
    let source = Source::new(origin, text);
    let mut problems = Problems::default();
    let Some(root) = json::parse(text, &mut problems) else {
        return Err(problems.into_error(&source, None));
    };
    let imported =
        find_servers(&root, &mut problems).map(|found| convert::convert(&found, &source, &mut problems));
    match imported {
        Some(imported) if problems.is_empty() => Ok(imported),
        _ => Err(problems.into_error(&source, Some(&root))),
    }
}

impl Imported {
    /// Reads a file and converts it like [`import`].
    ///
    /// # Errors
    /// Those of [`import`]; or that the file cannot be read or is not UTF-8.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let path = path.as_ref();
        import(&read_text(path)?, path)
    }
}

/// The mapping of servers and what stands beside it.
struct Found<'n> {
    path: &'static str,
    servers: &'n [Entry],
    /// Path of its parent, and the entries there that are not the servers.
    beside: Vec<(&'static str, &'n Entry)>,
}

fn find_servers<'n>(root: &'n Node, problems: &mut Problems) -> Option<Found<'n>> {
    let shape = "{\"mcpServers\": {...}}, {\"servers\": {...}}, {\"mcp\": {\"servers\": {...}}}, or the servers themselves";
    let Data::Map(entries) = &*root.data else {
        let at = root.span.start;
        problems.push(Problem::new(at..at, "", format!("found {}", root.noun())).expected(shape));
        return None;
    };
    let beside = |key: &str, parent: &'static str, entries: &'n [Entry]| -> Vec<(&'static str, &'n Entry)> {
        entries
            .iter()
            .filter(|e| e.key != key)
            .map(|e| (parent, e))
            .collect()
    };
    for key in ["mcpServers", "servers", "mcp.servers"] {
        // A bare mapping may hold a server that happens to be called `servers`.
        if let Some(node) = root.get(key).filter(|n| !is_server(n)) {
            return Some(Found {
                path: key,
                servers: mapping(node, key, problems)?,
                beside: beside(key, "", entries),
            });
        }
    }
    // Zed's settings: all the rest of the editor stands beside it.
    if let Some(node) = root.get("context_servers") {
        return Some(Found {
            path: "context_servers",
            servers: mapping(node, "context_servers", problems)?,
            beside: Vec::new(),
        });
    }
    if let Some(mcp) = root.get("mcp").filter(|n| n.get("servers").is_some()) {
        let servers = mapping(mcp.get("servers")?, "mcp.servers", problems)?;
        let mut others = beside("mcp", "", entries);
        if let Data::Map(inner) = &*mcp.data {
            others.extend(beside("servers", "mcp", inner));
        }
        return Some(Found {
            path: "mcp.servers",
            servers,
            beside: others,
        });
    }
    if !entries.is_empty() && entries.iter().all(|e| is_server(&e.value)) {
        return Some(Found {
            path: "",
            servers: entries,
            beside: Vec::new(),
        });
    }
    let at = root.span.start;
    problems.push(Problem::new(at..at, "", "no servers found in the file").expected(shape));
    None
}

fn is_server(node: &Node) -> bool {
    ["command", "url", "serverUrl", "httpUrl"]
        .iter()
        .any(|key| node.get(key).is_some())
}

fn mapping<'n>(node: &'n Node, path: &str, problems: &mut Problems) -> Option<&'n [Entry]> {
    if let Data::Map(entries) = &*node.data {
        return Some(entries);
    }
    let at = node.span.start;
    problems.push(
        Problem::new(at..at, path, format!("found {}", node.noun())).expected("an object of servers by name"),
    );
    None
}
