//! What a token says, once its signature is verified.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::id::TenantId;
use crate::jwt::settings::{JwtSettings, TenantSource};
use crate::jwt::verifier::Verified;
use crate::reason::{Denied, Rule, shown};

const MAX_SUBJECT_BYTES: usize = 256;
const MAX_SCOPES: usize = 256;
/// Deepest path to a claim.
const MAX_PATH: usize = 8;

/// Checks the claims; the signature must have been verified.
pub(super) fn check(
    claims: &Map<String, Value>,
    settings: &JwtSettings,
    now: u64,
) -> Result<Verified, Denied> {
    if claims.get("iss").and_then(Value::as_str) != Some(&settings.issuer) {
        return Err(Denied::new(
            Rule::JwtIssuer,
            "the token is from another issuer than the one configured",
        ));
    }
    if !is_for(claims.get("aud"), &settings.audiences) {
        return Err(Denied::new(
            Rule::JwtAudience,
            "the token is for another audience; ask the issuer for one for this server",
        ));
    }
    let expires = time(claims, "exp")?.ok_or_else(|| malformed("the token has no `exp`"))?;
    let not_before = time(claims, "nbf")?.unwrap_or(0);
    let leeway = settings.leeway.as_secs();
    let verified = Verified {
        tenant: tenant(claims, &settings.tenant)?,
        subject: subject(claims, &settings.subject_claim)?,
        scopes: scopes(claims, &settings.scopes_claim)?,
        good_from: not_before.saturating_sub(leeway),
        good_until: expires.saturating_add(leeway),
    };
    verified.check_time(now)?;
    Ok(verified)
}

fn malformed(message: impl Into<String>) -> Denied {
    Denied::new(Rule::JwtMalformed, message)
}

fn is_for(audience: Option<&Value>, ours: &[String]) -> bool {
    let is_ours = |value: &Value| {
        value
            .as_str()
            .is_some_and(|text| ours.iter().any(|own| own == text))
    };
    match audience {
        Some(Value::Array(values)) => values.iter().any(is_ours),
        Some(value) => is_ours(value),
        None => false,
    }
}

/// A NumericDate: seconds since the epoch, perhaps with a fraction, which is cut.
fn time(claims: &Map<String, Value>, name: &str) -> Result<Option<u64>, Denied> {
    let Some(value) = claims.get(name) else {
        return Ok(None);
    };
    let seconds = value.as_u64().or_else(|| {
        let float = value.as_f64()?;
        // Beyond that, whole seconds are not exact any more; it is no time at all.
        (0.0..9e15).contains(&float).then_some(float as u64)
    });
    seconds
        .map(Some)
        .ok_or_else(|| malformed(format!("`{name}` of the token is no time")))
}

/// A claim by its whole name, or by a path of names.
fn find<'a>(claims: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(path) {
        return Some(value);
    }
    let mut names = path.split('.').take(MAX_PATH);
    let first = claims.get(names.next()?)?;
    names.try_fold(first, |value, name| value.get(name))
}

fn tenant(claims: &Map<String, Value>, source: &TenantSource) -> Result<TenantId, Denied> {
    let path = match source {
        TenantSource::Fixed(tenant) => return Ok(tenant.clone()),
        TenantSource::Claim(path) => path,
    };
    let text = find(claims, path).and_then(Value::as_str).ok_or_else(|| {
        let message = format!("the token has no string in its claim {}", shown(path));
        Denied::new(Rule::JwtNoTenant, message)
    })?;
    TenantId::new(text).map_err(|error| Denied::new(Rule::JwtNoTenant, error.to_string()))
}

fn subject(claims: &Map<String, Value>, path: &str) -> Result<Arc<str>, Denied> {
    let subject = find(claims, path).and_then(Value::as_str).unwrap_or_default();
    if subject.is_empty() || subject.len() > MAX_SUBJECT_BYTES || subject.contains(char::is_control) {
        return Err(malformed(format!(
            "the claim {} of the token must be a string of 1 to {MAX_SUBJECT_BYTES} bytes without control characters",
            shown(path)
        )));
    }
    Ok(subject.into())
}

fn scopes(claims: &Map<String, Value>, path: &str) -> Result<Arc<[String]>, Denied> {
    let scopes: Vec<String> = match find(claims, path) {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::String(text)) => text.split_ascii_whitespace().map(str::to_owned).collect(),
        Some(Value::Array(values)) => values
            .iter()
            .map(|value| value.as_str().map(str::to_owned))
            .collect::<Option<_>>()
            .ok_or_else(|| malformed("the scopes of the token are not all strings"))?,
        Some(_) => {
            return Err(malformed(
                "the scopes of the token are neither a string nor an array",
            ));
        }
    };
    if scopes.len() > MAX_SCOPES {
        return Err(malformed(format!("the token has more than {MAX_SCOPES} scopes")));
    }
    Ok(scopes.into())
}
