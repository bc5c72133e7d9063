//! What good files mean.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use ferromcp_config::{
    Command, Config, Effect, Endpoint, Era, LogFormat, LogLevel, OnUnlocked, PoolSettings, ResourceLimits,
    Sharing, Transport, parse_listen_addr,
};

use crate::{good, load, load_in};

fn stdio(config: &Config, index: usize) -> &Command {
    match &config.servers[index].transport {
        Transport::Stdio(command) => command,
        other => panic!("not a program: {other:?}"),
    }
}

fn http(config: &Config, index: usize) -> &Endpoint {
    match &config.servers[index].transport {
        Transport::Http(endpoint) => endpoint,
        other => panic!("not a URL: {other:?}"),
    }
}

#[test]
fn an_empty_file_is_the_default() {
    for text in [
        "",
        "\n",
        "# nothing\n",
        "{}",
        "---\n{}\n",
        "---\n{}\n...\n",
        "\u{feff}",
        "servers: {}\nlog: {}\n",
        "{}\r\n",
    ] {
        assert_eq!(good(text), Config::default(), "{text:?}");
    }
    let default = Config::default();
    assert_eq!(default.listen.http, SocketAddr::from(([127, 0, 0, 1], 8080)));
    assert!(default.builtin.echo && default.builtin.files.is_none());
}

#[test]
fn everything_at_once() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("data")).unwrap();
    std::fs::write(dir.path().join("token"), "s3cret\n").unwrap();
    let config = load_in(
        dir.path(),
        r#"
listen: { http: ":9090", allowed_hosts: [MCP.example.com, "host:8443", "[::1]:80"], allowed_origins: ["HTTPS://App.Example.com:443", "http://localhost:3000"] }
server: { name: n, title: t, version: 1.10, instructions: "a\nb" }
servers:
  one:
    type: stdio
    command: ./bin/server
    args: [-p, 8080, "${TOKEN}", "$${TOKEN}"]
    env: { A: "${file:token}", PORT: 1.10, EMPTY: "" }
    cwd: data
    timeout: 1m
    start_timeout: 500ms
    prefix: uno
    tools: { allow: ["read_*"], deny: ["*_file"] }
    era: legacy
  two: { type: streamable-http, url: "https://h/mcp?key=1", headers: { Authorization: "Bearer ${TOKEN}" }, era: modern }
  off: { disabled: true, command: x, env: { A: "${NOPE}" }, cwd: nowhere, args: ["${file:nope}"] }
builtin: { echo: false, files: { roots: [data, .], write: true, delete: true, max_read: 2MiB } }
supervisor: { default_timeout: 10s, max_timeout: 1h, start_timeout: 5s, drain: 0s }
sessions: { max: 5, idle_ttl: 1h, init_timeout: 1s }
validation: { max_body: 1MB, max_string: 1KiB, max_items: 3, max_depth: 4, max_output: 2KB, schema: off }
log: { level: debug, format: json, calls: false }
"#,
    )
    .unwrap();
    assert_eq!(config.listen.http, SocketAddr::from(([0, 0, 0, 0], 9090)));
    assert_eq!(
        config.listen.allowed_hosts,
        ["mcp.example.com", "host:8443", "[::1]:80"]
    );
    assert_eq!(
        config.listen.allowed_origins,
        ["https://app.example.com", "http://localhost:3000"]
    );
    assert_eq!(config.server.version.as_deref(), Some("1.10"));
    assert_eq!(config.server.instructions.as_deref(), Some("a\nb"));

    let one = &config.servers[0];
    assert_eq!(
        (one.id.as_str(), one.prefix.as_str(), one.era),
        ("one", "uno", Era::Legacy)
    );
    assert_eq!(one.timeout, Some(Duration::from_secs(60)));
    assert_eq!(one.start_timeout, Some(Duration::from_millis(500)));
    assert!(one.tools.admits("read_dir") && !one.tools.admits("read_file") && !one.tools.admits("list"));
    let command = stdio(&config, 0);
    assert_eq!(Path::new(&command.command), dir.path().join("./bin/server"));
    let args: Vec<_> = command.args.iter().map(|a| a.expose()).collect();
    assert_eq!(args, ["-p", "8080", "hunter2-token", "${TOKEN}"]);
    let env: Vec<_> = command
        .env
        .iter()
        .map(|(k, v)| (k.as_str(), v.expose()))
        .collect();
    assert_eq!(env, [("A", "s3cret"), ("PORT", "1.10"), ("EMPTY", "")]);
    assert_eq!(command.cwd.as_deref(), Some(dir.path().join("data").as_path()));

    let two = &config.servers[1];
    assert_eq!(
        (two.id.as_str(), two.prefix.as_str(), two.era),
        ("two", "two", Era::Modern)
    );
    let endpoint = http(&config, 1);
    assert_eq!(endpoint.url.as_str(), "https://h/mcp?key=1");
    assert_eq!(endpoint.shown, "https://h/mcp?[redacted]");
    assert_eq!(endpoint.headers[0].1.expose(), "Bearer hunter2-token");

    assert_eq!(config.servers.len(), 2);
    assert_eq!(config.disabled_servers, ["off"]);
    let files = config.builtin.files.as_ref().unwrap();
    assert_eq!(files.roots, [dir.path().join("data"), dir.path().join(".")]);
    assert!(files.write && files.delete && !config.builtin.echo);
    assert_eq!(files.max_read, 2 << 20);
    assert_eq!(config.supervisor.max_timeout, Duration::from_secs(3600));
    assert_eq!(config.supervisor.drain, Duration::ZERO);
    assert_eq!(
        (config.sessions.max, config.sessions.init_timeout),
        (5, Duration::from_secs(1))
    );
    assert_eq!(
        (config.validation.max_body, config.validation.max_string),
        (1_000_000, 1024)
    );
    assert!(!config.validation.enforce_schema);
    assert_eq!(
        (config.log.level, config.log.format, config.log.calls),
        (LogLevel::Debug, LogFormat::Json, false)
    );

    let debug = format!("{config:?}");
    for secret in ["hunter2", "s3cret", "key=1"] {
        assert!(!debug.contains(secret), "{debug}");
    }
    assert!(debug.contains("${TOKEN}") && debug.contains("[redacted]"));
}

