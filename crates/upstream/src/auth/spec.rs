//! What the configuration says of our identity at an authorization server.

use std::fmt;
use std::sync::Arc;

use super::code::UserAgent;

/// Text that no log shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Takes the text.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// How to get tokens for one server.
#[derive(Clone, Debug)]
pub struct OAuthSpec {
    /// How a token is asked for.
    pub grant: Grant,
    /// Identity registered beforehand. Without it: `metadata_url` where the authorization server takes it, else dynamic
    /// registration.
    pub client_id: Option<String>,
    /// Secret of `client_id`.
    pub client_secret: Option<Secret>,
    /// Key of `client_id` for `private_key_jwt`.
    pub client_key: Option<ClientKey>,
    /// How we prove to be the client; what the authorization server supports if `None`.
    pub auth_method: Option<AuthMethod>,
    /// The authorization server that `client_id` belongs to. The identity is shown to no other. If `None`, the first one
    /// that the server names.
    pub issuer: Option<String>,
    /// Token endpoint; discovered if `None`.
    pub token_url: Option<String>,
    /// Identifier of the server (RFC 8707); its metadata's, or its URL, if `None`.
    pub resource: Option<String>,
    /// Scopes to ask for; what the server asks for if empty.
    pub scopes: Vec<String>,
    /// URL of a client ID metadata document of ours.
    pub metadata_url: Option<String>,
    /// Ask for tokens bound to a key of this process (RFC 9449). Done unasked where the server requires it.
    pub dpop: bool,
}

impl OAuthSpec {
    /// A spec in which everything is found out.
    #[must_use]
    pub fn new(grant: Grant) -> Self {
        Self {
            grant,
            client_id: None,
            client_secret: None,
            client_key: None,
            auth_method: None,
            issuer: None,
            token_url: None,
            resource: None,
            scopes: Vec::new(),
            metadata_url: None,
            dpop: false,
        }
    }
}

/// How a token is asked for.
#[derive(Clone)]
pub enum Grant {
    /// As the client itself (RFC 6749, section 4.4).
    ClientCredentials,
    /// A person agrees in a browser (section 4.1), with PKCE S256.
    AuthorizationCode {
        /// Where the authorization server sends the browser.
        redirect_uri: String,
        /// Shows the page and returns where the browser was sent.
        agent: Arc<dyn UserAgent>,
    },
    /// A token of another issuer vouches for us (RFC 7523, section 2.1): workload identity federation.
    JwtBearer(Arc<dyn Assertion>),
    /// An enterprise's identity provider vouches for a user (enterprise-managed authorization): its ID token is exchanged
    /// for a grant (RFC 8693), and that for a token (RFC 7523).
    Enterprise {
        /// Token endpoint of the identity provider.
        idp_token_url: String,
        /// Our client id there.
        idp_client_id: String,
        /// The ID token.
        id_token: Arc<dyn Assertion>,
    },
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ClientCredentials => "ClientCredentials",
            Self::AuthorizationCode { .. } => "AuthorizationCode",
            Self::JwtBearer(_) => "JwtBearer",
            Self::Enterprise { .. } => "Enterprise",
        })
    }
}

/// A source of signed statements about us, which expire and are replaced.
pub trait Assertion: Send + Sync {
    /// The statement of now.
    ///
    /// # Errors
    /// Why there is none, without secrets.
    fn read(&self) -> Result<Secret, String>;
}

impl Assertion for Secret {
    fn read(&self) -> Result<Secret, String> {
        Ok(self.clone())
    }
}

/// How a client proves who it is (names of OpenID Connect).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMethod {
    /// Not at all: a public client.
    None,
    /// `Authorization: Basic`.
    Basic,
    /// In the form.
    Post,
    /// A statement signed with `client_key`.
    PrivateKeyJwt,
}

impl AuthMethod {
    /// The registered name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Basic => "client_secret_basic",
            Self::Post => "client_secret_post",
            Self::PrivateKeyJwt => "private_key_jwt",
        }
    }

    pub(super) fn parse(name: &str) -> Option<Self> {
        [Self::None, Self::Basic, Self::Post, Self::PrivateKeyJwt]
            .into_iter()
            .find(|method| method.as_str() == name)
    }
}

/// A private key for signing.
#[derive(Clone, Debug)]
pub struct ClientKey {
    /// PEM, PKCS #8 (RSA or P-256), or PKCS #1 (RSA).
    pub pem: Secret,
    /// `kid` for the header, if the authorization server needs it.
    pub kid: Option<String>,
}
