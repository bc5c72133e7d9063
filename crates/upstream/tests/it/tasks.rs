//! Tasks of servers: passed on to callers who can have them, followed to their end for others.

use ferromcp_core::{
    CallError, Client, ErrorCode, Event, Interaction, NoClient, Operation, Principal, Reply,
};
use ferromcp_protocol::{ClientCapabilities, ProtocolVersion};
use serde_json::{Value, json};

use crate::relay::{ALL, Asked};
use crate::rig::{Ask, Rig, ask, python, reply};
use crate::soon;

fn able() -> Asked {
    Asked {
        able: ClientCapabilities { tasks: true, ..ALL },
        ..Asked::new(Interaction::RoundTrip)
    }
}

fn parsed(raw: &str) -> Value {
    serde_json::from_str(raw).unwrap()
}

/// Starts a job as a task.
async fn job(rig: &Rig, client: &Asked, owner: Option<&Principal>, arguments: &str) -> Value {
    let wanted = Ask {
        name: "s__job",
        arguments: Some(arguments),
        client,
        principal: owner,
        ..Ask::default()
    };
    match soon(reply(&rig.gateway, &wanted)).await.unwrap() {
        Reply::Task(task) => parsed(task.as_str()),
        other => panic!("{other:?}"),
    }
}

struct Task<'a> {
    rig: &'a Rig,
    client: &'a Asked,
    owner: Option<&'a Principal>,
    id: &'a str,
}

impl Task<'_> {
    async fn about(&self, operation: Operation, answers: Option<&str>) -> Result<Value, CallError> {
        let wanted = Ask {
            operation,
            name: self.id,
            arguments: answers,
            client: self.client,
            principal: self.owner,
            ..Ask::default()
        };
        soon(ask(&self.rig.gateway, &wanted))
            .await
            .map(|raw| parsed(&raw))
    }

    async fn get(&self) -> Result<Value, CallError> {
        self.about(Operation::GetTask, None).await
    }
}

async fn push(rig: &Rig, task: &str, change: &Value) {
    let arguments = json!({"taskId": task, "change": change}).to_string();
    rig.tool("s__push", &arguments).await.unwrap();
}

/// Speaks MCP, and declared nothing.
struct SpeaksMcp;

impl Client for SpeaksMcp {
    fn capabilities(&self) -> &ClientCapabilities {
        Client::capabilities(&NoClient)
    }

