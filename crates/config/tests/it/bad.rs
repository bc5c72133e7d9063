//! One table of bad inputs per class: each must be refused, at the right place, with the right reason.

use std::path::Path;

use ferromcp_config::Config;

use crate::{env, load, load_in};

/// text, line:column, path, a part of the message
type Case = (&'static str, &'static str, &'static str, &'static str);

fn check(cases: &[Case]) {
    for (text, place, path, message) in cases {
        let error = load(text).expect_err(text);
        let found: Vec<String> = error
            .problems()
            .iter()
            .map(|p| format!("{}:{} {} {}", p.line(), p.column(), p.path(), p.message()))
            .collect();
        let hit = error.problems().iter().any(|p| {
            format!("{}:{}", p.line(), p.column()) == *place
                && p.path() == *path
                && p.message().contains(message)
        });
        assert!(hit, "{text}\nwanted {place} {path} {message}\nfound {found:#?}");
        let helped = error
            .problems()
            .iter()
            .all(|p| p.expected_text().is_some() || p.hint_text().is_some());
        assert!(
            helped || message.contains("not valid YAML"),
            "{text}: neither expected nor help\n{error}"
        );
    }
}

#[test]
fn unknown_keys() {
    check(&[
        ("liste: {}", "1:1", "liste", "unknown key `liste`"),
        ("log: { colour: red }", "1:8", "log.colour", "unknown key"),
        (
            "servers: { a: { command: x, Env: {} } }",
            "1:29",
            "servers.a.Env",
            "unknown key `Env`",
        ),
        (
            "servers: { a: { command: x, tools: { only: [b] } } }",
            "1:38",
            "servers.a.tools.only",
            "unknown key",
        ),
        ("mcpServers: {}", "1:1", "mcpServers", "unknown key"),
        ("\"\": 1", "1:1", "[\"\"]", "unknown key"),
        ("1: 1", "1:1", "1", "unknown key `1`"),
        ("null: 1", "1:1", "null", "unknown key"),
    ]);
}

#[test]
fn hints_for_unknown_keys() {
    for (text, near) in [
        ("liste: {}", "listen"),
        ("validation: { maxBody: 1MiB }", "max_body"),
        ("servers: { a: { cmd: x } }", "command"),
        ("servers: { a: { command: x, environment: {} } }", "env"),
        ("sevrers: {}", "servers"),
        ("mcpServers: {}", "servers"),
        ("supervisor: { drian: 1s }", "drain"),
    ] {
        let error = load(text).expect_err(text);
        let hints: Vec<_> = error.problems().iter().filter_map(|p| p.hint_text()).collect();
        assert!(
            hints.iter().any(|h| h.contains(&format!("`{near}`"))),
            "{text}: {hints:?}"
        );
    }
    let error = load("zzz: 1").expect_err("unknown");
    assert_eq!(error.problems()[0].hint_text(), None);
}

#[test]
fn settings_of_later_versions() {
    check(&[
        ("reload: {}", "1:1", "reload", "not supported by this version"),
        (
            "supervisor: { idle_timeout: 5s }",
            "1:15",
            "supervisor.idle_timeout",
            "not supported by this version",
        ),
    ]);
}

#[test]
fn duplicate_keys() {
    check(&[
        ("log: {}\nlog: {}\n", "2:1", "log", "appears twice"),
        (
            "log: { level: info, \"level\": info }",
            "1:21",
            "log.level",
            "appears twice",
        ),
        (
            "servers:\n  a: { command: x }\n  a: { command: y }\n",
            "3:3",
            "servers.a",
            "appears twice",
        ),
        (
            "servers: { a: { command: x, env: { A: b, A: c } } }",
            "1:42",
            "servers.a.env.A",
            "appears twice",
        ),
        (
            "servers: { a: { url: \"http://h\", headers: { X-A: b, x-a: c } } }",
            "1:53",
            "servers.a.headers.x-a",
            "same as `X-A`",
        ),
    ]);
}

