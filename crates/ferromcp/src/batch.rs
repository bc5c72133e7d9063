//! Many calls in one.

use std::fmt;
use std::time::Duration;

use ferromcp_core::{
    BatchCall, BatchRequest, BatchSink, BatchSummary, Call, CallError, Credential, Door, ErrorCode, Gateway,
    Outcome, Principal,
};
use serde::Serialize;
use serde_json::{Value, json};

/// Many calls that are made in one go, each through the whole pipeline on its own.
///
/// ```
/// use ferromcp::{Batch, Server, Tool};
/// use serde_json::json;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// #[derive(serde::Deserialize, ferromcp::JsonSchema)]
/// struct Upper { text: String }
/// let upper = Tool::new("upper", "In capitals", |args: Upper| async move { args.text.to_uppercase() });
/// let gateway = Server::builder("test", "1.0.0").tool(upper).build()?.into_gateway();
///
/// let done = Batch::new()
///     .add("r1", "upper", json!({ "text": "one" }))
///     .add("r2", "upper", json!({ "text": Batch::result("r1", "") }))
///     .parallel(5)
///     .run(&gateway)
///     .await?;
/// assert_eq!(done.summary.succeeded, 2);
/// assert_eq!(done.get("r2").unwrap().settled().unwrap().output().unwrap(), "\"ONE\"");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a batch does nothing until it is run"]
pub struct Batch {
    calls: Vec<Added>,
    parallel: Option<usize>,
    stop_on_error: bool,
    timeout: Option<Duration>,
}

#[derive(Clone, Debug)]
struct Added {
    id: String,
    tool: String,
    /// Raw JSON, or why there is none.
    arguments: Result<String, String>,
    timeout: Option<Duration>,
}

impl Batch {
    /// A batch without calls.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a call. The id has 1 to 128 bytes and is unique in the batch.
    pub fn add(self, id: impl Into<String>, tool: impl Into<String>, arguments: impl Serialize) -> Self {
        self.added(id.into(), tool.into(), &arguments, None)
    }

    /// Adds a call that may take no longer than this.
    pub fn add_within(
        self,
        timeout: Duration,
        id: impl Into<String>,
        tool: impl Into<String>,
        arguments: impl Serialize,
    ) -> Self {
        self.added(id.into(), tool.into(), &arguments, Some(timeout))
    }

    fn added(
        mut self,
        id: String,
        tool: String,
        arguments: &impl Serialize,
        timeout: Option<Duration>,
    ) -> Self {
        self.calls.push(Added {
            id,
            tool,
            arguments: serde_json::to_string(arguments).map_err(|e| e.to_string()),
            timeout,
        });
        self
    }

    /// What stands in arguments for the output of another call of the batch, or the part of it that a JSON Pointer
    /// (RFC 6901) leads to; with an empty pointer all of it.
    pub fn result(id: &str, pointer: &str) -> Value {
        match pointer {
            "" => json!({ "$result": id }),
            _ => json!({ "$result": id, "pointer": pointer }),
        }
    }

    /// Makes so many calls at the same time, 1 to 100. Without it they are made in order.
    pub fn parallel(mut self, most: usize) -> Self {
        self.parallel = Some(most);
        self
    }

    /// Begins no more calls once one has failed.
    pub fn stop_on_error(mut self) -> Self {
        self.stop_on_error = true;
        self
    }

    /// The longest that all calls together may take.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Makes the calls, for the local user.
    ///
    /// # Errors
    /// Why no call was made: the batch is empty or has more than 10,000 calls, an id is there twice, a reference leads
    /// nowhere or in a circle, arguments cannot be serialized.
    pub async fn run(&self, gateway: &Gateway) -> Result<BatchResults, CallError> {
        self.run_with(gateway, Credential::Local).await
    }

    /// Makes the calls for somebody else.
    ///
    /// # Errors
    /// As [`Self::run`], and what the principal may not do.
    pub async fn run_as(&self, gateway: &Gateway, principal: &Principal) -> Result<BatchResults, CallError> {
        self.run_with(gateway, Credential::Proven(principal)).await
    }

    async fn run_with(
        &self,
        gateway: &Gateway,
        credential: Credential<'_>,
    ) -> Result<BatchResults, CallError> {
        let mut calls = Vec::with_capacity(self.calls.len());
        for call in &self.calls {
            let arguments = call.arguments.as_deref().map_err(|why| {
                let message = format!("the arguments of `{}` are no JSON: {why}", call.id);
                CallError::new(ErrorCode::InvalidRequest, message)
            })?;
            calls.push(BatchCall {
                id: Some(call.id.as_str().into()),
                tool: call.tool.as_str().into(),
                arguments: Some(arguments),
                timeout: call.timeout,
            });
        }
        let batch = ferromcp_core::Batch::plan(BatchRequest {
            calls,
            parallel: self.parallel.unwrap_or(1),
            stop_on_error: self.stop_on_error,
            timeout: self.timeout,
            tenant: None,
        })?;
        let frame = Call::tool(Door::Library, credential, "", None);
        let mut collected = Collected(self.calls.iter().map(|_| None).collect());
        let summary = gateway.batch(&batch, &frame, &mut collected).await?;
        let ids = self.calls.iter().map(|call| call.id.clone());
        let outcomes = ids
            .zip(collected.0)
            .filter_map(|(id, outcome)| Some((id, outcome?)));
        Ok(BatchResults {
            outcomes: outcomes.collect(),
            summary,
        })
    }
}

struct Collected(Vec<Option<Outcome>>);

impl BatchSink for Collected {
    fn ended(&mut self, at: usize, outcome: Outcome) {
        if let Some(place) = self.0.get_mut(at) {
            *place = Some(outcome);
        }
    }
}

/// How the calls of a [`Batch`] ended.
#[non_exhaustive]
pub struct BatchResults {
    /// Id and outcome of every call, in the order in which they were added.
    pub outcomes: Vec<(String, Outcome)>,
    /// How many succeeded and failed, and the time that it took.
    pub summary: BatchSummary,
}

impl BatchResults {
    /// The outcome of a call.
    pub fn get(&self, id: &str) -> Option<&Outcome> {
        self.outcomes
            .iter()
            .find(|(own, _)| own == id)
            .map(|(_, outcome)| outcome)
    }
}

impl fmt::Debug for BatchResults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchResults")
            .field("summary", &self.summary)
            .finish_non_exhaustive()
    }
}
