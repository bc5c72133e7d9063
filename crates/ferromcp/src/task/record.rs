//! One task: its state, and how clients see it.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use ferromcp_core::time::rfc3339;
use ferromcp_core::{Payload, Principal, ToolEntry};
use ferromcp_protocol::{RpcError, json};
use futures_util::task::AtomicWaker;
use tokio::time::Instant;

use super::TaskLimits;
use crate::content::member;
use crate::context::Asked;

pub(super) struct Record {
    pub(super) id: Arc<str>,
    pub(super) owner: Principal,
    pub(super) end: Instant,
    /// The tool, for its output schema.
    pub(super) tool: Option<Arc<ToolEntry>>,
    created: SystemTime,
    limits: TaskLimits,
    state: Mutex<State>,
    cancelled: AtomicBool,
    /// Whoever runs the task.
    pub(super) runner: AtomicWaker,
}

struct State {
    status: Status,
    message: Option<String>,
    updated: SystemTime,
    outstanding: Vec<Asked>,
    /// Keys that were ever used.
    keys: HashSet<String>,
}

pub(super) enum Status {
    Working,
    Completed(Payload),
    Failed(RpcError),
    Cancelled,
}

impl Record {
    pub(super) fn new(
        id: Arc<str>,
        owner: Principal,
        limits: TaskLimits,
        end: Instant,
        tool: Option<Arc<ToolEntry>>,
    ) -> Self {
        let now = SystemTime::now();
        Self {
            id,
            owner,
            end,
            tool,
            created: now,
            limits,
            state: Mutex::new(State {
                status: Status::Working,
                message: None,
                updated: now,
                outstanding: Vec::new(),
                keys: HashSet::new(),
            }),
            cancelled: AtomicBool::new(false),
            runner: AtomicWaker::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a question to the client.
    pub(super) fn ask(&self, mut asked: Asked) {
        let mut state = self.state();
        let wanted = asked.request.key.clone();
        let mut number = 1;
        while !state.keys.insert(asked.request.key.clone()) {
            number += 1;
            asked.request.key = format!("{wanted}-{number}");
        }
        state.outstanding.push(asked);
        state.updated = SystemTime::now();
    }

    /// Takes an answer. Unknown and already answered keys are ignored; an answer that does not fit
    /// the question leaves it open.
    pub(super) fn answer(&self, key: &str, raw: String) -> Result<(), String> {
        let mut state = self.state();
        let Some(place) = state.outstanding.iter().position(|a| a.request.key == key) else {
            return Ok(());
        };
        if let Err(reason) = state.outstanding[place].check.run(&raw) {
            return Err(format!(
                "the answer to `{key}` does not fit the question: {reason}"
            ));
        }
        let asked = state.outstanding.remove(place);
        state.updated = SystemTime::now();
        drop(state);
        // The handler may have lost interest.
        let _ = asked.reply.send(Ok(raw.into()));
        Ok(())
    }

    /// Questions whose handler no longer waits are withdrawn. True if there were any.
    pub(super) fn withdraw_unheard(&self) -> bool {
        let mut state = self.state();
        let before = state.outstanding.len();
        state.outstanding.retain(|asked| !asked.reply.is_closed());
        state.outstanding.len() != before
    }

    /// Sets the line that people see while the task works. True if it is new.
    pub(super) fn say(&self, message: String) -> bool {
        let mut state = self.state();
        if state.message.as_deref() == Some(message.as_str()) {
            return false;
        }
        state.message = Some(message);
        state.updated = SystemTime::now();
        true
    }

    /// Ends the task, unless it has ended.
    pub(super) fn finish(&self, status: Status) {
        let dropped = {
            let mut state = self.state();
            if !matches!(state.status, Status::Working) {
                return;
            }
            state.status = status;
            state.updated = SystemTime::now();
            std::mem::take(&mut state.outstanding)
        };
        drop(dropped);
    }

    pub(super) fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
        self.runner.wake();
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    /// The task without what depends on its status.
    pub(super) fn show(&self) -> String {
        let state = self.state();
        text(self.open(&state))
    }

    /// The whole task, as `tasks/get` and notifications carry it.
    pub(super) fn detail(&self) -> String {
        let state = self.state();
        let mut out = self.open(&state);
        out.pop();
        match &state.status {
            Status::Working if !state.outstanding.is_empty() => {
                out.extend_from_slice(b",\"inputRequests\":{");
                for (i, asked) in state.outstanding.iter().enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    json::write_str(&mut out, &asked.request.key);
                    out.extend_from_slice(b":{\"method\":");
                    json::write_str(&mut out, asked.request.kind.method());
                    out.extend_from_slice(b",\"params\":");
                    out.extend_from_slice(asked.request.params.as_bytes());
                    out.push(b'}');
                }
                out.push(b'}');
            }
            Status::Completed(payload) => {
                out.extend_from_slice(b",\"result\":");
                out.extend_from_slice(payload.as_bytes());
            }
            Status::Failed(error) => {
                out.extend_from_slice(b",\"error\":");
                error.write(&mut out);
            }
            Status::Working | Status::Cancelled => {}
        }
        out.push(b'}');
        text(out)
    }

    fn open(&self, state: &State) -> Vec<u8> {
        let status = match &state.status {
            Status::Working if state.outstanding.is_empty() => "working",
            Status::Working => "input_required",
            Status::Completed(_) => "completed",
            Status::Failed(_) => "failed",
            Status::Cancelled => "cancelled",
        };
        let mut out = Vec::with_capacity(256);
        out.extend_from_slice(b"{\"taskId\":");
        json::write_str(&mut out, &self.id);
        member(&mut out, "status", status);
        if let Some(message) = &state.message {
            member(&mut out, "statusMessage", message);
        }
        member(&mut out, "createdAt", &rfc3339(self.created));
        member(&mut out, "lastUpdatedAt", &rfc3339(state.updated));
        let (ttl, poll) = (
            self.limits.ttl.as_millis().max(1),
            self.limits.poll_interval.as_millis().max(1),
        );
        out.extend_from_slice(format!(",\"ttlMs\":{ttl},\"pollIntervalMs\":{poll}}}").as_bytes());
        out
    }
}

/// Only whole JSON texts were appended.
fn text(out: Vec<u8>) -> String {
    String::from_utf8(out).unwrap_or_default()
}
