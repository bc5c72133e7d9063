//! Tools, resources, prompts and completions.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ferromcp::core::{ErrorCode, Operation};
use ferromcp::{
    Audience, Content, Context, Json, JsonSchema, LogLevel, Message, Prompt, PromptResult, Resource,
    ResourceContents, ResourceTemplate, Server, ServerBuilder, Tool, ToolError, ToolResult, Value,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::calling::{Scripted, complete, gateway, text, value};

#[derive(Deserialize, JsonSchema)]
struct Greet {
    name: String,
}

#[derive(Serialize, JsonSchema)]
struct Sum {
    sum: i64,
}

#[derive(Deserialize, JsonSchema)]
struct Add {
    a: i64,
    b: i64,
}

fn demo() -> ServerBuilder {
    Server::builder("demo", "1.0.0")
}

async fn greet(args: Greet, cx: Context) -> Result<String, ToolError> {
    cx.info("greeting");
    Ok(format!("Hello, {}!", args.name))
}

#[tokio::test]
async fn every_shape_of_handler_works() {
    let gateway = gateway(
        demo()
            .tool(Tool::new("greet", "", greet))
            .tool(Tool::new("args", "", |args: Greet| async move { args.name }))
            .tool(Tool::new("context", "", |cx: Context| async move {
                cx.request_id().to_string()
            }))
            .tool(Tool::new("nothing", "", || async {}))
            .tool(Tool::new("static", "", || async { "fixed" }))
            .tool(Tool::blocking("block", "", |args: Add| {
                Json(Sum { sum: args.a + args.b })
            }))
            .tool(Tool::blocking(
                "block_cx",
                "",
                |args: Greet, cx: Context| -> Result<String, ToolError> {
                    cx.progress(1.0, None, None);
                    Ok(args.name)
                },
            ))
            .tool(Tool::raw(
                "raw",
                "",
                r#"{"type":"object"}"#,
                |args: Value| async move { args.to_string() },
            )),
    );
    let client = Scripted::legacy();
    assert_eq!(
        text(
            &client
                .tool(&gateway, "greet", json!({"name": "A"}))
                .await
                .unwrap()
        ),
        "Hello, A!"
    );
    assert_eq!(
        text(&client.tool(&gateway, "args", json!({"name": "B"})).await.unwrap()),
        "B"
    );
    assert_eq!(
        text(
            &client
                .tool(&gateway, "context", json!({"dummy": 1}))
                .await
                .unwrap()
        )
        .len(),
        32
    );
    assert_eq!(
        client.tool(&gateway, "nothing", json!({})).await.unwrap(),
        json!({"content": []})
    );
    assert_eq!(
        text(&client.tool(&gateway, "static", json!({})).await.unwrap()),
        "fixed"
    );
    assert_eq!(
        client
            .tool(&gateway, "block", json!({"a": 2, "b": 3}))
            .await
            .unwrap(),
        json!({ "content": [{ "type": "text", "text": "{\"sum\":5}" }], "structuredContent": { "sum": 5 } })
    );
    assert_eq!(
        text(
            &client
                .tool(&gateway, "block_cx", json!({"name": "C"}))
                .await
                .unwrap()
        ),
        "C"
    );
    assert_eq!(
        text(&client.tool(&gateway, "raw", json!({"any": [1]})).await.unwrap()),
        r#"{"any":[1]}"#
    );
    assert_eq!(client.seen(), ["info - \"greeting\"", "progress 1/0 -"]);
}

#[tokio::test]
async fn arguments_are_checked_before_the_handler_runs() {
    let gateway = gateway(demo().tool(Tool::new("greet", "", greet)));
    let client = Scripted::legacy();
    for bad in [json!({}), json!({"name": 1}), json!([])] {
        let error = client.tool(&gateway, "greet", bad).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidArguments);
    }
    assert!(client.seen().is_empty());
}

#[tokio::test]
async fn content_of_every_kind() {
    let gateway = gateway(demo().tool(Tool::new("all", "", || async {
        ToolResult::new()
            .content(Content::text("t").audience(Audience::User).priority(2.0))
            .content(Content::image([1, 2, 3], "image/png"))
            .content(Content::audio_base64("AAA=", "audio/wav").meta(json!({"k": 1})))
            .content(Content::link("app://x", "x"))
            .content(Content::resource(
                ResourceContents::text("r").uri("app://r").mime_type("text/plain"),
            ))
            .structured(&json!([1]))
            .meta(json!({"m": true}))
            .error()
    })));
    let result = Scripted::legacy().tool(&gateway, "all", json!({})).await.unwrap();
    assert_eq!(
        result,
        json!({
            "content": [
                { "type": "text", "text": "t", "annotations": { "audience": ["user"], "priority": 1.0 } },
                { "type": "image", "data": "AQID", "mimeType": "image/png" },
                { "type": "audio", "data": "AAA=", "mimeType": "audio/wav", "_meta": { "k": 1 } },
                { "type": "resource_link", "uri": "app://x", "name": "x" },
                { "type": "resource", "resource": { "uri": "app://r", "mimeType": "text/plain", "text": "r" } },
            ],
            "structuredContent": [1],
            "isError": true,
            "_meta": { "m": true },
        })
    );
}

