//! `POST /admin/v1/reload`: the configuration file is taken over by whoever knows configurations.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use serde_json::Value;

use crate::refusal::{Code, Refusal};
use crate::route::{Admin, Answer};

/// What a reload comes to: the plan that is in force now, as JSON.
pub type Reloading<'a> = Pin<Box<dyn Future<Output = Result<Value, NotReloaded>> + Send + 'a>>;

/// Takes over the configuration file. Records what came of it.
pub trait Reload: Send + Sync {
    /// Asked for by this principal.
    fn reload<'a>(&'a self, principal: &'a str) -> Reloading<'a>;
}

impl fmt::Debug for dyn Reload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reload")
    }
}

/// Why a configuration was not taken over. Nothing has changed.
#[derive(Clone, Debug)]
pub struct NotReloaded {
    /// Stable id of the reason: `reload.invalid`, `reload.restart`, `reload.server`, `reload.file`.
    pub rule: &'static str,
    /// All of it, for people.
    pub message: String,
}

/// Carries it out.
pub(crate) async fn reload(admin: &Admin, principal: &str) -> Result<Answer, Refusal> {
    let Some(reload) = &admin.reload else {
        let message = "this server was started without a configuration file, so there is nothing to reload";
        return Err(Refusal::new(Code::Conflict, "reload.file", message));
    };
    match reload.reload(principal).await {
        Ok(plan) => Ok(Answer::ok(plan)),
        Err(refused) => Err(Refusal::new(Code::Conflict, refused.rule, refused.message)),
    }
}
