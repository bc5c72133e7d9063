use std::time::Duration;

use super::CallRequest;

#[test]
fn a_request_is_read_without_copying() {
    let body = b" {\"tool\":\"a\",\"arguments\": {\"x\":[1, 2]} ,\"timeout_ms\":5,\"tenant_id\":\"t\"} ";
    let request = CallRequest::parse(body).unwrap();
    assert!(matches!(request.tool, std::borrow::Cow::Borrowed("a")));
    assert_eq!(request.arguments, Some("{\"x\":[1, 2]}"));
    assert_eq!(request.timeout, Some(Duration::from_millis(5)));
    assert_eq!(request.tenant.as_deref(), Some("t"));
}

#[test]
fn null_arguments_are_none() {
    let request = CallRequest::parse(b"{\"tool\":\"\\u0061\",\"arguments\":null}").unwrap();
    assert_eq!((&*request.tool, request.arguments), ("a", None));
}
