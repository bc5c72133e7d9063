use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use serde_json::{Map, Value, json};

use super::*;

fn run(text: &str, max: usize) -> String {
    let keys = SecretKeys::new(DEFAULT_SECRET_KEYS).unwrap();
    let mut out = b">".to_vec();
    redact(&mut out, text.as_bytes(), text.len() as u64, &keys, max);
    let out = String::from_utf8(out).unwrap();
    assert!(
        out.len() <= 1 + max + 64 || out.contains(NOT_JSON),
        "{}",
        out.len()
    );
    out[1..].to_owned()
}

#[test]
fn secrets_go_and_the_rest_stays_byte_for_byte() {
    let text = r#" { "user" : "x", "PassWord" : {"a":[1,2,{"b":"hush"}]}, "n": [ {"api-key":"hush","ok":1.50e3} ], "accessToken":null, "max_tokens": 5 } "#;
    let clean = r#" { "user" : "x", "PassWord" : "[redacted]", "n": [ {"api-key":"[redacted]","ok":1.50e3} ], "accessToken":"[redacted]", "max_tokens": 5 } "#;
    assert_eq!(run(text, 1000), clean);
}

#[test]
fn a_key_may_be_written_with_escapes() {
    assert_eq!(
        run(r#"{"p\u0061ssword":"hush","\ud800x":"hush"}"#, 100),
        r#"{"p\u0061ssword":"[redacted]","\ud800x":"[redacted]"}"#
    );
}

#[test]
fn scalars_and_half_surrogates_are_kept() {
    for text in [
        r#""a\ud800b""#,
        "1",
        "-0.5e+3",
        "true",
        "null",
        "[]",
        "{}",
        r#"[{"a":"\u0000"}]"#,
    ] {
        assert_eq!(run(text, 100), text);
    }
}

#[test]
fn what_is_no_json_is_not_stored() {
    for text in [
        "",
        "{",
        "hush",
        r#"{"password" "hush"}"#,
        r#"{"password":"hush"}}"#,
        r#"{"a":"hush",}"#,
        r#"["hush"}"#,
        r#"{"a":01}"#,
        r#"{"a":"\x"}"#,
        "{\"a\":\"\u{1}\"}",
        r#"{"a":tru}"#,
        r#"{"a":"hush"#,
        r#"{password:"hush"}"#,
        "1 2",
        r#"{"a":"\u12"}"#,
    ] {
        assert_eq!(run(text, 100), NOT_JSON, "{text}");
    }
    assert_eq!(run(&"[".repeat(100_000), 1000), NOT_JSON);
}

#[test]
fn long_arguments_are_cut_with_a_mark() {
    let text = format!(
        r#"{{"password":"{}","a":"{}"}}"#,
        "h".repeat(500),
        "é".repeat(1000)
    );
    let out = run(&text, 101);
    assert!(out.starts_with(r#"{"password":"[redacted]","a":"éé"#), "{out}");
    assert!(out.ends_with(&format!("é…[cut: {} bytes]", text.len())), "{out}");
    assert_eq!(out.matches("[cut").count(), 1);
}

#[test]
fn the_beginning_of_a_document_is_enough() {
    let text = r#"{"a":"b","password":["hush","hush"],"c":"fine"}"#;
    let keys = SecretKeys::new(DEFAULT_SECRET_KEYS).unwrap();
    for end in 0..text.len() {
        let mut out = Vec::new();
        redact(&mut out, &text.as_bytes()[..end], text.len() as u64, &keys, 1000);
        let out = String::from_utf8(out).unwrap();
        assert!(out.ends_with("…[cut: 47 bytes]"), "{end} {out}");
        assert!(!out.contains('h'), "{end} {out}");
    }
}

#[test]
fn patterns() {
    let keys = SecretKeys::new(["a*", "*b", "*qq*", "exact"]).unwrap();
    for (key, secret) in [
        ("Axe", true),
        ("b", true),
        ("x_B", true),
        ("xqqx", true),
        ("E-XACT", true),
    ] {
        assert_eq!(keys.matches(key), secret, "{key}");
    }
    assert!(!keys.matches("bx") && !keys.matches("exactly"));
    for wrong in ["", "*", "**", "a*b", "_", &"x".repeat(200)] {
        assert!(SecretKeys::new([wrong]).is_err(), "{wrong}");
    }
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        let key = prop_oneof![
            Just("password".to_owned()),
            Just("Auth_Token".to_owned()),
            ".{0,6}".prop_map(|key: String| key),
        ];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::btree_map(key, inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn model(value: &Value, keys: &SecretKeys) -> Value {
    match value {
        Value::Object(members) => members
            .iter()
            .map(|(key, value)| {
                let value = if keys.matches(key) {
                    json!("[redacted]")
                } else {
                    model(value, keys)
                };
                (key.clone(), value)
            })
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(items) => items.iter().map(|item| model(item, keys)).collect(),
        other => other.clone(),
    }
}

proptest! {
    #[test]
    fn the_pass_does_what_a_tree_would(value in values()) {
        let keys = SecretKeys::new(DEFAULT_SECRET_KEYS).unwrap();
        let out = run(&value.to_string(), 1 << 20);
        assert_eq!(serde_json::from_str::<Value>(&out).unwrap(), model(&value, &keys));
    }

    #[test]
    fn no_text_makes_it_panic(text in ".{0,60}", max in 0usize..50) {
        run(&text, max);
    }
}
