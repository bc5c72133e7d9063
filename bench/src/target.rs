//! What is measured: which program, and which request, with the answer that proves the work was done.

use serde_json::{Value, json};

use crate::Result;
use crate::client::Connection;
use crate::grpc::bytes_field;

/// The part of every request that changes: as wide as this, replaced in place, and looked for in the answer.
pub const MARK: &str = "0000000000";

/// A server program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// Bare hyper, the floor.
    Hyper,
    /// tonic's codec on bare hyper.
    Tonic,
    /// rmcp with JSON answers.
    Rmcp,
    /// A relay on bare hyper.
    RelayHttp,
    /// HTTP to a child process, as little as that takes.
    RelayStdio,
    /// The server behind relays, over HTTP.
    UpstreamEcho,
    /// `ferromcp serve`.
    Ferromcp,
}

/// The server behind a relay: `upstream-echo`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behind {
    /// Over Streamable HTTP.
    Http,
    /// A child process.
    Stdio,
    /// So many child processes, which work for about a millisecond for each call, on any core.
    Burning(usize),
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
    /// `POST /v1/tools/batch` with [`BATCH`] calls.
    RestBatch,
    /// gRPC `CallTool`.
    Grpc,
    /// gRPC `BatchCall` with [`BATCH`] calls.
    GrpcBatch,
    /// [`BATCH`] MCP `tools/call` of revision 2026-07-28 at once on a `Mcp` stream of the connection's own.
    GrpcMcp,
}

impl Shape {
    /// Whether it needs the gRPC door.
    #[must_use]
    pub fn is_grpc(self) -> bool {
        matches!(self, Self::Grpc | Self::GrpcBatch | Self::GrpcMcp)
    }
}

/// Calls in one request of [`Shape::RestBatch`], [`Shape::GrpcBatch`] and [`Shape::GrpcMcp`].
pub const BATCH: usize = 50;

/// How ours is configured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Guards {
    /// No configuration: what a user gets who sets nothing.
    #[default]
    Default,
    /// Pattern rules and schemas off, and nothing else on.
    Off,
    /// A tenant by key with an access list, rates of every kind and quotas; pattern rules, schemas, redaction of results, and
    /// the audit log on disk.
    On,
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
    /// What is on.
    pub guards: Guards,
    /// The row that ours is compared with, besides bare hyper.
    pub rival: Option<&'static str>,
    /// What calls are relayed to.
    pub behind: Option<Behind>,
}

pub(crate) const fn guarded(
    name: &'static str,
    shape: Shape,
    guards: Guards,
    rival: Option<&'static str>,
) -> Target {
    Target {
        name,
        program: Program::Ferromcp,
        shape,
        guards,
        rival,
        behind: None,
    }
}

const fn relay(name: &'static str, program: Program, behind: Behind, rival: Option<&'static str>) -> Target {
    Target {
        name,
        program,
        shape: Shape::Modern,
        guards: Guards::Default,
        rival,
        behind: Some(behind),
    }
}

