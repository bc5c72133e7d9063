//! What a server says without being asked: changes, progress, logs, and requests of its own.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use ferromcp_core::{CallContext, Gateway, LogMessage, Progress};
use ferromcp_protocol::json::Object;
use ferromcp_protocol::{LogLevel, Message, Notification, Request, RpcError, code};
use tokio::sync::Notify;

use crate::ask::{self, Question};
use crate::loose;
use crate::session::Session;
use crate::tasks::{self, Book};

/// Something that happened during a call, on its way to the caller.
#[derive(Debug)]
pub(crate) enum Happening {
    Progress {
        progress: f64,
        total: Option<f64>,
        message: Option<String>,
    },
    Log {
        level: LogLevel,
        logger: Option<String>,
        data: String,
    },
    /// The user has done what a URL elicitation was for: the raw params (revision 2025-11-25).
    Elicited(String),
}

impl Happening {
    pub(crate) fn tell(&self, cx: &CallContext<'_>) {
        match self {
            Self::Progress {
                progress,
                total,
                message,
            } => {
                cx.progress(&Progress {
                    progress: *progress,
                    total: *total,
                    message: message.as_deref(),
                });
            }
            Self::Log { level, logger, data } => {
                cx.log(&LogMessage {
                    level: *level,
                    logger: logger.as_deref(),
                    data,
                });
            }
            // Later revisions have no such notification.
            Self::Elicited(params)
                if cx.call.version.has_url_elicitation() && !cx.call.version.is_modern() =>
            {
                cx.call
                    .client
                    .notify("notifications/elicitation/complete", params);
            }
            Self::Elicited(_) => {}
        }
    }
}

/// Lists that a server has said to have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lists(u8);

impl Lists {
    pub(crate) const NONE: Self = Self(0);
    pub(crate) const TOOLS: Self = Self(1);
    pub(crate) const RESOURCES: Self = Self(2);
    pub(crate) const PROMPTS: Self = Self(4);
    pub(crate) const ALL: Self = Self(7);

    pub(crate) const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// Collects changes until somebody looks.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    lists: AtomicU8,
    pub(crate) bell: Notify,
}

impl Changes {
    pub(crate) fn add(&self, lists: Lists) {
        self.lists.fetch_or(lists.0, Ordering::AcqRel);
        self.bell.notify_one();
    }

    pub(crate) fn take(&self) -> Lists {
        Lists(self.lists.swap(0, Ordering::AcqRel))
    }
}

/// Counts what is wrong with a server's output, and logs it ever more rarely.
#[derive(Debug, Default)]
pub(crate) struct Nonsense(AtomicU64);

impl Nonsense {
    pub(crate) fn note(&self, server: &str, what: &str, shown: &[u8]) {
        let count = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        if count.is_power_of_two() {
            let shown = String::from_utf8_lossy(&shown[..shown.len().min(200)]);
            tracing::warn!(
                target: "ferromcp::server",
                server, count, shown = %shown.escape_debug(),
                "{what}; ignored"
            );
        }
    }
}

/// One ear per server connection.
#[derive(Debug)]
pub(crate) struct Ear {
    /// Of the connection, among all of this process.
    pub(crate) number: u64,
    pub(crate) tasks: Arc<Book>,
    pub(crate) name: Arc<str>,
    pub(crate) gateway: Weak<Gateway>,
    pub(crate) changes: Changes,
    pub(crate) nonsense: Nonsense,
    /// Set once the connection is open.
    pub(crate) session: OnceLock<Weak<Session>>,
}

/// What the connection has to do about a message.
#[derive(Debug)]
pub(crate) enum Heard {
    /// It is dealt with.
    Nothing,
    /// Belongs to the request with this id.
    Progress(u64, Happening),
    /// Belongs to whatever call the connection can tell it does.
    Told(Happening),
    /// Asks the caller of such a call.
    Question(Question),
    /// The question with this raw id needs no answer any more.
    Withdrawn(Box<str>),
    /// Send this back.
    Reply(Vec<u8>),
}

impl Ear {
    /// Deals with the result of a request that nobody waits for any more: if it is a new task, nobody wants that either.
    pub(crate) fn answered_late(&self, result: &str) {
        let Ok(object) = Object::parse(result) else { return };
        let task = if object.get_str("resultType").as_deref() == Some("task") {
            Some(object)
        } else {
            // Revision 2025-11-25.
            object.get("task").and_then(|task| Object::parse(task).ok())
        };
        let session = self.session.get().and_then(Weak::upgrade);
        if let (Some(task), Some(session)) = (task, session)
            && let Some(id) = task.get_str("taskId")
        {
            tasks::forget_at(session, (*id).into());
        }
    }

