//! Finding out what a server speaks, and the handshake (2026-07-28 basic/versioning and basic/transports/stdio,
//! "Backward Compatibility"; 2025-11-25 basic/lifecycle).

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use ferromcp_protocol::capability::TASKS_EXTENSION;
use ferromcp_protocol::json::{self, Object};
use ferromcp_protocol::{Era, ProtocolVersion, RpcError, code};
use http::StatusCode;
use tokio::time::timeout;

use crate::fault::Fault;
use crate::link::{Link, Outgoing};
use crate::session::ask;
use crate::wire;

/// How long `server/discover` may go unanswered before `initialize` is tried as well: an old server may ignore what it
/// does not know, and so may one that is still starting.
const PROBE: Duration = Duration::from_secs(3);

/// What a server said of itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) tools: bool,
    pub(crate) resources: bool,
    pub(crate) prompts: bool,
    pub(crate) completions: bool,
    /// It tells of changes to these.
    pub(crate) tools_changed: bool,
    pub(crate) resources_changed: bool,
    pub(crate) prompts_changed: bool,
    /// It tells of changes to single resources.
    pub(crate) subscribe: bool,
    /// It takes the level of log messages (up to 2025-11-25).
    pub(crate) logging: bool,
    /// It makes tasks: the extension of 2026-07-28.
    pub(crate) tasks: bool,
    /// It makes tasks of calls: 2025-11-25.
    pub(crate) legacy_tasks: bool,
    pub(crate) instructions: Option<String>,
}

/// A finished handshake.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) version: ProtocolVersion,
    pub(crate) facts: Facts,
}

/// Why there is no session.
#[derive(Debug)]
pub(crate) enum Unopened {
    /// The child did not survive the probe: start it again and speak the legacy dialect.
    AgainLegacy,
    /// It takes no POST at its address, as servers of the oldest kind: try that transport.
    OldTransport(Fault),
    Failed(Fault),
}

impl From<Fault> for Unopened {
    fn from(fault: Fault) -> Self {
        Self::Failed(fault)
    }
}

/// Opens a connection. `era`: what is known to be spoken; `None` to find out.
pub(crate) async fn open(link: &Link, era: Option<Era>) -> Result<Opened, Unopened> {
    match (era, link) {
        (Some(Era::Legacy), Link::Stdio(_)) => Ok(initialize(link).await?),
        (Some(Era::Legacy), Link::Http(_)) => initialize(link).await.map_err(old_transport),
        (Some(Era::Modern), _) => match verdict(discover(link).await)? {
            Verdict::Modern(opened) => Ok(opened),
            Verdict::Legacy => Err(Fault::Protocol(
                "it does not speak MCP 2026-07-28; set its `era` to `auto` or `legacy`".into(),
            )
            .into()),
        },
        (None, Link::Stdio(_)) => probe_pipe(link).await,
        (None, Link::Http(_)) => probe_http(link).await,
    }
}

enum Verdict {
    Modern(Opened),
    Legacy,
}

/// What the answer to `server/discover` says about the dialect.
fn verdict(answer: Result<Opened, Fault>) -> Result<Verdict, Fault> {
    match answer {
        Ok(opened) => Ok(Verdict::Modern(opened)),
        Err(Fault::Rpc(error)) => match error.code {
            code::UNSUPPORTED_VERSION => match speaks_legacy(&error) {
                true => Ok(Verdict::Legacy),
                false => Err(Fault::Rpc(error)),
            },
            // Only modern servers know these, so there is nothing to fall back to.
            code::HEADER_MISMATCH | code::MISSING_CLIENT_CAPABILITY => Err(Fault::Rpc(error)),
            _ => Ok(Verdict::Legacy),
        },
        // Old servers answer what they do not know, or what comes before `initialize`, in many ways.
        Err(Fault::Status { status, .. }) if !is_final(status) => Ok(Verdict::Legacy),
        Err(Fault::Protocol(_)) => Ok(Verdict::Legacy),
        Err(fault) => Err(fault),
    }
}

/// Statuses that `initialize` would get as well.
fn is_final(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    )
}

fn speaks_legacy(error: &RpcError) -> bool {
    offers(error, |version| !version.is_modern())
}

