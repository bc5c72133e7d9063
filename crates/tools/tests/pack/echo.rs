use ferromcp_core::{ErrorCode, Policy, SchemaMode};
use ferromcp_tools::{FilesSettings, PackError, Settings};
use serde_json::{Value, json};

use crate::Bench;

fn without_schema() -> Bench {
    let policy = Policy {
        schema: SchemaMode::Off,
        ..Policy::default()
    };
    Bench::with(&Settings::default(), policy)
}

#[tokio::test]
async fn returns_the_text_with_and_without_the_schema_check() {
    for bench in [Bench::new(FilesSettings::default()), without_schema()] {
        for msg in ["", "hi", "a \"quoted\"\nline\u{0}", "Grüße 世界 🦀", "\u{2028}"] {
            let answer = bench.call("echo", json!({ "msg": msg })).await.ok();
            assert_eq!(answer.text(), msg);
            assert_eq!(answer.0["content"].as_array().unwrap().len(), 1);
        }
        assert_eq!(
            bench.call("echo", json!({"msg": "x"})).await.0["isError"],
            Value::Null
        );
    }
}

#[tokio::test]
async fn needs_a_string() {
    for bench in [Bench::new(FilesSettings::default()), without_schema()] {
        for arguments in [json!({}), json!({"msg": 1}), json!({"message": "x"})] {
            let error = bench.error("echo", arguments).await;
            assert_eq!(error.code(), ErrorCode::InvalidArguments);
            assert_eq!(error.rule(), Some("schema.arguments"));
            assert!(error.message().contains("msg"), "{error}");
        }
    }
}

#[test]
fn what_is_listed_depends_on_the_settings() {
    let root = tempfile::tempdir().unwrap();
    let files = |write, delete| FilesSettings {
        roots: vec![root.path().into()],
        write,
        delete,
        ..FilesSettings::default()
    };
    let reading = ["echo", "list_dir", "read_file", "search_files"];
    assert_eq!(Bench::new(FilesSettings::default()).tools(), ["echo"]);
    assert_eq!(Bench::new(files(false, false)).tools(), reading);
    let names = |more: &[&'static str]| [&reading[..], more].concat();
    assert_eq!(Bench::new(files(true, false)).tools(), names(&["write_file"]));
    assert_eq!(Bench::new(files(false, true)).tools(), names(&["delete_file"]));
    assert_eq!(
        Bench::new(files(true, true)).tools(),
        names(&["write_file", "delete_file"])
    );

    let quiet = Settings {
        echo: false,
        files: FilesSettings::default(),
    };
    let listing = ferromcp_tools::listing(&quiet).unwrap();
    assert!(listing.tools.is_empty() && !listing.offers.tools);
    let echo = ferromcp_tools::echo();
    assert_eq!((&*echo.name, &*echo.prefix, echo.tools.len()), ("builtin", "", 1));
}

#[tokio::test]
async fn what_is_not_listed_cannot_be_called() {
    let (_outer, data) = crate::data();
    let bench = Bench::reader(&data);
    for tool in ["write_file", "delete_file"] {
        let error = bench
            .error(tool, json!({"path": "hello.txt", "content": ""}))
            .await;
        assert_eq!(error.code(), ErrorCode::ToolNotFound);
    }
    assert!(data.join("hello.txt").exists());
}

/// The definitions say what clients rely on, and their schemas compile (a call proves that).
#[test]
fn definitions_are_complete() {
    let root = tempfile::tempdir().unwrap();
    let bench = Bench::writer(root.path());
    let snapshot = bench.gateway.snapshot();
    for tool in snapshot.catalog.tools() {
        assert!(tool.input_schema().unwrap().is_some(), "{}", tool.name);
        let output = tool.output_schema().unwrap().is_some();
        let structured = ["list_dir", "search_files"].contains(&&*tool.name);
        assert_eq!(output, structured, "{}", tool.name);
        let definition: Value = serde_json::from_str(&tool.definition).unwrap();
        assert!(definition["title"].is_string() && definition["description"].is_string());
        assert_eq!(definition["inputSchema"]["additionalProperties"], json!(false));
        for (name, property) in definition["inputSchema"]["properties"].as_object().unwrap() {
            assert!(property["description"].is_string(), "{} {name}", tool.name);
        }
        let hints = &definition["annotations"];
        let writes = ["write_file", "delete_file"].contains(&&*tool.name);
        assert_eq!(hints["readOnlyHint"], json!(!writes), "{}", tool.name);
        assert_eq!(hints["destructiveHint"], json!(writes), "{}", tool.name);
        assert_eq!(hints["idempotentHint"], json!(&*tool.name != "write_file"));
        assert_eq!(hints["openWorldHint"], json!(false));
    }
}

#[test]
fn roots_that_cannot_be_opened_are_named() {
    let (outer, data) = crate::data();
    let open = |root: std::path::PathBuf| {
        ferromcp_tools::listing(&Settings {
            echo: true,
            files: FilesSettings {
                roots: vec![root],
                ..FilesSettings::default()
            },
        })
    };
    let missing = outer.path().join("missing");
    let error = open(missing.clone()).unwrap_err();
    assert!(matches!(error, PackError::Root { .. }));
    assert!(error.to_string().contains(missing.to_str().unwrap()), "{error}");
    let error = open(data.join("hello.txt")).unwrap_err();
    assert!(matches!(error, PackError::NotADirectory { .. }), "{error}");
    let error = ferromcp_tools::listing(&Settings {
        echo: true,
        files: FilesSettings {
            roots: vec![data],
            max_read: 0,
            ..FilesSettings::default()
        },
    });
    assert!(error.unwrap_err().to_string().contains("max_read"));
}
