//! Another process takes the place of a running one: no call fails, nothing is lost, or nothing changes.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::reload::held;
use crate::support::{
    Answer, Api, Grpc, GrpcWith, Legacy, OnDrop, PATIENCE, Served, audited, eventually, ferromcp, finish,
    fixture, grpc_address, made, parse,
};

/// A server, and its successors.
struct Line {
    directory: TempDir,
    served: Served,
    api: Api,
    /// The process that serves now.
    pid: u32,
}

fn pid(number: u32) -> Pid {
    i32::try_from(number).ok().and_then(Pid::from_raw).unwrap()
}

impl Line {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (admin_key, admin_hash) = made(&["keys", "new", "--admin", "--json"]);
        let config = json!({
            "servers": { "a": { "command": fixture(), "args": ["--stdio"] } },
            "auth": { "anonymous": "local" },
            "audit": { "file": "audit", "journal": true },
            "admin": { "listen": "127.0.0.1:0", "keys": [admin_hash], "store": "state" },
            "supervisor": { "drain": "20s" },
        });
        std::fs::write(directory.path().join("ferromcp.yaml"), config.to_string()).unwrap();
        let served = Served::start([
            "--grpc-addr".as_ref(),
            "127.0.0.1:0".as_ref(),
            "--config".as_ref(),
            directory.path().join("ferromcp.yaml").as_os_str(),
        ]);
        let api = Api::of(&served.process, &admin_key);
        let pid = served.process.id();
        let line = Self {
            directory,
            served,
            api,
            pid,
        };
        eventually("the server is ready", || {
            (line.served.door.source("a").0 == "ready").then_some(())
        });
        line
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("ferromcp.yaml")
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        self.api.ask(method, path, &[], body)
    }

    /// One process later.
    fn upgrade(&mut self) {
        let answer = self.ask("POST", "upgrade", "");
        assert_eq!(answer.status, 200, "{answer:?}");
        let said = answer.json();
        assert_eq!(said["old_pid"], self.pid);
        self.pid = u32::try_from(said["pid"].as_u64().unwrap()).unwrap();
    }

    fn upgrade_by_command(&mut self) {
        let mut command = ferromcp(["upgrade", "--admin"]);
        command
            .arg(self.api.door.url(""))
            .env("FERROMCP_ADMIN_KEY", &self.api.key);
        let done = finish(command, "");
        assert_eq!(done.code, 0, "{done:?}");
        let number = |line: &str| line.split(' ').nth(1).unwrap().parse::<u32>().unwrap();
        let mut lines = done.stdout.lines();
        let new = lines.next().unwrap();
        assert!(new.contains(" serves, version 0.1.0, after "), "{new}");
        assert_eq!(number(lines.next().unwrap()), self.pid, "{done:?}");
        self.pid = number(new);
    }

    fn upgrade_by_signal(&mut self) {
        kill_process(pid(self.pid), Signal::USR2).unwrap();
        self.pid = self.served.process.stderr.wait(|line| {
            let told = line.contains("has taken the place") && line.contains("SIGUSR2");
            let rest = line.split_once("pid=").filter(|_| told)?.1;
            let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            Some(rest[..digits].parse().unwrap())
        });
    }

    /// Takes over another configuration, and sometimes does not.
    fn reload(&self, number: usize) {
        let text = std::fs::read_to_string(self.file()).unwrap();
        let mut config: Value = serde_json::from_str(&text).unwrap();
        config["limits"] = json!({ "max_in_flight": 1000 + number });
        config["tenants"][format!("t{number}-of-the-file")] = json!({ "tools": { "allow": ["echo"] } });
        let name = format!("say{number}");
        config["servers"]["b"] = json!({ "command": fixture(), "args": ["--stdio"],
            "tools": { "overrides": { "test_simple_text": { "name": name } } } });
        if number % 3 == 2 {
            config["servers"].as_object_mut().unwrap().remove("b");
        }
        if number % 5 == 4 {
            std::fs::write(self.file(), "listen: 7").unwrap();
            assert_eq!(self.ask("POST", "reload", "").status, 409);
        }
        std::fs::write(self.file(), config.to_string()).unwrap();
        let answer = self.ask("POST", "reload", "");
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    fn audited(&self, kind: &str) -> Vec<Value> {
        audited(&self.directory.path().join("audit"), kind)
    }

    /// Ends the last process, and sees to it that all processes end in order.
    fn end(mut self) -> TempDir {
        let first = self.served.process.id();
        kill_process(pid(self.pid), Signal::TERM).unwrap();
        assert_eq!(self.served.process.exit_code(PATIENCE), 0);
        eventually("the last process ends", || {
            (self.pid == first || test_kill_process(pid(self.pid)).is_err()).then_some(())
        });
        let mut verify = ferromcp(["audit", "verify"]);
        verify.arg(self.directory.path().join("audit"));
        let verified = finish(verify, "");
        assert_eq!(verified.code, 0, "{verified:?}");
        let log = self.served.process.stderr.all();
        assert!(!log.iter().any(|line| line.contains("panicked")), "{log:#?}");
        let announced = log.iter().filter(|line| line.starts_with("FerroMCP "));
        for line in announced {
            assert!(line.contains(", 1 built-in tools, "), "{line}");
        }
        std::mem::replace(&mut self.directory, tempfile::tempdir().unwrap())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.pid != self.served.process.id() {
            // It may have ended by now.
            let _ = kill_process(pid(self.pid), Signal::KILL);
        }
    }
}

