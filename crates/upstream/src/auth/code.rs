//! The authorization code grant, with PKCE (RFC 7636) and the issuer in the response (RFC 9207).

use std::collections::BTreeSet;
use std::pin::Pin;

use url::Url;

use super::AuthError;
use super::client::Client;
use super::discover::Server;
use super::grant::{Asking, joined};
use super::jwt::{code_challenge, random_text};
use super::token::{Token, printable};

/// Where the browser was sent in the end: the redirect URI with the answer in its query.
pub type Landing = Pin<Box<dyn Future<Output = Result<Url, String>> + Send>>;

/// Shows a person the page on which access is granted.
pub trait UserAgent: Send + Sync {
    /// Opens `page`, and returns the address that the authorization server sent the browser to. The text of an error
    /// says why there is none; it is shown to the user.
    fn authorize(&self, page: Url) -> Landing;
}

/// Asks a person, and exchanges the code for a token.
pub(super) async fn authorize(
    asking: &Asking<'_>,
    agent: &dyn UserAgent,
    redirect_uri: &str,
) -> Result<Token, AuthError> {
    let (verifier, state) = (random_text()?, random_text()?);
    let page = page(asking, redirect_uri, &verifier, &state)?;
    let landed = agent
        .authorize(page)
        .await
        .map_err(|why| AuthError::Exchange(format!("nobody has granted access: {why}")))?;
    let code = code(&landed, redirect_uri, &state, asking.server)?;
    asking
        .token(vec![
            ("grant_type", "authorization_code".to_owned()),
            ("code", code),
            ("code_verifier", verifier),
            ("redirect_uri", redirect_uri.to_owned()),
        ])
        .await
}

fn page(asking: &Asking<'_>, redirect_uri: &str, verifier: &str, state: &str) -> Result<Url, AuthError> {
    let (server, client): (&Server, &Client) = (asking.server, asking.client);
    let lacks = |what: &str| {
        AuthError::Unsafe(format!(
            "the authorization server {} has no {what}",
            server.issuer
        ))
    };
    let mut page = server
        .authorization
        .clone()
        .ok_or_else(|| lacks("authorization endpoint"))?;
    if !server.pkce {
        // Without it, a stolen code is a token (basic/authorization, "Authorization Code Protection").
        return Err(lacks("PKCE with S256, without which a code can be stolen"));
    }
    {
        let mut query = page.query_pairs_mut();
        query
            .append_pair("response_type", "code")
            .append_pair("client_id", &client.id)
            .append_pair("redirect_uri", redirect_uri)
            .append_pair("state", state)
            .append_pair("code_challenge", &code_challenge(verifier))
            .append_pair("code_challenge_method", "S256");
        if let Some(resource) = asking.resource {
            query.append_pair("resource", resource);
        }
        if !asking.scopes.is_empty() {
            query.append_pair("scope", &joined(asking.scopes));
        }
        if asking.scopes.contains("offline_access") {
            // OpenID Connect gives refresh tokens only to those who were asked for them.
            query.append_pair("prompt", "consent");
        }
    }
    Ok(page)
}

/// The code of an authorization response that is meant for us and comes from whom we asked.
pub(super) fn code(
    landed: &Url,
    redirect_uri: &str,
    state: &str,
    server: &Server,
) -> Result<String, AuthError> {
    let hostile = |what: &str| {
        AuthError::Unsafe(format!(
            "the answer of the authorization server is not accepted: {what}"
        ))
    };
    if Url::parse(redirect_uri)
        .is_ok_and(|ours| ours[..url::Position::AfterPath] != landed[..url::Position::AfterPath])
    {
        return Err(hostile("it went to another address"));
    }
    let mut seen = BTreeSet::new();
    let (mut code, mut error, mut description, mut iss, mut given) = (None, None, None, None, None);
    for (key, value) in landed.query_pairs().take(64) {
        let slot = match &*key {
            "code" => &mut code,
            "error" => &mut error,
            "error_description" => &mut description,
            "iss" => &mut iss,
            "state" => &mut given,
            _ => continue,
        };
        *slot = Some(value.into_owned());
        if !seen.insert(key) {
            return Err(hostile("a parameter is given twice"));
        }
    }
    if given.as_deref() != Some(state) {
        return Err(hostile("`state` is not ours"));
    }
    // Compared as text (RFC 9207, section 2.4): a server that is almost the right one is another one.
    match iss {
        Some(iss) if iss != server.issuer => return Err(hostile("`iss` names another issuer")),
        None if server.names_itself => return Err(hostile("`iss` is missing, which the server promised")),
        _ => {}
    }
    if let Some(error) = error {
        return Err(AuthError::Refused {
            endpoint: server.issuer.clone(),
            error: printable(&error),
            description: description.as_deref().map(printable),
        });
    }
    code.ok_or_else(|| hostile("there is no `code`"))
}
