//! What the API says when it does not do something.

use http::StatusCode;
use serde_json::{Value, json};

use crate::rules::Issue;

/// Error codes: those of the REST contract where they fit, and a few of HTTP's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    InvalidRequest,
    Unauthenticated,
    PermissionDenied,
    NotFound,
    MethodNotAllowed,
    Conflict,
    PreconditionFailed,
    PayloadTooLarge,
    UnsupportedMediaType,
    InvalidArguments,
    PreconditionRequired,
    Internal,
    Unavailable,
    Timeout,
}

impl Code {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::Unauthenticated => "unauthenticated",
            Self::PermissionDenied => "permission_denied",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::Conflict => "conflict",
            Self::PreconditionFailed => "precondition_failed",
            Self::PayloadTooLarge => "payload_too_large",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::InvalidArguments => "invalid_arguments",
            Self::PreconditionRequired => "precondition_required",
            Self::Internal => "internal",
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
        }
    }

    pub(crate) const fn status(self) -> StatusCode {
        match self {
            Self::InvalidRequest => StatusCode::BAD_REQUEST,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::PermissionDenied => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Conflict => StatusCode::CONFLICT,
            Self::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            Self::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::InvalidArguments => StatusCode::UNPROCESSABLE_ENTITY,
            Self::PreconditionRequired => StatusCode::PRECONDITION_REQUIRED,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Timeout => StatusCode::REQUEST_TIMEOUT,
        }
    }
}

/// One refusal.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) code: Code,
    pub(crate) rule: &'static str,
    pub(crate) message: String,
    pub(crate) issues: Vec<Issue>,
}

impl Refusal {
    pub(crate) fn new(code: Code, rule: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            rule,
            message: message.into(),
            issues: Vec::new(),
        }
    }

    /// At one place of the body.
    pub(crate) fn at(mut self, pointer: &str) -> Self {
        let message = self.message.clone();
        self.issues.push(Issue {
            pointer: pointer.to_owned(),
            message,
        });
        self
    }

    /// A document that breaks the rules of the configuration.
    pub(crate) fn document(issues: Vec<Issue>) -> Self {
        let message = match issues.as_slice() {
            [one] => format!("{}: {}", place(&one.pointer), one.message),
            all => format!("{} mistakes; see details.issues", all.len()),
        };
        Self {
            issues,
            ..Self::new(Code::InvalidArguments, "admin.document", message)
        }
    }

    /// For the audit log: where it is wrong, and no word of what was sent.
    pub(crate) fn note(&self) -> String {
        let places: Vec<&str> = self.issues.iter().take(5).map(|i| place(&i.pointer)).collect();
        if places.is_empty() {
            "refused".to_owned()
        } else {
            format!("refused at {}", places.join(", "))
        }
    }

    pub(crate) fn body(&self) -> Value {
        let mut error = json!({
            "code": self.code.as_str(),
            "message": self.message,
            "rule": self.rule,
        });
        if !self.issues.is_empty() {
            let issues: Vec<Value> = self
                .issues
                .iter()
                .map(|issue| json!({ "pointer": issue.pointer, "message": issue.message }))
                .collect();
            error["details"] = json!({ "issues": issues });
        }
        json!({ "success": false, "error": error })
    }
}

fn place(pointer: &str) -> &str {
    if pointer.is_empty() { "/" } else { pointer }
}
