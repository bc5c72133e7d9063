//! Other hosts' files, converted and loaded again.

use std::path::Path;

use ferromcp_config::{Command, Config, Endpoint, Imported, Transport, import};
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof, proptest};
use proptest::prop_assert_eq;
use serde_json::json;

fn convert(text: &str) -> Imported {
    import(text, Path::new("mcp.json")).unwrap_or_else(|error| panic!("{error}"))
}

/// Every variable is set to its own name in brackets.
fn reload(imported: &Imported) -> Config {
    Config::from_yaml(&imported.yaml, Path::new("ferromcp.yaml"), &|name| {
        Some(format!("<{name}>"))
    })
    .unwrap_or_else(|error| panic!("{}\n{error}", imported.yaml))
}

fn stdio<'c>(config: &'c Config, id: &str) -> &'c Command {
    match &config.servers.iter().find(|s| s.id == id).expect(id).transport {
        Transport::Stdio(command) => command,
        _ => panic!("{id} is not a program"),
    }
}

fn http<'c>(config: &'c Config, id: &str) -> &'c Endpoint {
    match &config.servers.iter().find(|s| s.id == id).expect(id).transport {
        Transport::Http(endpoint) => endpoint,
        _ => panic!("{id} is not a URL"),
    }
}

#[test]
fn a_desktop_host() {
    let text = r#"{
  "globalShortcut": "Ctrl+Space",
  "mcpServers": {
    "filesystem": { "command": "npx", "args": ["-y", "@modelcontextprotocol/server-filesystem", "/Users/me/My Files"] },
    "my__git server": { "command": "/usr/bin/git-mcp", "env": { "GITHUB_TOKEN": "ghp_hunter2", "DEBUG": "1", "N": 5, "B": true, "Z": null }, "autoApprove": ["status"] },
    "remote": { "type": "streamable-http", "url": "https://example.com/mcp", "headers": { "Authorization": "Bearer ${env:API}", "X-Key": "${input:api-key}" }, "timeout": 60 },
    "old": { "url": "https://example.com/sse", "type": "sse" },
    "paused": { "command": "x", "disabled": true, "cwd": "sub" }
  }
}"#;
    let imported = convert(text);
    let report: String = imported.notes.iter().map(|note| format!("{note}\n")).collect();
    insta::with_settings!({omit_expression => true, prepend_module_to_snapshot => false}, {
        insta::assert_snapshot!("import_desktop", format!("{}\n--- report\n{report}", imported.yaml));
    });
    assert!(!report.contains("hunter2"), "{report}");
    assert_eq!(imported.servers, 5);

    let config = reload(&imported);
    assert_eq!(
        stdio(&config, "filesystem").args[2].expose(),
        "/Users/me/My Files"
    );
    let env: Vec<_> = stdio(&config, "my_git-server")
        .env
        .iter()
        .map(|(k, v)| (k.as_str(), v.expose()))
        .collect();
    assert_eq!(
        env,
        [
            ("GITHUB_TOKEN", "ghp_hunter2"),
            ("DEBUG", "1"),
            ("N", "5"),
            ("B", "true")
        ]
    );
    let headers: Vec<_> = http(&config, "remote")
        .headers
        .iter()
        .map(|(_, v)| v.expose())
        .collect();
    assert_eq!(headers, ["Bearer <API>", "<API_KEY>"]);
    assert!(http(&config, "old").sse);
    assert_eq!(config.disabled_servers, ["paused"]);
}

#[test]
fn an_editor_with_comments_and_inputs() {
    let text = r#"// VS Code
{
  "inputs": [{ "id": "api-key", "type": "promptString", "password": true }],
  "servers": {
    /* local */
    "local": { "type": "stdio", "command": "node", "args": ["${workspaceFolder}/s.js", "${userHome}", "${A:-b}"], "envFile": ".env", },
    "web": { "type": "http", "url": "http://localhost:1/mcp", },
  },
}"#;
    let imported = convert(text);
    let config = reload(&imported);
    let args: Vec<_> = stdio(&config, "local").args.iter().map(|a| a.expose()).collect();
    assert_eq!(args, ["<workspaceFolder>/s.js", "<HOME>", "<A>"]);
    let notes: Vec<_> = imported.notes.iter().map(|n| n.path.as_str()).collect();
    assert_eq!(
        notes,
        [
            "inputs",
            "servers.local.args[0]",
            "servers.local.args[2]",
            "servers.local.envFile"
        ]
    );
    assert!(imported.yaml.contains("envFile: \".env\""), "{}", imported.yaml);
}

