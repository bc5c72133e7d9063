//! Other people's servers behind the gateway: official ones in TypeScript from npm, over stdio and HTTP, and in Python from
//! PyPI, and one in Go, whose program npm brings behind a launcher.

use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    Door, Legacy, PATIENCE, Peers, Process, Served, Session, alive_with, directory_with, eventually,
    ferromcp, finish, names, on_a_free_port, text,
};

/// Servers to put into a configuration.
struct Rig {
    peers: Peers,
    directory: TempDir,
}

impl Rig {
    fn new() -> Self {
        let directory = directory_with("hello.txt", "kept here");
        let mut git = Command::new("git");
        git.args(["init", "--quiet"]).arg(directory.path());
        assert!(git.status().expect("git is installed").success());
        let peers = Peers::find();
        let mut workbook = Command::new(&peers.python);
        workbook
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/python/workbook.py"))
            .arg(directory.path().join("book.xlsx"));
        assert!(workbook.status().expect("Python starts").success());
        Self { peers, directory }
    }

    /// What the environment of every child of the server `name` contains.
    fn mark(&self, name: &str) -> String {
        format!("TEST_MARK={}", self.mark_value(name))
    }

    fn mark_value(&self, name: &str) -> String {
        format!("{}/{name}", self.directory.path().display())
    }

    fn node(&self, name: &str, server: &str, arguments: &[&str]) -> Value {
        self.script(name, &self.peers.script(server), arguments)
    }

    fn script(&self, name: &str, script: &Path, arguments: &[&str]) -> Value {
        let mut all = vec![script.to_str().unwrap()];
        all.extend(arguments);
        json!({
            "command": self.peers.node, "args": all,
            "env": {
                "TEST_MARK": self.mark_value(name),
                "MEMORY_FILE_PATH": self.directory.path().join(format!("{name}.jsonl")),
            },
        })
    }

    fn server(&self, name: &str) -> Value {
        let directory = self.directory.path().to_str().unwrap();
        match name {
            "everything" => self.node(name, "server-everything", &["stdio"]),
            "filesystem" => self.node(name, "server-filesystem", &[directory]),
            "memory" => self.node(name, "server-memory", &[]),
            "thinking" => self.node(name, "server-sequential-thinking", &[]),
            "excel" => {
                let launcher = self.peers.file("@negokaz/excel-mcp-server/dist/launcher.js");
                self.script(name, &launcher, &[])
            }
            "git" => json!({
                "command": self.peers.python, "args": ["-m", "mcp_server_git", "--repository", directory],
                "env": { "TEST_MARK": self.mark_value(name) },
            }),
            "time" => json!({
                "command": self.peers.python, "args": ["-m", "mcp_server_time", "--local-timezone", "UTC"],
                "env": { "TEST_MARK": self.mark_value(name) },
            }),
            other => panic!("no server {other}"),
        }
    }

    /// A call to a server, and what its answer contains.
    fn call(&self, name: &str) -> (String, Value, &'static str) {
        let (tool, arguments, said) = match name {
            "everything" | "remote" => ("echo", json!({ "message": "grüße" }), "Echo: grüße"),
            "filesystem" => {
                let path = self.directory.path().join("hello.txt");
                ("read_text_file", json!({ "path": path }), "kept here")
            }
            "memory" => ("read_graph", json!({}), "entities"),
            "thinking" => {
                let thought = json!({
                    "thought": "first", "thoughtNumber": 1, "totalThoughts": 3, "nextThoughtNeeded": true,
                });
                ("sequentialthinking", thought, "\"totalThoughts\": 3")
            }
            "git" => {
                let path = self.directory.path();
                ("git_status", json!({ "repo_path": path }), "hello.txt")
            }
            "excel" => {
                let path = self.directory.path().join("book.xlsx");
                (
                    "excel_describe_sheets",
                    json!({ "fileAbsolutePath": path }),
                    "Ledger",
                )
            }
            "time" => {
                let arguments =
                    json!({ "source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo" });
                ("convert_time", arguments, "T21:00")
            }
            other => panic!("no server {other}"),
        };
        (format!("{name}__{tool}"), arguments, said)
    }

