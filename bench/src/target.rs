//! What is measured: which program, and which request, with the answer that proves the work was done.

use serde_json::json;

use crate::Result;
use crate::client::Connection;

/// The part of every request that changes: as wide as this, replaced in place, and looked for in the answer.
pub const MARK: &str = "0000000000";

/// A server program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// Bare hyper, the floor.
    Hyper,
    /// rmcp with JSON answers.
    Rmcp,
    /// `ferromcp serve`.
    Ferromcp,
}

/// The request that is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// MCP `tools/call`, revision 2025-11-25, without a session.
    Legacy,
    /// MCP `tools/call`, revision 2025-11-25, in a session of the connection's own.
    LegacySession,
    /// MCP `tools/call`, revision 2026-07-28.
    Modern,
    /// `POST /v1/tools/call`.
    Rest,
}

/// One row of the tables.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// How it is called on the command line and in tables.
    pub name: &'static str,
    /// Who serves it.
    pub program: Program,
    /// What is asked.
    pub shape: Shape,
    /// The row that ours is compared with, besides bare hyper.
    pub rival: Option<&'static str>,
}

/// Everything that can be measured, baselines first.
pub const TARGETS: &[Target] = &[
    Target {
        name: "hyper",
        program: Program::Hyper,
        shape: Shape::Legacy,
        rival: None,
    },
    Target {
        name: "rmcp-2025",
        program: Program::Rmcp,
        shape: Shape::Legacy,
        rival: None,
    },
    Target {
        name: "rmcp-2026",
        program: Program::Rmcp,
        shape: Shape::Modern,
        rival: None,
    },
    Target {
        name: "mcp-2025",
        program: Program::Ferromcp,
        shape: Shape::LegacySession,
        rival: Some("rmcp-2025"),
    },
    Target {
        name: "mcp-2026",
        program: Program::Ferromcp,
        shape: Shape::Modern,
        rival: Some("rmcp-2026"),
    },
    Target {
        name: "rest",
        program: Program::Ferromcp,
        shape: Shape::Rest,
        rival: Some("rmcp-2025"),
    },
];

/// The targets whose names are in `only`; all when it is empty.
///
/// # Errors
/// A name that is no target.
pub fn select(only: &[String]) -> Result<Vec<Target>> {
    if let Some(unknown) = only
        .iter()
        .find(|name| !TARGETS.iter().any(|target| target.name == **name))
    {
        let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
        return Err(format!("no target `{unknown}`; there are {}", names.join(", ")));
    }
    Ok(TARGETS
        .iter()
        .copied()
        .filter(|target| only.is_empty() || only.iter().any(|name| name == target.name))
        .collect())
}

impl Target {
    /// The bytes of one request on `connection`, with [`MARK`] in the argument. Opens a session where the shape has one.
    ///
    /// # Errors
    /// The session cannot be opened.
    pub async fn request(&self, connection: &mut Connection) -> Result<Vec<u8>> {
        Ok(match self.shape {
            Shape::Legacy => post("/mcp", &["MCP-Protocol-Version: 2025-11-25"], &legacy_call()),
            Shape::LegacySession => {
                let session = open_session(connection).await?;
                let session = format!("Mcp-Session-Id: {session}");
                post(
                    "/mcp",
                    &["MCP-Protocol-Version: 2025-11-25", &session],
                    &legacy_call(),
                )
            }
            Shape::Modern => post(
                "/mcp",
                &[
                    "MCP-Protocol-Version: 2026-07-28",
                    "Mcp-Method: tools/call",
                    "Mcp-Name: echo",
                ],
                &modern_call(),
            ),
            Shape::Rest => post("/v1/tools/call", &[], &rest_call()),
        })
    }
}

fn text() -> String {
    format!("hello from the load generator {MARK}")
}

fn legacy_call() -> String {
    json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "echo", "arguments": {"msg": text()}}})
    .to_string()
}

fn modern_call() -> String {
    json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "echo", "arguments": {"msg": text()}, "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "load", "version": "1.0.0"},
            "io.modelcontextprotocol/clientCapabilities": {}}}})
    .to_string()
}

fn rest_call() -> String {
    json!({"tool": "echo", "arguments": {"msg": text()}}).to_string()
}

fn post(path: &str, headers: &[&str], body: &str) -> Vec<u8> {
    let mut head = format!(
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\nContent-Length: {}\r\n",
        body.len()
    );
    for header in headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    head.push_str(body);
    head.into_bytes()
}

/// `initialize` and `notifications/initialized`; the answer is the session id.
///
/// # Errors
/// The server refuses, or gives no session.
pub async fn open_session(connection: &mut Connection) -> Result<String> {
    let initialize = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {},
        "clientInfo": {"name": "load", "version": "1.0.0"}}});
    let answer = connection
        .exchange(&post("/mcp", &[], &initialize.to_string()))
        .await?;
    if answer.status != 200 {
        return Err(format!(
            "initialize answered {}: {}",
            answer.status,
            String::from_utf8_lossy(answer.body)
        ));
    }
    let session = answer
        .header("mcp-session-id")
        .ok_or("initialize gave no Mcp-Session-Id")?
        .to_owned();
    let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string();
    let header = format!("Mcp-Session-Id: {session}");
    let request = post(
        "/mcp",
        &["MCP-Protocol-Version: 2025-11-25", &header],
        &initialized,
    );
    let answer = connection.exchange(&request).await?;
    if answer.status != 202 {
        return Err(format!(
            "notifications/initialized answered {}, not 202",
            answer.status
        ));
    }
    Ok(session)
}

/// Asks whether a session still lives.
///
/// # Errors
/// It does not.
pub async fn ping(connection: &mut Connection, session: &str) -> Result<()> {
    let ping = json!({"jsonrpc": "2.0", "id": 2, "method": "ping"}).to_string();
    let header = format!("Mcp-Session-Id: {session}");
    let answer = connection
        .exchange(&post(
            "/mcp",
            &["MCP-Protocol-Version: 2025-11-25", &header],
            &ping,
        ))
        .await?;
    if answer.status == 200 {
        Ok(())
    } else {
        Err(format!(
            "a session was lost: ping in it answered {}",
            answer.status
        ))
    }
}
