//! Tools that need input before they can end (2026-07-28 basic/patterns/mrtr). The same code works
//! for legacy clients, which are asked while the call runs.

use ferromcp::{Context, Form, InputKind, JsonSchema, Roots, Sample, Tool, ToolError};
use serde::{Deserialize, Serialize};

#[derive(Deserialize, JsonSchema)]
pub(crate) struct Name {
    pub(crate) name: String,
}

#[derive(Deserialize, JsonSchema)]
struct Colour {
    color: String,
}

#[derive(Deserialize, JsonSchema)]
struct Confirmed {
    ok: bool,
}

#[derive(Deserialize, JsonSchema)]
struct Anything {
    value: String,
}

/// What a tool remembers from round to round.
#[derive(Serialize, Deserialize)]
enum Remembered {
    AskedToConfirm,
    AskedForAll,
    Step1,
    Step2 { name: String },
}

pub(crate) fn tools() -> Vec<Tool> {
    vec![
        Tool::new(
            "test_input_required_result_elicitation",
            "Asks for a name",
            greet_by_name,
        ),
        Tool::new("test_streaming_elicitation", "Asks for a name", greet_by_name),
        Tool::new(
            "test_input_required_result_sampling",
            "Asks the client's model",
            |cx: Context| async move {
                let question = Sample::new("What is the capital of France?").max_tokens(100);
                let answer = cx.sample("capital_question", question).await?;
                Ok(format!("Sampling result: {}", answer.text()))
            },
        ),
        Tool::new(
            "test_input_required_result_list_roots",
            "Asks for the roots",
            |cx: Context| async move {
                let roots = cx.list_roots("client_roots").await?;
                let uris: Vec<&str> = roots.iter().map(|root| root.uri.as_str()).collect();
                Ok(format!("Found {} root(s): {}", uris.len(), uris.join(", ")))
            },
        ),
        Tool::new(
            "test_input_required_result_request_state",
            "Asks and remembers",
            confirm,
        ),
        Tool::new(
            "test_input_required_result_tampered_state",
            "Asks and remembers",
            confirm,
        ),
        Tool::new(
            "test_input_required_result_multiple_inputs",
            "Asks three questions at once",
            three_at_once,
        ),
        Tool::new(
            "test_input_required_result_multi_round",
            "Asks one question after the other",
            two_steps,
        ),
        Tool::new(
            "test_input_required_result_capabilities",
            "Asks what the client can answer",
            what_it_can,
        ),
    ]
}

async fn greet_by_name(cx: Context) -> Result<String, ToolError> {
    let answer = cx.elicit::<Name>("user_name", "What is your name?").await?;
    Ok(answer
        .accepted()
        .map_or_else(|| "Hello!".into(), |found| format!("Hello, {}!", found.name)))
}

async fn confirm(cx: Context) -> Result<&'static str, ToolError> {
    let known = matches!(cx.state(), Some(Remembered::AskedToConfirm));
    cx.set_state(&Remembered::AskedToConfirm)?;
    let answer = cx.elicit::<Confirmed>("confirm", "Please confirm").await?;
    match answer.accepted() {
        Some(Confirmed { ok: true }) if known => Ok("state-ok: requestState validated"),
        Some(Confirmed { ok: true }) => Ok("confirmed in one round"),
        _ => Ok("not confirmed"),
    }
}

async fn three_at_once(cx: Context) -> Result<String, ToolError> {
    cx.set_state(&Remembered::AskedForAll)?;
    let (name, greeting, roots) = cx
        .ask_all((
            ("user_name", Form::<Name>::new("What is your name?")?),
            ("greeting", Sample::new("Generate a greeting").max_tokens(50)),
            ("client_roots", Roots),
        ))
        .await?;
    let name = name
        .accepted()
        .map_or_else(|| "friend".into(), |found| found.name);
    Ok(format!(
        "{} {name}, you work in {} root(s)",
        greeting.text(),
        roots.len()
    ))
}

async fn two_steps(cx: Context) -> Result<String, ToolError> {
    if cx.state::<Remembered>().is_none() {
        cx.set_state(&Remembered::Step1)?;
    }
    let name = cx.elicit::<Name>("step1", "Step 1: What is your name?").await?;
    let name = name
        .accepted()
        .map_or_else(|| "friend".into(), |found| found.name);
    cx.set_state(&Remembered::Step2 { name })?;
    let colour = cx
        .elicit::<Colour>("step2", "Step 2: What is your favorite color?")
        .await?;
    let colour = colour
        .accepted()
        .map_or_else(|| "none".into(), |found| found.color);
    let Some(Remembered::Step2 { name }) = cx.state() else {
        return Err(ToolError::msg("what was remembered of the first step is lost"));
    };
    Ok(format!("Multi-round complete for {name} who likes {colour}"))
}

async fn what_it_can(cx: Context) -> Result<String, ToolError> {
    let form = match cx.can_ask(InputKind::ElicitForm) {
        true => Some(("elicit_input", Form::<Anything>::new("Elicitation input")?)),
        false => None,
    };
    let sample = cx.can_ask(InputKind::Sample);
    let sample = sample.then(|| ("sample_input", Sample::new("Sample request").max_tokens(50)));
    let (elicited, sampled) = cx.ask_all((form, sample)).await?;
    let mut received = Vec::new();
    if let Some(answer) = elicited {
        received.push(
            answer
                .accepted()
                .map_or_else(|| "no value".into(), |found| found.value),
        );
    }
    received.extend(sampled.map(|answer| answer.text()));
    if received.is_empty() {
        return Ok("No supported capabilities declared".into());
    }
    Ok(format!("capabilities-ok: received {}", received.join(", ")))
}
