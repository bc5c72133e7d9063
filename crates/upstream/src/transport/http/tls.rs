//! Whom to trust.

use std::sync::{Arc, OnceLock};

use hyper_rustls::ConfigBuilderExt;
use rustls::ClientConfig;

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

/// For plain `http`: trusts nobody, and is never used, because redirects to `https` are not followed.
pub(super) fn no_trust() -> Result<ClientConfig, String> {
    Ok(builder()?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth())
}

fn builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, String> {
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| format!("TLS cannot be set up: {e}"))
}
