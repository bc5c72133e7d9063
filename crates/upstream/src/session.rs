//! A server that has been spoken to: what it is, and calls to it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use ferromcp_core::{CallContext, CallError, Operation, Reply};
use ferromcp_protocol::{LogLevel, ProtocolVersion, code, json};
use tokio::time::timeout;

use crate::converse::Halted;
use crate::fault::Fault;
use crate::link::{Link, Outgoing};
use crate::opening::Facts;
use crate::relay::Extra;
use crate::rounds::{Brought, Turn};
use crate::tasks::Shown;
use crate::{ask, relay, rounds, tasks, wire};

/// An opened connection.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) name: Arc<str>,
    pub(crate) link: Link,
    pub(crate) version: ProtocolVersion,
    pub(crate) facts: Facts,
    /// Of the connection, among all of this process.
    pub(crate) number: u64,
    pub(crate) level: Level,
}

/// The level of log messages that a legacy server was told last.
#[derive(Debug, Default)]
pub(crate) struct Level(Mutex<Option<LogLevel>>);

impl Level {
    /// Notes what is told next. False if that is known there already.
    fn set(&self, wanted: LogLevel, only_more: bool) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let news = match *told {
            None => true,
            Some(told) => wanted < told || wanted > told && !only_more,
        };
        if news {
            *told = Some(wanted);
        }
        news
    }

    /// The server knows nothing: it has another session.
    pub(crate) fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Time for telling a server which log messages are wanted.
const LEVEL_TIME: Duration = Duration::from_secs(5);

/// How far a call came.
#[derive(Debug)]
pub(crate) enum Called {
    Over(Reply),
    /// It stands still until its caller comes back.
    Waits(Box<Halted>),
    /// It goes on as a task, which its caller can have.
    Task(Box<Shown>),
}

impl Session {
    /// Tells a legacy server which log messages are wanted, if that is news to it. `only_more`: not if it is fewer.
    pub(crate) async fn tell_level(&self, wanted: Option<LogLevel>, only_more: bool) {
        let Some(wanted) = wanted.filter(|_| self.facts.logging) else {
            return;
        };
        if !self.level.set(wanted, only_more) {
            return;
        }
        let members = format!("\"level\":\"{}\"", wanted.as_str());
        match timeout(LEVEL_TIME, self.ask("logging/setLevel", &members)).await {
            Ok(Ok(_)) => {}
            Ok(Err(fault)) => {
                tracing::debug!(target: "ferromcp::server", server = %self.name, %fault, "the log level was not taken");
            }
            Err(_) => {
                tracing::debug!(target: "ferromcp::server", server = %self.name, "no answer to the log level");
            }
        }
    }

    /// Relays a call.
    pub(crate) async fn call(self: &Arc<Self>, cx: &CallContext<'_>) -> Result<Called, CallError> {
        let brought = match cx.call.input {
            None => None,
            Some(input) if self.version.is_modern() => Some(rounds::brought(&self.name, input)?),
            Some(input) => {
                rounds::visited(&self.name, input)?;
                None
            }
        };
        let ended = if self.facts.legacy_tasks && tasks::legacy_required(cx.tool) {
            Box::pin(tasks::legacy_call(self, cx)).await?
        } else {
            self.attempt(cx, brought.as_ref()).await?
        };
        let mut turn = match ended {
            Err(Fault::Waits(halted)) => return Ok(Called::Waits(halted)),
            ended => self.finish(cx, ended)?,
        };
        if let Turn::Wants(wanted) = turn {
            // Boxed, so that the common case stays small.
            turn = Box::pin(rounds::go_on(self, cx, wanted)).await?;
        }
        match turn {
            Turn::Over(reply) => Ok(Called::Over(reply)),
            Turn::Task(made) if tasks::can_have(cx) => Ok(Called::Task(Box::new(made))),
            Turn::Task(made) => Box::pin(tasks::to_the_end(self, cx, made))
                .await
                .map(Called::Over),
            // Only callers who can be asked get this far.
            Turn::Wants(_) => Err(ask::broken(&self.name, "it asked for input once too often")),
        }
    }

    /// One exchange of a call. A tool that has to be a task is called as one for callers who cannot say that they take
    /// tasks; the refusal says that it has not run.
    async fn attempt(
        &self,
        cx: &CallContext<'_>,
        brought: Option<&Brought>,
    ) -> Result<Result<Bytes, Fault>, CallError> {
        let extra = match self.facts.tasks && tasks::can_have(cx) {
            true => Extra::Tasks,
            false => Extra::Nothing,
        };
        match self.exchange(cx, brought, extra).await? {
            Err(fault) if self.facts.tasks && tasks::is_followed(cx) && tasks::is_wanted(&fault) => {
                Box::pin(self.exchange(cx, brought, Extra::Tasks)).await
            }
            ended => Ok(ended),
        }
    }

