//! Questions of servers in all four directions: legacy and 2026-07-28 on either side.

use std::sync::Mutex;
use std::time::Duration;

use ferromcp_core::client::AskFuture;
use ferromcp_core::{
    CallError, Client, ErrorCode, Input, InputKind, InputRequest, InputRequired, Interaction, Principal,
    Progress, Reply,
};
use ferromcp_protocol::{ClientCapabilities, ProtocolVersion, RpcError};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::peer::Peer;
use crate::rig::{Ask, Rig, ask, python, reply};
use crate::soon;
use crate::source_http::at;

pub(crate) const ALL: ClientCapabilities = ClientCapabilities {
    sampling: true,
    sampling_tools: false,
    roots: true,
    elicitation_form: true,
    elicitation_url: true,
    tasks: false,
};

/// A caller that can be asked.
pub(crate) struct Asked {
    pub(crate) able: ClientCapabilities,
    pub(crate) interaction: Interaction,
    pub(crate) conversation: Option<usize>,
    /// What it was asked: kind and raw params.
    pub(crate) questions: Mutex<Vec<InputRequest>>,
    pub(crate) notified: Mutex<Vec<String>>,
    /// Never answers.
    pub(crate) silent: bool,
    pub(crate) was_asked: Notify,
}

impl Asked {
    pub(crate) fn new(interaction: Interaction) -> Self {
        Self {
            able: ALL,
            interaction,
            conversation: None,
            questions: Mutex::default(),
            notified: Mutex::default(),
            silent: false,
            was_asked: Notify::new(),
        }
    }

    pub(crate) fn silent() -> Self {
        Self {
            silent: true,
            ..Self::new(Interaction::Direct)
        }
    }

    pub(crate) fn seen(&self) -> Vec<InputRequest> {
        self.questions.lock().unwrap().clone()
    }
}

impl Client for Asked {
    fn capabilities(&self) -> &ClientCapabilities {
        &self.able
    }

    fn interaction(&self) -> Interaction {
        self.interaction
    }

    fn conversation(&self) -> Option<usize> {
        self.conversation
    }

    fn wants_progress(&self) -> bool {
        true
    }

    fn progress(&self, _: &Progress<'_>) {
        self.notified.lock().unwrap().push("progress".into());
    }

    fn notify(&self, method: &str, params: &str) {
        self.notified.lock().unwrap().push(format!("{method} {params}"));
    }

