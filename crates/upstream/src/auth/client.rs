//! What we are to an authorization server: registered beforehand, known by a metadata document, or registered now; in
//! this order (2026-07-28 basic/authorization, "Client Registration Approaches"). An identity belongs to one issuer.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde::Deserialize;
use serde_json::json;
use url::form_urlencoded::byte_serialize;

use super::AuthError;
use super::discover::Server;
use super::fetch::Fetcher;
use super::jwt::SigningKey;
use super::spec::{AuthMethod, Grant, OAuthSpec, Secret};
use super::token::refusal;
use crate::transport::http::shown;

/// Our identity at one authorization server.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) id: String,
    secret: Option<Secret>,
    method: AuthMethod,
}

#[derive(Deserialize)]
struct Registered {
    client_id: String,
    client_secret: Option<String>,
    token_endpoint_auth_method: Option<String>,
}

impl Client {
    /// The identity that needs no registration, if there is one.
    pub(super) fn known(spec: &OAuthSpec, server: &Server) -> Result<Option<Self>, AuthError> {
        let has_key = spec.client_key.is_some();
        if let Some(id) = &spec.client_id {
            return Ok(Some(Self {
                id: id.clone(),
                secret: spec.client_secret.clone(),
                method: match spec.auth_method {
                    Some(method) => method,
                    None => choose(server, spec.client_secret.is_some(), has_key)?,
                },
            }));
        }
        Ok(match &spec.metadata_url {
            Some(url) if server.takes_documents => Some(Self {
                id: url.clone(),
                secret: None,
                method: if has_key {
                    AuthMethod::PrivateKeyJwt
                } else {
                    AuthMethod::None
                },
            }),
            _ => None,
        })
    }

    /// Registers (RFC 7591).
    pub(super) async fn register(
        spec: &OAuthSpec,
        server: &Server,
        fetch: &Fetcher,
    ) -> Result<Self, AuthError> {
        let Some(endpoint) = &server.registration else {
            return Err(AuthError::Settings(format!(
                "the authorization server {} registers no clients by itself: register one there and give `client_id`",
                server.issuer
            )));
        };
        let asked = choose(server, true, false)?;
        let mut wanted = json!({
            "client_name": "FerroMCP",
            "token_endpoint_auth_method": asked.as_str(),
        });
        match &spec.grant {
            Grant::AuthorizationCode { redirect_uri, .. } => {
                wanted["redirect_uris"] = json!([redirect_uri]);
                wanted["grant_types"] = json!(["authorization_code", "refresh_token"]);
                wanted["response_types"] = json!(["code"]);
                wanted["application_type"] = "native".into();
            }
            grant => wanted["grant_types"] = json!([grant.name()]),
        }
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let answer = fetch.post(endpoint, headers, wanted.to_string().into()).await?;
        if !answer.status.is_success() {
            return Err(refusal(&answer, endpoint));
        }
        let given: Registered = serde_json::from_slice(&answer.body)
            .map_err(|_| AuthError::Exchange(format!("{} gave no usable registration", shown(endpoint))))?;
        let secret = given.client_secret.map(Secret::new);
        let method = match given.token_endpoint_auth_method.as_deref() {
            Some(name) => AuthMethod::parse(name).ok_or_else(|| {
                AuthError::Exchange(format!(
                    "{} registered us for a way to authenticate that is not known here",
                    shown(endpoint)
                ))
            })?,
            None if secret.is_none() => AuthMethod::None,
            None => asked,
        };
        Ok(Self {
            id: given.client_id,
            secret,
            method,
        })
    }

    /// Adds the proof that we are this client.
    pub(super) fn authenticate(
        &self,
        key: Option<(&SigningKey, Option<&str>)>,
        server: &Server,
        form: &mut Vec<(&'static str, String)>,
        headers: &mut HeaderMap,
    ) -> Result<(), AuthError> {
        let secret = || {
            let missing = || AuthError::Settings(format!("`{}` needs a client secret", self.method.as_str()));
            self.secret.as_ref().map(Secret::expose).ok_or_else(missing)
        };
        match self.method {
            AuthMethod::None => form.push(("client_id", self.id.clone())),
            AuthMethod::Post => {
                form.push(("client_secret", secret()?.to_owned()));
                form.push(("client_id", self.id.clone()));
            }
            AuthMethod::Basic => {
                let encode = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
                let pair = format!("{}:{}", encode(&self.id), encode(secret()?));
                let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair)))
                    .map_err(|e| AuthError::Settings(e.to_string()))?;
                value.set_sensitive(true);
                headers.insert(AUTHORIZATION, value);
            }
            AuthMethod::PrivateKeyJwt => {
                let (key, kid) = key
                    .ok_or_else(|| AuthError::Settings("`private_key_jwt` needs a private key".to_owned()))?;
                // The issuer is the audience: the token endpoint could be another's.
                form.push(("client_assertion", key.assertion(kid, &self.id, &server.issuer)?));
                form.push((
                    "client_assertion_type",
                    "urn:ietf:params:oauth:client-assertion-type:jwt-bearer".to_owned(),
                ));
                form.push(("client_id", self.id.clone()));
            }
        }
        Ok(())
    }
}

/// The best way that both sides have.
fn choose(server: &Server, has_secret: bool, has_key: bool) -> Result<AuthMethod, AuthError> {
    let can = |method: AuthMethod| match method {
        AuthMethod::PrivateKeyJwt => has_key,
        AuthMethod::Basic | AuthMethod::Post => has_secret,
        AuthMethod::None => true,
    };
    let order = [
        AuthMethod::PrivateKeyJwt,
        AuthMethod::Basic,
        AuthMethod::Post,
        AuthMethod::None,
    ];
    let takes = |method: AuthMethod| match &server.methods {
        Some(names) => names.iter().any(|name| name == method.as_str()),
        // RFC 8414, section 2: the default. A key or nothing at all was set up with the server by hand.
        None => method != AuthMethod::Post,
    };
    order
        .into_iter()
        .find(|method| can(*method) && takes(*method))
        .ok_or_else(|| {
            let names = server.methods.as_deref().unwrap_or_default().join(", ");
            AuthError::Settings(format!(
                "the authorization server {} wants clients to prove who they are in a way that our credentials do not \
                 allow (it takes: {names})",
                server.issuer
            ))
        })
}