#[tokio::test]
async fn errors_reach_whom_they_are_for() {
    let gateway = gateway(
        demo()
            .tool(Tool::new("msg", "", || async {
                Err::<String, _>(ToolError::msg("no luck"))
            }))
            .tool(Tool::new("std", "", || async {
                let number: u8 = "x".parse()?;
                Ok(number.to_string())
            }))
            .tool(Tool::new("rpc", "", || async {
                Err::<(), _>(ToolError::rpc_with(-32050, "odd", &json!({"a": 1})))
            }))
            .tool(Tool::new("panic", "", || async {
                if true { panic!("boom") } else { "" }
            })),
    );
    let client = Scripted::legacy();
    let result = client.tool(&gateway, "msg", json!({})).await.unwrap();
    assert_eq!((text(&result), &result["isError"]), ("no luck", &json!(true)));
    let result = client.tool(&gateway, "std", json!({})).await.unwrap();
    assert!(text(&result).contains("invalid digit") && result["isError"] == true);
    let error = client
        .tool(&gateway, "rpc", json!({}))
        .await
        .unwrap_err()
        .to_rpc();
    assert_eq!(
        (error.code, error.message.as_str(), error.data.as_deref()),
        (-32050, "odd", Some(r#"{"a":1}"#))
    );
    let error = client.tool(&gateway, "panic", json!({})).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Internal);
    assert!(!error.message().contains("boom"));
}

#[tokio::test]
async fn progress_and_logs_arrive_in_order_and_before_the_result() {
    let gateway = gateway(demo().tool(Tool::new("work", "", |cx: Context| async move {
        cx.progress(0.0, Some(2.0), None);
        cx.log(LogLevel::Warning, Some("core"), &json!({"step": 1}));
        tokio::task::yield_now().await;
        let other = cx.clone();
        tokio::spawn(async move { other.progress(1.0, Some(2.0), "half".to_owned()) }).await?;
        cx.release_stream();
        cx.progress(2.0, Some(2.0), "done".to_owned());
        Ok("ok")
    })));
    let client = Scripted::legacy();
    client.tool(&gateway, "work", json!({})).await.unwrap();
    assert_eq!(
        client.seen(),
        [
            "progress 0/2 -",
            "warning core {\"step\":1}",
            "progress 1/2 half",
            "released",
            "progress 2/2 done"
        ]
    );
}

#[tokio::test]
async fn a_dropped_call_cancels_its_handler() {
    let told = Arc::new(AtomicBool::new(false));
    let (sender, started) = tokio::sync::oneshot::channel();
    let (note, sender) = (Arc::clone(&told), std::sync::Mutex::new(Some(sender)));
    let (done, mut ended) = tokio::sync::mpsc::channel::<()>(1);
    let gateway = gateway(demo().tool(Tool::blocking("wait", "", move |cx: Context| {
        if let Some(sender) = sender.lock().unwrap().take() {
            sender.send(()).unwrap();
        }
        tokio::runtime::Handle::current().block_on(cx.cancelled());
        note.store(cx.is_cancelled(), Ordering::SeqCst);
        drop(done.clone());
        let _ = done.try_send(());
    })));
    let running = tokio::spawn(async move {
        let _ = Scripted::legacy().tool(&gateway, "wait", json!({})).await;
    });
    started.await.unwrap();
    running.abort();
    ended.recv().await.unwrap();
    assert!(told.load(Ordering::SeqCst));
}

#[derive(Deserialize)]
struct Row {
    id: u32,
}

fn with_resources() -> ServerBuilder {
    demo()
        .resource(Resource::text("app://text", "text", "hello").mime_type("text/plain"))
        .resource(Resource::bytes("app://bytes", "bytes", [0, 1]))
        .resource(Resource::new("app://now", "now", |cx: Context| async move {
            cx.info("reading");
            vec![
                ResourceContents::text("a"),
                ResourceContents::bytes("b").uri("app://b").mime_type("x/y"),
            ]
        }))
        .template(
            ResourceTemplate::new("app://row/{id}/data", "row", |row: Row| async move {
                if row.id == 0 {
                    return Err(ToolError::resource_not_found("app://row/0/data"));
                }
                Ok(format!("row {}", row.id))
            })
            .complete("id", |typed| async move { [format!("{}1", typed.value)] }),
        )
}

#[tokio::test]
async fn resources_and_templates_are_read() {
    let gateway = gateway(with_resources());
    let client = Scripted::modern();
    let read = async |uri: &str| {
        let outcome = client
            .call(&gateway, Operation::ReadResource, uri, None, None)
            .await;
        outcome
            .result
            .map(|reply| value(&complete(reply))["contents"].clone())
    };
    assert_eq!(
        read("app://text").await.unwrap(),
        json!([{ "uri": "app://text", "mimeType": "text/plain", "text": "hello" }])
    );
    assert_eq!(
        read("app://bytes").await.unwrap(),
        json!([{ "uri": "app://bytes", "blob": "AAE=" }])
    );
    assert_eq!(
        read("app://now").await.unwrap(),
        json!([{ "uri": "app://now", "text": "a" }, { "uri": "app://b", "mimeType": "x/y", "blob": "Yg==" }])
    );
    assert_eq!(read("app://row/7/data").await.unwrap()[0]["text"], "row 7");
    for (uri, code) in [("app://row/0/data", -32602), ("app://else", -32602)] {
        let error = read(uri).await.unwrap_err().to_rpc();
        assert_eq!(error.code, code);
        assert!(error.data.unwrap().contains(uri));
    }
    assert_eq!(
        read("app://row/x/data").await.unwrap_err().code(),
        ErrorCode::InvalidArguments
    );
    let legacy = Scripted::legacy();
    let outcome = legacy
        .call(&gateway, Operation::ReadResource, "app://else", None, None)
        .await;
    assert_eq!(outcome.result.unwrap_err().to_rpc().code, -32002);
}

#[derive(Deserialize, JsonSchema)]
struct Review {
    /// Which language
    language: String,
    limit: Option<u8>,
}

fn with_prompts() -> ServerBuilder {
    demo()
        .prompt(
            Prompt::new("review", "Reviews", |args: Review| async move {
                format!("{} {}", args.language, args.limit.unwrap_or(5))
            })
            .choices("language", ["Rust", "ruby", "go"]),
        )
        .prompt(Prompt::new("talk", "Talks", || async {
            PromptResult::new([
                Message::user("hi"),
                Message::assistant(Content::image([0], "image/png")),
            ])
            .description("a talk")
            .meta(json!({"m": 1}))
        }))
}

#[tokio::test]
async fn prompts_take_texts_and_give_messages() {
    let gateway = gateway(with_prompts());
    let client = Scripted::modern();
    let get = async |name: &str, args: Value| {
        let outcome = client
            .call(&gateway, Operation::GetPrompt, name, Some(&args), None)
            .await;
        outcome.result.map(|reply| value(&complete(reply)))
    };
    assert_eq!(
        get("review", json!({"language": "go", "limit": "3"}))
            .await
            .unwrap(),
        json!({ "messages": [{ "role": "user", "content": { "type": "text", "text": "go 3" } }] })
    );
    let talk = get("talk", json!({})).await.unwrap();
    assert_eq!(
        (&talk["description"], &talk["_meta"]["m"]),
        (&json!("a talk"), &json!(1))
    );
    assert_eq!(talk["messages"][1]["role"], "assistant");
    let error = get("review", json!({"limit": "3"})).await.unwrap_err();
    assert_eq!(
        (error.code(), error.to_rpc().code),
        (ErrorCode::InvalidArguments, -32602)
    );
    assert!(error.message().contains("language"));
    assert!(
        get("review", json!({"language": "go", "limit": "many"}))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn arguments_are_completed() {
    let server = gateway(with_prompts());
    let client = Scripted::modern();
    let params = json!({ "argument": { "name": "language", "value": "R" } });
    let outcome = client
        .call(&server, Operation::CompletePrompt, "review", Some(&params), None)
        .await;
    assert_eq!(
        value(&complete(outcome.result.unwrap())),
        json!({ "completion": { "values": ["Rust", "ruby"], "total": 2, "hasMore": false } })
    );
    let params = json!({ "argument": { "name": "limit", "value": "" } });
    let outcome = client
        .call(&server, Operation::CompletePrompt, "review", Some(&params), None)
        .await;
    assert_eq!(
        value(&complete(outcome.result.unwrap()))["completion"]["values"],
        json!([])
    );

    let server = gateway(with_resources());
    let params = json!({ "argument": { "name": "id", "value": "4" } });
    let outcome = client
        .call(
            &server,
            Operation::CompleteResource,
            "app://row/{id}/data",
            Some(&params),
            None,
        )
        .await;
    assert_eq!(
        value(&complete(outcome.result.unwrap()))["completion"]["values"],
        json!(["41"])
    );
}
