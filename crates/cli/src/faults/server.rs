//! The server that the faults happen to: MCP 2025-11-25 over stdio, well behaved until it is told not to be.

use std::io::{BufRead as _, Write as _};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::pause;

/// Where `record` writes the numbers that it was called with.
pub(crate) const JOURNAL: &str = "FERROMCP_FAULTS_JOURNAL";

/// Serves until the input ends. With `linger` it is a helper of a server, and stays until it is killed.
pub(crate) fn run(linger: bool) -> std::io::Result<()> {
    if linger {
        loop {
            pause(std::time::Duration::from_secs(3600));
        }
    }
    // As real servers do, it has a helper that does not end by itself.
    let own = std::env::current_exe()?;
    let mut helper = Command::new(own);
    helper.args(["__fault-server", "--linger"]).stdin(Stdio::null());
    let _helper = helper.stdout(Stdio::null()).spawn()?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let Ok(request) = serde_json::from_str::<Value>(&line) else {
            continue;
        };
        let answer = answer(&request);
        if let (Some(id), Some(answer)) = (request.get("id"), answer) {
            let mut message = json!({ "jsonrpc": "2.0", "id": id });
            message[answer.0] = answer.1;
            say(&message.to_string())?;
        }
    }
    Ok(())
}

fn say(line: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// The member of the answer and its value.
pub(super) fn answer(request: &Value) -> Option<(&'static str, Value)> {
    let result = match request["method"].as_str()? {
        "initialize" => json!({
            "protocolVersion": "2025-11-25",
            "capabilities": { "tools": {} },
            "serverInfo": { "name": "fault-server", "version": "1" },
        }),
        "ping" => json!({}),
        "tools/list" => json!({ "tools": [
            tool("echo", true), tool("slow", true), tool("record", false), tool("long", false), tool("misbehave", false),
        ] }),
        "tools/call" => {
            let arguments = &request["params"]["arguments"];
            call(request["params"]["name"].as_str()?, arguments)?
        }
        _ => return Some(("error", json!({ "code": -32601, "message": "no such method" }))),
    };
    Some(("result", result))
}

fn tool(name: &str, read_only: bool) -> Value {
    json!({ "name": name, "inputSchema": { "type": "object" }, "annotations": { "readOnlyHint": read_only } })
}

/// `None`: there is no answer, and maybe no server any more.
fn call(name: &str, arguments: &Value) -> Option<Value> {
    let n = arguments["n"].as_u64().unwrap_or_default();
    match name {
        "echo" => {}
        "slow" => pause(std::time::Duration::from_millis(30)),
        "long" => pause(std::time::Duration::from_secs(600)),
        "record" => {
            let path = std::env::var_os(JOURNAL)?;
            let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
            // In one write: workers share the file.
            file.ok()?.write_all(format!("{n}\n").as_bytes()).ok()?;
        }
        "misbehave" => return misbehave(arguments["how"].as_str()?),
        _ => return None,
    }
    Some(json!({ "content": [{ "type": "text", "text": n.to_string() }] }))
}

fn misbehave(how: &str) -> Option<Value> {
    match how {
        "garbage" => {
            for line in [
                "Traceback (most recent call last):",
                "{",
                "[]",
                "{\"jsonrpc\":\"2.0\"}",
                "\u{1}\u{2}",
            ] {
                say(line).ok()?;
            }
            say(&"x".repeat(100_000)).ok()?;
            Some(json!({ "content": [{ "type": "text", "text": "0" }] }))
        }
        // It goes on living, and that is the trouble.
        "close" => {
            let null = std::fs::OpenOptions::new()
                .read(true)
                .write(true)
                .open("/dev/null")
                .ok()?;
            rustix::stdio::dup2_stdout(&null).ok()?;
            None
        }
        "deafen" => {
            let null = std::fs::OpenOptions::new()
                .read(true)
                .write(true)
                .open("/dev/null")
                .ok()?;
            rustix::stdio::dup2_stdin(&null).ok()?;
            loop {
                pause(std::time::Duration::from_secs(3600));
            }
        }
        _ => {
            pause(std::time::Duration::from_millis(1500));
            Some(json!({ "content": [{ "type": "text", "text": "0" }] }))
        }
    }
}
