//! `servers.ID.tls`, `servers.ID.auth` and `type: sse`.

use ferromcp_config::{AssertionSource, Endpoint, OAuthMethod, Transport};

use crate::load;

fn endpoint(text: &str) -> Endpoint {
    match load(text).unwrap().servers.remove(0).transport {
        Transport::Http(endpoint) => endpoint,
        other => panic!("{other:?}"),
    }
}

#[test]
fn everything_is_read_and_secrets_do_not_print() {
    let found = endpoint(
        r#"
servers:
  a:
    type: sse
    url: https://mcp.example/sse
    tls: { ca: CAPEM, cert: hush1, key: hush2 }
    auth:
      oauth:
        client_id: me
        client_secret: hush3
        private_key: hush4
        key_id: k
        assertion: token.jwt
        auth_method: client_secret_post
        issuer: https://as.example
        token_url: https://as.example/token
        resource: https://mcp.example
        scopes: [a, b]
        dpop: true
"#,
    );
    assert!(found.sse);
    let shown = format!("{found:?}");
    assert!(!shown.contains("hush"), "{shown}");
    let (cert, key) = found.tls.identity.unwrap();
    assert_eq!((cert.expose(), key.expose()), ("hush1", "hush2"));
    assert_eq!(found.tls.ca.unwrap().expose(), "CAPEM");
    let oauth = *found.oauth.unwrap();
    assert_eq!(oauth.client_id, "me");
    assert_eq!(oauth.client_secret.as_ref().unwrap().expose(), "hush3");
    assert_eq!(oauth.private_key.as_ref().unwrap().expose(), "hush4");
    assert_eq!(oauth.key_id.as_deref(), Some("k"));
    assert!(matches!(&oauth.assertion, Some(AssertionSource::File(path)) if path.ends_with("token.jwt")));
    assert_eq!(oauth.auth_method, Some(OAuthMethod::Post));
    assert_eq!(oauth.issuer.as_deref(), Some("https://as.example"));
    assert_eq!(oauth.token_url.as_deref(), Some("https://as.example/token"));
    assert_eq!(oauth.resource.as_deref(), Some("https://mcp.example"));
    assert_eq!(oauth.scopes, ["a", "b"]);
    assert!(oauth.dpop);
}

#[test]
fn what_is_absent_is_found_out() {
    let found = endpoint(
        "servers: { a: { url: \"https://h\", auth: { oauth: { client_id: me, client_secret: s } } } }",
    );
    assert!(!found.sse && found.tls == Default::default());
    let oauth = found.oauth.unwrap();
    assert!(
        oauth.auth_method.is_none() && oauth.token_url.is_none() && oauth.scopes.is_empty() && !oauth.dpop
    );
    assert!(endpoint("servers: { a: { url: \"http://h\" } }").oauth.is_none());
}
