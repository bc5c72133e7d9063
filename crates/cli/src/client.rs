//! `ferromcp tools`, `ferromcp call` and `ferromcp batch`: against a running server, or against a configuration. And `ferromcp
//! health` and `ferromcp usage`.

mod batch;
pub(crate) mod direct;
mod health;
pub(crate) mod remote;
mod show;
pub(crate) mod trust;
mod usage;

use std::io::{IsTerminal as _, Read as _};

use serde_json::Value;

pub(crate) use batch::batch;
pub(crate) use health::health;
pub(crate) use usage::usage;

use crate::args::{Call, Target, Tools};
use crate::exit::Failure;
use crate::files::print;

/// Largest arguments that are read from a file or from standard input, in bytes.
const MAX_ARGUMENTS: u64 = 64 << 20;

pub(crate) fn tools(args: &Tools) -> Result<(), Failure> {
    let listed = run(&args.target, |target| async move {
        match target.config {
            Some(_) => direct::tools(target).await,
            None => remote::tools(target).await,
        }
    })?;
    if as_json(&args.target) {
        return print(&format!("{listed}\n"));
    }
    print(&show::tools(&listed))
}

pub(crate) fn call(args: &Call) -> Result<(), Failure> {
    let arguments = arguments(args.arguments.as_deref())?;
    let answer = run(&args.target, |target| async move {
        match target.config {
            Some(_) => direct::call(target, &args.tool, &arguments, args.timeout_ms).await,
            None => remote::call(target, &args.tool, &arguments, args.timeout_ms).await,
        }
    })?;
    let success = answer["success"] == Value::Bool(true);
    if as_json(&args.target) {
        print(&format!("{answer}\n"))?;
    } else if success {
        print(&show::output(&answer))?;
    } else {
        eprint!("{}", show::failure(&answer));
    }
    if success { Ok(()) } else { Err(Failure::Silent) }
}

/// Carries out one exchange.
pub(crate) fn run_async<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::other("cannot start the runtime", e))?;
    runtime.block_on(work)
}

fn as_json(target: &Target) -> bool {
    target.json || !std::io::stdout().is_terminal()
}

fn run<'a, T, F>(target: &'a Target, work: impl FnOnce(&'a Target) -> F) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Failure>>,
{
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|e| Failure::other("cannot start the runtime", e))?;
    let done = runtime.block_on(work(target));
    runtime.shutdown_background();
    done
}

/// The arguments as raw JSON. They are checked to be one JSON object here, so that a typing
/// mistake is shown with its place and not sent anywhere.
pub(crate) fn arguments(given: Option<&str>) -> Result<String, Failure> {
    let Some(given) = given else {
        return Ok("{}".into());
    };
    let (text, origin) = given_text(given, "the arguments")?;
    let trimmed = text.trim();
    match serde_json::from_str::<&serde_json::value::RawValue>(trimmed) {
        Err(e) => Err(Failure::Usage(format!(
            "{origin}: not JSON: {e}. Arguments are one JSON object, for example '{{\"msg\":\"hello\"}}'"
        ))),
        Ok(_) if !trimmed.starts_with('{') => Err(Failure::Usage(format!(
            "{origin}: arguments must be a JSON object, for example '{{\"msg\":\"hello\"}}'"
        ))),
        Ok(_) => Ok(trimmed.to_owned()),
    }
}

/// JSON as it was given: itself, `@FILE`, or `-` for standard input. With what to call it in messages.
fn given_text(given: &str, name: &str) -> Result<(String, String), Failure> {
    if given == "-" {
        let name = "standard input";
        return Ok((read(std::io::stdin().lock(), name)?, name.to_owned()));
    }
    let Some(path) = given.strip_prefix('@') else {
        return Ok((given.to_owned(), name.to_owned()));
    };
    let opened = std::fs::File::open(path).map_err(|e| Failure::Usage(format!("{path}: {e}")))?;
    Ok((read(opened, path)?, path.to_owned()))
}

fn read(from: impl std::io::Read, name: &str) -> Result<String, Failure> {
    let mut text = String::new();
    from.take(MAX_ARGUMENTS + 1)
        .read_to_string(&mut text)
        .map_err(|e| Failure::Usage(format!("cannot read {name}: {e}")))?;
    if text.len() as u64 > MAX_ARGUMENTS {
        return Err(Failure::Usage(format!(
            "{name} has more than {} MiB",
            MAX_ARGUMENTS >> 20
        )));
    }
    Ok(text)
}
