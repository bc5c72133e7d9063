use super::*;
use proptest::prelude::*;

fn parse(text: &str) -> Result<Message<'_>, MessageError> {
    Message::parse(text.as_bytes())
}

#[test]
fn ids_keep_their_json_text() {
    for id in [
        "1",
        "-7",
        "1e3",
        "12345678901234567890123",
        "\"a\\u0062\"",
        "\"\"",
        "1.0",
    ] {
        let text = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
        let Ok(Message::Request(request)) = parse(&text) else {
            panic!("{text}")
        };
        assert_eq!(request.id, id);
    }
}

#[test]
fn bad_envelopes_are_refused_with_the_id_where_it_is_known() {
    let cases = [
        (
            r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"x"}"#,
            code::INVALID_REQUEST,
            None,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"x","method":"y"}"#,
            code::INVALID_REQUEST,
            None,
        ),
        (
            r#"{"jsonrpc":"1.0","id":1,"method":"x"}"#,
            code::INVALID_REQUEST,
            Some("1"),
        ),
        (r#"{"id":1,"method":"x"}"#, code::INVALID_REQUEST, Some("1")),
        (
            r#"{"jsonrpc":"2.0","id":null,"method":"x"}"#,
            code::INVALID_REQUEST,
            None,
        ),
        (
            r#"{"jsonrpc":"2.0","id":{},"method":"x"}"#,
            code::INVALID_REQUEST,
            None,
        ),
        (
            r#"{"jsonrpc":"2.0","id":true,"method":"x"}"#,
            code::INVALID_REQUEST,
            None,
        ),
        (
            r#"{"jsonrpc":"2.0","id":"a","method":5}"#,
            code::INVALID_REQUEST,
            Some("\"a\""),
        ),
        (
            r#"{"jsonrpc":"2.0","id":3,"method":"x","params":[1]}"#,
            code::INVALID_PARAMS,
            Some("3"),
        ),
        (
            r#"{"jsonrpc":"2.0","id":3,"method":"x","params":null}"#,
            code::INVALID_PARAMS,
            Some("3"),
        ),
        (
            r#"{"jsonrpc":"2.0","id":3,"method":"x","params":{"a":1,"a":2}}"#,
            code::INVALID_REQUEST,
            Some("3"),
        ),
        (r#"{"jsonrpc":"2.0","id":3}"#, code::INVALID_REQUEST, Some("3")),
        (
            r#"{"jsonrpc":"2.0","id":3,"result":{},"error":{"code":1,"message":""}}"#,
            code::INVALID_REQUEST,
            Some("3"),
        ),
        (
            r#"{"jsonrpc":"2.0","id":3,"error":7}"#,
            code::INVALID_REQUEST,
            Some("3"),
        ),
        (r#"[]"#, code::INVALID_REQUEST, None),
        (r#""x""#, code::INVALID_REQUEST, None),
        (r#"{"jsonrpc":"2.0","id":1,"method":"x""#, code::PARSE_ERROR, None),
        ("", code::PARSE_ERROR, None),
    ];
    for (text, code, id) in cases {
        let error = parse(text).unwrap_err();
        assert_eq!(error.error.code, code, "{text}: {error:?}");
        assert_eq!(error.id.as_deref(), id, "{text}");
    }
    let long = format!(
        r#"{{"jsonrpc":"2.0","id":"{}","method":"x"}}"#,
        "i".repeat(MAX_ID_BYTES)
    );
    assert_eq!(parse(&long).unwrap_err().error.code, code::INVALID_REQUEST);
}

#[test]
fn responses() {
    let Ok(Message::Response(r)) = parse(r#"{"jsonrpc":"2.0","id":"s1","result":{"a":1}}"#) else {
        panic!()
    };
    assert_eq!((r.id, r.outcome), (Some("\"s1\""), Ok("{\"a\":1}")));
    let Ok(Message::Response(r)) =
        parse(r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"no","data":[1]}}"#)
    else {
        panic!()
    };
    assert_eq!(r.id, None);
    assert_eq!(r.outcome, Err(RpcError::new(-32700, "no").with_data("[1]")));
}

#[test]
fn batches() {
    assert!(is_batch(b"  \n[") && !is_batch(b"{}") && !is_batch(b""));
    let parts =
        parse_batch(br#"[{"jsonrpc":"2.0","id":1,"method":"ping"},7,{"jsonrpc":"2.0","method":"n"}]"#)
            .unwrap();
    assert!(matches!(parts[0], Ok(Message::Request(_))));
    assert!(parts[1].is_err());
    assert!(matches!(parts[2], Ok(Message::Notification(_))));
    assert!(parse_batch(b"[]").is_err());
    let many = format!("[{}0]", "0,".repeat(MAX_BATCH));
    assert!(parse_batch(many.as_bytes()).is_err());
}

#[test]
fn error_objects_round_trip() {
    let error = RpcError::new(-32020, "a \"quoted\" word").with_data("{\"x\":1}");
    let mut out = Vec::new();
    crate::error::write_error_response(&mut out, Some("7"), &error);
    let Ok(Message::Response(r)) = Message::parse(&out) else {
        panic!()
    };
    assert_eq!((r.id, r.outcome), (Some("7"), Err(error)));
}

proptest! {
    #[test]
    fn any_bytes_are_answered_not_panicked_on(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Message::parse(&bytes);
    }

    #[test]
    fn requests_round_trip(id in any::<i64>(), method in ".{1,20}", key in "[a-z]{1,5}", value in ".*") {
        let params = serde_json::json!({ key.as_str(): value });
        let text = serde_json::json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string();
        let Ok(Message::Request(request)) = Message::parse(text.as_bytes()) else { panic!("{text}") };
        prop_assert_eq!(request.id, id.to_string());
        prop_assert_eq!(&request.method, &method);
        prop_assert_eq!(request.params.get_str(&key).unwrap(), value);
    }
}

#[test]
fn params_and_meta_are_found_however_their_keys_are_written() {
    for text in [
        r#"{"jsonrpc":"2.0","id":1,"method":"x","params":{"a":1,"_meta":{"progressToken":7}}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"x","par\u0061ms":{"a":1,"_meta":{"progressToken":7}}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"x","params":{"a":1,"_m\u0065ta":{"progressToken":7}}}"#,
        r#" { "params" : { "_meta" : { "progressToken" : 7 } , "a" : 1 } , "method":"x","id":1,"jsonrpc":"2.0" } "#,
    ] {
        let Ok(Message::Request(request)) = parse(text) else {
            panic!("{text}")
        };
        assert_eq!(request.params.get("a"), Some("1"), "{text}");
        assert_eq!(request.meta.unwrap().progress_token, Some("7"), "{text}");
    }
}

#[test]
fn duplicates_are_refused_on_each_level_in_turn() {
    for (text, words) in [
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"x","params":{"_meta":{}},"params":{}}"#,
            "key `params`",
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"x","params":{},"p\u0061rams":{}}"#,
            "key `params`",
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"x","params":{"_meta":{},"_meta":{}}}"#,
            "key `_meta`",
        ),
    ] {
        let error = parse(text).unwrap_err().error;
        assert_eq!(error.code, code::INVALID_REQUEST, "{text}");
        assert!(error.message.contains(words), "{}", error.message);
    }
    let text = r#"{"jsonrpc":"2.0","id":1,"method":"x","params":{"_meta":{"a":1,"\u0061":2}}}"#;
    let Ok(Message::Request(request)) = parse(text) else {
        panic!()
    };
    assert!(request.meta.unwrap_err().contains("key `a`"));
}

#[test]
fn what_is_no_json_is_a_parse_error_and_what_is_no_object_an_invalid_request() {
    for (text, expected) in [
        ("7", code::INVALID_REQUEST),
        ("\"x\" ", code::INVALID_REQUEST),
        ("[1]", code::INVALID_REQUEST),
        ("7 7", code::PARSE_ERROR),
        ("tru", code::PARSE_ERROR),
        ("", code::PARSE_ERROR),
        ("{", code::PARSE_ERROR),
        (r#"{"jsonrpc":"2.0","id":1,"method":"x"}}"#, code::PARSE_ERROR),
        (
            r#"{"jsonrpc":"2.0","id":1,"id":1,"method":"x""#,
            code::PARSE_ERROR,
        ),
    ] {
        assert_eq!(parse(text).unwrap_err().error.code, expected, "{text}");
    }
}
