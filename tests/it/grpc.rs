//! The gRPC door through the program: MCP on a stream says what stdio says, and other people's clients over TLS.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{
    Authority, Grpc, GrpcWith, LEGACY, MODERN, Peers, Served, Session, directory_with, eventually, ferromcp,
    finish, fixture, grpc_address, grpc_session, made, names, put, serve_grpc,
};

/// The conformance fixture behind the gateway.
fn behind() -> tempfile::TempDir {
    let servers = json!({ "fixture": { "command": fixture(), "args": ["--stdio"], "prefix": "" } });
    directory_with("ferromcp.yaml", &json!({ "servers": servers }).to_string())
}

/// Says the same things in the same order, and notes all that comes, but for what differs from run to run.
fn transcript(mut session: Session) -> Vec<Value> {
    let mut said = Vec::new();
    let modern = json!({ "io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {} });
    let everything = "test_simple_text";
    let capabilities = json!({ "sampling": {} });
    let opened = session.legacy("initialize", json!({
        "protocolVersion": LEGACY, "capabilities": capabilities, "clientInfo": { "name": "raw", "version": "1" },
    }));
    assert_eq!(opened["result"]["protocolVersion"], LEGACY, "{opened}");
    session.send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
    eventually("the fixture is listed", || {
        let listed = session.legacy("tools/list", json!({}));
        names(&listed["result"]["tools"])
            .contains(&everything)
            .then_some(())
    });
    session.skip();
    let requests = [
        ("ping", json!({})),
        ("server/discover", json!({ "_meta": modern })),
        ("tools/list", json!({})),
        ("tools/list", json!({ "_meta": modern })),
        ("tools/call", json!({ "name": "test_simple_text" })),
        (
            "tools/call",
            json!({ "name": "test_simple_text", "_meta": modern }),
        ),
        ("tools/call", json!({ "name": "test_image_content" })),
        (
            "tools/call",
            json!({ "name": "test_tool_with_progress", "_meta": { "progressToken": "p" } }),
        ),
        ("tools/call", json!({ "name": "test_error_handling" })),
        (
            "tools/call",
            json!({ "name": "greet", "arguments": { "name": 7 } }),
        ),
        ("tools/call", json!({ "name": "no_such_tool" })),
        ("tools/call", json!({ "arguments": {} })),
        ("resources/list", json!({})),
        ("resources/templates/list", json!({})),
        ("resources/read", json!({ "uri": "test://static-text" })),
        ("resources/read", json!({ "uri": "test://no-such" })),
        ("prompts/list", json!({})),
        ("prompts/get", json!({ "name": "test_simple_prompt" })),
        (
            "prompts/get",
            json!({ "name": "test_simple_prompt", "_meta": modern }),
        ),
        (
            "completion/complete",
            json!({ "ref": { "type": "ref/prompt", "name": "test_prompt_with_arguments" }, "argument": { "name": "arg1", "value": "p" } }),
        ),
        ("no/such/method", json!({})),
        (
            "tools/call",
            json!({ "name": "test_sampling", "arguments": { "prompt": "hi" } }),
        ),
    ];
    for (at, (method, params)) in requests.into_iter().enumerate() {
        let id = json!(format!("t{at}"));
        session.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        // What it says before the answer is a part of it; questions are answered.
        loop {
            let message = session.next_message();
            if message["method"]
                .as_str()
                .is_some_and(|method| method.ends_with("list_changed"))
            {
                // These come when they come.
                continue;
            }
            let question = message.get("method").is_some().then(|| message["id"].clone());
            let answers = message["id"] == id && message.get("method").is_none();
            said.push(message);
            if let Some(question) = question.filter(|id| !id.is_null()) {
                let content = json!({ "type": "text", "text": "sampled" });
                let result = json!({ "role": "assistant", "model": "m", "content": content });
                session.send(&json!({ "jsonrpc": "2.0", "id": question, "result": result }));
            }
            if answers {
                break;
            }
        }
    }
    session.process.close_input();
    assert_eq!(session.process.exit_code(crate::support::PATIENCE), 0);
    said
}

#[test]
fn a_stream_says_what_stdio_says() {
    let directory = behind();
    let config = directory.path().join("ferromcp.yaml");
    let mut stdio = ferromcp(["serve", "--mode", "stdio", "--config"]);
    stdio.arg(&config);
    let over_stdio = transcript(Session::start(stdio));
    let (served, address) = serve_grpc(&config);
    let over_grpc = transcript(grpc_session(&address, None));
    drop(served);
    assert!(over_stdio.len() > 25, "{over_stdio:#?}");
    for (one, other) in over_stdio.iter().zip(&over_grpc) {
        assert_eq!(one, other);
    }
    assert_eq!(over_stdio.len(), over_grpc.len());
}

#[test]
fn lists_resources_prompts_and_events_through_a_client_that_learns_by_reflection() {
    let directory = behind();
    let (served, address) = serve_grpc(&directory.path().join("ferromcp.yaml"));
    eventually("the fixture is ready", || {
        (served.door.source("fixture").0 == "ready").then_some(())
    });
    let mut client = Grpc::start(&address, GrpcWith::default());
    let mut only = |method: &str, message: Value| {
        let answer = client.call(method, message);
        assert_eq!(answer["code"], "OK", "{answer}");
        answer["messages"].clone()
    };
    let parsed = |text: &Value| -> Value { serde_json::from_str(text.as_str().unwrap()).unwrap() };

    let first = only("ListTools", json!({ "page_size": 2 }))[0].clone();
    let second = only("ListTools", json!({ "page_token": first["next_page_token"] }))[0].clone();
    let listed = served.door.get("/v1/tools").json();
    let over_grpc: Vec<&str> = [names(&first["tools"]), names(&second["tools"])].concat();
    assert_eq!(over_grpc, names(&listed["tools"]));
    let definition = parsed(&first["tools"][0]["definition"]);
    assert_eq!(definition["name"], over_grpc[0]);

    let resources = only("ListResources", json!({}))[0].clone();
    assert!(
        resources["resources"]
            .as_array()
            .unwrap()
            .iter()
            .any(|r| r["uri"] == "test://static-text")
    );
    let templates = only("ListResourceTemplates", json!({}))[0].clone();
    assert!(
        templates["resource_templates"][0]["uri_template"]
            .as_str()
            .unwrap()
            .contains('{')
    );
    let read = only("ReadResource", json!({ "uri": "test://static-text" }))[0].clone();
    assert_eq!(
        parsed(&read["result"])["contents"][0]["uri"],
        "test://static-text"
    );
    let prompts = only("ListPrompts", json!({}))[0].clone();
    assert!(names(&prompts["prompts"]).contains(&"test_simple_prompt"));
    let prompt = only("GetPrompt", json!({ "name": "test_simple_prompt" }))[0].clone();
    assert_eq!(parsed(&prompt["result"])["messages"][0]["role"], "user");

    let events = only(
        "CallToolStream",
        json!({ "tool": "test_tool_with_progress", "log_level": 1 }),
    );
    let events = events.as_array().unwrap();
    assert!(
        events
            .iter()
            .filter(|event| event.get("progress").is_some())
            .count()
            >= 2,
        "{events:?}"
    );
    assert!(events.last().unwrap().get("result").is_some(), "{events:?}");
    let failed = only("CallTool", json!({ "tool": "test_error_handling" }))[0].clone();
    assert_eq!(failed["is_error"], true, "{failed}");

    let late = client.call_within(
        "CallTool",
        json!({ "tool": "slow_compute", "arguments": "{\"seconds\":30,\"label\":\"x\"}" }),
        0.3,
    );
    assert_eq!(late["code"], "DEADLINE_EXCEEDED", "{late}");
}

/// A server with TLS on both doors, who may be asked for a certificate.
#[test]
fn other_peoples_clients_over_tls_with_keys_and_certificates() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    servers.server().put(directory.path(), "server");
    put(directory.path(), "servers.pem", &servers.pem());
    put(directory.path(), "clients.pem", &clients.pem());
    clients.client("ada", "company-a").put(directory.path(), "client");
    clients
        .expired("ada", "company-a")
        .put(directory.path(), "expired");
    let (key, hash) = made(&["keys", "new", "keyed", "--json"]);
    let config = json!({
        "listen": {
            "grpc": "127.0.0.1:0",
            "tls": { "cert": "server.pem", "key": "server.key", "client_ca": "clients.pem", "client_auth": "optional" },
        },
        "tenants": { "keyed": { "keys": [hash] }, "company-a": { "certificates": ["subject:CN=*,O=company-a"] } },
        "audit": { "file": "audit" },
    });
    put(directory.path(), "ferromcp.yaml", &config.to_string());
    let mut served = Served::with_config(&at("ferromcp.yaml"));
    let address = grpc_address(&served);
    let local = address.replace("127.0.0.1", "localhost");

    let ca = at("servers.pem");
    let (certificate, certificate_key) = (at("client.pem"), at("client.key"));
    let echo = json!({ "tool": "echo", "arguments": "{\"msg\":\"hi\"}" });
    let with = |key, identity| GrpcWith {
        key,
        ca: Some(&ca),
        identity,
    };
    for (with, code, rule) in [
        (with(Some(&*key), None), "OK", None),
        (with(None, Some((&*certificate, &*certificate_key))), "OK", None),
        (with(None, None), "UNAUTHENTICATED", Some("auth.missing")),
        // What the request itself shows wins.
        (
            with(Some("nobody's"), Some((&*certificate, &*certificate_key))),
            "UNAUTHENTICATED",
            Some("auth.key.unknown"),
        ),
    ] {
        let answer = Grpc::start(&local, with).call("CallTool", echo.clone());
        assert_eq!(
            (answer["code"].as_str(), answer["rule"].as_str()),
            (Some(code), rule),
            "{answer}"
        );
    }

    // Our own client.
    let mut own = ferromcp([
        "call",
        "--url",
        &format!("grpcs://{local}"),
        "echo",
        "{\"msg\":\"own\"}",
        "--ca",
    ]);
    own.arg(&ca)
        .arg("--cert")
        .arg(&certificate)
        .arg("--key")
        .arg(&certificate_key);
    let done = finish(own, "");
    let said: Value = serde_json::from_str(&done.stdout).unwrap_or_else(|error| panic!("{error}: {done:?}"));
    assert_eq!((done.code, &said["output"]), (0, &json!("own")), "{done:?}");

    let peers = Peers::find();
    let scripts = tempfile::tempdir().unwrap();
    let protos = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto");
    let run = |certificate: &Path, certificate_key: &Path| {
        let mut node = peers.node_script("grpc.mjs", scripts.path());
        node.arg(&local)
            .arg(&protos)
            .arg(&key)
            .arg(&ca)
            .arg(certificate)
            .arg(certificate_key);
        finish(node, "")
    };
    let expected = json!({
        "key": "hi", "certificate": "hi", "nobody": "UNAUTHENTICATED", "late": "DEADLINE_EXCEEDED", "packed": "hi",
        "batch": ["a hi", "b hi", "2 of 2"], "mcp": "hi",
    });
    let done = run(&certificate, &certificate_key);
    let said: Value = serde_json::from_str(&done.stdout).unwrap_or_else(|error| panic!("{error}: {done:?}"));
    assert_eq!(said, expected, "{done:?}");
    // A certificate that has ended is no way in.
    let done = run(&at("expired.pem"), &at("expired.key"));
    assert!(!done.stdout.contains("\"certificate\":\"hi\""), "{done:?}");

    // The server's certificate is replaced while a client is connected: it goes on, and new ones trust the new authority.
    let mut open = Grpc::start(&local, with(Some(&*key), None));
    assert_eq!(open.call("CallTool", echo.clone())["code"], "OK");
    let others = Authority::new("others");
    others.server().put(directory.path(), "server");
    put(directory.path(), "others.pem", &others.pem());
    served
        .process
        .stderr
        .wait(|line| line.contains("new connections use the certificate").then_some(()));
    assert_eq!(open.call("CallTool", echo.clone())["code"], "OK");
    let ca = at("others.pem");
    let new = GrpcWith {
        key: Some(&*key),
        ca: Some(&ca),
        identity: None,
    };
    assert_eq!(Grpc::start(&local, new).call("CallTool", echo)["code"], "OK");
    served.process.signal(rustix::process::Signal::TERM);
    assert_eq!(served.process.exit_code(crate::support::PATIENCE), 0);
}

/// buf finds nothing to say, and nothing that clients built with an earlier version of the file would stumble over.
#[test]
fn the_proto_file_is_in_good_form_and_breaks_nobody() {
    let peers = Peers::find();
    let protos = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto");
    let buf = |arguments: &[&str]| {
        let mut command = std::process::Command::new(&peers.node);
        command.arg(peers.file("@bufbuild/buf/bin/buf")).args(arguments);
        command.current_dir(&protos);
        finish(command, "")
    };
    for arguments in [&["lint"][..], &["breaking", "--against", "golden.json"]] {
        let done = buf(arguments);
        assert_eq!(
            (done.code, done.stdout.as_str()),
            (0, ""),
            "buf {arguments:?}: {done:?}"
        );
    }
    let built = buf(&["build", "--exclude-source-info", "-o", "-#format=json"]);
    let golden = std::fs::read_to_string(protos.join("golden.json")).unwrap();
    let [built, golden]: [Value; 2] =
        [&built.stdout, &golden].map(|text| serde_json::from_str(text).unwrap());
    assert!(
        built == golden,
        "proto/golden.json is not of this file: run `buf build --exclude-source-info -o golden.json` in proto/"
    );
}

/// The same commands, the same output, whichever door they go through.
#[test]
fn our_own_commands_say_the_same_through_both_doors() {
    let served = Served::start(["--grpc-addr", "127.0.0.1:0"]);
    let urls = [
        format!("http://{}", served.door.address),
        format!("grpc://{}", grpc_address(&served)),
    ];
    let batch = json!([
        { "tool": "echo", "arguments": { "msg": { "$result": "a" } }, "id": "b" },
        { "tool": "echo", "arguments": { "msg": "hi" }, "id": "a" },
        { "tool": "nothing" },
    ])
    .to_string();
    let commands: [(&[&str], i32); 5] = [
        (&["tools"], 0),
        (&["call", "echo", "{\"msg\":\"hi\"}"], 0),
        (&["call", "echo", "{\"msg\":7}"], 1),
        (&["call", "nothing"], 1),
        (&["batch", "--parallel", "3", &batch], 1),
    ];
    for (command, code) in commands {
        let [rest, grpc] = [0, 1].map(|door| {
            let mut run = ferromcp(command);
            run.args(["--url", &urls[door]]);
            let done = finish(run, "");
            assert_eq!(done.code, code, "{done:?}");
            let mut said: Value =
                serde_json::from_str(&done.stdout).unwrap_or_else(|error| panic!("{error}: {done:?}"));
            forget_what_differs(&mut said);
            said
        });
        assert_eq!(rest, grpc, "{command:?}");
    }
    let gone = finish(ferromcp(["tools", "--url", "grpc://127.0.0.1:1"]), "");
    assert_eq!(gone.code, 1, "{gone:?}");
    assert!(
        gone.stderr.contains("cannot reach grpc://127.0.0.1:1") && gone.stderr.contains("ferromcp serve"),
        "{gone:?}"
    );
}

fn forget_what_differs(said: &mut Value) {
    match said {
        Value::Object(members) => {
            members.remove("request_id");
            members.remove("latency_ms");
            members.values_mut().for_each(forget_what_differs);
        }
        Value::Array(items) => items.iter_mut().for_each(forget_what_differs),
        _ => {}
    }
}

/// The Python program of docs/grpc.md does what it says.
#[test]
fn the_program_in_the_docs_runs() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/grpc.md");
    let docs = std::fs::read_to_string(docs).unwrap();
    let (_, program) = docs.split_once("```python\n").expect("a program");
    let program = program.split("\n```").next().unwrap();
    let served = Served::start(["--grpc-addr", "127.0.0.1:0"]);
    let program = program.replace("127.0.0.1:50051", &grpc_address(&served));
    let mut command = std::process::Command::new(&Peers::find().python);
    command.arg("-c").arg(program);
    let done = finish(command, "");
    assert!(done.stdout.contains("\"text\":\"hello\""), "{done:?}");
}
