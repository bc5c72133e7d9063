//! PEM files.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Largest file of certificates or keys, in bytes.
pub const MAX_FILE: u64 = 1 << 20;

/// Which of the files is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The certificate chain.
    Certificate,
    /// Its private key.
    Key,
    /// The certificates of the authorities that sign client certificates.
    ClientCa,
}

/// Why a file cannot be used. Never holds a part of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}; {hint}")]
pub struct TlsError {
    /// Which file.
    pub part: Part,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub hint: &'static str,
}

impl TlsError {
    pub(crate) fn new(part: Part, problem: impl Into<String>, hint: &'static str) -> Self {
        Self {
            part,
            problem: problem.into(),
            hint,
        }
    }
}

/// Reads a file of at most [`MAX_FILE`] bytes.
pub(crate) fn read(part: Part, path: &Path) -> Result<Vec<u8>, TlsError> {
    let unusable = |error: &std::io::Error| {
        TlsError::new(
            part,
            format!("the file cannot be read: {}", error.kind()),
            "correct the path (it is relative to the config file), or who may read the file",
        )
    };
    let file = File::open(path).map_err(|e| unusable(&e))?;
    // A pipe or a device might never end, or never begin.
    if !file.metadata().map_err(|e| unusable(&e))?.is_file() {
        return Err(TlsError::new(
            part,
            "the path is not a regular file",
            "name a file in PEM format",
        ));
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| unusable(&e))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(TlsError::new(
            part,
            format!("the file is larger than {} MiB", MAX_FILE >> 20),
            "leave only the certificates that are needed",
        ));
    }
    Ok(bytes)
}

/// The certificates of a PEM file, at least one, in its order.
///
/// # Errors
/// If the file cannot be read, has no certificate, or breaks off in one.
pub fn certificates(part: Part, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    certificates_in(part, &read(part, path)?)
}

pub(crate) fn certificates_in(part: Part, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(TlsError::new(
            part,
            "there is no certificate in the file",
            "it must be in PEM format: `-----BEGIN CERTIFICATE-----`",
        )),
        Err(_) => Err(TlsError::new(
            part,
            "the file is damaged: a PEM block in it cannot be read",
            "copy it again, whole, in PEM format",
        )),
    }
}

/// The first private key of a PEM file: PKCS#8, PKCS#1 or SEC1.
///
/// # Errors
/// If the file cannot be read, or has no key that is not encrypted.
pub fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    private_key_in(&read(Part::Key, path)?)
}

pub(crate) fn private_key_in(pem: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    if pem.windows(9).any(|word| word == b"ENCRYPTED") {
        return Err(TlsError::new(
            Part::Key,
            "the private key is encrypted",
            "decrypt it with `openssl pkey -in FILE -out KEY`, and let only the server's user read it",
        ));
    }
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| {
        TlsError::new(
            Part::Key,
            "there is no private key in the file",
            "it must be in PEM format: PKCS#8, PKCS#1 or SEC1, as in `-----BEGIN PRIVATE KEY-----`",
        )
    })
}
