//! From proto files to tools, and from JSON to messages and back.

use std::collections::BTreeMap;

use prost_reflect::DescriptorPool;
use serde_json::{Value, json};

use crate::call::{message, written};
use crate::reflection::{Described, from_file};
use crate::tools::{self, Tools};

/// A set of descriptors, comments among it.
fn compiled(proto: &str) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("a.proto"), proto).unwrap();
    let mut compiler = protox::Compiler::new([directory.path()]).unwrap();
    compiler.include_imports(true).include_source_info(true);
    compiler.open_file("a.proto").unwrap();
    compiler.encode_file_descriptor_set()
}

fn described(proto: &str) -> Described {
    from_file(&compiled(proto)).unwrap()
}

fn read(proto: &str, wanted: &[&str]) -> Result<Tools, String> {
    let wanted: Vec<String> = wanted.iter().map(|&name| name.to_owned()).collect();
    tools::read(&described(proto), &wanted)
}

fn definitions(tools: &Tools) -> BTreeMap<String, Value> {
    let definition = |spec: &ferromcp_core::Spec| {
        (
            spec.key.to_string(),
            serde_json::from_str(&spec.definition).unwrap(),
        )
    };
    tools.specs.iter().map(definition).collect()
}

const KINDS: &str = r#"
    syntax = "proto3";
    package a.b;
    import "google/protobuf/any.proto";
    import "google/protobuf/duration.proto";
    import "google/protobuf/empty.proto";
    import "google/protobuf/field_mask.proto";
    import "google/protobuf/struct.proto";
    import "google/protobuf/timestamp.proto";
    import "google/protobuf/wrappers.proto";

    // What there is.
    service Things {
      // Says it back.
      //   Exactly.
      rpc Echo(Thing) returns (Thing) { option idempotency_level = NO_SIDE_EFFECTS; }
      rpc Put(Thing) returns (google.protobuf.Empty) { option idempotency_level = IDEMPOTENT; }
      rpc Watch(google.protobuf.Empty) returns (stream Thing);
      rpc Upload(stream Thing) returns (Thing);
      rpc Anything(google.protobuf.Value) returns (google.protobuf.Value);
    }

    message Thing {
      bool yes = 1; string name = 2; bytes data = 3; int32 small = 4; uint32 count = 5; int64 large = 6; fixed64 larger = 7;
      float f = 8; double d = 9; State state = 10; // Where it is.
      repeated Thing parts = 11; map<string, Thing> named = 12;
      google.protobuf.Timestamp at = 13; google.protobuf.Duration lasts = 14; google.protobuf.FieldMask mask = 15;
      google.protobuf.Struct object = 16; google.protobuf.Value value = 17; google.protobuf.ListValue list = 18;
      google.protobuf.Int64Value maybe = 19; google.protobuf.StringValue text = 20; optional int32 given = 21;
      oneof choice { string one = 22; Thing two = 23; }
      map<int32, State> states = 24; google.protobuf.NullValue nothing = 25; google.protobuf.Any any = 26;
      enum State { NONE = 0; OPEN = 1; }
    }
"#;

#[test]
fn methods_are_tools() {
    let tools = read(KINDS, &[]).unwrap();
    let all = definitions(&tools);
    let names: Vec<&str> = all.keys().map(String::as_str).collect();
    assert_eq!(names, ["Things_Echo", "Things_Put", "Things_Watch"]);
    assert_eq!(tools.left_out.len(), 2, "{:?}", tools.left_out);
    let echo = &all["Things_Echo"];
    assert_eq!(echo["description"], "Says it back.\n  Exactly.");
    assert_eq!(echo["annotations"], json!({ "readOnlyHint": true }));
    assert_eq!(
        all["Things_Put"]["annotations"],
        json!({ "readOnlyHint": false, "idempotentHint": true })
    );
    let properties = &echo["inputSchema"]["properties"];
    assert_eq!(properties["state"]["description"], "Where it is.");
    assert_eq!(
        properties["parts"]["items"],
        json!({ "$ref": "#/$defs/a.b.Thing" })
    );
    assert_eq!(properties["large"]["type"], json!(["integer", "string"]));
    assert_eq!(echo["outputSchema"]["properties"]["large"]["type"], "string");
    assert_eq!(
        all["Things_Watch"]["outputSchema"]["required"],
        json!(["messages"])
    );
}

