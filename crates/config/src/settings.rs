//! The one description of the file: every key, its form, bounds, default and meaning.
//!
//! The validator, the JSON Schema and the reference page are all derived from these tables, so none of them can know a
//! key that the others do not. What a table cannot say (one key excludes another, and so on) is in `assemble`.

mod admin;
mod audit;
mod auth;
mod catalog;
mod limits;
mod patterns;
pub(crate) mod tenants;
mod tls;
mod upstream;
mod upstream_http;
mod workers;

use std::time::Duration;

use crate::spec::{Absent, Choice, Field, Kind, Later, Object};
use crate::text::{Form, KeyForm};

const fn word(word: &'static str) -> Choice {
    Choice { word, refused: None }
}

const fn field(key: &'static str, kind: Kind, default: Absent, doc: &'static str) -> Field {
    Field {
        key,
        kind,
        default,
        doc,
    }
}

const fn later(key: &'static str, hint: &'static str) -> Later {
    Later { key, hint }
}

const fn text(form: Form) -> Kind {
    Kind::Text(form)
}

const MS: u64 = 1;
const SECOND: u64 = 1000;
const MINUTE: u64 = 60_000;
const HOUR: u64 = 3_600_000;
const DAY: u64 = 86_400_000;
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;

const fn texts(form: &'static Kind, may_be_empty: bool, max: usize) -> Kind {
    Kind::List {
        item: form,
        may_be_empty,
        max,
    }
}

const fn duration(min_ms: u64, max_ms: u64) -> Kind {
    Kind::Duration {
        min: Duration::from_millis(min_ms),
        max: Duration::from_millis(max_ms),
    }
}

use Absent::{Group, Value, Words};

pub(crate) use upstream::UPSTREAM;

pub(crate) static ROOT: Object = Object {
    fields: &[
        field("listen", Kind::Object(&LISTEN), Group, "Where clients connect."),
        field(
            "server",
            Kind::Object(&SERVER),
            Group,
            "How FerroMCP introduces itself to clients.",
        ),
        field(
            "servers",
            Kind::Table {
                key: KeyForm::ServerId,
                item: &Kind::Object(&UPSTREAM),
                max: 256,
            },
            Words("no upstream servers"),
            "Upstream servers by id: MCP servers as programs to start (`command`) or URLs to call (`url`), whose fields are those of the \
             `mcpServers` block of MCP hosts, HTTP APIs (`openapi`), and gRPC servers (`grpc`).",
        ),
        field("builtin", Kind::Object(&BUILTIN), Group, "The built-in tools."),
        field(
            "supervisor",
            Kind::Object(&SUPERVISOR),
            Group,
            "Deadlines of calls, of starts and of the shutdown; the workers of all servers.",
        ),
        field(
            "sessions",
            Kind::Object(&SESSIONS),
            Group,
            "Sessions of HTTP clients that speak a protocol revision up to 2025-11-25; later revisions have none.",
        ),
        field(
            "validation",
            Kind::Object(&VALIDATION),
            Group,
            "Limits on what comes in and what goes out.",
        ),
        field(
            "log",
            Kind::Object(&LOG),
            Group,
            "What is logged; the log goes to stderr.",
        ),
        field(
            "tenants",
            Kind::Table {
                key: KeyForm::TenantId,
                item: &Kind::Object(&tenants::TENANT),
                max: 10_000,
            },
            Words("none: every caller is the one local tenant"),
            "Tenants by id: their keys, what they may see and call, and how much of it.",
        ),
        field(
            "auth",
            Kind::Object(&auth::AUTH),
            Group,
            "How callers prove who they are.",
        ),
        field(
            "limits",
            Kind::Object(&limits::LIMITS),
            Group,
            "Rates of calls; what goes beyond is refused with the time to wait.",
        ),
        field(
            "lock",
            Kind::Object(&catalog::LOCK),
            Group,
            "Definitions of upstream tools and prompts that somebody has looked at; see docs/lock.md.",
        ),
        field(
            "audit",
            Kind::Object(&audit::AUDIT),
            Group,
            "Records of every call and of every change of the settings.",
        ),
        field(
            "admin",
            Kind::Object(&admin::ADMIN),
            Group,
            "The admin API, on an address of its own: makes and changes tenants while the server runs. Off without this block. \
             With it, callers need a credential unless `auth.anonymous` is `local`.",
        ),
    ],
    later: &[later(
        "reload",
        "reload with SIGHUP, `ferromcp apply` or `serve --watch`; remove the block",
    )],
};

