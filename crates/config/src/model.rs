//! The validated configuration: plain data, every field in its final type, every bound already checked.

mod admin;
mod audit;
mod limits;
mod openapi;
mod patterns;
mod tenants;
mod tls;
mod upstream_http;
mod workers;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use crate::secret::Secret;

pub use admin::Admin;
pub use audit::{Audit, AuditLog, AuditOtlp, Keep, OnError, OnFull, SignKey};
pub use limits::{ByteRate, Limits, Quotas, Rate};
pub use openapi::{DocumentSource, Grpc, OpenApi};
pub use patterns::{OutputRedaction, PatternAction, PatternExemption, Patterns};
pub use tenants::{AccessList, ActsFor, Anonymous, Auth, Jwt, JwtAlgorithm, JwtKeys, KeyHash, Tenant};
pub use tls::Tls;
pub use upstream_http::{AssertionSource, OAuth, OAuthMethod, UpstreamTls};
pub use workers::{Effect, PoolSettings, ResourceLimits, Sharing};

/// A whole configuration. [`Config::default`] is what an empty file means.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Config {
    /// Where clients connect.
    pub listen: Listen,
    /// How the server introduces itself.
    pub server: Identity,
    /// Upstream servers in the order of the file, without the disabled ones. Ids and prefixes are unique.
    pub servers: Vec<Upstream>,
    /// Ids of the servers that the file disables, for display.
    pub disabled_servers: Vec<String>,
    /// The built-in tools.
    pub builtin: Builtin,
    /// Deadlines.
    pub supervisor: Supervisor,
    /// Limits on sessions of the legacy era over HTTP.
    pub sessions: Sessions,
    /// Limits on requests and results.
    pub validation: Validation,
    /// What is logged.
    pub log: Log,
    /// Tenants in the order of the file. Ids are unique.
    pub tenants: Vec<Tenant>,
    /// How callers prove who they are.
    pub auth: Auth,
    /// Rates.
    pub limits: Limits,
    /// Definitions that somebody has looked at; `None` (the default) when no file is configured.
    pub lock: Option<Lock>,
    /// What is kept of every call.
    pub audit: Audit,
    /// The admin API; default none.
    pub admin: Option<Admin>,
}

/// `lock`, with its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// The lock file, resolved against the config file. Need not exist.
    pub file: PathBuf,
    /// A definition that is not the locked one; default quarantine.
    pub on_drift: OnUnlocked,
    /// An item that is not in the lock; default quarantine.
    pub on_new: OnUnlocked,
}

/// What becomes of an item that is not as locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnUnlocked {
    /// Neither listed nor callable.
    #[default]
    Quarantine,
    /// Offered, with a warning in the log.
    Warn,
    /// Offered.
    Allow,
}

impl Config {
    /// Whether every caller needs a credential: nobody is let in as the local tenant. So it is with API keys, `auth.jwt` or
    /// client certificates of tenants, unless `auth.anonymous` says otherwise, and where nobody connects without a client
    /// certificate; without it, only a loopback address is safe to listen on.
    pub fn authenticates(&self) -> bool {
        self.auth.anonymous == Anonymous::Refuse
            || self.listen.tls.as_ref().is_some_and(|tls| tls.client_required)
    }
}

/// `listen`: where clients connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// Address of the HTTP doors; default 127.0.0.1:8080. Port 0 lets the system choose.
    pub http: SocketAddr,
    /// Address of the gRPC door; `None`: there is none.
    pub grpc: Option<SocketAddr>,
    /// `Host` values accepted besides loopback names: lower case, `host` (any port) or `host:port`.
    pub allowed_hosts: Vec<String>,
    /// `Origin` values accepted besides loopback ones: lower case, `scheme://host[:port]`, default ports left out.
    pub allowed_origins: Vec<String>,
    /// Serve HTTPS; `None`: plain HTTP.
    pub tls: Option<Tls>,
}

/// `server`: what `serverInfo` says; absent parts are the product's own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Identity {
    /// Name for programs.
    pub name: Option<String>,
    /// Name for people.
    pub title: Option<String>,
    /// Version of the offer.
    pub version: Option<String>,
    /// Text for models.
    pub instructions: Option<String>,
}

