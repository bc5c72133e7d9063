use ferromcp_guard::{Redactor, ScanLimits, Sensitive, rule, scan};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::oracle::{broken_document, document};

fn redact(kinds: &[Sensitive], value: &str) -> (String, u32) {
    let text = json!([value]).to_string();
    let redacted = Redactor::new(kinds).redact(&text).unwrap();
    let parsed: Value = serde_json::from_str(redacted.text.as_ref().unwrap_or(&text)).unwrap();
    (parsed[0].as_str().unwrap().to_owned(), redacted.total())
}

#[track_caller]
fn becomes(value: &str, expected: &str) {
    let expected_count = expected.matches("[redacted:").count() as u32;
    assert_eq!(
        redact(&Sensitive::ALL, value),
        (expected.to_owned(), expected_count)
    );
}

#[test]
fn secrets_go() {
    becomes("id AKIAIOSFODNN7EXAMPLE.", "id [redacted:aws-key].");
    let git = format!("clone with ghp_{} now", "a1B2".repeat(9));
    becomes(&git, "clone with [redacted:git-token] now");
    becomes("xoxb-123456789012-abcdef", "[redacted:slack-token]");
    becomes(
        &format!("sk-ant-api03-{}", "x1Y2".repeat(10)),
        "[redacted:api-key]",
    );
    becomes(
        "a\n-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nb",
        "a\n[redacted:private-key]\nb",
    );
    becomes("-----BEGIN PRIVATE KEY-----\ncut off", "[redacted:private-key]");
    becomes(
        "t=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl!",
        "t=[redacted:jwt]!",
    );
    becomes(
        "DB_PASSWORD=hunter2hunter2 next",
        "DB_PASSWORD=[redacted:password] next",
    );
    becomes(
        r#"{"api_key": "0123456789"}"#,
        r#"{"api_key": "[redacted:password]"}"#,
    );
}

#[test]
fn personal_data_goes() {
    becomes("Mail ann.o'hara+x@mail.example.com.", "Mail [redacted:email].");
    becomes("card 4111 1111 1111 1111, ok", "card [redacted:card], ok");
    becomes("5500-0000-0000-0004", "[redacted:card]");
    becomes(
        "IBAN DE89 3704 0044 0532 0130 00 it is",
        "IBAN [redacted:iban] it is",
    );
    becomes("GB82WEST12345698765432", "[redacted:iban]");
    becomes("ssn 536-22-1234", "ssn [redacted:ssn]");
}

/// The name in the line that ends a key is bounded; the bound must not cut a character in two.
#[test]
fn characters_of_several_bytes_around_a_private_key_stay_whole() {
    for filler in 30..45 {
        let name = "a".repeat(filler);
        let end = format!("-----BEGIN PRIVATE KEY-----x-----END {name}éé");
        let found = redact(&[Sensitive::PrivateKey], &end);
        assert!(
            found.0.starts_with("[redacted:private-key]") && found.0.ends_with("éé"),
            "{found:?}"
        );
        let begin = format!("-----BEGIN {name}éPRIVATE KEY-----x");
        assert_eq!(redact(&[Sensitive::PrivateKey], &begin), (begin.clone(), 0));
    }
}

#[test]
fn what_only_looks_alike_stays() {
    for value in [
        "4111 1111 1111 1112",
        "DE89 3704 0044 0532 0130 01",
        "000-12-3456 666-12-3456 900-12-3456 123-00-4567 123-45-0000",
        "a@b, @scope/pkg, user@localhost, x@.com",
        "password: correct or not",
        "password=${DB_PASSWORD} token=<token>",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "sk-learn and sk-something-without-numbers-in-it",
        "AKIA is a prefix; AKIAIOSFODNN7EXAMPLEX is too long",
        "2026-01-01 12:00:00.123456789 1234567890123",
    ] {
        becomes(value, value);
    }
}

