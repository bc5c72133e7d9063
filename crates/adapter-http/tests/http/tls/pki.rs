//! Authorities, certificates and clients that show them.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ferromcp_adapter_http::{ClientAuth, ServerFiles, ServerTls};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::{Client, Server, patiently};

/// One certificate with its key.
pub(crate) struct Leaf {
    pem: String,
    key: KeyPair,
    der: CertificateDer<'static>,
}

impl Leaf {
    /// Where the server reads its own.
    pub(crate) fn put(&self, directory: &Path) {
        std::fs::write(directory.join("server.pem"), &self.pem).expect("written");
        std::fs::write(directory.join("server.key"), self.key.serialize_pem()).expect("written");
    }
}

pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }

    /// A certificate for a DNS name.
    pub(crate) fn leaf(&self, name: &str) -> Leaf {
        self.until(name, Duration::from_secs(86_400))
    }

    /// One that ends some time from now, in whole seconds.
    pub(crate) fn until(&self, name: &str, rest: Duration) -> Leaf {
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        params.not_after = date_time_ymd(1970, 1, 1) + now + rest;
        let key = KeyPair::generate().expect("a key");
        let made = params.signed_by(&key, &self.0).expect("a certificate");
        Leaf {
            pem: made.pem(),
            der: made.der().clone(),
            key,
        }
    }

    /// One that ended an hour ago.
    pub(crate) fn expired(&self, name: &str) -> Leaf {
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        params.not_after = date_time_ymd(1970, 1, 1) + now - Duration::from_secs(3600);
        let key = KeyPair::generate().expect("a key");
        let made = params.signed_by(&key, &self.0).expect("a certificate");
        Leaf {
            pem: made.pem(),
            der: made.der().clone(),
            key,
        }
    }
}

/// What a client trusts, shows and speaks.
pub(crate) struct Shown<'a> {
    pub(crate) trusted: &'a Authority,
    pub(crate) leaf: Option<&'a Leaf>,
    pub(crate) versions: &'a [&'static SupportedProtocolVersion],
    pub(crate) http2: bool,
}

pub(crate) fn settings(shown: &Shown<'_>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(shown.trusted.0.der().clone()).expect("a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(shown.versions)
        .expect("versions")
        .with_root_certificates(roots);
    let mut made = match shown.leaf {
        None => builder.with_no_client_auth(),
        Some(leaf) => {
            let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(leaf.key.serialize_der()));
            builder
                .with_client_auth_cert(vec![leaf.der.clone()], key)
                .expect("a key that fits")
        }
    };
    if shown.http2 {
        made.alpn_protocols = vec![b"h2".to_vec()];
    }
    Arc::new(made)
}

pub(crate) async fn handshake(
    server: &Server,
    settings: &Arc<ClientConfig>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(server.address).await.expect("connect");
    over(stream, settings).await
}

pub(crate) async fn over(
    stream: TcpStream,
    settings: &Arc<ClientConfig>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from("localhost").expect("a name");
    patiently(
        "a handshake",
        TlsConnector::from(Arc::clone(settings)).connect(name, stream),
    )
    .await
}

/// The server's files, and both authorities.
pub(crate) struct Setup {
    pub(crate) directory: TempDir,
    pub(crate) servers: Authority,
    pub(crate) clients: Authority,
    pub(crate) files: ServerFiles,
}

impl Setup {
    /// `auth`: `None` does not ask clients.
    pub(crate) fn new(auth: Option<ClientAuth>) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
        servers.leaf("localhost").put(directory.path());
        let path = |name: &str| directory.path().join(name);
        std::fs::write(path("clients.pem"), clients.0.pem()).expect("written");
        let files = ServerFiles {
            certificate: path("server.pem"),
            key: path("server.key"),
            client_ca: auth.map(|_| path("clients.pem")),
            client_auth: auth.unwrap_or_default(),
            tls13_only: false,
        };
        Self {
            directory,
            servers,
            clients,
            files,
        }
    }

    pub(crate) fn tls(&self) -> Arc<ServerTls> {
        Arc::new(ServerTls::load(self.files.clone()).expect("good files"))
    }

    /// A client of either version that trusts the server.
    pub(crate) fn client(&self, leaf: Option<&Leaf>) -> Arc<ClientConfig> {
        settings(&Shown {
            trusted: &self.servers,
            leaf,
            versions: rustls::ALL_VERSIONS,
            http2: false,
        })
    }
}

pub(crate) async fn connect(server: &Server, settings: &Arc<ClientConfig>) -> Client {
    Client::on(handshake(server, settings).await.expect("a handshake"))
}