/// Whether the error lists a version that is wanted.
fn offers(error: &RpcError, wanted: impl Fn(ProtocolVersion) -> bool) -> bool {
    let supported = || {
        let data = Object::parse(error.data.as_deref()?).ok()?;
        json::elements(data.get("supported")?, 100).ok()
    };
    supported().is_some_and(|versions| {
        let mut known = versions
            .into_iter()
            .filter_map(json::decode_str)
            .filter_map(|v| ProtocolVersion::parse(&v));
        known.any(&wanted)
    })
}

/// Over a pipe the two questions can be open at the same time: whichever is answered well decides.
async fn probe_pipe(link: &Link) -> Result<Opened, Unopened> {
    let mut discovering = pin!(discover(link));
    if let Ok(answer) = timeout(PROBE, &mut discovering).await {
        return match verdict(answer) {
            Ok(Verdict::Modern(opened)) => Ok(opened),
            Ok(Verdict::Legacy) => Ok(initialize(link).await?),
            Err(Fault::Gone { .. }) => Err(Unopened::AgainLegacy),
            Err(fault) => Err(fault.into()),
        };
    }
    let mut initializing = pin!(initialize(link));
    let mut undiscovered = false;
    let mut failed: Option<Fault> = None;
    loop {
        tokio::select! {
            answer = &mut discovering, if !undiscovered => match verdict(answer) {
                Ok(Verdict::Modern(opened)) => return Ok(opened),
                Ok(Verdict::Legacy) => undiscovered = true,
                Err(Fault::Gone { .. }) => return Err(Unopened::AgainLegacy),
                Err(fault) => return Err(fault.into()),
            },
            answer = &mut initializing, if failed.is_none() => match answer {
                Ok(opened) => return Ok(opened),
                Err(Fault::Gone { .. }) => return Err(Unopened::AgainLegacy),
                Err(fault) => failed = Some(fault),
            },
        }
        if undiscovered && let Some(fault) = failed.take() {
            return Err(fault.into());
        }
    }
}

async fn probe_http(link: &Link) -> Result<Opened, Unopened> {
    // Getting a token takes as long as it takes, and the request has a limit of its own.
    let probe = match link {
        Link::Http(http) if http.has_auth() => Duration::MAX,
        _ => PROBE,
    };
    match timeout(probe, discover(link)).await {
        Ok(answer) => match verdict(answer)? {
            Verdict::Modern(opened) => Ok(opened),
            Verdict::Legacy => initialize(link).await.map_err(old_transport),
        },
        Err(_) => initialize(link).await.map_err(old_transport),
    }
}

async fn discover(link: &Link) -> Result<Opened, Fault> {
    let version = ProtocolVersion::V2026_07_28;
    if let Link::Http(http) = link {
        http.dress(Some(version), None);
    }
    let result = match ask(link, version, "server/discover", "").await {
        // Refused and offered in one breath, as by a node that is being replaced: asked once more.
        Err(Fault::Rpc(error))
            if error.code == code::UNSUPPORTED_VERSION && offers(&error, |v| v == version) =>
        {
            ask(link, version, "server/discover", "").await?
        }
        other => other?,
    };
    let object = parse(&result)?;
    let supported = object
        .get("supportedVersions")
        .and_then(|raw| json::elements(raw, 100).ok());
    let supported = supported.ok_or_else(|| bad("`server/discover` without `supportedVersions`"))?;
    if supported
        .iter()
        .filter_map(|raw| json::decode_str(raw))
        .any(|v| v == version.as_str())
    {
        return Ok(Opened {
            version,
            facts: facts(&object, true)?,
        });
    }
    let data = format!("{{\"supported\":[{}]}}", supported.join(","));
    let text = format!("it speaks {}, of which we know none", supported.join(", "));
    Err(Fault::Rpc(
        RpcError::new(code::UNSUPPORTED_VERSION, text).with_data(data),
    ))
}

