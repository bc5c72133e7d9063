//! Questions to the caller: the same handlers with clients of both eras.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ferromcp::core::{ErrorCode, Input, Interaction, Operation, Reply};
use ferromcp::{
    Answer, ClientCapabilities, Context, Form, InputKind, JsonSchema, Prompt, Resource, Sample, Server, Tool,
    ToolError,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::calling::{Scripted, accept, gateway, text};

#[derive(Deserialize, JsonSchema)]
struct Name {
    name: String,
}

#[derive(Deserialize, JsonSchema)]
struct Colour {
    colour: String,
}

#[derive(Serialize, Deserialize)]
struct Draft {
    name: String,
}

async fn two_steps(cx: Context) -> Result<String, ToolError> {
    let Answer::Accepted(Name { name }) = cx.elicit("step1", "Your name?").await? else {
        return Ok("nobody".into());
    };
    if cx.state::<Draft>().is_none() {
        cx.set_state(&Draft { name })?;
    }
    let colour = cx.ask("step2", Form::<Colour>::new("Your colour?")?).await?;
    let colour = colour.accepted().map_or("none".into(), |c| c.colour);
    let draft: Draft = cx.state().ok_or_else(|| ToolError::msg("the state is lost"))?;
    Ok(format!("{} likes {colour}", draft.name))
}

async fn three_at_once(cx: Context) -> Result<String, ToolError> {
    let (name, greeting, roots) = cx
        .ask_all((
            ("name", Form::<Name>::new("Your name?")?),
            (
                "greeting",
                Sample::new("Greet!")
                    .max_tokens(50)
                    .system("Be kind")
                    .model_hint("small"),
            ),
            ("roots", ferromcp::Roots),
        ))
        .await?;
    let name = name.accepted().map_or("nobody".into(), |n| n.name);
    Ok(format!("{} {name} {}", greeting.text(), roots.len()))
}

fn script(client: Scripted) -> Scripted {
    client
        .answering("step1", accept(&json!({"name": "Ada"})))
        .answering("step2", accept(&json!({"colour": "blue"})))
        .answering("name", accept(&json!({"name": "Ada"})))
        .answering(
            "greeting",
            json!({"role": "assistant", "content": {"type": "text", "text": "Hello"}, "model": "m"}),
        )
        .answering(
            "roots",
            json!({"roots": [{"uri": "file:///a", "name": "a"}, {"uri": "file:///b"}]}),
        )
}

fn server() -> ferromcp::ServerBuilder {
    Server::builder("asker", "1.0.0")
        .tool(Tool::new("two_steps", "", two_steps))
        .tool(Tool::new("three_at_once", "", three_at_once))
}

#[tokio::test]
async fn the_same_handler_asks_in_both_eras() {
    let gateway = gateway(server());

    let legacy = script(Scripted::legacy());
    assert_eq!(
        text(&legacy.tool(&gateway, "two_steps", json!({})).await.unwrap()),
        "Ada likes blue"
    );
    assert_eq!(legacy.asked(), ["step1", "step2"]);

    let modern = script(Scripted::modern());
    let (end, rounds) = modern.rounds(&gateway, "two_steps").await;
    assert_eq!(text(&end.unwrap()), "Ada likes blue");
    assert_eq!(
        (modern.asked(), rounds),
        (vec!["step1".to_owned(), "step2".to_owned()], 3)
    );
}

#[tokio::test]
async fn several_questions_go_out_together() {
    let gateway = gateway(server());

    let legacy = script(Scripted::legacy());
    assert_eq!(
        text(&legacy.tool(&gateway, "three_at_once", json!({})).await.unwrap()),
        "Hello Ada 2"
    );

    let modern = script(Scripted::modern());
    let (end, rounds) = modern.rounds(&gateway, "three_at_once").await;
    assert_eq!((text(&end.unwrap()), rounds), ("Hello Ada 2", 2));
    assert_eq!(modern.asked(), ["name", "greeting", "roots"]);
    let asked = modern.asked.lock().unwrap();
    let params: serde_json::Value = serde_json::from_str(&asked[1].params).unwrap();
    assert_eq!(
        params,
        json!({
            "messages": [{ "role": "user", "content": { "type": "text", "text": "Greet!" } }],
            "maxTokens": 50, "systemPrompt": "Be kind", "modelPreferences": { "hints": [{ "name": "small" }] },
        })
    );
    let form: serde_json::Value = serde_json::from_str(&asked[0].params).unwrap();
    assert_eq!(form["mode"], "form");
    assert_eq!(
        form["requestedSchema"]["properties"],
        json!({ "name": { "type": "string" } })
    );
}

#[tokio::test]
async fn questions_that_are_joined_by_hand_go_out_together_too() {
    let gateway = gateway(
        Server::builder("s", "1").tool(Tool::new("join", "", |cx: Context| async move {
            let (a, b) = tokio::join!(
                cx.elicit::<Name>("step1", "a"),
                cx.ask("step2", Form::<Colour>::new("b")?)
            );
            Ok(format!("{}{}", a?.action(), b?.action()))
        })),
    );
    let modern = script(Scripted::modern());
    let (end, rounds) = modern.rounds(&gateway, "join").await;
    assert_eq!((text(&end.unwrap()), rounds), ("acceptaccept", 2));
}

#[tokio::test]
async fn a_missing_or_wrong_answer_is_asked_for_again() {
    let gateway = gateway(server());
    let client = Scripted::modern();
    for answers in [
        vec![("wrong_key", accept(&json!({"name": "x"})))],
        vec![("step1", json!(12345))],
        vec![("step1", accept(&json!({"name": 7})))],
        vec![("step1", accept(&json!({})))],
    ] {
        let input = Input {
            answers: answers
                .into_iter()
                .map(|(k, v)| (k.to_owned(), v.to_string()))
                .collect(),
            state: None,
        };
        let outcome = client
            .call(
                &gateway,
                Operation::CallTool,
                "two_steps",
                Some(&json!({})),
                Some(&input),
            )
            .await;
        let Ok(Reply::InputRequired(needed)) = outcome.result else {
            panic!("{outcome:?}")
        };
        assert_eq!(needed.requests[0].key, "step1");
    }
    let input = Input {
        answers: vec![
            ("step1".into(), json!({"action": "decline"}).to_string()),
            ("other".into(), "{}".into()),
        ],
        state: None,
    };
    let outcome = client
        .call(
            &gateway,
            Operation::CallTool,
            "two_steps",
            Some(&json!({})),
            Some(&input),
        )
        .await;
    let Ok(Reply::Complete(done)) = outcome.result else {
        panic!("{outcome:?}")
    };
    assert!(done.as_str().contains("nobody"));
}

#[tokio::test]
async fn a_legacy_answer_that_does_not_fit_is_said() {
    let gateway = gateway(server());
    let client = Scripted::legacy().answering("step1", accept(&json!({"name": 7})));
    let result = client.tool(&gateway, "two_steps", json!({})).await.unwrap();
    assert_eq!(result["isError"], true);
    assert!(text(&result).contains("`step1`"), "{result}");
}

#[tokio::test]
async fn a_client_that_cannot_be_asked_is_told_so() {
    let gateway = gateway(server());

    let mut modern = Scripted::modern();
    modern.capabilities = ClientCapabilities {
        sampling: true,
        ..ClientCapabilities::default()
    };
    let (end, _) = modern.rounds(&gateway, "two_steps").await;
    let error = end.unwrap_err().to_rpc();
    assert_eq!(error.code, -32021);
    assert_eq!(
        error.data.as_deref(),
        Some(r#"{"requiredCapabilities":{"elicitation":{"form":{}}}}"#)
    );
    // One that it can answer does not hide the one that it cannot.
    let (end, _) = modern.rounds(&gateway, "three_at_once").await;
    assert_eq!(end.unwrap_err().to_rpc().code, -32021);

    let mut legacy = Scripted::legacy();
    legacy.capabilities = ClientCapabilities::default();
    let result = legacy.tool(&gateway, "two_steps", json!({})).await.unwrap();
    assert!(
        result["isError"] == true && text(&result).contains("elicitation"),
        "{result}"
    );

    let error = Scripted::rest()
        .tool(&gateway, "two_steps", json!({}))
        .await
        .unwrap_err();
    assert_eq!(
        (error.code(), error.rule()),
        (ErrorCode::InvalidRequest, Some("ask.unsupported"))
    );
    assert!(error.message().contains("MCP client"), "{error}");
}

#[tokio::test]
async fn handlers_can_look_before_they_ask() {
    let gateway = gateway(
        Server::builder("s", "1").tool(Tool::new("look", "", |cx: Context| async move {
            let form = if cx.can_ask(InputKind::ElicitForm) {
                Some(Form::<Name>::new("?")?)
            } else {
                None
            };
            let sample = cx.can_ask(InputKind::Sample).then(|| Sample::new("?"));
            let (name, sampled) = cx
                .ask_all((form.map(|f| ("name", f)), sample.map(|s| ("greeting", s))))
                .await?;
            Ok(format!("{} {}", name.is_some(), sampled.is_some()))
        })),
    );
    let mut client = script(Scripted::modern());
    client.capabilities = ClientCapabilities {
        sampling: true,
        ..ClientCapabilities::default()
    };
    let (end, _) = client.rounds(&gateway, "look").await;
    assert_eq!(text(&end.unwrap()), "false true");
    assert_eq!(client.asked(), ["greeting"]);
    let result = Scripted::rest().tool(&gateway, "look", json!({})).await.unwrap();
    assert_eq!(text(&result), "false false");
}

#[tokio::test]
async fn a_page_to_open_has_an_id_in_the_legacy_era_only() {
    let gateway = gateway(
        Server::builder("s", "1").tool(Tool::new("open", "", |cx: Context| async move {
            Ok(cx
                .elicit_url("page", "Please pay", "https://pay.example/1")
                .await?
                .action())
        })),
    );
    for (client, has_id) in [(Scripted::legacy(), true), (Scripted::modern(), false)] {
        let client = client.answering("page", json!({"action": "accept"}));
        let (end, _) = client.rounds(&gateway, "open").await;
        assert_eq!(text(&end.unwrap()), "accept");
        let asked = client.asked.lock().unwrap();
        let params: serde_json::Value = serde_json::from_str(&asked[0].params).unwrap();
        assert_eq!(
            (&params["mode"], &params["url"]),
            (&json!("url"), &json!("https://pay.example/1"))
        );
        assert_eq!(params.get("elicitationId").is_some(), has_id);
    }
}

#[tokio::test]
async fn prompts_and_resources_ask_too() {
    let ask = |cx: Context| async move { Ok(cx.elicit::<Name>("name", "Who?").await?.action()) };
    let gateway = gateway(
        Server::builder("s", "1")
            .prompt(Prompt::new("p", "", ask))
            .resource(Resource::new("app://r", "r", ask)),
    );
    let client = Scripted::modern();
    for (operation, name) in [(Operation::GetPrompt, "p"), (Operation::ReadResource, "app://r")] {
        let outcome = client.call(&gateway, operation, name, None, None).await;
        let Ok(Reply::InputRequired(needed)) = outcome.result else {
            panic!("{outcome:?}")
        };
        assert_eq!(needed.requests.len(), 1);
        let input = Input {
            answers: vec![("name".into(), accept(&json!({"name": "A"})).to_string())],
            state: None,
        };
        let outcome = client.call(&gateway, operation, name, None, Some(&input)).await;
        let Ok(Reply::Complete(done)) = outcome.result else {
            panic!("{outcome:?}")
        };
        assert!(done.as_str().contains("accept"));
    }
}

#[tokio::test]
async fn asking_from_a_blocking_thread_works() {
    let gateway = gateway(
        Server::builder("s", "1").tool(Tool::blocking("b", "", |cx: Context| {
            let answer = tokio::runtime::Handle::current().block_on(cx.elicit::<Name>("name", "Who?"))?;
            Ok(answer.accepted().map_or_else(String::new, |n| n.name))
        })),
    );
    let legacy = script(Scripted::legacy());
    assert_eq!(text(&legacy.tool(&gateway, "b", json!({})).await.unwrap()), "Ada");
    let modern = script(Scripted::modern());
    let (end, rounds) = modern.rounds(&gateway, "b").await;
    assert_eq!((text(&end.unwrap()), rounds), ("Ada", 2));
}

#[tokio::test]
async fn one_key_is_one_question() {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    let gateway = gateway(
        Server::builder("s", "1").tool(Tool::new("again", "", move |cx: Context| {
            count.fetch_add(1, Ordering::SeqCst);
            async move {
                let first: Answer<Name> = cx.elicit("name", "Who?").await?;
                let second: Answer<Name> = cx.elicit("name", "Who?").await?;
                Ok(format!("{} {}", first.action(), second.action()))
            }
        })),
    );
    let legacy = script(Scripted::legacy());
    legacy.tool(&gateway, "again", json!({})).await.unwrap();
    assert_eq!((legacy.asked().len(), calls.load(Ordering::SeqCst)), (1, 1));
    let modern = script(Scripted::modern());
    modern.rounds(&gateway, "again").await.0.unwrap();
    assert_eq!((modern.asked().len(), calls.load(Ordering::SeqCst)), (1, 3));
    assert_eq!(modern.interaction, Interaction::RoundTrip);
}
