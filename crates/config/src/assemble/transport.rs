//! `servers.ID`: how a server is reached, and which of its keys go together.

use std::collections::HashMap;

use url::Url;

use super::{no_effect, upstream_http, workers};
use crate::fields::{Checked, Fields, Text, Value};
use crate::model::{Command, DocumentSource, Endpoint, Grpc, OpenApi, Transport, UpstreamTls};
use crate::problem::{Problem, Problems, quote};
use crate::secret::Secret;
use crate::source::Span;
use crate::text::Parsed;

/// A kind of server: the key that says so, and the keys that only mean something with it.
struct Kind {
    key: &'static str,
    keys: &'static [&'static str],
}

const KINDS: [Kind; 4] = [
    Kind {
        key: "command",
        keys: &["args", "env", "cwd", "limits", "era", "pool", "prompts"],
    },
    Kind {
        key: "url",
        keys: &["headers", "tls", "auth", "era", "pool", "prompts"],
    },
    Kind {
        key: "openapi",
        keys: &["base_url", "headers", "tls", "auth"],
    },
    Kind {
        key: "grpc",
        keys: &["descriptors", "services", "headers", "tls"],
    },
];
const EXPECTED: &str = "`command` for a program to start, `url` for a running MCP server, `openapi` for an HTTP API, or `grpc` \
                        for a gRPC server";

pub(super) fn transport(fields: &mut Fields, span: &Span, problems: &mut Problems) -> Option<Transport> {
    let word = fields
        .word("type")
        .map(|word| (word, fields.span("type").unwrap_or_default()));
    let mut given: Vec<(&Kind, Span)> = KINDS
        .iter()
        .filter_map(|kind| Some((kind, fields.span(kind.key)?)))
        .collect();
    given.sort_by_key(|(_, span)| span.start);
    let kind = match given.as_slice() {
        [(kind, _)] => *kind,
        [] => {
            let keys = "neither `command` nor `url`, `openapi` or `grpc`";
            let text = format!("the server has {keys}");
            problems.push(Problem::new(span.clone(), &fields.path, text).expected(EXPECTED));
            return None;
        }
        [(one, _), .., (other, span)] => {
            let text = format!("the server has both `{}` and `{}`", one.key, other.key);
            problems.push(
                Problem::new(span.clone(), &fields.path, text)
                    .expected(EXPECTED)
                    .hint("remove one of them, or make two servers of it"),
            );
            return None;
        }
    };
    let key = kind.key;
    if let Some((word, span)) = &word
        && (*word == "stdio" || key != "url")
        && (*word != "stdio" || key != "command")
    {
        problems.push(
            Problem::new(
                span.clone(),
                "type",
                format!("`type: {word}` does not fit `{key}`"),
            )
            .inside(&fields.path)
            .expected(match key {
                "command" => "`type: stdio`, or no `type`",
                "url" => "`type: http` or `type: sse`, or no `type`",
                _ => "no `type`",
            }),
        );
    }
    let mut seen = Vec::new();
    for stranger in KINDS.iter().flat_map(|kind| kind.keys) {
        if kind.keys.contains(stranger) || seen.contains(stranger) {
            continue;
        }
        seen.push(*stranger);
        if let Some(span) = fields.span(stranger) {
            let owners: Vec<String> = KINDS
                .iter()
                .filter(|kind| kind.keys.contains(stranger))
                .map(|kind| format!("`{}`", kind.key))
                .collect();
            let why = format!(
                "it belongs to servers with {}, and this one has `{key}`",
                owners.join(" or ")
            );
            problems.push(no_effect(span, &fields.path, stranger, &why).hint("remove it"));
        }
    }
    match key {
        "command" => stdio_transport(fields),
        "url" => {
            let sse = word.is_some_and(|(word, _)| word == "sse");
            http_transport(fields, sse, problems)
        }
        "openapi" => openapi_transport(fields, problems),
        _ => grpc_transport(fields, problems),
    }
}

fn stdio_transport(fields: &mut Fields) -> Option<Transport> {
    let args = fields
        .texts("args")
        .unwrap_or_default()
        .into_iter()
        .filter_map(|text| {
            let spelling = text.spelling.clone();
            Some(Secret::with_spelling(text.into_string()?, spelling))
        });
    Some(Transport::Stdio(Command {
        args: args.collect(),
        env: secrets(fields.table("env")),
        cwd: fields.text("cwd").and_then(Text::into_path),
        limits: fields
            .object("limits")
            .map(workers::resources)
            .unwrap_or_default(),
        command: fields.string("command")?,
    }))
}

