//! What is listed, what is refused, and changes at run time.

use std::sync::{Arc, Mutex};

use ferromcp::core::Event;
use ferromcp::{
    Icon, Json, JsonSchema, Prompt, Resource, ResourceTemplate, Server, TaskSupport, Tool, Value,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::calling::{Scripted, gateway, text};

#[derive(Deserialize, JsonSchema)]
struct Query {
    /// Where to look
    region: String,
    limit: Option<u32>,
    inner: Option<Box<Query>>,
}

#[derive(Serialize, JsonSchema)]
struct Found {
    count: u32,
}

fn definition(tool: Tool) -> Value {
    let name = "query";
    let gateway = gateway(Server::builder("s", "1").tool(tool));
    let snapshot = gateway.snapshot();
    serde_json::from_str(&snapshot.catalog.tool(name).unwrap().definition).unwrap()
}

#[test]
fn a_typed_tool_is_described_by_its_types() {
    let tool = Tool::new("query", "Looks things up", |q: Query| async move {
        let _ = (q.limit, q.inner);
        Json(Found {
            count: u32::try_from(q.region.len()).unwrap(),
        })
    })
    .title("Query")
    .read_only()
    .idempotent()
    .open_world(false)
    .icon(
        Icon::new("https://e.org/i.png")
            .mime_type("image/png")
            .size("48x48"),
    )
    .meta(json!({"a": 1}))
    .header("region", "Region");
    let made = definition(tool);
    assert_eq!(made["title"], "Query");
    assert_eq!(made["description"], "Looks things up");
    let schema = &made["inputSchema"];
    assert_eq!(
        schema["properties"]["region"],
        json!({ "type": "string", "description": "Where to look", "x-mcp-header": "Region" })
    );
    assert_eq!(
        (&schema["type"], &schema["required"]),
        (&json!("object"), &json!(["region"]))
    );
    assert_eq!(made["outputSchema"]["properties"]["count"]["type"], "integer");
    assert_eq!(
        made["annotations"],
        json!({ "readOnlyHint": true, "idempotentHint": true, "openWorldHint": false })
    );
    assert_eq!(
        made["icons"],
        json!([{ "src": "https://e.org/i.png", "mimeType": "image/png", "sizes": ["48x48"] }])
    );
    assert_eq!(made["_meta"], json!({"a": 1}));
}

#[test]
fn a_raw_schema_is_published_as_it_stands() {
    let schema =
        r#"{"type":"object", "zeta":1, "$schema":"https://json-schema.org/draft/2020-12/schema", "alpha":2}"#;
    let server = gateway(Server::builder("s", "1").tool(Tool::raw("t", "", schema, || async { "" })));
    assert!(
        server
            .snapshot()
            .catalog
            .tool("t")
            .unwrap()
            .definition
            .contains(schema)
    );
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let fine = || async { "" };
    let error = Server::builder("s", "1")
        .tool(Tool::new("twice", "", fine))
        .tool(Tool::new("twice", "", fine))
        .tool(Tool::new("no spaces", "", fine))
        .tool(Tool::new("x".repeat(129), "", fine))
        .tool(Tool::raw("text", "", "not json", fine))
        .tool(Tool::raw("list", "", r#"{"type":"array"}"#, fine))
        .tool(Tool::raw(
            "bad",
            "",
            r#"{"type":"object","properties":{"a":{"type":"strin"}}}"#,
            fine,
        ))
        .tool(Tool::raw(
            "remote",
            "",
            r#"{"type":"object","$ref":"https://example.org/s"}"#,
            fine,
        ))
        .tool(Tool::new("header", "", |q: Query| async move { q.region }).header("nope", "Nope"))
        .tool(Tool::new("header2", "", |q: Query| async move { q.region }).header("region", "not a token"))
        .tool(Tool::new("out", "", fine).output_schema(json!({ "type": 3 })))
        .tool(Tool::new("meta", "", fine).meta(json!(3)))
        .resource(Resource::text("nowhere", "n", ""))
        .template(ResourceTemplate::new("app://{x", "t", fine))
        .template(ResourceTemplate::new("app://{x}", "t", fine).choices("y", ["z"]))
        .prompt(Prompt::new("p/q", "", fine))
        .prompt(Prompt::new("p", "", fine).choices("missing", ["z"]))
        .build()
        .unwrap_err();
    let all = error.to_string();
    for part in [
        "`twice` is there twice",
        "`no spaces`",
        &"x".repeat(129),
        "`text`: its input schema is not JSON",
        "`list`: arguments are always an object",
        "`bad`: inputSchema",
        "`remote`: inputSchema",
        "`header`: it has no parameter `nope`",
        "`header2`: an `x-mcp-header`",
        "`out`: outputSchema",
        "`meta`: its meta",
        "`nowhere`",
        "`app://{x`",
        "completes `y`",
        "`p/q`",
        "completes `missing`",
    ] {
        assert!(all.contains(part), "{part} is missing in:\n{all}");
    }
    assert_eq!(error.problems().len(), 16, "{all}");
}

#[tokio::test]
async fn parts_change_while_the_server_runs() {
    let watched = Arc::new(Mutex::new(Vec::new()));
    let note = Arc::clone(&watched);
    let server = Server::builder("s", "1")
        .on_watch(move |uri, on| note.lock().unwrap().push(format!("{uri} {on}")))
        .resource(Resource::text("app://a", "a", ""))
        .build()
        .unwrap();
    let handle = server.handle();
    let gateway = server.into_gateway();
    let mut events = gateway.events();
    handle.add_tool(Tool::new("t", "", || async { "one" })).unwrap();
    assert!(matches!(events.recv().await.unwrap(), Event::ToolsChanged));
    handle
        .add_tool(Tool::new("t", "better", || async { "two" }))
        .unwrap();
    assert!(matches!(events.recv().await.unwrap(), Event::ToolsChanged));
    let client = Scripted::legacy();
    assert_eq!(text(&client.tool(&gateway, "t", json!({})).await.unwrap()), "two");
    assert!(handle.add_tool(Tool::new("not ok", "", || async { "" })).is_err());
    assert!(handle.remove_tool("t") && !handle.remove_tool("t"));
    assert!(matches!(events.recv().await.unwrap(), Event::ToolsChanged));
    assert!(
        events.try_recv().is_err(),
        "a change that changes nothing is not announced"
    );
    assert!(client.tool(&gateway, "t", json!({})).await.is_err());
    handle.add_prompt(Prompt::new("p", "", || async { "" })).unwrap();
    assert!(matches!(events.recv().await.unwrap(), Event::PromptsChanged));
    handle.add_resource(Resource::text("app://b", "b", "")).unwrap();
    assert!(matches!(events.recv().await.unwrap(), Event::ResourcesChanged));
    handle.resource_updated("app://b");
    assert!(matches!(events.recv().await.unwrap(), Event::ResourceUpdated { uri } if &*uri == "app://b"));
    drop(gateway.watch("app://a"));
    assert_eq!(*watched.lock().unwrap(), ["app://a true", "app://a false"]);
}

#[tokio::test]
async fn servers_are_mounted_in_servers() {
    let inner = Server::builder("inner", "1")
        .prefix("in")
        .tool(Tool::new("t", "", || async { "inner" }))
        .build()
        .unwrap();
    let outer = gateway(
        Server::builder("outer", "1")
            .instructions("be kind")
            .tool(Tool::new("t", "", || async { "outer" }))
            .mount(inner),
    );
    let client = Scripted::legacy();
    assert_eq!(text(&client.tool(&outer, "t", json!({})).await.unwrap()), "outer");
    assert_eq!(
        text(&client.tool(&outer, "in__t", json!({})).await.unwrap()),
        "inner"
    );
    let snapshot = outer.snapshot();
    assert_eq!(
        snapshot.catalog.source("outer").unwrap().instructions.as_deref(),
        Some("be kind")
    );
}

#[test]
fn offers_say_what_there_is() {
    let server = gateway(
        Server::builder("s", "1")
            .tool(Tool::new("t", "", || async { "" }).task(TaskSupport::Optional))
            .prompt(Prompt::new("p", "", || async { "" })),
    );
    let offers = server.snapshot().catalog.offers();
    assert!(offers.tools && offers.tasks && offers.prompts);
    assert!(!offers.resources && !offers.completions);
}
