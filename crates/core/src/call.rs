//! A call as every door hands it in, and the context that a source gets.

use std::cell::Cell;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use ferromcp_protocol::ProtocolVersion;
use ferromcp_protocol::meta::RequestMeta;
use ferromcp_tenancy::{CertificateNames, Proof};
use serde_json::Value;

use crate::access::Grants;
use crate::catalog::ToolEntry;
use crate::client::{Client, Interaction, LogMessage, NoClient, Progress};
use crate::deadline::Deadline;
use crate::error::{CallError, ErrorCode};
use crate::reply::{Input, InputRequest};

/// What the caller wants from a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// `tools/call`; the name is the tool's.
    CallTool,
    /// `resources/read`; the name is the URI.
    ReadResource,
    /// `prompts/get`; the name is the prompt's.
    GetPrompt,
    /// `completion/complete` for a prompt; the name is the prompt's.
    CompletePrompt,
    /// `completion/complete` for a resource template; the name is the URI template.
    CompleteResource,
    /// `tasks/get`; the name is the task id.
    GetTask,
    /// `tasks/update`; the name is the task id.
    UpdateTask,
    /// `tasks/cancel`; the name is the task id.
    CancelTask,
}

impl Operation {
    /// The MCP method.
    pub const fn method(self) -> &'static str {
        match self {
            Self::CallTool => "tools/call",
            Self::ReadResource => "resources/read",
            Self::GetPrompt => "prompts/get",
            Self::CompletePrompt | Self::CompleteResource => "completion/complete",
            Self::GetTask => "tasks/get",
            Self::UpdateTask => "tasks/update",
            Self::CancelTask => "tasks/cancel",
        }
    }
}

/// Where a call came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Door {
    /// MCP over standard input and output.
    Stdio,
    /// MCP over Streamable HTTP.
    Mcp,
    /// `/v1` REST.
    Rest,
    /// gRPC.
    Grpc,
    /// A Rust program that embeds the gateway, or the command line.
    Library,
}

impl Door {
    /// The name in records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stdio => "stdio",
            Self::Mcp => "mcp",
            Self::Rest => "rest",
            Self::Grpc => "grpc",
            Self::Library => "library",
        }
    }
}

/// What the caller showed to prove who it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Credential<'a> {
    /// Nothing, and none is needed: a local user (stdio, a program that embeds the gateway).
    #[default]
    Local,
    /// Nothing, over a door where one could be shown.
    Anonymous,
    /// A bearer token or API key, as sent.
    Token(&'a str),
    /// The names of the client certificate that the connection was opened with; the door has verified it.
    Certificate(&'a Arc<CertificateNames>),
    /// A tenant that whoever started the server named. Never taken from a message.
    Tenant(&'a str),
    /// [`Gateway::authenticate`](crate::Gateway::authenticate) found this principal for the same message.
    Proven(&'a Principal),
}

/// Who calls, and for which tenant.
#[derive(Clone)]
pub struct Principal {
    /// Tenant id.
    pub tenant: Arc<str>,
    /// Name of the principal within the tenant.
    pub name: Arc<str>,
    pub(crate) grants: Arc<Grants>,
    /// How it is known; what outlives the message asks again.
    pub(crate) proof: Proof,
}

impl Principal {
    /// The one principal there is without configured authentication.
    pub fn local() -> Self {
        Self {
            tenant: "local".into(),
            name: "local".into(),
            grants: Arc::default(),
            proof: Proof::Given,
        }
    }

    /// A principal that may do everything, for programs that embed the gateway and know their callers.
    pub fn unrestricted(tenant: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
        Self {
            tenant: tenant.into(),
            name: name.into(),
            grants: Arc::default(),
            proof: Proof::Given,
        }
    }

    /// What the tenant may do.
    pub fn grants(&self) -> &Grants {
        &self.grants
    }
}

/// Two principals are the same if tenant and name are: what they may do may have changed in between.
impl PartialEq for Principal {
    fn eq(&self, other: &Self) -> bool {
        self.tenant == other.tenant && self.name == other.name
    }
}

impl Eq for Principal {}

impl Hash for Principal {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.tenant.hash(state);
        self.name.hash(state);
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Principal")
            .field("tenant", &self.tenant)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Identifies one call in answers, logs and records: 128 bits, shown as 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(u64, u64);

impl RequestId {
    /// A new id: a random start per thread, then a counter. Unique, not secret.
    pub fn next() -> Self {
        thread_local! {
            static NEXT: Cell<Option<(u64, u64)>> = const { Cell::new(None) };
        }
        NEXT.with(|next| {
            let (high, low) = next.get().unwrap_or_else(random_pair);
            next.set(Some((high, low.wrapping_add(1))));
            Self(high, low)
        })
    }
}

impl RequestId {
    /// The id as 16 bytes.
    pub fn to_bytes(self) -> [u8; 16] {
        (u128::from(self.0) << 64 | u128::from(self.1)).to_be_bytes()
    }

    /// The id as its 32 hexadecimal digits in ASCII; what `Display` shows, without its cost.
    pub fn to_hex(self) -> [u8; 32] {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut out = [0; 32];
        for (i, byte) in self
            .0
            .to_be_bytes()
            .into_iter()
            .chain(self.1.to_be_bytes())
            .enumerate()
        {
            out[2 * i] = DIGITS[usize::from(byte >> 4)];
            out[2 * i + 1] = DIGITS[usize::from(byte & 15)];
        }
        out
    }
}

fn random_pair() -> (u64, u64) {
    // Without a system random source the thread's address and time still keep ids apart; they are
    // identifiers, not secrets.
    let fallback = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .map_or(0, |d| d.as_nanos() as u64);
    (
        getrandom::u64().unwrap_or(fallback),
        getrandom::u64().unwrap_or(fallback.rotate_left(17)),
    )
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}{:016x}", self.0, self.1)
    }
}

/// One call, borrowed from what the door received.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    /// What is wanted.
    pub operation: Operation,
    /// Of what: tool or prompt name, resource URI, task id.
    pub name: &'a str,
    /// Raw JSON object of arguments, if given.
    pub arguments: Option<&'a str>,
    /// Raw JSON object of all `params`, for sources that forward it. `None` from doors that have
    /// no such object.
    pub params: Option<&'a str>,
    /// Request metadata.
    pub meta: &'a RequestMeta<'a>,
    /// The revision that the caller speaks; sources may shape their result by it.
    pub version: ProtocolVersion,
    /// Where it came in.
    pub door: Door,
    /// What the caller showed.
    pub credential: Credential<'a>,
    /// The tenant to act for, where the request names one; the principal must be allowed to.
    pub tenant: Option<&'a str>,
    /// The way back to the caller while the call runs.
    pub client: &'a dyn Client,
    /// Answers to what an earlier round of this call asked for.
    pub input: Option<&'a Input>,
    /// A shorter deadline that the caller asked for.
    pub timeout: Option<Duration>,
}

impl<'a> Call<'a> {
    /// A call of a tool with raw arguments, by a caller who can do nothing but wait for the result.
    pub fn tool(door: Door, credential: Credential<'a>, name: &'a str, arguments: Option<&'a str>) -> Self {
        Self {
            operation: Operation::CallTool,
            name,
            arguments,
            params: None,
            meta: &RequestMeta::NONE,
            version: ProtocolVersion::LATEST,
            door,
            credential,
            tenant: None,
            client: &NoClient,
            input: None,
            timeout: None,
        }
    }
}

impl fmt::Debug for Call<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("operation", &self.operation)
            .field("name", &self.name)
            .field("version", &self.version)
            .field("door", &self.door)
            .finish_non_exhaustive()
    }
}