    fn speaks_mcp(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn a_task_is_passed_on_under_an_id_of_ours_and_belongs_to_its_caller() {
    let rig = Rig::start(vec![python("s", &["modern", "tasks"])]).await;
    assert!(rig.gateway.snapshot().catalog.offers().tasks);
    let (client, ada, bob) = (
        able(),
        Principal::unrestricted("local", "ada"),
        Principal::unrestricted("local", "bob"),
    );
    let made = job(&rig, &client, Some(&ada), "{}").await;
    let id = made["taskId"].as_str().unwrap();
    assert!(id.starts_with("s.") && id.len() == 34, "{id}");
    assert_eq!(
        made,
        json!({"taskId": id, "status": "working", "createdAt": "2026-07-28T12:00:00Z",
            "lastUpdatedAt": "2026-07-28T12:00:00Z", "ttlMs": 60000, "pollIntervalMs": 50, "x-kept": 1.5})
    );
    let task = Task {
        rig: &rig,
        client: &client,
        owner: Some(&ada),
        id,
    };
    let mut same = made.clone();
    assert_eq!(task.get().await.unwrap()["taskId"], same["taskId"].take());
    for stranger in [&bob, &Principal::local()] {
        let theirs = Task {
            owner: Some(stranger),
            ..task
        };
        for operation in [Operation::GetTask, Operation::UpdateTask, Operation::CancelTask] {
            let error = theirs.about(operation, Some("{}")).await.unwrap_err();
            assert_eq!(error.code(), ErrorCode::ToolNotFound);
            assert_eq!(error.message(), format!("Unknown task: {id}"));
        }
        assert!(rig.gateway.watch_task(stranger, id).is_none());
    }

    // What it asks, and what it is answered.
    let question = json!({"name": {"method": "elicitation/create", "params": {"message": "?"}}});
    push(
        &rig,
        "t/1",
        &json!({"status": "input_required", "inputRequests": question}),
    )
    .await;
    let asking = task.get().await.unwrap();
    assert_eq!(
        (&asking["status"], &asking["inputRequests"]),
        (&json!("input_required"), &question)
    );
    let acknowledged = task
        .about(
            Operation::UpdateTask,
            Some(r#"{"name":{"action":"accept","x":1.50}}"#),
        )
        .await;
    assert_eq!(acknowledged.unwrap(), json!({"resultType": "complete"}));
    let done = task.get().await.unwrap();
    assert_eq!(done["status"], "completed");
    let request = done["result"]["content"][0]["text"].as_str().unwrap();
    for part in [
        r#""taskId":"t/1""#,
        r#""inputResponses":{"name":{"action":"accept","x":1.50}}"#,
        "tasks/update",
    ] {
        assert!(request.contains(part), "{part} is not in {request}");
    }
    assert!(
        request.contains(r#""extensions":{"io.modelcontextprotocol/tasks":{}}"#),
        "{request}"
    );

    let other = job(&rig, &client, Some(&ada), "{}").await;
    let other = Task {
        id: other["taskId"].as_str().unwrap(),
        ..task
    };
    other.about(Operation::CancelTask, None).await.unwrap();
    assert_eq!(other.get().await.unwrap()["status"], "cancelled");
    rig.stop().await;
}

#[tokio::test]
async fn changes_reach_those_who_listen() {
    let rig = Rig::start(vec![python("s", &["modern", "tasks"])]).await;
    let (client, ada) = (able(), Principal::unrestricted("local", "ada"));
    // One that says when to look again, and one that would have to be waited for.
    for poll in [50, 3_600_000] {
        let made = job(&rig, &client, Some(&ada), &format!("{{\"poll\":{poll}}}")).await;
        let id = made["taskId"].as_str().unwrap().to_owned();
        let mut events = rig.gateway.events();
        let watch = rig.gateway.watch_task(&ada, &id).unwrap();
        let mut next = async || loop {
            if let Event::TaskChanged { owner, id: of, task } = events.recv().await.unwrap() {
                assert_eq!((&owner, &*of), (&ada, &*id));
                return parsed(&task);
            }
        };
        assert_eq!(soon(next()).await["status"], "working");
        let number = if poll == 50 { 1 } else { 2 };
        let theirs = format!("t/{number}");
        if poll != 50 {
            // Only what the server says of its own accord can be quick here.
            soon(async { while rig.structured("s__seen").await["following"] != json!(["t/1", "t/2"]) {} })
                .await;
        }
        let result = json!({"content": [{"type": "text", "text": "done"}]});
        loop {
            push(&rig, &theirs, &json!({"status": "completed", "result": result})).await;
            let told = soon(next()).await;
            assert_eq!(told["taskId"], *id);
            if told["status"] == "completed" {
                assert_eq!(told["result"], result);
                break;
            }
        }
        drop(watch);
    }
    rig.stop().await;
}

#[tokio::test]
async fn a_process_that_dies_fails_its_tasks() {
    let rig = Rig::start(vec![python("s", &["modern", "tasks"])]).await;
    let (client, ada) = (able(), Principal::unrestricted("local", "ada"));
    let (open, done) = (
        job(&rig, &client, Some(&ada), "{}").await,
        job(&rig, &client, Some(&ada), "{}").await,
    );
    let (open, done) = (open["taskId"].as_str().unwrap(), done["taskId"].as_str().unwrap());
    let task = Task {
        rig: &rig,
        client: &client,
        owner: Some(&ada),
        id: open,
    };
    push(
        &rig,
        "t/2",
        &json!({"status": "completed", "result": {"content": []}}),
    )
    .await;
    let seen = Task { id: done, ..task };
    assert_eq!(seen.get().await.unwrap()["status"], "completed");
    let mut events = rig.gateway.events();
    let watch = rig.gateway.watch_task(&ada, open).unwrap();
    rig.call("s__die").await.unwrap_err();
    let told = soon(async {
        loop {
            if let Event::TaskChanged { task, .. } = events.recv().await.unwrap() {
                let task = parsed(&task);
                if task["status"] == "failed" {
                    return task;
                }
            }
        }
    })
    .await;
    assert_eq!(
        (&told["error"]["code"], &told["ttlMs"]),
        (&json!(-32013), &json!(60000))
    );
    let why = told["error"]["message"].as_str().unwrap();
    assert!(
        why.contains("server `s`") && why.contains("has ended") && why.contains("may have done"),
        "{why}"
    );
    drop(watch);
    rig.until_called("s__echo").await;
    // A new process has a task of the same name, which is another one.
    job(&rig, &client, Some(&ada), "{}").await;
    let failed = task.get().await.unwrap();
    assert_eq!(
        (&failed["taskId"], &failed["status"]),
        (&json!(open), &json!("failed"))
    );
    assert_eq!(task.about(Operation::CancelTask, None).await.unwrap(), json!({}));
    // It does not fail after it was completed, but nothing of it is left.
    assert_eq!(seen.get().await.unwrap_err().code(), ErrorCode::ToolNotFound);
    rig.stop().await;
}

#[tokio::test]
async fn a_caller_who_can_have_no_task_waits_for_its_end() {
    let rig = Rig::start(vec![python("s", &["modern", "tasks"])]).await;
    let client = Asked::new(Interaction::Direct);
    let becomes = json!({"becomes": {
        "status": "input_required",
        "inputRequests": {"name": {"method": "elicitation/create", "params": {"message": "?"}}},
    }});
    let arguments = becomes.to_string();
    let wanted = Ask {
        name: "s__job",
        arguments: Some(&arguments),
        version: ProtocolVersion::V2025_11_25,
        client: &client,
        ..Ask::default()
    };
    let raw = soon(ask(&rig.gateway, &wanted)).await.unwrap();
    let text = parsed(&raw)["content"][0]["text"].as_str().unwrap().to_owned();
    assert!(
        text.contains("tasks/update") && text.contains(r#""action":"accept""#),
        "{text}"
    );
    assert_eq!(client.seen().len(), 1);

    // How it ends is how the call ends.
    let error =
        json!({"becomes": {"status": "failed", "error": {"code": -32050, "message": "no luck"}}}).to_string();
    let failed = soon(ask(
        &rig.gateway,
        &Ask {
            arguments: Some(&error),
            ..wanted
        },
    ))
    .await
    .unwrap_err();
    assert_eq!(failed.to_rpc().code, -32050);
    let cancelled = json!({"becomes": {"status": "cancelled", "statusMessage": "tired"}}).to_string();
    let error = soon(ask(
        &rig.gateway,
        &Ask {
            arguments: Some(&cancelled),
            ..wanted
        },
    ))
    .await
    .unwrap_err();
    assert!(
        error.message().contains("cancelled") && error.message().contains("tired"),
        "{error}"
    );

    // Who cannot be asked gets an error, and the task does not go on.
    let mute = Asked::new(Interaction::None);
    let error = soon(ask(
        &rig.gateway,
        &Ask {
            client: &mute,
            ..wanted
        },
    ))
    .await
    .unwrap_err();
    assert!(error.message().contains("it was cancelled"), "{error}");
    soon(async {
        while !rig
            .tool("s__push", r#"{"taskId":"t/4","change":{}}"#)
            .await
            .unwrap()
            .contains("cancelled")
        {}
    })
    .await;

    // A client of 2026-07-28 could have said that it takes tasks, and is told so.
    let modern = Ask {
        version: ProtocolVersion::LATEST,
        client: &SpeaksMcp,
        ..wanted
    };
    let error = soon(ask(&rig.gateway, &modern)).await.unwrap_err().to_rpc();
    assert_eq!(error.code, -32021);
    assert!(error.data.unwrap().contains("io.modelcontextprotocol/tasks"));
    rig.stop().await;
}

#[tokio::test]
async fn a_call_that_is_given_up_cancels_its_task() {
    for traits in [["modern", "tasks"], ["legacy", "tasks"]] {
        let rig = Rig::start(vec![python("s", &traits)]).await;
        let client = Asked::new(Interaction::Direct);
        let wanted = Ask {
            name: "s__job",
            arguments: Some("{}"),
            version: ProtocolVersion::V2025_11_25,
            client: &client,
            ..Ask::default()
        };
        tokio::select! {
            ended = ask(&rig.gateway, &wanted) => panic!("{ended:?}"),
            () = begun(&rig) => {}
        }
        soon(async {
            while !rig
                .tool("s__push", r#"{"taskId":"t/1","change":{}}"#)
                .await
                .unwrap()
                .contains("cancelled")
            {}
        })
        .await;
        rig.stop().await;
    }
}

/// Until the server has a task.
async fn begun(rig: &Rig) {
    soon(async { while rig.structured("s__seen").await["tasks"] == 0 {} }).await;
}

#[tokio::test]
async fn a_legacy_tool_that_has_to_be_a_task_is_called_by_everybody() {
    let rig = Rig::start(vec![python("s", &["legacy", "tasks"])]).await;
    assert!(!rig.gateway.snapshot().catalog.offers().tasks);
    let becomes = |status: &str| json!({"becomes": {"status": status}}).to_string();
    let done = becomes("completed");
    // Without a client, and with the arguments as they are.
    let text = rig.tool("s__job", &done).await.unwrap();
    assert!(
        text.contains("tasks/result") && text.contains(r#""taskId": "t/1""#)
            || text.contains(r#""taskId":"t/1""#),
        "{text}"
    );

    let client = Asked::new(Interaction::Direct);
    let asks = becomes("input_required");
    let wanted = Ask {
        name: "s__job",
        arguments: Some(&asks),
        version: ProtocolVersion::V2025_11_25,
        client: &client,
        ..Ask::default()
    };
    let raw = soon(ask(&rig.gateway, &wanted)).await.unwrap();
    assert_eq!(
        parsed(&raw)["structuredContent"]["t-q"]["action"],
        "accept",
        "{raw}"
    );

    // A caller of 2026-07-28 comes back with the answer.
    let round = Asked::new(Interaction::RoundTrip);
    let first = Ask {
        version: ProtocolVersion::LATEST,
        client: &round,
        ..wanted
    };
    let Reply::InputRequired(needed) = soon(reply(&rig.gateway, &first)).await.unwrap() else {
        panic!("it did not ask");
    };
    let input = ferromcp_core::Input {
        answers: vec![(needed.requests[0].key.clone(), r#"{"action":"decline"}"#.into())],
        state: needed.state,
    };
    let raw = soon(ask(
        &rig.gateway,
        &Ask {
            input: Some(&input),
            ..first
        },
    ))
    .await
    .unwrap();
    assert_eq!(
        parsed(&raw)["structuredContent"]["t-q"]["action"],
        "decline",
        "{raw}"
    );
    rig.stop().await;
}

#[tokio::test]
async fn tasks_are_bounded_and_the_oldest_that_has_ended_makes_room() {
    let rig = Rig::start(vec![python("s", &["modern", "tasks"])]).await;
    let (client, ada) = (able(), Principal::unrestricted("local", "ada"));
    let first = job(&rig, &client, Some(&ada), r#"{"becomes":{"status":"cancelled"}}"#).await;
    for _ in 1..250 {
        job(&rig, &client, Some(&ada), "{}").await;
    }
    let wanted = Ask {
        name: "s__job",
        arguments: Some("{}"),
        client: &client,
        principal: Some(&ada),
        ..Ask::default()
    };
    let error = soon(reply(&rig.gateway, &wanted)).await.unwrap_err();
    assert_eq!(error.rule(), Some("limit.tasks"));
    soon(async {
        while !rig
            .tool("s__push", r#"{"taskId":"t/251","change":{}}"#)
            .await
            .unwrap()
            .contains("cancelled")
        {}
    })
    .await;
    // Others have room, and so has whoever has seen one of its own end.
    job(
        &rig,
        &client,
        Some(&Principal::unrestricted("local", "bob")),
        "{}",
    )
    .await;
    let task = Task {
        rig: &rig,
        client: &client,
        owner: Some(&ada),
        id: first["taskId"].as_str().unwrap(),
    };
    assert_eq!(task.get().await.unwrap()["status"], "cancelled");
    job(&rig, &client, Some(&ada), "{}").await;
    assert_eq!(task.get().await.unwrap_err().code(), ErrorCode::ToolNotFound);
    rig.stop().await;
}