#[test]
fn wrong_types() {
    check(&[
        ("log: []", "1:6", "log", "found a list"),
        ("log: text", "1:6", "log", "found a string"),
        ("log:", "1:4", "log", "found nothing"),
        ("servers: [a]", "1:10", "servers", "found a list"),
        ("servers: { a: npx }", "1:15", "servers.a", "found a string"),
        (
            "servers: { a: { command: [npx] } }",
            "1:26",
            "servers.a.command",
            "found a list",
        ),
        (
            "servers: { a: { command: true } }",
            "1:26",
            "servers.a.command",
            "found a boolean",
        ),
        (
            "servers: { a: { command: 7 } }",
            "1:26",
            "servers.a.command",
            "found a number",
        ),
        (
            "servers: { a: { command: x, args: y } }",
            "1:35",
            "servers.a.args",
            "found a string",
        ),
        (
            "servers: { a: { command: x, args: [~] } }",
            "1:36",
            "servers.a.args[0]",
            "found nothing",
        ),
        (
            "servers: { a: { command: x, args: [a, yes, true] } }",
            "1:44",
            "servers.a.args[2]",
            "found a boolean",
        ),
        (
            "servers: { a: { command: x, env: { A: [b] } } }",
            "1:39",
            "servers.a.env.A",
            "found a list",
        ),
        (
            "servers: { a: { command: x, env: { A: null } } }",
            "1:39",
            "servers.a.env.A",
            "found nothing",
        ),
        (
            "servers: { a: { command: x, disabled: 1 } }",
            "1:39",
            "servers.a.disabled",
            "not a boolean: `1`",
        ),
        (
            "log: { calls: \"true\" }",
            "1:15",
            "log.calls",
            "not a boolean: `true`",
        ),
        ("log: { calls: off }", "1:15", "log.calls", "not a boolean: `off`"),
        (
            "sessions: { max: \"10\" }",
            "1:18",
            "sessions.max",
            "not a whole number: `10`",
        ),
        (
            "sessions: { max: 1e3 }",
            "1:18",
            "sessions.max",
            "not a whole number",
        ),
        (
            "sessions: { max: -1 }",
            "1:18",
            "sessions.max",
            "not a whole number",
        ),
        (
            "sessions: { max: 1.5 }",
            "1:18",
            "sessions.max",
            "not a whole number",
        ),
        ("sessions: { max: {} }", "1:18", "sessions.max", "found a mapping"),
        ("listen: { http: 8080 }", "1:17", "listen.http", "found a number"),
        ("server: { name: ~ }", "1:17", "server.name", "found nothing"),
    ]);
}

#[test]
fn out_of_range() {
    check(&[
        ("sessions: { max: 0 }", "1:18", "sessions.max", "too small: `0`"),
        ("sessions: { max: 1000001 }", "1:18", "sessions.max", "too large"),
        (
            "sessions: { max: 99999999999999999999999999 }",
            "1:18",
            "sessions.max",
            "too large",
        ),
        (
            "sessions: { idle_ttl: 999ms }",
            "1:23",
            "sessions.idle_ttl",
            "too small",
        ),
        (
            "sessions: { idle_ttl: 169h }",
            "1:23",
            "sessions.idle_ttl",
            "too large",
        ),
        (
            "supervisor: { default_timeout: 0s }",
            "1:32",
            "supervisor.default_timeout",
            "too small",
        ),
        (
            "supervisor: { drain: 61m }",
            "1:22",
            "supervisor.drain",
            "too large",
        ),
        (
            "validation: { max_body: 1023B }",
            "1:25",
            "validation.max_body",
            "too small",
        ),
        (
            "validation: { max_body: 257MiB }",
            "1:25",
            "validation.max_body",
            "too large",
        ),
        (
            "validation: { max_depth: 129 }",
            "1:26",
            "validation.max_depth",
            "too large",
        ),
        (
            "builtin: { files: { max_read: 1GiB } }",
            "1:31",
            "builtin.files.max_read",
            "too large",
        ),
    ]);
}

