//! Why a caller is turned away.

use std::fmt;

/// The rules of authentication. Their ids are stable: they appear in errors, logs and audit records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// There is no credential where one is needed.
    Missing,
    /// Nobody has this API key, or it is not one.
    KeyUnknown,
    /// The API key has expired.
    KeyExpired,
    /// Not a token as RFC 7519 defines it, or over a bound.
    JwtMalformed,
    /// The algorithm of the token is not among those allowed.
    JwtAlgorithm,
    /// The token names a key that the key set does not have.
    JwtUnknownKey,
    /// The signature does not fit.
    JwtSignature,
    /// The token has expired.
    JwtExpired,
    /// The token is not valid yet.
    JwtNotYet,
    /// The token is from another issuer.
    JwtIssuer,
    /// The token is for another audience.
    JwtAudience,
    /// The token names no tenant.
    JwtNoTenant,
    /// No tenant has this client certificate.
    CertificateUnknown,
    /// More than one tenant claims this client certificate.
    CertificateAmbiguous,
    /// The client certificate has expired.
    CertificateExpired,
    /// There is no such tenant.
    TenantUnknown,
    /// The tenant is suspended.
    TenantSuspended,
    /// The caller may not act for the tenant that the request names.
    TenantActFor,
}

impl Rule {
    /// All rules.
    pub const ALL: [Self; 18] = [
        Self::Missing,
        Self::KeyUnknown,
        Self::KeyExpired,
        Self::JwtMalformed,
        Self::JwtAlgorithm,
        Self::JwtUnknownKey,
        Self::JwtSignature,
        Self::JwtExpired,
        Self::JwtNotYet,
        Self::JwtIssuer,
        Self::JwtAudience,
        Self::JwtNoTenant,
        Self::CertificateUnknown,
        Self::CertificateAmbiguous,
        Self::CertificateExpired,
        Self::TenantUnknown,
        Self::TenantSuspended,
        Self::TenantActFor,
    ];

    /// The stable id.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Missing => "auth.missing",
            Self::KeyUnknown => "auth.key.unknown",
            Self::KeyExpired => "auth.key.expired",
            Self::JwtMalformed => "auth.jwt.malformed",
            Self::JwtAlgorithm => "auth.jwt.algorithm",
            Self::JwtUnknownKey => "auth.jwt.unknown_key",
            Self::JwtSignature => "auth.jwt.signature",
            Self::JwtExpired => "auth.jwt.expired",
            Self::JwtNotYet => "auth.jwt.not_yet",
            Self::JwtIssuer => "auth.jwt.issuer",
            Self::JwtAudience => "auth.jwt.audience",
            Self::JwtNoTenant => "auth.jwt.no_tenant",
            Self::CertificateUnknown => "auth.certificate.unknown",
            Self::CertificateAmbiguous => "auth.certificate.ambiguous",
            Self::CertificateExpired => "auth.certificate.expired",
            Self::TenantUnknown => "auth.tenant.unknown",
            Self::TenantSuspended => "auth.tenant.suspended",
            Self::TenantActFor => "auth.tenant.act_for",
        }
    }

    /// Whether the caller proved who it is and is still turned away: doors answer 403 instead of 401.
    pub const fn is_forbidden(self) -> bool {
        matches!(
            self,
            Self::JwtNoTenant | Self::TenantUnknown | Self::TenantSuspended | Self::TenantActFor
        )
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

/// Why a caller was turned away.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} (rule {rule})")]
pub struct Denied {
    /// Which rule.
    pub rule: Rule,
    /// For people: what is wrong and what to do. Holds no part of a secret or token but the (shortened, quoted) names
    /// of its key, algorithm and tenant.
    pub message: String,
}

impl Denied {
    pub(crate) fn new(rule: Rule, message: impl Into<String>) -> Self {
        Self {
            rule,
            message: message.into(),
        }
    }

    /// No credential was shown.
    pub fn missing() -> Self {
        Self::new(
            Rule::Missing,
            "a credential is needed: send `Authorization: Bearer ...` or `X-Api-Key`",
        )
    }
}

/// At most 64 characters of what somebody sent, quoted and escaped.
pub(crate) fn shown(text: &str) -> String {
    let mut cut: String = text.chars().take(64).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    format!("{cut:?}")
}