/// One entry of `servers` that is in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// Key in the file: 1 to 32 of `A-Z a-z 0-9 _ -`, no `__`.
    pub id: String,
    /// Tools are named `PREFIX__TOOL`; the id unless set, same rule, unique.
    pub prefix: String,
    /// How to reach it.
    pub transport: Transport,
    /// Deadline of a call without progress; at most `supervisor.max_timeout`. `None`: `supervisor.default_timeout`.
    pub timeout: Option<Duration>,
    /// Time to answer `initialize`. `None`: `supervisor.start_timeout`.
    pub start_timeout: Option<Duration>,
    /// Protocol era to speak.
    pub era: Era,
    /// Which tools are offered.
    pub tools: ToolFilter,
    /// What tools change, by their own names.
    pub effects: Vec<(String, Effect)>,
    /// Its workers.
    pub pool: PoolSettings,
    /// Changes of tools by their own names, each name once. No two of them give the same name.
    pub tool_overrides: Vec<(String, Override)>,
    /// The same for prompts.
    pub prompt_overrides: Vec<(String, Override)>,
}

/// What is changed about a tool or prompt.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Override {
    /// Name instead of its own, still after the prefix: 1 to 64 of `A-Z a-z 0-9 _ -`.
    pub name: Option<String>,
    /// Name for people.
    pub title: Option<String>,
    /// Text for models.
    pub description: Option<String>,
    /// Neither listed nor callable. Excludes the others.
    pub hidden: bool,
}

/// How to reach an upstream server.
#[derive(Clone, PartialEq, Eq)]
pub enum Transport {
    /// A child process that speaks MCP on its stdin and stdout.
    Stdio(Command),
    /// A Streamable HTTP endpoint.
    Http(Endpoint),
    /// An HTTP API that a document describes.
    OpenApi(Box<OpenApi>),
    /// A gRPC server.
    Grpc(Box<Grpc>),
}

/// A program to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// A bare name for `PATH`, or a path that needs no further resolving.
    pub command: String,
    /// Arguments. They print as written in the file, `${NAME}` unresolved.
    pub args: Vec<Secret>,
    /// Environment variables, in the order of the file.
    pub env: Vec<(String, Secret)>,
    /// Working directory, resolved against the config file and existing when it was read.
    pub cwd: Option<PathBuf>,
    /// What its processes may use.
    pub limits: ResourceLimits,
}

/// An HTTP endpoint.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Absolute http or https URL without user, password and fragment. May contain a secret: print `shown` instead.
    pub url: Url,
    /// The URL for logs: references unresolved, and without the query.
    pub shown: String,
    /// It only has HTTP+SSE, the transport of 2024-11-05.
    pub sse: bool,
    /// Certificates.
    pub tls: UpstreamTls,
    /// How to get access tokens.
    pub oauth: Option<Box<OAuth>>,
    /// Headers to send with every request; names are valid and unique without regard to case, values are visible ASCII.
    pub headers: Vec<(String, Secret)>,
}

/// Protocol era of an upstream server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Era {
    /// Probe for it.
    #[default]
    Auto,
    /// Revisions up to 2025-11-25, with `initialize`.
    Legacy,
    /// Revisions from 2026-07-28 on.
    Modern,
}

/// Patterns on a server's own tool names (without prefix).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ToolFilter {
    /// Only these; `None` means all.
    pub allow: Option<Vec<String>>,
    /// Not these, even if allowed.
    pub deny: Vec<String>,
}

/// `builtin`: the built-in tools.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Builtin {
    /// Offer `echo`; default true.
    pub echo: bool,
    /// Offer `batch_call`; default false.
    pub batch: bool,
    /// The file tools; `None` (the default) when no roots are configured.
    pub files: Option<Files>,
}

/// `builtin.files`, with at least one root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// Directories, resolved against the config file and existing when it was read. Never empty.
    pub roots: Vec<PathBuf>,
    /// Offer `write_file`; default false.
    pub write: bool,
    /// Offer `delete_file`; default false.
    pub delete: bool,
    /// Most bytes one `read_file` returns; default 1 MiB.
    pub max_read: u64,
}

/// `supervisor`: deadlines, and the workers of all servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Supervisor {
    /// Deadline of a call without progress; default 30 s, never above `max_timeout`.
    pub default_timeout: Duration,
    /// Absolute deadline of a call; default 10 min.
    pub max_timeout: Duration,
    /// Time for an upstream server to answer `initialize`; default 30 s.
    pub start_timeout: Duration,
    /// Time for calls in flight at shutdown; default 30 s, zero ends them at once.
    pub drain: Duration,
    /// Most child processes of all servers; default 100.
    pub max_workers: usize,
    /// Silence after which a worker is asked for a sign of life; default 5 s, `None` (`0s`) never asks.
    pub heartbeat: Option<Duration>,
}

