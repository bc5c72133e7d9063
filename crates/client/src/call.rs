//! What is to be called.

use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::error::Error;

/// A call of a tool.
#[derive(Clone, Debug)]
pub struct Call {
    pub(crate) tool: String,
    pub(crate) arguments: Option<Box<RawValue>>,
    pub(crate) id: Option<String>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) tenant: Option<String>,
}

impl Call {
    /// With arguments that are written as JSON. A [`RawValue`] goes out as it is.
    ///
    /// # Errors
    /// [`Error::Usage`] if they cannot be written.
    pub fn new(tool: impl Into<String>, arguments: &impl Serialize) -> Result<Self, Error> {
        let arguments = serde_json::value::to_raw_value(arguments)
            .map_err(|e| Error::Usage(format!("the arguments cannot be written as JSON: {e}")))?;
        Ok(Self {
            arguments: Some(arguments),
            ..Self::bare(tool)
        })
    }

    /// Without arguments.
    pub fn bare(tool: impl Into<String>) -> Self {
        Self {
            tool: tool.into(),
            arguments: None,
            id: None,
            timeout: None,
            tenant: None,
        }
    }

    /// What other calls of a batch, and its answer, call it; at most 128 bytes. Says nothing outside of a batch.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// The longest that it may take; the server may have a lower bound. At least a millisecond.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout.max(Duration::from_millis(1)));
        self
    }

    /// The tenant to act for, where the caller's own may. Of calls in a batch, that of the batch counts.
    #[must_use]
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        self.tenant = Some(tenant.into());
        self
    }

    /// The arguments as they are sent; an empty object if there are none.
    pub(crate) fn arguments(&self) -> &str {
        self.arguments.as_deref().map_or("{}", RawValue::get)
    }
}

/// Calls that are sent together. See `docs/batch.md`.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    pub(crate) calls: Vec<Call>,
    pub(crate) parallel: u16,
    pub(crate) stop_on_error: bool,
    pub(crate) timeout: Option<Duration>,
    pub(crate) tenant: Option<String>,
}

impl Batch {
    /// No calls yet; one after the other.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a call.
    #[must_use]
    pub fn call(mut self, call: Call) -> Self {
        self.calls.push(call);
        self
    }

    /// How many run at the same time, 1 to 100.
    #[must_use]
    pub fn parallel(mut self, parallel: u16) -> Self {
        self.parallel = parallel;
        self
    }

    /// Calls that have not begun when one fails are not run.
    #[must_use]
    pub fn stop_on_error(mut self) -> Self {
        self.stop_on_error = true;
        self
    }

    /// The longest that all of it may take. At least a millisecond.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout.max(Duration::from_millis(1)));
        self
    }

    /// The tenant to act for, where the caller's own may.
    #[must_use]
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        self.tenant = Some(tenant.into());
        self
    }
}

/// Whole milliseconds, at least one.
pub(crate) fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1)
}
