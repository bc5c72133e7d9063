//! Whom the client trusts, and the certificate that it shows.

use std::path::Path;
use std::sync::Arc;

use ferromcp_tls::Part;
use hyper_rustls::ConfigBuilderExt as _;
use rustls::{ClientConfig, RootCertStore};

use crate::args::Target;
use crate::exit::Failure;

/// What the arguments say.
pub(super) fn settings(target: &Target) -> Result<ClientConfig, Failure> {
    let identity = target.cert.as_deref().zip(target.key.as_deref());
    made(target.ca.as_deref(), identity)
}

/// Trusts what the system trusts, and shows nothing.
pub(crate) fn system() -> Result<ClientConfig, Failure> {
    made(None, None)
}

fn made(ca: Option<&Path>, identity: Option<(&Path, &Path)>) -> Result<ClientConfig, Failure> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| Failure::other("TLS cannot be set up", e))?;
    let builder = match ca {
        Some(path) => builder.with_root_certificates(roots(path)?),
        None => builder
            .with_native_roots()
            .map_err(|e| Failure::other("cannot read the system's certificates", e))?,
    };
    let Some((cert, key)) = identity else {
        return Ok(builder.with_no_client_auth());
    };
    let chain = ferromcp_tls::certificates(Part::Certificate, cert)
        .map_err(|e| Failure::Usage(format!("--cert {}: {}", cert.display(), e.problem)))?;
    let secret = ferromcp_tls::private_key(key)
        .map_err(|e| Failure::Usage(format!("--key {}: {}", key.display(), e.problem)))?;
    builder.with_client_auth_cert(chain, secret).map_err(|e| {
        Failure::Usage(format!(
            "--key {}: it cannot be used with --cert: {e}",
            key.display()
        ))
    })
}

fn roots(path: &Path) -> Result<RootCertStore, Failure> {
    let bad = |problem: &str| Failure::Usage(format!("--ca {}: {problem}", path.display()));
    let mut roots = RootCertStore::empty();
    for certificate in ferromcp_tls::certificates(Part::ClientCa, path).map_err(|e| bad(&e.problem))? {
        roots
            .add(certificate)
            .map_err(|e| bad(&format!("a certificate in it cannot be trusted: {e}")))?;
    }
    Ok(roots)
}
