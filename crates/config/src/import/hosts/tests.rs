//! Files of hosts as people have them, merged and handed over.

use std::path::Path;

use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, proptest};

use super::{Host, HostServer, Launch, Merged, Place, merge};
use crate::{Config, import};

fn host(name: &str, place: Option<Place>, text: &str) -> Host {
    let slug = name.to_ascii_lowercase();
    Host::parse(name, &slug, Path::new("host.json"), place, text).unwrap()
}

fn all(_: &HostServer) -> bool {
    true
}

fn merged(hosts: &[Host]) -> Merged {
    let set = |name: &str| (name == "SET").then(String::new);
    let merged = merge(hosts, &["Head.".to_owned()], &all, &set).unwrap();
    let config = Config::from_yaml(&merged.yaml, Path::new("ferromcp.yaml"), &set);
    config.unwrap_or_else(|error| panic!("{error}\n{}", merged.yaml));
    merged
}

fn launch() -> Launch {
    Launch {
        command: "/opt/ferro mcp/\"bin\"".to_owned(),
        args: vec!["serve".to_owned(), "--mode".to_owned()],
    }
}

const OWN: &str =
    r#"{"mcpServers":{"ferromcp":{"command":"/opt/ferro mcp/\"bin\"","args":["serve","--mode"]}"#;

/// Every value in one line, comments gone.
fn compact(text: &str) -> String {
    let lines = text.lines().map(|line| line.split("//").next().unwrap());
    let text: String = lines.collect();
    let mut text = text;
    for (from, to) in [("{ ", "{"), (" }", "}"), (": ", ":"), (", ", ","), ("  ", "")] {
        while text.contains(from) {
            text = text.replace(from, to);
        }
    }
    text
}

#[test]
fn the_same_server_is_one_and_another_of_its_name_gets_a_suffix() {
    let one = r#"{"mcpServers": {"git": {"command": "npx", "args": ["g"], "env": {"A": "1", "B": "2"}}, "web": {"url": "http://a/mcp"}}}"#;
    let same = r#"{"servers": {"git": {"type": "stdio", "command": "npx", "args": ["g"], "env": {"B": "2", "A": "1"}}}}"#;
    let other = r#"{"mcpServers": {"git": {"command": "uvx"}, "web": {"serverUrl": "http://b/mcp"}}}"#;
    let hosts = [
        host("One", None, one),
        host("Same", None, same),
        host("Other", None, other),
        host("Third", None, &other.replace("uvx", "bun")),
    ];
    let merged = merged(&hosts);
    let ids: Vec<(&str, &str, &[usize])> = merged
        .servers
        .iter()
        .map(|server| (&*server.id, &*server.wanted, &*server.hosts))
        .collect();
    assert_eq!(
        ids,
        [
            ("git", "git", &[0, 1][..]),
            ("web", "web", &[0]),
            ("git-other", "git", &[2]),
            ("web-other", "web", &[2, 3]),
            ("git-third", "git", &[3]),
        ]
    );
    assert!(
        merged.yaml.contains("# From One, Same.\n  git:"),
        "{}",
        merged.yaml
    );
}

#[test]
fn a_server_with_a_variable_that_is_not_set_is_disabled_and_said() {
    let text = r#"{"servers": {"a": {"command": "x", "env": {"T": "${input:my-token}", "S": "${env:SET}"}}, "b": {"command": "y"}}}"#;
    let merged = merged(&[host("Code", None, text)]);
    assert_eq!(merged.servers[0].unset, ["MY_TOKEN"]);
    assert!(merged.servers[1].unset.is_empty());
    assert!(
        merged.yaml.contains("disabled: true") && merged.yaml.contains("# Not set: MY_TOKEN."),
        "{}",
        merged.yaml
    );
}

#[test]
fn the_forms_of_zed_are_understood() {
    let text = r#"{
        // Zed
        "theme": "x",
        "context_servers": {
            "old": { "command": { "path": "a", "args": ["1"], "env": { "E": "v" } }, "settings": {} },
            "new": { "source": "custom", "command": "b", "args": [], "env": {}, },
        },
    }"#;
    let merged = merged(&[host("Zed", None, text)]);
    assert!(
        merged
            .yaml
            .contains("command: a\n    args: [\"1\"]\n    env:\n      E: v"),
        "{}",
        merged.yaml
    );
    assert_eq!(merged.servers.len(), 2);
    let imported = import(text, Path::new("settings.json")).unwrap();
    assert_eq!(imported.servers, 2);
}

