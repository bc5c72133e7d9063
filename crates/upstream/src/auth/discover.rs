//! Which authorization server a resource trusts (RFC 9728), and what that server has (RFC 8414, OpenID Connect
//! Discovery): 2026-07-28 basic/authorization/authorization-server-discovery.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::fetch::Fetcher;
use super::{AuthError, Challenge};
use crate::transport::http::shown;

/// Most authorization servers, methods or scopes of one document.
const MAX_ENTRIES: usize = 256;

/// A protected resource.
#[derive(Clone, Debug)]
pub(super) struct Resource {
    /// For the `resource` parameter (RFC 8707).
    pub(super) id: Option<String>,
    pub(super) issuer: Issuer,
    pub(super) scopes: Vec<String>,
    pub(super) dpop: bool,
}

/// Who issues tokens for it.
#[derive(Clone, Debug)]
pub(super) enum Issuer {
    Named(String),
    /// No metadata: as in revision 2025-03-26, the server itself, at fixed paths if need be.
    Itself(Url),
}

/// An authorization server.
#[derive(Clone, Debug)]
pub(super) struct Server {
    pub(super) issuer: String,
    pub(super) authorization: Option<Url>,
    pub(super) token: Url,
    pub(super) registration: Option<Url>,
    /// Names of the ways to authenticate; `None` if it does not say.
    pub(super) methods: Option<Vec<String>>,
    pub(super) scopes: Vec<String>,
    /// Every authorization response names the issuer (RFC 9207).
    pub(super) names_itself: bool,
    /// Takes URLs of client metadata documents as client ids.
    pub(super) takes_documents: bool,
    /// PKCE with S256.
    pub(super) pkce: bool,
}

#[derive(Deserialize)]
struct ResourceDocument {
    resource: Option<String>,
    #[serde(default)]
    authorization_servers: Vec<String>,
    #[serde(default)]
    scopes_supported: Vec<String>,
    #[serde(default)]
    dpop_bound_access_tokens_required: bool,
}

#[derive(Deserialize)]
struct ServerDocument {
    issuer: String,
    authorization_endpoint: Option<String>,
    token_endpoint: Option<String>,
    registration_endpoint: Option<String>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    scopes_supported: Vec<String>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
    #[serde(default)]
    client_id_metadata_document_supported: bool,
    #[serde(default)]
    code_challenge_methods_supported: Vec<String>,
}

/// Reads the metadata of the server at `url`. `preferred`: the issuer that our credentials are for.
pub(super) async fn resource(
    fetch: &Fetcher,
    url: &Url,
    challenge: &Challenge,
    preferred: Option<&str>,
) -> Result<Resource, AuthError> {
    let candidates = match &challenge.resource_metadata {
        Some(hint) => vec![fetch.parse(hint, "`resource_metadata` of the server's challenge")?],
        None => well_known(url, "oauth-protected-resource", false),
    };
    for candidate in &candidates {
        let Some(document) = read::<ResourceDocument>(fetch, candidate).await? else {
            continue;
        };
        let named = document.authorization_servers.iter().take(MAX_ENTRIES);
        let issuer = match preferred {
            Some(ours) => named.clone().find(|issuer| issuer.as_str() == ours),
            None => named.clone().next(),
        };
        let Some(issuer) = issuer else {
            return Err(AuthError::Unsafe(match preferred {
                Some(ours) => format!(
                    "{} does not name `{ours}` as its authorization server, and our credentials are for that one only",
                    shown(candidate)
                ),
                None => format!("{} names no authorization server", shown(candidate)),
            }));
        };
        if let Some(id) = &document.resource {
            covers(id, url)?;
        }
        let mut scopes = document.scopes_supported;
        scopes.truncate(MAX_ENTRIES);
        return Ok(Resource {
            id: document.resource.or_else(|| Some(canonical(url))),
            issuer: Issuer::Named(issuer.clone()),
            scopes,
            dpop: document.dpop_bound_access_tokens_required,
        });
    }
    if let (Some(hint), true) = (candidates.first(), challenge.resource_metadata.is_some()) {
        return Err(AuthError::Exchange(format!(
            "the metadata that the server names, {}, are not there",
            shown(hint)
        )));
    }
    Ok(Resource {
        id: Some(canonical(url)),
        issuer: Issuer::Itself(url.clone()),
        scopes: Vec::new(),
        dpop: false,
    })
}