    fn config(&self, file: &str, servers: &[(&str, Value)]) -> PathBuf {
        let servers: serde_json::Map<String, Value> = servers
            .iter()
            .map(|(name, server)| ((*name).to_owned(), server.clone()))
            .collect();
        let path = self.directory.path().join(file);
        std::fs::write(&path, json!({ "servers": servers }).to_string()).unwrap();
        path
    }

    fn config_of(&self, names: &[&str]) -> PathBuf {
        let servers: Vec<_> = names.iter().map(|name| (*name, self.server(name))).collect();
        self.config("ferromcp.yaml", &servers)
    }

    /// server-everything on a port of its own, and its entry in a configuration.
    fn remote(&self) -> (Process, Value) {
        let (process, address) = on_a_free_port(|address| {
            let mut command = Command::new(&self.peers.node);
            let port = address.rsplit(':').next().unwrap();
            command
                .arg(self.peers.script("server-everything"))
                .arg("streamableHttp")
                .env("PORT", port);
            command
        });
        (process, json!({ "url": format!("http://{address}/mcp") }))
    }
}

fn ready(door: &Door, names: &[&str]) {
    for name in names {
        eventually(&format!("{name} is ready"), || {
            (door.source(name).0 == "ready").then_some(())
        });
    }
}

/// All pages of a list of tools.
fn all_tools(mut page: impl FnMut(Value) -> Value) -> Vec<String> {
    let mut all = Vec::new();
    let mut params = json!({});
    loop {
        let answer = page(params);
        let result = &answer["result"];
        all.extend(names(&result["tools"]).into_iter().map(str::to_owned));
        match result["nextCursor"].as_str() {
            Some(cursor) => params = json!({ "cursor": cursor }),
            None => return all,
        }
    }
}

/// Servers by other people; the last one is at a URL, the others are children.
const ALL: [&str; 8] = [
    "everything",
    "filesystem",
    "memory",
    "thinking",
    "time",
    "git",
    "excel",
    "remote",
];

#[test]
fn every_server_through_every_door() {
    let rig = Rig::new();
    let local = &ALL[..ALL.len() - 1];
    let (_remote, remote) = rig.remote();
    let mut servers: Vec<_> = local.iter().map(|name| (*name, rig.server(name))).collect();
    servers.push(("remote", remote));
    let config = rig.config("ferromcp.yaml", &servers);

    // One gateway with its HTTP doors and standard input.
    let mut command = ferromcp(["serve", "--mode", "all", "--addr", "127.0.0.1:0", "--config"]);
    command.arg(&config);
    let mut session = Session::start(command);
    let address = session
        .process
        .stderr
        .wait(|line| line.strip_prefix("listening http://").map(str::to_owned));
    let door = Door::new(&address);
    ready(&door, &ALL);
    session.initialize();
    let legacy = Legacy::open(&door);

    let lists = [
        all_tools(|params| door.modern("tools/list", params)),
        all_tools(|params| legacy.request("tools/list", params)),
        all_tools(|params| session.legacy("tools/list", params)),
    ];
    for name in ALL {
        let (tool, arguments, said) = rig.call(name);
        for list in &lists {
            assert!(list.contains(&tool), "{tool} in {list:?}");
        }
        let own = door.source(name).1;
        let prefix = format!("{name}__");
        let listed = lists[0].iter().filter(|tool| tool.starts_with(&prefix)).count();
        assert_eq!(listed as u64, own, "{name}");

        let params = json!({ "name": tool, "arguments": arguments });
        let rest = door.rest(&tool, &arguments).json();
        assert_eq!(rest["success"], true, "{rest}");
        let results = [
            rest,
            door.modern("tools/call", params.clone())["result"].take(),
            legacy.request("tools/call", params.clone())["result"].take(),
            session.legacy("tools/call", params.clone())["result"].take(),
            session.modern("tools/call", params)["result"].take(),
        ];
        for result in &results {
            assert!(text(result).contains(said), "{tool}: {result}");
            assert_ne!(result["isError"], true, "{result}");
        }
    }
    session.process.close_input();
    assert_eq!(session.process.exit_code(PATIENCE), 0);
    session.assert_only_messages();
    for name in local {
        assert_eq!(
            alive_with(&rig.mark(name)),
            Vec::<i32>::new(),
            "{name} was left behind"
        );
    }
}

