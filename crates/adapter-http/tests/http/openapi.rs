//! The OpenAPI document against the server that it describes.

use serde_json::Value;

use crate::support::{Server, request};

#[tokio::test]
async fn every_documented_path_answers_as_documented() {
    let server = Server::start().await;
    let document = server
        .once(request("GET", "/v1/openapi.json", &[], b""))
        .await
        .json();
    let paths = document["paths"].as_object().expect("paths");
    assert!(paths.len() >= 6);
    for (path, methods) in paths {
        for (method, operation) in methods.as_object().expect("methods") {
            let media = operation.pointer("/requestBody/content/application~1json/examples");
            let bodies: Vec<String> = match media {
                Some(examples) => examples
                    .as_object()
                    .expect("examples")
                    .values()
                    .map(|e| e["value"].to_string())
                    .collect(),
                None => vec![String::new()],
            };
            for body in bodies {
                let method = method.to_ascii_uppercase();
                let answer = server.once(request(&method, path, &[], body.as_bytes())).await;
                let documented = &operation["responses"][answer.status.to_string()];
                assert!(
                    documented.is_object(),
                    "{method} {path} answers {}",
                    answer.status
                );
                assert_eq!(answer.status, 200, "{method} {path}: {answer:?}");
                let media = answer
                    .header("content-type")
                    .expect("a type")
                    .split(';')
                    .next()
                    .expect("a type");
                let schema = &documented["content"][media]["schema"];
                assert!(schema.is_object(), "{method} {path} answers {media}");
                let instance = match media {
                    "application/json" => answer.json(),
                    _ => Value::String(String::from_utf8(answer.body.clone()).expect("UTF-8")),
                };
                check(&document, schema, &instance, &format!("{method} {path}"));
            }
        }
    }
    server.stop().await;
}

/// Checks by the document's own schemas.
fn check(document: &Value, schema: &Value, instance: &Value, what: &str) {
    let mut whole = schema.clone();
    whole["components"] = document["components"].clone();
    let compiled = jsonschema::draft202012::new(&whole).expect("a schema");
    if let Err(error) = compiled.validate(instance) {
        panic!("{what}: {error} in {instance}");
    }
}
