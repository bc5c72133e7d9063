//! A server written with rmcp, mounted in-process.
#![expect(
    deprecated,
    reason = "sampling is deprecated from 2026-07-28 on, and must work for older clients"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ferromcp::core::{Event, Operation, SourceState};
use ferromcp::{RmcpServer, Server, Tool};
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, CreateMessageRequestParams,
    ListToolsResult, PaginatedRequestParams, SamplingMessage, ServerCapabilities, ServerConfig,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler, tool, tool_handler, tool_router};
use serde_json::json;
use tokio::sync::Notify;

use crate::calling::{Scripted, gateway, text};

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Sum {
    a: i32,
    b: i32,
}

#[derive(Clone, Default)]
struct Calculator {
    /// Told when `hang` hears that nobody waits for it any more.
    cancelled: Arc<Notify>,
}

#[tool_router]
impl Calculator {
    #[tool(description = "Adds")]
    fn sum(&self, Parameters(Sum { a, b }): Parameters<Sum>) -> Result<CallToolResult, ErrorData> {
        Ok(CallToolResult::success(vec![ContentBlock::text(
            (a + b).to_string(),
        )]))
    }

    #[tool(description = "Fails")]
    fn fail(&self) -> Result<CallToolResult, ErrorData> {
        Err(ErrorData::new(rmcp::model::ErrorCode(-32050), "no", None))
    }

    #[tool(description = "Asks the model of the client")]
    async fn ask(&self, context: RequestContext<RoleServer>) -> Result<CallToolResult, ErrorData> {
        let params = CreateMessageRequestParams::new(vec![SamplingMessage::user_text("Well?")], 10);
        let answer = context.peer.create_message(params).await;
        let text = match answer {
            Ok(answer) => format!("{} said something", answer.model),
            Err(e) => format!("refused: {e}"),
        };
        Ok(CallToolResult::success(vec![ContentBlock::text(text)]))
    }

    #[tool(description = "Never ends")]
    async fn hang(&self, context: RequestContext<RoleServer>) -> Result<CallToolResult, ErrorData> {
        let token = context.meta.get_progress_token();
        if let Some(token) = token {
            let progress = rmcp::model::ProgressNotificationParam::new(token, 1.0).with_message("hanging");
            let _ = context.peer.notify_progress(progress).await;
        }
        context.ct.cancelled().await;
        self.cancelled.notify_one();
        Err(ErrorData::internal_error("cancelled", None))
    }
}

#[tool_handler]
impl ServerHandler for Calculator {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(
            ServerCapabilities::builder()
                .enable_tools()
                .enable_tool_list_changed()
                .build(),
        )
        .with_instructions("Calculates")
    }
}

/// Has one tool, which adds another.
#[derive(Default)]
struct Growing {
    grown: AtomicBool,
}

impl ServerHandler for Growing {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(
            ServerCapabilities::builder()
                .enable_tools()
                .enable_tool_list_changed()
                .build(),
        )
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let mut tools = vec![rmcp::model::Tool::new("grow", "", Arc::default())];
        if self.grown.load(Ordering::SeqCst) {
            tools.push(rmcp::model::Tool::new("new", "", Arc::default()));
        }
        Ok(ListToolsResult::with_all_items(tools))
    }

    async fn call_tool(
        &self,
        _: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        self.grown.store(true, Ordering::SeqCst);
        let _ = context.peer.notify_tool_list_changed().await;
        Ok(CallToolResult::success(vec![]).into())
    }
}

#[tokio::test]
async fn changes_of_its_lists_are_followed() {
    let growing = RmcpServer::connect("growing", Growing::default())
        .await
        .unwrap()
        .prefix("g");
    let gateway = gateway(Server::builder("s", "1").mount(growing));
    let mut events = gateway.events();
    assert!(gateway.snapshot().catalog.tool("g__new").is_none());
    Scripted::legacy()
        .tool(&gateway, "g__grow", json!({}))
        .await
        .unwrap();
    assert!(matches!(events.recv().await.unwrap(), Event::ToolsChanged));
    assert!(gateway.snapshot().catalog.tool("g__new").is_some());
}

async fn mounted(calculator: Calculator) -> Arc<ferromcp::Gateway> {
    let calculator = RmcpServer::connect("calculator", calculator)
        .await
        .unwrap()
        .prefix("calc");
    gateway(
        Server::builder("s", "1")
            .tool(Tool::new("own", "", || async { "own" }))
            .mount(calculator),
    )
}

#[tokio::test]
async fn its_tools_are_listed_and_called() {
    let gateway = mounted(Calculator::default()).await;
    let snapshot = gateway.snapshot();
    let names: Vec<&str> = snapshot.catalog.tools().iter().map(|t| &*t.name).collect();
    assert_eq!(names.len(), 5);
    assert!(names.contains(&"own") && names.contains(&"calc__sum"));
    assert_eq!(
        snapshot
            .catalog
            .source("calculator")
            .unwrap()
            .instructions
            .as_deref(),
        Some("Calculates")
    );
    let client = Scripted::modern();
    assert_eq!(
        text(
            &client
                .tool(&gateway, "calc__sum", json!({"a": 2, "b": 3}))
                .await
                .unwrap()
        ),
        "5"
    );
    assert!(
        client
            .tool(&gateway, "calc__sum", json!({"a": "2"}))
            .await
            .is_err()
    );
    let error = client
        .tool(&gateway, "calc__fail", json!({}))
        .await
        .unwrap_err()
        .to_rpc();
    assert_eq!((error.code, error.message.as_str()), (-32050, "no"));
}

#[tokio::test]
async fn its_questions_reach_clients_that_can_be_asked() {
    let gateway = mounted(Calculator::default()).await;
    let answer = json!({"role": "assistant", "content": {"type": "text", "text": "!"}, "model": "gpt"});
    // rmcp counts its requests from zero.
    let client = Scripted::legacy().answering("rmcp-0", answer);
    assert_eq!(
        text(&client.tool(&gateway, "calc__ask", json!({})).await.unwrap()),
        "gpt said something"
    );
    let client = Scripted::modern();
    let result = client.tool(&gateway, "calc__ask", json!({})).await.unwrap();
    assert!(text(&result).contains("cannot be asked"), "{result}");
}

#[tokio::test]
async fn progress_and_cancellation_pass_through() {
    let calculator = Calculator::default();
    let cancelled = Arc::clone(&calculator.cancelled);
    let gateway = mounted(calculator).await;
    let client = Arc::new(Scripted::legacy());
    let (calling, server) = (Arc::clone(&client), Arc::clone(&gateway));
    let call = tokio::spawn(async move {
        calling
            .call(&server, Operation::CallTool, "calc__hang", Some(&json!({})), None)
            .await
    });
    while client.seen().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(client.seen(), ["progress 1/0 hanging"]);
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    cancelled.notified().await;
    let other = client
        .tool(&gateway, "calc__sum", json!({"a": 1, "b": 1}))
        .await
        .unwrap();
    assert_eq!(text(&other), "2");
    assert_eq!(
        gateway.snapshot().catalog.source("calculator").unwrap().state,
        SourceState::Ready
    );
}
