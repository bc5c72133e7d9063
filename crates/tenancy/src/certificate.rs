//! Client certificates: which tenant's they are. The TLS layer has verified the chain; here only names are compared.

use globset::{GlobBuilder, GlobMatcher};

/// Most names of one certificate that are looked at; more match nothing.
pub const MAX_NAMES: usize = 64;

/// What a client certificate that was verified says about its owner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateNames {
    /// The subject as RFC 4514 writes it (`CN=client,O=Company A`), with its escapes, so that no value can pretend to be
    /// two.
    pub subject: String,
    /// DNS names.
    pub dns: Vec<String>,
    /// URIs, as SPIFFE ids are.
    pub uris: Vec<String>,
    /// Mail addresses.
    pub emails: Vec<String>,
    /// When it ends, in Unix seconds: after that it is refused, also on a connection that is still open.
    pub expires: u64,
}

impl CertificateNames {
    /// What audit calls the owner: the first URI, DNS name or address, or the subject.
    pub(crate) fn principal(&self) -> &str {
        let first = self.uris.first().or(self.dns.first()).or(self.emails.first());
        first.unwrap_or(&self.subject)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Subject,
    Dns,
    Uri,
    Email,
}

/// Whether this is a rule for client certificates: `subject:GLOB`, `dns:GLOB`, `uri:GLOB` or `email:GLOB`.
///
/// # Errors
/// What is wrong with it.
pub fn check_certificate_rule(text: &str) -> Result<(), String> {
    CertificateRule::parse(text).map(|_| ())
}

/// `subject:GLOB`, `dns:GLOB`, `uri:GLOB` or `email:GLOB`. `*` matches any characters. DNS names are compared without
/// regard to case.
#[derive(Debug)]
pub(crate) struct CertificateRule {
    field: Field,
    glob: GlobMatcher,
}

impl CertificateRule {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (field, pattern) = text.split_once(':').unwrap_or(("", text));
        let field = match field {
            "subject" => Field::Subject,
            "dns" => Field::Dns,
            "uri" => Field::Uri,
            "email" => Field::Email,
            _ => return Err("begin with `subject:`, `dns:`, `uri:` or `email:`".to_owned()),
        };
        if pattern.is_empty() || pattern.len() > crate::acl::MAX_PATTERN_BYTES {
            return Err(format!(
                "behind the colon there must be 1 to {} bytes",
                crate::acl::MAX_PATTERN_BYTES
            ));
        }
        let glob = GlobBuilder::new(pattern)
            .backslash_escape(true)
            .case_insensitive(field == Field::Dns)
            .build()
            .map_err(|error| format!("this is no glob: {}", error.kind()))?;
        let glob = glob.compile_matcher();
        Ok(Self { field, glob })
    }

    pub(crate) fn matches(&self, names: &CertificateNames) -> bool {
        let candidates = match self.field {
            Field::Subject => std::slice::from_ref(&names.subject),
            Field::Dns => &names.dns,
            Field::Uri => &names.uris,
            Field::Email => &names.emails,
        };
        candidates.len() <= MAX_NAMES
            && candidates
                .iter()
                .any(|name| !name.is_empty() && self.glob.is_match(name.as_str()))
    }
}
