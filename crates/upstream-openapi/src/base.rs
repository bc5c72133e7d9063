//! Where requests go: what the configuration says, or what the document says as far as it can be believed.

use ferromcp_upstream::auth::is_local;
use serde_json::Value;
use url::Url;

use crate::document::{Document, cut, text};
use crate::request::Base;

/// The base URL of requests, from the document. `from`: where the document is, if it is not a file. Credentials go along with
/// requests, so a document on the network names no other host than its own, and a file none of this machine or its network.
pub(crate) fn of_document(document: &Document, from: Option<&Url>) -> Result<Url, String> {
    let first = document.root().get("servers").and_then(|servers| servers.get(0));
    let written = match first {
        Some(server) => substituted(server)?,
        None => "/".to_owned(),
    };
    let shown = cut(&written, 200).escape_debug().to_string();
    let advice = "set `base_url` to where its operations are";
    let Some(from) = from else {
        let url = Url::parse(&written)
            .map_err(|_| format!("the document does not say on which host its operations are; {advice}"))?;
        check(&url, &shown)?;
        if is_local(&url) {
            return Err(format!(
                "the document names `{shown}`, an address of this machine or its private network, which only the \
                 configuration may do; {advice}"
            ));
        }
        return Ok(url);
    };
    let url = from
        .join(&written)
        .map_err(|_| format!("the document's `servers` names `{shown}`, which is no URL; {advice}"))?;
    check(&url, &shown)?;
    if url.origin() != from.origin() {
        return Err(format!(
            "the document's `servers` names `{shown}`, another host than the document's own, and credentials would go \
             there; {advice}"
        ));
    }
    Ok(url)
}

fn check(url: &Url, shown: &str) -> Result<(), String> {
    let plain = matches!(url.scheme(), "http" | "https")
        && url.host().is_some()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    match plain {
        true => Ok(()),
        false => Err(format!(
            "the document's `servers` names `{shown}`, which is no plain http or https URL; set `base_url`"
        )),
    }
}

/// The URL with the defaults of its variables.
fn substituted(server: &Value) -> Result<String, String> {
    let mut url = text(server, "url").to_owned();
    let variables = server.get("variables").and_then(Value::as_object);
    for (name, variable) in variables.into_iter().flatten() {
        url = url.replace(&format!("{{{name}}}"), text(variable, "default"));
    }
    if url.contains('{') {
        let shown = cut(&url, 200).escape_debug().to_string();
        return Err(format!(
            "the document's `servers` names `{shown}` without saying what stands for the braces; set `base_url`"
        ));
    }
    Ok(url)
}

/// What of the URL is in each request.
pub(crate) fn parts(url: &Url) -> Base {
    Base {
        path: url.path().trim_end_matches('/').to_owned(),
        query: url.query().unwrap_or_default().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_names_no_hosts_that_are_not_its_own() {
        let of = |servers: &str, from: Option<&str>| {
            let text = format!(r#"{{"openapi":"3.1.0","paths":{{}},"servers":{servers}}}"#);
            let document = Document::parse(text.as_bytes()).unwrap();
            let from = from.map(|from| Url::parse(from).unwrap());
            of_document(&document, from.as_ref()).map(String::from)
        };
        let from = Some("https://api.example.com/docs/openapi.json");
        for (servers, from, expected) in [
            (
                r#"[{"url":"https://api.example.com/v1"}]"#,
                None,
                "https://api.example.com/v1",
            ),
            (r#"[{"url":"/v1"}]"#, from, "https://api.example.com/v1"),
            (r#"[{"url":"../v1"}]"#, from, "https://api.example.com/v1"),
            ("[]", from, "https://api.example.com/"),
            ("null", from, "https://api.example.com/"),
            (
                r#"[{"url":"https://{at}.example.com","variables":{"at":{"default":"eu"}}}]"#,
                None,
                "https://eu.example.com/",
            ),
        ] {
            assert_eq!(of(servers, from), Ok(expected.to_owned()));
        }
        for (servers, from, why) in [
            ("[]", None, "on which host"),
            (r#"[{"url":"/v1"}]"#, None, "on which host"),
            (
                r#"[{"url":"http://169.254.169.254/latest"}]"#,
                None,
                "this machine or its private network",
            ),
            (
                r#"[{"url":"http://localhost:1"}]"#,
                None,
                "this machine or its private network",
            ),
            (
                r#"[{"url":"http://[::ffff:127.0.0.1]/"}]"#,
                None,
                "this machine or its private network",
            ),
            (r#"[{"url":"https://evil.example.com"}]"#, from, "another host"),
            (r#"[{"url":"http://api.example.com"}]"#, from, "another host"),
            (r#"[{"url":"//evil.example.com/"}]"#, from, "another host"),
            (r#"[{"url":"https://a:b@api.example.com"}]"#, from, "no plain"),
            (r#"[{"url":"file:///etc/passwd"}]"#, None, "no plain"),
            (r#"[{"url":"https://{at}.example.com"}]"#, None, "braces"),
        ] {
            let error = of(servers, from).unwrap_err();
            assert!(error.contains(why) && error.contains("base_url"), "{error}");
        }
    }
}
