//! What the guard costs per call, next to what a parser costs on the same bytes in the same run.
//!
//! `cargo bench -p ferromcp-guard`
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ferromcp_guard::{
    CompiledSchema, Guard, PatternConfig, PatternPolicy, Redactor, ScanLimits, Sensitive, ToolGuard, members,
    scan, scan_bytes,
};
use serde::de::IgnoredAny;
use serde_json::{Value, json};

/// Arguments as tools get them: the smallest, a typical one, and one that carries text and a table.
fn samples() -> Vec<(&'static str, String)> {
    let typical = json!({
        "query": "SELECT id, name FROM customers WHERE country = $1 ORDER BY name",
        "parameters": ["DE"],
        "options": {"limit": 100, "offset": 0, "timeout_ms": 2500, "explain": false},
        "tags": ["report", "weekly", "sales"],
        "note": "Numbers for the meeting on Monday; keep \"closed\" accounts out of it.",
        "path": "reports/2026/week-31.csv", "dry_run": null
    });
    let rows: Vec<Value> = (0..60)
        .map(|row| json!({"id": row, "name": format!("Customer number {row}"), "score": row as f64 * 1.37, "active": row % 3 == 0}))
        .collect();
    let text = "The quick brown fox jumps over the lazy dog, and über allem liegt Ruh. ".repeat(80);
    let large = json!({"title": "Export", "content": text, "rows": rows});
    vec![
        ("24 bytes", r#"{"msg":"hello, world!!"}"#.to_owned()),
        ("300 bytes", typical.to_string()),
        ("10 KB", large.to_string()),
    ]
}

fn scans(criterion: &mut Criterion) {
    let limits = ScanLimits::default();
    for (name, text) in samples() {
        let mut group = criterion.benchmark_group(format!("scan {name} ({})", text.len()));
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function("scan", |bencher| {
            bencher.iter(|| scan(black_box(&text), &limits).unwrap());
        });
        group.bench_function("scan_bytes", |bencher| {
            bencher.iter(|| scan_bytes(black_box(text.as_bytes()), &limits).unwrap());
        });
        group.bench_function("members", |bencher| {
            bencher.iter(|| {
                members(black_box(&text))
                    .map(|member| member.unwrap().value.len())
                    .sum::<usize>()
            });
        });
        group.bench_function("serde_json IgnoredAny", |bencher| {
            bencher.iter(|| serde_json::from_str::<IgnoredAny>(black_box(&text)).unwrap());
        });
        group.bench_function("serde_json Value", |bencher| {
            bencher.iter(|| serde_json::from_str::<Value>(black_box(&text)).unwrap());
        });
        group.finish();
    }
}

/// Honest arguments of 10 KB in which the first look clears little.
fn large_samples() -> Vec<(&'static str, &'static str, String)> {
    let prose =
        "It's a fine day; she said \"come in\" (at 5 o'clock, or 6) - and we did. Costs: $3 & up, 20% off!\n"
            .repeat(100);
    let code =
        "if (a < b && c > d) { return `${name}: <b>${items.map(i => i.id).join('; ')}</b>`; } // it's ok\n"
            .repeat(100);
    let select = "SELECT c.name, SUM(o.total) FROM customers c JOIN orders o ON o.id = c.id WHERE o.at >= '2026-01-01' OR o.x = 1;\n".repeat(90);
    let arabic = "السعر: ١٢٣٫٤٥ دولار (شامل الضريبة) — شكراً! ".repeat(130);
    let urls: Vec<String> = (0..120)
        .map(|at| format!("https://example.com/search?q=caf%C3%A9%20au%20lait&lang=fr&page={at}&x=%2Fhome"))
        .collect();
    vec![
        (
            "prose in a text field",
            "send_message",
            json!({"text": prose}).to_string(),
        ),
        (
            "code in content",
            "write_file",
            json!({"path": "src/a.ts", "content": code}).to_string(),
        ),
        (
            "SQL in a query",
            "execute_query",
            json!({"query": select}).to_string(),
        ),
        (
            "Arabic in a text field",
            "send_message",
            json!({"text": arabic}).to_string(),
        ),
        (
            "120 escaped addresses",
            "fetch_all",
            json!({"urls": urls}).to_string(),
        ),
    ]
}

/// Strings of 100 KB that aim at the cost of the rules: prefixes of what they look for, again and again.
fn hostile_samples() -> Vec<(&'static str, String)> {
    let of = |unit: &str| unit.repeat(100_000 / unit.len());
    vec![
        ("or", of("' or ")),
        ("open comments", of("'/*or/*")),
        ("union select", of("union select ")),
        ("tags", of("<a <script ")),
        ("handlers", of("<a on")),
        ("braces", of("{{ ${ ")),
        ("nested lookups", of("${a:")),
        ("dots", of("../a/")),
        ("operators", of("; cat ")),
        ("escapes", of("%25%32%35")),
        ("entities", of("&#x26;lt")),
        ("addresses", of("//1.1")),
        ("parentheses", of("')(|(a")),
        ("javascript", of("j a v a s c r i p t ")),
        ("full-width", of("＜ｓ")),
        (
            "everything",
            of("' or 1=(<a on=x {{$(`;|&../%27&#39;\\u0027 union select sleep("),
        ),
    ]
}

fn default_guard() -> Guard {
    Guard::new(
        ScanLimits::default(),
        PatternPolicy::compile(&PatternConfig::default()).unwrap(),
    )
}

/// The whole check next to the plain scan and a parser, on one core.
fn patterns(criterion: &mut Criterion) {
    let limits = ScanLimits::default();
    let guard = default_guard();
    let mut cases: Vec<_> = samples()
        .into_iter()
        .map(|(name, text)| (name, "run_report", text))
        .collect();
    cases.extend(large_samples());
    for (name, tool, text) in cases {
        let tool_guard: ToolGuard = guard.tool(tool);
        tool_guard.check(&text).unwrap();
        let mut group = criterion.benchmark_group(format!("check {name} ({})", text.len()));
        group.throughput(Throughput::Elements(1));
        group.bench_function("check", |bencher| {
            bencher.iter(|| tool_guard.check(black_box(&text)).unwrap());
        });
        group.bench_function("check by name", |bencher| {
            bencher.iter(|| guard.check(black_box(&text), tool).unwrap());
        });
        group.bench_function("scan", |bencher| {
            bencher.iter(|| scan(black_box(&text), &limits).unwrap());
        });
        group.bench_function("serde_json Value", |bencher| {
            bencher.iter(|| serde_json::from_str::<Value>(black_box(&text)).unwrap());
        });
        group.finish();
    }
}

fn hostile(criterion: &mut Criterion) {
    // Nothing is refused, so that every rule runs to its end.
    let config = PatternConfig {
        strongest: ferromcp_guard::Action::Flag,
        ..PatternConfig::default()
    };
    let guard = Guard::new(ScanLimits::default(), PatternPolicy::compile(&config).unwrap());
    let mut group = criterion.benchmark_group("hostile");
    for (name, text) in hostile_samples() {
        for (size, part) in [
            ("50 KB", &text[..text.floor_char_boundary(text.len() / 2)]),
            ("100 KB", &text),
        ] {
            let arguments = json!({"username": part}).to_string();
            let tool = guard.tool("get_user");
            group.throughput(Throughput::Bytes(arguments.len() as u64));
            group.bench_function(format!("{name} {size}"), |bencher| {
                bencher.iter(|| tool.check(black_box(&arguments)).unwrap());
            });
        }
    }
    group.finish();
}

/// Redaction of results: honest ones, one with secrets, and text made to cost.
fn redaction(criterion: &mut Criterion) {
    let redactor = Redactor::new(&Sensitive::ALL);
    let mut cases: Vec<(&str, String)> = samples();
    let secrets =
        "Ann <ann@example.com> paid with 4111 1111 1111 1111; password=hunter2hunter2\n".repeat(120);
    cases.push(("10 KB of secrets", json!({"text": secrets}).to_string()));
    for (name, unit) in [
        ("hostile @", "a@"),
        ("hostile digits", "1 "),
        ("hostile eyJ", "eyJ"),
        ("hostile IBAN", "DE12 "),
    ] {
        cases.push((
            name,
            json!({"text": unit.repeat(10_000 / unit.len())}).to_string(),
        ));
        cases.push((
            name,
            json!({"text": unit.repeat(100_000 / unit.len())}).to_string(),
        ));
    }
    for (name, text) in cases {
        let mut group = criterion.benchmark_group(format!("redact {name} ({})", text.len()));
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function("redact", |bencher| {
            bencher.iter(|| redactor.redact(black_box(&text)).unwrap());
        });
        group.bench_function("scan", |bencher| {
            bencher.iter(|| scan(black_box(&text), &ScanLimits::UNBOUNDED).unwrap());
        });
        group.finish();
    }
}

fn schemas(criterion: &mut Criterion) {
    let echo = json!({
        "type": "object", "properties": {"msg": {"type": "string"}}, "required": ["msg"], "additionalProperties": false
    });
    let typical = json!({
        "type": "object",
        "properties": {
            "query": {"type": "string", "minLength": 1, "maxLength": 10_000},
            "parameters": {"type": "array", "items": {"type": ["string", "number", "boolean", "null"]}},
            "options": {
                "type": "object",
                "properties": {
                    "limit": {"type": "integer", "minimum": 1, "maximum": 1000},
                    "offset": {"type": "integer", "minimum": 0},
                    "timeout_ms": {"type": "integer"},
                    "explain": {"type": "boolean"}
                }
            },
            "tags": {"type": "array", "items": {"enum": ["report", "weekly", "sales", "other"]}},
            "path": {"type": "string", "pattern": "^[a-z0-9/.-]+$"}
        },
        "required": ["query"]
    });
    let samples = samples();
    let mut group = criterion.benchmark_group("schema");
    for (name, schema, text) in [
        ("any object", json!({"type": "object"}), &samples[1].1),
        ("echo", echo.clone(), &samples[0].1),
        ("typical", typical, &samples[1].1),
    ] {
        let compiled = CompiledSchema::compile(&schema).unwrap();
        let value: Value = serde_json::from_str(text).unwrap();
        group.bench_function(format!("check {name}"), |bencher| {
            bencher.iter(|| compiled.check(black_box(&value)).unwrap());
        });
    }
    let compiled = CompiledSchema::compile(&echo).unwrap();
    let wrong = json!({"msg": 1, "other": 2});
    group.bench_function("check echo, failing", |bencher| {
        bencher.iter(|| compiled.check(black_box(&wrong)).unwrap_err());
    });
    group.bench_function("compile echo", |bencher| {
        bencher.iter(|| CompiledSchema::compile(black_box(&echo)).unwrap());
    });
    group.finish();
}

criterion_group!(benches, scans, patterns, hostile, redaction, schemas);
criterion_main!(benches);
