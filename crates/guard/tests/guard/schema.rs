use std::time::{Duration, Instant};

use ferromcp_guard::{CompiledSchema, MAX_ISSUES, SchemaError, SchemaIssue};
use serde_json::{Map, Value, json};

fn compiled(schema: &Value) -> CompiledSchema {
    CompiledSchema::compile(schema).unwrap_or_else(|error| panic!("{schema}: {error}"))
}

#[track_caller]
fn refused(schema: &Value, rule: &str) -> SchemaError {
    let error = CompiledSchema::compile(schema).expect_err("should be refused");
    assert_eq!(error.rule(), rule, "{error}");
    error
}

fn issues(schema: &Value, value: &Value) -> Vec<SchemaIssue> {
    compiled(schema).check(value).expect_err("should not match")
}

fn echo() -> Value {
    json!({"type": "object", "properties": {"msg": {"type": "string"}}, "required": ["msg"], "additionalProperties": false})
}

#[test]
fn checks_and_explains() {
    let schema = compiled(&echo());
    assert_eq!(schema.check(&json!({"msg": "hi"})), Ok(()));
    let issues = schema.check(&json!({"msg": 1, "extra": true})).unwrap_err();
    assert_eq!(issues.len(), 2);
    let wrong = issues.iter().find(|issue| issue.pointer == "/msg").unwrap();
    assert_eq!(wrong.schema_path, "/properties/msg/type");
    assert_eq!(wrong.to_string(), "/msg: the value is not of type \"string\"");
    assert!(
        issues
            .iter()
            .any(|issue| issue.pointer.is_empty() && issue.message.contains("'extra'"))
    );
    assert!(!schema.is_valid(&json!(null)));
    assert!(compiled(&json!(true)).is_valid(&json!(1)));
    assert!(compiled(&json!({})).is_valid(&json!(1)));
    assert_eq!(compiled(&json!(false)).check(&json!(1)).unwrap_err().len(), 1);
}

#[test]
fn messages_hold_no_values_and_stay_short() {
    let secret = "hunter2".repeat(1_000);
    let schema = json!({"properties": {"password": {"maxLength": 3, "pattern": "^[0-9]+$", "enum": ["x".repeat(10_000)]}}});
    for issue in issues(&schema, &json!({"password": secret})) {
        assert!(!issue.message.contains("hunter2"), "{}", issue.message);
        assert!(issue.message.len() <= 300, "{}", issue.message.len());
    }
    let unexpected: Map<String, Value> = (0..500).map(|at| (format!("unexpected{at}"), json!(1))).collect();
    let found = issues(&echo(), &Value::Object(unexpected));
    assert!(found.iter().all(|issue| issue.message.len() <= 300));
    assert!(found.iter().any(|issue| issue.message.ends_with('…')));
}

#[test]
fn issues_are_capped() {
    let value = Value::Array((0..500).map(Value::from).collect());
    assert_eq!(
        issues(&json!({"items": {"type": "string"}}), &value).len(),
        MAX_ISSUES
    );
}

#[test]
fn dialects() {
    // A list under `items` is a tuple before 2020-12; 2020-12 has `prefixItems` and refuses the list.
    let tuple = json!([{"type": "string"}]);
    for uri in [
        "http://json-schema.org/draft-07/schema#",
        "http://json-schema.org/draft-06/schema",
        "http://json-schema.org/draft-04/schema#",
        "https://json-schema.org/draft/2019-09/schema",
    ] {
        let schema = compiled(&json!({"$schema": uri, "items": tuple}));
        assert!(
            schema.is_valid(&json!(["a", 1])) && !schema.is_valid(&json!([1])),
            "{uri}"
        );
    }
    refused(&json!({"items": tuple}), "schema.invalid");
    let latest = json!({"$schema": "https://json-schema.org/draft/2020-12/schema", "prefixItems": tuple});
    for schema in [latest, json!({"prefixItems": tuple})] {
        let schema = compiled(&schema);
        assert!(schema.is_valid(&json!(["a", 1])) && !schema.is_valid(&json!([1])));
    }
    let error = refused(&json!({"$schema": "https://example.com/mine"}), "schema.dialect");
    assert!(error.to_string().contains("https://example.com/mine") && error.to_string().contains("2020-12"));
    refused(
        &json!({"$defs": {"a": {"$id": "a", "$schema": "urn:x"}}, "$ref": "a"}),
        "schema.dialect",
    );
    // A value that happens to be called so is no dialect.
    compiled(&json!({"properties": {"$schema": {"type": "string"}}, "const": {"$schema": "urn:x"}}));
}

