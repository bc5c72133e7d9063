//! Commands that end by themselves: what they print, and their exit codes.

use std::io::{Read as _, Write as _};
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Served, directory_with, ferromcp, finish, fixture, grpc_address, names, text};

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn help_and_version_are_success_and_an_unknown_flag_is_a_usage_error() {
    let help = finish(ferromcp(["--help"]), "");
    assert_eq!(help.code, 0, "{help:?}");
    for command in ["serve", "tools", "call", "check", "schema", "import"] {
        assert!(help.stdout.contains(command), "{help:?}");
        let own = finish(ferromcp([command, "--help"]), "");
        assert_eq!(own.code, 0, "{own:?}");
    }
    let version = finish(ferromcp(["--version"]), "");
    assert_eq!(version.code, 0, "{version:?}");
    assert!(version.stdout.starts_with("ferromcp "), "{version:?}");
    let wrong = finish(ferromcp(["serve", "--no-such-flag"]), "");
    assert_eq!(wrong.code, 2, "{wrong:?}");
    assert!(wrong.stderr.contains("--no-such-flag"), "{wrong:?}");
}

#[test]
fn a_bad_configuration_is_told_with_line_and_column() {
    let directory = directory_with(
        "ferromcp.yaml",
        "listen:\n  http: 127.0.0.1:0\nsupervisor:\n  drian: 5s\nvalidation: { max_depth: 0 }\n",
    );
    let path = directory.path().join("ferromcp.yaml");
    let place = path.to_str().unwrap();
    for arguments in [
        ["check", place].as_slice(),
        &["serve", "--config", place],
        &["tools", "--config", place],
        &["call", "echo", "--config", place],
    ] {
        let told = finish(ferromcp(arguments), "");
        assert_eq!(told.code, 2, "{arguments:?}: {told:?}");
        assert!(told.stderr.contains("ferromcp.yaml:4:3"), "{told:?}");
        assert!(
            told.stderr.contains("drian") && told.stderr.contains("drain"),
            "{told:?}"
        );
        assert!(
            told.stderr.contains("ferromcp.yaml:5:"),
            "all mistakes at once: {told:?}"
        );
        assert_eq!(told.stdout, "", "{told:?}");
    }
    let gone = finish(ferromcp(["check", "no-such-file.yaml"]), "");
    assert_eq!(gone.code, 2, "{gone:?}");
    assert!(gone.stderr.contains("no-such-file.yaml"), "{gone:?}");
}

#[test]
fn the_schema_is_json_and_names_every_section() {
    let printed = finish(ferromcp(["schema"]), "");
    assert_eq!(printed.code, 0, "{printed:?}");
    let schema = parsed(&printed.stdout);
    for section in [
        "listen",
        "servers",
        "builtin",
        "supervisor",
        "sessions",
        "validation",
        "log",
    ] {
        assert!(schema["properties"][section].is_object(), "{section} in {schema}");
    }
}

#[test]
fn what_import_writes_passes_check_and_is_not_overwritten() {
    let host = json!({ "mcpServers": {
        "everything": { "command": "npx", "args": ["-y", "@modelcontextprotocol/server-everything"], "env": { "A": "b" } },
        "search": { "url": "https://mcp.example.com/mcp", "headers": { "Authorization": "Bearer secret" } },
    } });
    let directory = directory_with("host.json", &host.to_string());
    let from = directory.path().join("host.json");
    let to = directory.path().join("ferromcp.yaml");
    let import = || ferromcp([Path::new("import"), &from, Path::new("--output"), &to]);

    let done = finish(import(), "");
    assert_eq!((done.code, &*done.stdout), (0, ""), "{done:?}");
    assert!(done.stderr.contains("2 servers imported"), "{done:?}");
    let checked = finish(ferromcp([Path::new("check"), &to]), "");
    assert_eq!(checked.code, 0, "{checked:?}");
    assert!(checked.stdout.ends_with("ok, 2 upstream servers"), "{checked:?}");

    let written = std::fs::read_to_string(&to).unwrap();
    let again = finish(import(), "");
    assert_eq!(again.code, 2, "{again:?}");
    assert_eq!(std::fs::read_to_string(&to).unwrap(), written);
    let printed = finish(ferromcp([Path::new("import"), &from]), "");
    assert_eq!(
        (printed.code, printed.stdout.trim_end()),
        (0, written.trim_end()),
        "{printed:?}"
    );
}