#[test]
fn what_is_written_fits_the_schema_and_comes_back() {
    let described = described(KINDS);
    let kind = described.pool.get_message_by_name("a.b.Thing").unwrap();
    let full = json!({
        "yes": true, "name": "n", "data": "AP8=", "small": -1, "count": 4294967295_u64, "large": "-9223372036854775808",
        "larger": "18446744073709551615", "f": 1.5, "d": 0.1, "state": "OPEN", "parts": [{ "name": "p" }],
        "named": { "k": { "small": 2 } }, "at": "2026-01-02T03:04:05Z", "lasts": "1.500s", "mask": "a,b",
        "object": { "x": [null] }, "value": 3.0, "list": [1.0, "two"], "maybe": "7", "text": "t", "given": 0, "one": "1",
        "states": { "5": "OPEN" }, "any": { "@type": "type.googleapis.com/a.b.Thing", "small": 3 },
    });
    let tools = tools::read(&described, &[]).unwrap();
    let definition = &definitions(&tools)["Things_Echo"];
    let fits = |member: &str, value: &Value| {
        let schema = ferromcp_core::guard::CompiledSchema::compile(&definition[member]).unwrap();
        schema.check(value)
    };
    fits("inputSchema", &full).unwrap();
    let made = message(kind.clone(), &full.to_string()).unwrap();
    let out: Value = serde_json::from_str(&written("s", &made).unwrap()).unwrap();
    fits("outputSchema", &out).unwrap();
    for (key, value) in full.as_object().unwrap() {
        if !matches!(key.as_str(), "parts" | "named" | "any") {
            assert_eq!(&out[key], value, "{key}");
        }
    }
    assert_eq!(out["parts"][0]["name"], "p");
    // What was not set is there, so that nobody takes zero for missing, but for what can be missing.
    let empty: Value =
        serde_json::from_str(&written("s", &message(kind.clone(), "{}").unwrap()).unwrap()).unwrap();
    fits("outputSchema", &empty).unwrap();
    assert_eq!(
        (&empty["small"], &empty["large"], empty.get("given")),
        (&json!(0), &json!("0"), None)
    );
    for odd in [json!({ "d": "NaN" }), json!({ "state": 77 })] {
        let out = written("s", &message(kind.clone(), &odd.to_string()).unwrap()).unwrap();
        fits("outputSchema", &serde_json::from_str(&out).unwrap()).unwrap();
    }
}

#[test]
fn arguments_that_are_no_message() {
    let described = described(KINDS);
    let kind = described.pool.get_message_by_name("a.b.Thing").unwrap();
    let deep = format!("{}{}", "{\"parts\":[".repeat(2000), "]}".repeat(2000));
    for raw in [
        r#"{"unknown":1}"#,
        r#"{"small":3000000000}"#,
        r#"{"small":1.5}"#,
        r#"{"count":-1}"#,
        r#"{"large":"x"}"#,
        r#"{"data":"*"}"#,
        r#"{"state":"NOWHERE"}"#,
        r#"{"at":"yesterday"}"#,
        r#"{"one":"a","two":{}}"#,
        r#"{"parts":{}}"#,
        r#"{"any":{"@type":"type.googleapis.com/no.Such"}}"#,
        r#"{"name":"\ud800"}"#,
        "[]",
        "{",
        &deep,
    ] {
        let error = message(kind.clone(), raw).unwrap_err();
        assert_eq!(error.rule(), Some("grpc.arguments"), "{raw}");
    }
}

#[test]
fn names_and_services() {
    let two = r#"
        syntax = "proto3";
        package p;
        message M {}
        service A { rpc Get(M) returns (M); }
        service ThisIsAVeryLongNameOfAServiceThatNobodyWouldEverGiveToOne { rpc AndAVeryLongMethodToo(M) returns (M); }
    "#;
    let all = definitions(&read(two, &[]).unwrap());
    assert!(
        all.contains_key("A_Get") && all.keys().all(|name| name.len() <= 64),
        "{:?}",
        all.keys()
    );
    assert_eq!(definitions(&read(two, &["p.A"]).unwrap()).len(), 1);
    let error = read(two, &["p.B"]).unwrap_err();
    assert!(
        error.contains("no service `p.B`") && error.contains("p.A"),
        "{error}"
    );
}

#[test]
fn recursion_and_size_are_bounded() {
    let wide: String = (1..=5000).map(|i| format!("string f{i} = {i};")).collect();
    let wide = format!("syntax = \"proto3\"; message M {{ {wide} }} service S {{ rpc Get(M) returns (M); }}");
    let tools = read(&wide, &[]).unwrap();
    assert!(
        tools.specs.is_empty() && tools.left_out[0].contains("more than"),
        "{:?}",
        tools.left_out
    );
}

#[test]
fn files_that_are_no_descriptors() {
    let good = compiled("syntax = \"proto3\"; message M {}");
    let mut alone = DescriptorPool::decode(&*compiled(KINDS)).unwrap().encode_to_vec();
    alone.truncate(alone.len() / 2);
    for (bytes, why) in [
        (b"not a set".as_slice(), "no set of descriptors"),
        (&alone, "no set of descriptors"),
        (&good[..good.len() - 1], "no set of descriptors"),
    ] {
        assert!(from_file(bytes).unwrap_err().contains(why));
    }
    assert!(from_file(&[]).unwrap().services.is_empty());
}
