//! The configuration file is taken over, and taken back, by whoever knows configurations.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use ferromcp_protocol::json::Object;
use serde_json::Value;

use crate::refusal::{Code, Refusal};
use crate::route::{Admin, Answer};
use crate::tenants::parsed;

/// What a reload comes to: the plan that is in force now, as JSON.
pub type Reloading<'a> = Pin<Box<dyn Future<Output = Result<Value, NotReloaded>> + Send + 'a>>;

/// What is to be taken over, and how.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wanted {
    /// The text of a configuration; without, that of the file.
    pub config: Option<String>,
    /// Take it back if calls fail.
    pub watch: Option<Watch>,
}

/// When a configuration is taken back by itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Watch {
    /// For how long calls are looked at.
    pub time: Duration,
    /// The part of them that may fail, 0 to 1.
    pub rollback_on: f64,
}

/// Longest time that calls are looked at.
pub const MAX_WATCH: Duration = Duration::from_secs(600);

/// Takes over the configuration file. Records what came of it.
pub trait Reload: Send + Sync {
    /// Asked for by this principal.
    fn reload<'a>(&'a self, principal: &'a str, wanted: Wanted) -> Reloading<'a>;

    /// What a reload would change; `config` as in [`Wanted`].
    fn plan(&self, config: Option<String>) -> Reloading<'_>;

    /// How many reloads were carried out and refused: `{"done","refused"}`.
    fn counts(&self) -> Value;

    /// Takes back the configuration of this number, or the one before the last.
    fn roll_back<'a>(&'a self, principal: &'a str, to: Option<u64>) -> Reloading<'a>;

    /// Another process takes this one's place. What it comes to: `{"pid","version","took_ms"}`.
    fn upgrade<'a>(&'a self, principal: &'a str) -> Reloading<'a>;

    /// The configurations that can be taken back.
    fn generations(&self) -> Reloading<'_>;
}

impl fmt::Debug for dyn Reload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reload")
    }
}

/// Why a configuration was not taken over. Nothing has changed.
#[derive(Clone, Debug)]
pub struct NotReloaded {
    /// Stable id of the reason: `reload.invalid`, `reload.restart`, `reload.server`, `reload.generation`,
    /// `reload.config`.
    pub rule: &'static str,
    /// All of it, for people.
    pub message: String,
}

/// `POST /admin/v1/reload`, with nothing or `{"config"?, "watch_ms"?, "rollback_on"?}`.
pub(crate) async fn reload(admin: &Admin, principal: &str, body: &[u8]) -> Result<Answer, Refusal> {
    let mut wanted = Wanted::default();
    let (mut time, mut bound) = (None, None);
    for (key, value) in members(body, "`config`, `watch_ms` and `rollback_on`")? {
        let wrong = |what: &str| Err(invalid(&format!("`{key}` must be {what}")).at(&format!("/{key}")));
        match key.as_str() {
            "config" => match value.as_str() {
                Some(text) => wanted.config = Some(text.to_owned()),
                None => return wrong("the text of a configuration"),
            },
            "watch_ms" => match value.as_u64().map(Duration::from_millis) {
                Some(ms) if !ms.is_zero() && ms <= MAX_WATCH => time = Some(ms),
                _ => return wrong("a number of milliseconds from 1 to 600000"),
            },
            "rollback_on" => match value.as_f64() {
                Some(part) if (0.0..1.0).contains(&part) => bound = Some(part),
                _ => return wrong("the part of calls that may fail: at least 0 and less than 1"),
            },
            _ => return Err(unknown(&key, "`config`, `watch_ms` and `rollback_on`")),
        }
    }
    wanted.watch = match (time, bound) {
        (None, None) => None,
        (Some(time), Some(rollback_on)) => Some(Watch { time, rollback_on }),
        _ => return Err(invalid("`watch_ms` and `rollback_on` go together")),
    };
    answered(with(admin)?.reload(principal, wanted).await)
}

/// `POST /admin/v1/plan`, with nothing or `{"config"}`.
pub(crate) async fn plan(admin: &Admin, body: &[u8]) -> Result<Answer, Refusal> {
    let mut config = None;
    for (key, value) in members(body, "`config`")? {
        match (key.as_str(), value.as_str()) {
            ("config", Some(text)) => config = Some(text.to_owned()),
            ("config", None) => {
                return Err(invalid("`config` must be the text of a configuration").at("/config"));
            }
            _ => return Err(unknown(&key, "`config`")),
        }
    }
    answered(with(admin)?.plan(config).await)
}

fn invalid(message: &str) -> Refusal {
    Refusal::new(Code::InvalidRequest, "admin.body", message)
}

fn unknown(key: &str, known: &str) -> Refusal {
    let shown: String = key.chars().take(64).collect();
    invalid(&format!("unknown field `{shown}`; there is {known}"))
}

/// The members of a body that may be left out.
fn members(body: &[u8], known: &str) -> Result<serde_json::Map<String, Value>, Refusal> {
    match body.trim_ascii() {
        [] => Ok(serde_json::Map::new()),
        body => {
            let text = std::str::from_utf8(body)
                .map_err(|_| invalid(&format!("the body is not UTF-8; it may have {known}")))?;
            // A member that is there twice could be read in two ways.
            Object::parse(text.trim()).map_err(|e| invalid(&e.to_string()))?;
            parsed(text)
        }
    }
}

/// `POST /admin/v1/rollback`, with `{"to": NUMBER}` or nothing.
pub(crate) async fn roll_back(admin: &Admin, principal: &str, body: &[u8]) -> Result<Answer, Refusal> {
    let members = members(body, "`to`")?;
    if let Some(other) = members.keys().find(|key| *key != "to") {
        return Err(unknown(other, "`to`"));
    }
    let to = match members.get("to") {
        None => None,
        Some(to) => Some(to.as_u64().ok_or_else(|| {
            invalid("`to` must be the number of a generation; GET /admin/v1/generations lists them").at("/to")
        })?),
    };
    answered(with(admin)?.roll_back(principal, to).await)
}

/// `POST /admin/v1/upgrade`, with nothing.
pub(crate) async fn upgrade(admin: &Admin, principal: &str, body: &[u8]) -> Result<Answer, Refusal> {
    if !body.trim_ascii().is_empty() && body.trim_ascii() != b"{}" {
        return Err(invalid("an upgrade takes no body"));
    }
    let Some(reload) = &admin.reload else {
        let message = "this server was started without a configuration file: send SIGUSR2 to it";
        return Err(Refusal::new(Code::Conflict, "reload.file", message));
    };
    answered(reload.upgrade(principal).await)
}

/// `GET /admin/v1/generations`.
pub(crate) async fn generations(admin: &Admin) -> Result<Answer, Refusal> {
    let generations = with(admin)?.generations().await;
    answered(generations.map(|generations| serde_json::json!({ "generations": generations })))
}

fn with(admin: &Admin) -> Result<&Arc<dyn Reload>, Refusal> {
    admin.reload.as_ref().ok_or_else(|| {
        let message = "this server was started without a configuration file, so there is nothing to reload";
        Refusal::new(Code::Conflict, "reload.file", message)
    })
}

fn answered(done: Result<Value, NotReloaded>) -> Result<Answer, Refusal> {
    done.map(Answer::ok)
        .map_err(|refused| Refusal::new(Code::Conflict, refused.rule, refused.message))
}
