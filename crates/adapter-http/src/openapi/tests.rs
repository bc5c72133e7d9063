use std::collections::BTreeSet;
use std::path::Path;

use super::*;

/// Every object of the document, with its JSON pointer.
fn walk<'a>(value: &'a Value, pointer: &str, visit: &mut impl FnMut(&str, &'a Value)) {
    visit(pointer, value);
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let key = key.replace('~', "~0").replace('/', "~1");
                walk(value, &format!("{pointer}/{key}"), visit);
            }
        }
        Value::Array(items) => {
            for (i, value) in items.iter().enumerate() {
                walk(value, &format!("{pointer}/{i}"), visit);
            }
        }
        _ => {}
    }
}

#[test]
fn the_golden_copy_is_the_document() {
    for (path, text) in generated() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
        let golden = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(
            golden == text,
            "{path} differs from the code: run `cargo xtask gen` and look at the difference"
        );
    }
}

#[test]
fn references_lead_somewhere_and_components_are_used() {
    let document = document();
    let mut used = BTreeSet::new();
    walk(&document, "", &mut |pointer, value| {
        if let Some(target) = value.get("$ref").and_then(Value::as_str) {
            let target = target
                .strip_prefix('#')
                .unwrap_or_else(|| panic!("{pointer}: {target} is not local"));
            assert!(document.pointer(target).is_some(), "{pointer}: {target}");
            used.insert(target.to_owned());
        }
    });
    for kind in ["schemas", "responses", "headers"] {
        for name in document["components"][kind].as_object().unwrap().keys() {
            let target = format!("/components/{kind}/{name}");
            assert!(used.contains(&target), "{target} is not used");
        }
    }
}

#[test]
fn operations_have_what_openapi_asks_for() {
    let document = document();
    assert!(
        document["openapi"]
            .as_str()
            .is_some_and(|v| v.starts_with("3.1."))
    );
    for member in ["title", "version"] {
        assert!(document["info"][member].is_string());
    }
    let mut ids = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        assert!(path.starts_with('/'));
        for (method, operation) in methods.as_object().unwrap() {
            assert!(matches!(method.as_str(), "get" | "post"), "{method}");
            assert!(ids.insert(operation["operationId"].as_str().unwrap()));
            let responses = operation["responses"].as_object().unwrap();
            assert!(!responses.is_empty());
            for (status, response) in responses {
                assert!(
                    status.len() == 3 && status.bytes().all(|b| b.is_ascii_digit()),
                    "{status}"
                );
                let response = match response.get("$ref").and_then(Value::as_str) {
                    Some(target) => document.pointer(&target[1..]).unwrap(),
                    None => response,
                };
                assert!(response["description"].is_string(), "{method} {path} {status}");
            }
            for parameter in operation
                .get("parameters")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
            {
                assert!(parameter["name"].is_string() && parameter["schema"].is_object());
                assert!(matches!(
                    parameter["in"].as_str(),
                    Some("query" | "header" | "path" | "cookie")
                ));
            }
        }
    }
    let tags: BTreeSet<_> = document["tags"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| t["name"].as_str())
        .collect();
    walk(&document["paths"], "", &mut |pointer, value| {
        for tag in value.get("tags").and_then(Value::as_array).into_iter().flatten() {
            assert!(tags.contains(&tag.as_str()), "{pointer}");
        }
    });
}

#[test]
fn examples_fit_their_schemas() {
    let document = document();
    let mut seen = 0;
    walk(&document, "", &mut |pointer, value| {
        let (Some(schema), Some(examples)) = (value.get("schema"), value.get("examples")) else {
            return;
        };
        let mut whole = schema.clone();
        whole["components"] = document["components"].clone();
        let schema = jsonschema::draft202012::new(&whole).unwrap_or_else(|e| panic!("{pointer}: {e}"));
        for (name, example) in examples.as_object().unwrap() {
            seen += 1;
            if let Err(e) = schema.validate(&example["value"]) {
                panic!("{pointer}, example {name}: {e}");
            }
        }
    });
    assert!(seen > 15, "{seen}");
}

#[test]
fn every_error_code_is_documented_with_its_status() {
    let document = document();
    let call = &document["paths"]["/v1/tools/call"]["post"]["responses"];
    for code in ErrorCode::ALL {
        let status = status(code).as_u16().to_string();
        let target = call[&status]["$ref"]
            .as_str()
            .unwrap_or_else(|| panic!("{code} {status}"));
        let examples = &document.pointer(&target[1..]).unwrap()["content"]["application/json"]["examples"];
        assert_eq!(examples[code.as_str()]["value"]["error"]["code"], code.as_str());
    }
}
