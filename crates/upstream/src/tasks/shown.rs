//! A task as its server shows it, and as its owner sees it.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use ferromcp_core::time::rfc3339;
use ferromcp_core::{CallError, ErrorCode, Payload, ToolEntry};
use ferromcp_protocol::json::{self, Object};

use crate::ask;
use crate::opening::parse;
use crate::replay;
use crate::wire::member;

/// Members that are kept of a task: small, whatever the server sends.
const HEAD: [&str; 4] = ["createdAt", "ttlMs", "pollIntervalMs", "status"];
/// Longest text of one of them.
const MAX_HEAD: usize = 100;
/// Longest id of a server.
const MAX_ID: usize = 1024;

/// What a server says of a task: the raw object, checked to be one.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    raw: Arc<str>,
    id: Box<str>,
    over: bool,
}

impl Shown {
    /// Reads a task, as `tasks/get`, notifications and the result that makes one carry it.
    pub(crate) fn read(server: &str, result: &Bytes) -> Result<Self, CallError> {
        let object = parse(result).map_err(|fault| ask::broken(server, fault))?;
        Self::of(&object, super::text(result).unwrap_or_default())
            .ok_or_else(|| ask::broken(server, "its task has no `taskId`, or no `status` that is known"))
    }

    pub(crate) fn of(object: &Object<'_>, raw: &str) -> Option<Self> {
        let id = object
            .get_str("taskId")
            .filter(|id| (1..=MAX_ID).contains(&id.len()))?;
        let over = match &*object.get_str("status")? {
            "working" | "input_required" => false,
            "completed" | "failed" | "cancelled" => true,
            _ => return None,
        };
        Some(Self {
            raw: raw.into(),
            id: (*id).into(),
            over,
        })
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// It will not change any more.
    pub(crate) fn is_over(&self) -> bool {
        self.over
    }

    pub(crate) fn object(&self) -> Object<'_> {
        Object::parse(&self.raw).unwrap_or_default()
    }

    /// How long the server keeps it, counted from its creation. `None`: without limit, or not said.
    pub(crate) fn ttl(&self) -> Option<Duration> {
        self.millis("ttlMs")
    }

    /// How often the server wants to be asked.
    pub(crate) fn poll(&self) -> Option<Duration> {
        self.millis("pollIntervalMs")
            .or_else(|| self.millis("pollInterval"))
    }

    fn millis(&self, name: &str) -> Option<Duration> {
        let raw = self.object().get(name)?.parse::<f64>().ok()?;
        Duration::try_from_secs_f64(raw / 1000.0).ok()
    }

    /// What is worth remembering of it.
    pub(super) fn head(&self) -> Self {
        let object = self.object();
        let mut out = String::from("{");
        for (key, raw) in object
            .iter()
            .filter(|(key, raw)| HEAD.contains(key) && raw.len() <= MAX_HEAD)
        {
            member(&mut out, key, raw);
        }
        out.push('}');
        Self {
            raw: out.into(),
            ..self.clone()
        }
    }

    /// The task under our id. What it came to must fit what its tool promises.
    pub(super) fn payload(
        &self,
        id: &str,
        tool: Option<&ToolEntry>,
        server: &str,
    ) -> Result<Payload, CallError> {
        let object = self.object();
        if let Some(result) = object.get("result") {
            promised(result, tool, server)?;
        }
        Payload::relayed(renamed(&object, id).into_bytes())
            .map_err(|e| ask::broken(server, format!("its task cannot be used: {e}")))
    }

    /// The task as it failed on the way, from what is remembered of it.
    pub(super) fn failed(&self, id: &str, why: &str) -> String {
        let mut out = format!("{{\"taskId\":{},\"status\":\"failed\"", json::quote(id));
        member(&mut out, "statusMessage", &json::quote(why));
        for (key, raw) in self.object().iter().filter(|(key, _)| *key != "status") {
            member(&mut out, key, raw);
        }
        member(
            &mut out,
            "lastUpdatedAt",
            &json::quote(&rfc3339(SystemTime::now())),
        );
        let error = CallError::new(ErrorCode::Unavailable, why.to_owned())
            .with_rule(replay::DIED)
            .maybe_ran()
            .to_rpc();
        let mut raw = Vec::new();
        error.write(&mut raw);
        member(&mut out, "error", &String::from_utf8_lossy(&raw));
        out.push('}');
        out
    }
}

/// The task of a server under our id; what is about the message, not the task, is left to the door.
pub(super) fn renamed(task: &Object<'_>, id: &str) -> String {
    let mut out = format!("{{\"taskId\":{}", json::quote(id));
    for (key, raw) in task
        .iter()
        .filter(|(key, _)| !matches!(*key, "taskId" | "resultType"))
    {
        member(&mut out, key, raw);
    }
    out.push('}');
    out
}

/// Results of tasks pass the pipeline's check of output only here, for the pipeline does not know whose they are.
fn promised(result: &str, tool: Option<&ToolEntry>, server: &str) -> Result<(), CallError> {
    let result =
        Object::parse(result).map_err(|e| ask::broken(server, format!("`result` of a task: {e}")))?;
    let Some(tool) = tool.filter(|_| result.get("isError") != Some("true")) else {
        return Ok(());
    };
    let Err(issues) = tool.check_output(result.get("structuredContent")) else {
        return Ok(());
    };
    let problem = match issues.first() {
        Some(issue) if issue.pointer.is_empty() => issue.message.clone(),
        Some(issue) => format!("{}: {}", issue.pointer, issue.message),
        None => String::new(),
    };
    Err(CallError::new(
        ErrorCode::UpstreamError,
        format!("the result does not fit the output schema that the tool declares: {problem}. The tool ran."),
    )
    .with_rule("schema.output")
    .maybe_ran())
}

/// Tells whether two texts differ, within this process.
pub(super) fn hash(text: &str) -> u64 {
    static KEYS: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    let mut hasher = KEYS.build_hasher();
    hasher.write(text.as_bytes());
    hasher.finish()
}
