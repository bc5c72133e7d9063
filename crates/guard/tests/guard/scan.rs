use std::time::Instant;

use ferromcp_guard::{Kind, ScanLimits, Scanned, Violation, rule, scan, scan_bytes};
use proptest::prelude::*;
use serde::de::IgnoredAny;

use crate::oracle::{Strict, broken_document, document};

fn refused(text: &str) -> Violation {
    scan(text, &ScanLimits::default()).expect_err(text)
}

fn accepted(text: &str) -> Scanned {
    scan(text, &ScanLimits::default()).unwrap_or_else(|violation| panic!("{text}: {violation}"))
}

#[track_caller]
fn at(text: &str, rule: &str, pointer: &str, offset: usize) {
    let violation = refused(text);
    assert_eq!(
        (violation.rule, violation.pointer.as_str(), violation.offset),
        (rule, pointer, offset),
        "{text}"
    );
}

fn agrees(text: &str) -> Result<(), TestCaseError> {
    let ours = scan(text, &ScanLimits::UNBOUNDED);
    let theirs = serde_json::from_str::<Strict>(text);
    prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{:?} / {:?}", ours, theirs.err());
    if let Err(violation) = &ours {
        prop_assert!(violation.offset <= text.len());
        if violation.rule == rule::SYNTAX {
            prop_assert!(serde_json::from_str::<IgnoredAny>(text).is_err());
        }
    } else {
        prop_assert!(serde_json::from_str::<serde_json::Value>(text).is_ok());
    }
    prop_assert_eq!(scan_bytes(text.as_bytes(), &ScanLimits::UNBOUNDED), ours);
    Ok(())
}

