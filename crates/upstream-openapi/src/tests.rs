//! From whole documents to tools, and from arguments to requests.

use std::collections::BTreeMap;

use proptest::prelude::{Just, Strategy, any, prop, prop_oneof, proptest};
use serde_json::{Value, json};

use crate::document::Document;
use crate::operation::Fixed;
use crate::request::{Base, build};
use crate::tools::{self, Tools};

fn read(document: &Value) -> Tools {
    let document = Document::parse(document.to_string().as_bytes()).unwrap();
    let fixed = Fixed {
        headers: ["x-key".parse().unwrap()].into(),
        query: ["key".to_owned()].into(),
    };
    tools::read(&document, &fixed, false)
}

fn of(paths: &Value) -> Tools {
    read(&json!({ "openapi": "3.1.0", "paths": paths }))
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

#[test]
fn names_that_clash_are_told_apart_by_what_they_do_where() {
    let paths = json!({
        "/a": { "get": { "operationId": "same" }, "post": { "operationId": "same" }, "put": {} },
        "/b": { "get": { "operationId": "sa/me" }, "post": { "operationId": "sa.me" }, "head": {}, "options": {} },
    });
    let names: Vec<String> = definitions(&of(&paths)).into_keys().collect();
    assert_eq!(names.len(), 5);
    assert!(names.contains(&"put_a".to_owned()), "{names:?}");
    assert_eq!(
        names.iter().filter(|name| name.starts_with("same_")).count(),
        2,
        "{names:?}"
    );
    assert_eq!(
        names.iter().filter(|name| name.starts_with("sa_me_")).count(),
        2,
        "{names:?}"
    );
    // A further path changes no name.
    let mut more = paths;
    more["/"] = json!({ "get": { "operationId": "first" } });
    let more: Vec<String> = definitions(&of(&more)).into_keys().collect();
    assert!(names.iter().all(|name| more.contains(name)));
}

#[test]
fn what_cannot_be_a_tool_is_left_out_with_the_reason() {
    let needs = |parameter: Value| json!({ "get": { "operationId": "x", "parameters": [parameter] } });
    let takes = |media: &str| json!({ "post": { "operationId": "x", "requestBody": { "required": true, "content": { media: {} } } } });
    let schema = |schema: Value| json!({ "post": { "requestBody": { "required": true, "content": { "application/json": { "schema": schema } } } } });
    let big = json!({ "enum": vec!["x".repeat(1000); 300] });
    for (path, item, why) in [
        ("/a/{b}", json!({ "get": {} }), "needs `b`"),
        ("/a/{b", json!({ "get": {} }), "without `}`"),
        ("a", json!({ "get": {} }), "begin with `/`"),
        ("/a/../b", json!({ "get": {} }), "more than a path"),
        ("/a?x=1", json!({ "get": {} }), "more than a path"),
        (
            "/a",
            needs(json!({ "name": "s", "in": "cookie", "required": true })),
            "cookies are not sent",
        ),
        (
            "/a",
            needs(json!({ "name": "s", "in": "body" })),
            "no place in a request",
        ),
        ("/a", needs(json!({ "name": "", "in": "query" })), "has no name"),
        (
            "/a",
            needs(json!({ "name": "a b", "in": "header" })),
            "no name of a header",
        ),
        (
            "/a",
            needs(json!({ "name": "q", "in": "query", "style": "matrix" })),
            "style `matrix`",
        ),
        (
            "/a",
            needs(json!({ "name": "q", "in": "query", "content": { "text/xml": {} } })),
            "neither plain nor JSON",
        ),
        (
            "/a",
            needs(json!({ "$ref": "other.yaml#/q" })),
            "outside of the document",
        ),
        (
            "/a",
            takes("multipart/form-data"),
            "neither JSON nor a simple form",
        ),
        (
            "/a",
            schema(json!({ "$ref": "http://127.0.0.1/x" })),
            "outside of the document",
        ),
        ("/a", schema(json!({ "$ref": "#/nowhere" })), "leads nowhere"),
        (
            "/a",
            schema(json!({ "$ref": "#/paths/~1a/post/requestBody/content/application~1json/schema" })),
            "refers to itself",
        ),
        ("/a", schema(big), "bytes, more than"),
        (
            "/a",
            json!({ "get": { "servers": [{ "url": "http://evil.example.com" }] } }),
            "set `base_url`",
        ),
        ("/a", json!({ "$ref": "#/paths/~1a" }), "leads to itself"),
    ] {
        let tools = of(&json!({ path: item }));
        assert!(tools.specs.is_empty(), "{path} {item}");
        assert!(
            tools.left_out[0].contains(why),
            "{path} {item}: {:?}",
            tools.left_out
        );
    }
}

#[test]
fn hostile_texts_stay_texts() {
    let long = "x".repeat(100_000);
    let tools = of(&json!({ "/a\u{202e}\n": { "get": {
        "operationId": "a\"},{\"name\":\"evil", "summary": "s\u{0}\n\"", "description": long, "deprecated": true,
        "parameters": [{ "name": "filter[a\"]", "in": "query", "description": long, "schema": { "pattern": "(?<!x)(" } }],
    } } }));
    let all = definitions(&tools);
    let (name, tool) = all.first_key_value().unwrap();
    assert_eq!(name, "a_name_evil");
    assert!(tool["description"].as_str().unwrap().len() <= 4096);
    assert!(tool["description"].as_str().unwrap().starts_with("Deprecated. "));
    // A regular expression that nobody understands would make every call fail.
    let property = &tool["inputSchema"]["properties"]["filter_a"];
    assert!(property["description"].as_str().unwrap().len() <= 1024 && property.get("pattern").is_none());
}

#[test]
fn what_the_configuration_or_the_connection_sets_is_no_argument() {
    let parameter = |name: &str, place: &str| json!({ "name": name, "in": place });
    let tools = of(&json!({ "/a": { "get": { "operationId": "a", "parameters": [
        parameter("X-Key", "header"), parameter("Authorization", "header"), parameter("Host", "header"),
        parameter("X-Forwarded-For", "header"), parameter("Cookie", "header"), parameter("key", "query"),
        parameter("s", "cookie"), parameter("X-Own", "header"),
    ] } } }));
    let all = definitions(&tools);
    assert_eq!(all["a"]["inputSchema"]["properties"], json!({ "X-Own": {} }));
}

/// Target and body of the one operation of `paths`.
fn asked(paths: &Value, arguments: &Value) -> Result<(String, String), String> {
    let tools = of(paths);
    let operation = tools
        .operations
        .values()
        .next()
        .ok_or_else(|| format!("{:?}", tools.left_out))?;
    let base = Base {
        path: "/v1".to_owned(),
        query: "key=k".to_owned(),
    };
    let exchange = build(operation, &base, &arguments.to_string()).map_err(|e| e.to_string())?;
    Ok((
        exchange.target,
        String::from_utf8_lossy(&exchange.body).into_owned(),
    ))
}

#[test]
fn parameters_are_written_as_their_style_says() {
    let list = json!(["a,b", 1, true]);
    let object = json!({ "x": "1&2", "y": [3], "z": { "w": null } });
    for (style, explode, value, query) in [
        ("form", None, &json!("a b+c"), "q=a%20b%2Bc"),
        ("form", None, &list, "q=a%2Cb&q=1&q=true"),
        ("form", Some(false), &list, "q=a%2Cb,1,true"),
        ("spaceDelimited", None, &list, "q=a%2Cb%201%20true"),
        ("pipeDelimited", None, &list, "q=a%2Cb%7C1%7Ctrue"),
        ("form", None, &object, "x=1%262&y=%5B3%5D&z=%7B%22w%22%3Anull%7D"),
        (
            "form",
            Some(false),
            &object,
            "q=x,1%262,y,%5B3%5D,z,%7B%22w%22%3Anull%7D",
        ),
        (
            "deepObject",
            None,
            &object,
            "q%5Bx%5D=1%262&q%5By%5D=3&q%5Bz%5D%5Bw%5D=null",
        ),
        (
            "form",
            None,
            &json!(12345678901234567890_u64),
            "q=12345678901234567890",
        ),
    ] {
        let mut parameter = json!({ "name": "q", "in": "query", "style": style });
        if let Some(explode) = explode {
            parameter["explode"] = explode.into();
        }
        let (target, _) = asked(
            &json!({ "/a": { "get": { "parameters": [parameter] } } }),
            &json!({ "q": value }),
        )
        .unwrap();
        assert_eq!(target, format!("/v1/a?key=k&{query}"), "{style} {value}");
    }
    let json = json!({ "name": "q", "in": "query", "content": { "application/json": {} } });
    let (target, _) = asked(
        &json!({ "/a": { "get": { "parameters": [json] } } }),
        &json!({ "q": { "a": 1 } }),
    )
    .unwrap();
    assert_eq!(target, "/v1/a?key=k&q=%7B%22a%22%3A1%7D");
    let deep = (0..20).fold(json!(1), |value, _| json!({ "a": value }));
    let parameter = json!({ "name": "q", "in": "query", "style": "deepObject" });
    let error = asked(
        &json!({ "/a": { "get": { "parameters": [parameter] } } }),
        &json!({ "q": deep }),
    )
    .unwrap_err();
    assert!(error.contains("too deeply"), "{error}");
}

#[test]
fn paths_keep_their_shape() {
    let path = |name: &str| json!({ "name": name, "in": "path", "required": true });
    let item = json!({ "get": { "parameters": [path("a"), path("b")] } });
    let ask =
        |template: &str, a: Value, b: Value| asked(&json!({ template: item }), &json!({ "a": a, "b": b }));
    let target = |template: &str, a: Value, b: Value| ask(template, a, b).unwrap().0;
    assert_eq!(target("/x/{a}.{b}", json!("m"), json!("n")), "/v1/x/m.n?key=k");
    assert_eq!(
        target("/x/{a}/{b}:do it", json!([1, "2/3"]), json!(4)),
        "/v1/x/1,2%2F3/4:do%20it?key=k"
    );
    for (template, a, b) in [
        ("/x/{a}{b}/y", json!(""), json!("..")),
        ("/x/{a}/{b}", json!(".."), json!("z")),
        ("/x/.{a}{b}", json!("."), json!("x/..")),
        ("/x/{a}/{b}", json!(null), json!("z")),
        ("/x/{a}/{b}", json!([]), json!("z")),
        ("/x/{a}/{b}", json!("a/%2e%2e/../b"), json!("z")),
    ] {
        let error = ask(template, a, b).unwrap_err();
        assert!(error.starts_with("invalid_arguments"), "{error}");
    }
    // Each is harmless, and together they are not.
    let error = ask("/x/{a}{b}", json!(".a"), json!("b"));
    assert!(error.is_ok(), "{error:?}");
    assert!(
        asked(
            &json!({ "/x/.{a}": { "get": { "parameters": [path("a")] } } }),
            &json!({ "a": "." })
        )
        .is_err()
    );
}

#[test]
fn bodies_go_as_they_came() {
    let takes = |media: &str| json!({ "/a": { "post": { "requestBody": { "required": true, "content": { media: {} } } } } });
    let tools = of(&takes("application/merge-patch+json"));
    let operation = tools.operations.values().next().unwrap();
    let base = Base {
        path: String::new(),
        query: String::new(),
    };
    // Text that a reader of numbers would change.
    let raw = r#"{ "body" : {"n":1.0,"big":12345678901234567890123} }"#;
    let exchange = build(operation, &base, raw).unwrap();
    assert_eq!(exchange.body, r#"{"n":1.0,"big":12345678901234567890123}"#);
    assert_eq!(exchange.headers["content-type"], "application/merge-patch+json");
    assert_eq!(exchange.target, "/a");
    let (_, form) = asked(
        &takes("application/x-www-form-urlencoded"),
        &json!({ "body": { "a": "1 2&", "b": [3, 4] } }),
    )
    .unwrap();
    assert_eq!(form, "a=1%202%26&b=3&b=4");
    assert!(asked(&takes("application/json"), &json!({})).is_err());
}

/// Any JSON, with keys that mean something here more often than not.
fn documents() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        Just("$ref"),
        Just("get"),
        Just("post"),
        Just("parameters"),
        Just("schema"),
        Just("properties"),
        Just("items"),
        Just("requestBody"),
        Just("content"),
        Just("application/json"),
        Just("name"),
        Just("in"),
        Just("/a/{b}"),
        Just("/a"),
        Just("responses"),
        Just("200"),
        Just("allOf"),
        Just("required"),
        Just("servers"),
        Just("type"),
        Just("nullable"),
    ];
    let leaf = prop_oneof![
        Just(json!("#/paths")),
        Just(json!("#/paths/~1a")),
        Just(json!("#")),
        Just(json!("path")),
        Just(json!("query")),
        Just(json!("b")),
        Just(json!(true)),
        Just(json!(null)),
        any::<i32>().prop_map(|n| json!(n)),
        ".{0,8}".prop_map(|s| json!(s)),
    ];
    leaf.prop_recursive(8, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec((word.clone(), inner), 0..6).prop_map(|members| members
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect()),
        ]
    })
}

