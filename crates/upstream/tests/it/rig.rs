//! A gateway with upstream servers, and calls to it as a door would make them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ferromcp_core::{
    Call, CallError, Client, Credential, Door, Gateway, Identity, Input, LogMessage, NoClient, Operation,
    Policy, Principal, Progress, Reply, SourceState,
};
use ferromcp_protocol::json::Object;
use ferromcp_protocol::{ClientCapabilities, LogLevel, ProtocolVersion, RequestMeta};
use ferromcp_supervisor::ChildSpec;
use ferromcp_upstream::{TransportSpec, UpstreamSpec, Upstreams};
use serde_json::Value;

use crate::{SOON, soon};

/// The scripted server with these traits.
pub(crate) fn python(name: &str, traits: &[&str]) -> UpstreamSpec {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/servers/server.py");
    let child = ChildSpec::new(name, "python3")
        .args(["-S", "-E", "-u", script])
        .args(traits.iter().copied());
    spec(name, TransportSpec::Stdio(child))
}

pub(crate) fn spec(name: &str, transport: TransportSpec) -> UpstreamSpec {
    UpstreamSpec {
        start_timeout: SOON,
        tools: Arc::new(|name| name != "hidden"),
        ..UpstreamSpec::new(name, transport)
    }
}

pub(crate) struct Rig {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) upstreams: Upstreams,
}

impl Rig {
    pub(crate) fn begin(specs: Vec<UpstreamSpec>) -> Self {
        Self::begin_with(specs, 100)
    }

    pub(crate) fn begin_with(specs: Vec<UpstreamSpec>, max_workers: usize) -> Self {
        let gateway = Arc::new(Gateway::new(Identity::default(), Policy::default(), ()));
        let upstreams = Upstreams::start(&gateway, specs, max_workers);
        Self { gateway, upstreams }
    }

    pub(crate) async fn start(specs: Vec<UpstreamSpec>) -> Self {
        let rig = Self::begin(specs);
        rig.upstreams.settled(SOON * 2).await;
        rig
    }

    pub(crate) fn state(&self, name: &str) -> SourceState {
        self.gateway
            .snapshot()
            .catalog
            .source(name)
            .unwrap()
            .state
            .clone()
    }

    pub(crate) fn assert_ready(&self, name: &str) {
        assert_eq!(self.state(name), SourceState::Ready);
    }

    /// Why a server is down.
    pub(crate) fn down(&self, name: &str) -> String {
        match self.state(name) {
            SourceState::Down { reason } => reason,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn until_ready(&self, name: &str) {
        self.until(|rig| rig.state(name) == SourceState::Ready).await;
    }

    /// Until calls go through, as after a restart.
    pub(crate) async fn until_called(&self, tool: &str) {
        soon(async {
            while self.call(tool).await.is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }

    pub(crate) async fn until_down(&self, name: &str) {
        self.until(|rig| matches!(rig.state(name), SourceState::Down { .. }))
            .await;
    }

    pub(crate) async fn until(&self, holds: impl Fn(&Self) -> bool) {
        soon(async {
            while !holds(self) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }

    pub(crate) fn tools(&self) -> Vec<String> {
        self.gateway
            .snapshot()
            .catalog
            .tools()
            .iter()
            .map(|tool| tool.name.to_string())
            .collect()
    }

    /// Calls a tool as a plain library user.
    pub(crate) async fn call(&self, name: &str) -> Result<String, CallError> {
        self.tool(name, "{}").await
    }

    /// The text of the first block.
    pub(crate) async fn tool(&self, name: &str, arguments: &str) -> Result<String, CallError> {
        let wanted = Ask {
            name,
            arguments: Some(arguments),
            ..Ask::default()
        };
        self.ask(&wanted).await.map(|raw| {
            let value: Value = serde_json::from_str(&raw).unwrap();
            value["content"][0]["text"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        })
    }

    /// The structured content.
    pub(crate) async fn structured(&self, name: &str) -> Value {
        let wanted = Ask {
            name,
            arguments: Some("{}"),
            ..Ask::default()
        };
        let raw = self.ask(&wanted).await.unwrap();
        serde_json::from_str::<Value>(&raw).unwrap()["structuredContent"].clone()
    }

    /// The raw result.
    pub(crate) async fn ask(&self, wanted: &Ask<'_>) -> Result<String, CallError> {
        ask(&self.gateway, wanted).await
    }

    pub(crate) async fn stop(self) {
        soon(self.upstreams.stop()).await;
    }
}

/// The raw result.
pub(crate) async fn ask(gateway: &Gateway, ask: &Ask<'_>) -> Result<String, CallError> {
    match reply(gateway, ask).await? {
        Reply::Complete(payload) => Ok(payload.as_str().to_owned()),
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn reply(gateway: &Gateway, ask: &Ask<'_>) -> Result<Reply, CallError> {
    let params = ask.params.map(|raw| Object::parse(raw).unwrap());
    let meta = match &params {
        Some(params) => RequestMeta::of_params(params).unwrap(),
        None => RequestMeta::default(),
    };
    let arguments = match &params {
        Some(params) => params.get("arguments"),
        None => ask.arguments,
    };
    let call = Call {
        operation: ask.operation,
        name: ask.name,
        arguments,
        params: ask.params,
        meta: &meta,
        version: ask.version,
        door: Door::Mcp,
        credential: match ask.principal {
            Some(principal) => Credential::Proven(principal),
            None => Credential::Local,
        },
        tenant: None,
        client: ask.client,
        input: ask.input,
        timeout: Some(ask.timeout),
    };
    gateway.call(&call).await.result
}

pub(crate) struct Ask<'a> {
    pub(crate) operation: Operation,
    pub(crate) name: &'a str,
    pub(crate) arguments: Option<&'a str>,
    pub(crate) params: Option<&'a str>,
    pub(crate) version: ProtocolVersion,
    pub(crate) client: &'a dyn Client,
    pub(crate) input: Option<&'a Input>,
    pub(crate) principal: Option<&'a Principal>,
    pub(crate) timeout: Duration,
}

impl Default for Ask<'_> {
    fn default() -> Self {
        Self {
            operation: Operation::CallTool,
            name: "",
            arguments: None,
            params: None,
            version: ProtocolVersion::LATEST,
            client: &NoClient,
            input: None,
            principal: None,
            timeout: SOON,
        }
    }
}

/// A caller that writes down what it hears.
#[derive(Default)]
pub(crate) struct Listener(Mutex<Vec<String>>);

impl Listener {
    pub(crate) fn heard(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    fn write(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }
}

impl Client for Listener {
    fn capabilities(&self) -> &ClientCapabilities {
        static NOBODY: NoClient = NoClient;
        NOBODY.capabilities()
    }

    fn wants_progress(&self) -> bool {
        true
    }

    fn progress(&self, progress: &Progress<'_>) {
        self.write(format!(
            "{}/{:?} {:?}",
            progress.progress, progress.total, progress.message
        ));
    }

    fn wants_log(&self, level: LogLevel) -> bool {
        level >= LogLevel::Notice
    }

    fn log(&self, message: &LogMessage<'_>) {
        self.write(format!(
            "{} {:?} {}",
            message.level.as_str(),
            message.logger,
            message.data
        ));
    }
}
