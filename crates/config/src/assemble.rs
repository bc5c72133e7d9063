//! Checked values to the [`Config`], with the rules that span several keys.

mod admin;
mod audit;
mod auth;
mod catalog;
mod limits;
mod patterns;
pub(crate) mod tenants;
mod tls;
mod transport;
mod upstream_http;
mod workers;

use std::collections::HashMap;
use std::time::Duration;

use crate::fields::{Checked, Fields, Text, Value};
use crate::model::{
    Builtin, Config, Era, Files, Identity, Listen, Log, LogFormat, LogLevel, Sessions, Supervisor, Tenant,
    Upstream, Validation,
};
use crate::problem::{Problem, Problems, push_key, quote};
use crate::scalar::{show_duration, show_size};
use crate::source::Span;
use crate::text::Parsed;

pub(crate) fn config(mut root: Fields, problems: &mut Problems) -> Config {
    let mut group = |key: &str| root.object(key).unwrap_or_default();
    let (listen, ca) = listen(group("listen"), problems);
    let server = identity(group("server"));
    let builtin = builtin(group("builtin"), problems);
    let supervisor_group = group("supervisor");
    let max_workers = supervisor_group.span("max_workers");
    let supervisor = supervisor(supervisor_group, problems);
    let sessions = sessions(group("sessions"));
    let validation = validation(group("validation"), problems);
    let log = log(group("log"));
    let limits = limits::limits(group("limits"), problems);
    let lock = catalog::lock(group("lock"));
    let audit = group("audit");
    let auth = group("auth");
    let admin = root.object("admin");
    let has_admin = admin.is_some();
    let audit = audit::audit(audit, has_admin, problems);
    let tenants = tenants::tenants(root.table("tenants"), ca.is_some(), problems);
    let has = |some: fn(&Tenant) -> bool| tenants.iter().any(some);
    let has_certificates = has(|tenant| !tenant.certificates.is_empty());
    let has_keys = has_certificates || has(|tenant| !tenant.keys.is_empty());
    tls::fit(&listen, ca, has_certificates || has_admin, problems);
    let auth = auth::auth(auth, has_keys || has_admin, problems);
    let admin = admin.and_then(|fields| admin::admin(fields, &tenants, problems));
    let mut config = Config {
        listen,
        server,
        servers: Vec::new(),
        disabled_servers: Vec::new(),
        builtin,
        supervisor,
        sessions,
        validation,
        log,
        tenants,
        auth,
        limits,
        lock,
        audit,
        admin,
    };
    servers(root.table("servers"), &mut config, problems);
    workers::fit(&config, max_workers, problems);
    config
}

fn listen(mut fields: Fields, problems: &mut Problems) -> (Listen, Option<Span>) {
    let default = Listen::default();
    let tls = fields.object("tls");
    let ca = tls.as_ref().and_then(|tls| tls.span("client_ca"));
    let listen = Listen {
        tls: tls.and_then(|tls| tls::tls(tls, problems)),
        http: match fields.text("http").map(|t| t.parsed) {
            Some(Parsed::Addr(addr)) => addr,
            _ => default.http,
        },
        grpc: match fields.text("grpc").map(|t| t.parsed) {
            Some(Parsed::Addr(addr)) => Some(addr),
            _ => None,
        },
        allowed_hosts: fields.strings("allowed_hosts").unwrap_or_default(),
        allowed_origins: fields.strings("allowed_origins").unwrap_or_default(),
    };
    (listen, ca)
}

fn identity(mut fields: Fields) -> Identity {
    Identity {
        name: fields.string("name"),
        title: fields.string("title"),
        version: fields.string("version"),
        instructions: fields.string("instructions"),
    }
}

fn builtin(mut fields: Fields, problems: &mut Problems) -> Builtin {
    Builtin {
        echo: fields.flag("echo", true),
        batch: fields.flag("batch", false),
        files: fields.object("files").and_then(|f| files(f, problems)),
    }
}

