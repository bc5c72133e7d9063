//! `servers.ID`.

use super::{HOUR, MS, catalog, duration, field, text, texts, upstream_http, word, workers};
use crate::spec::Absent::{Group, Value, Words};
use crate::spec::{Kind, Object};
use crate::text::{Form, KeyForm};

pub(crate) static UPSTREAM: Object = Object {
    fields: &[
        field(
            "type",
            Kind::Choice(&[word("stdio"), word("http"), word("streamable-http"), word("sse")]),
            Words("`stdio` with `command`, `http` with `url`"),
            "Transport; `streamable-http` is another word for `http`, which also finds servers that only have HTTP+SSE, the \
             transport of 2024-11-05 (`sse`). It must fit `command` or `url`.",
        ),
        field(
            "command",
            text(Form::Command),
            Words("required, or `url`, `openapi` or `grpc`"),
            "Program to start: a name looked up in `PATH`, or a path, relative to the config file if it has a separator. No \
             shell is involved.",
        ),
        field(
            "args",
            Kind::List {
                item: &Kind::Text(Form::Argument),
                may_be_empty: true,
                max: 1024,
            },
            Value("[]"),
            "Arguments of the program, passed on as they are.",
        ),
        field(
            "env",
            Kind::Table {
                key: KeyForm::Variable,
                item: &Kind::Text(Form::EnvValue),
                max: 1024,
            },
            Value("{}"),
            "Environment variables of the program. It gets these and a few that programs need to run, nothing else of \
             FerroMCP's own environment.",
        ),
        field(
            "cwd",
            text(Form::Directory),
            Words("the directory in which FerroMCP was started"),
            "Working directory of the program, relative to the config file.",
        ),
        field(
            "url",
            text(Form::Url),
            Words("required, or `command`, `openapi` or `grpc`"),
            "Endpoint of a running server: Streamable HTTP, or the event stream of HTTP+SSE.",
        ),
        field(
            "openapi",
            text(Form::Document),
            Words("required, or `command`, `url` or `grpc`"),
            "OpenAPI document (3.0 or 3.1, JSON or YAML) of an HTTP API, as a file (looked at every two seconds) or a URL (read \
             again every five minutes). Its operations are the server's tools; see docs/upstreams.md.",
        ),
        field(
            "base_url",
            text(Form::Url),
            Words("the first of the document's `servers`, if it is on the host that the document is from"),
            "Where the operations of `openapi` are called. Its query goes with every request.",
        ),
        field(
            "grpc",
            text(Form::Url),
            Words("required, or `command`, `url` or `openapi`"),
            "A gRPC server, as in https://HOST:PORT (http:// is HTTP/2 without TLS). Its methods are the server's tools; see \
             docs/upstreams.md.",
        ),
        field(
            "descriptors",
            text(Form::File),
            Words("the server is asked: gRPC reflection, every five minutes"),
            "Set of descriptors of `grpc`, as `protoc --include_imports --descriptor_set_out` writes it; looked at every two seconds.",
        ),
        field(
            "services",
            texts(&Kind::Text(Form::Line { max: 256 }), false, 256),
            Words("all but those of gRPC itself"),
            "Full names of the services of `grpc` that are offered.",
        ),
        field(
            "headers",
            Kind::Table {
                key: KeyForm::Header,
                item: &Kind::Text(Form::HeaderValue),
                max: 128,
            },
            Value("{}"),
            "HTTP headers sent with every request to `url`, of the operations of `openapi`, or as metadata to `grpc`.",
        ),
        field(
            "tls",
            Kind::Object(&upstream_http::TLS),
            Group,
            "Certificates for `url`, `openapi` or `grpc`.",
        ),
        field(
            "auth",
            Kind::Object(&upstream_http::AUTH),
            Group,
            "Access tokens for `url`, or for the operations of `openapi`.",
        ),
        field(
            "disabled",
            Kind::Bool,
            Value("false"),
            "Keep the entry, do not use it. It is checked, but its `${...}` need not be set, nor its directory exist.",
        ),
        field(
            "timeout",
            duration(10 * MS, 24 * HOUR),
            Words("`supervisor.default_timeout`"),
            "Deadline of a call to this server without progress; at most `supervisor.max_timeout`.",
        ),
        field(
            "start_timeout",
            duration(100 * MS, HOUR),
            Words("`supervisor.start_timeout`"),
            "Time from the start until the server must have answered `initialize`, or `openapi` or the descriptors of `grpc` must have been read.",
        ),
        field(
            "prefix",
            text(Form::Prefix),
            Words("the server's id"),
            "Tools are listed as `PREFIX__TOOL`, or as `TOOL` if it is empty. No two servers may have the same prefix. Of \
             a built-in tool and one without prefix that have the same name, the built-in one is listed.",
        ),
        field(
            "tools",
            Kind::Object(&catalog::TOOLS),
            Group,
            "Which of the server's tools are offered, how, and what they change.",
        ),
        field(
            "prompts",
            Kind::Object(&catalog::PROMPTS),
            Group,
            "How the server's prompts are offered.",
        ),
        field(
            "era",
            Kind::Choice(&[word("auto"), word("legacy"), word("modern")]),
            Value("auto"),
            "Protocol era to speak to the server: `legacy` up to 2025-11-25 (with `initialize`), `modern` from 2026-07-28 on; \
             `auto` finds out.",
        ),
        field(
            "pool",
            Kind::Object(&workers::POOL),
            Group,
            "Several workers behind one server, so that a slow call holds up no other.",
        ),
        field(
            "limits",
            Kind::Object(&workers::RESOURCES),
            Group,
            "What the operating system lets the processes of `command` use.",
        ),
    ],
    later: &[],
};