#[test]
fn every_shape_of_file() {
    let servers = json!({"a": {"command": "x"}, "servers": {"url": "http://h"}});
    for text in [
        json!({"mcpServers": servers}).to_string(),
        json!({"servers": servers}).to_string(),
        json!({"mcp": {"servers": servers}}).to_string(),
        json!({"mcp.servers": servers}).to_string(),
        servers.to_string(),
    ] {
        let config = reload(&convert(&text));
        let ids: Vec<_> = config.servers.iter().map(|s| s.id.as_str()).collect();
        assert_eq!(ids, ["a", "servers"], "{text}");
    }
    assert_eq!(convert(r#"{"mcpServers": {}}"#).servers, 0);
    assert_eq!(reload(&convert(r#"{"mcpServers": {}}"#)), Config::default());
}

#[test]
fn ids_become_valid_and_stay_apart() {
    let names = [
        "a b",
        "a-b",
        "a.b",
        "a__b",
        "",
        "日本",
        "+",
        "x_",
        "0123456789012345678901234567890123456789",
        "012345678901234567890123456789012345678X",
    ];
    let servers: serde_json::Map<_, _> = names
        .iter()
        .map(|n| ((*n).to_owned(), json!({"command": "x"})))
        .collect();
    let imported = convert(&json!({"mcpServers": servers}).to_string());
    let config = reload(&imported);
    assert_eq!(config.servers.len(), names.len());
    assert!(
        config.servers.iter().any(|s| s.id == "a-b"),
        "a valid name is kept"
    );
    assert_eq!(imported.notes.len(), names.len() - 1);
}

#[test]
fn nothing_is_dropped_silently() {
    let known = [
        "command", "url", "args", "env", "headers", "cwd", "type", "disabled",
    ];
    for field in [
        "timeout",
        "envFile",
        "autoApprove",
        "alwaysAllow",
        "trust",
        "disabledTools",
        "includeTools",
        "oauth",
        "sandbox",
        "dev",
        "gallery",
        "version",
    ] {
        assert!(!known.contains(&field));
        for server in [
            json!({"command": "x", field: {"k": ["v\n# x: y", 1, null]}}),
            json!({"url": "http://h", field: 5}),
        ] {
            let imported = convert(&json!({"mcpServers": {"a": server}}).to_string());
            assert_eq!(imported.notes.len(), 1);
            assert_eq!(imported.notes[0].path, format!("mcpServers.a.{field}"));
            assert!(
                imported.yaml.contains(&format!(": {field}: ")),
                "{}",
                imported.yaml
            );
            reload(&imported);
        }
    }
    for server in [
        json!({"command": "x", "headers": {"A": "b"}}),
        json!({"url": "http://h", "args": ["a"]}),
        json!({"command": "x", "type": "http"}),
    ] {
        let imported = convert(&json!({"mcpServers": {"a": server}}).to_string());
        assert_eq!(imported.notes.len(), 1, "{server}");
        reload(&imported);
    }
}

#[test]
fn bad_files() {
    let deep = format!("{}{}", "[".repeat(65), "]".repeat(65));
    let large = format!("\"{}\"", "x".repeat(4 * 1024 * 1024));
    let many = format!("[{}1]", "1,".repeat(50_000));
    for (text, place, message) in [
        ("", (1, 1), "not valid JSON"),
        (deep.as_str(), (1, 65), "nested too deeply"),
        (large.as_str(), (0, 0), "larger than 4 MiB"),
        (many.as_str(), (1, 100_000), "too many values"),
        ("{\"a\": /* x", (1, 7), "a comment is not closed"),
        (
            "{\n \"mcpServers\": {\n  \"a\": {\"command\": \"x\"},\n  \"a\": {\"command\": \"y\"}}}",
            (4, 3),
            "appears twice",
        ),
        (
            "{\"mcpServers\": {\"a\": {\"command\": 5}}}",
            (1, 34),
            "found a number",
        ),
        (
            "{\"mcpServers\": {\"a\": {\"command\": \"x\", \"args\": [{}]}}}",
            (1, 48),
            "found a mapping",
        ),
        (
            "{\"mcpServers\": {\"a\": {\"command\": \"x\", \"env\": []}}}",
            (1, 46),
            "found a list",
        ),
        (
            "{\"mcpServers\": {\"a\": {\"command\": \"x\", \"disabled\": \"no\"}}}",
            (1, 51),
            "found a string",
        ),
        (
            "{\"mcpServers\": {\"a\": {\"command\": \"x\", \"args\": [\"\\u0000\"]}}}",
            (1, 48),
            "found a string",
        ),
        (
            "{\"mcpServers\": {\"a\": {\"command\": \"\"}}}",
            (1, 34),
            "the text is empty",
        ),
        (
            "{\"mcpServers\": {\"a\": {\"url\": \"ftp://x\"}}}",
            (1, 30),
            "http://",
        ),
        (
            "{\"mcpServers\": {\"a\": {\"command\": \"x\", \"type\": []}}}",
            (1, 47),
            "found a list",
        ),
        ("{\"mcpServers\": null}", (1, 16), "found nothing"),
    ] {
        let error = import(text, Path::new("mcp.json")).expect_err(message);
        let hit = error
            .problems()
            .iter()
            .any(|p| (p.line(), p.column()) == place && p.message().contains(message));
        assert!(hit, "{message} at {place:?}\n{:?}", error.problems());
    }
}

#[test]
fn truncated_anywhere() {
    let whole = r#"{"mcpServers": {"a": {"command": "x", "args": ["\u00e9", 1.5e3], "disabled": false}}}"#;
    convert(whole);
    for end in 0..whole.len() {
        let error = import(&whole[..end], Path::new("mcp.json")).expect_err("cut off");
        assert_eq!(error.problems()[0].line(), 1);
    }
}

#[test]
fn from_file_reads_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mcp.json");
    std::fs::write(&path, "\u{feff}{\"a\": {\"command\": \"x\"}}").unwrap();
    assert_eq!(Imported::from_file(&path).unwrap().servers, 1);
    std::fs::write(&path, b"{\"a\": \"\xff\"}").unwrap();
    assert!(
        Imported::from_file(&path)
            .unwrap_err()
            .to_string()
            .contains("0xFF")
    );
}

/// A part of a JSON string, and what it means after import and load.
fn fragment() -> impl Strategy<Value = (String, String)> {
    let same = |s: &str| (s.to_owned(), s.to_owned());
    prop_oneof![
        any::<String>()
            .prop_map(|s| s.replace(['$', '\0', '\u{fffe}', '\u{ffff}'], ""))
            .prop_map(|s| (s.clone(), s)),
        proptest::sample::select(vec![
            "yes",
            "no",
            "null",
            "~",
            "true",
            "on",
            "12",
            "1.50",
            "0x1F",
            "1e3",
            ".inf",
            "-",
            "- a",
            "*a",
            "&a",
            "!x",
            "#c",
            " # c",
            "a: b",
            "? x",
            "| ",
            "> ",
            "@a",
            "`",
            "%",
            "{",
            "}",
            "[",
            "]",
            ",",
            "'",
            "\"",
            "\\",
            "\\n",
            "\n",
            "\r\n",
            "\t",
            " ",
            "\u{1}",
            "\u{7f}",
            "\u{85}",
            "\u{a0}",
            "\u{2028}",
            "\u{feff}",
            "é",
            "日本",
            "😀",
            "---",
            "...",
            "<<",
            "=",
            "${}",
            "${ a}",
            "${a-b}",
            "${1}",
            "${",
            "${file:x}",
        ])
        .prop_map(same),
        Just(("${env:FOO}".to_owned(), "<FOO>".to_owned())),
        Just(("${BAR}".to_owned(), "<BAR>".to_owned())),
        Just(("${input:a b}".to_owned(), "<A_B>".to_owned())),
    ]
}

/// Parts joined by something that cannot make a reference out of two of them.
fn text() -> impl Strategy<Value = (String, String)> {
    proptest::collection::vec(fragment(), 0..4).prop_map(|parts| {
        // An unclosed `${` would find the `}` of a later part.
        let open = parts.iter().filter(|(source, _)| source == "${").count() > 0;
        let parts = if open {
            parts
                .into_iter()
                .filter(|(s, _)| s == "${" || !s.contains('}'))
                .collect()
        } else {
            parts
        };
        let join = |f: fn(&(String, String)) -> &str| parts.iter().map(f).collect::<Vec<_>>().concat();
        (join(|p| &p.0), join(|p| &p.1))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn strings_survive_import_and_load(arg in text(), value in text(), key in "[A-Za-z_.#&*!-][ !#-&(-9;<>-Z^-z|~é]{0,8}", id in any::<String>()) {
        let source = json!({"mcpServers": {&id: {"command": "x", "args": [arg.0], "env": {&key: value.0}, "other\nfield": value.0}}});
        let imported = convert(&source.to_string());
        let config = reload(&imported);
        let Transport::Stdio(command) = &config.servers[0].transport else { panic!("a program") };
        prop_assert_eq!(command.args[0].expose(), arg.1.as_str());
        prop_assert_eq!(&command.env[0].0, &key);
        prop_assert_eq!(command.env[0].1.expose(), value.1.as_str());
    }
}
