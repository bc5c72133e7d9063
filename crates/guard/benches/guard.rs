//! What the guard costs per call, next to what a parser costs on the same bytes in the same run.
//!
//! `cargo bench -p ferromcp-guard`
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ferromcp_guard::{CompiledSchema, ScanLimits, members, scan, scan_bytes};
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

criterion_group!(benches, scans, schemas);
criterion_main!(benches);
