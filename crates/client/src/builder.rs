//! How a client is made.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use url::Url;

use crate::client::{Client, Transport};
use crate::error::Error;
use crate::grpc::Grpc;
use crate::rest::Rest;
use crate::trust;

/// Largest answer that is read, in bytes.
pub(crate) const MAX_ANSWER: usize = 256 << 20;

/// Settings of a [`Client`].
#[derive(Clone, Debug)]
pub struct Builder {
    url: String,
    key: Option<String>,
    tls: Option<ClientConfig>,
    ca: Option<PathBuf>,
    identity: Option<(PathBuf, PathBuf)>,
    connect: Duration,
}

impl Builder {
    pub(crate) fn new(url: String) -> Self {
        Self {
            url,
            key: None,
            tls: None,
            ca: None,
            identity: None,
            connect: Duration::from_secs(5),
        }
    }

    /// An API key or token, sent with every request.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Trusts the authorities in this PEM file in place of those that the system trusts.
    #[must_use]
    pub fn ca(mut self, file: impl AsRef<Path>) -> Self {
        self.ca = Some(file.as_ref().to_owned());
        self
    }

    /// Shows a client certificate: PEM files of it and its private key.
    #[must_use]
    pub fn identity(mut self, certificate: impl AsRef<Path>, key: impl AsRef<Path>) -> Self {
        self.identity = Some((certificate.as_ref().to_owned(), key.as_ref().to_owned()));
        self
    }

    /// TLS settings of your own, in place of [`Self::ca`] and [`Self::identity`].
    #[must_use]
    pub fn tls(mut self, settings: ClientConfig) -> Self {
        self.tls = Some(settings);
        self
    }

    /// How long a server may take to accept a connection. Default 5 s.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect = timeout;
        self
    }

    /// The client. It connects when it first has something to send. For gRPC, inside a Tokio runtime.
    ///
    /// # Errors
    /// [`Error::Usage`] if the URL or a TLS file is not what it should be.
    pub fn build(self) -> Result<Client, Error> {
        let bad = |why: &str| {
            Error::Usage(format!(
                "{}: {why}; it looks like http://127.0.0.1:8080 or grpc://127.0.0.1:50051",
                self.url
            ))
        };
        let url = Url::parse(&self.url).map_err(|e| bad(&e.to_string()))?;
        let secure = match url.scheme() {
            "http" | "grpc" => false,
            "https" | "grpcs" => true,
            _ => return Err(bad("the scheme must be http, https, grpc or grpcs")),
        };
        if url.host_str().is_none_or(str::is_empty) {
            return Err(bad("there is no host"));
        }
        if let Some(key) = &self.key
            && (key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()))
        {
            return Err(Error::Usage("a key has visible ASCII characters only".into()));
        }
        let tls = match self.tls {
            Some(tls) => tls,
            None if secure => {
                let identity = self.identity.as_ref().map(|(cert, key)| (&**cert, &**key));
                trust::tls(self.ca.as_deref(), identity).map_err(|e| Error::Usage(e.to_string()))?
            }
            None => trust::nobody()?,
        };
        let transport = match url.scheme() {
            "http" | "https" => Transport::Rest(Arc::new(Rest::new(url, self.key, tls, self.connect))),
            _ if !matches!(url.path(), "" | "/") => return Err(bad("a URL of gRPC has no path")),
            _ => Transport::Grpc(Grpc::new(&url, self.key, tls, self.connect)?),
        };
        Ok(Client { transport })
    }
}
