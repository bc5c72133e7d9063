//! `ferromcp apply`, `ferromcp rollback`, and `ferromcp plan` with a running server: it takes over a configuration, takes an earlier
//! one back, or says what it would change.

use std::path::Path;

use http::Method;
use serde_json::{Value, json};

use crate::args::{Apply, Plan, Rollback};
use crate::exit::Failure;
use crate::files::print;
use crate::tenants::{asked, exchange};

pub(crate) fn run(args: &Apply) -> Result<(), Failure> {
    let mut body = match &args.file {
        Some(file) => json!({ "config": text(file)? }),
        None => json!({}),
    };
    if let Some((time, bound)) = args.watch.zip(args.rollback_on) {
        body["watch_ms"] = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).into();
        body["rollback_on"] = bound.into();
        eprintln!("counting calls for up to {}", humantime::format_duration(time));
    }
    let answer = asked(&args.api, Method::POST, &["reload"], body.to_string())?;
    said(&answer, args.json)?;
    let watch = &answer["watch"];
    let share = |rate: &Value| format!("{:.1} %", rate.as_f64().unwrap_or_default() * 100.0);
    if watch.is_object() {
        eprintln!(
            "{} calls, {} of them failed: {} (before: {}){}",
            watch["calls"],
            watch["failed"],
            share(&watch["rate"]),
            share(&watch["rate_before"]),
            match (&watch["replaced"], &watch["enough"]) {
                (Value::Bool(true), _) =>
                    "; another configuration came in its place, so nothing more is counted",
                (_, Value::Bool(true)) => "",
                _ => "; too few to say anything",
            },
        );
    }
    if watch["rolled_back"] == true {
        return Err(Failure::Other(
            "calls failed, so the configuration was taken back".into(),
        ));
    }
    Ok(())
}

pub(crate) fn plan(args: &Plan) -> Result<(), Failure> {
    let body = json!({ "config": text(&args.file)? }).to_string();
    let answer = asked(&args.api, Method::POST, &["plan"], body)?;
    said(&answer, args.json)?;
    match answer["reloadable"] == false {
        true => Err(Failure::Silent),
        false => Ok(()),
    }
}

pub(crate) fn roll_back(args: &Rollback) -> Result<(), Failure> {
    let (method, path, body) = match (args.list, args.generation) {
        (true, _) => (Method::GET, "generations", String::new()),
        (false, None) => (Method::POST, "rollback", String::new()),
        (false, Some(to)) => (Method::POST, "rollback", format!("{{\"to\":{to}}}")),
    };
    exchange(&args.api, method, &[path], body)
}

fn text(file: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(file).map_err(|e| Failure::Usage(format!("{}: {e}", file.display())))
}

/// A plan, for people or as JSON.
fn said(plan: &Value, as_json: bool) -> Result<(), Failure> {
    match plan["text"].as_str().filter(|_| !as_json) {
        Some(text) => print(text),
        None => print(&format!("{plan:#}\n")),
    }
}
