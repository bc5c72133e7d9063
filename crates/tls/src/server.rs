//! The TLS settings of a server.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use rustls::crypto::{CryptoProvider, ring as provider};
use rustls::pki_types::CertificateDer;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{Error, InconsistentKeys, RootCertStore, ServerConfig};
use x509_parser::parse_x509_certificate;

use crate::files::{Part, TlsError, certificates_in, private_key_in, read};

/// Protocols that the server speaks above TLS, the preferred one first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Whether clients must have a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAuth {
    /// A client may show one; it must be good if it does.
    Optional,
    /// Nobody is let in without.
    #[default]
    Required,
}

/// The files of a server's certificate, and what is asked of clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerFiles {
    /// The certificate and those between it and its root, in PEM format.
    pub certificate: PathBuf,
    /// Its private key, in PEM format.
    pub key: PathBuf,
    /// Certificates of the authorities that sign client certificates, in PEM format. `None`: clients are not asked for
    /// one.
    pub client_ca: Option<PathBuf>,
    /// Says something only with `client_ca`.
    pub client_auth: ClientAuth,
    /// Refuse TLS 1.2.
    pub tls13_only: bool,
}

/// TLS settings that follow their files.
#[derive(Debug)]
pub struct ServerTls {
    files: ServerFiles,
    current: ArcSwap<ServerConfig>,
    /// What was last looked at, good or bad.
    seen: Mutex<Contents>,
}

/// What came of another look at the files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refresh {
    /// They are as they were.
    Unchanged,
    /// New connections use the new ones.
    Replaced {
        /// When the new certificate ends.
        ends: SystemTime,
    },
    /// The new ones are no good; the old ones stay in use.
    Refused(Vec<TlsError>),
}

impl ServerTls {
    /// Reads and checks the files.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn load(files: ServerFiles) -> Result<Self, Vec<TlsError>> {
        let contents = Contents::read(&files);
        let config = contents.settings(&files)?;
        Ok(Self {
            current: ArcSwap::from_pointee(config),
            seen: Mutex::new(contents),
            files,
        })
    }

    /// The settings for a new connection.
    pub fn current(&self) -> Arc<ServerConfig> {
        self.current.load_full()
    }

    /// Whether clients are asked for a certificate.
    pub fn asks_clients(&self) -> bool {
        self.files.client_ca.is_some()
    }

    /// Looks at the files again. Connections that are open go on as they are; sessions of before cannot be resumed after a
    /// change, so a client whose authority was taken out is asked again.
    pub fn refresh(&self) -> Refresh {
        let contents = Contents::read(&self.files);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == contents {
            return Refresh::Unchanged;
        }
        let made = contents.settings(&self.files);
        let ends = contents.end();
        *seen = contents;
        match made {
            Ok(config) => {
                self.current.store(Arc::new(config));
                Refresh::Replaced { ends }
            }
            Err(errors) => Refresh::Refused(errors),
        }
    }

    /// When the certificate that was last read ends.
    pub fn ends(&self) -> SystemTime {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).end()
    }
}

/// The bytes of the files, or why there are none.
#[derive(PartialEq, Eq)]
struct Contents {
    certificate: Result<Vec<u8>, TlsError>,
    /// The digest tells a change; the key itself is not kept.
    key: Result<[u8; 32], TlsError>,
    client_ca: Option<Result<Vec<u8>, TlsError>>,
}

impl std::fmt::Debug for Contents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Contents").finish_non_exhaustive()
    }
}

