//! A batch from JSON: the body of `POST /v1/tools/batch`, and the arguments of `batch_call`.

use ferromcp_protocol::json::{self, Object};

use super::{BatchCall, BatchRequest, DEFAULT_PARALLEL, MAX_CALLS, MAX_PARALLEL, RULE_CALLS, refused};
use crate::error::{CallError, ErrorCode};
use crate::request::{Place, boolean, invalid, milliseconds, object, string, unknown_field};

const EXAMPLE: &str = "{\"requests\":[{\"tool\":\"NAME\",\"arguments\":{}}]}";
/// What unknown fields are told.
const ARGUMENTS: &str = "what a tool takes belongs into its arguments";

impl<'a> BatchRequest<'a> {
    /// Reads `{"requests":[{"id"?,"tool","arguments"?,"timeout_ms"?}],"parallel"?,"max_parallel"?,"stop_on_error"?,
    /// "timeout_ms"?,"tenant_id"?}`: known members only, each of its type, none twice.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidRequest`] with the place; [`ErrorCode::PayloadTooLarge`] for more than [`MAX_CALLS`] calls.
    pub fn parse(body: &'a [u8]) -> Result<Self, CallError> {
        let object = object(body, "the batch", EXAMPLE)?;
        let mut found = Self::default();
        let mut requests = None;
        let (mut parallel, mut most) = (None, None);
        for (key, value) in object.iter() {
            match key {
                "requests" => requests = Some(value),
                "parallel" => parallel = Some(boolean(Place::of(key), value)?),
                "max_parallel" => most = Some(value),
                "stop_on_error" => found.stop_on_error = boolean(Place::of(key), value)?,
                "timeout_ms" => found.timeout = Some(milliseconds(Place::of(key), value)?),
                "tenant_id" => found.tenant = Some(string(Place::of(key), value)?),
                unknown => {
                    let known = "requests, parallel, max_parallel, stop_on_error, timeout_ms and tenant_id";
                    return Err(unknown_field(unknown, "", &format!("{known}; {ARGUMENTS}")));
                }
            }
        }
        found.parallel = at_a_time(parallel, most)?;
        let Some(requests) = requests else {
            return Err(invalid(format!("`requests` is missing; send {EXAMPLE}")));
        };
        found.calls = calls(requests)?;
        Ok(found)
    }
}

fn calls(raw: &str) -> Result<Vec<BatchCall<'_>>, CallError> {
    if !raw.starts_with('[') {
        return Err(invalid(format!(
            "`requests` must be an array, found {}",
            json::kind(raw)
        )));
    }
    let all = json::elements(raw, MAX_CALLS).map_err(|_| {
        refused(
            ErrorCode::PayloadTooLarge,
            Some(RULE_CALLS),
            "/requests".into(),
            format!("there are more than {MAX_CALLS} calls; send several batches"),
        )
    })?;
    let mut found = Vec::with_capacity(all.len());
    for (i, raw) in all.into_iter().enumerate() {
        found.push(one(i, raw)?);
    }
    Ok(found)
}

fn one(i: usize, raw: &str) -> Result<BatchCall<'_>, CallError> {
    let object = Object::parse(raw).map_err(|e| invalid(format!("requests[{i}]: {}", e.message)))?;
    let mut call = BatchCall::default();
    let mut named = false;
    for (key, value) in object.iter() {
        let place = Place {
            request: Some(i),
            key,
        };
        match key {
            "id" => call.id = Some(string(place, value)?),
            "tool" => {
                call.tool = string(place, value)?;
                named = true;
            }
            "arguments" => call.arguments = (value != "null").then_some(value),
            "timeout_ms" => call.timeout = Some(milliseconds(place, value)?),
            unknown => {
                let known = format!("id, tool, arguments and timeout_ms; {ARGUMENTS}");
                return Err(unknown_field(unknown, &format!(" in requests[{i}]"), &known));
            }
        }
    }
    match named {
        true => Ok(call),
        false => Err(invalid(format!("requests[{i}]: `tool` is missing"))),
    }
}

/// How many run at the same time.
fn at_a_time(parallel: Option<bool>, most: Option<&str>) -> Result<usize, CallError> {
    let Some(raw) = most else {
        return Ok(if parallel == Some(true) {
            DEFAULT_PARALLEL
        } else {
            1
        });
    };
    match raw.parse() {
        Ok(most) if (1..=MAX_PARALLEL).contains(&most) => match parallel {
            Some(false) if most > 1 => Err(invalid(
                "`max_parallel` is more than 1 although `parallel` is false; leave one of them out".into(),
            )),
            _ => Ok(most),
        },
        _ => Err(invalid(format!(
            "`max_parallel` must be a whole number from 1 to {MAX_PARALLEL}"
        ))),
    }
}
