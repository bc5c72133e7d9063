//! The forms that a string setting can have: what is accepted, and how it is described to people and to editors.

mod policy;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use url::Url;

pub(crate) use policy::regular_file;

use crate::interpolate::plain_io;
use crate::model::KeyHash;
use crate::scalar;

/// One form of text. Lengths are in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// One line without control characters.
    Line { max: usize },
    /// Text that may have several lines.
    Prose { max: usize },
    /// An address to listen on.
    Listen,
    /// A value of the `Host` header.
    Host,
    /// A value of the `Origin` header.
    Origin,
    /// A server id.
    Id,
    /// A tool name prefix: as a server id, or nothing.
    Prefix,
    /// A program to start.
    Command,
    /// An argument of a program.
    Argument,
    /// The value of an environment variable.
    EnvValue,
    /// The value of an HTTP header.
    HeaderValue,
    /// An absolute http or https URL.
    Url,
    /// A directory that exists.
    Directory,
    /// The name of a tool or prompt, without prefix.
    ItemName,
    /// A tool name pattern.
    Glob,
    /// A pattern on URIs.
    UriGlob,
    /// A tenant id, or `*`.
    TenantOrAll,
    /// The hash of an API key, with or without an end.
    KeyHash,
    /// The id of a pattern rule, or the beginning of ids.
    Rule,
    /// An https URL that is compared as it is written.
    Issuer,
    /// Where a JSON Web Key Set is: an https URL or a file.
    Jwks,
    /// Where an OpenAPI document is: a URL or a file.
    Document,
    /// A shared secret.
    Secret,
    /// The name of a claim, dotted when it is inside others.
    Claim,
    /// An OAuth scope.
    Scope,
    /// A rule for client certificates.
    CertificateRule,
    /// A file that exists.
    File,
    /// A directory that need not exist.
    Folder,
    /// A file that need not exist.
    NewFile,
    /// The file of a private key, or the key itself.
    KeyFile,
}

/// The forms that a mapping's keys can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyForm {
    ServerId,
    Variable,
    Header,
    TenantId,
    /// A pattern on tool names.
    Tool,
    /// The name of a tool or prompt, as its server has it.
    Item,
    /// The id of a pattern rule, or the beginning of ids.
    Rule,
}

/// A text that passed its form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Parsed {
    Text(String),
    Addr(SocketAddr),
    Url(Box<Url>),
    Path(PathBuf),
    KeyHash(KeyHash),
    /// Nested names.
    Names(Vec<String>),
    /// The text itself, and the path that it is if it is one.
    TextOrPath {
        text: String,
        path: PathBuf,
    },
}

/// What is wrong with a text; never contains the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

fn wrong<T>(message: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong {
        message: message.into(),
        hint: None,
    })
}

fn wrong_but<T>(message: impl Into<String>, hint: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong {
        message: message.into(),
        hint: Some(hint.into()),
    })
}

const MAX_TEXT: usize = 64 * 1024;

impl Form {
    /// Values of this form may hold a secret: they are never part of a message or an excerpt.
    pub(crate) fn sensitive(self) -> bool {
        matches!(
            self,
            Self::Argument
                | Self::EnvValue
                | Self::HeaderValue
                | Self::Url
                | Self::KeyHash
                | Self::Jwks
                | Self::Document
                | Self::Secret
                | Self::KeyFile
        )
    }

    /// An unquoted number is taken as the text it is written with: `args: [--port, 8080]`.
    pub(crate) fn numbers_as_written(self) -> bool {
        matches!(
            self,
            Self::Argument | Self::EnvValue | Self::HeaderValue | Self::Line { .. }
        )
    }