    /// Deals with a valid message that is no response.
    pub(crate) fn hear(&self, message: &Message<'_>) -> Heard {
        match message {
            Message::Notification(notification) => self.notification(notification),
            Message::Request(request) => self.request(request),
            Message::Response(_) => Heard::Nothing,
        }
    }

    fn notification(&self, heard: &Notification<'_>) -> Heard {
        match &*heard.method {
            "notifications/progress" => progress(&heard.params).unwrap_or(Heard::Nothing),
            "notifications/message" => log(&heard.params).map_or(Heard::Nothing, Heard::Told),
            "notifications/tools/list_changed" => self.changed(Lists::TOOLS),
            "notifications/resources/list_changed" => self.changed(Lists::RESOURCES),
            "notifications/prompts/list_changed" => self.changed(Lists::PROMPTS),
            "notifications/resources/updated" => {
                if let (Some(gateway), Some(uri)) = (self.gateway.upgrade(), heard.params.get_str("uri")) {
                    gateway.resource_updated(&self.name, &uri);
                }
                Heard::Nothing
            }
            "notifications/elicitation/complete" => {
                let params = heard.params_raw.unwrap_or("{}").to_owned();
                Heard::Told(Happening::Elicited(params))
            }
            "notifications/cancelled" => match heard.params.get("requestId") {
                Some(id) => Heard::Withdrawn(id.into()),
                None => Heard::Nothing,
            },
            "notifications/tasks" => {
                self.tasks.heard(self.number, &heard.params);
                Heard::Nothing
            }
            // The answers to our subscriptions; what is in force shows in what comes.
            "notifications/subscriptions/acknowledged" => Heard::Nothing,
            other => {
                tracing::debug!(target: "ferromcp::server", server = %self.name, method = other, "notification ignored");
                Heard::Nothing
            }
        }
    }

    fn changed(&self, lists: Lists) -> Heard {
        self.changes.add(lists);
        Heard::Nothing
    }

    fn request(&self, heard: &Request<'_>) -> Heard {
        let mut out = Vec::with_capacity(256);
        if heard.method == "ping" {
            out.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"id\":");
            out.extend_from_slice(heard.id.as_bytes());
            out.extend_from_slice(b",\"result\":{}}");
            return Heard::Reply(out);
        }
        if ask::is_relayed(&heard.method) {
            return Heard::Question(Question {
                id: heard.id.into(),
                method: heard.method.as_ref().into(),
                params: heard.params_raw.unwrap_or("{}").into(),
                others: Vec::new(),
            });
        }
        let method: String = heard.method.chars().take(100).collect();
        tracing::debug!(target: "ferromcp::server", server = %self.name, method, "request refused");
        let text = format!("this gateway does not answer `{method}`: it declared no such capability.");
        ferromcp_protocol::error::write_error_response(
            &mut out,
            Some(heard.id),
            &RpcError::new(code::METHOD_NOT_FOUND, text),
        );
        Heard::Reply(out)
    }

    /// A log message that no call can be named for.
    pub(crate) fn log_here(&self, happening: &Happening) {
        if let Happening::Log { level, logger, data } = happening {
            let data = &data[..data.floor_char_boundary(2000)];
            tracing::debug!(
                target: "ferromcp::server",
                server = %self.name, level = level.as_str(), logger = logger.as_deref(), data,
                "log of the server"
            );
        }
    }
}

fn progress(params: &Object<'_>) -> Option<Heard> {
    let token = params.get("progressToken")?.parse().ok()?;
    let happening = Happening::Progress {
        progress: params.get("progress")?.parse().ok()?,
        total: params.get("total").and_then(|raw| raw.parse().ok()),
        message: params.get_str("message").map(|text| text.into_owned()),
    };
    Some(Heard::Progress(token, happening))
}

fn log(params: &Object<'_>) -> Option<Happening> {
    Some(Happening::Log {
        level: LogLevel::parse(&params.get_str("level")?)?,
        logger: params.get_str("logger").map(|text| text.into_owned()),
        data: params.get("data").unwrap_or("null").to_owned(),
    })
}

/// Reads a message. `Err` says what is wrong, and with which id if that can be made out.
pub(crate) fn read(text: &str) -> Result<Message<'_>, (Option<u64>, String)> {
    Message::parse_str(text).map_err(|e| (loose::id(text.as_bytes()), e.error.message))
}
