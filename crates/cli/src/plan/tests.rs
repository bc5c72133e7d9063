use std::path::Path;

use ferromcp_config::Loaded;

use super::{Known, Plan, Side, shown};

fn loaded(text: &str) -> Loaded {
    let env = |name: &str| (name == "TOKEN").then(|| "hunter2".to_owned());
    Loaded::from_yaml(text, Path::new("x.yaml"), &env).unwrap_or_else(|e| panic!("{}", e.render(false)))
}

fn plan(old: &str, new: &str) -> Plan {
    let (old, new) = (loaded(old), loaded(new));
    let side = |loaded| Side {
        loaded,
        known: Known::default(),
    };
    Plan::of(&side(&old), &side(&new)).unwrap()
}

const OLD: &str = r#"
servers:
  files: { command: npx, args: [-y, server-files, "--token=${TOKEN}"], env: { SECRET: hunter3, LEVEL: warn } }
  gone: { url: "https://gone.example/mcp", headers: { Authorization: "Bearer ${TOKEN}" } }
  same: { command: same }
tenants:
  a:
    keys: ["sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]
    tools: { allow: [echo], deny: ["files__rm"] }
    quotas: { tool_calls: 100/min, concurrent: 4 }
  b: { suspended: true, limits: { rate: 10/s } }
limits: { rate: 100/s }
validation: { max_depth: 20 }
"#;

const NEW: &str = r#"
listen: { http: 127.0.0.1:9000 }
servers:
  files: { command: npx, args: [-y, server-files@2, "--token=${TOKEN}"], env: { SECRET: hunter4, LEVEL: warn } }
  search: { url: "https://search.example/mcp?key=hunter5" }
  same: { command: same, prefix: same }
tenants:
  a:
    keys: ["sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
           "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"]
    tools: { allow: [echo, "read_*"] }
    quotas: { tool_calls: 50/min }
    acts_for: [c]
  c: {}
limits: { rate: 200/s }
builtin: { echo: false }
log: { calls: false }
"#;

#[test]
fn a_plan_names_everything_and_no_secret() {
    let plan = plan(OLD, NEW);
    let text = shown(&plan);
    let expected = r#"Servers
  ~ files  changed; restarts its child processes; its tools are not known before it runs (servers.files.args, servers.files.env.SECRET)
  - gone  removed; its tools are not known before it runs
  + search  added; its tools are not known before it runs
Tenants
  ~ a  changed
      WIDER  a key more: sha256:bbbbbbbb…
      WIDER  tools.allow has `read_*` more
      WIDER  tools.deny has `files__rm` no more
      WIDER  it may act for c
      loses tools  echo
  - b  removed
  + c  added
      WIDER  the tenant is new
Settings
    builtin.echo: true (default) -> false
    limits.rate: 100/s -> 200/s  WIDER
    servers.files.args: [-y, server-files, "--token=${TOKEN}"] -> [-y, server-files@2, "--token=${TOKEN}"]
    servers.files.env.SECRET: (not shown) -> (not shown)
    tenants.a.acts_for: [] (default) -> [c]
    tenants.a.keys: [sha256:aaaaaaaa…] -> [sha256:aaaaaaaa…, sha256:bbbbbbbb…]
    tenants.a.quotas.concurrent: 4 -> (no quota)  WIDER
    tenants.a.quotas.tool_calls: 100/min -> 50/min  narrower
    tenants.a.tools.allow: [echo] -> [echo, read_*]
    tenants.a.tools.deny: [files__rm] -> [] (default)
Refused: these need a restart
    listen.http: 127.0.0.1:8080 (default) -> 127.0.0.1:9000
    log.calls: true (default) -> false
"#;
    assert_eq!(text, expected);
    // What is written out and equals the default is no change.
    assert!(
        !text.contains("max_depth") && !text.contains("servers.same.prefix: same"),
        "{text}"
    );
    let json = plan.to_json();
    assert_eq!(json["reloadable"], false);
    assert_eq!(json["refused"], serde_json::json!(["listen.http", "log.calls"]));
    assert_eq!(json["tenants"][0]["tools_lost"], serde_json::json!(["echo"]));
    for secret in ["hunter", "aaaaaaaaaaaa"] {
        assert!(
            !text.contains(secret) && !json.to_string().contains(secret),
            "{text}"
        );
    }
}

#[test]
fn the_same_file_changes_nothing() {
    for text in ["{}", OLD, NEW] {
        let plan = plan(text, text);
        assert!(plan.is_empty() && plan.unknown.is_empty(), "{plan:?}");
        assert_eq!(shown(&plan), "Nothing changes.\n");
    }
    // Another order, other words, the same meaning.
    let one = "supervisor: { heartbeat: 5s, drain: 60s }\nvalidation: { max_body: 4096KiB }";
    let other = "supervisor: { drain: 1m }";
    assert!(plan(one, other).is_empty());
}

#[test]
fn who_comes_in_without_a_credential_is_told() {
    let keys = r#"tenants: { a: { keys: ["sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"] } }"#;
    let open = plan(keys, "{}");
    let json = open.to_json();
    assert_eq!(json["tenants"][1]["id"], "local", "{json:#}");
    assert_eq!(
        json["tenants"][1]["widened"][0],
        "callers without a credential are let in"
    );
    assert_eq!(json["tenants"][1]["tools_gained"], serde_json::json!(["echo"]));
    let closed = plan("{}", keys).to_json();
    assert_eq!(closed["tenants"][1]["change"], "removed", "{closed:#}");
    assert_eq!(closed["tenants"][1]["tools_lost"], serde_json::json!(["echo"]));
}

#[test]
fn heartbeat_and_start_timeout_concern_every_server_that_has_no_own() {
    let old = "servers: { a: { command: x }, b: { command: x, start_timeout: 5s } }";
    let start = plan(old, &format!("{old}\nsupervisor: {{ start_timeout: 9s }}"));
    let ids: Vec<&str> = start.servers.iter().map(|server| server.id.as_str()).collect();
    assert_eq!(ids, ["a"]);
    let beat = plan(old, &format!("{old}\nsupervisor: {{ heartbeat: 9s }}"));
    assert_eq!(beat.servers.len(), 2);
    assert_eq!(beat.servers[1].because, ["supervisor.heartbeat"]);
}
