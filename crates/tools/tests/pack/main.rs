//! The pack as callers see it: every call goes through a gateway, on real files.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on should say where and stop"
)]

mod addressing;
mod batch;
mod cancel;
mod echo;
mod escape;
mod list;
mod read;
mod search;
mod special;
mod write;

use std::path::Path;
use std::sync::Arc;

use ferromcp_core::{
    Call, CallError, Client, Credential, Door, Gateway, Identity, NoClient, Observer, Operation, Outcome,
    Policy, Reply,
};
use ferromcp_protocol::ProtocolVersion;
use ferromcp_protocol::meta::RequestMeta;
use ferromcp_tools::{FilesSettings, Settings};
use serde_json::{Value, json};
use tempfile::TempDir;

struct Nobody;

impl Observer for Nobody {
    fn call_ended(&self, _record: &ferromcp_core::CallRecord<'_>) {}
}

/// A gateway over the pack.
struct Bench {
    gateway: Arc<Gateway>,
}

/// What a tool answered.
#[derive(Debug)]
struct Answer(Value);

impl Answer {
    fn text(&self) -> &str {
        self.0["content"][0]["text"].as_str().unwrap()
    }

    /// Text of the second block: what was cut.
    fn mark(&self) -> Option<&str> {
        self.0["content"][1]["text"].as_str()
    }

    fn is_error(&self) -> bool {
        self.0["isError"] == json!(true)
    }

    fn data(&self) -> &Value {
        &self.0["structuredContent"]
    }

    fn ok(self) -> Self {
        assert!(!self.is_error(), "{:?}", self.0);
        self
    }

    /// The text of a refusal.
    fn refused(&self) -> &str {
        assert!(self.is_error(), "{:?}", self.0);
        self.text()
    }
}

impl Bench {
    fn new(files: FilesSettings) -> Self {
        Self::with(&Settings { echo: true, files }, Policy::default())
    }

    fn with(settings: &Settings, policy: Policy) -> Self {
        let gateway = Gateway::new(Identity::default(), policy, Nobody);
        gateway.publish(ferromcp_tools::listing(settings).unwrap());
        let gateway = Arc::new(gateway);
        Self { gateway }
    }

    /// `echo` and `batch_call`.
    fn carrying() -> Self {
        let bench = Self::new(FilesSettings::default());
        bench.gateway.publish(ferromcp_tools::batch(&bench.gateway));
        bench
    }

    /// One root, nothing but reading.
    fn reader(root: &Path) -> Self {
        Self::new(FilesSettings {
            roots: vec![root.into()],
            ..FilesSettings::default()
        })
    }

    /// One root, everything allowed.
    fn writer(root: &Path) -> Self {
        Self::new(FilesSettings {
            roots: vec![root.into()],
            write: true,
            delete: true,
            ..FilesSettings::default()
        })
    }

    async fn outcome(&self, tool: &str, arguments: &str, client: &dyn Client) -> Outcome {
        let meta = RequestMeta::default();
        let call = Call {
            operation: Operation::CallTool,
            name: tool,
            arguments: Some(arguments),
            params: None,
            meta: &meta,
            version: ProtocolVersion::LATEST,
            door: Door::Library,
            credential: Credential::Local,
            tenant: None,
            client,
            input: None,
            timeout: None,
        };
        self.gateway.call(&call).await
    }

    async fn call(&self, tool: &str, arguments: Value) -> Answer {
        let outcome = self.outcome(tool, &arguments.to_string(), &NoClient).await;
        let Ok(Reply::Complete(payload)) = &outcome.result else {
            panic!("{tool} {arguments}: {outcome:?}")
        };
        let answer = Answer(serde_json::from_str(payload.as_str()).unwrap());
        assert_eq!(payload.is_error(), answer.is_error());
        answer
    }

    /// A call that the pipeline itself refuses.
    async fn error(&self, tool: &str, arguments: Value) -> CallError {
        let outcome = self.outcome(tool, &arguments.to_string(), &NoClient).await;
        outcome.result.unwrap_err()
    }

    fn tools(&self) -> Vec<String> {
        let snapshot = self.gateway.snapshot();
        let tools = snapshot.catalog.tools().iter();
        tools.map(|t| t.name.to_string()).collect()
    }
}

/// A directory named `data` with some files, in a directory of its own.
fn data() -> (TempDir, std::path::PathBuf) {
    let outer = tempfile::tempdir().unwrap();
    let data = outer.path().join("data");
    std::fs::create_dir_all(data.join("sub/deep")).unwrap();
    std::fs::write(data.join("hello.txt"), "hello\nworld\n").unwrap();
    std::fs::write(data.join("sub/notes.md"), "# Notes\nremember the milk\n").unwrap();
    std::fs::write(data.join("sub/deep/main.rs"), "fn main() {}\n").unwrap();
    std::fs::write(data.join(".hidden"), "remember nothing\n").unwrap();
    std::fs::write(outer.path().join("secret.txt"), "the secret").unwrap();
    (outer, data)
}
