//! Tools that say something while they run.

use std::time::Duration;

use ferromcp::{Context, InputKind, Prompt, Tool, ToolError};
use tokio::time::sleep;

/// Between two signs of life, so that each can be observed.
const STEP: Duration = Duration::from_millis(50);

pub(crate) fn tools() -> Vec<Tool> {
    vec![
        Tool::new(
            "test_tool_with_logging",
            "Logs three messages",
            |cx: Context| async move {
                cx.info("Tool execution started");
                sleep(STEP).await;
                cx.info("Tool processing data");
                sleep(STEP).await;
                cx.info("Tool execution completed");
                "Tool with logging executed successfully"
            },
        ),
        Tool::new(
            "test_logging_tool",
            "Logs one message",
            |cx: Context| async move {
                cx.info("Diagnostic message");
                "Logging evaluated"
            },
        ),
        Tool::new(
            "test_tool_with_progress",
            "Reports progress three times",
            |cx: Context| async move {
                for step in [0.0, 50.0, 100.0] {
                    cx.progress(step, Some(100.0), format!("Completed step {step} of 100"));
                    sleep(STEP).await;
                }
                "Tool with progress executed successfully"
            },
        ),
        Tool::new(
            "test_reconnection",
            "Lets go of its response stream and ends later",
            |cx: Context| async move {
                cx.release_stream();
                sleep(2 * STEP).await;
                "Reconnection test completed successfully. If you received this, the client properly reconnected \
             after stream closure."
            },
        ),
        Tool::new(
            "test_missing_capability",
            "Needs the client capability sampling",
            |cx: Context| async move {
                cx.require(InputKind::Sample)?;
                Ok("Success")
            },
        ),
        Tool::new(
            "test_trigger_tool_change",
            "Changes the list of tools",
            |cx: Context| async move {
                const NAME: &str = "test_dynamic_tool";
                let server = cx.server();
                if !server.remove_tool(NAME) {
                    server.add_tool(Tool::new(NAME, "Comes and goes", || async { "Here I am" }))?;
                }
                Ok::<_, ToolError>("Mutation triggered")
            },
        ),
        Tool::new(
            "test_trigger_prompt_change",
            "Changes the list of prompts",
            |cx: Context| async move {
                const NAME: &str = "test_dynamic_prompt";
                let server = cx.server();
                if !server.remove_prompt(NAME) {
                    server.add_prompt(Prompt::new(NAME, "Comes and goes", || async { "Here I am" }))?;
                }
                Ok::<_, ToolError>("Mutation triggered")
            },
        ),
    ]
}
