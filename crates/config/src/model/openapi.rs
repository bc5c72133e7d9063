//! Servers that do not speak MCP: HTTP APIs that a document describes, and gRPC servers.

use std::path::PathBuf;

use url::Url;

use super::{OAuth, UpstreamTls};
use crate::secret::Secret;

/// An HTTP API.
#[derive(Clone, PartialEq, Eq)]
pub struct OpenApi {
    /// Its OpenAPI document.
    pub document: DocumentSource,
    /// Where its operations are called; may contain a secret. `None`: where the document says.
    pub base_url: Option<Url>,
    /// Headers of every request; names are valid and unique without regard to case, values are visible ASCII.
    pub headers: Vec<(String, Secret)>,
    /// Certificates.
    pub tls: UpstreamTls,
    /// How to get access tokens.
    pub oauth: Option<Box<OAuth>>,
}

/// Where a document is.
#[derive(Clone, PartialEq, Eq)]
pub enum DocumentSource {
    /// A file that existed when the configuration was read.
    File(PathBuf),
    /// An absolute http or https URL without user, password and fragment; may contain a secret.
    Url(Url),
}

impl std::fmt::Debug for OpenApi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("OpenApi")
            .field("document", &self.document)
            .field(
                "base_url",
                &self
                    .base_url
                    .as_ref()
                    .map(|url| url.origin().ascii_serialization()),
            )
            .field("headers", &names)
            .field("tls", &self.tls)
            .field("oauth", &self.oauth)
            .finish()
    }
}

impl std::fmt::Debug for DocumentSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Url(url) => f
                .debug_tuple("Url")
                .field(&url.origin().ascii_serialization())
                .finish(),
        }
    }
}

/// A gRPC server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grpc {
    /// Scheme, host and port.
    pub url: Url,
    /// A file of descriptors that existed when the configuration was read; the server is asked if `None`.
    pub descriptors: Option<PathBuf>,
    /// Full names of the services to offer; all if empty.
    pub services: Vec<String>,
    /// Metadata of every call; names are valid and unique without regard to case, values are visible ASCII.
    pub headers: Vec<(String, Secret)>,
    /// Certificates.
    pub tls: UpstreamTls,
}
