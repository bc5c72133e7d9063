//! `ferromcp why`: the pipeline, walked dry.

use std::io::IsTerminal as _;

use ferromcp_core::{Call, Credential, Door, NoClient, Operation, Verdict};
use ferromcp_protocol::{ProtocolVersion, RequestMeta};

use crate::args::Why;
use crate::client::{arguments, direct};
use crate::exit::Failure;

pub(crate) fn run(args: &Why) -> Result<(), Failure> {
    let arguments = arguments(args.arguments.as_deref())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::other("cannot start the runtime", e))?;
    let verdicts = runtime.block_on(explained(args, &arguments))?;
    if args.json || !std::io::stdout().is_terminal() {
        println!("{}", Verdict::report(&verdicts));
    } else {
        verdicts.iter().for_each(show);
    }
    if verdicts.iter().all(|verdict| verdict.passes) {
        return Ok(());
    }
    Err(Failure::Silent)
}

async fn explained(args: &Why, arguments: &str) -> Result<Vec<Verdict>, Failure> {
    let started = direct::start(args.config.as_deref()).await?;
    let verdicts = started.gateway.explain(&Call {
        operation: Operation::CallTool,
        name: &args.tool,
        arguments: Some(arguments),
        params: None,
        meta: &RequestMeta::default(),
        version: ProtocolVersion::LATEST,
        door: Door::Library,
        credential: args
            .tenant
            .as_deref()
            .map_or(Credential::Local, Credential::Tenant),
        tenant: None,
        client: &NoClient,
        input: None,
        timeout: None,
    });
    started.upstreams.stop().await;
    Ok(verdicts)
}

fn show(verdict: &Verdict) {
    let mark = if verdict.passes { "pass" } else { "STOP" };
    let rule = verdict
        .rule
        .as_ref()
        .map(|rule| format!(" [{rule}]"))
        .unwrap_or_default();
    println!("{mark}  {:<13}{}{rule}", verdict.stage, verdict.message);
}
