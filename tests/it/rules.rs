//! Every rule that can refuse a call is in the table that all doors are tested with, or it is said where else it is tested,
//! or why it cannot be. A rule that is added to the sources and to nothing here fails this test.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The rules of the table in `parity.rs`, which checks that it has these and no others.
pub(crate) const IN_THE_TABLE: &[&str] = &[
    "acl.tool.default",
    "acl.tool.deny",
    "limit.depth",
    "limit.items",
    "limit.rate.client",
    "limit.rate.tenant",
    "limit.rate.tool",
    "limit.string",
    "pattern.path.traversal",
    "quota.bytes",
    "quota.tool_calls",
    "schema.arguments",
];

/// Rules with their file and what names them there.
const ELSEWHERE: &[(&str, &str, &str)] = &[
    // Credentials: stdio has none, its tenant is given at the start. The three ways over HTTP are tested alike.
    ("auth.missing", "tests/it/parity.rs", ""),
    ("auth.key.unknown", "tests/it/parity.rs", ""),
    ("auth.tenant.suspended", "tests/it/parity.rs", ""),
    ("auth.tenant.unknown", "tests/it/parity.rs", ""),
    ("auth.tenant.act_for", "tests/it/parity.rs", ""),
    ("auth.scope", "tests/it/tokens.rs", ""),
    ("auth.jwt.algorithm", "tests/it/tokens.rs", ""),
    ("auth.jwt.audience", "tests/it/tokens.rs", ""),
    ("auth.jwt.expired", "tests/it/tokens.rs", ""),
    ("auth.jwt.issuer", "tests/it/tokens.rs", ""),
    ("auth.jwt.signature", "tests/it/tokens.rs", ""),
    ("auth.jwt.unknown_key", "tests/it/tokens.rs", ""),
    // The same check of the same token as those above, before any door is concerned.
    (
        "auth.jwt.malformed",
        "crates/tenancy/src/jwt/tests/attacks.rs",
        "",
    ),
    ("auth.jwt.no_tenant", "crates/tenancy/src/jwt/tests.rs", ""),
    ("auth.jwt.not_yet", "crates/tenancy/src/jwt/tests.rs", ""),
    (
        "auth.key.expired",
        "crates/tenancy/src/directory/tests.rs",
        "Rule::KeyExpired",
    ),
    // Certificates: only HTTP has them.
    (
        "auth.certificate.unknown",
        "crates/adapter-http/tests/http/tls.rs",
        "",
    ),
    (
        "auth.certificate.ambiguous",
        "crates/adapter-http/tests/http/tls.rs",
        "",
    ),
    (
        "auth.certificate.expired",
        "crates/adapter-http/tests/http/tls.rs",
        "",
    ),
    // Resources and prompts have no REST door.
    ("acl.resource.default", "crates/tenancy/src/acl/tests.rs", ""),
    ("acl.resource.deny", "crates/tenancy/src/acl/tests.rs", ""),
    ("acl.resource.form", "crates/tenancy/src/acl/tests.rs", ""),
    ("acl.prompt.default", "crates/tenancy/src/acl/tests.rs", ""),
    // Needs calls at the same time, which stdio's table cannot time.
    ("quota.concurrent", "crates/limits/src/limits/tests.rs", ""),
    ("admit.draining", "crates/core/src/gateway/tests.rs", ""),
    ("admit.max_in_flight", "crates/core/src/gateway/tests.rs", ""),
    // Needs a disk that is full.
    ("audit.unavailable", "tests/it/disk.rs", ""),
    // Keys over HTTP and gRPC, counted by address.
    ("auth.guesses", "tests/it/guesses.rs", ""),
    // Of batches, whatever door they come in by.
    ("quota.batch_size", "tests/it/batches.rs", ""),
    ("batch.calls", "tests/it/batches.rs", ""),
    ("batch.duplicate_id", "tests/it/batches.rs", ""),
    ("batch.cycle", "tests/it/batches.rs", ""),
    ("batch.reference", "tests/it/batches.rs", ""),
    ("batch.dependency", "tests/it/batches.rs", ""),
    ("batch.stopped", "tests/it/batches.rs", ""),
    ("batch.nested", "tests/it/batches.rs", ""),
    // Needs more than a body may have.
    (
        "batch.results",
        "crates/core/src/batch/tests/runs.rs",
        "payload_too_large batch.results",
    ),
    // The table's tenants would all feel it.
    ("limit.rate.global", "crates/limits/src/limits/tests.rs", ""),
    // The scan that finds `limit.string` finds these; a message of MCP that is no JSON does not get as far.
    (
        "json.duplicate_key",
        "crates/guard/tests/guard",
        "rule::DUPLICATE_KEY",
    ),
    (
        "json.number_range",
        "crates/guard/tests/guard",
        "rule::NUMBER_RANGE",
    ),
    ("json.surrogate", "crates/guard/tests/guard", "rule::SURROGATE"),
    ("json.syntax", "crates/guard/tests/guard", "rule::SYNTAX"),
    ("json.utf8", "crates/guard/tests/guard", "rule::UTF8"),
    ("limit.bytes", "crates/guard/tests/guard", "rule::BYTES"),
    ("limit.key", "crates/guard/tests/guard", "rule::KEY"),
    ("limit.number", "crates/guard/tests/guard", "rule::NUMBER"),
    // Of a tool's definition or its answer, whoever calls it.
    ("schema.dialect", "crates/guard/tests/guard", ""),
    ("schema.invalid", "crates/guard/tests/guard", ""),
    ("schema.loop", "crates/guard/tests/guard", ""),
    ("schema.reference", "crates/guard/tests/guard", ""),
    ("schema.too_costly", "crates/guard/tests/guard", ""),
    ("schema.too_large", "crates/guard/tests/guard", ""),
    ("schema.output", "crates/core/src/gateway/tests.rs", ""),
    // What a Rust handler may do depends on its caller, not on the door.
    ("ask.unsupported", "crates/ferromcp/tests/facade/asking.rs", ""),
    ("tasks.max", "crates/ferromcp/tests/facade/tasks.rs", ""),
    // Of the place in a request that an argument has, which only HTTP APIs know.
    ("openapi.arguments", "tests/it/openapi.rs", ""),
    // Of messages of gRPC servers, which schemas describe nearly.
    ("grpc.arguments", "tests/it/grpc_servers.rs", ""),
    // Of tasks at an upstream server, whoever asked for them.
    ("limit.tasks", "crates/upstream/tests/it/tasks.rs", ""),
];

