//! Are the arguments within bounds, and do they fit the tool's schema?

use ferromcp_guard::{ScanLimits, Violation, scan};

use super::Target;
use crate::call::{Arguments, Call, Operation, Principal};
use crate::error::{CallError, ErrorCode, Issue};
use crate::snapshot::{SchemaMode, Snapshot};

/// Scans the raw arguments once for structure, size, depth and patterns, then checks them against the tool's
/// schema.
pub(crate) fn validate<'a>(
    snapshot: &Snapshot,
    principal: &Principal,
    call: &Call<'a>,
    target: &Target<'_>,
    flagged: &mut Option<&'static str>,
) -> Result<Arguments<'a>, CallError> {
    let raw = match call.arguments {
        Some(raw) => {
            look(snapshot, principal, call, target, raw, flagged)?;
            raw
        }
        None => "{}",
    };
    let mut arguments = Arguments { raw, value: None };
    if call.operation != Operation::CallTool && call.operation != Operation::GetPrompt {
        return Ok(arguments);
    }
    if !raw.trim_start().starts_with('{') {
        return Err(
            CallError::new(ErrorCode::InvalidArguments, "arguments must be a JSON object")
                .with_rule("schema.arguments")
                .with_issues(vec![Issue {
                    pointer: String::new(),
                    message: "not an object".into(),
                }]),
        );
    }
    if snapshot.policy.schema == SchemaMode::Off {
        return Ok(arguments);
    }
    let Some(tool) = target.tool else {
        return Ok(arguments);
    };
    let schema = tool.input_schema().map_err(|reason| {
        CallError::new(
            ErrorCode::UpstreamError,
            format!(
                "tool {} cannot be called: {reason}. Its author has to mend it.",
                tool.name
            ),
        )
        .with_rule("schema.invalid")
    })?;
    if let Some(schema) = schema {
        let value = serde_json::from_str(raw).map_err(|e| {
            CallError::new(ErrorCode::InvalidArguments, format!("arguments: {e}")).with_rule("json.syntax")
        })?;
        schema.check(&value).map_err(|issues| {
            let issues: Vec<Issue> = issues
                .into_iter()
                .map(|i| Issue {
                    pointer: i.pointer,
                    message: i.message,
                })
                .collect();
            does_not_fit(call.name, issues)
        })?;
        arguments.value = Some(value);
    }
    Ok(arguments)
}

/// One pass over the raw text: structure, limits, and the pattern rules that the tenant is held to. What only flags
/// is noted.
fn look(
    snapshot: &Snapshot,
    principal: &Principal,
    call: &Call<'_>,
    target: &Target<'_>,
    raw: &str,
    flagged: &mut Option<&'static str>,
) -> Result<(), CallError> {
    if target.source.carries_calls {
        let limits = ScanLimits {
            max_depth: ScanLimits::CEILING_DEPTH,
            ..snapshot.policy.scan
        };
        return scan(raw, &limits)
            .map(|_| ())
            .map_err(|violation| refused(&violation));
    }
    let guards = snapshot
        .guards
        .get(principal.grants().policy)
        .and_then(Option::as_ref);
    let Some(guards) = guards else {
        return scan(raw, &snapshot.policy.scan)
            .map(|_| ())
            .map_err(|violation| refused(&violation));
    };
    let ready = target.place.and_then(|place| guards.tools.get(place));
    let checked = match ready {
        Some(ready) => ready.check(raw),
        None => guards.guard.check(raw, call.name),
    };
    let checked = checked.map_err(|refusal| refused(&refusal.violation))?;
    *flagged = checked.findings.first().map(|finding| finding.rule);
    Ok(())
}

fn refused(violation: &Violation) -> CallError {
    let place = if violation.pointer.is_empty() {
        "the arguments"
    } else {
        &violation.pointer
    };
    CallError::new(
        ErrorCode::InvalidArguments,
        format!("{place}: {}", violation.message),
    )
    .with_rule(violation.rule)
    .with_issues(vec![Issue {
        pointer: violation.pointer.clone(),
        message: violation.message.clone(),
    }])
}

fn does_not_fit(tool: &str, issues: Vec<Issue>) -> CallError {
    let mut message = format!("arguments do not fit the input schema of {tool}");
    for (i, issue) in issues.iter().take(3).enumerate() {
        let place = if issue.pointer.is_empty() {
            "/"
        } else {
            &issue.pointer
        };
        message.push_str(if i == 0 { ": " } else { "; " });
        message.push_str(place);
        message.push_str(": ");
        message.push_str(&issue.message);
    }
    CallError::new(ErrorCode::InvalidArguments, message)
        .with_rule("schema.arguments")
        .with_issues(issues)
}