#[test]
fn formats_follow_the_dialect() {
    let with = |uri: &str, format: &str| compiled(&json!({"$schema": uri, "format": format}));
    for uri in [
        "https://json-schema.org/draft/2020-12/schema",
        "https://json-schema.org/draft/2019-09/schema",
    ] {
        assert!(with(uri, "date-time").is_valid(&json!("nonsense")), "{uri}");
    }
    for format in [
        "date-time",
        "date",
        "time",
        "email",
        "hostname",
        "ipv4",
        "ipv6",
        "uri",
        "uri-reference",
        "uri-template",
        "iri",
        "iri-reference",
        "json-pointer",
        "relative-json-pointer",
        "regex",
    ] {
        assert!(
            !with("http://json-schema.org/draft-07/schema#", format).is_valid(&json!("{[ not \u{7f} %% ")),
            "{format}"
        );
    }
    for format in ["idn-email", "idn-hostname", "uint32", "made-up"] {
        assert!(
            with("http://json-schema.org/draft-07/schema#", format).is_valid(&json!(" nonsense ")),
            "{format}"
        );
    }
}

#[test]
fn references_stay_inside_the_document() {
    for schema in [
        json!({"$defs": {"a/b%": {"type": "string"}}, "$ref": "#/$defs/a~1b%25"}),
        json!({"$defs": {"x": {"$anchor": "here", "type": "string"}}, "$ref": "#here"}),
        json!({"$defs": {"x": {"$dynamicAnchor": "here", "type": "string"}}, "$dynamicRef": "#here"}),
        json!({"$defs": {"x": {"$id": "https://example.com/x", "type": "string"}}, "$ref": "https://example.com/x"}),
        json!({"$defs": {"x": {"$id": "x.json", "$defs": {"y": {"type": "string"}}, "$ref": "#/$defs/y"}}, "$ref": "x.json"}),
        json!({"$id": "https://example.com/root", "$defs": {"x": {"type": "string"}}, "$ref": "https://example.com/root#/$defs/x"}),
        json!({"$schema": "http://json-schema.org/draft-07/schema#", "definitions": {"x": {"$id": "#here", "type": "string"}}, "allOf": [{"$ref": "#here"}]}),
        json!({"components": {"schemas": {"x": {"type": "string"}}}, "$ref": "#/components/schemas/x"}),
    ] {
        let compiled = compiled(&schema);
        assert!(
            compiled.is_valid(&json!("text")) && !compiled.is_valid(&json!(1)),
            "{schema}"
        );
    }
    for reference in [
        "https://example.com/schema",
        "other.json",
        "file:///etc/passwd",
        "#/$defs/none",
        "#none",
        "#/%zz",
        "https://json-schema.org/draft/2020-12/schema",
    ] {
        let error = refused(
            &json!({"properties": {"a": {"$ref": reference}}}),
            "schema.reference",
        );
        assert!(error.to_string().contains(reference));
    }
}

#[test]
fn recursive_schemas_work() {
    let tree = compiled(&json!({
        "type": "object",
        "properties": {"value": {"type": "integer"}, "children": {"type": "array", "items": {"$ref": "#"}}},
        "required": ["value"]
    }));
    let mut value = json!({"value": 1});
    for _ in 0..15 {
        value = json!({"value": 1, "children": [value, {"value": 2}]});
    }
    assert_eq!(tree.check(&value), Ok(()));
    let issues = tree
        .check(&json!({"value": 1, "children": [{"value": 1, "children": [{"value": "x"}]}]}))
        .unwrap_err();
    assert_eq!(issues[0].pointer, "/children/0/children/0/value");
}

#[test]
fn loops_are_refused() {
    for schema in [
        json!({"$ref": "#"}),
        json!({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"allOf": [{"$ref": "#/$defs/a"}]}}, "$ref": "#/$defs/a"}),
        json!({"properties": {"x": {"not": {"$ref": "#/properties/x"}}}}),
    ] {
        refused(&schema, "schema.loop");
    }
}

/// `levels` definitions, each applying the next one twice: 2 to the power of `levels` visits.
fn doubling(levels: usize, wrap: impl Fn(Value) -> Value) -> Value {
    let mut definitions = Map::new();
    for level in 0..levels {
        let next = wrap(json!({"$ref": format!("#/$defs/a{}", level + 1)}));
        definitions.insert(format!("a{level}"), json!({"anyOf": [next, next]}));
    }
    definitions.insert(format!("a{levels}"), json!({"type": "null"}));
    json!({"$defs": definitions, "$ref": "#/$defs/a0"})
}