#[test]
fn every_server_from_the_command_line() {
    let rig = Rig::new();
    let (_remote, remote) = rig.remote();
    for name in ALL {
        let server = if name == "remote" {
            remote.clone()
        } else {
            rig.server(name)
        };
        let config = rig.config(&format!("{name}.yaml"), &[(name, server)]);
        let (tool, arguments, said) = rig.call(name);
        let mut command = ferromcp(["call", &tool, &arguments.to_string(), "--config"]);
        command.arg(&config);
        let called = finish(command, "");
        assert_eq!(called.code, 0, "{called:?}");
        let answer: Value = serde_json::from_str(&called.stdout).unwrap();
        assert!(text(&answer).contains(said), "{tool}: {answer}");
        assert_eq!(
            alive_with(&rig.mark(name)),
            Vec::<i32>::new(),
            "{name} was left behind"
        );
    }
}

#[test]
fn what_a_server_remembers_it_remembers_for_all_doors() {
    let rig = Rig::new();
    let served = Served::with_config(&rig.config_of(&["memory"]));
    ready(&served.door, &["memory"]);
    let entity = json!({ "name": "Ferris", "entityType": "crab", "observations": ["is orange"] });
    let params = json!({ "name": "memory__create_entities", "arguments": { "entities": [entity] } });
    let created = served.door.modern("tools/call", params);
    assert_ne!(created["result"]["isError"], true, "{created}");
    let graph = served.door.rest("memory__read_graph", &json!({})).json();
    assert_eq!(graph["output"]["entities"][0]["name"], "Ferris", "{graph}");
    // The schema of the tool is enforced before the server sees the call.
    let wrong = served
        .door
        .rest("memory__create_entities", &json!({ "entities": "Ferris" }))
        .json();
    assert_eq!(wrong["error"]["rule"], "schema.arguments", "{wrong}");
}

#[test]
fn resources_prompts_and_completion_of_a_server() {
    let rig = Rig::new();
    let served = Served::with_config(&rig.config_of(&["everything"]));
    let door = &served.door;
    ready(door, &["everything"]);
    let legacy = Legacy::open(door);
    let ask = |modern: bool, method: &str, params: Value| {
        let mut answer = if modern {
            door.modern(method, params)
        } else {
            legacy.request(method, params)
        };
        assert!(answer["result"].is_object(), "{method}: {answer}");
        answer["result"].take()
    };
    for modern in [true, false] {
        let listed = ask(modern, "resources/list", json!({}));
        let uri = listed["resources"][0]["uri"]
            .as_str()
            .expect("a resource")
            .to_owned();
        let read = ask(modern, "resources/read", json!({ "uri": uri }));
        assert_eq!(read["contents"][0]["uri"], *uri, "{read}");
        assert!(
            read["contents"][0]["text"]
                .as_str()
                .is_some_and(|text| text.len() > 100),
            "{read}"
        );

        let templates = ask(modern, "resources/templates/list", json!({}));
        let templates: Vec<_> = templates["resourceTemplates"].as_array().unwrap().clone();
        assert!(
            templates
                .iter()
                .any(|one| one["uriTemplate"] == "demo://resource/dynamic/text/{resourceId}")
        );
        let read = ask(
            modern,
            "resources/read",
            json!({ "uri": "demo://resource/dynamic/text/7" }),
        );
        assert!(
            read["contents"][0]["text"]
                .as_str()
                .unwrap()
                .contains("Resource 7"),
            "{read}"
        );

        let prompts = ask(modern, "prompts/list", json!({}));
        assert!(
            names(&prompts["prompts"]).contains(&"everything__args-prompt"),
            "{prompts}"
        );
        let params = json!({ "name": "everything__args-prompt", "arguments": { "city": "Graz" } });
        let prompt = ask(modern, "prompts/get", params);
        assert!(
            prompt["messages"][0]["content"]["text"]
                .as_str()
                .unwrap()
                .contains("Graz"),
            "{prompt}"
        );

        let params = json!({
            "ref": { "type": "ref/prompt", "name": "everything__completable-prompt" },
            "argument": { "name": "department", "value": "Eng" },
        });
        let completed = ask(modern, "completion/complete", params);
        assert_eq!(
            completed["completion"]["values"],
            json!(["Engineering"]),
            "{completed}"
        );
    }
}

