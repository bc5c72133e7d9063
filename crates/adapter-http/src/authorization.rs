//! MCP authorization (2025-11-25 and 2026-07-28 basic/authorization): this server is a resource server. It says
//! which authorization servers it trusts (RFC 9728) and what a refused caller lacks (RFC 6750).

use ferromcp_core::Challenge;
use http::header::{CACHE_CONTROL, HeaderValue, WWW_AUTHENTICATE};
use http::{Response, StatusCode};

use crate::body::Body;
use crate::refusal::json_response;

/// What clients are told about authorization.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthorizationSettings {
    /// The resource identifier (RFC 8707): the public URL of the MCP door.
    pub resource: String,
    /// Issuers of the authorization servers whose tokens are accepted.
    pub authorization_servers: Vec<String>,
    /// Scopes that every token needs.
    pub scopes: Vec<String>,
}

/// Where the metadata is (RFC 9728, 3.1): for the server, and for the path of the MCP door.
pub(crate) const METADATA: &str = "/.well-known/oauth-protected-resource";
pub(crate) const METADATA_MCP: &str = "/.well-known/oauth-protected-resource/mcp";

impl AuthorizationSettings {
    /// The metadata document.
    pub(crate) fn metadata(&self) -> Response<Body> {
        let mut document = serde_json::json!({
            "resource": self.resource,
            "authorization_servers": self.authorization_servers,
            "bearer_methods_supported": ["header"],
        });
        if !self.scopes.is_empty() {
            document["scopes_supported"] = self.scopes.clone().into();
        }
        let mut response = json_response(StatusCode::OK, document.to_string().into_bytes());
        let cached = HeaderValue::from_static("public, max-age=3600");
        response.headers_mut().insert(CACHE_CONTROL, cached);
        response
    }

    /// Where the metadata is, as an absolute URL; `None` if the resource is no URL with a host.
    fn metadata_url(&self) -> Option<String> {
        let (scheme, rest) = self.resource.split_once("://")?;
        let (host, path) = rest
            .split_once('/')
            .map_or((rest, ""), |(host, path)| (host, path));
        let path = path.trim_end_matches('/');
        let slash = if path.is_empty() { "" } else { "/" };
        (!host.is_empty()).then(|| format!("{scheme}://{host}{METADATA}{slash}{path}"))
    }
}

/// Writes the challenge that a response was marked with.
pub(crate) fn challenge(response: &mut Response<Body>, settings: Option<&AuthorizationSettings>) {
    let Some(challenge) = response.extensions_mut().remove::<Challenge>() else {
        return;
    };
    let mut text = String::from("Bearer");
    let mut parameter = |name: &str, value: &str| {
        text.push_str(if text.ends_with("Bearer") { " " } else { ", " });
        text.push_str(name);
        text.push_str("=\"");
        text.push_str(value);
        text.push('"');
    };
    match challenge {
        Challenge::Missing => {}
        Challenge::Invalid | Challenge::Unknown => parameter("error", "invalid_token"),
        Challenge::Scope => parameter("error", "insufficient_scope"),
    }
    if let Some(settings) = settings {
        if !settings.scopes.is_empty() {
            parameter("scope", &settings.scopes.join(" "));
        }
        if let Some(url) = settings.metadata_url() {
            parameter("resource_metadata", &url);
        }
    }
    if let Ok(value) = HeaderValue::from_str(&text) {
        response.headers_mut().insert(WWW_AUTHENTICATE, value);
    }
}

#[cfg(test)]
mod tests {
    use super::{AuthorizationSettings, challenge};
    use crate::body::Body;
    use ferromcp_core::Challenge;
    use http::Response;

    fn asked(kind: Challenge, settings: Option<&AuthorizationSettings>) -> String {
        let mut response = Response::new(Body::empty());
        response.extensions_mut().insert(kind);
        challenge(&mut response, settings);
        response.headers()["www-authenticate"]
            .to_str()
            .unwrap()
            .to_owned()
    }

    #[test]
    fn challenges_say_what_is_known() {
        assert_eq!(asked(Challenge::Missing, None), "Bearer");
        assert_eq!(asked(Challenge::Invalid, None), "Bearer error=\"invalid_token\"");
        let mut settings = AuthorizationSettings {
            resource: "https://mcp.example.com/mcp".into(),
            authorization_servers: vec!["https://id.example.com".into()],
            scopes: vec!["mcp:tools".into(), "x".into()],
        };
        let url = "https://mcp.example.com/.well-known/oauth-protected-resource/mcp";
        assert_eq!(
            asked(Challenge::Scope, Some(&settings)),
            format!(
                "Bearer error=\"insufficient_scope\", scope=\"mcp:tools x\", resource_metadata=\"{url}\""
            )
        );
        settings.scopes.clear();
        settings.resource = "https://mcp.example.com".into();
        assert_eq!(
            asked(Challenge::Missing, Some(&settings)),
            "Bearer resource_metadata=\"https://mcp.example.com/.well-known/oauth-protected-resource\""
        );
    }
}