/// Everything that can be measured, baselines first.
pub const TARGETS: &[Target] = &[
    Target {
        name: "hyper",
        program: Program::Hyper,
        shape: Shape::Legacy,
        guards: Guards::Default,
        rival: None,
        behind: None,
    },
    Target {
        name: "rmcp-2025",
        program: Program::Rmcp,
        shape: Shape::Legacy,
        guards: Guards::Default,
        rival: None,
        behind: None,
    },
    Target {
        name: "rmcp-2026",
        program: Program::Rmcp,
        shape: Shape::Modern,
        guards: Guards::Default,
        rival: None,
        behind: None,
    },
    Target {
        name: "mcp-2025",
        program: Program::Ferromcp,
        shape: Shape::LegacySession,
        guards: Guards::Default,
        rival: Some("rmcp-2025"),
        behind: None,
    },
    Target {
        name: "mcp-2026",
        program: Program::Ferromcp,
        shape: Shape::Modern,
        guards: Guards::Default,
        rival: Some("rmcp-2026"),
        behind: None,
    },
    Target {
        name: "rest",
        program: Program::Ferromcp,
        shape: Shape::Rest,
        guards: Guards::Default,
        rival: Some("rmcp-2025"),
        behind: None,
    },
    guarded(
        "mcp-2025-off",
        Shape::LegacySession,
        Guards::Off,
        Some("rmcp-2025"),
    ),
    guarded(
        "mcp-2025-on",
        Shape::LegacySession,
        Guards::On,
        Some("mcp-2025-off"),
    ),
    guarded("mcp-2026-off", Shape::Modern, Guards::Off, Some("rmcp-2026")),
    guarded("mcp-2026-on", Shape::Modern, Guards::On, Some("mcp-2026-off")),
    guarded("rest-off", Shape::Rest, Guards::Off, Some("rmcp-2025")),
    guarded("rest-on", Shape::Rest, Guards::On, Some("rest-off")),
    guarded("rest-batch", Shape::RestBatch, Guards::Default, Some("rest")),
    guarded("rest-batch-on", Shape::RestBatch, Guards::On, Some("rest-on")),
    Target {
        name: "tonic",
        program: Program::Tonic,
        shape: Shape::Grpc,
        guards: Guards::Default,
        rival: None,
        behind: None,
    },
    guarded("grpc", Shape::Grpc, Guards::Default, Some("tonic")),
    guarded("grpc-on", Shape::Grpc, Guards::On, Some("tonic")),
    guarded("grpc-batch", Shape::GrpcBatch, Guards::Default, Some("grpc")),
    guarded("grpc-batch-on", Shape::GrpcBatch, Guards::On, Some("grpc-on")),
    guarded("grpc-mcp", Shape::GrpcMcp, Guards::Default, Some("grpc")),
    guarded("grpc-mcp-on", Shape::GrpcMcp, Guards::On, Some("grpc-on")),
    relay("base-relay-http", Program::RelayHttp, Behind::Http, None),
    relay(
        "relay-http",
        Program::Ferromcp,
        Behind::Http,
        Some("base-relay-http"),
    ),
    relay("base-relay-stdio", Program::RelayStdio, Behind::Stdio, None),
    relay(
        "relay-stdio",
        Program::Ferromcp,
        Behind::Stdio,
        Some("base-relay-stdio"),
    ),
    relay("relay-pool-1", Program::Ferromcp, Behind::Burning(1), None),
    relay(
        "relay-pool-4",
        Program::Ferromcp,
        Behind::Burning(4),
        Some("relay-pool-1"),
    ),
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
    pub async fn request(&self, connection: &mut Connection, key: Option<&str>) -> Result<Vec<u8>> {
        let key = key.map(bearer).unwrap_or_default();
        Ok(match self.shape {
            Shape::Legacy => post(
                "/mcp",
                &["MCP-Protocol-Version: 2025-11-25", &key],
                &legacy_call(),
            ),
            Shape::LegacySession => {
                let session = open_session(connection, &key).await?;
                let session = format!("Mcp-Session-Id: {session}");
                post(
                    "/mcp",
                    &["MCP-Protocol-Version: 2025-11-25", &session, &key],
                    &legacy_call(),
                )
            }
            Shape::Modern => post(
                "/mcp",
                &[
                    "MCP-Protocol-Version: 2026-07-28",
                    "Mcp-Method: tools/call",
                    &format!("Mcp-Name: {}", self.tool()),
                    &key,
                ],
                &modern_call(self.tool()),
            ),
            Shape::Rest => post("/v1/tools/call", &[&key], &rest_call()),
            Shape::RestBatch => post("/v1/tools/batch", &[&key], &rest_batch()),
            Shape::Grpc | Shape::GrpcBatch | Shape::GrpcMcp => {
                return Err(format!("{} is not HTTP/1.1", self.name));
            }
        })
    }

    /// The message of one gRPC request, as `proto/ferromcp/v1/ferromcp.proto` has it.
    pub(crate) fn protobuf(&self) -> Vec<u8> {
        let call = |tool: u8, text: &str| {
            let arguments = json!({ "msg": text }).to_string();
            [
                bytes_field(tool, b"echo"),
                bytes_field(tool + 1, arguments.as_bytes()),
            ]
            .concat()
        };
        match self.shape {
            Shape::GrpcBatch => {
                let mut calls = bytes_field(1, &call(2, OTHER)).repeat(BATCH - 1);
                calls.extend_from_slice(&bytes_field(1, &call(2, &text())));
                calls
            }
            _ => call(1, &text()),
        }
    }

    /// The messages of [`Shape::GrpcMcp`]; the mark is in the last.
    pub(crate) fn protobufs(&self) -> Vec<Vec<u8>> {
        let mine = modern_call(self.tool());
        let all = (0..BATCH).map(|at| {
            let last = at + 1 == BATCH;
            let text = if last {
                mine.clone()
            } else {
                mine.replace(MARK, "1111111111")
            };
            let text = text.replace("\"id\":1", &format!("\"id\":{}", at + 1));
            bytes_field(1, text.as_bytes())
        });
        all.collect()
    }

    fn tool(&self) -> &'static str {
        // Ours has it behind the prefix of its server.
        if self.behind.is_some() && self.program == Program::Ferromcp {
            "up__echo"
        } else {
            "echo"
        }
    }
}

