use std::sync::LazyLock;

use ferromcp_guard::{
    Action, Checked, Class, FieldKind, Guard, MAX_SCOPES, PatternConfig, PolicyError, Refusal, ScanLimits,
    Scope, Select, Severity, rule, rules, scan,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::corpora::guard;
use crate::oracle::{broken_document, document};

fn default_guard() -> &'static Guard {
    static GUARD: LazyLock<Guard> = LazyLock::new(|| guard(&PatternConfig::default()));
    &GUARD
}

/// The default rules, with every match flagged.
fn flagging() -> &'static Guard {
    static GUARD: LazyLock<Guard> = LazyLock::new(|| {
        guard(&PatternConfig {
            strongest: Action::Flag,
            max_findings: 100,
            ..PatternConfig::default()
        })
    });
    &GUARD
}

fn refused(arguments: &Value, tool: &str) -> Refusal {
    default_guard()
        .check(&arguments.to_string(), tool)
        .expect_err("must be refused")
}

fn accepted(guard: &Guard, arguments: &Value, tool: &str) -> Checked {
    guard
        .check(&arguments.to_string(), tool)
        .unwrap_or_else(|refusal| panic!("{refusal}"))
}

fn scope(tool: &str, field: &str, select: Select, action: Action) -> Scope {
    Scope {
        tool: tool.to_owned(),
        field: field.to_owned(),
        select,
        action,
    }
}

#[test]
fn a_refusal_says_where_and_why_and_leaks_nothing() {
    let text = r#"{"limit":1,"users":[{"name":"Ann"},{"name":"zebra' OR '1'='1"}]}"#;
    let refusal = default_guard().check(text, "find").unwrap_err();
    assert_eq!(refusal.violation.rule, "pattern.sql.tautology");
    assert_eq!(refusal.violation.pointer, "/users/1/name");
    assert_eq!(&text[refusal.violation.offset..][..6], "\"zebra");
    let finding = refusal.findings.last().unwrap();
    assert_eq!(
        (finding.class, finding.severity, finding.action),
        (Class::Sql, Severity::High, Action::Block)
    );
    assert!(!refusal.to_string().contains("zebra"), "{refusal}");
    assert!(
        refusal.to_string().contains("rule pattern.sql.tautology, byte"),
        "{refusal}"
    );
}

#[test]
fn keys_are_tried_and_not_shown() {
    let text = r#"{"a":{"zebra{{7*7}}":1}}"#;
    let refusal = default_guard().check(text, "x").unwrap_err();
    assert_eq!(
        (refusal.violation.rule, refusal.violation.pointer.as_str()),
        ("pattern.template.probe", "/a")
    );
    assert!(refusal.findings[0].key && !refusal.to_string().contains("zebra"));
    let refusal = refused(&json!({"user": {"$ne": null}}), "login");
    assert_eq!(refusal.violation.rule, "pattern.nosql.operator");
    accepted(
        default_guard(),
        &json!({"filter": {"age": {"$gt": 3}}}),
        "mongo_find",
    );
}

