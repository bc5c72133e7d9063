//! `ferromcp batch`.

use ferromcp_protocol::json::{self, Object};

use super::{as_json, direct, given_text, remote, run, show};
use crate::args::Batch;
use crate::exit::Failure;
use crate::files::print;

pub(crate) fn batch(args: &Batch) -> Result<(), Failure> {
    let body = body(args)?;
    let answer = run(&args.target, |target| async move {
        match target.config {
            Some(_) => direct::batch(target, &body).await,
            None => remote::batch(target, &body).await,
        }
    })?;
    match as_json(&args.target) {
        true => print(&format!("{answer}\n"))?,
        false => print(&show::batch(&answer))?,
    }
    match answer["error_count"].as_u64() {
        Some(0) => Ok(()),
        _ => Err(Failure::Silent),
    }
}

/// The body of the request: the file's, with what the arguments say in place of what it says. Arguments of calls travel as they
/// were written.
fn body(args: &Batch) -> Result<String, Failure> {
    let (text, origin) = given_text(&args.batch, "the batch")?;
    let wrong = |e: json::JsonError| {
        Failure::Usage(format!(
            "{origin}: not a batch: {e}. It is a list such as '[{{\"tool\":\"echo\",\"arguments\":{{\"msg\":\"hello\"}}}}]'"
        ))
    };
    let whole = json::validate(text.as_bytes()).map_err(wrong)?;
    let own = [
        ("max_parallel", args.parallel.map(|n| n.to_string())),
        ("stop_on_error", args.stop_on_error.then(|| "true".to_owned())),
        ("timeout_ms", args.timeout_ms.map(|ms| ms.to_string())),
    ];
    let mut members: Vec<String> = Vec::new();
    if whole.starts_with('[') {
        members.push(format!("\"requests\":{whole}"));
    } else {
        for (key, value) in Object::parse(whole).map_err(wrong)?.iter() {
            let replaced = own.iter().any(|(name, given)| *name == key && given.is_some())
                || (key == "parallel" && args.parallel.is_some());
            if !replaced {
                members.push(format!("{}:{value}", json::quote(key)));
            }
        }
    }
    let given = own
        .into_iter()
        .filter_map(|(name, given)| Some(format!("\"{name}\":{}", given?)));
    members.extend(given);
    Ok(format!("{{{}}}", members.join(",")))
}
