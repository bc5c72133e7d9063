//! Arguments to a request. Host and shape of the path are fixed; what an argument says is encoded, and a value that would change
//! the path all the same is refused.

use bytes::Bytes;
use ferromcp_core::{CallError, ErrorCode, Issue};
use ferromcp_protocol::json::{self, Object};
use ferromcp_upstream::transport::http::Exchange;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::operation::{Operation, Parameter, Piece, Place, Style};

/// All but the characters that mean nothing anywhere in a URL (RFC 3986, section 2.3).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
/// Longest path and query, in bytes.
const MAX_TARGET: usize = 32 * 1024;
/// Most items of a list among the parameters.
const MAX_ITEMS: usize = 1000;
/// Deepest nesting of a value in the query.
const MAX_DEPTH: usize = 8;

pub(crate) fn encode(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// Where requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Base {
    /// Path before that of an operation; empty, or it begins with `/` and does not end with it.
    pub(crate) path: String,
    /// Query that each request has, encoded.
    pub(crate) query: String,
}

/// The request for a call.
pub(crate) fn build(operation: &Operation, base: &Base, raw: &str) -> Result<Exchange, CallError> {
    let arguments = Object::parse(raw).map_err(|e| wrong("", e.to_string()))?;
    let mut values = Vec::with_capacity(operation.parameters.len());
    for parameter in &operation.parameters {
        let value = arguments
            .get(&parameter.argument)
            .filter(|value| *value != "null");
        if value.is_none() && parameter.required {
            return Err(wrong(&parameter.argument, "it is needed"));
        }
        values.push(value);
    }
    let mut target = base.path.clone();
    let path = target.len();
    for piece in &operation.path {
        match piece {
            Piece::Text(text) => target.push_str(text),
            Piece::Parameter(at) => {
                let parameter = &operation.parameters[*at];
                target.push_str(&segment(parameter, values[*at].unwrap_or_default())?);
            }
        }
    }
    // Two harmless values beside each other may make one that is not: `{a}{b}`.
    if target[path..].split('/').any(|part| matches!(part, "." | "..")) {
        return Err(wrong("", "the path would lead elsewhere"));
    }
    let mut query = base.query.clone();
    let mut headers = HeaderMap::new();
    for (parameter, value) in operation.parameters.iter().zip(&values) {
        let Some(value) = value else { continue };
        match parameter.place {
            Place::Path => {}
            Place::Query => pairs(&mut query, parameter, value)?,
            Place::Header => {
                let (name, value) = header(parameter, value)?;
                headers.insert(name, value);
            }
        }
    }
    if !query.is_empty() {
        target.push('?');
        target.push_str(&query);
    }
    if target.is_empty() {
        target.push('/');
    }
    if target.len() > MAX_TARGET {
        return Err(wrong(
            "",
            format!(
                "path and query would have {} bytes, more than {MAX_TARGET}",
                target.len()
            ),
        ));
    }
    let body = body(operation, &arguments, &mut headers)?;
    headers.insert(ACCEPT, HeaderValue::from_static("application/json, */*;q=0.5"));
    let agent = concat!("ferromcp/", env!("CARGO_PKG_VERSION"));
    headers.insert(USER_AGENT, HeaderValue::from_static(agent));
    Ok(Exchange {
        method: operation.method.clone(),
        target,
        headers,
        body,
    })
}

fn body(operation: &Operation, arguments: &Object<'_>, headers: &mut HeaderMap) -> Result<Bytes, CallError> {
    let Some(body) = &operation.body else {
        return Ok(Bytes::new());
    };
    let Some(value) = arguments.get(&body.argument) else {
        return match body.required {
            true => Err(wrong(&body.argument, "it is needed")),
            false => Ok(Bytes::new()),
        };
    };
    let media =
        HeaderValue::from_str(&body.media).unwrap_or_else(|_| HeaderValue::from_static("application/json"));
    headers.insert(CONTENT_TYPE, media);
    if !body.form {
        return Ok(Bytes::copy_from_slice(value.as_bytes()));
    }
    let members = Object::parse(value).map_err(|_| wrong(&body.argument, "a form is an object"))?;
    let mut form = String::new();
    for (name, value) in members.iter() {
        for value in listed(value, name)? {
            pair(&mut form, name, &scalar(value));
        }
    }
    Ok(form.into())
}

/// What a parameter says in the path.
fn segment(parameter: &Parameter, value: &str) -> Result<String, CallError> {
    let text = simple(parameter, value, &encode)?;
    if text.is_empty() {
        return Err(wrong(
            &parameter.argument,
            "it is part of a path and must not be empty",
        ));
    }
    // Also of what a server may take for a path after decoding it.
    let plain = simple(parameter, value, &str::to_owned)?;
    if plain
        .split(['/', '\\'])
        .any(|part| matches!(part.trim(), "." | ".."))
    {
        return Err(wrong(
            &parameter.argument,
            "`.` and `..` must not be part of a path",
        ));
    }
    if plain.chars().any(char::is_control) {
        return Err(wrong(&parameter.argument, "it has control characters"));
    }
    Ok(text)
}