    /// One round of a call to a server that ends a round where it asks.
    pub(crate) async fn round(
        &self,
        cx: &CallContext<'_>,
        brought: Option<&Brought>,
    ) -> Result<Turn, CallError> {
        let ended = self.attempt(cx, brought).await?;
        self.finish(cx, ended)
    }

    /// What an exchange comes to by the way it ended.
    pub(crate) fn finish(
        &self,
        cx: &CallContext<'_>,
        ended: Result<Bytes, Fault>,
    ) -> Result<Turn, CallError> {
        match ended {
            Ok(result) => relay::turn(self, result, cx),
            Err(Fault::Rpc(error)) => {
                if let Some(reply) = rounds::visits(&self.name, &error, cx) {
                    return Ok(Turn::Over(reply));
                }
                let error = relay::error_code(error, cx, self.version);
                if error.code == code::MISSING_CLIENT_CAPABILITY && cx.call.version.is_modern() {
                    // It was told what this caller can do, and says what it lacks.
                    return Err(CallError::rpc(error));
                }
                Err(Fault::Rpc(error).into_call_error(&self.name))
            }
            Err(fault) => Err(fault.into_call_error(&self.name)),
        }
    }

    pub(crate) async fn exchange(
        &self,
        cx: &CallContext<'_>,
        brought: Option<&Brought>,
        extra: Extra,
    ) -> Result<Result<Bytes, Fault>, CallError> {
        let id = self.link.next_id();
        let http = matches!(self.link, Link::Http(_)) && self.version.is_modern();
        let request = Outgoing {
            id,
            method: cx.call.operation.method(),
            name: match cx.call.operation {
                Operation::CallTool | Operation::GetPrompt | Operation::ReadResource => Some(cx.local_name),
                _ => None,
            },
            params: if http {
                relay::param_headers(cx)?
            } else {
                Vec::new()
            },
            body: relay::request(id, cx, self.version, brought, extra)?,
            cancellable: true,
        };
        Ok(self.link.request(request, Some(cx)).await)
    }

    /// A request about a task of the server's, for a call. What happens meanwhile goes to its caller.
    pub(crate) async fn task(
        &self,
        cx: &CallContext<'_>,
        method: &'static str,
        task: &str,
        answers: Option<&str>,
    ) -> Result<Bytes, Fault> {
        let id = self.link.next_id();
        let body = relay::about_task(id, cx, self.version, method, task, answers)
            .map_err(|error| Fault::Protocol(error.message().to_owned()))?;
        let request = Outgoing {
            id,
            method,
            name: Some(task),
            params: Vec::new(),
            body,
            cancellable: true,
        };
        self.link.request(request, Some(cx)).await
    }

    /// The same of our own.
    pub(crate) async fn ask_about(&self, method: &str, task: &str) -> Result<Bytes, Fault> {
        let members = format!("\"taskId\":{}", json::quote(task));
        self.ask_with_tasks(method, Some(task), &members).await
    }

    /// A request of our own that belongs to the tasks extension.
    pub(crate) async fn ask_with_tasks(
        &self,
        method: &str,
        name: Option<&str>,
        members: &str,
    ) -> Result<Bytes, Fault> {
        let id = self.link.next_id();
        let request = Outgoing {
            id,
            method,
            name,
            params: Vec::new(),
            body: wire::request(id, method, members, self.version, wire::TASKS),
            cancellable: true,
        };
        self.link.request(request, None).await
    }

    /// A request of our own. `members`: raw members of `params` without braces.
    pub(crate) async fn ask(&self, method: &str, members: &str) -> Result<Bytes, Fault> {
        ask(&self.link, self.version, method, members).await
    }
}

pub(crate) async fn ask(
    link: &Link,
    version: ProtocolVersion,
    method: &str,
    members: &str,
) -> Result<Bytes, Fault> {
    let id = link.next_id();
    let request = Outgoing {
        id,
        method,
        name: None,
        params: Vec::new(),
        body: wire::request(id, method, members, version, ""),
        // Opening requests must not be cancelled (2025-11-25 basic/utilities/cancellation).
        cancellable: !matches!(method, "initialize" | "server/discover"),
    };
    link.request(request, None).await
}
