//! Whom a client trusts, and the certificate that it shows.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hyper_rustls::ConfigBuilderExt as _;
use rustls::{ClientConfig, RootCertStore};

/// What is wrong with the TLS settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustError {
    /// What was read.
    pub part: Part,
    /// The file, if one is concerned.
    pub file: Option<PathBuf>,
    /// What is wrong with it.
    pub problem: String,
}

/// A part of the TLS settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Certificates of authorities that are trusted.
    Authorities,
    /// The client's certificate.
    Certificate,
    /// Its private key.
    Key,
    /// What this machine has: its certificates, its cryptography.
    System,
}

impl fmt::Display for TrustError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(file) => write!(f, "{}: {}", file.display(), self.problem),
            None => f.write_str(&self.problem),
        }
    }
}

impl std::error::Error for TrustError {}

/// TLS settings: trusts the authorities of a PEM file, else those of the system; shows a certificate (PEM files of it and its
/// key) if there is one.
///
/// # Errors
/// A file that is not what it should be, by name.
pub fn tls(ca: Option<&Path>, identity: Option<(&Path, &Path)>) -> Result<ClientConfig, TrustError> {
    let system = |problem: String| TrustError {
        part: Part::System,
        file: None,
        problem,
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| system(format!("TLS cannot be set up: {e}")))?;
    let builder = match ca {
        Some(path) => builder.with_root_certificates(roots(path)?),
        None => builder
            .with_native_roots()
            .map_err(|e| system(format!("cannot read the system's certificates: {e}")))?,
    };
    let Some((cert, key)) = identity else {
        return Ok(builder.with_no_client_auth());
    };
    let about = |part, file: &Path, problem: String| TrustError {
        part,
        file: Some(file.to_owned()),
        problem,
    };
    let chain = ferromcp_tls::certificates(ferromcp_tls::Part::Certificate, cert)
        .map_err(|e| about(Part::Certificate, cert, e.problem))?;
    let secret = ferromcp_tls::private_key(key).map_err(|e| about(Part::Key, key, e.problem))?;
    builder.with_client_auth_cert(chain, secret).map_err(|e| {
        about(
            Part::Key,
            key,
            format!("it cannot be used with the certificate: {e}"),
        )
    })
}

fn roots(path: &Path) -> Result<RootCertStore, TrustError> {
    let bad = |problem: String| TrustError {
        part: Part::Authorities,
        file: Some(path.to_owned()),
        problem,
    };
    let mut roots = RootCertStore::empty();
    let read = ferromcp_tls::certificates(ferromcp_tls::Part::ClientCa, path);
    for certificate in read.map_err(|e| bad(e.problem))? {
        roots
            .add(certificate)
            .map_err(|e| bad(format!("a certificate in it cannot be trusted: {e}")))?;
    }
    Ok(roots)
}

/// Settings for connections without TLS, for which nothing is read.
pub(crate) fn nobody() -> Result<ClientConfig, crate::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| crate::Error::Usage(format!("TLS cannot be set up: {e}")))?;
    Ok(builder
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth())
}
