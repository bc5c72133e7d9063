//! `logging/setLevel` (legacy server/utilities/logging).

use ferromcp_protocol::LogLevel;

use crate::answer::Answer;
use crate::cx::Cx;

pub(super) fn run(cx: &Cx<'_, '_>) -> Answer {
    let level = match cx.required_str("level") {
        Ok(level) => level,
        Err(answer) => return answer,
    };
    let Some(level) = LogLevel::parse(&level) else {
        let known: Vec<&str> = LogLevel::ALL.iter().map(|l| l.as_str()).collect();
        return cx.invalid(format!("`params.level` must be one of {}", known.join(", ")));
    };
    if let Some(session) = cx.session {
        session.set_log_level(level, cx.endpoint.gateway.want_logs(level));
    }
    cx.result(b"")
}