    pub(crate) fn describe(self) -> String {
        match self {
            Self::Line { max } => format!("one line of text, 1 to {max} bytes"),
            Self::Prose { max } => format!("text, 1 to {max} bytes"),
            Self::Listen => "HOST:PORT, as in 127.0.0.1:8080, or :8080 for all IPv4 interfaces".into(),
            Self::Host => {
                "a host name or IP address, with or without a port, as in mcp.example.com:8443".into()
            }
            Self::Origin => "an origin, as in https://app.example.com".into(),
            Self::Id => "1 to 32 of A-Z a-z 0-9 _ -, without `__` and not ending in `_`".into(),
            Self::Prefix => "as a server id, or `\"\"` for none".into(),
            Self::Command => "a program name or path".into(),
            Self::Argument | Self::EnvValue => "a string".into(),
            Self::HeaderValue => "a header value in visible ASCII".into(),
            Self::Url => "an absolute http:// or https:// URL".into(),
            Self::Directory => "the path of a directory that exists".into(),
            Self::ItemName => "1 to 64 of A-Z a-z 0-9 _ -".into(),
            Self::Glob => "a name, where `*` stands for any characters and `?` for one".into(),
            Self::UriGlob => "a URI, where `*` stands for any characters and `?` for one".into(),
            Self::TenantOrAll => "the id of a tenant, or `*` for all".into(),
            Self::KeyHash => "`sha256:` and 64 hex digits, with or without `until` and a time".into(),
            Self::Rule => {
                "the id of a pattern rule, as in pattern.sql.tautology, or its beginning, as in pattern.sql"
                    .into()
            }
            Self::Issuer => {
                "an absolute https:// URL without `?` and `#` (http:// on loopback hosts only)".into()
            }
            Self::Jwks => "an https:// URL (http:// on loopback hosts only), or the path of a file".into(),
            Self::Secret => "a secret of at least 32 bytes".into(),
            Self::Document => "an http:// or https:// URL, or the path of a file that exists".into(),
            Self::Claim => {
                "the name of a claim, as in tenant, or of one inside others, as in org.tenant".into()
            }
            Self::Scope => "an OAuth scope, as in mcp:tools".into(),
            Self::CertificateRule => {
                "`subject:`, `dns:`, `uri:` or `email:` and a pattern, as in dns:*.example.com".into()
            }
            Self::File => "the path of a file that exists".into(),
            Self::Folder => "the path of a directory".into(),
            Self::NewFile => "the path of a file".into(),
            Self::KeyFile => "the path of a file, or `${file:PATH}` for its content".into(),
        }
    }