#[test]
fn fan_out_is_refused_before_it_costs() {
    let started = Instant::now();
    refused(&doubling(1_000, |next| next), "schema.too_costly");
    refused(
        &doubling(40, |next| json!({"required": ["c"], "properties": {"c": next}})),
        "schema.too_costly",
    );
    refused(&doubling(40, |next| json!({"items": next})), "schema.too_costly");
    assert!(started.elapsed() < Duration::from_secs(10));
    let allowed = compiled(&doubling(10, |next| next));
    assert!(allowed.is_valid(&json!(null)) && !allowed.is_valid(&json!(1)));
}

#[test]
fn explaining_a_failure_is_bounded() {
    // Telling all errors of this schema would double with each level: minutes at 20. The verdict itself is quick.
    let branch = json!({"type": "object", "properties": {"c": {"$ref": "#"}}, "required": ["c"]});
    let schema = compiled(&json!({"anyOf": [{"type": "null"}, branch, branch]}));
    let mut value = json!(1);
    for _ in 0..20 {
        value = json!({"c": value});
    }
    let started = Instant::now();
    let issues = schema.check(&value).unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(10));
    assert_eq!(issues.len(), 1);
    assert!(issues[0].message.contains("too large or too deep"));
    // A shallow one is explained.
    assert!(
        schema.check(&json!({"c": 1})).unwrap_err()[0]
            .message
            .contains("anyOf")
    );
    // So is a large one for a plain schema, until it is very large.
    let plain = json!({"items": {"type": "string"}});
    let array = |count: usize| Value::Array(vec![json!(1); count]);
    assert_eq!(self::issues(&plain, &array(10_000)).len(), MAX_ISSUES);
    assert_eq!(self::issues(&plain, &array(100_000)).len(), 1);
}

#[test]
fn size_is_bounded() {
    refused(&json!({"description": "x".repeat(2 << 20)}), "schema.too_large");
    let wide: Map<String, Value> = (0..6_000).map(|at| (at.to_string(), json!({}))).collect();
    refused(&json!({"properties": wide}), "schema.too_large");
    let mut deep = json!({});
    for _ in 0..5_000 {
        deep = json!({"not": deep});
    }
    refused(&deep, "schema.too_large");
    // Values this deep are dropped by recursion, level by level; take it apart instead.
    while let Some(inner) = deep.get_mut("not").map(Value::take) {
        deep = inner;
    }
    let patterns: Map<String, Value> = (0..300)
        .map(|at| (at.to_string(), json!({"pattern": "a"})))
        .collect();
    refused(&json!({"properties": patterns}), "schema.too_large");
    let wide: Map<String, Value> = (0..1_000)
        .map(|at| (at.to_string(), json!({"type": "string"})))
        .collect();
    compiled(&json!({"properties": wide}));
}

#[test]
fn invalid_schemas_say_where() {
    let SchemaError::Invalid { pointer, message } =
        refused(&json!({"properties": {"a": {"type": 5}}}), "schema.invalid")
    else {
        panic!("another error")
    };
    assert_eq!(pointer, "/properties/a/type");
    assert!(!message.is_empty() && message.len() <= 300);
    refused(&json!({"pattern": "("}), "schema.invalid");
    refused(&json!([]), "schema.invalid");
}

#[test]
fn regular_expressions_are_bounded() {
    refused(&json!({"pattern": "((a{1000}){1000}){1000}"}), "schema.invalid");
    // Look-around works, with bounded effort: this one backtracks without end.
    let lookahead = compiled(&json!({"pattern": "^(?!x).+@.+$"}));
    assert!(lookahead.is_valid(&json!("a@b")) && !lookahead.is_valid(&json!("x@b")));
    let evil = compiled(&json!({"pattern": r"^(?=(a|a|aa)+$)((a|a|aa)+)\2$"}));
    let started = Instant::now();
    assert!(!evil.is_valid(&json!(format!("{}!", "a".repeat(5_000)))));
    assert!(!evil.is_valid(&json!("a".repeat(5_001))));
    assert!(started.elapsed() < Duration::from_secs(10));
    // The classic of the linear engine's strength.
    let linear = compiled(&json!({"pattern": "^(a+)+$"}));
    assert!(!linear.is_valid(&json!(format!("{}!", "a".repeat(100_000)))));
}