/// Rules that no table can have, with the reason.
const NOT_A_REFUSAL_OF_POLICY: &[(&str, &str)] = &[
    (
        "limit.parked_calls",
        "a bound on calls that wait for answers, which only MCP has",
    ),
    ("relay.declined", "an answer of the caller, which only MCP has"),
    (
        "relay.parked",
        "a call that waited for an answer, which only MCP has",
    ),
    ("relay.state", "a sealed state of MCP"),
    ("acl.tool.allow", "it lets through"),
    ("acl.resource.allow", "it lets through"),
    ("acl.prompt.allow", "it lets through"),
    (
        "acl.prompt.deny",
        "the same list as acl.resource.deny, under the name of prompts",
    ),
    ("limit.output", "of the answer, in the one stage behind all doors"),
    (
        "redact.unreadable",
        "of the answer, in the one stage behind all doors",
    ),
    ("client.capability", "what the caller cannot do is no policy"),
    (
        "session.max_questions",
        "a bound on one session's questions, which only MCP has",
    ),
    ("tasks.answer", "an answer to a task, which only MCP has"),
    (
        "uri.variables",
        "a resource template of a Rust server, which REST does not offer",
    ),
    (
        "deadline",
        "time, not policy: tests/it/endings.rs and crates/core",
    ),
    (
        "limit.upstream_calls",
        "what an upstream server can take, not what a caller may",
    ),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn sources(directory: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

/// Rule ids in the sources, and the file each was found in.
fn ids() -> BTreeMap<String, PathBuf> {
    let mut found = BTreeMap::new();
    for package in std::fs::read_dir(root().join("crates")).unwrap() {
        let mut files = Vec::new();
        sources(&package.unwrap().path().join("src"), &mut files);
        for file in files {
            let name = file.strip_prefix(root()).unwrap().to_string_lossy();
            if name.contains("tests") {
                continue;
            }
            let text = std::fs::read_to_string(&file).unwrap();
            let text = text.split("#[cfg(test)]").next().unwrap();
            let defines = [
                "reason.rs",
                "acl.rs",
                "verdict.rs",
                "violation.rs",
                "access.rs",
                "core/src/batch.rs",
                "guard/src/schema.rs",
            ]
            .iter()
            .any(|end| name.ends_with(end))
                || name.contains("patterns/rules/");
            for (at, _) in text.match_indices('"') {
                let (before, rest) = (&text[..at], &text[at + 1..]);
                let id: &str = &rest[..rest.find('"').unwrap_or(0)];
                if is_id(id, before.ends_with("with_rule("), defines) {
                    found.insert(id.to_owned(), file.clone());
                }
            }
        }
    }
    found
}

fn is_id(text: &str, given: bool, defines: bool) -> bool {
    const FAMILIES: [&str; 8] = [
        "auth.", "acl.", "limit.", "quota.", "json.", "pattern.", "schema.", "batch.",
    ];
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._".contains(c);
    let named = !text.is_empty() && !text.ends_with('.') && text.chars().all(plain);
    named && (given || defines && FAMILIES.iter().any(|family| text.starts_with(family)))
}

#[test]
fn every_rule_is_tested_through_every_door_or_it_is_said_why_not() {
    let ids = ids();
    assert!(ids.len() > 100, "the search found only {}", ids.len());
    for (id, file) in &ids {
        // Pattern rules are data of one engine: one of them is in the table, and the corpora test each.
        let known = IN_THE_TABLE.contains(&id.as_str())
            || ELSEWHERE.iter().any(|(rule, ..)| rule == id)
            || NOT_A_REFUSAL_OF_POLICY.iter().any(|(rule, _)| rule == id)
            || id.starts_with("pattern.")
            // Failures of what is behind us, not refusals.
            || id.starts_with("upstream.");
        assert!(
            known,
            "{id} ({}) is in no table: add a case to parity.rs, or its test or the reason to rules.rs",
            file.display()
        );
    }
    let listed = IN_THE_TABLE
        .iter()
        .chain(ELSEWHERE.iter().map(|(rule, ..)| rule))
        .chain(NOT_A_REFUSAL_OF_POLICY.iter().map(|(rule, _)| rule));
    for rule in listed {
        assert!(ids.contains_key(*rule), "there is no rule {rule} any more");
    }
}

#[test]
fn the_tests_that_are_named_are_there() {
    for (rule, place, needle) in ELSEWHERE {
        let path = root().join(place);
        let mut files = Vec::new();
        if path.is_dir() {
            sources(&path, &mut files);
        } else {
            files.push(path);
        }
        let quoted = format!("\"{rule}\"");
        let needle = if needle.is_empty() {
            quoted.as_str()
        } else {
            needle
        };
        let found = files
            .iter()
            .any(|file| std::fs::read_to_string(file).unwrap().contains(needle));
        assert!(found, "{place} does not test {rule}: no {needle} in it");
    }
}
