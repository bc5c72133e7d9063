//! The table of settings as a page of the documentation.

use std::fmt::Write as _;

use crate::changes::{Reload, reload_of};
use crate::scalar::{show_duration, show_size};
use crate::settings::ROOT;
use crate::spec::{Absent, Kind, Later, Object};

/// The example of the reference page: every kind of entry once. A test validates it.
pub(crate) const EXAMPLE: &str = r#"listen:
  http: 127.0.0.1:8080
  allowed_hosts: [mcp.example.com]
  allowed_origins: ["https://app.example.com"]

servers:
  files: # a program to start; fields as in the mcpServers block of MCP hosts
    command: npx
    args: [-y, "@modelcontextprotocol/server-filesystem", .]
    env: { LOG_LEVEL: warn }
    timeout: 1m
    tools: { deny: ["delete_*"] }
  search: # a server that runs elsewhere
    url: https://search.example.com/mcp
    headers: { Authorization: "Bearer ${SEARCH_TOKEN}" }
    prefix: web

builtin:
  files: { roots: [./data], write: true }

tenants:
  company-a:
    name: Company A
    keys: # hashes; two for the time of a rotation
      - "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
      - "sha256:60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752 until 2027-01-31T00:00:00Z"
    tools: { allow: ["read_*", "web__*"], deny: [web__buy] }
    quotas: { tool_calls: 1000/min, bytes: 10MiB/h, batch_size: 50, concurrent: 10 }
    limits: { rate: 100/s, burst: 200 }
  back-office:
    acts_for: [company-a]
    resources: { allow: [] } # none

auth:
  jwt:
    issuer: https://login.example.com
    audience: https://mcp.example.com/mcp
    jwks: https://login.example.com/.well-known/jwks.json
    tenant_claim: org.tenant
    scopes: ["mcp:tools"]
  resource: https://mcp.example.com/mcp

limits:
  rate: 100/s
  burst: 200
  global: { rate: 5000/s }
  tools: { "web__*": { rate: 10/min, burst: 2 } }

validation:
  max_body: 1MiB
  max_depth: 16
  patterns:
    rules: { pattern.shell: flag, pattern.sql.tautology: off }
    exempt: [{ tool: write_file, field: content, rules: [pattern.script] }]
  redact: [secrets]

lock:
  file: mcp.lock # `ferromcp lock` writes it

audit:
  file: ./audit # a directory
  arguments: store
  keep: { age: 90d, size: 10GiB }

admin:
  keys: ["sha256:c1f9dab0ed3b4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6"] # `ferromcp keys new --admin`
  store: ./state # a directory

supervisor: { default_timeout: 30s, max_timeout: 10m }
sessions: { max: 1000, idle_ttl: 15m }
log: { level: info, format: json }
"#;

const INTRODUCTION: &str = "# Configuration reference

<!-- Generated from the table of settings in crates/config/src/settings.rs: change it there, then run `cargo xtask gen`. -->

FerroMCP reads one YAML file, by custom `ferromcp.yaml`. Every setting has a default: without a file, `ferromcp serve`
offers the built-in tools on 127.0.0.1:8080. `ferromcp check FILE` reports every mistake of a file at once, with line and
column; `ferromcp schema` prints a JSON Schema for completion in editors; `ferromcp import FILE` converts the JSON file
of another MCP host.

```yaml
";

const RULES: &str = "```

## Rules of the file

- **Nothing is ignored.** Unknown keys, duplicate keys, wrong types and settings that would have no effect are errors.
- **Paths** are relative to the directory of the file.
- **Durations** are a whole number and `ms`, `s`, `m`, `h` or `d`: `500ms`, `30s`, `5m`, `1h`, `1d`.
- **Sizes** are a whole number and `B`, `KB`, `MB`, `GB`, `TB` (powers of 1000) or `KiB`, `MiB`, `GiB`, `TiB` (powers of
  1024): `4MiB`.
- **Rates** are a number, or a size, per `s`, `min` (or `m`), `h`, `day` (or `d`): `100/s`, `1000/min`, `100/10s`,
  `10MiB/h`, `1GiB/7d`.
- **API keys** stand in the file only as hashes, in the line that `ferromcp keys new TENANT` prints:
  `sha256:<64 hex digits>`, or with an end `sha256:<64 hex digits> until 2027-01-31T00:00:00Z`.
- **Patterns** on names and URIs: `*` is any text, `?` one character, all else itself. Where both allow and deny match,
  deny wins.
- **References** work in every value, not in keys: `${NAME}` is an environment variable, `${file:PATH}` the content of a
  text file (at most 64 KiB, without the line break at its end), `$${` a literal `${`. A variable that is not set is an
  error. Inside `{ }` and `[ ]`, YAML needs quotes around a reference: `{ TOKEN: \"${TOKEN}\" }`.
- **Secrets** do not appear in errors or logs: values of `env` and `headers`, hashes of API keys, `auth.jwt.secret`, and
  whatever a reference stands for, are never printed.
