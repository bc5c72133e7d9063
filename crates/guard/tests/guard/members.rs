use std::borrow::Cow;

use ferromcp_guard::{ScanLimits, member, members, rule, scan};
use proptest::prelude::*;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::oracle::{broken_document, document};

fn rule_of(text: &str) -> &'static str {
    members(text).find_map(Result::err).expect(text).rule
}

#[test]
fn gives_slices_of_the_text() {
    let text = r#" { "jsonrpc" : "2.0", "id":1 ,"p\u0061rams":{"a":[1, {"b":"}"}]},"n":-1.5e3}  "#;
    let found: Vec<_> = members(text).map(Result::unwrap).collect();
    let keys: Vec<&str> = found.iter().map(|member| &*member.key).collect();
    let values: Vec<&str> = found.iter().map(|member| member.value).collect();
    assert_eq!(keys, ["jsonrpc", "id", "params", "n"]);
    assert_eq!(values, ["\"2.0\"", "1", r#"{"a":[1, {"b":"}"}]}"#, "-1.5e3"]);
    assert!(matches!(found[0].key, Cow::Borrowed(_)));
    assert_eq!(found[2].raw_key, r#""p\u0061rams""#);
    for member in &found {
        assert!(text[member.offset..].starts_with(member.value));
    }
    assert_eq!(members("{ }").count(), 0);
    assert_eq!(member(text, "id").unwrap(), Some("1"));
    assert_eq!(member(text, "params").unwrap(), Some(r#"{"a":[1, {"b":"}"}]}"#));
    assert_eq!(member(text, "absent").unwrap(), None);
}

#[test]
fn is_strict() {
    for text in [
        "",
        "[]",
        "1",
        "{",
        "{\"a\"}",
        "{\"a\":1,}",
        "{\"a\":1} x",
        "{\"a\":[1,]}",
        "{\"a\":{\"b\"}}",
        "{\"a\":[1}}",
        "{\"a\":01}",
    ] {
        assert_eq!(rule_of(text), rule::SYNTAX, "{text}");
    }
    assert_eq!(rule_of(r#"{"a":1,"b":2,"\u0061":3}"#), rule::DUPLICATE_KEY);
    assert_eq!(rule_of(r#"{"a":"\ud800"}"#), rule::SURROGATE);
    assert_eq!(rule_of(&"{\"a\":".repeat(10_000)), rule::DEPTH);
    assert!(member("{\"a\":1,\"a\":2}", "b").is_err());
    // The end is final, after an error as well.
    let mut broken = members("{\"a\":1,?");
    assert!(broken.next().unwrap().is_ok());
    assert!(broken.next().unwrap().is_err());
    assert!(broken.next().is_none());
    let deepest = format!("{{\"a\":{}{}}}", "[".repeat(126), "]".repeat(126));
    assert!(member(&deepest, "a").unwrap().is_some());
    assert!(scan(&deepest, &ScanLimits::UNBOUNDED).is_ok());
}

#[test]
fn detects_duplicates_among_many() {
    let many: String = (0..5_000).map(|at| format!("\"k{at}\":0,")).collect();
    assert_eq!(rule_of(&format!("{{{many}\"k77\":1}}")), rule::DUPLICATE_KEY);
    assert_eq!(
        members(&format!("{{{many}\"k\":1}}"))
            .filter(Result::is_ok)
            .count(),
        5_001
    );
}

fn agrees(text: &str) -> Result<(), TestCaseError> {
    let ours: Result<Vec<_>, _> = members(text).collect();
    let whole = scan(text, &ScanLimits::UNBOUNDED);
    if whole.is_ok() && text.trim_start().starts_with('{') {
        let theirs: std::collections::BTreeMap<String, Box<RawValue>> = serde_json::from_str(text).unwrap();
        let ours = ours.unwrap();
        prop_assert_eq!(ours.len(), theirs.len());
        for member in ours {
            prop_assert_eq!(theirs[&*member.key].get(), member.value);
            prop_assert_eq!(
                serde_json::from_str::<String>(member.raw_key).unwrap(),
                &*member.key
            );
        }
    } else if ours.is_ok() {
        // All that the scan refuses and this accepts: duplicates further down, where a parser takes the last.
        prop_assert_eq!(whole.unwrap_err().rule, rule::DUPLICATE_KEY);
        prop_assert!(serde_json::from_str::<Value>(text).is_ok());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_scan_and_serde_json(text in document()) {
        agrees(&text)?;
    }

    #[test]
    fn agrees_on_broken_documents(text in broken_document()) {
        agrees(&text)?;
    }
}
