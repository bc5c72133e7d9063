//! Authorities, certificates, and a client over TLS that is not ours.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
    date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, StreamOwned};

use super::{Answer, PATIENCE, parse};

const DAY: Duration = Duration::from_secs(86_400);

/// A certificate with its key.
pub(crate) struct Leaf {
    pem: String,
    key: KeyPair,
    der: CertificateDer<'static>,
}

impl Leaf {
    /// Writes `NAME.pem` and `NAME.key`, each in one step.
    pub(crate) fn put(&self, directory: &Path, name: &str) {
        put(directory, &format!("{name}.key"), &self.key.serialize_pem());
        put(directory, &format!("{name}.pem"), &self.pem);
    }

    pub(crate) fn der(&self) -> &[u8] {
        &self.der
    }

    /// What a server needs to show this certificate.
    pub(crate) fn server_settings(&self) -> Arc<ServerConfig> {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let settings = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![self.der.clone()], key)
            .expect("a key that fits");
        Arc::new(settings)
    }
}

/// Puts a file in the place of another one in one step.
pub(crate) fn put(directory: &Path, name: &str, content: &str) {
    let new = directory.join(format!("{name}.new"));
    std::fs::write(&new, content).expect("written");
    std::fs::rename(&new, directory.join(name)).expect("renamed");
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

    /// A server's certificate.
    pub(crate) fn server(&self) -> Leaf {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        self.signed(CertificateParams::new(names).expect("names"), DAY, false)
    }

    /// A client's certificate, `CN=NAME,O=ORGANISATION`.
    pub(crate) fn client(&self, name: &str, organisation: &str) -> Leaf {
        self.signed(subject(name, organisation), DAY, false)
    }

    /// One that ended an hour ago.
    pub(crate) fn expired(&self, name: &str, organisation: &str) -> Leaf {
        self.signed(subject(name, organisation), Duration::from_secs(3_600), true)
    }

    fn signed(&self, mut params: CertificateParams, distance: Duration, past: bool) -> Leaf {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        let start = date_time_ymd(1970, 1, 1) + now;
        params.not_before = start - 2 * DAY;
        params.not_after = if past { start - distance } else { start + distance };
        let key = KeyPair::generate().expect("a key");
        let made = params.signed_by(&key, &self.0).expect("a certificate");
        Leaf {
            pem: made.pem(),
            der: made.der().clone(),
            key,
        }
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }
}

fn subject(name: &str, organisation: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    // The broadest first, which is written last.
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::OrganizationName, organisation);
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// Whom a client trusts, and what it shows.
pub(crate) struct Shown<'a> {
    pub(crate) trusted: &'a Authority,
    pub(crate) leaf: Option<&'a Leaf>,
}

impl Shown<'_> {
    fn settings(&self) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.trusted.0.der().clone()).expect("a root");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots);
        match self.leaf {
            None => builder.with_no_client_auth(),
            Some(leaf) => {
                let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(leaf.key.serialize_der()));
                builder
                    .with_client_auth_cert(vec![leaf.der.clone()], key)
                    .expect("a key that fits")
            }
        }
    }
}

/// A connection over TLS that is kept open.
pub(crate) struct Secured(StreamOwned<ClientConnection, TcpStream>);

impl Secured {
    pub(crate) fn open(address: &str, shown: &Shown<'_>) -> Self {
        let socket = TcpStream::connect(address).expect("it accepts connections");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let name = ServerName::try_from("localhost").expect("a name");
        let session = ClientConnection::new(Arc::new(shown.settings()), name).expect("a session");
        Self(StreamOwned::new(session, socket))
    }

    /// The certificate that the server showed.
    pub(crate) fn server_certificate(&self) -> Vec<u8> {
        let chain = self.0.conn.peer_certificates().expect("a handshake");
        chain[0].to_vec()
    }

    /// Sends a request and reads its answer, which has a length. An error is one of the connection.
    pub(crate) fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> std::io::Result<Answer> {
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n",
            body.len()
        );
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        request.push_str(body);
        self.0.write_all(request.as_bytes())?;
        self.0.flush()?;
        let mut read = Vec::new();
        loop {
            let mut piece = [0; 4096];
            let count = self.0.read(&mut piece)?;
            if count == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            read.extend_from_slice(&piece[..count]);
            let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") else {
                continue;
            };
            let answer = parse(&read);
            let length = answer
                .header("content-length")
                .expect("a length")
                .parse::<usize>();
            if read.len() >= end + 4 + length.expect("a number") {
                return Ok(answer);
            }
        }
    }
}