    fn ask<'a>(&'a self, request: &'a InputRequest) -> AskFuture<'a> {
        self.questions.lock().unwrap().push(request.clone());
        self.was_asked.notify_one();
        Box::pin(async move {
            if self.silent {
                std::future::pending::<()>().await;
            }
            match request.kind {
                InputKind::Roots => Err(CallError::rpc(
                    RpcError::new(-32601, "no roots today").with_data("{\"a\": 1.0}"),
                )),
                _ => Ok(r#"{"action":"accept","content":{"name":"Ada"},"x-more":1.50}"#.into()),
            }
        })
    }
}

fn wanted<'a>(name: &'a str, client: &'a Asked) -> Ask<'a> {
    Ask {
        name,
        arguments: Some("{}"),
        version: match client.interaction {
            Interaction::RoundTrip => ProtocolVersion::LATEST,
            _ => ProtocolVersion::V2025_11_25,
        },
        client,
        ..Ask::default()
    }
}

fn text(raw: &str) -> Value {
    let value: Value = serde_json::from_str(raw).unwrap();
    value["content"][0]["text"].as_str().unwrap().into()
}

fn structured(raw: &str) -> Value {
    let value: Value = serde_json::from_str(raw).unwrap();
    value["structuredContent"].clone()
}

fn required(reply: Reply) -> InputRequired {
    match reply {
        Reply::InputRequired(needed) => needed,
        other => panic!("{other:?}"),
    }
}

fn keys(needed: &InputRequired) -> Vec<(&str, InputKind)> {
    needed.requests.iter().map(|r| (&*r.key, r.kind)).collect()
}

fn input(needed: &InputRequired, answers: &[(&str, &str)]) -> Input {
    Input {
        answers: answers.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect(),
        state: needed.state.clone(),
    }
}

const ACCEPT: &str = r#"{"action":"accept","content":{"name":"Ada"},"x-more":1.50}"#;
const ROOTS: &str = r#"{"roots":[{"uri":"file:///a"}]}"#;

#[tokio::test]
async fn a_legacy_server_asks_a_legacy_caller() {
    let rig = Rig::start(vec![python("s", &["legacy"])]).await;
    let client = Asked::new(Interaction::Direct);
    let raw = ask(&rig.gateway, &wanted("s__quiz", &client)).await.unwrap();
    // Ids come back as they were, a string and an odd number; results and errors are whole.
    assert_eq!(
        structured(&raw),
        json!({
            "q-1": {"action": "accept", "content": {"name": "Ada"}, "x-more": 1.50},
            "2.5": {"code": -32601, "message": "no roots today", "data": {"a": 1.0}},
        })
    );
    let seen = client.seen();
    assert!(seen[0].params.contains(r#""x-kept": 1.5"#), "{seen:?}");
    assert_eq!(
        seen.iter().map(|q| q.kind).collect::<Vec<_>>(),
        [InputKind::ElicitForm, InputKind::Roots]
    );
    rig.stop().await;
}

#[tokio::test]
async fn what_a_caller_cannot_do_is_refused_question_by_question() {
    let rig = Rig::start(vec![python("s", &["legacy"])]).await;
    let client = Asked {
        able: ClientCapabilities { roots: false, ..ALL },
        ..Asked::new(Interaction::Direct)
    };
    let raw = ask(&rig.gateway, &wanted("s__quiz", &client)).await.unwrap();
    let answers = structured(&raw);
    assert_eq!(answers["q-1"]["action"], "accept");
    assert_eq!(answers["2.5"]["code"], -32601);
    assert!(
        answers["2.5"]["message"]
            .as_str()
            .unwrap()
            .contains("did not declare roots"),
        "{answers}"
    );
    rig.stop().await;
}

#[tokio::test]
async fn a_question_that_could_be_of_several_callers_is_refused_and_of_one_conversation_is_not() {
    let rig = Rig::start(vec![python("s", &["legacy"])]).await;
    for (first, second, asked) in [
        (None, None, false),
        (Some(1), Some(2), false),
        (Some(7), Some(7), true),
    ] {
        let hanging = Asked {
            conversation: first,
            ..Asked::new(Interaction::Direct)
        };
        let client = Asked {
            conversation: second,
            ..Asked::new(Interaction::Direct)
        };
        let (hang, quiz) = (wanted("s__hang", &hanging), wanted("s__quiz", &client));
        let raw = soon(async {
            tokio::select! {
                biased;
                _ = ask(&rig.gateway, &hang) => unreachable!("it hangs"),
                raw = ask(&rig.gateway, &quiz) => raw.unwrap(),
            }
        })
        .await;
        let answers = structured(&raw);
        assert_eq!(answers["q-1"].get("action").is_some(), asked, "{answers}");
        if !asked {
            assert_eq!(answers["q-1"]["code"], -32013);
            assert!(client.seen().is_empty() && hanging.seen().is_empty());
        }
    }
    rig.stop().await;
}

#[tokio::test]
async fn a_modern_caller_comes_back_to_the_parked_call_of_a_legacy_server() {
    let rig = Rig::start(vec![python("s", &["legacy"])]).await;
    let client = Asked::new(Interaction::RoundTrip);
    let quiz = wanted("s__quiz", &client);
    let mut needed = required(reply(&rig.gateway, &quiz).await.unwrap());
    // The second question may come in the same round or in the next.
    let mut raw = None;
    for _ in 0..2 {
        let answers: Vec<(String, &str)> = needed
            .requests
            .iter()
            .map(|r| {
                (
                    r.key.clone(),
                    if r.kind == InputKind::Roots { ROOTS } else { ACCEPT },
                )
            })
            .collect();
        let answers: Vec<(&str, &str)> = answers.iter().map(|(k, v)| (&**k, *v)).collect();
        let brought = input(&needed, &answers);
        let again = Ask {
            input: Some(&brought),
            ..wanted("s__quiz", &client)
        };
        match reply(&rig.gateway, &again).await.unwrap() {
            Reply::InputRequired(more) => needed = more,
            Reply::Complete(payload) => {
                raw = Some(payload.as_str().to_owned());
                // What was answered is not there for a second time.
                let error = reply(&rig.gateway, &again).await.unwrap_err();
                assert_eq!(error.rule(), Some("relay.parked"));
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    let answers = structured(&raw.unwrap());
    assert_eq!(answers["q-1"], serde_json::from_str::<Value>(ACCEPT).unwrap());
    assert_eq!(answers["2.5"], serde_json::from_str::<Value>(ROOTS).unwrap());
    rig.stop().await;
}

#[tokio::test]
async fn a_parked_call_is_its_callers_alone_and_asks_again_for_what_is_missing() {
    let rig = Rig::start(vec![python("s", &["legacy"])]).await;
    let client = Asked::new(Interaction::RoundTrip);
    let needed = required(
        reply(&rig.gateway, &wanted("s__withdraw", &client))
            .await
            .unwrap(),
    );
    assert_eq!(keys(&needed), [("input1", InputKind::ElicitForm)]);
    let brought = input(&needed, &[("input1", ACCEPT)]);
    let thief = Principal::unrestricted("local", "thief");
    let stolen = Ask {
        input: Some(&brought),
        principal: Some(&thief),
        ..wanted("s__withdraw", &client)
    };
    let error = reply(&rig.gateway, &stolen).await.unwrap_err();
    assert_eq!(
        (error.code(), error.rule()),
        (ErrorCode::InvalidRequest, Some("relay.parked"))
    );
    let elsewhere = Ask {
        input: Some(&brought),
        ..wanted("s__quiz", &client)
    };
    assert!(reply(&rig.gateway, &elsewhere).await.is_err());

    let wrong = input(&needed, &[("unasked", ACCEPT)]);
    let empty = Ask {
        input: Some(&wrong),
        ..wanted("s__withdraw", &client)
    };
    let again = required(reply(&rig.gateway, &empty).await.unwrap());
    assert_eq!(keys(&again), keys(&needed));
    // A state is good once.
    let late = Ask {
        input: Some(&brought),
        ..wanted("s__withdraw", &client)
    };
    assert!(reply(&rig.gateway, &late).await.is_err());
    let brought = input(&again, &[("input1", ACCEPT)]);
    let right = Ask {
        input: Some(&brought),
        ..wanted("s__withdraw", &client)
    };
    let raw = ask(&rig.gateway, &right).await.unwrap();
    assert_eq!(structured(&raw)["w"]["action"], "accept");
    rig.stop().await;
}

#[tokio::test]
async fn a_parked_call_keeps_others_of_its_principal_from_nothing_and_other_principals_from_asking() {
    let rig = Rig::start(vec![python("s", &["legacy"])]).await;
    let client = Asked::new(Interaction::RoundTrip);
    let parked = required(
        reply(&rig.gateway, &wanted("s__withdraw", &client))
            .await
            .unwrap(),
    );
    let other = Principal::unrestricted("local", "other");
    let direct = Asked::new(Interaction::Direct);
    let foreign = Ask {
        principal: Some(&other),
        ..wanted("s__withdraw", &direct)
    };
    let raw = ask(&rig.gateway, &foreign).await.unwrap();
    assert_eq!(structured(&raw)["w"]["code"], -32013, "{raw}");
    assert!(direct.seen().is_empty());
    let raw = ask(&rig.gateway, &wanted("s__withdraw", &direct)).await.unwrap();
    assert_eq!(structured(&raw)["w"]["action"], "accept");
    assert!(!parked.requests.is_empty());
    rig.stop().await;
}

#[tokio::test]
async fn a_server_that_dies_takes_its_parked_calls_along() {
    let rig = Rig::start(vec![python("s", &["legacy"])]).await;
    let client = Asked::new(Interaction::RoundTrip);
    let needed = required(
        reply(&rig.gateway, &wanted("s__withdraw", &client))
            .await
            .unwrap(),
    );
    rig.call("s__die").await.unwrap_err();
    let brought = input(&needed, &[("input1", ACCEPT)]);
    let back = Ask {
        input: Some(&brought),
        ..wanted("s__withdraw", &client)
    };
    let error = reply(&rig.gateway, &back).await.unwrap_err();
    assert_eq!(
        (error.code(), error.may_have_run()),
        (ErrorCode::Unavailable, true)
    );
    assert!(error.message().contains("exited with code 3"), "{error}");
    rig.stop().await;
}

#[tokio::test]
async fn a_modern_server_asks_a_legacy_caller_in_rounds() {
    let rig = Rig::start(vec![python("s", &["modern"])]).await;
    let client = Asked {
        able: ClientCapabilities { roots: false, ..ALL },
        ..Asked::new(Interaction::Direct)
    };
    // An error is no answer that a round can carry.
    let error = ask(&rig.gateway, &wanted("s__quiz", &client)).await.unwrap_err();
    assert!(error.message().contains("no roots today"), "{error}");
    assert_eq!(client.seen().len(), 2);
    rig.stop().await;
}

#[tokio::test]
async fn rounds_of_a_modern_server_pass_through_to_a_modern_caller() {
    let rig = Rig::start(vec![python("s", &["modern"])]).await;
    let client = Asked::new(Interaction::RoundTrip);
    let first = required(reply(&rig.gateway, &wanted("s__quiz", &client)).await.unwrap());
    assert_eq!(
        keys(&first),
        [("name", InputKind::ElicitForm), ("roots", InputKind::Roots)]
    );
    assert!(first.forget_answers && first.requests[0].params.contains("x-kept"));
    let brought = input(&first, &[("name", ACCEPT), ("roots", ROOTS)]);
    let again = Ask {
        input: Some(&brought),
        ..wanted("s__quiz", &client)
    };
    let second = required(reply(&rig.gateway, &again).await.unwrap());
    let brought = input(&second, &[("name", r#"{"action":"decline"}"#)]);
    let again = Ask {
        input: Some(&brought),
        ..wanted("s__quiz", &client)
    };
    let raw = ask(&rig.gateway, &again).await.unwrap();
    let seen: Value = serde_json::from_str(text(&raw).as_str().unwrap()).unwrap();
    assert_eq!(seen["params"]["requestState"], "two");
    assert_eq!(
        seen["params"]["inputResponses"],
        json!({"name": {"action": "decline"}})
    );
    let declared = &seen["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"];
    assert_eq!(
        (
            &declared["elicitation"],
            &declared["sampling"],
            &declared["roots"]
        ),
        (&json!({"form": {}, "url": {}}), &json!({}), &json!({}))
    );

    // State of another server, or of nobody, is not sent to this one.
    for state in [
        r#"{"Server":{"server":"other","state":"one"}}"#,
        r#"{"Parked":{"node":1,"id":1}}"#,
        "garbage",
    ] {
        let forged = Input {
            answers: Vec::new(),
            state: Some(state.into()),
        };
        let again = Ask {
            input: Some(&forged),
            ..wanted("s__quiz", &client)
        };
        let error = reply(&rig.gateway, &again).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidRequest, "{state}: {error}");
    }
    rig.stop().await;
}

#[tokio::test]
async fn urls_to_visit_first_become_questions_for_a_modern_caller() {
    let rig = Rig::start(vec![python("s", &["legacy"])]).await;
    let client = Asked::new(Interaction::RoundTrip);
    let needed = required(reply(&rig.gateway, &wanted("s__urls", &client)).await.unwrap());
    assert_eq!(keys(&needed), [("url1", InputKind::ElicitUrl)]);
    assert!(!needed.requests[0].params.contains("elicitationId"));
    let declined = input(&needed, &[("url1", r#"{"action":"decline"}"#)]);
    let no = Ask {
        input: Some(&declined),
        ..wanted("s__urls", &client)
    };
    assert_eq!(
        reply(&rig.gateway, &no).await.unwrap_err().rule(),
        Some("relay.declined")
    );
    let accepted = input(&needed, &[("url1", r#"{"action":"accept"}"#)]);
    let yes = Ask {
        input: Some(&accepted),
        arguments: Some(r#"{"consented":true}"#),
        ..wanted("s__urls", &client)
    };
    assert_eq!(text(&ask(&rig.gateway, &yes).await.unwrap()), "consented");

    // A legacy caller gets the error as it is.
    let legacy = Asked::new(Interaction::Direct);
    let error = ask(&rig.gateway, &wanted("s__urls", &legacy)).await.unwrap_err();
    let rpc = error.rpc_error().unwrap();
    assert_eq!(rpc.code, -32042);
    assert!(rpc.data.as_deref().unwrap().contains("elicitationId"));
    rig.stop().await;
}

#[tokio::test]
async fn a_caller_that_goes_away_cancels_the_call_that_asked() {
    let rig = Rig::start(vec![python("s", &["legacy"])]).await;
    let client = Asked::silent();
    let call = wanted("s__withdraw", &client);
    soon(async {
        tokio::select! {
            answer = ask(&rig.gateway, &call) => panic!("{answer:?}"),
            () = client.was_asked.notified() => {}
        }
    })
    .await;
    soon(async {
        while rig.structured("s__seen").await["cancelled"]
            .as_array()
            .unwrap()
            .is_empty()
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    rig.stop().await;
}

/// The server has been told so many times that nobody waits for a call.
async fn until_cancelled(rig: &Rig, calls: usize) {
    soon(async {
        while rig.structured("s__seen").await["cancelled"]
            .as_array()
            .map_or(0, Vec::len)
            < calls
        {}
    })
    .await;
}

#[tokio::test]
async fn a_parked_call_whose_caller_does_not_come_back_is_cancelled_after_ten_minutes() {
    let rig = Rig::start(vec![python("s", &["legacy"])]).await;
    let client = Asked::new(Interaction::RoundTrip);
    let needed = required(reply(&rig.gateway, &wanted("s__moody", &client)).await.unwrap());
    // Nothing but time passes: the clock of the runtime stands still but for this.
    for seconds in [599, 2] {
        // The clock of the parked call runs, and is not over yet.
        assert_eq!(rig.structured("s__seen").await["cancelled"], json!([]));
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(seconds)).await;
        tokio::time::resume();
    }
    until_cancelled(&rig, 1).await;
    let brought = input(&needed, &[("input1", ACCEPT)]);
    let late = Ask {
        input: Some(&brought),
        ..wanted("s__moody", &client)
    };
    let error = reply(&rig.gateway, &late).await.unwrap_err();
    assert_eq!(error.rule(), Some("relay.parked"));
    assert!(error.message().contains("took too long"), "{error}");
    assert_eq!(rig.structured("s__seen").await["answered"], 0);
    rig.stop().await;
}

#[tokio::test]
async fn a_caller_that_goes_after_it_came_back_cancels_what_was_parked() {
    let rig = Rig::start(vec![python("s", &["legacy"])]).await;
    let client = Asked::new(Interaction::RoundTrip);
    let needed = required(reply(&rig.gateway, &wanted("s__moody", &client)).await.unwrap());
    // Gone while it is parked: nothing happens before its time is over.
    assert_eq!(rig.structured("s__seen").await["cancelled"], json!([]));
    let brought = input(&needed, &[("input1", ACCEPT)]);
    let back = Ask {
        input: Some(&brought),
        ..wanted("s__moody", &client)
    };
    tokio::select! {
        ended = reply(&rig.gateway, &back) => panic!("{ended:?}"),
        () = soon(async { while rig.structured("s__seen").await["answered"] != 1 {} }) => {}
    }
    until_cancelled(&rig, 1).await;
    let error = reply(&rig.gateway, &back).await.unwrap_err();
    assert_eq!(error.rule(), Some("relay.parked"));
    rig.stop().await;
}

#[tokio::test]
async fn parked_calls_are_bounded_for_each_principal_and_for_each_server() {
    // Over HTTP the stream says which call asks, so any number of them may run.
    let peer = Peer::new(false, None);
    let url = peer.serve("127.0.0.1:0").await;
    let rig = Rig::start(vec![at(&url)]).await;
    let client = Asked::new(Interaction::RoundTrip);
    let park = async |owner: &Principal| {
        let wanted = Ask {
            principal: Some(owner),
            ..wanted("s__moody", &client)
        };
        reply(&rig.gateway, &wanted).await
    };
    for number in 0..4 {
        let owner = Principal::unrestricted("local", format!("p{number}"));
        for _ in 0..5 {
            let round = futures_util::future::join_all((0..50).map(|_| park(&owner))).await;
            for parked in round {
                required(parked.unwrap());
            }
        }
        if number == 0 {
            let error = park(&owner).await.unwrap_err();
            assert_eq!(
                (error.code(), error.rule()),
                (ErrorCode::Unavailable, Some("limit.parked_calls"))
            );
        }
    }
    let other = Principal::unrestricted("local", "other");
    let error = park(&other).await.unwrap_err();
    assert_eq!(error.rule(), Some("limit.parked_calls"));
    assert!(error.retry_after().is_some() && error.may_have_run(), "{error}");
    rig.stop().await;
}