static LISTEN: Object = Object {
    fields: &[
        field(
            "http",
            text(Form::Listen),
            Value("127.0.0.1:8080"),
            "Address of the HTTP doors (`/mcp`, `/v1`, health). `:8080` means all IPv4 interfaces, `[::]:8080` adds IPv6; \
             port 0 lets the system choose. Names other than `localhost` are not looked up.",
        ),
        field(
            "grpc",
            text(Form::Listen),
            Words("no gRPC"),
            "Address of the gRPC door, with the certificate and key of `tls` if there are any; see docs/grpc.md.",
        ),
        field(
            "allowed_hosts",
            Kind::List {
                item: &Kind::Text(Form::Host),
                may_be_empty: false,
                max: 256,
            },
            Words("loopback names and the address listened on"),
            "Further values of the `Host` header that are accepted; without a port, any port is.",
        ),
        field(
            "allowed_origins",
            Kind::List {
                item: &Kind::Text(Form::Origin),
                may_be_empty: false,
                max: 256,
            },
            Words("loopback origins"),
            "Further values of the `Origin` header (web pages) that are accepted.",
        ),
        field(
            "tls",
            Kind::Object(&tls::TLS),
            Group,
            "Serve HTTPS instead of HTTP. The files are looked at every two seconds: new connections use the new ones, \
             unless they are no good.",
        ),
    ],
    later: &[],
};

static SERVER: Object = Object {
    fields: &[
        field(
            "name",
            text(Form::Line { max: 128 }),
            Value("ferromcp"),
            "Name in `serverInfo`, for programs.",
        ),
        field(
            "title",
            text(Form::Line { max: 256 }),
            Words("none"),
            "Name in `serverInfo`, for people.",
        ),
        field(
            "version",
            text(Form::Line { max: 64 }),
            Words("the version of FerroMCP"),
            "Version in `serverInfo`.",
        ),
        field(
            "instructions",
            text(Form::Prose { max: 16 * 1024 }),
            Words("none"),
            "Text that tells a model how to use these tools; clients may add it to the prompt.",
        ),
    ],
    later: &[],
};

static BUILTIN: Object = Object {
    fields: &[
        field("echo", Kind::Bool, Value("true"), "Offer the `echo` tool."),
        field(
            "batch",
            Kind::Bool,
            Value("false"),
            "Offer the tool `batch_call`: many calls in one, for MCP hosts. Each of its calls is authorised, limited and recorded on its own.",
        ),
        field(
            "files",
            Kind::Object(&FILES),
            Group,
            "The file tools; they are offered only with `roots`.",
        ),
    ],
    later: &[],
};

static FILES: Object = Object {
    fields: &[
        field(
            "roots",
            Kind::List {
                item: &Kind::Text(Form::Directory),
                may_be_empty: false,
                max: 64,
            },
            Words("none: no file tools"),
            "Directories that the file tools may use, relative to the config file. Nothing outside can be reached.",
        ),
        field(
            "write",
            Kind::Bool,
            Value("false"),
            "Offer `write_file`. Needs `roots`.",
        ),
        field(
            "delete",
            Kind::Bool,
            Value("false"),
            "Offer `delete_file`. Needs `roots`.",
        ),
        field(
            "max_read",
            Kind::Size {
                min: KIB,
                max: 256 * MIB,
            },
            Value("1MiB"),
            "Most bytes that one `read_file` call returns. Needs `roots`.",
        ),
    ],
    later: &[],
};

