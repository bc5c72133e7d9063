//! A configuration, started for one command.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ferromcp_config::Config;
use ferromcp_core::{
    Batch, BatchAnswer, BatchRequest, Call, CallError, Client, Credential, Door, Gateway, LogMessage,
    NoClient, Progress, SourceState,
};
use ferromcp_protocol::{ClientCapabilities, LogLevel};
use ferromcp_upstream::Upstreams;
use serde_json::{Value, json};

use crate::args::Target;
use crate::build;
use crate::exit::Failure;

/// A gateway with everything that a configuration names.
pub(crate) struct Started {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) upstreams: Upstreams,
}

pub(crate) async fn start(config: Option<&Path>) -> Result<Started, Failure> {
    let config = match config {
        Some(path) => Config::load(path)?,
        None => Config::default(),
    };
    started(&config).await
}

/// With every definition as the servers have it, locked or not.
pub(crate) async fn start_unvetted(config: &Config) -> Result<Started, Failure> {
    let config = Config {
        lock: None,
        ..config.clone()
    };
    started(&config).await
}

async fn started(config: &Config) -> Result<Started, Failure> {
    let access = build::access(config, build::tokens_of(config)?, None)?;
    let gateway = build::gateway(config, access, ())?;
    let upstreams = build::upstreams(config, &gateway);
    // Each upstream has its own start timeout; this one only guards against their sum.
    let limit = config
        .servers
        .iter()
        .filter_map(|s| s.start_timeout)
        .chain([config.supervisor.start_timeout])
        .max()
        .unwrap_or_default();
    upstreams.settled(limit + Duration::from_secs(1)).await;
    for source in gateway.snapshot().catalog.sources() {
        match &source.state {
            SourceState::Ready => {}
            SourceState::Starting => {
                eprintln!("ferromcp: server {} is still starting and left out", source.name);
            }
            SourceState::Down { reason } => {
                eprintln!("ferromcp: server {} is left out: {reason}", source.name);
            }
        }
    }
    Ok(Started { gateway, upstreams })
}

/// `{"tools":[...]}` as REST lists them.
pub(super) async fn tools(target: &Target) -> Result<Value, Failure> {
    let started = start(target.config.as_deref()).await?;
    let listed: Vec<Value> = started
        .gateway
        .snapshot()
        .catalog
        .tools()
        .iter()
        .filter_map(|tool| {
            let mut listed = Vec::new();
            tool.write_rest(&mut listed);
            serde_json::from_slice(&listed).ok()
        })
        .collect();
    started.upstreams.stop().await;
    Ok(json!({ "tools": listed }))
}

/// Calls a tool; the answer has the form of the REST contract.
pub(super) async fn call(
    target: &Target,
    tool: &str,
    arguments: &str,
    timeout_ms: Option<u64>,
) -> Result<Value, Failure> {
    let started = start(target.config.as_deref()).await?;
    let call = frame(tool, Some(arguments), timeout_ms);
    let outcome = started.gateway.call(&call).await;
    started.upstreams.stop().await;
    let mut answer = Vec::new();
    outcome.write_rest(&mut answer, None);
    parsed(&answer)
}

/// Calls many tools; the answer has the form of the REST contract.
pub(super) async fn batch(target: &Target, body: &str) -> Result<Value, Failure> {
    let refused = |e: CallError| Failure::Usage(format!("the batch: {}", e.message()));
    let request = BatchRequest::parse(body.as_bytes()).map_err(refused)?;
    let batch = Batch::plan(request).map_err(refused)?;
    let started = start(target.config.as_deref()).await?;
    let mut answer = BatchAnswer::new(&batch);
    let frame = frame("", None, None);
    let done = started.gateway.batch(&batch, &frame, &mut answer).await;
    started.upstreams.stop().await;
    parsed(&answer.finish(&done.map_err(refused)?))
}

/// A call by whoever is at the terminal.
fn frame<'a>(tool: &'a str, arguments: Option<&'a str>, timeout_ms: Option<u64>) -> Call<'a> {
    Call {
        client: &Terminal,
        timeout: timeout_ms.map(Duration::from_millis),
        ..Call::tool(Door::Library, Credential::Local, tool, arguments)
    }
}

fn parsed(answer: &[u8]) -> Result<Value, Failure> {
    serde_json::from_slice(answer).map_err(|e| Failure::other("the answer is not JSON", e))
}

/// Shows progress and log messages on standard error.
struct Terminal;

impl Client for Terminal {
    fn capabilities(&self) -> &ClientCapabilities {
        static NOTHING: NoClient = NoClient;
        NOTHING.capabilities()
    }

    fn name(&self) -> Option<&str> {
        Some("ferromcp")
    }

    fn wants_progress(&self) -> bool {
        true
    }

    fn progress(&self, progress: &Progress<'_>) {
        let total = progress.total.map(|t| format!("/{t}")).unwrap_or_default();
        eprintln!(
            "progress {}{total} {}",
            progress.progress,
            progress.message.unwrap_or_default()
        );
    }

    fn wants_log(&self, level: LogLevel) -> bool {
        level >= LogLevel::Info
    }

    fn log(&self, message: &LogMessage<'_>) {
        if self.wants_log(message.level) {
            eprintln!("{}: {}", message.level.as_str(), message.data);
        }
    }
}
