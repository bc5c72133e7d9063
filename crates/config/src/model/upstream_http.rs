//! What HTTP servers need beside their address.

use crate::secret::Secret;

/// TLS settings of one server.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UpstreamTls {
    /// PEM certificates of authorities to trust beside those of the system.
    pub ca: Option<Secret>,
    /// PEM certificate chain and its PEM private key.
    pub identity: Option<(Secret, Secret)>,
}

/// How to get access tokens for one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuth {
    /// Who we are.
    pub client_id: String,
    /// Secret of `client_id`.
    pub client_secret: Option<Secret>,
    /// PEM private key of `client_id`.
    pub private_key: Option<Secret>,
    /// `kid` of the key.
    pub key_id: Option<String>,
    /// A statement of another issuer about us; the client credentials grant if `None`.
    pub assertion: Option<AssertionSource>,
    /// How `client_id` is proved; chosen if `None`.
    pub auth_method: Option<OAuthMethod>,
    /// The only authorization server that gets the credentials.
    pub issuer: Option<String>,
    /// Token endpoint; discovered if `None`.
    pub token_url: Option<String>,
    /// Whom the token is for.
    pub resource: Option<String>,
    /// Scopes to ask for; what the server asks for if empty.
    pub scopes: Vec<String>,
    /// Ask for bound tokens.
    pub dpop: bool,
}

/// Where a signed statement comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AssertionSource {
    /// A file that is replaced before the statement ends.
    File(std::path::PathBuf),
    /// The statement itself.
    Text(Secret),
}

/// How a client proves who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OAuthMethod {
    /// Not at all.
    None,
    /// `client_secret_basic`.
    Basic,
    /// `client_secret_post`.
    Post,
    /// `private_key_jwt`.
    PrivateKeyJwt,
}