proptest! {
    #[test]
    fn any_document_is_read_or_refused(paths in documents(), old in any::<bool>()) {
        let version = if old { "3.0.0" } else { "3.1.0" };
        let text = json!({ "openapi": version, "paths": paths }).to_string();
        if let Ok(document) = Document::parse(text.as_bytes()) {
            let tools = tools::read(&document, &Fixed::default(), true);
            for spec in &tools.specs {
                let _: Value = serde_json::from_str(&spec.definition).unwrap();
                assert!(tools.operations.contains_key(&*spec.key));
            }
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[-a-z:{}\\[\\]&*#!|> \"'\n0-9.,]{0,200}") {
        let _ = Document::parse(text.as_bytes());
    }

    #[test]
    fn no_argument_leaves_its_segment(value in any::<String>()) {
        let item = json!({ "get": { "parameters": [{ "name": "a", "in": "path", "required": true }] } });
        if let Ok((target, _)) = asked(&json!({ "/x/{a}/y": item }), &json!({ "a": value })) {
            let url = url::Url::parse("http://h.example.com").unwrap().join(&target).unwrap();
            assert_eq!(url.host_str(), Some("h.example.com"));
            let parts: Vec<&str> = url.path_segments().unwrap().collect();
            assert_eq!((parts.len(), parts[0], parts[1], parts[3]), (4, "v1", "x", "y"), "{target}");
            assert_eq!(url.query(), Some("key=k"));
        }
    }
}
