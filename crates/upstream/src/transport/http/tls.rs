//! Whom to trust.

use std::sync::{Arc, OnceLock};

use hyper_rustls::ConfigBuilderExt;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::TlsSpec;

/// Trusts what the system trusts; if the system has no root certificates (a bare container), those of Mozilla.
pub(super) fn system_trust() -> Result<ClientConfig, String> {
    static CONFIG: OnceLock<ClientConfig> = OnceLock::new();
    if let Some(config) = CONFIG.get() {
        return Ok(config.clone());
    }
    let config = match builder()?.with_native_roots() {
        Ok(builder) => builder.with_no_client_auth(),
        Err(error) => {
            tracing::warn!(
                "no usable root certificates on this system ({error}); using the built-in ones of Mozilla"
            );
            builder()?.with_webpki_roots().with_no_client_auth()
        }
    };
    Ok(CONFIG.get_or_init(|| config).clone())
}

/// By the settings of a server.
pub(super) fn trust(spec: &TlsSpec) -> Result<ClientConfig, String> {
    if spec.ca.is_none() && spec.identity.is_none() {
        return system_trust();
    }
    let mut roots = RootCertStore::empty();
    // What the system has malformed is its own affair.
    for certificate in system_roots() {
        let _ = roots.add(certificate);
    }
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    if let Some(ca) = &spec.ca {
        let before = roots.len();
        for certificate in CertificateDer::pem_slice_iter(ca.expose().as_bytes()) {
            let certificate = certificate.map_err(|e| format!("`tls.ca` holds no certificates: {e}"))?;
            roots
                .add(certificate)
                .map_err(|e| format!("`tls.ca`: a certificate cannot be used: {e}"))?;
        }
        if roots.len() == before {
            return Err("`tls.ca` holds no certificates (PEM)".to_owned());
        }
    }
    let builder = builder()?.with_root_certificates(roots);
    let Some(identity) = &spec.identity else {
        return Ok(builder.with_no_client_auth());
    };
    let pem = identity.expose().as_bytes();
    let chain = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| format!("`tls.cert` holds no certificates: {e}"))?;
    let key =
        PrivateKeyDer::from_pem_slice(pem).map_err(|_| "`tls.key` holds no private key (PEM)".to_owned())?;
    builder
        .with_client_auth_cert(chain, key)
        .map_err(|e| format!("`tls.cert` and `tls.key` cannot be used: {e}"))
}

fn system_roots() -> Vec<CertificateDer<'static>> {
    rustls_native_certs::load_native_certs().certs
}

/// For plain `http`: trusts nobody, and is never used, because redirects to `https` are not followed.
pub(super) fn no_trust() -> Result<ClientConfig, String> {
    Ok(builder()?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth())
}

fn builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, String> {
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| format!("TLS cannot be set up: {e}"))
}