#[test]
fn references_work_in_every_kind_of_value() {
    let config = good(
        "listen: { http: \"127.0.0.1:${PORT}\" }\nlog: { calls: \"${YES}\" }\nsessions: { max: \"${PORT}\" }\nsupervisor: { drain: \"${PORT}ms\" }\n\
         servers: { a: { url: \"http://h:${PORT}/${TOKEN}\" } }",
    );
    assert_eq!(config.listen.http.port(), 9000);
    assert_eq!(config.sessions.max, 9000);
    assert_eq!(config.supervisor.drain, Duration::from_secs(9));
    let endpoint = http(&config, 0);
    assert_eq!(endpoint.url.as_str(), "http://h:9000/hunter2-token");
    assert_eq!(endpoint.shown, "http://h:${PORT}/${TOKEN}");
}

#[test]
fn escapes_of_references() {
    for (written, meant) in [
        ("$${TOKEN}", "${TOKEN}"),
        ("$$${TOKEN}", "$${TOKEN}"),
        ("$TOKEN $$ $", "$TOKEN $$ $"),
        ("a${EMPTY}b", "ab"),
        ("${TOKEN}${PORT}", "hunter2-token9000"),
        ("$${a ${PORT}", "${a 9000"),
    ] {
        let config = good(&format!("server: {{ title: '{written}' }}"));
        assert_eq!(config.server.title.as_deref(), Some(meant), "{written}");
    }
}

#[test]
fn what_a_reference_brings_in_is_not_read_again() {
    let env = |name: &str| (name == "A").then(|| "${B} $${C}".to_owned());
    let config = Config::from_yaml("server: { title: \"${A}\" }", Path::new("x.yaml"), &env).unwrap();
    assert_eq!(config.server.title.as_deref(), Some("${B} $${C}"));
}

#[test]
fn secret_files_lose_one_line_break() {
    let dir = tempfile::tempdir().unwrap();
    for (bytes, meant) in [
        ("a\n", "a"),
        ("a\r\n", "a"),
        ("a\n\n", "a\n"),
        ("a", "a"),
        ("\n", ""),
        ("a ", "a "),
    ] {
        std::fs::write(dir.path().join("f"), bytes).unwrap();
        let config = load_in(
            dir.path(),
            "servers: { a: { command: x, env: { A: \"${file:f}\" } } }",
        )
        .unwrap();
        assert_eq!(stdio(&config, 0).env[0].1.expose(), meant, "{bytes:?}");
    }
}