fn files(mut fields: Fields, problems: &mut Problems) -> Option<Files> {
    if fields.span("roots").is_none() {
        let mut idle = false;
        for key in ["write", "delete", "max_read"] {
            if let Some(span) = fields.span(key) {
                idle = true;
                problems.push(
                    no_effect(span, &fields.path, key, "there are no file tools without `roots`")
                        .hint("add `roots: [DIRECTORY]`"),
                );
            }
        }
        if !idle {
            let path = format!("{}.roots", fields.path);
            problems.push(
                Problem::new(fields.span, &path, "`files` has no effect without `roots`")
                    .hint("add `roots: [DIRECTORY]`"),
            );
        }
        return None;
    }
    let roots = fields
        .texts("roots")?
        .into_iter()
        .filter_map(Text::into_path)
        .collect();
    Some(Files {
        roots,
        write: fields.flag("write", false),
        delete: fields.flag("delete", false),
        max_read: fields.number("max_read").unwrap_or(Files::DEFAULT_MAX_READ),
    })
}

fn supervisor(mut fields: Fields, problems: &mut Problems) -> Supervisor {
    let default = Supervisor::default();
    let max_timeout = fields.duration("max_timeout").unwrap_or(default.max_timeout);
    let default_timeout = fields.duration("default_timeout");
    if let (Some(value), Some(span)) = (default_timeout, fields.span("default_timeout")) {
        above_max_timeout(
            value,
            max_timeout,
            span,
            &fields.path,
            "default_timeout",
            problems,
        );
    }
    Supervisor {
        default_timeout: default_timeout
            .unwrap_or(default.default_timeout)
            .min(max_timeout),
        max_timeout,
        start_timeout: fields.duration("start_timeout").unwrap_or(default.start_timeout),
        drain: fields.duration("drain").unwrap_or(default.drain),
        max_workers: count(fields.number("max_workers"), default.max_workers),
        heartbeat: heartbeat(&mut fields, problems),
    }
}

/// Questions that come faster than answers would end a server that is well.
const MIN_HEARTBEAT: Duration = Duration::from_millis(100);

fn heartbeat(fields: &mut Fields, problems: &mut Problems) -> Option<Duration> {
    let Some(value) = fields.duration("heartbeat") else {
        return Supervisor::default().heartbeat;
    };
    if value < MIN_HEARTBEAT
        && !value.is_zero()
        && let Some(span) = fields.span("heartbeat")
    {
        problems.push(
            Problem::new(
                span,
                "heartbeat",
                format!("{} is too short", show_duration(value)),
            )
            .inside(&fields.path)
            .expected(format!(
                "at least {}, or 0s for none",
                show_duration(MIN_HEARTBEAT)
            )),
        );
    }
    (!value.is_zero()).then_some(value)
}

fn above_max_timeout(
    value: Duration,
    max: Duration,
    span: Span,
    parent: &str,
    key: &str,
    problems: &mut Problems,
) {
    if value > max {
        let max = show_duration(max);
        problems.push(
            Problem::new(
                span,
                key,
                format!(
                    "{} is above `supervisor.max_timeout` ({max}), so it would never apply",
                    show_duration(value)
                ),
            )
            .inside(parent)
            .expected(format!("at most {max}"))
            .hint("lower it, or raise `supervisor.max_timeout`"),
        );
    }
}

fn sessions(mut fields: Fields) -> Sessions {
    let default = Sessions::default();
    Sessions {
        max: count(fields.number("max"), default.max),
        idle_ttl: fields.duration("idle_ttl").unwrap_or(default.idle_ttl),
        init_timeout: fields.duration("init_timeout").unwrap_or(default.init_timeout),
    }
}

fn validation(mut fields: Fields, problems: &mut Problems) -> Validation {
    let default = Validation::default();
    let max_body = count(fields.number("max_body"), default.max_body);
    let max_string = count(fields.number("max_string"), default.max_string);
    if max_string > max_body
        && let Some(span) = fields.span("max_string")
    {
        let max = show_size(max_body as u64);
        problems.push(
            Problem::new(
                span,
                "max_string",
                format!(
                    "{} is above `max_body` ({max}), so it would never apply",
                    show_size(max_string as u64)
                ),
            )
            .inside(&fields.path)
            .expected(format!("at most {max}"))
            .hint("lower it, or raise `validation.max_body`"),
        );
    }
    Validation {
        max_body,
        max_string: max_string.min(max_body),
        max_items: count(fields.number("max_items"), default.max_items),
        max_depth: count(fields.number("max_depth"), default.max_depth),
        max_output: count(fields.number("max_output"), default.max_output),
        enforce_schema: fields.word("schema") != Some("off"),
        patterns: fields
            .object("patterns")
            .map(|f| patterns::patterns(f, problems))
            .unwrap_or_default(),
        redact: patterns::redaction(&fields.words("redact").unwrap_or_default()),
    }
}