/// The style of paths and headers.
fn simple(parameter: &Parameter, value: &str, write: &dyn Fn(&str) -> String) -> Result<String, CallError> {
    if parameter.style == Style::Json {
        return Ok(write(value));
    }
    if let Ok(members) = Object::parse(value) {
        let between = if parameter.explode { "=" } else { "," };
        let one = |(name, value): (&str, &str)| format!("{}{between}{}", write(name), write(&scalar(value)));
        return Ok(members.iter().map(one).collect::<Vec<_>>().join(","));
    }
    let items = listed(value, &parameter.argument)?;
    let items: Vec<String> = items.into_iter().map(|item| write(&scalar(item))).collect();
    Ok(items.join(","))
}

fn header(parameter: &Parameter, value: &str) -> Result<(HeaderName, HeaderValue), CallError> {
    let text = simple(parameter, value, &str::to_owned)?;
    let name = HeaderName::from_bytes(parameter.name.as_bytes());
    match (name, HeaderValue::from_str(&text)) {
        (Ok(name), Ok(value)) => Ok((name, value)),
        _ => Err(wrong(
            &parameter.argument,
            "it has characters that a header cannot hold",
        )),
    }
}

/// What a parameter says in the query.
fn pairs(query: &mut String, parameter: &Parameter, value: &str) -> Result<(), CallError> {
    let name = parameter.name.as_str();
    match parameter.style {
        Style::Json | Style::Simple => {
            pair(query, name, value);
            return Ok(());
        }
        Style::Deep => return deep(query, name, value, 0, &parameter.argument),
        Style::Form | Style::Space | Style::Pipe => {}
    }
    if let Ok(members) = Object::parse(value) {
        if parameter.explode {
            for (key, value) in members.iter() {
                pair(query, key, &scalar(value));
            }
            return Ok(());
        }
        let all = members
            .iter()
            .flat_map(|(key, value)| [encode(key), encode(&scalar(value))]);
        joined(query, name, &all.collect::<Vec<_>>(), ",");
        return Ok(());
    }
    let items = listed(value, &parameter.argument)?;
    let between = match parameter.style {
        Style::Space => "%20",
        Style::Pipe => "%7C",
        _ => ",",
    };
    if parameter.explode {
        for item in items {
            pair(query, name, &scalar(item));
        }
    } else {
        let all: Vec<String> = items.into_iter().map(|item| encode(&scalar(item))).collect();
        joined(query, name, &all, between);
    }
    Ok(())
}

fn deep(query: &mut String, name: &str, value: &str, depth: usize, argument: &str) -> Result<(), CallError> {
    if depth > MAX_DEPTH {
        return Err(wrong(argument, "it is nested too deeply"));
    }
    if let Ok(members) = Object::parse(value) {
        for (key, value) in members.iter() {
            deep(query, &format!("{name}[{key}]"), value, depth + 1, argument)?;
        }
        return Ok(());
    }
    for item in listed(value, argument)? {
        pair(query, name, &scalar(item));
    }
    Ok(())
}

fn pair(out: &mut String, name: &str, value: &str) {
    joined(out, name, &[encode(value)], "");
}

fn joined(out: &mut String, name: &str, values: &[String], between: &str) {
    if !out.is_empty() {
        out.push('&');
    }
    out.push_str(&encode(name));
    out.push('=');
    out.push_str(&values.join(between));
}

/// The items of a list, or the one value that it is.
fn listed<'v>(value: &'v str, argument: &str) -> Result<Vec<&'v str>, CallError> {
    match value.starts_with('[') {
        true => json::elements(value, MAX_ITEMS).map_err(|e| wrong(argument, e.to_string())),
        false => Ok(vec![value]),
    }
}

/// A string without its quotes; anything else as JSON writes it.
fn scalar(value: &str) -> String {
    match json::decode_str(value) {
        Some(text) if value.starts_with('"') => text.into_owned(),
        _ => value.to_owned(),
    }
}

fn wrong(argument: &str, message: impl Into<String>) -> CallError {
    let pointer = match argument.is_empty() {
        true => String::new(),
        false => format!("/{argument}"),
    };
    let message = message.into();
    let place = if pointer.is_empty() {
        "the arguments"
    } else {
        &pointer
    };
    CallError::new(ErrorCode::InvalidArguments, format!("{place}: {message}"))
        .with_rule("openapi.arguments")
        .with_issues(vec![Issue { pointer, message }])
}