#[test]
fn aliases_repeat_a_value() {
    let config = good(
        "servers:\n  a: { command: x, env: &e { A: b, C: \"${TOKEN}\" }, args: &g [--x] }\n  b: { command: y, env: *e, args: *g }\n",
    );
    assert_eq!(stdio(&config, 0).env, stdio(&config, 1).env);
    assert_eq!(stdio(&config, 1).args[0].expose(), "--x");
}

#[test]
fn block_and_quoted_scalars() {
    let config = good(
        "server:\n  instructions: |\n    one\n    two\n  title: >-\n    a\n    b\n  name: 'it''s'\n  version: \"\\u00e9\"\n",
    );
    assert_eq!(config.server.instructions.as_deref(), Some("one\ntwo\n"));
    assert_eq!(config.server.title.as_deref(), Some("a b"));
    assert_eq!(config.server.name.as_deref(), Some("it's"));
    assert_eq!(config.server.version.as_deref(), Some("é"));
}

#[test]
fn a_low_absolute_deadline_lowers_the_default_one() {
    let config = good("supervisor: { max_timeout: 10s }\nvalidation: { max_body: 2KiB }");
    assert_eq!(config.supervisor.default_timeout, Duration::from_secs(10));
    assert_eq!(config.validation.max_string, 2048);
}

#[test]
fn positions_count_characters_after_multibyte_text_and_crlf() {
    let error = load("server:\r\n  title: \"é𝄞\" \r\n  # ü\r\n  näme: ä\r\n").expect_err("unknown key");
    let problem = &error.problems()[0];
    assert_eq!((problem.line(), problem.column()), (4, 3));
    let error = load("server: { title: \"é𝄞ü\", x: 1 }").expect_err("unknown key");
    assert_eq!(
        (error.problems()[0].line(), error.problems()[0].column()),
        (1, 25)
    );
}

#[test]
fn listen_addresses() {
    for (text, meant) in [
        ("127.0.0.1:8080", "127.0.0.1:8080"),
        ("localhost:0", "127.0.0.1:0"),
        (":8080", "0.0.0.0:8080"),
        ("*:8080", "0.0.0.0:8080"),
        ("[::]:8080", "[::]:8080"),
        ("[::1]:1", "[::1]:1"),
        ("10.1.2.3:65535", "10.1.2.3:65535"),
    ] {
        assert_eq!(parse_listen_addr(text).unwrap(), meant.parse().unwrap(), "{text}");
    }
}

#[test]
fn tool_patterns() {
    let filter = |allow: &str| {
        good(&format!(
            "servers: {{ a: {{ command: x, tools: {{ allow: [\"{allow}\"] }} }} }}"
        ))
        .servers[0]
            .tools
            .clone()
    };
    for (pattern, name, meant) in [
        ("*", "", true),
        ("*", "any", true),
        ("a*", "abc", true),
        ("a*", "ba", false),
        ("*c", "abc", true),
        ("*b*", "abc", true),
        ("a?c", "abc", true),
        ("a?c", "aéc", true),
        ("a?c", "ac", false),
        ("a*b*c", "axxbyyc", true),
        ("a*b*c", "axxbyy", false),
        ("**", "x", true),
        ("abc", "abc", true),
        ("abc", "abcd", false),
        ("a.c", "abc", false),
    ] {
        assert_eq!(filter(pattern).admits(name), meant, "{pattern} {name}");
    }
    // Many stars against a long name stay cheap.
    assert!(
        !filter(&"a*".repeat(60)).admits(&"a".repeat(10_000).replace("a", "ab")[..19_999].replace('a', "c"))
    );
}

#[test]
fn overrides_of_tools_and_prompts() {
    let config = good(
        r#"servers: { a: { command: x,
            tools: { overrides: { "read file": { name: read, title: Read, description: "Reads." }, rm: { hidden: true } } },
            prompts: { overrides: { p: { name: q } } } } }"#,
    );
    let server = &config.servers[0];
    let (key, read) = &server.tool_overrides[0];
    assert_eq!(
        (
            key.as_str(),
            read.name.as_deref(),
            read.title.as_deref(),
            read.description.as_deref(),
            read.hidden
        ),
        ("read file", Some("read"), Some("Read"), Some("Reads."), false)
    );
    assert!(server.tool_overrides[1].1.hidden);
    assert_eq!(server.prompt_overrides[0].1.name.as_deref(), Some("q"));
    for (bad, says) in [
        ("tools: {}", "no effect"),
        ("tools: { overrides: { a: {} } }", "changes nothing"),
        (
            "tools: { overrides: { a: { name: b }, c: { name: b } } }",
            "is also given to `a`",
        ),
        (
            "tools: { overrides: { a: { name: b, hidden: true } } }",
            "it is hidden",
        ),
        ("tools: { overrides: { a: { name: 'a b' } } }", "others than A-Z"),
        ("tools: { overrides: { a: { nmae: b } } }", "nmae"),
        ("tools: { overrides: { a: 7 } }", "mapping"),
        ("prompts: {}", "overrides"),
    ] {
        let text = load(&format!("servers: {{ a: {{ command: x, {bad} }} }}"))
            .unwrap_err()
            .to_string();
        assert!(text.contains(says), "{bad}: {text}");
    }
}