#[test]
fn durations_and_sizes() {
    for bad in [
        "30",
        "s",
        "1.5s",
        "30 s",
        "-1s",
        "1h30m",
        "30S",
        "1w",
        "99999999999999999999s",
        "18446744073709551615h",
        "+1s",
    ] {
        let text = format!("supervisor: {{ drain: \"{bad}\" }}");
        let error = load(&text).expect_err(bad);
        assert!(
            error.problems()[0].message().starts_with("not a duration"),
            "{error}"
        );
    }
    for bad in [
        "4",
        "MiB",
        "1.5MiB",
        "4 MiB",
        "4mib",
        "4M",
        "4Mi",
        "18446744073709551615GiB",
        "-1B",
        "0x10B",
    ] {
        let text = format!("validation: {{ max_body: \"{bad}\" }}");
        let error = load(&text).expect_err(bad);
        assert!(error.problems()[0].message().starts_with("not a size"), "{error}");
    }
}

#[test]
fn addresses_hosts_and_origins() {
    for bad in [
        "",
        "8080",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:99999",
        "::1:80",
        "host:80",
        "127.0.0.1:http",
        "1.2.3:80",
        "[::1]",
        "a b:1",
        ":-1",
        ":+80",
    ] {
        let text = format!("listen: {{ http: \"{bad}\" }}");
        let error = load(&text).expect_err(bad);
        assert_eq!(error.problems()[0].path(), "listen.http", "{error}");
    }
    for bad in [
        "",
        "*",
        "*.example.com",
        "http://a",
        "a/b",
        "a:b",
        "a:",
        "a b",
        "a:99999",
        "::1",
        "u@h",
        "a?b",
        "[::1",
    ] {
        let text = format!("listen: {{ allowed_hosts: [\"{bad}\"] }}");
        let error = load(&text).expect_err(bad);
        assert_eq!(error.problems()[0].path(), "listen.allowed_hosts[0]", "{error}");
    }
    for bad in [
        "",
        "*",
        "null",
        "example.com",
        "https://",
        "https://a/",
        "https://a/b",
        "https://a?b",
        "https://u:p@a",
        "https://*.a",
        "file:///x",
    ] {
        let text = format!("listen: {{ allowed_origins: [\"{bad}\"] }}");
        let error = load(&text).expect_err(bad);
        assert_eq!(error.problems()[0].path(), "listen.allowed_origins[0]", "{error}");
    }
}

#[test]
fn empty_lists_and_values() {
    check(&[
        (
            "listen: { allowed_hosts: [] }",
            "1:26",
            "listen.allowed_hosts",
            "the list is empty",
        ),
        (
            "builtin: { files: { roots: [] } }",
            "1:28",
            "builtin.files.roots",
            "the list is empty",
        ),
        (
            "servers: { a: { command: x, tools: { allow: [] } } }",
            "1:45",
            "servers.a.tools.allow",
            "the list is empty",
        ),
        (
            "servers: { a: { command: \"\" } }",
            "1:26",
            "servers.a.command",
            "the text is empty",
        ),
        (
            "server: { name: \"\" }",
            "1:17",
            "server.name",
            "the text is empty",
        ),
    ]);
}

#[test]
fn settings_without_effect() {
    check(&[
        (
            "builtin: { files: {} }",
            "1:19",
            "builtin.files.roots",
            "no effect without `roots`",
        ),
        (
            "builtin: { files: { write: true } }",
            "1:21",
            "builtin.files.write",
            "`write` has no effect",
        ),
        (
            "builtin: { files: { max_read: 1KiB } }",
            "1:21",
            "builtin.files.max_read",
            "`max_read` has no effect",
        ),
        (
            "servers: { a: { command: x, headers: {} } }",
            "1:29",
            "servers.a.headers",
            "`headers` has no effect",
        ),
        (
            "servers: { a: { url: \"http://h\", args: [] } }",
            "1:34",
            "servers.a.args",
            "`args` has no effect",
        ),
        (
            "servers: { a: { url: \"http://h\", cwd: . } }",
            "1:34",
            "servers.a.cwd",
            "`cwd` has no effect",
        ),
        (
            "servers: { a: { command: x, tools: {} } }",
            "1:36",
            "servers.a.tools",
            "no effect without",
        ),
        (
            "servers: { a: { command: x, timeout: 11m } }",
            "1:29",
            "servers.a.timeout",
            "would never apply",
        ),
        (
            "supervisor: { default_timeout: 2m, max_timeout: 1m }",
            "1:15",
            "supervisor.default_timeout",
            "would never apply",
        ),
        (
            "validation: { max_string: 5MiB }",
            "1:15",
            "validation.max_string",
            "would never apply",
        ),
    ]);
}

