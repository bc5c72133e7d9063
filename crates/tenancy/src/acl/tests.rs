use proptest::prelude::{ProptestConfig, Strategy, any, prop, prop_assert, prop_assert_eq, proptest};

use super::*;

fn list(allow: &[&str], deny: &[&str], default: AclDefault) -> List {
    List {
        allow: allow.iter().map(|text| (*text).to_owned()).collect(),
        deny: deny.iter().map(|text| (*text).to_owned()).collect(),
        default,
    }
}

fn tools(allow: &[&str], deny: &[&str], default: AclDefault) -> Acl {
    let settings = AclSettings {
        tools: list(allow, deny, default),
        ..AclSettings::default()
    };
    Acl::new(&settings).unwrap()
}

#[test]
fn each_rule() {
    let acl = tools(
        &["read_*", "list_dir"],
        &["read_secret", "*_{admin,root}"],
        AclDefault::Allow,
    );
    for (name, allowed, rule, pattern) in [
        ("read_file", true, "acl.tool.allow", Some("read_*")),
        ("list_dir", true, "acl.tool.allow", Some("list_dir")),
        ("read_secret", false, "acl.tool.deny", Some("read_secret")),
        ("read_root", false, "acl.tool.deny", Some("*_{admin,root}")),
        ("write_file", false, "acl.tool.default", None),
        ("LIST_DIR", false, "acl.tool.default", None),
        ("", false, "acl.tool.default", None),
    ] {
        let decision = acl.tool(name);
        assert_eq!(
            (decision.allowed, decision.rule, decision.pattern),
            (allowed, rule, pattern),
            "{name}"
        );
        assert!(
            decision
                .explain()
                .starts_with(if allowed { "allowed" } else { "denied" })
        );
        assert_eq!(acl.decide(Kind::Tool, name), decision);
    }
    let prompt = acl.prompt("any");
    assert_eq!((prompt.allowed, prompt.rule), (true, "acl.prompt.default"));
}

#[test]
fn without_allow_patterns_the_default_decides() {
    assert!(tools(&[], &[], AclDefault::Allow).tool("x").allowed);
    assert!(tools(&[], &["y"], AclDefault::Allow).tool("x").allowed);
    assert!(!tools(&[], &[], AclDefault::Deny).tool("x").allowed);
    assert!(tools(&["x"], &[], AclDefault::Deny).tool("x").allowed);
    assert!(!tools(&["x"], &[], AclDefault::Allow).tool("y").allowed);
}

#[test]
fn one_resource_is_one_resource_however_it_is_spelt() {
    let settings = AclSettings {
        resources: list(
            &["file:///data/*", "https://example.com/*"],
            &["file:///data/secret/*", "*.env"],
            AclDefault::Allow,
        ),
        ..AclSettings::default()
    };
    let acl = Acl::new(&settings).unwrap();
    for uri in [
        "file:///data/a.txt",
        "FILE:///data/a.txt",
        "file:///d%61ta/a.txt",
        "file:///data/a%20b.txt",
        "file:///data/sub/a",
        "https://EXAMPLE.com/x?y=../z",
    ] {
        assert!(acl.resource(uri).allowed, "{uri}");
    }
    for (uri, rule) in [
        ("file:///data/secret/a", "acl.resource.deny"),
        ("file:///data/s%65cret/a", "acl.resource.deny"),
        ("file:///data/secret%2Fa", "acl.resource.deny"),
        ("file:///data/secret%2fa", "acl.resource.deny"),
        ("file:///data/x.%65nv", "acl.resource.deny"),
        ("file:///etc/passwd", "acl.resource.default"),
        ("file:///data%2F..%2Fetc", "acl.resource.form"),
        ("file:///data/../etc/passwd", "acl.resource.form"),
        ("file:///data/%2e%2E/etc", "acl.resource.form"),
        ("file:///data/%252e%252e/etc", "acl.resource.form"),
        ("file:///data/..\\etc", "acl.resource.form"),
        ("file:///data/a%00", "acl.resource.form"),
        ("file:///data/a\n", "acl.resource.form"),
        ("https://example.com.evil/x", "acl.resource.default"),
    ] {
        let decision = acl.resource(uri);
        assert_eq!((decision.allowed, decision.rule), (false, rule), "{uri}");
    }
    let open = Acl::new(&AclSettings::default()).unwrap();
    assert!(
        open.resource("file:///a/../b").allowed,
        "without patterns there is nothing to get round"
    );
}

#[test]
fn patterns_that_cannot_be_used_are_all_named() {
    let settings = AclSettings {
        tools: list(&["ok", "[z-a]", ""], &["{a"], AclDefault::Allow),
        resources: list(&[], &[&"x".repeat(MAX_PATTERN_BYTES + 1)], AclDefault::Allow),
        prompts: List {
            allow: vec!["x".to_owned(); MAX_PATTERNS + 1],
            ..List::default()
        },
    };
    let errors = Acl::new(&settings).unwrap_err();
    let places: Vec<String> = errors
        .iter()
        .map(|error| format!("{}[{}]", error.field, error.index))
        .collect();
    assert_eq!(
        places,
        [
            "tools.allow[1]",
            "tools.allow[2]",
            "tools.deny[0]",
            "resources.deny[0]",
            "prompts.allow[1000]"
        ]
    );
    assert!(errors.iter().all(|error| error.to_string().len() < 300));
}

fn patterns() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("[ab*?]{1,4}", 0..5)
}

/// What a pattern of `a`, `b`, `*` and `?` means, told plainly.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => {
            matches(rest, name) || name.split_first().is_some_and(|(_, tail)| matches(pattern, tail))
        }
        (Some((b'?', rest)), Some((_, tail))) => matches(rest, tail),
        (Some((own, rest)), Some((other, tail))) => own == other && matches(rest, tail),
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn deny_wins_and_allow_lists_close(allow in patterns(), deny in patterns(), closed in any::<bool>(), name in "[ab/]{0,5}") {
        let default = if closed { AclDefault::Deny } else { AclDefault::Allow };
        let settings = AclSettings {
            tools: List { allow: allow.clone(), deny: deny.clone(), default },
            ..AclSettings::default()
        };
        let acl = Acl::new(&settings).unwrap();
        let any = |list: &[String]| list.iter().any(|pattern| matches(pattern.as_bytes(), name.as_bytes()));
        let expected = !any(&deny) && if allow.is_empty() { !closed } else { any(&allow) };
        let decision = acl.tool(&name);
        prop_assert_eq!(decision.allowed, expected, "{:?}", decision);
        if let Some(pattern) = decision.pattern {
            prop_assert!(matches(pattern.as_bytes(), name.as_bytes()));
        }
    }

    #[test]
    fn any_uri_gets_an_answer(uri in any::<String>()) {
        let settings = AclSettings {
            resources: list(&["file:*"], &["*secret*"], AclDefault::Allow),
            ..AclSettings::default()
        };
        let acl = Acl::new(&settings).unwrap();
        let decision = acl.resource(&uri);
        prop_assert!(!decision.allowed || !uri.contains("secret"));
    }
}