/// A connection that is kept, as clients with a pool do it.
struct Kept {
    address: String,
    stream: Option<TcpStream>,
    opened: usize,
}

impl Kept {
    fn call(&mut self, body: &str) -> Answer {
        let stream = self.stream.get_or_insert_with(|| {
            self.opened += 1;
            TcpStream::connect(&self.address).unwrap()
        });
        let request = format!(
            "POST /v1/tools/call HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut bytes = Vec::new();
        let mut part = [0; 4096];
        let answer = loop {
            let count = stream.read(&mut part).unwrap();
            assert!(
                count > 0,
                "closed in the middle of a call: {}",
                String::from_utf8_lossy(&bytes)
            );
            bytes.extend_from_slice(&part[..count]);
            let text = String::from_utf8_lossy(&bytes);
            let Some((head, body)) = text.split_once("\r\n\r\n") else {
                continue;
            };
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            if body.len() == length.unwrap().parse::<usize>().unwrap() {
                break parse(&bytes);
            }
        };
        if answer.header("connection") == Some("close") {
            self.stream = None;
        }
        answer
    }
}

const SAID: &str = "This is a simple text response";

/// Callers at every door, all the time, while processes follow each other: `FERROMCP_UPGRADES` times, by default twice, with
/// `FERROMCP_RELOADS` reloads (by default 4) between them.
#[test]
fn no_call_fails_while_processes_follow_each_other() {
    let rounds = std::env::var("FERROMCP_UPGRADES").map_or(2, |n| n.parse().expect("a number of upgrades"));
    let reloads = std::env::var("FERROMCP_RELOADS").map_or(4, |n| n.parse().expect("a number of reloads"));
    let mut line = Line::start();
    let before = held(line.pid);
    let door = line.served.door.clone();
    let grpc = grpc_address(&line.served);
    let (over, calls) = (AtomicBool::new(false), AtomicUsize::new(0));
    let check = |what: &str, answer: &str| {
        calls.fetch_add(1, Ordering::Relaxed);
        assert!(answer.contains(SAID), "{what}: {answer}");
    };
    let tool = json!({ "name": "a__test_simple_text", "arguments": {} });
    let body = json!({ "tool": "a__test_simple_text", "arguments": {} }).to_string();
    std::thread::scope(|scope| {
        let _end = OnDrop(&over);
        let going = || !over.load(Ordering::Relaxed);
        let (door, tool, body, check) = (&door, &tool, &body, &check);
        scope.spawn(move || {
            while going() {
                check("rest", &door.rest("a__test_simple_text", &json!({})).body);
                check("modern", &door.modern("tools/call", tool.clone()).to_string());
            }
        });
        scope.spawn(move || {
            let mut kept = Kept {
                address: door.address.clone(),
                stream: None,
                opened: 0,
            };
            while going() {
                check("kept alive", &kept.call(body).body);
            }
            assert!(kept.opened > rounds, "{}", kept.opened);
        });
        scope.spawn(move || {
            // A session of the first process.
            let legacy = Legacy::open(door);
            while going() {
                check(
                    "one session",
                    &legacy.request("tools/call", tool.clone()).to_string(),
                );
            }
        });
        scope.spawn(move || {
            while going() {
                let legacy = Legacy::open(door);
                check(
                    "a new session",
                    &legacy.request("tools/call", tool.clone()).to_string(),
                );
                let ended = door.request("DELETE", "/mcp", &legacy.headers(), "");
                assert_eq!(ended.status, 204, "{ended:?}");
            }
        });
        scope.spawn(move || {
            let mut client = Grpc::start(&grpc, GrpcWith::default());
            while going() {
                let call = json!({ "tool": "a__test_simple_text", "arguments": "{}" });
                check("grpc", &client.call("CallTool", call).to_string());
            }
        });
        for round in 0..rounds {
            let so_far = calls.load(Ordering::Relaxed);
            eventually("calls are made", || {
                (calls.load(Ordering::Relaxed) > so_far + 100).then_some(())
            });
            line.upgrade();
            let tenant = line.ask("PUT", &format!("tenants/t{round}"), "{}");
            assert_eq!(tenant.status, 201, "{tenant:?}");
            for number in round * reloads / rounds..(round + 1) * reloads / rounds {
                line.reload(number);
            }
        }
    });
    let made = calls.load(Ordering::Relaxed);
    let ended = line.audited("call");
    let failed: Vec<_> = ended.iter().filter(|call| call["outcome"] != "ok").collect();
    assert!(failed.is_empty(), "{failed:#?}");
    eventually("the first process ends", || {
        line.served.process.has_ended().then_some(())
    });
    let after = held(line.pid);
    eprintln!(
        "{made} calls, {rounds} upgrades, {reloads} reloads; files, threads, MiB: {before:?}, {after:?}"
    );
    // Room for the server that reloads add, and for what allocators keep.
    assert!(
        after.0 <= before.0 + 16 && after.1 <= before.1 + 8 && after.2 <= before.2 + 32,
        "files, threads, MiB: {before:?}, {after:?}"
    );
    eventually("every call is recorded once", || {
        (line.audited("call").len() == made).then_some(())
    });
    assert_eq!(line.audited("interrupted"), Vec::<Value>::new());
    line.end();
}

/// What runs ends where it began, and what its caller says meanwhile finds it there.
#[test]
fn a_call_that_runs_is_asked_and_answered_across_an_upgrade() {
    let mut line = Line::start();
    let door = line.served.door.clone();
    let init = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": { "sampling": {} },
        "clientInfo": { "name": "raw", "version": "1" } } });
    let plain = [
        ("Content-Type", "application/json"),
        ("Accept", "application/json, text/event-stream"),
    ];
    let opened = door.request("POST", "/mcp", &plain, &init.to_string());
    let session = opened.header("mcp-session-id").unwrap().to_owned();
    let mut headers = plain.to_vec();
    headers.push(("Mcp-Session-Id", &session));
    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": { "name": "a__test_sampling", "arguments": { "prompt": "hello" } } });
    let mut stream = door.send("POST", "/mcp", &headers, &call.to_string());
    let mut text = String::new();
    let mut read_until = |part: &str| {
        let mut bytes = [0; 4096];
        while !text.contains(part) {
            let count = stream.read(&mut bytes).unwrap();
            assert!(count > 0, "no {part} in {text}");
            text.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
        }
        text.clone()
    };
    let asked = read_until("sampling/createMessage\"");
    let asked = asked
        .lines()
        .find(|line| line.contains("sampling/createMessage"))
        .unwrap();
    let question: Value = serde_json::from_str(asked.strip_prefix("data: ").unwrap()).unwrap();
    line.upgrade();
    let answer = json!({ "jsonrpc": "2.0", "id": question["id"], "result": { "role": "assistant", "model": "m",
        "content": { "type": "text", "text": "said to the new process" } } });
    let taken = door.request("POST", "/mcp", &headers, &answer.to_string());
    assert_eq!(taken.status, 202, "{taken:?}");
    read_until("said to the new process");
    eventually("the old process ends", || {
        line.served.process.has_ended().then_some(())
    });
    line.end();
}

