//! Requests to the token endpoint.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use url::Url;
use url::form_urlencoded::Serializer;

use super::AuthError;
use super::client::Client;
use super::discover::Server;
use super::fetch::{Answer, Fetcher};
use super::jwt::{ProofKey, SigningKey};
use super::spec::{Assertion, Grant};
use super::token::{Token, refusal};

pub(super) const DPOP: HeaderName = HeaderName::from_static("dpop");
pub(super) const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

impl Grant {
    /// The value of `grant_type`.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::ClientCredentials => "client_credentials",
            Self::AuthorizationCode { .. } => "authorization_code",
            Self::JwtBearer(_) | Self::Enterprise { .. } => JWT_BEARER,
        }
    }
}

/// Everything that a token request depends on.
pub(super) struct Asking<'a> {
    pub(super) fetch: &'a Fetcher,
    pub(super) server: &'a Server,
    pub(super) client: &'a Client,
    pub(super) key: Option<(&'a SigningKey, Option<&'a str>)>,
    /// For bound tokens.
    pub(super) proof: Option<&'a ProofKey>,
    /// The last nonce of the token endpoint.
    pub(super) nonce: &'a Mutex<Option<String>>,
    pub(super) resource: Option<&'a str>,
    pub(super) scopes: &'a BTreeSet<String>,
}

impl Asking<'_> {
    /// Asks for a token with these members beside the common ones.
    pub(super) async fn token(&self, mut form: Vec<(&'static str, String)>) -> Result<Token, AuthError> {
        if let Some(resource) = self.resource {
            form.push(("resource", resource.to_owned()));
        }
        let url = &self.server.token;
        let mut answer = self.send(form.clone()).await?;
        let nonce = header(&answer.headers, &DPOP_NONCE);
        if let Some(nonce) = nonce {
            *self.nonce.lock().unwrap_or_else(PoisonError::into_inner) = Some(nonce);
            let wants = matches!(refusal(&answer, url), AuthError::Refused { error, .. } if error == "use_dpop_nonce");
            if !answer.status.is_success() && wants && self.proof.is_some() {
                answer = self.send(form).await?;
            }
        }
        Token::read(&answer, url, &self.server.issuer, self.scopes)
    }

    async fn send(&self, mut form: Vec<(&'static str, String)>) -> Result<Answer, AuthError> {
        let mut headers = HeaderMap::new();
        self.client
            .authenticate(self.key, self.server, &mut form, &mut headers)?;
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded"),
        );
        if let Some(key) = self.proof {
            let nonce = self.nonce.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let proof = key.proof("POST", &self.server.token, None, nonce.as_deref())?;
            let proof = HeaderValue::from_str(&proof).map_err(|e| AuthError::Exchange(e.to_string()))?;
            headers.insert(DPOP, proof);
        }
        self.fetch.post(&self.server.token, headers, encode(&form)).await
    }

    /// With our own identity.
    pub(super) async fn credentials(&self) -> Result<Token, AuthError> {
        self.token(self.scoped(vec![("grant_type", "client_credentials".to_owned())]))
            .await
    }

    /// With a statement of another issuer.
    pub(super) async fn bearer(&self, assertion: &str) -> Result<Token, AuthError> {
        self.token(self.scoped(vec![
            ("grant_type", JWT_BEARER.to_owned()),
            ("assertion", assertion.to_owned()),
        ]))
        .await
    }

    /// With a refresh token. The scopes stay those of the first token.
    pub(super) async fn refresh(&self, token: &str) -> Result<Token, AuthError> {
        self.token(vec![
            ("grant_type", "refresh_token".to_owned()),
            ("refresh_token", token.to_owned()),
        ])
        .await
    }

    fn scoped(&self, mut form: Vec<(&'static str, String)>) -> Vec<(&'static str, String)> {
        if !self.scopes.is_empty() {
            form.push(("scope", joined(self.scopes)));
        }
        form
    }
}

/// Exchanges an ID token for a statement to the authorization server of a resource (RFC 8693, and the draft "Identity
/// Assertion Authorization Grant").
pub(super) async fn exchange(
    fetch: &Fetcher,
    idp: &Url,
    client_id: &str,
    id_token: &dyn Assertion,
    audience: &str,
    resource: Option<&str>,
    scopes: &BTreeSet<String>,
) -> Result<String, AuthError> {
    #[derive(serde::Deserialize)]
    struct Exchanged {
        access_token: String,
        issued_token_type: String,
    }
    const ID_JAG: &str = "urn:ietf:params:oauth:token-type:id-jag";
    let id_token = id_token.read().map_err(AuthError::Settings)?;
    let mut form = vec![
        (
            "grant_type",
            "urn:ietf:params:oauth:grant-type:token-exchange".to_owned(),
        ),
        ("requested_token_type", ID_JAG.to_owned()),
        ("subject_token", id_token.expose().to_owned()),
        (
            "subject_token_type",
            "urn:ietf:params:oauth:token-type:id_token".to_owned(),
        ),
        ("audience", audience.to_owned()),
        ("client_id", client_id.to_owned()),
    ];
    form.extend(resource.map(|resource| ("resource", resource.to_owned())));
    if !scopes.is_empty() {
        form.push(("scope", joined(scopes)));
    }
    let mut headers = HeaderMap::new();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/x-www-form-urlencoded"),
    );
    let answer = fetch.post(idp, headers, encode(&form)).await?;
    if !answer.status.is_success() {
        return Err(refusal(&answer, idp));
    }
    match serde_json::from_slice::<Exchanged>(&answer.body) {
        Ok(given) if given.issued_token_type == ID_JAG => Ok(given.access_token),
        _ => Err(AuthError::Exchange(
            "the identity provider gave no identity assertion grant".to_owned(),
        )),
    }
}

pub(super) fn joined(scopes: &BTreeSet<String>) -> String {
    scopes.iter().map(String::as_str).collect::<Vec<_>>().join(" ")
}

pub(super) fn header(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let text = headers.get(name)?.to_str().ok()?;
    (text.len() <= 1024).then(|| text.to_owned())
}

fn encode(form: &[(&'static str, String)]) -> Bytes {
    let mut out = Serializer::new(String::new());
    out.extend_pairs(form);
    out.finish().into()
}