    /// JSON Schema `pattern` for editors, where one says something.
    pub(crate) fn pattern(self) -> Option<&'static str> {
        match self {
            Self::Listen => Some("^.*:[0-9]{1,5}$"),
            Self::Id => Some("^(?!.*__)[A-Za-z0-9_-]{0,31}[A-Za-z0-9-]$"),
            Self::Prefix => Some("^$|^(?!.*__)[A-Za-z0-9_-]{0,31}[A-Za-z0-9-]$"),
            Self::Url => Some("^https?://"),
            Self::ItemName => Some("^[A-Za-z0-9_-]{1,64}$"),
            Self::Origin => Some("^[a-z][a-z0-9+.-]*://[^/]+$"),
            Self::TenantOrAll => Some(r"^(\*|[a-z0-9][a-z0-9._-]{0,63})$"),
            Self::KeyHash => Some("^sha256:[0-9A-Fa-f]{64}( until [0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z)?$"),
            Self::Rule => Some(r"^pattern(\.[a-z0-9_-]+)+$"),
            Self::Issuer => Some("^https?://[^?#]+$"),
            Self::CertificateRule => Some("^(subject|dns|uri|email):.+$"),
            Self::Scope => Some(r"^[!#-\[\]-~]+$"),
            _ => None,
        }
    }

    pub(crate) fn parse(self, text: &str, base: &Path) -> Result<Parsed, Wrong> {
        if text.contains('\0') {
            return wrong("the text contains a NUL character");
        }
        let max = match self {
            Self::Line { max } | Self::Prose { max } => max,
            Self::Argument | Self::EnvValue | Self::KeyFile | Self::Secret => MAX_TEXT,
            Self::HeaderValue | Self::Url | Self::Document => 8 * 1024,
            _ => 4 * 1024,
        };
        if text.len() > max {
            return wrong(format!("the text is {} bytes long, more than {max}", text.len()));
        }
        if text.is_empty()
            && !matches!(
                self,
                Self::Argument | Self::EnvValue | Self::HeaderValue | Self::Prefix
            )
        {
            return wrong("the text is empty");
        }
        let one_line = !matches!(
            self,
            Self::Prose { .. } | Self::Argument | Self::EnvValue | Self::KeyFile | Self::Secret
        );
        if one_line && text.chars().any(char::is_control) {
            return wrong("the text contains a line break or another control character");
        }
        match self {
            Self::Line { .. } | Self::Prose { .. } | Self::Argument | Self::EnvValue | Self::Secret => {
                Ok(Parsed::Text(text.into()))
            }
            Self::Listen => match scalar::parse_listen_addr(text) {
                Ok(addr) => Ok(Parsed::Addr(addr)),
                Err(hint) => wrong_but("this is not an address to listen on", hint),
            },
            Self::Host => host(text).map(Parsed::Text),
            Self::Origin => origin(text).map(Parsed::Text),
            Self::Id => identifier(text).map(|()| Parsed::Text(text.into())),
            Self::Prefix if text.is_empty() => Ok(Parsed::Text(String::new())),
            Self::Prefix => identifier(text).map(|()| Parsed::Text(text.into())),
            Self::Command => command(text, base).map(Parsed::Text),
            Self::HeaderValue => header_value(text).map(|()| Parsed::Text(text.into())),
            Self::Url => upstream_url(text).map(|url| Parsed::Url(Box::new(url))),
            Self::Directory => directory(text, base).map(Parsed::Path),
            Self::ItemName => policy::item_name(text).map(|()| Parsed::Text(text.into())),
            Self::Glob => glob(text).map(|()| Parsed::Text(text.into())),
            Self::UriGlob => policy::uri_glob(text).map(|()| Parsed::Text(text.into())),
            Self::TenantOrAll if text == "*" => Ok(Parsed::Text(text.into())),
            Self::TenantOrAll => policy::tenant_id(text).map(|()| Parsed::Text(text.into())),
            Self::KeyHash => policy::key_hash(text).map(Parsed::KeyHash),
            Self::Rule => policy::rule_id(text).map(|()| Parsed::Text(text.into())),
            Self::Issuer => policy::issuer(text).map(|()| Parsed::Text(text.into())),
            Self::Jwks => policy::jwks(text, base),
            Self::Document if text.contains("://") => {
                upstream_url(text).map(|url| Parsed::Url(Box::new(url)))
            }
            Self::Document => policy::file(text, base).map(Parsed::Path),
            Self::Claim => policy::claim(text).map(Parsed::Names),
            Self::Scope => policy::scope(text).map(|()| Parsed::Text(text.into())),
            Self::CertificateRule => match ferromcp_tenancy::check_certificate_rule(text) {
                Ok(()) => Ok(Parsed::Text(text.into())),
                Err(hint) => wrong_but("this is not a rule for client certificates", hint),
            },
            Self::File => policy::file(text, base).map(Parsed::Path),
            Self::Folder => policy::folder(text, base).map(Parsed::Path),
            Self::NewFile => policy::new_file(text, base).map(Parsed::Path),
            Self::KeyFile => Ok(policy::key_file(text, base)),
        }
    }
}