fn http_transport(fields: &mut Fields, sse: bool, problems: &mut Problems) -> Option<Transport> {
    let (tls, auth) = (fields.object("tls"), fields.object("auth"));
    let authorization = fields.span("headers");
    let endpoint = endpoint(fields, "url", problems);
    let https = endpoint
        .as_ref()
        .is_none_or(|endpoint| endpoint.url.scheme() == "https");
    let headers = endpoint.as_ref().map(|endpoint| endpoint.headers.as_slice());
    let authorization = authorization.filter(|_| sets_authorization(headers.unwrap_or_default()));
    let oauth = auth.and_then(|auth| upstream_http::oauth(auth, &fields.path, authorization, problems));
    let tls = tls.map(|tls| upstream_http::tls(tls, https, problems));
    let mut endpoint = endpoint?;
    endpoint.sse = sse;
    endpoint.tls = tls.unwrap_or_default();
    endpoint.oauth = oauth.map(Box::new);
    Some(Transport::Http(endpoint))
}

/// The URL in `key`, and `headers`.
pub(super) fn endpoint(fields: &mut Fields, key: &str, problems: &mut Problems) -> Option<Endpoint> {
    let headers = headers(fields, problems);
    let text = fields.text(key)?;
    let shown = shown(&text);
    Some(Endpoint {
        sse: false,
        tls: UpstreamTls::default(),
        oauth: None,
        url: url_of(text)?,
        shown,
        headers,
    })
}

fn sets_authorization(headers: &[(String, Secret)]) -> bool {
    headers
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case("authorization"))
}

fn openapi_transport(fields: &mut Fields, problems: &mut Problems) -> Option<Transport> {
    let document = fields.text("openapi").and_then(|text| match text.parsed {
        Parsed::Url(url) => Some(DocumentSource::Url(*url)),
        Parsed::Path(path) => Some(DocumentSource::File(path)),
        _ => None,
    });
    let base_url = fields.text("base_url").and_then(url_of);
    let document_url = match &document {
        Some(DocumentSource::Url(url)) => Some(url),
        _ => None,
    };
    let mut urls = document_url.into_iter().chain(&base_url).peekable();
    // Of a file without `base_url` nobody knows yet.
    let https = urls.peek().is_none() || urls.any(|url| url.scheme() == "https");
    let (tls, auth) = (fields.object("tls"), fields.object("auth"));
    let authorization = fields.span("headers");
    let headers = headers(fields, problems);
    let authorization = authorization.filter(|_| sets_authorization(&headers));
    let oauth = auth.and_then(|auth| upstream_http::oauth(auth, &fields.path, authorization, problems));
    let tls = tls.map(|tls| upstream_http::tls(tls, https, problems));
    Some(Transport::OpenApi(Box::new(OpenApi {
        document: document?,
        base_url,
        headers,
        tls: tls.unwrap_or_default(),
        oauth: oauth.map(Box::new),
    })))
}

fn grpc_transport(fields: &mut Fields, problems: &mut Problems) -> Option<Transport> {
    let span = fields.span("grpc");
    let url = fields.text("grpc").and_then(url_of);
    if let (Some(url), Some(span)) = (&url, span)
        && (url.path() != "/" || url.query().is_some())
    {
        problems.push(
            Problem::new(
                span,
                "grpc",
                "the URL has a path or a query, which gRPC does not have",
            )
            .inside(&fields.path)
            .expected("scheme, host and port only, as in https://orders.example.com:8443"),
        );
    }
    let https = url.as_ref().is_none_or(|url| url.scheme() == "https");
    let headers = headers(fields, problems);
    let tls = fields
        .object("tls")
        .map(|tls| upstream_http::tls(tls, https, problems));
    Some(Transport::Grpc(Box::new(Grpc {
        url: url?,
        descriptors: fields.text("descriptors").and_then(Text::into_path),
        services: fields.strings("services").unwrap_or_default(),
        headers,
        tls: tls.unwrap_or_default(),
    })))
}

fn headers(fields: &mut Fields, problems: &mut Problems) -> Vec<(String, Secret)> {
    let headers = fields.table("headers");
    let mut seen: HashMap<String, &str> = HashMap::new();
    for (name, checked) in &headers {
        if let Some(other) = seen.insert(name.to_ascii_lowercase(), name) {
            problems.push(
                Problem::new(
                    checked.span.clone(),
                    name,
                    format!("the header {} is the same as {}", quote(name), quote(other)),
                )
                .inside(&format!("{}.headers", fields.path))
                .expected("each header once, in upper or lower case")
                .hint("remove one of them"),
            );
        }
    }
    secrets(headers)
}

fn url_of(text: Text) -> Option<Url> {
    match text.parsed {
        Parsed::Url(url) => Some(*url),
        _ => None,
    }
}

/// A URL for logs.
fn shown(text: &Text) -> String {
    let Parsed::Url(url) = &text.parsed else {
        return String::new();
    };
    if text.interpolated {
        return text.spelling.clone();
    }
    let mut bare = (**url).clone();
    let had_query = bare.query().is_some();
    bare.set_query(None);
    match had_query {
        true => format!("{bare}?[redacted]"),
        false => bare.into(),
    }
}

fn secrets(entries: Vec<(String, Checked)>) -> Vec<(String, Secret)> {
    let secret = |(name, checked): (String, Checked)| match checked.value {
        Some(Value::Text(text)) => text.into_string().map(|text| (name, Secret::new(text))),
        _ => None,
    };
    entries.into_iter().filter_map(secret).collect()
}