/// All counts are bounded far below `usize::MAX` by their kind.
fn count(value: Option<u64>, default: usize) -> usize {
    value.and_then(|v| usize::try_from(v).ok()).unwrap_or(default)
}

fn log(mut fields: Fields) -> Log {
    Log {
        level: match fields.word("level") {
            Some("error") => LogLevel::Error,
            Some("warn") => LogLevel::Warn,
            Some("debug") => LogLevel::Debug,
            Some("trace") => LogLevel::Trace,
            _ => LogLevel::Info,
        },
        format: match fields.word("format") {
            Some("json") => LogFormat::Json,
            _ => LogFormat::Text,
        },
        calls: fields.flag("calls", true),
    }
}

fn servers(entries: Vec<(String, Checked)>, config: &mut Config, problems: &mut Problems) {
    let mut prefixes: HashMap<String, String> = HashMap::new();
    for (id, checked) in entries {
        let Some(Value::Object(mut fields)) = checked.value else {
            continue;
        };
        let disabled = fields.flag("disabled", false);
        let prefix_span = fields.span("prefix").unwrap_or(checked.span.clone());
        let upstream = upstream(
            id.clone(),
            fields,
            &checked.span,
            config.supervisor.max_timeout,
            problems,
        );
        if disabled {
            config.disabled_servers.push(id);
            continue;
        }
        let Some(upstream) = upstream else { continue };
        if let Some(other) = prefixes.get(&upstream.prefix) {
            let mut path = String::from("servers");
            push_key(&mut path, &id);
            problems.push(
                Problem::new(
                    prefix_span,
                    "prefix",
                    format!(
                        "the prefix {} is also that of the server `{other}`",
                        quote(&upstream.prefix)
                    ),
                )
                .inside(&path)
                .expected("a prefix of its own for every server (without the key: the id)")
                .hint("change one of the two, so that tool names cannot collide"),
            );
            continue;
        }
        prefixes.insert(upstream.prefix.clone(), id);
        config.servers.push(upstream);
    }
}

fn upstream(
    id: String,
    mut fields: Fields,
    span: &Span,
    max_timeout: Duration,
    problems: &mut Problems,
) -> Option<Upstream> {
    let timeout = fields.duration("timeout");
    if let (Some(value), Some(span)) = (timeout, fields.span("timeout")) {
        above_max_timeout(value, max_timeout, span, &fields.path, "timeout", problems);
    }
    let start_timeout = fields.duration("start_timeout");
    let (tools, tool_overrides, effects) = fields
        .object("tools")
        .map(|f| catalog::tools(f, problems))
        .unwrap_or_default();
    let prompt_overrides = fields
        .object("prompts")
        .map(|mut f| catalog::overrides(&mut f, problems))
        .unwrap_or_default();
    let pool = fields
        .object("pool")
        .map(|f| workers::pool(f, problems))
        .unwrap_or_default();
    let era = match fields.word("era") {
        Some("legacy") => Era::Legacy,
        Some("modern") => Era::Modern,
        _ => Era::Auto,
    };
    let prefix = fields.string("prefix").unwrap_or_else(|| id.clone());
    let transport = transport::transport(&mut fields, span, problems)?;
    Some(Upstream {
        id,
        prefix,
        transport,
        timeout,
        start_timeout,
        era,
        tools,
        effects,
        pool,
        tool_overrides,
        prompt_overrides,
    })
}

fn no_effect(span: Span, parent: &str, key: &str, why: &str) -> Problem {
    Problem::new(span, key, format!("`{key}` has no effect here: {why}")).inside(parent)
}
