//! The tasks extension.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use ferromcp::core::{ErrorCode, Event, Operation, Reply};
use ferromcp::{
    Context, Form, Gateway, Json, JsonSchema, Server, ServerBuilder, TaskLimits, TaskSupport, Tool, ToolError,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::broadcast::Receiver;

use crate::calling::{Scripted, accept, complete, gateway, text, value};

#[derive(Deserialize, JsonSchema)]
struct Sure {
    confirm: bool,
}

#[derive(Serialize, JsonSchema)]
struct Made {
    files: u32,
}

fn server() -> ServerBuilder {
    Server::builder("jobs", "1.0.0")
        .tool(Tool::new("ok", "", || async { Json(Made { files: 3 }) }).task(TaskSupport::Optional))
        .tool(
            Tool::new("fails", "", || async { Err::<(), _>(ToolError::msg("broken")) })
                .task(TaskSupport::Required),
        )
        .tool(
            Tool::new("protocol", "", || async {
                Err::<(), _>(ToolError::rpc(-32603, "odd"))
            })
            .task(TaskSupport::Required),
        )
        .tool(
            Tool::new("panics", "", || async { if true { panic!("boom") } else { "" } })
                .task(TaskSupport::Required),
        )
        .tool(
            Tool::new("waits", "", |cx: Context| async move {
                cx.progress(1.0, Some(2.0), "half way".to_owned());
                pending::<()>().await;
                "never"
            })
            .task(TaskSupport::Optional),
        )
        .tool(
            Tool::new("confirm", "", |cx: Context| async move {
                let (one, two) = cx
                    .ask_all((
                        ("one", Form::<Sure>::new("Sure?")?),
                        ("two", Form::<Sure>::new("Really?")?),
                    ))
                    .await?;
                let (one, two) = (one.accepted(), two.accepted());
                Ok(format!(
                    "{:?} {:?}",
                    one.map(|s| s.confirm),
                    two.map(|s| s.confirm)
                ))
            })
            .task(TaskSupport::Optional),
        )
        .tool(
            Tool::new("later", "", |cx: Context| async move {
                let sure = cx
                    .elicit::<Sure>("sure", "Sure?")
                    .await?
                    .accepted()
                    .is_some_and(|s| s.confirm);
                let task = sure && cx.become_task().await?;
                Ok(format!("sure {sure} task {task} {}", cx.in_task()))
            })
            .task_when_asked(TaskSupport::Optional),
        )
}

struct Job {
    gateway: Arc<Gateway>,
    events: Receiver<Event>,
    client: Scripted,
    id: String,
}

impl Job {
    async fn start(gateway: &Arc<Gateway>, tool: &str) -> Self {
        let client = Scripted::with_tasks();
        let events = gateway.events();
        let outcome = client
            .call(gateway, Operation::CallTool, tool, Some(&json!({})), None)
            .await;
        let Ok(Reply::Task(task)) = outcome.result else {
            panic!("{outcome:?}")
        };
        let task = value(&task);
        assert_eq!(task["status"], "working");
        for absent in ["result", "error", "inputRequests", "task", "requestState"] {
            assert!(task.get(absent).is_none());
        }
        let id = task["taskId"].as_str().unwrap().to_owned();
        assert!(id.starts_with("jobs.") && id.len() == "jobs.".len() + 32);
        Self {
            gateway: Arc::clone(gateway),
            events,
            client,
            id,
        }
    }

    async fn operation(
        &self,
        operation: Operation,
        arguments: Option<Value>,
    ) -> Result<Value, ferromcp::core::CallError> {
        let outcome = self
            .client
            .call(&self.gateway, operation, &self.id, arguments.as_ref(), None)
            .await;
        outcome.result.map(|reply| value(&complete(reply)))
    }

    async fn get(&self) -> Value {
        self.operation(Operation::GetTask, None).await.unwrap()
    }

    /// Waits for the notification that the task has this status; returns the task.
    async fn until(&mut self, status: &str) -> Value {
        loop {
            if let Event::TaskChanged { id, task, owner } = self.events.recv().await.unwrap()
                && *id == *self.id
            {
                assert_eq!(&*owner.name, "local");
                let task: Value = serde_json::from_str(&task).unwrap();
                if task["status"] == status {
                    return task;
                }
            }
        }
    }
}

#[tokio::test]
async fn a_task_completes_with_the_result_of_its_tool() {
    let gateway = gateway(server());
    let mut job = Job::start(&gateway, "ok").await;
    let told = job.until("completed").await;
    let task = job.get().await;
    assert_eq!(told, task);
    assert_eq!(task["result"]["structuredContent"], json!({ "files": 3 }));
    assert_eq!(
        (&task["ttlMs"], &task["pollIntervalMs"]),
        (&json!(600_000), &json!(500))
    );
    assert!(task["createdAt"].as_str().unwrap().ends_with('Z') && task["lastUpdatedAt"].is_string());
    // A cancel after the end changes nothing.
    assert_eq!(
        job.operation(Operation::CancelTask, None).await.unwrap(),
        json!({})
    );
    assert_eq!(job.get().await["status"], "completed");
}

#[tokio::test]
async fn without_the_extension_there_are_no_tasks() {
    let gateway = gateway(server());
    let client = Scripted::modern();
    let result = client.tool(&gateway, "ok", json!({})).await.unwrap();
    assert_eq!(result["structuredContent"], json!({ "files": 3 }));
    let error = client
        .tool(&gateway, "fails", json!({}))
        .await
        .unwrap_err()
        .to_rpc();
    assert_eq!(error.code, -32021);
    assert_eq!(
        error.data.as_deref(),
        Some(r#"{"requiredCapabilities":{"extensions":{"io.modelcontextprotocol/tasks":{}}}}"#)
    );
    // The legacy era has no such extension, whatever the client says.
    let mut legacy = Scripted::legacy();
    legacy.capabilities.tasks = true;
    assert!(legacy.tool(&gateway, "ok", json!({})).await.is_ok());
    let job = Job::start(&gateway, "ok").await;
    let outcome = client
        .call(&gateway, Operation::GetTask, &job.id, None, None)
        .await;
    assert_eq!(outcome.result.unwrap_err().to_rpc().code, -32021);
}

#[tokio::test]
async fn failures_are_told_apart() {
    let gateway = gateway(server());
    let task = Job::start(&gateway, "fails").await.until("completed").await;
    assert_eq!(
        (text(&task["result"]), &task["result"]["isError"]),
        ("broken", &json!(true))
    );
    let task = Job::start(&gateway, "protocol").await.until("failed").await;
    assert_eq!(task["error"], json!({ "code": -32603, "message": "odd" }));
    assert!(task.get("result").is_none());
    let task = Job::start(&gateway, "panics").await.until("failed").await;
    assert!(!task["error"]["message"].as_str().unwrap().contains("boom"));
}

#[tokio::test]
async fn progress_is_shown_and_a_cancelled_task_stops() {
    let gateway = gateway(server());
    let mut job = Job::start(&gateway, "waits").await;
    let task = job.until("working").await;
    assert_eq!(task["statusMessage"], "half way");
    assert_eq!(
        job.operation(Operation::CancelTask, None).await.unwrap(),
        json!({})
    );
    let task = job.until("cancelled").await;
    assert!(task.get("result").is_none() && task.get("error").is_none());
    assert_eq!(job.get().await["status"], "cancelled");
}

#[tokio::test]
async fn questions_of_a_task_are_answered_one_by_one() {
    let gateway = gateway(server());
    let mut job = Job::start(&gateway, "confirm").await;
    let task = job.until("input_required").await;
    assert_eq!(task["inputRequests"].as_object().unwrap().len(), 2);
    assert_eq!(task["inputRequests"]["one"]["method"], "elicitation/create");

    let update = async |job: &Job, answers: Value| job.operation(Operation::UpdateTask, Some(answers)).await;
    assert_eq!(
        update(&job, json!({ "unknown": { "ignored": true } }))
            .await
            .unwrap(),
        json!({})
    );
    let error = update(&job, json!({ "one": accept(&json!({"confirm": "maybe"})) }))
        .await
        .unwrap_err();
    assert_eq!(
        (error.code(), error.to_rpc().code),
        (ErrorCode::InvalidArguments, -32602)
    );
    assert_eq!(job.get().await["inputRequests"].as_object().unwrap().len(), 2);

    assert_eq!(
        update(&job, json!({ "one": accept(&json!({"confirm": true})) }))
            .await
            .unwrap(),
        json!({})
    );
    let task = job.get().await;
    assert_eq!(task["status"], "input_required");
    assert_eq!(
        task["inputRequests"]
            .as_object()
            .unwrap()
            .keys()
            .collect::<Vec<_>>(),
        ["two"]
    );
    update(
        &job,
        json!({ "one": { "action": "cancel" }, "two": { "action": "decline" } }),
    )
    .await
    .unwrap();
    let task = job.until("completed").await;
    assert_eq!(text(&task["result"]), "Some(true) None");
}

#[tokio::test]
async fn a_handler_asks_first_and_then_becomes_a_task() {
    let gateway = gateway(server());
    let client = Scripted::with_tasks();
    let first = client
        .call(&gateway, Operation::CallTool, "later", Some(&json!({})), None)
        .await;
    let Ok(Reply::InputRequired(needed)) = first.result else {
        panic!("{first:?}")
    };
    assert_eq!(needed.requests[0].key, "sure");
    let mut events = gateway.events();
    let answered = |confirm: bool| ferromcp::core::Input {
        answers: vec![("sure".into(), accept(&json!({ "confirm": confirm })).to_string())],
        state: None,
    };
    let input = answered(true);
    let second = client
        .call(
            &gateway,
            Operation::CallTool,
            "later",
            Some(&json!({})),
            Some(&input),
        )
        .await;
    let Ok(Reply::Task(_)) = second.result else {
        panic!("{second:?}")
    };
    let Event::TaskChanged { task, .. } = events.recv().await.unwrap() else {
        panic!()
    };
    assert_eq!(
        text(&serde_json::from_str::<Value>(&task).unwrap()["result"]),
        "sure true task true true"
    );

    let input = answered(false);
    let plain = client
        .call(
            &gateway,
            Operation::CallTool,
            "later",
            Some(&json!({})),
            Some(&input),
        )
        .await;
    let plain = value(&complete(plain.result.unwrap()));
    assert_eq!(text(&plain), "sure false task false false");
    // A client without the extension gets the plain result too.
    let input = answered(true);
    let plain = Scripted::modern();
    let plain = plain
        .call(
            &gateway,
            Operation::CallTool,
            "later",
            Some(&json!({})),
            Some(&input),
        )
        .await;
    assert_eq!(
        text(&value(&complete(plain.result.unwrap()))),
        "sure true task false false"
    );
}

#[tokio::test]
async fn unknown_tasks_are_unknown() {
    let gateway = gateway(server());
    let client = Scripted::with_tasks();
    for id in ["jobs.00000000000000000000000000000000", "nowhere", "other.1"] {
        for operation in [Operation::GetTask, Operation::CancelTask, Operation::UpdateTask] {
            let outcome = client.call(&gateway, operation, id, Some(&json!({})), None).await;
            assert_eq!(outcome.result.unwrap_err().to_rpc().code, -32602);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn tasks_are_bounded_in_number_and_time() {
    let limits = TaskLimits {
        max: 2,
        ttl: Duration::from_secs(60),
        ..TaskLimits::default()
    };
    let gateway = gateway(server().tasks(limits));
    let mut first = Job::start(&gateway, "waits").await;
    let _second = Job::start(&gateway, "waits").await;
    let client = Scripted::with_tasks();
    let error = client.tool(&gateway, "waits", json!({})).await.unwrap_err();
    assert_eq!(
        (error.code(), error.rule()),
        (ErrorCode::Unavailable, Some("tasks.max"))
    );
    let task = first.until("failed").await;
    assert!(
        task["error"]["message"]
            .as_str()
            .unwrap()
            .contains("time to live")
    );
    // Its time is over, so it is gone, and there is room again.
    let gone = first.operation(Operation::GetTask, None).await.unwrap_err();
    assert_eq!(gone.code(), ErrorCode::ToolNotFound);
    Job::start(&gateway, "waits").await;
}