#[test]
fn only_what_is_asked_for() {
    let value = "ann@example.com AKIAIOSFODNN7EXAMPLE";
    assert_eq!(redact(&[], value), (value.to_owned(), 0));
    assert_eq!(
        redact(&[Sensitive::Email], value).0,
        "[redacted:email] AKIAIOSFODNN7EXAMPLE"
    );
    assert_eq!(
        redact(&Sensitive::SECRETS, value).0,
        "ann@example.com [redacted:aws-key]"
    );
    assert!(!Redactor::default().is_on());
}

#[test]
fn all_else_stays_byte_for_byte() {
    let text = r#" { "a@b.example" : [ 1.0 , "x\u0041" , "\u0061nn@example.com \"q\" \u0001é" ] , "password":"p\n1" , "n":{"token":[1,"keep"]} } "#;
    let redacted = Redactor::new(&Sensitive::ALL).redact(text).unwrap();
    assert_eq!(
        redacted.text.unwrap(),
        r#" { "a@b.example" : [ 1.0 , "x\u0041" , "[redacted:email] \"q\" \u0001é" ] , "password":"[redacted:password]" , "n":{"token":[1,"keep"]} } "#
    );
}

#[test]
fn counts_are_by_kind_and_faults_are_told() {
    let redactor = Redactor::new(&Sensitive::ALL);
    let redacted = redactor
        .redact(r#"["a@b.example a@b.example","536-22-1234"]"#)
        .unwrap();
    assert_eq!(
        (
            redacted.count(Sensitive::Email),
            redacted.count(Sensitive::Ssn),
            redacted.total()
        ),
        (2, 1, 3)
    );
    assert_eq!(
        redactor.redact("[\"a@b.example\"").unwrap_err().rule,
        rule::SYNTAX
    );
}

/// Pieces of what is looked for, so that half-secrets and overlaps occur.
fn pieces() -> impl Strategy<Value = String> {
    prop::collection::vec(
        prop_oneof![
            prop::sample::select(vec![
                "a@b.example",
                "@",
                "AKIA",
                "IOSFODNN7EXAMPLE",
                "eyJ",
                ".",
                "password",
                "=",
                ": ",
                "4111111111111111",
                "-",
                " ",
                "DE89370400440532013000",
                "-----BEGIN PRIVATE KEY-----",
                "-----END ",
                "é",
                "\"",
                "\\",
                "\n",
                "\u{1}",
                "ghp_",
                "536-22-1234",
            ])
            .prop_map(str::to_owned),
            "[a-zA-Z0-9]{0,24}",
        ],
        0..24,
    )
    .prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn output_is_json_and_settles(value in pieces(), kinds in prop::sample::subsequence(Sensitive::ALL.to_vec(), 0..11)) {
        let text = json!({"k": value, "other": [1, value]}).to_string();
        let redactor = Redactor::new(&kinds);
        let once = redactor.redact(&text).unwrap();
        prop_assert_eq!(once.text.is_some(), once.total() > 0);
        let output = once.text.unwrap_or(text);
        let parsed: Value = serde_json::from_str(&output).unwrap();
        prop_assert_eq!(&parsed["k"], &parsed["other"][1]);
        prop_assert!(scan(&output, &ScanLimits::UNBOUNDED).is_ok());
    }

    #[test]
    fn any_document(text in prop_oneof![document(), broken_document()]) {
        let redacted = Redactor::new(&Sensitive::ALL).redact(&text);
        let sound = scan(&text, &ScanLimits::UNBOUNDED).is_ok();
        prop_assert!(redacted.is_ok() || !sound);
        // Text in which nothing could be sensitive is passed on as it is.
        prop_assert!(sound || redacted.as_ref().is_err() || redacted.as_ref().is_ok_and(|r| r.text.is_none()));
        if let Ok(redacted) = redacted && let Some(text) = redacted.text {
            prop_assert!(serde_json::from_str::<Value>(&text).is_ok());
        }
    }
}