/// The legacy handshake; over HTTP it opens a session.
pub(crate) async fn initialize(link: &Link) -> Result<Opened, Fault> {
    let result = match link {
        Link::Stdio(stdio) => {
            stdio.initializing();
            ask(
                link,
                ProtocolVersion::LATEST_LEGACY,
                "initialize",
                wire::INITIALIZE,
            )
            .await?
        }
        Link::Http(http) => {
            let id = link.next_id();
            let body = wire::request(
                id,
                "initialize",
                wire::INITIALIZE,
                ProtocolVersion::LATEST_LEGACY,
                "",
            );
            let request = Outgoing {
                id,
                method: "initialize",
                name: None,
                params: Vec::new(),
                body,
                cancellable: false,
            };
            let (result, session) = http.initialize(request).await?;
            let version = version(&parse(&result)?)?;
            http.dress(Some(version), session);
            result
        }
    };
    let object = parse(&result)?;
    let version = version(&object)?;
    let facts = facts(&object, false)?;
    link.notify("notifications/initialized", "").await?;
    Ok(Opened { version, facts })
}

/// Servers of the oldest kind take no POST at this address (2025-11-25 basic/transports, "Backwards Compatibility").
fn old_transport(fault: Fault) -> Unopened {
    match fault {
        Fault::Status {
            status: StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED,
            ..
        } => Unopened::OldTransport(fault),
        other => Unopened::Failed(other),
    }
}

/// What is said if the oldest transport is not there either.
pub(crate) fn no_transport(fault: Fault) -> Fault {
    match fault {
        Fault::Status {
            status: status @ (StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED),
            ..
        } => Fault::Protocol(format!(
            "it answered HTTP {} to `initialize`, and has no event stream: no MCP endpoint is at this `url` (often the \
             path is `/mcp`)",
            status.as_u16()
        )),
        other => other,
    }
}

fn version(result: &Object<'_>) -> Result<ProtocolVersion, Fault> {
    let given = result
        .get_str("protocolVersion")
        .ok_or_else(|| bad("`initialize` without `protocolVersion`"))?;
    match ProtocolVersion::parse(&given) {
        Some(version) if !version.is_modern() => Ok(version),
        _ => {
            let shown: String = given.chars().take(50).collect();
            Err(bad(&format!(
                "it wants to speak revision `{}`, which is not known here",
                shown.escape_debug()
            )))
        }
    }
}

fn facts(result: &Object<'_>, modern: bool) -> Result<Facts, Fault> {
    let capabilities = match result.get("capabilities") {
        Some(raw) => Object::parse(raw).map_err(|e| bad(&format!("`capabilities`: {e}")))?,
        None => Object::default(),
    };
    let part = |name: &str| {
        capabilities
            .get(name)
            .map(|raw| Object::parse(raw).unwrap_or_default())
    };
    let says = |name: &str, what: &str| part(name).is_some_and(|object| object.get(what) == Some("true"));
    Ok(Facts {
        tools: part("tools").is_some(),
        resources: part("resources").is_some(),
        prompts: part("prompts").is_some(),
        completions: part("completions").is_some(),
        tools_changed: says("tools", "listChanged"),
        resources_changed: says("resources", "listChanged"),
        prompts_changed: says("prompts", "listChanged"),
        subscribe: says("resources", "subscribe"),
        logging: !modern && part("logging").is_some(),
        tasks: modern && part("extensions").is_some_and(|all| all.get(TASKS_EXTENSION).is_some()),
        legacy_tasks: !modern && makes_tasks(part("tasks")),
        instructions: result.get_str("instructions").map(|text| text.into_owned()),
    })
}

/// Whether calls of tools can be tasks (2025-11-25 basic/utilities/tasks, "Server Capabilities").
fn makes_tasks(tasks: Option<Object<'_>>) -> bool {
    let calls = || {
        let requests = Object::parse(tasks?.get("requests")?).ok()?;
        let tools = Object::parse(requests.get("tools")?).ok()?;
        tools.get("call").map(|_| ())
    };
    calls().is_some()
}

/// Checks a raw result and splits it.
pub(crate) fn parse(result: &Bytes) -> Result<Object<'_>, Fault> {
    let text = json::validate(result).map_err(|e| bad(&e.to_string()))?;
    Object::parse(text).map_err(|e| bad(&e.to_string()))
}

fn bad(what: &str) -> Fault {
    Fault::Protocol(what.to_owned())
}
