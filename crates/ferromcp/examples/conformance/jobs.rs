//! Tools of the tasks extension (SEP-2663), and one beside them that is none.

use std::time::Duration;

use ferromcp::{Context, Form, JsonSchema, TaskSupport, Tool, ToolError};
use serde::Deserialize;
use tokio::time::sleep;

use crate::asking::Name;

#[derive(Deserialize, JsonSchema)]
struct Compute {
    /// How long the work takes.
    seconds: f64,
    /// Comes back in the result.
    label: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
struct File {
    /// What would be deleted.
    filename: String,
}

#[derive(Deserialize, JsonSchema)]
struct Sure {
    confirm: bool,
}

pub(crate) fn tools() -> Vec<Tool> {
    vec![
        Tool::new("greet", "Says hello, at once", |args: Name| async move {
            format!("Hello, {}!", args.name)
        }),
        Tool::new("slow_compute", "Works for some seconds", slow_compute)
            .task_when_asked(TaskSupport::Optional),
        Tool::new("failing_job", "Fails after a second", || async {
            sleep(Duration::from_secs(1)).await;
            Err::<String, _>(ToolError::msg("The job failed, as it always does"))
        })
        .task(TaskSupport::Required),
        Tool::new("protocol_error_job", "Ends with a protocol error", || async {
            Err::<String, _>(ToolError::rpc(
                -32603,
                "The job broke the protocol, as it always does",
            ))
        })
        .task(TaskSupport::Required),
        Tool::new(
            "confirm_delete",
            "Asks before it deletes",
            |args: File, cx: Context| async move {
                let answer = cx
                    .elicit::<Sure>("confirm", format!("Delete {}?", args.filename))
                    .await?;
                let sure = answer.accepted().is_some_and(|sure| sure.confirm);
                Ok(if sure {
                    format!("Deleted {}", args.filename)
                } else {
                    format!("Kept {}", args.filename)
                })
            },
        )
        .task(TaskSupport::Optional),
        Tool::new(
            "multi_input",
            "Asks two questions at a time",
            |cx: Context| async move {
                let (first, second) = cx
                    .ask_all((
                        ("first", Form::<Name>::new("The first name?")?),
                        ("second", Form::<Name>::new("The second name?")?),
                    ))
                    .await?;
                let names: Vec<String> = [first, second]
                    .into_iter()
                    .filter_map(|n| Some(n.accepted()?.name))
                    .collect();
                Ok(format!("Names: {}", names.join(", ")))
            },
        )
        .task(TaskSupport::Optional),
        Tool::new(
            "test_tool_with_task",
            "Asks first, then works as a task",
            |cx: Context| async move {
                let answer = cx.elicit::<Name>("user_name", "What is your name?").await?;
                let name = answer
                    .accepted()
                    .map_or_else(|| "friend".into(), |found| found.name);
                cx.become_task().await?;
                Ok(format!("Hello, {name}, from a task!"))
            },
        )
        .task_when_asked(TaskSupport::Required),
    ]
}

async fn slow_compute(args: Compute, cx: Context) -> Result<String, ToolError> {
    let time = Duration::try_from_secs_f64(args.seconds)?;
    if !time.is_zero() {
        cx.become_task().await?;
        sleep(time).await;
    }
    let label = args.label.unwrap_or_else(|| "unnamed".into());
    Ok(format!("Computed {label} in {} s", args.seconds))
}
