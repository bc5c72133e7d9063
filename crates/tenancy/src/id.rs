//! Names of tenants.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use crate::reason::shown;

/// Longest tenant id.
pub const MAX_ID_BYTES: usize = 64;

/// The id of a tenant: a lower-case letter or digit, then at most 63 of those and `.`, `_`, `-`. Plain ASCII, so that no
/// two ids look alike, and safe in file names, metric labels and headers.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TenantId(Arc<str>);

/// Why a text is no tenant id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text} is no tenant id: {problem} (allowed: a-z, 0-9, then also . _ -; at most {MAX_ID_BYTES} characters)"
)]
pub struct IdError {
    /// The text, shortened and quoted.
    pub text: String,
    /// What is wrong with it, and where.
    pub problem: String,
}

impl TenantId {
    /// Checks a text.
    ///
    /// # Errors
    /// With the first character that cannot be in an id.
    pub fn new(text: &str) -> Result<Self, IdError> {
        let error = |problem: String| IdError {
            text: shown(text),
            problem,
        };
        if text.is_empty() {
            return Err(error("it is empty".to_owned()));
        }
        let stranger = text
            .char_indices()
            .find(|(index, character)| !may_stand(*index, *character));
        if let Some((index, character)) = stranger {
            return Err(error(format!("it has {character:?} at position {}", index + 1)));
        }
        if text.len() > MAX_ID_BYTES {
            return Err(error(format!("it has {} characters", text.len())));
        }
        Ok(Self(text.into()))
    }

    /// Whether a text is an id.
    pub(crate) fn is_valid(text: &str) -> bool {
        !text.is_empty()
            && text.len() <= MAX_ID_BYTES
            && text
                .char_indices()
                .all(|(index, character)| may_stand(index, character))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id as text that can be shared.
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

fn may_stand(index: usize, character: char) -> bool {
    match character {
        'a'..='z' | '0'..='9' => true,
        '.' | '_' | '-' => index > 0,
        _ => false,
    }
}

impl Borrow<str> for TenantId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TenantId({})", self.0)
    }
}