/// The header that carries a key.
#[must_use]
pub fn bearer(key: &str) -> String {
    format!("Authorization: Bearer {key}")
}

/// What calls say that have no mark.
const OTHER: &str = "hello from the load generator 1111111111";

fn text() -> String {
    format!("hello from the load generator {MARK}")
}

fn legacy_call() -> String {
    json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "echo", "arguments": {"msg": text()}}})
    .to_string()
}

fn modern_call(tool: &str) -> String {
    json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": tool, "arguments": {"msg": text()}, "_meta": meta()}})
    .to_string()
}

fn meta() -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "load", "version": "1.0.0"},
        "io.modelcontextprotocol/clientCapabilities": {},
    })
}

/// The bytes of a `tools/list` of revision 2026-07-28; the first page if `cursor` is empty.
#[must_use]
pub fn list_request(cursor: &str) -> Vec<u8> {
    let mut params = json!({ "_meta": meta() });
    if !cursor.is_empty() {
        params["cursor"] = cursor.into();
    }
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": params});
    let headers = ["MCP-Protocol-Version: 2026-07-28", "Mcp-Method: tools/list"];
    post("/mcp", &headers, &body.to_string())
}

fn rest_call() -> String {
    json!({"tool": "echo", "arguments": {"msg": text()}}).to_string()
}

/// The mark is in one call only: it is replaced in one place.
fn rest_batch() -> String {
    let other = json!({"tool": "echo", "arguments": {"msg": OTHER}});
    let mut requests = vec![other; BATCH - 1];
    requests.push(json!({"tool": "echo", "arguments": {"msg": text()}}));
    json!({ "requests": requests }).to_string()
}

fn post(path: &str, headers: &[&str], body: &str) -> Vec<u8> {
    let mut head = format!(
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\nContent-Length: {}\r\n",
        body.len()
    );
    for header in headers.iter().filter(|header| !header.is_empty()) {
        head.push_str(header);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    head.push_str(body);
    head.into_bytes()
}

/// `initialize` and `notifications/initialized`; the answer is the session id. `key` is a header, or empty.
///
/// # Errors
/// The server refuses, or gives no session.
pub async fn open_session(connection: &mut Connection, key: &str) -> Result<String> {
    let initialize = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {},
        "clientInfo": {"name": "load", "version": "1.0.0"}}});
    let answer = connection
        .exchange(&post("/mcp", &[key], &initialize.to_string()))
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
        &["MCP-Protocol-Version: 2025-11-25", &header, key],
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