#[test]
fn the_lock() {
    assert_eq!(good("{}").lock, None);
    let lock = good("lock: { file: mcp.lock }").lock.unwrap();
    assert!(lock.file.ends_with("mcp.lock"));
    assert_eq!(
        (lock.on_drift, lock.on_new),
        (OnUnlocked::Quarantine, OnUnlocked::Quarantine)
    );
    let lock = good("lock: { file: a/b, on_drift: warn, on_new: allow }")
        .lock
        .unwrap();
    assert_eq!(
        (lock.on_drift, lock.on_new),
        (OnUnlocked::Warn, OnUnlocked::Allow)
    );
    for (bad, says) in [
        ("lock: {}", "`file`"),
        ("lock: { on_drift: warn }", "`file`"),
        ("lock: { file: '' }", "empty"),
        ("lock: { file: [a] }", "file"),
        ("lock: { file: '.' }", "directory"),
        ("lock: { file: a, on_drift: refuse }", "refuse"),
        ("lock: { file: a, on_new: true }", "on_new"),
    ] {
        let text = load(bad).unwrap_err().to_string();
        assert!(text.contains(says), "{bad}: {text}");
    }
}

#[test]
fn load_reads_a_file_and_the_process_environment() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ferromcp.yaml");
    std::fs::write(&path, "server: { title: \"${CARGO_PKG_NAME}\" }").unwrap();
    // Cargo sets this variable for every test that it runs.
    let config = Config::load(&path).unwrap();
    assert_eq!(config.server.title.as_deref(), Some("ferromcp-config"));
}

#[test]
fn workers() {
    let config = good(
        r#"
supervisor: { max_workers: 7, heartbeat: 0s }
servers:
  plain: { command: x }
  many:
    command: x
    pool: { min: 2, max: 4, idle: 90s }
    limits: { memory: 256MiB, cpu_time: 1h, open_files: 64, processes: 100 }
    tools: { effects: { get: read_only, put: idempotent, send: effects } }
  remote: { url: "http://localhost/mcp", pool: { min: 60 } }
  own: { command: x, pool: { per: principal } }
  theirs: { command: x, pool: { per: tenant, max: 200, idle: 1m } }
"#,
    );
    assert_eq!(
        (config.supervisor.max_workers, config.supervisor.heartbeat),
        (7, None)
    );
    let [plain, many, remote, own, theirs] = &config.servers[..] else {
        panic!("five")
    };
    assert_eq!(plain.pool, PoolSettings::default());
    assert_eq!(
        (plain.pool.min, plain.pool.max, plain.pool.idle),
        (1, 1, Duration::from_secs(300))
    );
    assert_eq!(
        (many.pool.min, many.pool.max, many.pool.idle),
        (2, 4, Duration::from_secs(90))
    );
    // Sessions are no processes, so they do not count.
    assert_eq!((remote.pool.min, remote.pool.max), (60, 60));
    assert_eq!((own.pool.per, own.pool.max), (Sharing::Principal, 16));
    assert_eq!((theirs.pool.per, theirs.pool.max), (Sharing::Tenant, 200));
    let effects = [
        ("get", Effect::ReadOnly),
        ("put", Effect::Idempotent),
        ("send", Effect::Effects),
    ];
    assert_eq!(
        many.effects,
        effects.map(|(tool, effect)| (tool.to_owned(), effect))
    );
    let Transport::Stdio(command) = &many.transport else {
        panic!("a program")
    };
    let limits = ResourceLimits {
        memory: Some(256 << 20),
        cpu_time: Some(Duration::from_secs(3600)),
        open_files: Some(64),
        processes: Some(100),
    };
    assert_eq!(command.limits, limits);
    let default = good("{}").supervisor;
    assert_eq!(
        (default.max_workers, default.heartbeat),
        (100, Some(Duration::from_secs(5)))
    );
}