static SUPERVISOR: Object = Object {
    fields: &[
        field(
            "default_timeout",
            duration(10 * MS, 24 * HOUR),
            Value("30s"),
            "Deadline of a call without progress; every progress notification starts it anew. At most `max_timeout`.",
        ),
        field(
            "max_timeout",
            duration(10 * MS, 24 * HOUR),
            Value("10m"),
            "Absolute deadline of a call, whatever progress it reports. Below 30s it also lowers `default_timeout`.",
        ),
        field(
            "start_timeout",
            duration(100 * MS, HOUR),
            Value("30s"),
            "Time from the start of an upstream server until it must have answered `initialize`.",
        ),
        field(
            "drain",
            duration(0, HOUR),
            Value("30s"),
            "Time that calls in flight get to finish at shutdown; 0s ends them at once.",
        ),
        workers::MAX_WORKERS,
        workers::HEARTBEAT,
    ],
    later: &[later(
        "idle_timeout",
        "`default_timeout` is the deadline of a call without progress, `max_timeout` the absolute one; remove the key",
    )],
};

static SESSIONS: Object = Object {
    fields: &[
        field(
            "max",
            Kind::Count {
                min: 1,
                max: 1_000_000,
            },
            Value("10000"),
            "Most sessions at a time; further ones are refused until one ends.",
        ),
        field(
            "idle_ttl",
            duration(SECOND, 168 * HOUR),
            Value("30m"),
            "A session without traffic for this long is ended.",
        ),
        field(
            "init_timeout",
            duration(100 * MS, HOUR),
            Value("30s"),
            "A session that was not initialized within this time is ended.",
        ),
    ],
    later: &[],
};

static VALIDATION: Object = Object {
    fields: &[
        field(
            "max_body",
            Kind::Size {
                min: KIB,
                max: 256 * MIB,
            },
            Value("4MiB"),
            "Largest request: HTTP body or stdio line.",
        ),
        field(
            "max_string",
            Kind::Size {
                min: 16,
                max: 256 * MIB,
            },
            Value("100KiB"),
            "Longest string in a call's arguments. At most `max_body`.",
        ),
        field(
            "max_items",
            Kind::Count {
                min: 1,
                max: 10_000_000,
            },
            Value("10000"),
            "Most items in one array, and members in one object, of a call's arguments.",
        ),
        field(
            "max_depth",
            Kind::Count { min: 1, max: 128 },
            Value("20"),
            "Deepest nesting of a call's arguments.",
        ),
        field(
            "max_output",
            Kind::Size {
                min: KIB,
                max: 1024 * MIB,
            },
            Value("10MiB"),
            "Largest result of a call.",
        ),
        field(
            "schema",
            Kind::Choice(&[word("enforce"), word("off")]),
            Value("enforce"),
            "Whether arguments are checked against the tool's input schema before the call.",
        ),
        field(
            "patterns",
            Kind::Object(&patterns::PATTERNS),
            Group,
            "Rules that look for attacks in arguments.",
        ),
        field(
            "redact",
            Kind::List {
                item: &Kind::Choice(&[word("secrets"), word("pii")]),
                may_be_empty: false,
                max: 2,
            },
            Words("nothing"),
            "What is taken out of results: `secrets` are keys, tokens and passwords, `pii` is data on persons.",
        ),
    ],
    later: &[],
};

static LOG: Object = Object {
    fields: &[
        field(
            "level",
            Kind::Choice(&[
                word("error"),
                word("warn"),
                word("info"),
                word("debug"),
                word("trace"),
            ]),
            Value("info"),
            "Least severe messages that are logged.",
        ),
        field(
            "format",
            Kind::Choice(&[word("text"), word("json")]),
            Value("text"),
            "Lines for people, or one JSON object a line.",
        ),
        field(
            "calls",
            Kind::Bool,
            Value("true"),
            "Log one record for every call.",
        ),
    ],
    later: &[],
};
