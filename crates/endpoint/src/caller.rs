//! The way back from a running call to an MCP client.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ferromcp_core::client::AskFuture;
use ferromcp_core::{CallError, Client, ErrorCode, InputRequest, Interaction, LogMessage, Progress};
use ferromcp_protocol::{ClientCapabilities, LogLevel, ProtocolVersion, json};

use crate::capability;
use crate::incoming::Outlet;
use crate::render;
use crate::session::{NotAsked, QuestionGuard, Session};

/// The client of one request.
pub(crate) struct Caller<'a> {
    pub(crate) outlet: &'a dyn Outlet,
    pub(crate) version: ProtocolVersion,
    pub(crate) capabilities: &'a ClientCapabilities,
    pub(crate) name: Option<&'a str>,
    pub(crate) interaction: Interaction,
    /// Raw JSON progress token.
    pub(crate) token: Option<&'a str>,
    /// Least level of log messages.
    pub(crate) log_level: Option<LogLevel>,
    pub(crate) session: Option<&'a Arc<Session>>,
    pub(crate) max_questions: usize,
    /// Bits of the last progress value; see [`NO_PROGRESS`].
    pub(crate) last: AtomicU64,
}

/// Stands for "no progress was reported yet": the bits of negative infinity.
pub(crate) const NO_PROGRESS: u64 = f64::NEG_INFINITY.to_bits();

impl Caller<'_> {
    /// Progress must increase (basic/utilities/progress); a report that does not is dropped.
    fn advances(&self, progress: f64) -> bool {
        if !progress.is_finite() {
            return false;
        }
        self.last
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| {
                (progress > f64::from_bits(last)).then_some(progress.to_bits())
            })
            .is_ok()
    }
}

impl Client for Caller<'_> {
    fn capabilities(&self) -> &ClientCapabilities {
        self.capabilities
    }

    fn name(&self) -> Option<&str> {
        self.name
    }

    fn interaction(&self) -> Interaction {
        self.interaction
    }

    fn speaks_mcp(&self) -> bool {
        true
    }

    fn conversation(&self) -> Option<usize> {
        self.session.map(|session| Arc::as_ptr(session).addr())
    }

    fn wants_progress(&self) -> bool {
        self.token.is_some() && self.outlet.can_send()
    }

    fn progress(&self, report: &Progress<'_>) {
        let Some(token) = self.token else { return };
        if !self.wants_progress() || !self.advances(report.progress) {
            return;
        }
        let mut params = Vec::with_capacity(96);
        params.extend_from_slice(b"{\"progressToken\":");
        params.extend_from_slice(token.as_bytes());
        params.extend_from_slice(b",\"progress\":");
        write_number(&mut params, report.progress);
        if let Some(total) = report.total.filter(|t| t.is_finite()) {
            params.extend_from_slice(b",\"total\":");
            write_number(&mut params, total);
        }
        if let Some(message) = report.message.filter(|_| self.version.has_progress_message()) {
            params.extend_from_slice(b",\"message\":");
            json::write_str(&mut params, message);
        }
        params.push(b'}');
        // A lost report does no harm: the next one says more.
        let _ = self
            .outlet
            .send(render::notification_raw("notifications/progress", &params));
    }

    fn wants_log(&self, level: LogLevel) -> bool {
        self.log_level.is_some_and(|least| level >= least) && self.outlet.can_send()
    }

    fn log(&self, message: &LogMessage<'_>) {
        if !self.wants_log(message.level) {
            return;
        }
        let mut params = Vec::with_capacity(96 + message.data.len());
        params.extend_from_slice(b"{\"level\":\"");
        params.extend_from_slice(message.level.as_str().as_bytes());
        params.push(b'"');
        if let Some(logger) = message.logger {
            params.extend_from_slice(b",\"logger\":");
            json::write_str(&mut params, logger);
        }
        params.extend_from_slice(b",\"data\":");
        params.extend_from_slice(message.data.as_bytes());
        params.push(b'}');
        let _ = self
            .outlet
            .send(render::notification_raw("notifications/message", &params));
    }

    fn notify(&self, method: &str, params: &str) {
        if self.outlet.can_send() {
            let _ = self
                .outlet
                .send(render::notification_raw(method, params.as_bytes()));
        }
    }

    fn ask<'b>(&'b self, request: &'b InputRequest) -> AskFuture<'b> {
        Box::pin(self.question(request))
    }

    fn release_stream(&self) {
        self.outlet.release_stream();
    }
}

impl Caller<'_> {
    async fn question(&self, request: &InputRequest) -> Result<Box<str>, CallError> {
        let refused = |what: String| CallError::new(ErrorCode::InvalidRequest, what);
        let Some(session) = self.session.filter(|_| self.interaction == Interaction::Direct) else {
            return Err(refused(
                "this client cannot be asked for input while a request runs".into(),
            ));
        };
        if !capability::can_ask(request.kind, self.capabilities, self.version) {
            return Err(refused(format!(
                "the tool needs the client to declare the capability {}",
                capability::needed(request.kind)
            ))
            .with_rule("client.capability"));
        }
        let guard = session.question(self.max_questions).map_err(|why| match why {
            NotAsked::Full(max) => CallError::new(
                ErrorCode::Unavailable,
                format!("{max} questions to this client are open already; answer them first"),
            )
            .with_rule("session.max_questions"),
            NotAsked::Closed => gone(),
        })?;
        let mut open = Open {
            guard,
            outlet: self.outlet,
            waiting: false,
        };
        if !self.outlet.send(render::request(
            open.guard.id,
            request.kind.method(),
            &request.params,
        )) {
            return Err(CallError::new(
                ErrorCode::Unavailable,
                "the question could not be sent to the client",
            ));
        }
        open.waiting = true;
        let answer = open.guard.answer().await;
        open.waiting = false;
        match answer {
            Some(Ok(result)) => Ok(result),
            Some(Err(error)) => Err(CallError::rpc(error)),
            None => Err(gone()),
        }
    }
}

fn gone() -> CallError {
    CallError::new(
        ErrorCode::Unavailable,
        "the client cannot answer questions any more: its input has ended",
    )
}

/// A question that was sent; tells the client if nobody waits for the answer any more.
struct Open<'a> {
    guard: QuestionGuard,
    outlet: &'a dyn Outlet,
    waiting: bool,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if self.waiting {
            let params = format!(
                "{{\"requestId\":{},\"reason\":\"the request that needed the answer has ended\"}}",
                self.guard.id
            );
            let _ = self.outlet.send(render::notification_raw(
                "notifications/cancelled",
                params.as_bytes(),
            ));
        }
    }
}

/// Whole numbers are written without a fraction.
fn write_number(out: &mut Vec<u8>, number: f64) {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "whole and below 2^53: exact as i64"
    )]
    if number.fract() == 0.0 && number.abs() < 9e15 {
        out.extend_from_slice(itoa::Buffer::new().format(number as i64).as_bytes());
    } else {
        out.extend_from_slice(number.to_string().as_bytes());
    }
}
