//! From the settings of an HTTP server to how it is reached.

use std::path::PathBuf;
use std::sync::Arc;

use ferromcp_config::{
    AssertionSource, DocumentSource, Endpoint, Grpc as GrpcServer, OAuth, OAuthMethod, OpenApi as Api,
    Secret as Text, UpstreamTls,
};
use ferromcp_upstream::auth::{Assertion, AuthMethod, ClientKey, Grant, OAuthSpec, Secret};
use ferromcp_upstream::transport::http::{HttpKind, HttpSpec, TlsSpec};
use ferromcp_upstream_grpc::{Grpc, GrpcSpec};
use ferromcp_upstream_openapi::{OpenApi, OpenApiSpec, Source};

/// Longest file with a signed statement, in bytes.
const MAX_ASSERTION: u64 = 64 * 1024;

/// An MCP server at a URL.
pub(crate) fn endpoint(name: &str, endpoint: &Endpoint) -> HttpSpec {
    let mut spec = HttpSpec::new(name, endpoint.url.as_str());
    if endpoint.sse {
        spec.kind = HttpKind::Events;
    }
    reached(spec, &endpoint.headers, &endpoint.tls, endpoint.oauth.as_deref())
}

/// An HTTP API.
pub(crate) fn openapi(name: &str, api: &Api) -> OpenApi {
    OpenApi::new(OpenApiSpec {
        source: match &api.document {
            DocumentSource::File(path) => Source::File(path.clone()),
            DocumentSource::Url(url) => Source::Url(url.clone()),
        },
        base_url: api.base_url.clone(),
        http: reached(
            HttpSpec::new(name, ""),
            &api.headers,
            &api.tls,
            api.oauth.as_deref(),
        ),
    })
}

/// A gRPC server.
pub(crate) fn grpc(name: &str, server: &GrpcServer) -> Grpc {
    let http = HttpSpec::new(name, server.url.as_str());
    Grpc::new(GrpcSpec {
        http: reached(http, &server.headers, &server.tls, None),
        descriptors: server.descriptors.clone(),
        services: server.services.clone(),
    })
}

/// With headers, certificates and tokens.
fn reached(
    mut spec: HttpSpec,
    headers: &[(String, Text)],
    tls: &UpstreamTls,
    auth: Option<&OAuth>,
) -> HttpSpec {
    for (name, value) in headers {
        spec = spec.header(name, value.expose());
    }
    spec.tls = certificates(tls);
    match auth {
        Some(auth) => spec.oauth(oauth(auth)),
        None => spec,
    }
}

fn certificates(tls: &UpstreamTls) -> TlsSpec {
    let identity = |(cert, key): &(Text, Text)| Secret::new(format!("{}\n{}\n", cert.expose(), key.expose()));
    TlsSpec {
        ca: tls.ca.as_ref().map(secret),
        identity: tls.identity.as_ref().map(identity),
    }
}

fn oauth(auth: &OAuth) -> OAuthSpec {
    let grant = match &auth.assertion {
        None => Grant::ClientCredentials,
        Some(AssertionSource::Text(text)) => Grant::JwtBearer(Arc::new(secret(text))),
        Some(AssertionSource::File(path)) => Grant::JwtBearer(Arc::new(AssertionFile(path.clone()))),
    };
    OAuthSpec {
        client_id: Some(auth.client_id.clone()),
        client_secret: auth.client_secret.as_ref().map(secret),
        client_key: auth.private_key.as_ref().map(|key| ClientKey {
            pem: secret(key),
            kid: auth.key_id.clone(),
        }),
        auth_method: auth.auth_method.map(|method| match method {
            OAuthMethod::None => AuthMethod::None,
            OAuthMethod::Basic => AuthMethod::Basic,
            OAuthMethod::Post => AuthMethod::Post,
            OAuthMethod::PrivateKeyJwt => AuthMethod::PrivateKeyJwt,
        }),
        issuer: auth.issuer.clone(),
        token_url: auth.token_url.clone(),
        resource: auth.resource.clone(),
        scopes: auth.scopes.clone(),
        dpop: auth.dpop,
        ..OAuthSpec::new(grant)
    }
}

fn secret(text: &Text) -> Secret {
    Secret::new(text.expose())
}

/// A statement that the platform replaces before it ends, as Kubernetes does with service account tokens.
struct AssertionFile(PathBuf);

impl Assertion for AssertionFile {
    fn read(&self) -> Result<Secret, String> {
        let shown = self.0.display();
        let size = std::fs::metadata(&self.0).map(|file| file.len());
        match size {
            Ok(size) if size <= MAX_ASSERTION => {}
            Ok(_) => {
                return Err(format!(
                    "`assertion`: {shown} is larger than {MAX_ASSERTION} bytes"
                ));
            }
            Err(error) => return Err(format!("`assertion`: {shown} cannot be read: {error}")),
        }
        match std::fs::read_to_string(&self.0) {
            Ok(text) => Ok(Secret::new(text.trim())),
            Err(error) => Err(format!("`assertion`: {shown} cannot be read: {error}")),
        }
    }
}