#[test]
fn progress_of_a_server_reaches_who_asked() {
    let rig = Rig::new();
    let served = Served::with_config(&rig.config_of(&["everything"]));
    ready(&served.door, &["everything"]);
    let params = json!({
        "name": "everything__trigger-long-running-operation", "arguments": { "duration": 1, "steps": 4 },
        "_meta": { "progressToken": "mine" },
    });
    let said = served.door.modern_messages("tools/call", params);
    let progress: Vec<_> = said
        .iter()
        .filter(|message| message["method"] == "notifications/progress")
        .collect();
    assert!(progress.len() >= 3, "{said:#?}");
    assert!(
        progress
            .iter()
            .all(|message| message["params"]["progressToken"] == "mine"),
        "{said:#?}"
    );
    let result = &said.last().unwrap()["result"];
    assert!(text(result).contains("completed"), "{result}");
}

#[test]
fn a_child_sees_nothing_of_our_environment() {
    let rig = Rig::new();
    let config = rig.config_of(&["everything"]);
    let mut command = ferromcp([
        Path::new("call"),
        Path::new("everything__get-env"),
        Path::new("--config"),
        &config,
    ]);
    command.env("SECRET_OF_THE_GATEWAY", "do not tell");
    let called = finish(command, "");
    assert_eq!(called.code, 0, "{called:?}");
    assert!(
        called.stdout.contains("TEST_MARK") && called.stdout.contains("PATH"),
        "{called:?}"
    );
    assert!(!called.stdout.contains("SECRET_OF_THE_GATEWAY"), "{called:?}");
}

#[test]
fn a_killed_server_comes_back_and_the_others_do_not_notice() {
    let rig = Rig::new();
    let mut served = Served::with_config(&rig.config_of(&["everything", "memory"]));
    let door = &served.door;
    ready(door, &["everything", "memory"]);
    let victims = alive_with(&rig.mark("everything"));
    let witness = alive_with(&rig.mark("memory"));
    assert_eq!((victims.len(), witness.len()), (1, 1));
    kill_process(Pid::from_raw(victims[0]).unwrap(), Signal::KILL).unwrap();

    eventually("it was started again and answers", || {
        // All the while the others serve.
        assert!(
            door.rest_text("memory__read_graph", &json!({}))
                .contains("entities")
        );
        assert_eq!(door.rest_text("echo", &json!({ "msg": "hi" })), "hi");
        let now = alive_with(&rig.mark("everything"));
        if now.is_empty() || now == victims {
            return None;
        }
        let answer = door
            .rest("everything__echo", &json!({ "message": "back" }))
            .json();
        // What fails meanwhile fails cleanly.
        assert!(
            answer["success"] == true || answer["error"]["code"].is_string(),
            "{answer}"
        );
        (answer["success"] == true).then_some(())
    });
    assert_eq!(
        alive_with(&rig.mark("memory")),
        witness,
        "the other one is the same process"
    );
    ready(door, &["everything"]);

    served.process.signal(Signal::TERM);
    assert_eq!(served.process.exit_code(PATIENCE), 0);
    for name in ["everything", "memory"] {
        assert_eq!(
            alive_with(&rig.mark(name)),
            Vec::<i32>::new(),
            "{name} was left behind"
        );
    }
}

#[test]
fn a_killed_gateway_leaves_no_child_behind() {
    let rig = Rig::new();
    let served = Served::with_config(&rig.config_of(&["everything", "memory", "time"]));
    ready(&served.door, &["everything", "memory", "time"]);
    served.process.signal(Signal::KILL);
    for name in ["everything", "memory", "time"] {
        eventually(&format!("{name} has ended"), || {
            alive_with(&rig.mark(name)).is_empty().then_some(())
        });
    }
}