/// Reads the metadata of an authorization server.
pub(super) async fn server(fetch: &Fetcher, issuer: &Issuer) -> Result<Server, AuthError> {
    let (name, url) = match issuer {
        Issuer::Named(name) => (name.clone(), fetch.parse(name, "the authorization server")?),
        Issuer::Itself(url) => {
            let origin = url.origin().ascii_serialization();
            let url = fetch.parse(&origin, "the server's origin")?;
            (origin, url)
        }
    };
    for candidate in well_known(&url, "oauth-authorization-server", true) {
        let Some(document) = read::<ServerDocument>(fetch, &candidate).await? else {
            continue;
        };
        // Else one authorization server could pass for another (RFC 8414, section 3.3).
        let is_it = match issuer {
            Issuer::Named(_) => document.issuer == name,
            // Nobody has named it, so it may be anything on the server itself.
            Issuer::Itself(_) => {
                Url::parse(&document.issuer).is_ok_and(|named| named.origin() == url.origin())
            }
        };
        if !is_it {
            return Err(AuthError::Unsafe(format!(
                "{} says that it is about another issuer than `{name}`",
                shown(&candidate)
            )));
        }
        return checked(fetch, document, &candidate);
    }
    if let Issuer::Named(_) = issuer {
        return Err(AuthError::Exchange(format!(
            "the authorization server {} has no metadata (RFC 8414, OpenID Connect); give `token_url` if it needs none",
            shown(&url)
        )));
    }
    // The fixed paths of 2025-03-26.
    let at = |path: &str| url.join(path).map_err(|e| AuthError::Exchange(e.to_string()));
    Ok(Server {
        authorization: Some(at("/authorize")?),
        registration: Some(at("/register")?),
        pkce: true,
        ..Server::at(name, at("/token")?)
    })
}

impl Server {
    /// One that nothing else is known of.
    pub(super) fn at(issuer: String, token: Url) -> Self {
        Self {
            issuer,
            authorization: None,
            token,
            registration: None,
            methods: None,
            scopes: Vec::new(),
            names_itself: false,
            takes_documents: false,
            pkce: false,
        }
    }
}

fn checked(fetch: &Fetcher, document: ServerDocument, from: &Url) -> Result<Server, AuthError> {
    let optional = |text: Option<String>, what: &str| text.map(|text| fetch.parse(&text, what)).transpose();
    let token = optional(document.token_endpoint, "`token_endpoint`")?
        .ok_or_else(|| AuthError::Exchange(format!("{} has no `token_endpoint`", shown(from))))?;
    let mut scopes = document.scopes_supported;
    scopes.truncate(MAX_ENTRIES);
    Ok(Server {
        issuer: document.issuer,
        authorization: optional(document.authorization_endpoint, "`authorization_endpoint`")?,
        token,
        registration: optional(document.registration_endpoint, "`registration_endpoint`")?,
        methods: document.token_endpoint_auth_methods_supported,
        scopes,
        names_itself: document.authorization_response_iss_parameter_supported,
        takes_documents: document.client_id_metadata_document_supported,
        pkce: document
            .code_challenge_methods_supported
            .iter()
            .any(|method| method == "S256"),
    })
}

/// `None` if there is no such document.
async fn read<T: DeserializeOwned>(fetch: &Fetcher, url: &Url) -> Result<Option<T>, AuthError> {
    let answer = fetch.get(url).await?;
    if answer.status.is_client_error() {
        return Ok(None);
    }
    if !answer.status.is_success() {
        return Err(AuthError::Exchange(format!(
            "{} answered HTTP {}",
            shown(url),
            answer.status.as_u16()
        )));
    }
    match serde_json::from_slice(&answer.body) {
        Ok(document) => Ok(Some(document)),
        Err(error) => Err(AuthError::Exchange(format!(
            "{} holds no usable metadata: {error}",
            shown(url)
        ))),
    }
}

/// Where metadata about `url` may be, best first. `openid`: also as OpenID Connect has it.
fn well_known(url: &Url, name: &str, openid: bool) -> Vec<Url> {
    let path = url.path().trim_end_matches('/');
    let mut paths = vec![format!("/.well-known/{name}{path}")];
    match (openid, path.is_empty()) {
        (true, true) => paths.push("/.well-known/openid-configuration".to_owned()),
        (true, false) => {
            paths.push(format!("/.well-known/openid-configuration{path}"));
            paths.push(format!("{path}/.well-known/openid-configuration"));
        }
        (false, false) => paths.push(format!("/.well-known/{name}")),
        (false, true) => {}
    }
    paths
        .into_iter()
        .map(|path| {
            let mut at = url.clone();
            at.set_path(&path);
            at.set_query(None);
            at.set_fragment(None);
            at
        })
        .collect()
}

/// A token for another resource must not be fetched on a server's word.
fn covers(id: &str, url: &Url) -> Result<(), AuthError> {
    let fits = Url::parse(id).is_ok_and(|id| {
        let path = id.path().trim_end_matches('/');
        let rest = url.path().strip_prefix(path);
        id.origin() == url.origin() && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    });
    if fits {
        return Ok(());
    }
    let id: String = id.chars().take(200).collect();
    Err(AuthError::Unsafe(format!(
        "the server's metadata are about another resource, `{}`: no token is fetched for it",
        id.escape_debug()
    )))
}

/// The identifier of a server without metadata (RFC 8707).
pub(super) fn canonical(url: &Url) -> String {
    let text = &url[..url::Position::AfterPath];
    match url.path() {
        "/" => text.trim_end_matches('/').to_owned(),
        _ => text.to_owned(),
    }
}