#[test]
fn servers() {
    check(&[
        (
            "servers: { a: {} }",
            "1:12",
            "servers.a",
            "neither `command` nor `url`",
        ),
        (
            "servers: { a: { command: x, url: \"http://h\" } }",
            "1:29",
            "servers.a",
            "both `command` and `url`",
        ),
        (
            "servers: { a: { command: x, type: http } }",
            "1:29",
            "servers.a.type",
            "`type: http` does not fit `command`",
        ),
        (
            "servers: { a: { url: \"http://h\", type: stdio } }",
            "1:34",
            "servers.a.type",
            "does not fit `url`",
        ),
        (
            "servers: { a: { command: x, type: sse } }",
            "1:29",
            "servers.a.type",
            "does not fit `command`",
        ),
        (
            "servers: { a: { command: npx -y foo } }",
            "1:26",
            "servers.a.command",
            "contains spaces",
        ),
        (
            "servers: { a__b: { command: x } }",
            "1:12",
            "servers.a__b",
            "`__`",
        ),
        (
            "servers: { a_: { command: x } }",
            "1:12",
            "servers.a_",
            "ends in `_`",
        ),
        (
            "servers: { \"a b\": { command: x } }",
            "1:12",
            "servers[\"a b\"]",
            "characters other than",
        ),
        (
            "servers: { ü: { command: x } }",
            "1:12",
            "servers[\"ü\"]",
            "characters other than",
        ),
        (
            "servers: { aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa: { command: x } }",
            "1:12",
            "servers.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "longer than 32",
        ),
        (
            "servers: { a: { command: x, prefix: a__b } }",
            "1:37",
            "servers.a.prefix",
            "`__`",
        ),
        (
            "servers: { a: { command: x, prefix: '' }, b: { command: x, prefix: '' } }",
            "1:60",
            "servers.b.prefix",
            "also that of the server `a`",
        ),
        (
            "servers: { a: { command: x }, b: { command: x, prefix: a } }",
            "1:48",
            "servers.b.prefix",
            "also that of the server `a`",
        ),
        (
            "servers: { a: { command: x, prefix: b }, b: { command: x } }",
            "1:42",
            "servers.b.prefix",
            "also that of the server `a`",
        ),
        (
            "servers: { a: { command: x, env: { \"A=B\": c } } }",
            "1:36",
            "servers.a.env[\"A=B\"]",
            "not a name",
        ),
        (
            "servers: { a: { command: x, args: [\"a\\0b\"] } }",
            "1:36",
            "servers.a.args[0]",
            "NUL",
        ),
        (
            "servers: { a: { command: x, cwd: no-such-dir } }",
            "1:34",
            "servers.a.cwd",
            "no such file or directory",
        ),
        (
            "servers: { a: { command: x, tools: { deny: [\"[a]\"] } } }",
            "1:45",
            "servers.a.tools.deny[0]",
            "signs without a meaning",
        ),
        (
            "servers: { a: { url: \"h/mcp\" } }",
            "1:22",
            "servers.a.url",
            "not a URL",
        ),
        (
            "servers: { a: { url: \"ws://h/mcp\" } }",
            "1:22",
            "servers.a.url",
            "http://",
        ),
        (
            "servers: { a: { url: \"http://u@h/mcp\" } }",
            "1:22",
            "servers.a.url",
            "user name",
        ),
        (
            "servers: { a: { url: \"http://h/#x\" } }",
            "1:22",
            "servers.a.url",
            "`#`",
        ),
        (
            "servers: { a: { url: \"http://h\", headers: { \"A B\": x } } }",
            "1:45",
            "servers.a.headers[\"A B\"]",
            "not a name",
        ),
        (
            "servers: { a: { url: \"http://h\", headers: { Host: x } } }",
            "1:45",
            "servers.a.headers.Host",
            "sets this header itself",
        ),
        (
            "servers: { a: { url: \"http://h\", headers: { mcp-session-id: x } } }",
            "1:45",
            "servers.a.headers.mcp-session-id",
            "itself",
        ),
        (
            "servers: { a: { url: \"http://h\", headers: { X: \"a\\r\\nB: c\" } } }",
            "1:48",
            "servers.a.headers.X",
            "control character",
        ),
    ]);
}