impl Contents {
    fn read(files: &ServerFiles) -> Self {
        let digest = |bytes: Vec<u8>| {
            let mut out = [0; 32];
            out.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, &bytes).as_ref());
            out
        };
        Self {
            certificate: read(Part::Certificate, &files.certificate),
            key: read(Part::Key, &files.key).map(digest),
            client_ca: files.client_ca.as_deref().map(|path| read(Part::ClientCa, path)),
        }
    }

    fn end(&self) -> SystemTime {
        let chain = self
            .certificate
            .as_ref()
            .ok()
            .and_then(|pem| certificates_in(Part::Certificate, pem).ok());
        let end = chain.and_then(|chain| end_of_certificate(chain.first()?));
        end.unwrap_or(UNIX_EPOCH)
    }

    fn settings(&self, files: &ServerFiles) -> Result<ServerConfig, Vec<TlsError>> {
        let provider = Arc::new(provider::default_provider());
        let mut errors = Vec::new();
        let chain = note(
            self.certificate
                .as_ref()
                .map_err(Clone::clone)
                .and_then(|pem| chain(pem)),
            &mut errors,
        );
        let key = note(
            read(Part::Key, &files.key).and_then(|pem| private_key_in(&pem)),
            &mut errors,
        );
        let verifier = match &self.client_ca {
            None => Some(WebPkiClientVerifier::no_client_auth()),
            Some(pem) => note(
                pem.as_ref()
                    .map_err(Clone::clone)
                    .and_then(|pem| verifier(pem, files.client_auth, &provider)),
                &mut errors,
            ),
        };
        let identity = match (chain, key) {
            (Some(chain), Some(key)) => note(
                CertifiedKey::from_der(chain, key, &provider).map_err(|e| misfit(&e)),
                &mut errors,
            ),
            _ => None,
        };
        let (Some(identity), Some(verifier)) = (identity, verifier) else {
            return Err(errors);
        };
        let versions: &[&rustls::SupportedProtocolVersion] = if files.tls13_only {
            &[&TLS13]
        } else {
            &[&TLS13, &TLS12]
        };
        let unusable = |e: &Error| {
            vec![TlsError::new(
                Part::Key,
                format!("TLS cannot be set up: {e}"),
                REPORT,
            )]
        };
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .map_err(|e| unusable(&e))?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(identity)));
        config.alpn_protocols = PROTOCOLS.iter().map(|name| name.to_vec()).collect();
        // Sessions are resumed without memory of ours: what a client needs for it, it keeps, sealed.
        config.ticketer = provider::Ticketer::new().map_err(|e| unusable(&e))?;
        Ok(config)
    }
}

const REPORT: &str = "this should not happen: please report it";

fn note<T>(result: Result<T, TlsError>, errors: &mut Vec<TlsError>) -> Option<T> {
    result.map_err(|error| errors.push(error)).ok()
}

fn chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain = certificates_in(Part::Certificate, pem)?;
    if chain.first().and_then(end_of_certificate).is_none() {
        return Err(TlsError::new(
            Part::Certificate,
            "the first certificate in the file is not one (X.509)",
            "put the server's own certificate first, then those that signed it",
        ));
    }
    Ok(chain)
}

fn verifier(
    pem: &[u8],
    auth: ClientAuth,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    for (index, certificate) in certificates_in(Part::ClientCa, pem)?.into_iter().enumerate() {
        roots.add(certificate).map_err(|_| {
            TlsError::new(
                Part::ClientCa,
                format!(
                    "certificate {} in the file cannot be used as an authority",
                    index + 1
                ),
                "the file must hold the certificates of authorities (X.509 version 3) and nothing else",
            )
        })?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let builder = match auth {
        ClientAuth::Optional => builder.allow_unauthenticated(),
        ClientAuth::Required => builder,
    };
    builder
        .build()
        .map_err(|e| TlsError::new(Part::ClientCa, format!("it cannot be used: {e}"), REPORT))
}

fn misfit(error: &Error) -> TlsError {
    if matches!(error, Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) {
        return TlsError::new(
            Part::Key,
            "the private key does not fit the certificate",
            "name the key that the certificate was made for; the server's own certificate must be the first in its file",
        );
    }
    TlsError::new(
        Part::Key,
        "the private key cannot be used",
        "make a key of RSA (2048 bits or more), ECDSA (P-256, P-384) or Ed25519",
    )
}

/// When the first certificate of a PEM file ends.
///
/// # Errors
/// If the file cannot be read, or has no certificate.
pub fn end_of(part: Part, path: &Path) -> Result<SystemTime, TlsError> {
    let found = certificates_in(part, &read(part, path)?)?;
    found.first().and_then(end_of_certificate).ok_or_else(|| {
        TlsError::new(
            part,
            "the first certificate in the file is not one (X.509)",
            "copy it again",
        )
    })
}

fn end_of_certificate(der: &CertificateDer<'_>) -> Option<SystemTime> {
    let (_, certificate) = parse_x509_certificate(der).ok()?;
    let end = certificate.validity().not_after.timestamp();
    let end = u64::try_from(end).unwrap_or_default();
    Some(UNIX_EPOCH + std::time::Duration::from_secs(end))
}

#[cfg(test)]
mod tests;