/// A value inside containers, each with siblings before it: the text, and the pointer of the value.
fn nested(steps: &[(bool, String, usize)], innermost: &str) -> (String, String) {
    let mut text = innermost.to_owned();
    let mut pointer = String::new();
    for (object, key, before) in steps {
        let quoted = serde_json::to_string(key).unwrap();
        if *object {
            let siblings: String = (0..*before)
                .map(|at| format!("\"sibling{at}\":[{{}}, \"}}\"],"))
                .collect();
            text = format!("{{{siblings}{quoted} : {text}}}");
            pointer = format!("/{}{pointer}", key.replace('~', "~0").replace('/', "~1"));
        } else {
            text = format!("[{}{text}]", "{\"a\":[1,\"]\"]},".repeat(*before));
            pointer = format!("/{before}{pointer}");
        }
    }
    (text, pointer)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_serde_json_on_documents(text in document()) {
        agrees(&text)?;
    }

    #[test]
    fn agrees_with_serde_json_on_broken_documents(text in broken_document()) {
        agrees(&text)?;
    }

    #[test]
    fn agrees_with_serde_json_on_character_soup(text in r#"[\[\]{}",:\\u0-9a-ftrulsn.eE+\- \n\x00-\x02äé𝄞]{0,24}"#) {
        agrees(&text)?;
    }

    #[test]
    fn agrees_with_serde_json_on_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let theirs = serde_json::from_slice::<Strict>(&bytes);
        prop_assert_eq!(scan_bytes(&bytes, &ScanLimits::UNBOUNDED).is_ok(), theirs.is_ok());
    }

    #[test]
    fn points_at_the_value_at_fault(
        steps in prop::collection::vec((any::<bool>(), "[a-c~/\"\\\\ä\n]{1,4}", 0_usize..4), 0..6)
    ) {
        let limits = ScanLimits { max_string: 12, max_items: 5, ..ScanLimits::default() };
        for (innermost, rule, tail) in [
            ("\"more than twelve bytes\"", rule::STRING, ""),
            ("[1,2,3,4,5,6]", rule::ITEMS, ""),
            (r#"{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6}"#, rule::ITEMS, ""),
            (r#"{"b":1,"a":1,"\u0061":2}"#, rule::DUPLICATE_KEY, "/a"),
            (r#"[1,"\ud800"]"#, rule::SURROGATE, "/1"),
            ("{\"x\":1e999}", rule::NUMBER_RANGE, "/x"),
            ("{\"x\":[true,truth]}", rule::SYNTAX, "/x/1"),
        ] {
            let (text, pointer) = nested(&steps, innermost);
            let violation = scan(&text, &limits).unwrap_err();
            prop_assert_eq!(violation.rule, rule, "{}", &text);
            prop_assert_eq!(violation.pointer, format!("{pointer}{tail}"), "{}", &text);
        }
    }

    #[test]
    fn counts_what_a_parser_finds(text in document()) {
        fn measure(value: &serde_json::Value) -> (usize, usize) {
            let inside: Vec<(usize, usize)> = match value {
                serde_json::Value::Array(items) => items.iter().map(measure).collect(),
                serde_json::Value::Object(members) => members.values().map(measure).collect(),
                _ => return (0, 1),
            };
            let deepest = inside.iter().map(|(depth, _)| *depth).max().unwrap_or(0);
            (deepest + 1, 1 + inside.iter().map(|(_, values)| values).sum::<usize>())
        }
        if let Ok(scanned) = scan(&text, &ScanLimits::UNBOUNDED) {
            let value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!((scanned.depth, scanned.values), measure(&value));
        }
    }
}

#[test]
fn summarises_what_it_accepts() {
    assert_eq!(
        accepted(r#" {"msg":"hi"} "#),
        Scanned {
            kind: Kind::Object,
            depth: 1,
            values: 2
        }
    );
    assert_eq!(
        accepted("[[],{}]"),
        Scanned {
            kind: Kind::Array,
            depth: 2,
            values: 3
        }
    );
    for (text, kind) in [
        ("\"x\"", Kind::String),
        ("-0.5e-3", Kind::Number),
        ("true", Kind::Bool),
        ("false", Kind::Bool),
        ("null", Kind::Null),
    ] {
        assert_eq!(
            accepted(text),
            Scanned {
                kind,
                depth: 0,
                values: 1
            }
        );
    }
}

#[test]
fn holds_text_to_the_grammar() {
    at("", rule::SYNTAX, "", 0);
    at(" \n", rule::SYNTAX, "", 2);
    at("\u{feff}{}", rule::SYNTAX, "", 0);
    at("{} {}", rule::SYNTAX, "", 3);
    at("[1,]", rule::SYNTAX, "/0", 2);
    at(r#"{"a":1,}"#, rule::SYNTAX, "/a", 6);
    at(r#"{"a" 1}"#, rule::SYNTAX, "/a", 5);
    at("{a:1}", rule::SYNTAX, "", 1);
    at("{,}", rule::SYNTAX, "", 1);
    at("[,1]", rule::SYNTAX, "/0", 1);
    at("[1 2]", rule::SYNTAX, "/0", 3);
    at("[1}", rule::SYNTAX, "/0", 2);
    at(r#"{"a":1]"#, rule::SYNTAX, "/a", 6);
    at("['a']", rule::SYNTAX, "/0", 1);
    at("[tru", rule::SYNTAX, "/0", 4);
    at("[\"a\nb\"]", rule::SYNTAX, "/0", 3);
    at(r#"["a\x"]"#, rule::SYNTAX, "/0", 3);
    at(r#"["\u00g0"]"#, rule::SYNTAX, "/0", 2);
    at(r#"["\u00"#, rule::SYNTAX, "/0", 6);
    at(r#"{"a":{"b":["#, rule::SYNTAX, "/a/b/0", 11);
    at("\u{b}1", rule::SYNTAX, "", 0);
    for number in [
        "01", "-", "+1", "1.", ".5", "1e", "1e+", "-01", "0x1", "1_0", "NaN", "Infinity", "--1", "1.e5", "00",
    ] {
        assert_eq!(refused(number).rule, rule::SYNTAX, "{number}");
        assert_eq!(refused(&format!("[{number}]")).rule, rule::SYNTAX, "[{number}]");
    }
    for number in [
        "0",
        "-0",
        "0.0",
        "1e5",
        "1E+5",
        "1e-999",
        "0e999",
        "-0.0e-0",
        "18446744073709551616",
        "1.7976931348623157e308",
    ] {
        accepted(number);
    }
}

#[test]
fn every_byte_value_ends_or_continues_a_string_as_it_should() {
    // At every distance from the opening quote, so that each lane of the wide loop meets each byte.
    for before in 0..20 {
        for code in 0..=0x7f_u8 {
            let text = format!("\"{}{}{}\"", "x".repeat(before), code as char, "yyyyyyyyyy");
            let ours = scan(&text, &ScanLimits::UNBOUNDED).is_ok();
            assert_eq!(ours, serde_json::from_str::<Strict>(&text).is_ok(), "{text:?}");
        }
        for code in 0x80..=0xff_u8 {
            let text = format!("\"{}{}{}\"", "x".repeat(before), code as char, "é");
            accepted(&text);
        }
    }
}

#[test]
fn refuses_duplicate_keys_at_every_level_and_in_every_spelling() {
    at(r#"{"a":1,"a":2}"#, rule::DUPLICATE_KEY, "/a", 7);
    at(r#"{"a":1,"\u0061":2}"#, rule::DUPLICATE_KEY, "/a", 7);
    at(r#"{"\u0061":1,"a":2}"#, rule::DUPLICATE_KEY, "/a", 12);
    at(r#"{"":1,"":2}"#, rule::DUPLICATE_KEY, "/", 6);
    at(
        r#"{"x":[{"k":0},{"a/b~":1,"a\/b~":2}]}"#,
        rule::DUPLICATE_KEY,
        "/x/1/a~1b~0",
        24,
    );
    at(r#"{"𝄞":1,"\ud834\udd1e":2}"#, rule::DUPLICATE_KEY, "/𝄞", 10);
    at(
        r#"{"a":{"a":{"a":1}},"b":[{"a":1},{"a":1}],"a":2}"#,
        rule::DUPLICATE_KEY,
        "/a",
        41,
    );
    assert!(refused(r#"{"a":1,"a":2}"#).message.contains("\"a\""));
    accepted(r#"{"a":{"a":{"a":1}},"b":[{"a":1},{"a":1}],"A":2}"#);
}

#[test]
fn finds_duplicates_on_both_sides_of_the_switch_to_a_set() {
    for count in [2, 15, 16, 17, 18, 40, 300] {
        let key = |at: usize| {
            if at.is_multiple_of(3) {
                format!("\\u006b{at}")
            } else {
                format!("k{at}")
            }
        };
        let mut members: Vec<String> = (0..count)
            .map(|at| format!("\"{}\":{{\"k1\":0}}", key(at)))
            .collect();
        accepted(&format!("{{{}}}", members.join(",")));
        for again in [0, count / 2, count - 1] {
            members.push(format!("\"k{again}\":1"));
            let violation = refused(&format!("[{{{}}}]", members.join(",")));
            assert_eq!(
                (violation.rule, violation.pointer),
                (rule::DUPLICATE_KEY, format!("/0/k{again}"))
            );
            members.pop();
        }
    }
    // Sets of nested objects: leaving an inner one must bring back the outer one's.
    let wide = |name: &str| -> String { (0..30).map(|at| format!("\"{name}{at}\":0,")).collect() };
    let (outer, inner) = (wide("o"), wide("i"));
    at_rule(
        &format!("{{{outer}\"in\":{{{inner}\"x\":0}},\"o7\":1}}"),
        rule::DUPLICATE_KEY,
        "/o7",
    );
    at_rule(
        &format!("{{{outer}\"in\":{{{inner}\"i8\":0}},\"y\":1}}"),
        rule::DUPLICATE_KEY,
        "/in/i8",
    );
    accepted(&format!("{{{outer}\"in\":{{{inner}\"x\":0}},\"i7\":1}}"));
    accepted(&format!(
        "{{{outer}\"in\":{{{outer}\"in\":{{{outer}\"x\":0}}}},\"x\":1}}"
    ));
}

#[track_caller]
fn at_rule(text: &str, rule: &str, pointer: &str) {
    let violation = refused(text);
    assert_eq!((violation.rule, violation.pointer.as_str()), (rule, pointer));
}

#[test]
fn limits_are_inclusive() {
    let limits = ScanLimits {
        max_bytes: 60,
        max_depth: 3,
        max_string: 4,
        max_items: 3,
        max_key: 2,
    };
    let check = |text: &str| scan(text, &limits).map_err(|violation| violation.rule);
    assert!(check("[[[]]]").is_ok());
    assert_eq!(check("[[[[]]]]"), Err(rule::DEPTH));
    assert_eq!(check("[[[{}]]]"), Err(rule::DEPTH));
    assert!(check("\"abcd\"").is_ok());
    assert_eq!(check("\"abcde\""), Err(rule::STRING));
    assert!(check(r#""\u0061\u0062\u0063\u0064""#).is_ok());
    assert!(check(r#""\ud834\udd1e""#).is_ok());
    assert_eq!(check(r#""\ud834\udd1ex""#), Err(rule::STRING));
    assert_eq!(check("\"€€\""), Err(rule::STRING));
    assert!(check("[1,2,3]").is_ok());
    assert_eq!(check("[1,2,3,4]"), Err(rule::ITEMS));
    assert!(check(r#"{"a":1,"b":2,"c":3}"#).is_ok());
    assert_eq!(check(r#"{"a":1,"b":2,"c":3,"d":4}"#), Err(rule::ITEMS));
    assert!(check(r#"{"ab":[1,2,3]}"#).is_ok());
    assert_eq!(check(r#"{"abc":1}"#), Err(rule::KEY));
    assert!(check(&format!("{}1{}", " ".repeat(30), " ".repeat(29))).is_ok());
    assert_eq!(
        check(&format!("{}1{}", " ".repeat(30), " ".repeat(30))),
        Err(rule::BYTES)
    );
    assert_eq!(scan_bytes(&[0xff; 61], &limits).unwrap_err().rule, rule::BYTES);
    let number = format!("0.{}", "1".repeat(1022));
    accepted(&number);
    assert_eq!(refused(&format!("{number}1")).rule, rule::NUMBER);
}

#[test]
fn ten_thousand_levels_are_refused_at_the_limit() {
    for (open, depth) in [("[", 20), ("{\"a\":", 20)] {
        let violation = refused(&open.repeat(10_000));
        assert_eq!(
            (violation.rule, violation.offset),
            (rule::DEPTH, depth * open.len())
        );
        let violation = scan(&open.repeat(10_000), &ScanLimits::UNBOUNDED).unwrap_err();
        assert_eq!(
            (violation.rule, violation.offset),
            (rule::DEPTH, 127 * open.len())
        );
    }
    // What passes at the ceiling, a parser takes as well.
    let deepest = format!("{}{}", "[".repeat(127), "]".repeat(127));
    assert!(scan(&deepest, &ScanLimits::UNBOUNDED).is_ok());
    assert!(serde_json::from_str::<serde_json::Value>(&deepest).is_ok());
}

#[test]
fn a_million_keys_take_linear_time() {
    let object = |count: usize| -> String {
        let members: Vec<String> = (0..count).map(|at| format!("\"{at:07}\":0")).collect();
        format!("{{{}}}", members.join(","))
    };
    at_rule(&format!("{{\"a\":{}}}", object(10_001)), rule::ITEMS, "/a");
    accepted(&object(10_000));
    let text = object(1_000_000);
    let started = Instant::now();
    assert_eq!(scan(&text, &ScanLimits::UNBOUNDED).unwrap().values, 1_000_001);
    let again = format!("{},\"0000003\":1}}", &text[..text.len() - 1]);
    let violation = scan(&again, &ScanLimits::UNBOUNDED).unwrap_err();
    assert_eq!(
        (violation.rule, violation.pointer.as_str()),
        (rule::DUPLICATE_KEY, "/0000003")
    );
    // Pairwise, this would be 10^12 comparisons: hours. The bound is loose for slow machines.
    assert!(started.elapsed().as_secs() < 60);
}

#[test]
fn wide_arrays() {
    let array = |count: usize| format!("[{}0]", "0,".repeat(count - 1));
    assert_eq!(accepted(&array(10_000)).values, 10_001);
    at_rule(&format!("[0,{}]", array(10_001)), rule::ITEMS, "/1");
}

#[test]
fn invalid_utf8_is_its_own_rule() {
    let violation = scan_bytes(b"{\"a\":\"\xff\"}", &ScanLimits::default()).unwrap_err();
    assert_eq!((violation.rule, violation.offset), (rule::UTF8, 6));
    // A surrogate encoded as if it were a character, and an overlong encoding.
    for bytes in [&b"\"\xed\xa0\x80\""[..], b"\"\xc0\xaf\"", b"\"\xe2\x82"] {
        assert_eq!(
            scan_bytes(bytes, &ScanLimits::default()).unwrap_err().rule,
            rule::UTF8
        );
    }
}

#[test]
fn messages_say_where_and_stay_short() {
    let violation = refused(r#"{"list":[1,{"b":nul}]}"#);
    assert_eq!(
        violation.to_string(),
        "a JSON value was expected here: true, false and null are the only bare words \
         (rule json.syntax, byte 16, at /list/1/b)"
    );
    let key = "k".repeat(1000);
    let text = format!(
        "{}1,\"{key}\":2{}",
        format!("{{\"{key}\":").repeat(19),
        "}".repeat(19)
    );
    let violation = refused(&text);
    assert_eq!(violation.rule, rule::DUPLICATE_KEY);
    assert!(violation.pointer.len() < 520 && violation.pointer.ends_with('…'));
    assert!(violation.message.len() < 200, "{}", violation.message);
    // Control characters of a key do not reach a log or a terminal raw.
    assert!(
        !refused(r#"{"\u001b[2J":1,"\u001b[2J":2}"#)
            .message
            .contains('\u{1b}')
    );
}