#[test]
fn references() {
    check(&[
        (
            "server: { name: \"${NOPE}\" }",
            "1:17",
            "server.name",
            "`NOPE` is not set",
        ),
        (
            "servers: { a: { command: x, env: { A: \"${NOPE}\" } } }",
            "1:39",
            "servers.a.env.A",
            "`NOPE` is not set",
        ),
        ("server: { name: \"a ${\" }", "1:17", "server.name", "no closing"),
        (
            "server: { name: \"${}\" }",
            "1:17",
            "server.name",
            "neither a variable name",
        ),
        (
            "server: { name: \"${A:-b}\" }",
            "1:17",
            "server.name",
            "neither a variable name",
        ),
        (
            "server: { name: \"${1A}\" }",
            "1:17",
            "server.name",
            "neither a variable name",
        ),
        (
            "server: { name: \"${file:}\" }",
            "1:17",
            "server.name",
            "names no file",
        ),
        (
            "server: { name: \"${file:no-such-file}\" }",
            "1:17",
            "server.name",
            "no such file or directory",
        ),
        (
            "server: { name: \"${file:/}\" }",
            "1:17",
            "server.name",
            "not a regular file",
        ),
        (
            "server: { name: \"${file:/dev/zero}\" }",
            "1:17",
            "server.name",
            "not a regular file",
        ),
        (
            "server: { name: \"${EMPTY}\" }",
            "1:17",
            "server.name",
            "the text is empty",
        ),
    ]);
}

#[test]
fn files_of_references() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("large"), vec![b'a'; 64 * 1024 + 1]).unwrap();
    std::fs::write(dir.path().join("binary"), b"a\xff\n").unwrap();
    for (file, message) in [("large", "larger than 64 KiB"), ("binary", "not UTF-8")] {
        let text = format!("server: {{ instructions: \"${{file:{file}}}\" }}");
        let error = load_in(dir.path(), &text).expect_err(file);
        assert!(error.problems()[0].message().contains(message), "{error}");
    }
    // The references of one file together are bounded, too.
    std::fs::write(dir.path().join("big"), vec![b'a'; 60 * 1024]).unwrap();
    let items = "\"${file:big}\", ".repeat(200);
    let error = load_in(
        dir.path(),
        &format!("servers: {{ a: {{ command: x, args: [{items}] }} }}"),
    )
    .expect_err("too much");
    assert!(error.to_string().contains("bring in too much"), "{error}");
}

#[test]
fn a_root_must_be_a_directory() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), "x").unwrap();
    let error = load_in(dir.path(), "builtin: { files: { roots: [file] } }").expect_err("a file");
    assert!(
        error.problems()[0].message().contains("not a directory"),
        "{error}"
    );
}

#[test]
fn depth_size_and_aliases_are_bounded() {
    for text in [
        "[".repeat(33),
        "[".repeat(10_000),
        "{a: ".repeat(40),
        "- ".repeat(500),
        "? ".repeat(500),
    ] {
        let error = load(&text).expect_err("deep");
        assert!(
            error.problems()[0].message().contains("nested too deeply"),
            "{error}"
        );
    }
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..20 {
        let before = format!("*a{}, ", level - 1).repeat(10);
        bomb.push_str(&format!("a{level}: &a{level} [{before}]\n"));
    }
    let error = load(&bomb).expect_err("bomb");
    assert!(error.to_string().contains("too many values"), "{error}");

    let many = format!("log: [{}]", "x, ".repeat(450_000));
    let error = load(&many).expect_err("many");
    assert!(
        error.problems()[0].message().contains("too many values"),
        "{error}"
    );

    let large = format!("# {}", "x".repeat(4 * 1024 * 1024));
    let error = load(&large).expect_err("large");
    assert!(
        error.problems()[0].message().contains("larger than 4 MiB"),
        "{error}"
    );
    assert_eq!((error.problems()[0].line(), error.problems()[0].column()), (0, 0));

    let servers: String = (0..257).map(|i| format!("  s{i}: {{ command: x }}\n")).collect();
    let error = load(&format!("servers:\n{servers}")).expect_err("servers");
    assert!(error.problems()[0].message().contains("257 entries"), "{error}");
}