- The file is UTF-8, one YAML document, at most 4 MiB, at most 32 levels deep. Anchors and aliases work; merge keys
  (`<<`) and tags (`!name`) do not.
- A number without quotes in `args`, `env` and `headers` is passed on as it is written.

The column *Reload* says what a reload makes of a setting that changed: `yes`, it is in force from the next call on; `workers`, it is
in force with new workers of the servers that it concerns, and the old ones finish their calls; `restart`, it needs a restart, and
a reload that would change it is refused. `ferromcp plan` says it of two files; see [reload.md](reload.md).
";

const LATER: &str = "
## Not supported by this version

These keys are part of FerroMCP's design. This version refuses them, so that nobody relies on what does not happen.

| Key | For now |
|---|---|
";

/// The reference page of the configuration, in Markdown. The same text on every call.
pub fn reference_markdown() -> String {
    let mut out = String::from(INTRODUCTION);
    out.push_str(EXAMPLE);
    out.push_str(RULES);
    let mut later = Vec::new();
    section(&mut out, "", &ROOT, &mut later);
    out.push_str(LATER);
    for (path, key) in later {
        let _ = writeln!(out, "| `{path}` | {} |", cell(key.hint));
    }
    out
}

fn section(out: &mut String, path: &str, object: &'static Object, later: &mut Vec<(String, &'static Later)>) {
    let title = if path.is_empty() {
        "Top level".to_owned()
    } else {
        format!("`{path}`")
    };
    let _ = write!(
        out,
        "\n## {title}\n\n| Key | Value | Default | Reload | Meaning |\n|---|---|---|---|---|\n"
    );
    for field in object.fields {
        let default = match field.default {
            Absent::Value(yaml) => format!("`{yaml}`"),
            Absent::Words(words) => words.to_owned(),
            Absent::Group => String::new(),
            Absent::Required => "required".into(),
        };
        let value = cell(&describe(&field.kind));
        let _ = writeln!(
            out,
            "| `{}` | {value} | {} | {} | {} |",
            field.key,
            cell(&default),
            reload(&field.kind, &join(path, field.key)),
            cell(field.doc)
        );
    }
    for field in object.fields {
        let path = join(path, field.key);
        match &field.kind {
            Kind::Object(inner) => section(out, &path, inner, later),
            Kind::Table {
                key,
                item: Kind::Object(inner),
                ..
            } => section(out, &join(&path, key.placeholder()), inner, later),
            Kind::List {
                item: Kind::Object(inner),
                ..
            } => section(out, &format!("{path}[]"), inner, later),
            _ => {}
        }
    }
    later.extend(object.later.iter().map(|l| (join(path, l.key), l)));
}

/// Blocks have settings of their own, each with its own answer.
fn reload(kind: &Kind, path: &str) -> &'static str {
    let block = matches!(
        kind,
        Kind::Object(_)
            | Kind::Table {
                item: Kind::Object(_),
                ..
            }
    );
    match reload_of(&path.replace("[]", "")) {
        _ if block => "by field",
        Reload::Live => "yes",
        Reload::Workers => "workers",
        Reload::Restart => "restart",
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// A cell of a table must not contain the sign that ends it.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn describe(kind: &Kind) -> String {
    match kind {
        Kind::Bool => "`true` or `false`".into(),
        Kind::Choice(choices) => {
            let words: Vec<_> = choices
                .iter()
                .filter(|c| c.refused.is_none())
                .map(|c| format!("`{}`", c.word))
                .collect();
            words.join(", ")
        }
        Kind::Duration { min, max } => {
            format!("duration, {} to {}", show_duration(*min), show_duration(*max))
        }
        Kind::Size { min, max } => format!("size, {} to {}", show_size(*min), show_size(*max)),
        Kind::Count { min, max } => format!("number, {min} to {max}"),
        Kind::Rate { max, max_per } => format!("rate, 1 to {max} in 1s to {}", show_duration(*max_per)),
        Kind::ByteRate { max, max_per } => format!(
            "rate of bytes, 1B to {} in 1s to {}",
            show_size(*max),
            show_duration(*max_per)
        ),
        Kind::Text(form) => form.describe(),
        Kind::OneOrMore { item, max } => format!("{}; or a list of 1 to {max} such", describe(item)),
        Kind::List {
            item,
            may_be_empty,
            max,
        } => {
            let from = if *may_be_empty { 0 } else { 1 };
            match item {
                Kind::Object(_) => format!("list of {from} to {max} mappings, see below"),
                item => format!("list of {from} to {max}: {}", describe(item)),
            }
        }
        Kind::Table { key, item, max } => match item {
            Kind::Object(_) => format!("mapping of up to {max}, see below; keys: {}", key.describe()),
            item => format!(
                "mapping of up to {max}; keys: {}; values: {}",
                key.describe(),
                describe(item)
            ),
        },
        Kind::Object(_) => "settings, see below".into(),
    }
}