/// What was used of a quota stays used.
#[test]
fn quotas_go_over() {
    let mut line = Line::start();
    let door = line.served.door.clone();
    let made = line.ask("PUT", "tenants/acme", r#"{"quotas":{"tool_calls":"5/h"}}"#);
    assert_eq!(made.status, 201, "{made:?}");
    let key = line.api.key("acme");
    let call = || {
        let headers = [("X-Api-Key", key.as_str()), ("Content-Type", "application/json")];
        let body = r#"{"tool":"echo","arguments":{"msg":"hi"}}"#;
        door.request("POST", "/v1/tools/call", &headers, body).status
    };
    assert_eq!([call(), call(), call()], [200; 3]);
    line.upgrade();
    assert_eq!([call(), call(), call(), call()], [200, 200, 429, 429]);
    line.upgrade_by_command();
    assert_eq!(call(), 429);
    line.upgrade_by_signal();
    assert_eq!(call(), 429);
    line.end();
}

/// Whatever is wrong with the new process, the old one goes on with all that it had.
#[test]
fn a_process_that_does_not_come_up_changes_nothing() {
    let line = Line::start();
    let door = line.served.door.clone();
    let good = std::fs::read_to_string(line.file()).unwrap();
    let mut down: Value = serde_json::from_str(&good).unwrap();
    down["servers"]["a"] = json!({ "command": "false" });
    for (config, part) in [
        ("listen: 7".to_owned(), "listen"),
        (down.to_string(), "server a: "),
    ] {
        std::fs::write(line.file(), config).unwrap();
        let answer = line.ask("POST", "upgrade", "");
        assert_eq!(answer.status, 409, "{answer:?}");
        let error = answer.json()["error"].clone();
        assert_eq!(error["rule"], "upgrade.failed");
        assert!(error["message"].as_str().unwrap().contains(part), "{error}");
        assert!(door.rest("a__test_simple_text", &json!({})).body.contains(SAID));
        let legacy = Legacy::open(&door);
        let said = legacy.request(
            "tools/call",
            json!({ "name": "a__test_simple_text", "arguments": {} }),
        );
        assert!(said.to_string().contains(SAID), "{said}");
    }
    let tenant = line.ask("PUT", "tenants/later", "{}");
    assert_eq!(tenant.status, 201, "{tenant:?}");
    std::fs::write(line.file(), good).unwrap();
    let reloaded = line.ask("POST", "reload", "");
    assert_eq!(reloaded.status, 200, "{reloaded:?}");
    let refused = line.audited("reload");
    assert!(
        refused.iter().any(|record| record["rule"] == "upgrade.failed"),
        "{refused:#?}"
    );
    line.end();
}

#[test]
fn a_server_on_standard_input_is_not_upgraded() {
    let mut command = ferromcp(["serve", "--mode", "all", "--addr", "127.0.0.1:0"]);
    command.env_remove("FERROMCP_UPGRADE");
    let process = crate::support::Process::start(command);
    process
        .stderr
        .wait(|line| line.starts_with("listening http://").then_some(()));
    process.signal(Signal::USR2);
    process
        .stderr
        .wait(|line| (line.contains("not upgraded") && line.contains("host")).then_some(()));
    process.signal(Signal::TERM);
    let mut process = process;
    assert_eq!(process.exit_code(Duration::from_secs(60)), 0);
    let mut misused = ferromcp(["serve"]);
    misused.env("FERROMCP_UPGRADE", "1");
    let finished = finish(misused, "");
    assert_eq!(finished.code, 2, "{finished:?}");
    assert!(finished.stderr.contains("unset it"), "{finished:?}");
}