#[test]
fn very_many_mistakes_are_counted_not_kept() {
    let text: String = (0..5000).map(|i| format!("k{i}: 1\n")).collect();
    let error = load(&text).expect_err("unknown keys");
    assert_eq!((error.problems().len(), error.further()), (100, 4900));
    assert!(
        error
            .to_string()
            .ends_with("5000 errors in ferromcp.yaml, the first 100 shown"),
        "{error}"
    );
}

/// Cut anywhere, a file is refused or means something: it never panics, and a cut inside a line of a value is noticed.
#[test]
fn truncated() {
    let whole = "listen: { http: \"127.0.0.1:80\" }\nservers:\n  a:\n    command: \"npx\"\n    args: [\"-y\", \"é\"]\n    env: { \"A\": \"b\" }\n";
    let mut refused = 0;
    for end in (0..whole.len()).filter(|end| whole.is_char_boundary(*end)) {
        let text = &whole[..end];
        match Config::from_yaml(text, Path::new("ferromcp.yaml"), &env) {
            Err(error) => {
                refused += 1;
                assert!(!error.problems().is_empty());
            }
            Ok(_) => {
                let quotes = text.matches('"').count();
                let open = text.matches(['[', '{']).count() - text.matches([']', '}']).count();
                assert!(quotes.is_multiple_of(2) && open == 0, "accepted: {text}");
            }
        }
    }
    assert!(refused > whole.len() / 2, "only {refused}");
}

#[test]
fn all_mistakes_are_reported_together_and_in_order() {
    let error = load("log: { level: x, calls: y }\nsessions: { max: 0 }\nlisten: { http: z }\nfoo: 1\n")
        .expect_err("bad");
    let lines: Vec<_> = error.problems().iter().map(|p| p.line()).collect();
    assert_eq!(lines, [1, 1, 2, 3, 4]);
}

#[test]
fn pools_and_limits_of_processes() {
    check(&[
        (
            "servers: { a: { command: x, pool: 3 } }",
            "1:35",
            "servers.a.pool",
            "found a number",
        ),
        (
            "servers: { a: { command: x, pool: { min: 0 } } }",
            "1:42",
            "servers.a.pool.min",
            "0",
        ),
        (
            "servers: { a: { command: x, pool: { max: 257 } } }",
            "1:42",
            "servers.a.pool.max",
            "257",
        ),
        (
            "servers: { a: { command: x, pool: { per: tenant, max: 1 } } }",
            "1:50",
            "servers.a.pool.max",
            "leaves none for callers",
        ),
        (
            "servers: { a: { command: x, pool: { min: 2, per: principal } } }",
            "1:37",
            "servers.a.pool.min",
            "no effect here",
        ),
        (
            "servers: { a: { command: x, pool: { per: user } } }",
            "1:42",
            "servers.a.pool.per",
            "user",
        ),
        (
            "servers: { a: { command: x, pool: { min: 3, max: 2 } } }",
            "1:45",
            "servers.a.pool.max",
            "below `min` (3)",
        ),
        (
            "servers: { a: { command: x, pool: { idle: 1m } } }",
            "1:37",
            "servers.a.pool.idle",
            "no effect here",
        ),
        (
            "servers: { a: { command: x, pool: { min: 2, max: 2, idle: 1m } } }",
            "1:53",
            "servers.a.pool.idle",
            "no effect here",
        ),
        (
            "servers: { a: { command: x, pool: { max: 2, idle: 1 } } }",
            "1:51",
            "servers.a.pool.idle",
            "duration",
        ),
        (
            "servers: { a: { command: x, pool: { workers: 2 } } }",
            "1:37",
            "servers.a.pool.workers",
            "unknown key",
        ),
        (
            "servers: { a: { command: x, limits: { memory: 1KiB } } }",
            "1:47",
            "servers.a.limits.memory",
            "1KiB",
        ),
        (
            "servers: { a: { command: x, limits: { memory: lots } } }",
            "1:47",
            "servers.a.limits.memory",
            "size",
        ),
        (
            "servers: { a: { command: x, limits: { cpu_time: 500ms } } }",
            "1:49",
            "servers.a.limits.cpu_time",
            "500ms",
        ),
        (
            "servers: { a: { command: x, limits: { open_files: 3 } } }",
            "1:51",
            "servers.a.limits.open_files",
            "3",
        ),
        (
            "servers: { a: { command: x, limits: { processes: 0 } } }",
            "1:50",
            "servers.a.limits.processes",
            "0",
        ),
        (
            "servers: { a: { url: \"http://h/\", limits: { open_files: 64 } } }",
            "1:35",
            "servers.a.limits",
            "no effect here",
        ),
        (
            "servers: { a: { command: x, tools: { effects: { t: safe } } } }",
            "1:52",
            "servers.a.tools.effects.t",
            "safe",
        ),
        (
            "servers: { a: { command: x, tools: { effects: [t] } } }",
            "1:47",
            "servers.a.tools.effects",
            "found a list",
        ),
        (
            "supervisor: { heartbeat: 50ms }",
            "1:15",
            "supervisor.heartbeat",
            "too short",
        ),
        (
            "supervisor: { heartbeat: 2h }",
            "1:26",
            "supervisor.heartbeat",
            "2h",
        ),
        (
            "supervisor: { heartbeat: fast }",
            "1:26",
            "supervisor.heartbeat",
            "duration",
        ),
        (
            "supervisor: { max_workers: 0 }",
            "1:28",
            "supervisor.max_workers",
            "0",
        ),
        (
            "supervisor: { max_workers: 3 }\nservers: { a: { command: x, pool: { min: 2 } }, b: { command: x, pool: { min: 2 } } }",
            "1:15",
            "supervisor.max_workers",
            "keep 4 workers",
        ),
    ]);
}