impl KeyForm {
    pub(crate) fn check(self, key: &str) -> Result<(), Wrong> {
        match self {
            Self::ServerId => identifier(key),
            Self::Variable
                if key.is_empty() || key.len() > 256 || key.contains('=') || !looks_like_name(key) =>
            {
                wrong("not a name for an environment variable")
            }
            Self::Variable => Ok(()),
            Self::Header => header_name(key),
            Self::TenantId if key.is_empty() => wrong("the tenant id is empty"),
            Self::TenantId => policy::tenant_id(key),
            Self::Item if key.is_empty() || key.chars().count() > 256 => {
                wrong("not a name: it has no characters, or more than 256")
            }
            Self::Item => Ok(()),
            Self::Tool if key.is_empty() => wrong("the pattern is empty"),
            Self::Tool => glob(key),
            Self::Rule => policy::rule_id(key),
        }
    }

    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::ServerId => "an id of 1 to 32 of A-Z a-z 0-9 _ -, without `__` and not ending in `_`",
            Self::Variable => "the name of an environment variable",
            Self::Header => "the name of an HTTP header that FerroMCP does not set itself",
            Self::TenantId => "a tenant id of 1 to 64 of a-z 0-9 . _ -, beginning with a letter or digit",
            Self::Item => "the name that the server gives it, without prefix",
            Self::Tool => "a tool name, where `*` stands for any characters and `?` for one",
            Self::Rule => {
                "the id of a pattern rule, as in pattern.sql.tautology, or its beginning, as in pattern.sql"
            }
        }
    }

    /// What stands for the key in the path of a setting.
    pub(crate) fn placeholder(self) -> &'static str {
        match self {
            Self::ServerId => "ID",
            Self::TenantId => "TENANT",
            Self::Tool => "TOOL",
            Self::Variable | Self::Header | Self::Item => "NAME",
            Self::Rule => "RULE",
        }
    }

    /// JSON Schema pattern of the key.
    pub(crate) fn pattern(self) -> &'static str {
        match self {
            Self::ServerId => "^(?!.*__)[A-Za-z0-9_-]{0,31}[A-Za-z0-9-]$",
            Self::Variable => r#"^[^=:{}\[\]"'\\]+$"#,
            Self::Header => "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$",
            Self::TenantId => "^[a-z0-9][a-z0-9._-]{0,63}$",
            Self::Item => r"^.{1,256}$",
            Self::Tool => r"^[^\s\[\]{}\\]{1,128}$",
            Self::Rule => r"^pattern(\.[a-z0-9_-]+)+$",
        }
    }
}

/// What any key of the file must look like.
pub(crate) fn looks_like_name(key: &str) -> bool {
    !key.contains(|c: char| c.is_control() || "{}[]:\"'\\".contains(c))
}

/// The rule for ids: tool names are `PREFIX__TOOL`, so the first `__` must be the one between the two.
fn identifier(text: &str) -> Result<(), Wrong> {
    if text.len() > 32 {
        return wrong("the id is longer than 32 characters");
    }
    if text.is_empty()
        || !text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
    {
        return wrong("the id has characters other than A-Z a-z 0-9 _ -");
    }
    if text.contains("__") || text.ends_with('_') {
        return wrong_but(
            "the id contains `__` or ends in `_`",
            "`__` separates the prefix from the tool's name: use a single `_` or `-` inside the id",
        );
    }
    Ok(())
}

fn host(text: &str) -> Result<String, Wrong> {
    if text.contains('*') {
        return wrong_but(
            "wildcards are not accepted here",
            "list every host name: the check protects against DNS rebinding",
        );
    }
    if text.contains("://") || text.contains(['/', '@', '?', '#', ' ']) {
        return wrong_but(
            "this is not a host",
            "write only the host and, if it is not the scheme's own, the port: mcp.example.com:8443",
        );
    }
    // Under a scheme without a default port the port stays as it is written.
    match Url::parse(&format!("ws-host://{text}")) {
        Ok(url) if url.host_str().is_some_and(|h| !h.is_empty()) => {
            let host = url.host_str().unwrap_or_default().to_lowercase();
            if text.ends_with(':') {
                return wrong("the port is missing after `:`");
            }
            if url::Host::parse(&host).is_err() {
                return wrong("this is not a host name or IP address (write IPv6 in brackets)");
            }
            Ok(url
                .port()
                .map_or_else(|| host.clone(), |port| format!("{host}:{port}")))
        }
        _ => wrong("this is not a host name or IP address (write IPv6 in brackets)"),
    }
}