#[test]
fn limits_hold_in_the_same_pass() {
    let limits = ScanLimits {
        max_string: 10,
        ..ScanLimits::default()
    };
    let policy = ferromcp_guard::PatternPolicy::compile(&PatternConfig::default()).unwrap();
    let guard = Guard::new(limits, policy);
    let refusal = guard.check(r#"{"name":"' OR 1=1 -- long"}"#, "x").unwrap_err();
    assert_eq!(
        (refusal.violation.rule, refusal.findings.len()),
        (rule::STRING, 0)
    );
    let checked = guard.check(r#"{"a":[1,"b"]}"#, "x").unwrap();
    assert_eq!(Ok(checked.scanned), scan(r#"{"a":[1,"b"]}"#, &limits));
    assert_eq!(guard.check("{", "x").unwrap_err().violation.rule, rule::SYNTAX);
}

#[test]
fn exempted_fields_are_exempt_with_all_inside() {
    let attack = json!({"note": {"parts": ["<script>alert(1)</script>"]}, "other": "x"});
    let config = |scopes| PatternConfig {
        scopes,
        ..PatternConfig::default()
    };
    assert_eq!(refused(&attack, "save").violation.rule, "pattern.script.tag");
    let exempt = guard(&config(vec![scope(
        "save*",
        "note",
        Select::Class(Class::Script),
        Action::Off,
    )]));
    assert!(accepted(&exempt, &attack, "save_all").findings.is_empty());
    assert!(exempt.check(&attack.to_string(), "load").is_err());
    assert!(
        exempt
            .check(&json!({"notes": "<script>alert(1)</script>"}).to_string(), "save")
            .is_err()
    );
    assert!(
        exempt
            .check(&json!({"note": "' OR 1=1 --"}).to_string(), "save")
            .is_err()
    );
    // Later scopes win, and a scope switches a rule on where it is off by default.
    let again = guard(&config(vec![
        scope("*", "*", Select::All, Action::Off),
        scope(
            "write_file",
            "content",
            Select::Rule("pattern.script.tag".to_owned()),
            Action::Block,
        ),
    ]));
    accepted(&again, &attack, "save");
    let content = json!({"content": "<script>alert(1)</script>"});
    accepted(default_guard(), &content, "write_file");
    assert!(again.check(&content.to_string(), "write_file").is_err());
}

#[test]
fn strongest_action_and_choices() {
    let attack = json!({"name": "<script>alert(1)</script>"});
    let flags = guard(&PatternConfig {
        strongest: Action::Flag,
        ..PatternConfig::default()
    });
    let findings = accepted(&flags, &attack, "x").findings;
    assert!(
        findings
            .iter()
            .any(|finding| finding.rule == "pattern.script.tag")
    );
    assert!(findings.iter().all(|finding| finding.action == Action::Flag));
    let off = guard(&PatternConfig {
        strongest: Action::Off,
        ..PatternConfig::default()
    });
    assert!(accepted(&off, &attack, "x").findings.is_empty());
    assert!(!off.tool("x").watches_patterns() && flags.tool("x").watches_patterns());
    let mild = guard(&PatternConfig {
        actions: vec![
            (Select::Severity(Severity::High), Action::Flag),
            (Select::Rule("pattern.script.mention".to_owned()), Action::Off),
        ],
        ..PatternConfig::default()
    });
    let rules: Vec<_> = accepted(&mild, &attack, "x")
        .findings
        .iter()
        .map(|finding| finding.rule)
        .collect();
    assert_eq!(rules, ["pattern.script.tag"]);
}

#[test]
fn findings_are_bounded_and_the_refusing_one_is_told() {
    let guard = guard(&PatternConfig {
        max_findings: 3,
        ..PatternConfig::default()
    });
    let mut paths = vec!["../x"; 10];
    let checked = accepted(&guard, &json!({"paths": paths}), "x");
    assert_eq!((checked.findings.len(), checked.more), (3, true));
    paths.push("../../../x");
    let refusal = guard
        .check(&json!({"paths": paths}).to_string(), "x")
        .unwrap_err();
    assert_eq!((refusal.findings.len(), refusal.more), (3, true));
    assert_eq!(
        (refusal.violation.rule, refusal.violation.pointer.as_str()),
        ("pattern.path.traversal", "/paths/10")
    );
}

#[test]
fn policies_that_make_no_sense_are_refused() {
    let compile = |config: PatternConfig| ferromcp_guard::PatternPolicy::compile(&config).map(drop);
    let with = |scopes| PatternConfig {
        scopes,
        ..PatternConfig::default()
    };
    let unknown = scope("*", "*", Select::Rule("pattern.sql.typo".to_owned()), Action::Off);
    assert!(matches!(
        compile(with(vec![unknown])),
        Err(PolicyError::UnknownRule { .. })
    ));
    let fine = scope("a?b*", "x", Select::All, Action::Off);
    assert_eq!(compile(with(vec![fine.clone(); MAX_SCOPES])), Ok(()));
    assert_eq!(
        compile(with(vec![fine; MAX_SCOPES + 1])),
        Err(PolicyError::TooManyScopes)
    );
    let empty = scope("", "x", Select::All, Action::Off);
    assert_eq!(compile(with(vec![empty])), Err(PolicyError::Glob { scope: 0 }));
    let none = PatternConfig {
        max_findings: 0,
        ..PatternConfig::default()
    };
    assert_eq!(compile(none), Err(PolicyError::MaxFindings { found: 0 }));
}

#[test]
fn rules_explain_themselves() {
    for rule in rules() {
        assert!(
            FieldKind::ALL
                .iter()
                .any(|kind| rule.action(*kind) != Action::Off),
            "{}",
            rule.id
        );
    }
    assert!(rules().len() >= 40);
}

#[test]
fn disguises_are_undone() {
    for text in [
        "<script>alert(1)</script>",
        "%3Cscript%3Ealert(1)%3C/script%3E",
        "%253Cscript%253Ealert(1)%253C/script%253E",
        "&lt;script&gt;alert(1)&lt;/script&gt;",
        "&#60;script&#x3e;alert(1)",
        r"\u003cscript\u003ealert(1)",
        r"\x3cscript\x3ealert(1)",
        "＜ｓｃｒｉｐｔ＞ａｌｅｒｔ（１）",
        "<sc\u{200b}ript>alert(1)",
        "%u003cscript%u003ealert(1)",
        "%26lt%3Bscript&gt;alert(1)",
    ] {
        assert_eq!(
            refused(&json!({"text": text}), "x").violation.rule,
            "pattern.script.tag",
            "{text}"
        );
    }
}

/// A string written with every character escaped that the mask chooses.
fn escaped(text: &str, mask: &[bool]) -> String {
    let mut out = String::from("\"");
    for (at, character) in text.chars().enumerate() {
        if mask[at % mask.len()] {
            for unit in character.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04X}"));
            }
        } else {
            out.push_str(serde_json::to_string(&character).unwrap().trim_matches('"'));
            if character == '"' {
                out.push('"');
            }
        }
    }
    out.push('"');
    out
}

fn suspicious() -> impl Strategy<Value = String> {
    prop::collection::vec(
        prop_oneof![
            prop::sample::select(vec![
                "' or ",
                "1=1",
                "--",
                "<script",
                ">",
                "alert(1)",
                "../",
                "..%2f",
                "%",
                "25",
                "&#x3c;",
                "\\u003c",
                "{{7*7}}",
                "${jndi:",
                "}",
                "; cat /etc/passwd",
                "`id`",
                "$(",
                "\r\nBcc: a",
                "\0",
                "\u{202e}",
                "\u{200b}",
                "＜",
                "union select ",
                "null,",
                "/*",
                "*/",
                ")(",
                "uid=",
                "http://0x7f.1/",
                "\u{e0041}",
                "é",
                "\"",
                "\\",
            ])
            .prop_map(str::to_owned),
            "[a-z ]{0,6}",
        ],
        0..10,
    )
    .prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn escaping_changes_nothing(
        value in suspicious(), mask in prop::collection::vec(any::<bool>(), 1..6), field in prop::sample::select(vec!["name", "path", "text", "url", "args"])
    ) {
        let guard = flagging();
        let plain = format!("{{\"{field}\":{}}}", escaped(&value, &[false]));
        let other = format!("{{\"{field}\":{}}}", escaped(&value, &mask));
        prop_assert_eq!(serde_json::from_str::<Value>(&plain).unwrap(), serde_json::from_str::<Value>(&other).unwrap());
        prop_assert_eq!(guard.check(&plain, "x").unwrap().findings, guard.check(&other, "x").unwrap().findings);
    }

    #[test]
    fn places_are_right_and_values_stay_secret(
        before in prop::collection::vec("[a-z]{1,5}", 0..4), value in suspicious(), name in prop::sample::select(vec!["name", "path", "q", "text", "x"])
    ) {
        let guard = flagging();
        let document = json!({"list": before, "in": [{name: value}]});
        let text = document.to_string();
        for finding in guard.check(&text, "x").unwrap().findings {
            prop_assert_eq!(document.pointer(&finding.pointer).and_then(Value::as_str), Some(value.as_str()));
            let string = serde_json::Deserializer::from_str(&text[finding.offset..]).into_iter::<String>().next().unwrap().unwrap();
            prop_assert_eq!(&string, &value);
            let plain = finding.message.clone();
            let marked = json!({"list": before, "in": [{name: format!("{value} zebra")}]}).to_string();
            prop_assert!(guard.check(&marked, "x").unwrap().findings.iter().all(|finding| !finding.to_string().contains("zebra")));
            prop_assert!(plain.starts_with("a value in a field of kind "));
        }
    }

    #[test]
    fn verdict_of_the_scan_stands(text in prop_oneof![document(), broken_document()]) {
        let off = guard(&PatternConfig { strongest: Action::Off, ..PatternConfig::default() });
        let plain = scan(&text, &ScanLimits::default());
        for guard in [&off, flagging()] {
            let checked = guard.check(&text, "x").map(|checked| checked.scanned).map_err(|refusal| refusal.violation);
            prop_assert_eq!(&checked, &plain);
        }
    }

    #[test]
    fn exemption_of_a_field_is_complete(value in suspicious()) {
        let guard = guard(&PatternConfig { scopes: vec![scope("t", "free", Select::All, Action::Off)], ..PatternConfig::default() });
        let text = json!({"free": [value, {"path": value, (value.as_str()): 1}]}).to_string();
        prop_assert!(guard.check(&text, "t").is_ok_and(|checked| checked.findings.is_empty()));
    }

    #[test]
    fn nothing_panics(value in any::<String>(), field in any::<String>(), tool in any::<String>(), escape in any::<bool>()) {
        let text = if escape { format!("{{{}:{}}}", escaped(&field, &[true]), escaped(&value, &[true])) } else { json!({field: value}).to_string() };
        let _ = default_guard().check(&text, &tool);
        let _ = default_guard().check(&value, &tool);
    }
}