#[test]
fn tokens_and_certificates_of_servers() {
    check(&[
        (
            "servers: { a: { command: x, auth: { oauth: { client_id: c, client_secret: s } } } }",
            "1:29",
            "servers.a.auth",
            "no effect",
        ),
        (
            "servers: { a: { command: x, tls: { ca: c } } }",
            "1:29",
            "servers.a.tls",
            "no effect",
        ),
        (
            "servers: { a: { url: \"http://h\", tls: { ca: c } } }",
            "1:41",
            "servers.a.tls.ca",
            "not https",
        ),
        (
            "servers: { a: { url: \"https://h\", tls: { cert: c } } }",
            "1:42",
            "servers.a.tls.cert",
            "`cert` without `key`",
        ),
        (
            "servers: { a: { url: \"https://h\", auth: {} } }",
            "1:41",
            "servers.a.auth",
            "no effect without `oauth`",
        ),
        (
            "servers: { a: { url: \"https://h\", auth: { oauth: {} } } }",
            "1:50",
            "servers.a.auth.oauth.client_id",
            "client_id",
        ),
        (
            "servers: { a: { url: \"https://h\", auth: { oauth: { client_id: c } } } }",
            "1:50",
            "servers.a.auth.oauth",
            "nothing proves",
        ),
        (
            "servers: { a: { url: \"https://h\", auth: { oauth: { client_id: c, client_secret: s, auth_method: private_key_jwt } } } }",
            "1:84",
            "servers.a.auth.oauth.auth_method",
            "needs `private_key`",
        ),
        (
            "servers: { a: { url: \"https://h\", auth: { oauth: { client_id: c, client_secret: s, key_id: k } } } }",
            "1:84",
            "servers.a.auth.oauth.key_id",
            "no effect",
        ),
        (
            "servers: { a: { url: \"https://h\", auth: { oauth: { client_id: [5], client_secret: s } } } }",
            "1:63",
            "servers.a.auth.oauth.client_id",
            "",
        ),
        (
            "servers: { a: { url: \"https://h\", auth: { oauth: { client_id: c, client_secret: s, token_url: \"http://t\" } } } }",
            "1:95",
            "servers.a.auth.oauth.token_url",
            "https",
        ),
        (
            "servers: { a: { url: \"https://h\", headers: { authorization: x }, auth: { oauth: { client_id: c, client_secret: s } } } }",
            "1:35",
            "servers.a.headers",
            "set by `auth.oauth`",
        ),
    ]);
}