fn origin(text: &str) -> Result<String, Wrong> {
    if text.contains('*') || text == "null" {
        return wrong_but(
            "neither wildcards nor `null` are accepted here",
            "list every origin: the check protects against DNS rebinding",
        );
    }
    let hint = "write scheme, host and port only, as in https://app.example.com or http://localhost:3000";
    match Url::parse(text) {
        Ok(url) if url.host_str().is_some_and(|h| !h.is_empty()) => {
            let bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
            if !bare || text.ends_with('/') || !url.username().is_empty() || url.password().is_some() {
                return wrong_but("an origin has no path, query or user", hint);
            }
            Ok(url.as_str().trim_end_matches('/').to_lowercase())
        }
        _ => wrong_but("this is not an origin", hint),
    }
}

/// A path with a separator is relative to the config file; a bare name is looked up in `PATH` at the start.
fn command(text: &str, base: &Path) -> Result<String, Wrong> {
    let bare = !text.contains(std::path::is_separator);
    if bare && text.split_whitespace().count() > 1 {
        return wrong_but(
            "the command contains spaces",
            "put the program in `command` and its arguments in `args`",
        );
    }
    if bare || Path::new(text).is_absolute() {
        return Ok(text.to_owned());
    }
    match base.join(text).into_os_string().into_string() {
        Ok(path) => Ok(path),
        Err(_) => {
            wrong("the path of the config file is not UTF-8, so a command relative to it cannot be named")
        }
    }
}

fn directory(text: &str, base: &Path) -> Result<PathBuf, Wrong> {
    let path = base.join(text);
    match std::fs::metadata(&path) {
        Ok(kind) if kind.is_dir() => Ok(path),
        Ok(_) => wrong("the path is not a directory"),
        Err(error) => wrong_but(
            format!("the directory cannot be used: {}", plain_io(&error)),
            "create it, or correct the path (it is relative to the config file)",
        ),
    }
}

fn upstream_url(text: &str) -> Result<Url, Wrong> {
    let url = match Url::parse(text) {
        Ok(url) => url,
        Err(error) => return wrong(format!("this is not a URL: {error}")),
    };
    if !matches!(url.scheme(), "http" | "https") {
        return wrong("the URL does not start with http:// or https://");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return wrong_but(
            "the URL contains a user name or password",
            "send credentials with `headers`, as in Authorization: \"Bearer ${TOKEN}\"",
        );
    }
    if url.fragment().is_some() {
        return wrong("the URL has a `#` part, which is never sent");
    }
    Ok(url)
}

fn header_name(name: &str) -> Result<(), Wrong> {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || name.len() > 256 || !name.bytes().all(token) {
        return wrong("not a name for an HTTP header");
    }
    let lower = name.to_ascii_lowercase();
    let ours = [
        "accept",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "keep-alive",
        "last-event-id",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    if ours.contains(&lower.as_str()) || lower.starts_with("mcp-") {
        return wrong_but("FerroMCP sets this header itself", "remove it");
    }
    Ok(())
}

fn header_value(text: &str) -> Result<(), Wrong> {
    if !text.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) {
        return wrong("the header value has characters other than visible ASCII");
    }
    if text.starts_with(' ') || text.ends_with(' ') {
        return wrong("the header value begins or ends with a space");
    }
    Ok(())
}

fn glob(text: &str) -> Result<(), Wrong> {
    if text.len() > 128 {
        return wrong("the pattern is longer than 128 characters");
    }
    if text.contains(['[', ']', '{', '}', '\\']) || text.contains(char::is_whitespace) {
        return wrong_but(
            "the pattern has signs without a meaning here",
            "only `*` and `?` are special; list several patterns for alternatives",
        );
    }
    Ok(())
}