#[test]
fn a_running_server_is_listed_and_called() {
    let served = Served::start::<&str>([]);
    let url = served.door.url("");
    let tools = finish(ferromcp(["tools", "--url", &url]), "");
    assert_eq!(tools.code, 0, "{tools:?}");
    assert_eq!(names(&parsed(&tools.stdout)["tools"]), ["echo"]);

    let directory = directory_with("arguments.json", "{\"msg\":\"from a file\"}");
    let file = format!("@{}", directory.path().join("arguments.json").display());
    let door = served.door.url("/mcp");
    for (given, input, url, said) in [
        (r#"{"msg":"hello"}"#, "", &url, "hello"),
        (
            "-",
            r#"{"msg":"from standard input"}"#,
            &url,
            "from standard input",
        ),
        // The URL of the MCP door is understood too.
        (&file, "", &door, "from a file"),
    ] {
        let called = finish(ferromcp(["call", "echo", given, "--url", url]), input);
        assert_eq!(called.code, 0, "{called:?}");
        let answer = parsed(&called.stdout);
        assert_eq!(
            (&answer["success"], &answer["output"]),
            (&json!(true), &json!(said)),
            "{answer}"
        );
        assert!(
            answer["request_id"].is_string() && answer["latency_ms"].is_number(),
            "{answer}"
        );
    }
}

#[test]
fn a_call_that_fails_says_why_and_ends_with_its_code() {
    let served = Served::start::<&str>([]);
    let url = served.door.url("");
    let call = |tool: &str, arguments: &str| finish(ferromcp(["call", tool, arguments, "--url", &url]), "");

    let refused = call("echo", r#"{"msg":7}"#);
    assert_eq!(refused.code, 1, "{refused:?}");
    let answer = parsed(&refused.stdout);
    assert_eq!(answer["success"], false, "{answer}");
    assert_eq!(answer["error"]["code"], "invalid_arguments", "{answer}");
    assert_eq!(answer["error"]["rule"], "schema.arguments", "{answer}");

    let unknown = call("no_such_tool", "{}");
    assert_eq!(unknown.code, 1, "{unknown:?}");
    assert_eq!(parsed(&unknown.stdout)["success"], false, "{unknown:?}");

    for wrong in ["{\"msg\":", "[1]", "\"text\""] {
        let told = call("echo", wrong);
        assert_eq!((told.code, &*told.stdout), (2, ""), "{told:?}");
        assert!(told.stderr.contains("JSON"), "{told:?}");
    }
    let no_server = finish(
        ferromcp(["call", "echo", "{}", "--url", "http://127.0.0.1:1"]),
        "",
    );
    assert_eq!(no_server.code, 1, "{no_server:?}");
    assert!(no_server.stderr.contains("ferromcp serve"), "{no_server:?}");
    let no_url = finish(ferromcp(["tools", "--url", "127.0.0.1:8080"]), "");
    assert_eq!(no_url.code, 2, "{no_url:?}");
}

#[test]
fn a_configuration_is_listed_and_called_without_a_server() {
    let directory = directory_with("hello.txt", "kept here");
    let path = directory.path().join("ferromcp.yaml");
    let config = json!({
        "builtin": { "files": { "roots": ["."] } },
        "servers": { "fix": { "command": fixture(), "args": ["--stdio"] } },
    });
    std::fs::write(&path, config.to_string()).unwrap();
    let path = path.to_str().unwrap();

    let tools = finish(ferromcp(["tools", "--config", path]), "");
    assert_eq!(tools.code, 0, "{tools:?}");
    let listed = parsed(&tools.stdout);
    let listed = names(&listed["tools"]);
    for wanted in ["echo", "read_file", "fix__greet"] {
        assert!(listed.contains(&wanted), "{wanted} in {listed:?}");
    }

    let call = |tool: &str, arguments: &str| {
        let called = finish(ferromcp(["call", tool, arguments, "--config", path]), "");
        (called.code, parsed(&called.stdout))
    };
    let (code, answer) = call("fix__greet", r#"{"name":"World"}"#);
    assert_eq!((code, text(&answer)), (0, "Hello, World!"));
    let (code, answer) = call("read_file", r#"{"path":"hello.txt"}"#);
    assert_eq!(code, 0, "{answer}");
    assert!(answer.to_string().contains("kept here"), "{answer}");
    let (code, answer) = call("fix__test_error_handling", "{}");
    assert_eq!(
        (code, &answer["error"]["code"]),
        (1, &json!("tool_error")),
        "{answer}"
    );
    let (code, answer) = call("fix__greet", r#"{"name":7}"#);
    assert_eq!(
        (code, &answer["error"]["code"]),
        (1, &json!("invalid_arguments")),
        "{answer}"
    );
}

#[test]
fn a_call_gives_up_after_its_time() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ferromcp.yaml");
    let config = json!({ "servers": { "fix": { "command": fixture(), "args": ["--stdio"] } } });
    std::fs::write(&path, config.to_string()).unwrap();
    let call = [
        "call",
        "fix__slow_compute",
        r#"{"seconds":600}"#,
        "--timeout-ms",
        "300",
        "--config",
    ];
    let mut command = ferromcp(call);
    command.arg(&path);
    let ended = finish(command, "");
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.stdout.contains("timeout"), "{ended:?}");
}

#[test]
fn a_plan_says_what_tenants_gain_and_lose_and_what_needs_a_restart() {
    let server = |deny: &str| {
        format!(
            "servers: {{ s: {{ command: {:?}, args: [--stdio], tools: {{ deny: [{deny}] }} }} }}\n\
             tenants: {{ a: {{ tools: {{ deny: [echo] }} }} }}\n",
            fixture().to_str().unwrap()
        )
    };
    let old = directory_with("old.yaml", &server("test_simple_text"));
    let (old, new) = (old.path().join("old.yaml"), old.path().join("new.yaml"));
    std::fs::write(&new, server("test_image_content")).unwrap();
    let plan = |arguments: &[&str]| {
        let mut command = ferromcp(["plan"]);
        command.arg(&new).arg("--against").arg(&old).args(arguments);
        finish(command, "")
    };
    let told = plan(&["--json"]);
    assert_eq!(told.code, 0, "{told:?}");
    assert_eq!(parsed(&told.stdout)["tools_unknown"], json!(["s"]));
    let told = plan(&["--start", "--json"]);
    let made = parsed(&told.stdout);
    let tenant = |id: &str| {
        let all = made["tenants"].as_array().unwrap();
        all.iter()
            .find(|tenant| tenant["id"] == id)
            .cloned()
            .unwrap_or_default()
    };
    for id in ["a", "local"] {
        assert_eq!(
            tenant(id)["tools_gained"],
            json!(["s__test_simple_text"]),
            "{made:#}"
        );
        assert_eq!(
            tenant(id)["tools_lost"],
            json!(["s__test_image_content"]),
            "{made:#}"
        );
    }
    assert_eq!((told.code, &made["reloadable"]), (0, &json!(true)), "{made:#}");
    std::fs::write(&new, format!("{}listen: {{ http: 127.0.0.1:1 }}\n", server("x"))).unwrap();
    let told = plan(&[]);
    assert_eq!(told.code, 1, "{told:?}");
    assert!(
        told.stdout
            .contains("listen.http: 127.0.0.1:8080 (default) -> 127.0.0.1:1"),
        "{told:?}"
    );
    std::fs::write(&new, "listn: {}").unwrap();
    let told = plan(&[]);
    assert_eq!(told.code, 2, "{told:?}");
    assert!(told.stderr.contains("new.yaml:1:1"), "{told:?}");
}

/// Bash itself completes with the script, and every command that `--help` lists has a manual page.
#[test]
fn shells_complete_and_manuals_are_whole() {
    for shell in ["zsh", "fish", "powershell", "elvish"] {
        let script = finish(ferromcp(["completions", shell]), "");
        assert_eq!(script.code, 0, "{script:?}");
        assert!(
            script.stdout.contains("rollback") && !script.stdout.contains("__watchdog"),
            "{shell}"
        );
    }
    let directory = tempfile::tempdir().unwrap();
    let script = finish(ferromcp(["completions", "bash"]), "").stdout;
    std::fs::write(directory.path().join("ferromcp.bash"), script).unwrap();
    let complete = "source ./ferromcp.bash; COMP_WORDS=(ferromcp roll); COMP_CWORD=1; _ferromcp ferromcp roll ferromcp; echo \"${COMPREPLY[@]}\"";
    let mut bash = std::process::Command::new("bash");
    bash.args(["--norc", "-c", complete])
        .current_dir(directory.path());
    assert_eq!(finish(bash, "").stdout, "rollback");

    let pages = directory.path().join("man1");
    let mut man = ferromcp(["man", "--dir"]);
    man.arg(&pages);
    assert_eq!(finish(man, "").code, 0);
    let help = finish(ferromcp(["--help"]), "").stdout;
    let (_, commands) = help.split_once("Commands:\n").expect("commands");
    let commands = commands.split("\n\n").next().unwrap().lines();
    let commands = commands.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names: Vec<&str> = commands
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(names.len() > 15, "{names:?}");
    for name in names.iter().filter(|name| **name != "help") {
        let page = std::fs::read_to_string(pages.join(format!("ferromcp-{name}.1"))).expect(name);
        assert!(page.contains(".SH SYNOPSIS"), "{name}");
    }
    assert!(finish(ferromcp(["man"]), "").stdout.contains(".TH ferromcp 1"));
    let mut wrong = ferromcp(["man", "--dir"]);
    wrong.arg(directory.path().join("ferromcp.bash"));
    let wrong = finish(wrong, "");
    assert_eq!(wrong.code, 2, "{wrong:?}");
}

#[test]
fn health_is_an_exit_code_and_says_what_is_wrong() {
    let served = Served::start(["--grpc-addr", "127.0.0.1:0"]);
    let rest = served.door.url("");
    for url in [
        rest.trim_end_matches('/').to_owned(),
        format!("grpc://{}", grpc_address(&served)),
    ] {
        let ready = finish(ferromcp(["health", "--url", &url]), "");
        assert_eq!(
            (ready.code, &*ready.stdout, &*ready.stderr),
            (0, "", ""),
            "{url}: {ready:?}"
        );
    }
    let own = finish(ferromcp(["health", "--url", "ftp://127.0.0.1"]), "");
    assert_eq!(own.code, 2, "{own:?}");
    let never = finish(ferromcp(["health", "--url", &rest, "--timeout", "soon"]), "");
    assert_eq!(never.code, 2, "{never:?}");

    let nobody = finish(ferromcp(["health", "--url", "http://127.0.0.1:1"]), "");
    assert_eq!((nobody.code, &*nobody.stdout), (1, ""), "{nobody:?}");
    assert!(nobody.stderr.contains("refused"), "{nobody:?}");

    // The system accepts connections for it, and nobody answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let late = finish(ferromcp(["health", "--url", &url, "--timeout", "200ms"]), "");
    assert_eq!(late.code, 1, "{late:?}");
    assert!(
        late.stderr.contains("within 200ms") && late.stderr.contains("--timeout"),
        "{late:?}"
    );

    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    for (answer, said) in [
        ("HTTP/1.1 503 Service Unavailable", "takes no calls"),
        ("HTTP/1.1 404 Not Found", "is this a FerroMCP server"),
    ] {
        let asked = std::thread::scope(|scope| {
            scope.spawn(|| {
                let (mut connection, _) = silent.accept().unwrap();
                let mut request = [0; 4096];
                let _ = connection.read(&mut request).unwrap();
                write!(connection, "{answer}\r\ncontent-length: 0\r\n\r\n").unwrap();
            });
            finish(ferromcp(["health", "--url", &url]), "")
        });
        assert_eq!(asked.code, 1, "{asked:?}");
        assert!(asked.stderr.contains(said), "{asked:?}");
    }
}