#[test]
fn a_server_that_cannot_start_harms_no_other() {
    let rig = Rig::new();
    let missing = json!({ "command": "/no/such/program" });
    let dying = json!({ "command": "sh", "args": ["-c", "echo it is broken >&2; exit 3"] });
    let servers = [
        ("missing", missing),
        ("dying", dying),
        ("memory", rig.server("memory")),
    ];
    let served = Served::with_config(&rig.config("ferromcp.yaml", &servers));
    ready(&served.door, &["memory"]);
    assert!(
        served
            .door
            .rest_text("memory__read_graph", &json!({}))
            .contains("entities")
    );
    for (name, why) in [("missing", "/no/such/program"), ("dying", "it is broken")] {
        eventually(&format!("{name} is down, and health says why"), || {
            let health = served.door.health();
            let sources = health["sources"].as_array().unwrap().clone();
            let source = sources.into_iter().find(|source| source["name"] == name)?;
            let reason = source["reason"].as_str().unwrap_or_default().to_owned();
            (source["state"] == "down" && reason.contains(why)).then_some(())
        });
    }
    // Not ready before they had their time.
    eventually("the server itself is ready", || {
        (served.door.get("/readyz").status == 200).then_some(())
    });
    assert_eq!(served.door.health()["status"], "degraded");
}

/// A server that is down keeps its last list, marked on every door; the others do not feel it.
#[test]
fn what_a_dead_server_had_stays_listed_and_marked() {
    let rig = Rig::new();
    // What starts the server can be taken away, so that it stays down for as long as the test wants.
    let script = rig.peers.script("server-memory");
    let entry = rig.directory.path().join("server.mjs");
    let gone = rig.directory.path().join("gone.mjs");
    std::fs::write(&entry, format!("import {};\n", json!(script))).unwrap();
    let memory = rig.script("memory", &entry, &[]);
    let config = rig.config(
        "ferromcp.yaml",
        &[("memory", memory), ("time", rig.server("time"))],
    );
    let served = Served::with_config(&config);
    let door = &served.door;
    ready(door, &["memory", "time"]);

    let available = |prefix: &str| {
        let listed = door.request("GET", "/v1/tools", &[], "").json()["tools"].take();
        let tools: Vec<_> = listed.as_array().unwrap().clone();
        let own = tools
            .iter()
            .filter(|tool| tool["name"].as_str().unwrap().starts_with(prefix));
        own.map(|tool| tool["available"].as_bool().unwrap())
            .collect::<Vec<_>>()
    };
    let marked = || {
        let listed = door.modern("tools/list", json!({}));
        let tools = listed["result"]["tools"].as_array().unwrap().clone();
        let own = tools
            .into_iter()
            .filter(|tool| tool["name"].as_str().unwrap().starts_with("memory__"));
        own.map(|tool| tool["_meta"]["io.github.ferromcp/available"] == false)
            .collect::<Vec<_>>()
    };
    let before = available("memory__");
    assert!(before.len() > 5 && before.iter().all(|up| *up), "{before:?}");
    assert!(marked().iter().all(|down| !down));

    std::fs::rename(&entry, &gone).unwrap();
    for pid in alive_with(&rig.mark("memory")) {
        kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
    }
    eventually("memory is down", || {
        (door.source("memory").0 == "down").then_some(())
    });
    assert_eq!(available("memory__"), vec![false; before.len()]);
    assert_eq!(marked(), vec![true; before.len()]);
    let call = door.rest("memory__read_graph", &json!({})).json();
    assert_eq!(call["error"]["code"], "unavailable", "{call}");
    let shown = finish(
        ferromcp(["tools", "--json", "--url", &format!("http://{}", door.address)]),
        "",
    );
    assert!(shown.stdout.contains("\"available\":false"), "{shown:?}");
    assert!(available("time__").iter().all(|up| *up));
    let (tool, arguments, said) = rig.call("time");
    let other = door.rest(&tool, &arguments).json();
    assert!(text(&other).contains(said), "{other}");

    std::fs::rename(&gone, &entry).unwrap();
    ready(door, &["memory"]);
    assert_eq!(available("memory__"), before);
    assert!(marked().iter().all(|down| !down));
}