#[test]
fn ids_stay_within_their_length() {
    let long = "a".repeat(32);
    let text = |command: &str| format!(r#"{{"mcpServers": {{"{long}": {{"command": "{command}"}}}}}}"#);
    let hosts: Vec<Host> = ["x", "y", "z"]
        .iter()
        .map(|command| host("Claude-Desktop", None, &text(command)))
        .collect();
    let merged = merged(&hosts);
    let ids: Vec<&str> = merged.servers.iter().map(|server| &*server.id).collect();
    assert_eq!(
        ids,
        [
            long.as_str(),
            "aaaaaaaaaaaaaaaaa-claude-desktop",
            "aaaaaaaaaaaaaaa-claude-desktop-2"
        ]
    );
}

#[test]
fn only_the_member_with_the_servers_changes() {
    let text = "\u{feff}{\r\n\t// keep this\r\n\t\"a\": [1,  2],\r\n\t\"mcpServers\": {\r\n\t\t\"git\": {\"command\": \"x\"}, // gone\r\n\t},\r\n\t\"b\": {},\r\n}\r\n";
    let changed = host("X", None, text).handed_over(&launch(), &[]);
    let (before, after) = text.split_once("{\r\n\t\t\"git\"").unwrap();
    let (_, after) = after.split_once("\r\n\t},").unwrap();
    assert_eq!(
        changed,
        format!(
            "{before}{{\r\n\t\t\"ferromcp\": {{\r\n\t\t\t\"command\": \"/opt/ferro mcp/\\\"bin\\\"\",\r\n\t\t\t\"args\": [\"serve\", \"--mode\"]\r\n\t\t}}\r\n\t}},{after}"
        )
    );
}

#[test]
fn what_the_host_keeps_stays_as_it_is_written() {
    let text = r#"{ "context_servers": { "ext": {"source": "extension",  "settings": {}}, "x": {"command": "y"} } }"#;
    let changed = host("Zed", None, text).handed_over(&launch(), &["ext".to_owned()]);
    assert_eq!(
        changed,
        r#"{ "context_servers": {"ferromcp": {"source": "custom","command": "/opt/ferro mcp/\"bin\"","args": ["serve", "--mode"],"env": {}},"ext": {"source": "extension",  "settings": {}}} }"#
    );
}

#[test]
fn where_nothing_was_it_becomes_the_first_member() {
    for (before, after) in [
        ("", format!("{OWN}}}}}")),
        (" \n", format!("{OWN}}}}}")),
        ("{}", format!("{OWN}}}}}")),
        ("{ // empty\n}", format!("{OWN}}}}}")),
        ("{\n  \"a\": 1\n}\n", format!("{OWN}}},\"a\":1}}")),
        ("{\"a\":1}", format!("{OWN}}},\"a\":1}}")),
        ("{\"mcpServers\": null, \"a\": 1}", format!("{OWN}}},\"a\":1}}")),
        ("{\"mcpServers\": {}}", format!("{OWN}}}}}")),
    ] {
        let changed = host("X", Some(Place::McpServers), before).handed_over(&launch(), &[]);
        assert_eq!(compact(&changed), after, "{before:?} became {changed}");
    }
    let nested = host(
        "Code",
        Some(Place::McpDotServers),
        "{\n    \"mcp\": {\n        \"inputs\": []\n    }\n}",
    );
    assert_eq!(
        nested.handed_over(&launch(), &[]),
        "{\n    \"mcp\": {\n        \"servers\": {\n            \"ferromcp\": {\n                \"type\": \"stdio\",\n                \
         \"command\": \"/opt/ferro mcp/\\\"bin\\\"\",\n                \"args\": [\"serve\", \"--mode\"]\n            }\n        },\n        \
         \"inputs\": []\n    }\n}"
    );
    for (before, after) in [
        ("{\"mcp\": null}", r#"{"mcp": {"servers": "#),
        (
            "{}",
            "{\n  \"mcp\": {\n    \"servers\": {\n      \"ferromcp\": {\n",
        ),
        ("", "{\n  \"mcp\": {\n    \"servers\": {\n      \"ferromcp\": {\n"),
    ] {
        let changed = host("Code", Some(Place::McpDotServers), before).handed_over(&launch(), &[]);
        assert!(changed.starts_with(after), "{changed}");
        let again = host("Code", Some(Place::McpDotServers), &changed);
        assert_eq!(again.servers()[0].name, "ferromcp");
    }
}

#[test]
fn mistakes_have_their_place() {
    for (text, place, said) in [
        ("[]", Place::McpServers, "host.json:1:1"),
        ("[]", Place::McpServers, "found a list"),
        ("{\n \"mcpServers\": [1]}", Place::McpServers, "host.json:2:16"),
        (
            "{\"mcp\": {\"servers\": 7}}",
            Place::McpDotServers,
            "host.json:1:21",
        ),
        ("{\"mcp\": {\"servers\": 7}}", Place::McpDotServers, "mcp.servers"),
        ("{\"mcpServers\": {", Place::McpServers, "is it cut off?"),
        ("{\"a\": 1, \"a\": 2}", Place::McpServers, "appears twice"),
        (&"[".repeat(100), Place::McpServers, "nested too deeply"),
        (&" ".repeat(5 << 20), Place::McpServers, "larger than 4 MiB"),
    ] {
        let error = Host::parse("X", "x", Path::new("host.json"), Some(place), text).unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
    }
    let text = "{\"mcpServers\": {\"good\": {\"command\": \"x\"},\n\"bad\": {\"command\": [\"hunter2\"]}}}";
    let hosts = [host("A", None, "{}"), host("B", None, text)];
    let (index, error) = merge(&hosts, &[], &all, &|_| None).unwrap_err();
    assert!(
        index == 1 && error.to_string().contains("host.json:2:"),
        "{error}"
    );
    assert!(!error.to_string().contains("hunter2"), "{error}");
}

/// JSON as people write it by hand.
fn lenient(depth: u32) -> impl Strategy<Value = String> {
    let leaf = proptest::prop_oneof![
        any::<i32>().prop_map(|n| n.to_string()),
        "[a-zé\"/\\\\]{0,8}".prop_map(|text| super::super::handover::quoted(&text)),
        proptest::strategy::Just("null".to_owned()),
    ];
    let blank = proptest::sample::select(vec!["", " ", "\n", "\n\t", " // }\n", "/* { */", "\r\n  "]);
    leaf.prop_recursive(depth, 24, 4, move |inner| {
        let blank = blank.clone();
        let members = proptest::collection::vec((inner, blank.clone(), blank), 0..4);
        (members, any::<bool>(), any::<bool>()).prop_map(|(members, object, trailing)| {
            let members: Vec<String> = members
                .into_iter()
                .enumerate()
                .map(|(at, (value, before, after))| match object {
                    true => format!("{before}\"k{at}\"{after}:{before}{value}{after}"),
                    false => format!("{before}{value}{after}"),
                })
                .collect();
            let comma = if trailing && !members.is_empty() { "," } else { "" };
            let inner = format!("{}{comma}", members.join(","));
            if object {
                format!("{{{inner}}}")
            } else {
                format!("[{inner}]")
            }
        })
    })
}

proptest! {
    /// What is around the servers survives, whatever it is; and the result is understood as what was meant.
    #[test]
    fn nothing_else_is_touched(before in lenient(3), after in lenient(3), servers in 0..3_usize, pretty in any::<bool>()) {
        let line = if pretty { "\n  " } else { "" };
        let servers: Vec<String> = (0..servers).map(|n| format!("\"s{n}\": {{\"command\": \"c\"}}")).collect();
        let head = format!("{{{line}\"before\": {before},{line}\"mcpServers\":");
        let tail = format!(",{line}\"after\": {after}{line}}}");
        let text = format!("{head}{{{}}}{tail}", servers.join(","));
        let changed = host("X", None, &text).handed_over(&launch(), &[]);
        prop_assert!(changed.starts_with(&head) && changed.ends_with(&tail), "{}", changed);
        let again = host("X", None, &changed);
        let servers = again.servers();
        prop_assert_eq!(servers.len(), 1);
        prop_assert_eq!(servers[0].command.as_deref(), Some(&*launch().command));
        prop_assert_eq!(&servers[0].args, &launch().args);
        prop_assert_eq!(again.handed_over(&launch(), &[]), changed);
    }

    /// The same where the member was not there.
    #[test]
    fn nothing_else_is_touched_by_a_new_member(before in lenient(3), pretty in any::<bool>()) {
        let line = if pretty { "\n  " } else { "" };
        let text = format!("{{{line}\"before\": {before}{line}}}");
        let changed = host("X", Some(Place::ContextServers), &text).handed_over(&launch(), &[]);
        prop_assert!(changed.starts_with('{') && changed.ends_with(&text[1..]), "{}", changed);
        let again = host("X", Some(Place::ContextServers), &changed);
        prop_assert_eq!(again.servers().len(), 1);
        prop_assert_eq!(again.handed_over(&launch(), &[]), changed);
    }
}
