use super::*;
use proptest::prelude::*;

#[test]
fn splits_members_and_keeps_raw_text() {
    let text = r#" { "a" : 1.50 , "b\u0063":{"x":[1,"}\""]}, "d":"q\"}", "e":null } "#;
    let object = Object::parse(text).unwrap();
    let members: Vec<_> = object.iter().collect();
    assert_eq!(
        members,
        [
            ("a", "1.50"),
            ("bc", r#"{"x":[1,"}\""]}"#),
            ("d", r#""q\"}""#),
            ("e", "null")
        ]
    );
    assert_eq!(object.get_str("d").unwrap(), "q\"}");
    assert_eq!(object.get_str("a"), None);
}

#[test]
fn refuses_duplicates_also_when_escaped_and_when_many() {
    let error = Object::parse(r#"{"a":1,"\u0061":2}"#).unwrap_err();
    assert!(error.duplicate_key && error.message.contains("`a`"), "{error}");
    let mut text = String::from("{");
    for i in 0..1000 {
        text.push_str(&format!("\"k{i}\":0,"));
    }
    let fine = format!("{}\"last\":0}}", text);
    assert_eq!(Object::parse(&fine).unwrap().len(), 1001);
    let twice = format!("{}\"k500\":0}}", text);
    assert!(Object::parse(&twice).unwrap_err().duplicate_key);
}

#[test]
fn says_what_it_found_instead_of_an_object() {
    for (text, word) in [
        ("[]", "an array"),
        ("1", "a number"),
        ("\"\"", "a string"),
        ("null", "null"),
        ("", "nothing"),
    ] {
        assert!(Object::parse(text).unwrap_err().message.contains(word), "{text}");
    }
}

#[test]
fn very_deep_documents_neither_overflow_nor_pass_as_something_else() {
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let text = validate(deep.as_bytes()).unwrap();
    assert_eq!(Object::parse(text).unwrap().get("a").unwrap().len(), 200_000);
}

#[test]
fn validate_says_where() {
    assert_eq!(validate(b"{\"a\":}").unwrap_err().offset, 5);
    assert_eq!(validate(b"{\n \"a\":tru}").unwrap_err().offset, 10);
    assert!(
        validate(&[b'"', 0xff, b'"'])
            .unwrap_err()
            .message
            .contains("UTF-8")
    );
    assert!(validate(b"{} {}").is_err());
    assert!(validate(b"").is_err());
}

#[test]
fn elements_are_bounded() {
    assert_eq!(elements("[1, [2] ,\"]\"]", 3).unwrap(), ["1", "[2]", "\"]\""]);
    assert!(elements("[1,2]", 1).is_err());
    assert!(elements("[]", 0).unwrap().is_empty());
    assert!(elements("[1", 5).is_err());
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        ".*".prop_map(serde_json::Value::String),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            prop::collection::btree_map(".{0,8}", inner, 0..6)
                .prop_map(|m| serde_json::Value::Object(m.into_iter().collect())),
        ]
    })
}

/// Tokens of JSON in any order, so that right and wrong ones are near to each other.
fn json_like() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        prop::sample::select(vec![
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "\"a\"",
            "\"a\":",
            "\"\"",
            "true",
            "false",
            "null",
            "nul",
            "0",
            "-0",
            "01",
            "-",
            "1.5",
            "1.",
            ".5",
            "1e5",
            "1e",
            "1E+2",
            "1e-",
            "1.5e+300",
            " ",
            "\n",
            "\t",
            "\r",
            "\u{b}",
            "\"\\u00e9\"",
            "\"\\u00e\"",
            "\"\\ud800\"",
            "\"\\x\"",
            "\"\\\\\"",
            "\"\\\"",
            "\"\n\"",
            "\"\u{1f}\"",
            "\"\u{7f}é\"",
            "\"12345678\"",
            "\"",
            "{\"a\":1}",
            "[1,2]",
            "{}",
            "[]",
            "[{}]",
            "[[1]]",
            "{\"a\":{\"b\":[1,{}]}}",
        ])
        .prop_map(str::to_owned),
        any_json().prop_map(|value| value.to_string()),
    ];
    prop::collection::vec(token, 1..6).prop_map(|tokens| tokens.concat())
}

#[test]
fn levels_are_kept_right_at_every_depth_around_a_word() {
    for depth in (1..70).chain(126..131).chain([191, 192, 193, 1000]) {
        // Objects and arrays in turn, so that a level that is forgotten shows.
        let open: String = (0..depth)
            .map(|i| if i % 3 == 0 { "[" } else { "{\"k\":" })
            .collect();
        let close: String = (0..depth)
            .rev()
            .map(|i| if i % 3 == 0 { "]" } else { "}" })
            .collect();
        assert!(validate(format!("{open}1{close}").as_bytes()).is_ok(), "{depth}");
        let wrong = if (depth - 1) % 3 == 0 { "}" } else { "]" };
        assert!(
            validate(format!("{open}1{wrong}{}", &close[1..]).as_bytes()).is_err(),
            "{depth}"
        );
        let outermost = format!("{open}1{}}}", &close[..close.len() - 1]);
        assert!(validate(outermost.as_bytes()).is_err(), "{depth}");
    }
}

proptest! {
    #[test]
    fn agrees_with_serde_json_on_objects(members in prop::collection::btree_map(".{0,8}", any_json(), 0..8), pretty: bool) {
        let value = serde_json::Value::Object(members.into_iter().collect());
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        let object = Object::parse(validate(text.as_bytes()).unwrap()).unwrap();
        let rebuilt: serde_json::Map<_, _> = object
            .iter()
            .map(|(k, v)| (k.to_owned(), serde_json::from_str(v).unwrap()))
            .collect();
        prop_assert_eq!(serde_json::Value::Object(rebuilt), value);
    }

    #[test]
    fn never_panics_on_any_text(text in ".*") {
        let _ = Object::parse(&text);
        let _ = elements(&text, 100);
        let _ = validate(text.as_bytes());
    }

    #[test]
    fn never_panics_on_broken_json(value in any_json(), cut in 0usize..400, flip in any::<u8>()) {
        let mut bytes = serde_json::to_vec(&value).unwrap();
        bytes.truncate(cut);
        if let Some(last) = bytes.last_mut() { *last = flip; }
        let _ = validate(&bytes);
        if let Ok(text) = std::str::from_utf8(&bytes) { let _ = Object::parse(text); }
    }

    #[test]
    fn accepts_what_serde_json_accepts(text in json_like()) {
        let theirs = serde_json::from_str::<&serde_json::value::RawValue>(&text).map(serde_json::value::RawValue::get);
        prop_assert_eq!(validate(text.as_bytes()).ok(), theirs.ok(), "{}", text);
    }

    #[test]
    fn quoting_round_trips(text in ".*") {
        prop_assert_eq!(decode_str(&quote(&text)).unwrap().into_owned(), text);
    }
}
