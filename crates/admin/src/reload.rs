//! The configuration file is taken over, and taken back, by whoever knows configurations.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde_json::Value;

use crate::refusal::{Code, Refusal};
use crate::route::{Admin, Answer};
use crate::tenants::parsed;

/// What a reload comes to: the plan that is in force now, as JSON.
pub type Reloading<'a> = Pin<Box<dyn Future<Output = Result<Value, NotReloaded>> + Send + 'a>>;

/// Takes over the configuration file. Records what came of it.
pub trait Reload: Send + Sync {
    /// Asked for by this principal.
    fn reload<'a>(&'a self, principal: &'a str) -> Reloading<'a>;

    /// Takes back the configuration of this number, or the one before the last.
    fn roll_back<'a>(&'a self, principal: &'a str, to: Option<u64>) -> Reloading<'a>;

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
    /// Stable id of the reason: `reload.invalid`, `reload.restart`, `reload.server`, `reload.generation`.
    pub rule: &'static str,
    /// All of it, for people.
    pub message: String,
}

/// `POST /admin/v1/reload`.
pub(crate) async fn reload(admin: &Admin, principal: &str) -> Result<Answer, Refusal> {
    answered(with(admin)?.reload(principal).await)
}

/// `POST /admin/v1/rollback`, with `{"to": NUMBER}` or nothing.
pub(crate) async fn roll_back(admin: &Admin, principal: &str, body: &[u8]) -> Result<Answer, Refusal> {
    let invalid = |message: &str| Refusal::new(Code::InvalidRequest, "admin.body", message);
    let to = match body.trim_ascii() {
        [] => None,
        body => {
            let text = std::str::from_utf8(body).map_err(|_| invalid("the body is not UTF-8"))?;
            let members = parsed(text)?;
            if let Some(other) = members.keys().find(|key| *key != "to") {
                let shown: String = other.chars().take(64).collect();
                return Err(invalid(&format!("unknown field `{shown}`; there is `to`")));
            }
            match members.get("to") {
                None => None,
                Some(to) => Some(to.as_u64().ok_or_else(|| {
                    invalid("`to` must be the number of a generation; GET /admin/v1/generations lists them")
                        .at("/to")
                })?),
            }
        }
    };
    answered(with(admin)?.roll_back(principal, to).await)
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