/// `sessions`: limits on legacy HTTP sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sessions {
    /// Most sessions at a time; default 10,000.
    pub max: usize,
    /// Idle time after which a session ends; default 30 min.
    pub idle_ttl: Duration,
    /// Time within which a session must be initialized; default 30 s.
    pub init_timeout: Duration,
}

/// `validation`: limits on requests and results. All sizes in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validation {
    /// Largest request; default 4 MiB.
    pub max_body: usize,
    /// Longest string in arguments; default 100 KiB.
    pub max_string: usize,
    /// Most items of an array or members of an object; default 10,000.
    pub max_items: usize,
    /// Deepest nesting; default 20.
    pub max_depth: usize,
    /// Largest result; default 10 MiB.
    pub max_output: usize,
    /// Check arguments against the input schema; default true (`enforce`).
    pub enforce_schema: bool,
    /// What the pattern rules do.
    pub patterns: Patterns,
    /// What is taken out of results; default nothing.
    pub redact: OutputRedaction,
}

/// `log`: what goes to stderr.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// Least severe level; default info.
    pub level: LogLevel,
    /// Form of a line; default text.
    pub format: LogFormat,
    /// One record for every call; default true.
    pub calls: bool,
}

/// Severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum LogLevel {
    /// Errors only.
    Error,
    /// And warnings.
    Warn,
    /// And what an operator wants to know.
    #[default]
    Info,
    /// And what a developer wants to know.
    Debug,
    /// Everything.
    Trace,
}

/// Form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            http: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            grpc: None,
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            tls: None,
        }
    }
}

impl Default for Builtin {
    fn default() -> Self {
        Self {
            echo: true,
            batch: false,
            files: None,
        }
    }
}

impl Files {
    /// `max_read` of a config that does not set it: 1 MiB.
    pub const DEFAULT_MAX_READ: u64 = 1 << 20;
}

impl Default for Supervisor {
    fn default() -> Self {
        Self {
            default_timeout: Duration::from_secs(30),
            max_timeout: Duration::from_secs(600),
            start_timeout: Duration::from_secs(30),
            drain: Duration::from_secs(30),
            max_workers: 100,
            heartbeat: Some(Duration::from_secs(5)),
        }
    }
}

impl Default for Sessions {
    fn default() -> Self {
        Self {
            max: 10_000,
            idle_ttl: Duration::from_secs(1800),
            init_timeout: Duration::from_secs(30),
        }
    }
}

impl Default for Validation {
    fn default() -> Self {
        Self {
            max_body: 4 << 20,
            max_string: 100 << 10,
            max_items: 10_000,
            max_depth: 20,
            max_output: 10 << 20,
            enforce_schema: true,
            patterns: Patterns::default(),
            redact: OutputRedaction::default(),
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            level: LogLevel::Info,
            format: LogFormat::Text,
            calls: true,
        }
    }
}

impl LogLevel {
    /// The word of the config file: `error`, `warn`, `info`, `debug`, `trace`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

impl ToolFilter {
    /// Whether the tool with this own name (without prefix) is offered.
    pub fn admits(&self, tool: &str) -> bool {
        let any = |patterns: &[String]| {
            patterns
                .iter()
                .any(|p| glob_matches(p.as_bytes(), tool.as_bytes()))
        };
        self.allow.as_deref().is_none_or(any) && !any(&self.deny)
    }
}

/// `*` is any run of bytes, `?` one character. Linear in space, at most pattern x name steps.
fn glob_matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    // Where to resume when the part after the last `*` does not fit: give that `*` one more byte.
    let mut retry: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p + 1, n));
                p += 1;
            }
            Some(b'?') => {
                n += 1;
                while name.get(n).is_some_and(|b| b & 0xc0 == 0x80) {
                    n += 1;
                }
                p += 1;
            }
            Some(b) if *b == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match retry {
                Some((after, from)) => {
                    retry = Some((after, from + 1));
                    p = after;
                    n = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|b| *b == b'*')
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stdio(command) => command.fmt(f),
            Self::Http(endpoint) => endpoint.fmt(f),
            Self::OpenApi(api) => api.fmt(f),
            Self::Grpc(server) => server.fmt(f),
        }
    }
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint")
            .field("url", &self.shown)
            .field("sse", &self.sse)
            .field("tls", &self.tls)
            .field("oauth", &self.oauth)
            .field("headers", &self.headers)
            .finish()
    }
}