/// The checked arguments of a call.
#[derive(Clone, Debug, Default)]
pub struct Arguments<'a> {
    /// Raw text, `{}` if the caller gave none.
    pub raw: &'a str,
    /// The same as a tree, where the schema check built one.
    pub value: Option<Value>,
}

impl Arguments<'_> {
    /// Deserializes the arguments into a type of the tool's own.
    pub fn parse<T: serde::de::DeserializeOwned>(&self) -> Result<T, CallError> {
        let parsed = match &self.value {
            Some(value) => T::deserialize(value),
            None => serde_json::from_str(self.raw),
        };
        parsed.map_err(|e| {
            CallError::new(
                ErrorCode::InvalidArguments,
                format!("arguments do not fit the tool: {e}"),
            )
            .with_rule("schema.arguments")
        })
    }
}

/// What a source gets to do its work.
#[derive(Clone, Copy)]
pub struct CallContext<'a> {
    /// The call as the door handed it in.
    pub call: &'a Call<'a>,
    /// Its id in answers and records.
    pub request_id: RequestId,
    /// Who calls.
    pub principal: &'a Principal,
    /// The tool, for [`Operation::CallTool`].
    pub tool: Option<&'a Arc<ToolEntry>>,
    /// The name as the source itself knows it (without our prefix).
    pub local_name: &'a str,
    /// The arguments, checked.
    pub arguments: &'a Arguments<'a>,
    /// The running deadline.
    pub deadline: &'a Deadline,
}

impl fmt::Debug for CallContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallContext")
            .field("call", &self.call)
            .field("request_id", &self.request_id)
            .finish_non_exhaustive()
    }
}

impl CallContext<'_> {
    /// Reports progress to the caller, if it asked for it, and extends the idle deadline.
    pub fn progress(&self, progress: &Progress<'_>) {
        self.deadline.touch();
        self.call.client.progress(progress);
    }

    /// Sends a log message to the caller, if it wants that level.
    pub fn log(&self, message: &LogMessage<'_>) {
        self.call.client.log(message);
    }

    /// Asks the caller for input over a server-to-client request. Only where
    /// [`Client::interaction`] is [`Interaction::Direct`]; the idle deadline stands still meanwhile.
    pub async fn ask(&self, request: &InputRequest) -> Result<Box<str>, CallError> {
        debug_assert_eq!(self.call.client.interaction(), Interaction::Direct);
        let _pause = self.deadline.pause();
        self.call.client.ask(request).await
    }
}
