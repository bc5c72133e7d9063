//! MCP authorization with other people's clients and authorization server: from nothing to a call with a token, and what
//! is refused on the way.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Answer, Door, MODERN, Peers, Process, ferromcp, finish, on_a_free_port};

const JSON: (&str, &str) = ("Content-Type", "application/json");
const ACCEPT: (&str, &str) = ("Accept", "application/json, text/event-stream");

/// The authorization server of the official SDK.
fn authorization_server(peers: &Peers, at: &Path) -> (Process, String) {
    let process = Process::start(peers.node_script("authorization-server.mjs", at));
    let issuer = process
        .stdout
        .wait(|line| line.strip_prefix("listening ").map(str::to_owned));
    (process, issuer)
}

/// A server for tokens of an issuer, made for exactly its address.
fn serve(issuer: &str, directory: &Path) -> (Process, Door) {
    let (process, address) = on_a_free_port(|address| {
        let config = json!({
            "tenants": { "company-a": { "tools": { "allow": ["echo"] } } },
            "auth": { "jwt": {
                "issuer": issuer, "audience": format!("http://{address}/mcp"), "jwks": format!("{issuer}jwks"),
                "scopes": ["mcp:tools"],
            } },
        });
        let file = directory.join("ferromcp.yaml");
        std::fs::write(&file, config.to_string()).unwrap();
        let mut command: Command = ferromcp(["serve", "--addr", address, "--config"]);
        command.arg(file);
        command
    });
    let door = Door::new(&address);
    (process, door)
}

/// The first message of each revision, with a token or without.
fn ask(door: &Door, token: Option<&str>) -> [Answer; 2] {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let mut legacy = vec![JSON, ACCEPT];
    legacy.extend(bearer.as_deref().map(|bearer| ("Authorization", bearer)));
    let mut modern = legacy.clone();
    modern.extend([
        ("MCP-Protocol-Version", MODERN),
        ("Mcp-Method", "tools/call"),
        ("Mcp-Name", "echo"),
    ]);
    let params = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "raw", "version": "1" } });
    let open = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params }).to_string();
    let meta = json!({ "io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {} });
    let params = json!({ "name": "echo", "arguments": { "msg": "hi" }, "_meta": meta });
    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params }).to_string();
    [
        door.request("POST", "/mcp", &legacy, &open),
        door.request("POST", "/mcp", &modern, &call),
    ]
}

#[test]
fn clients_find_their_way_to_a_token_and_tokens_for_others_are_refused() {
    let peers = Peers::find();
    let (scripts, directory) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (_issuing, issuer) = authorization_server(&peers, scripts.path());
    let (_serving, door) = serve(&issuer, directory.path());
    let resource = door.url("/mcp");

    // RFC 9728: one document at both places.
    let metadata = door.get("/.well-known/oauth-protected-resource/mcp");
    assert_eq!(metadata.status, 200, "{metadata:?}");
    assert_eq!(
        metadata.json(),
        json!({
            "resource": resource, "authorization_servers": [issuer], "bearer_methods_supported": ["header"],
            "scopes_supported": ["mcp:tools"],
        })
    );
    assert_eq!(
        door.get("/.well-known/oauth-protected-resource").json(),
        metadata.json()
    );
    let known = format!(
        "resource_metadata=\"{}\"",
        door.url("/.well-known/oauth-protected-resource/mcp")
    );

    for sdk in ["sdk-1", "client-2"] {
        let mut client = peers.node_script("oauth.mjs", scripts.path());
        client.args([sdk, &resource]);
        let done = finish(client, "");
        let said: Value =
            serde_json::from_str(&done.stdout).unwrap_or_else(|error| panic!("{sdk}: {error}: {done:?}"));
        assert_eq!(
            said,
            json!({ "text": "hello", "scope": "mcp:tools", "resource": resource }),
            "{sdk}: {done:?}"
        );
    }

    let issued = Door::new(issuer.trim_start_matches("http://").trim_end_matches('/'));
    let token = |audience: &str, scope: &str| {
        issued
            .get(&format!("/token?audience={audience}&scope={scope}"))
            .body
    };
    let cases = [
        (None, 401, "", "auth.missing"),
        (Some(token(&resource, "mcp:tools")), 200, "", ""),
        (
            Some(token("http://127.0.0.1:1/mcp", "mcp:tools")),
            401,
            "invalid_token",
            "auth.jwt.audience",
        ),
        (
            Some(token(&format!("{resource}/"), "mcp:tools")),
            401,
            "invalid_token",
            "auth.jwt.audience",
        ),
        (
            Some(token(&resource, "other")),
            403,
            "insufficient_scope",
            "auth.scope",
        ),
    ];
    for (token, status, error, rule) in cases {
        for answer in ask(&door, token.as_deref()) {
            assert_eq!(answer.status, status, "{answer:?}");
            assert!(answer.body.contains(rule), "{answer:?}");
            let challenge = answer.header("www-authenticate").unwrap_or_default();
            if status == 200 {
                assert_eq!(challenge, "", "{answer:?}");
                continue;
            }
            assert!(challenge.starts_with("Bearer "), "{challenge}");
            assert!(challenge.contains(&known), "{challenge}");
            assert!(challenge.contains("scope=\"mcp:tools\""), "{challenge}");
            assert_eq!(challenge.contains("error="), !error.is_empty(), "{challenge}");
            assert!(challenge.contains(error), "{challenge}");
        }
    }
}
