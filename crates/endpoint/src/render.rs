//! JSON-RPC messages as bytes. Everything is written once, front to back, into one buffer; raw
//! parts (ids, results) are spliced in as they are.

use ferromcp_protocol::json::{self, Object};
use ferromcp_protocol::meta::key;

/// A notification without params of its own, tagged with a subscription id if given (raw JSON).
pub(crate) fn notification(method: &str, subscription: Option<&str>) -> Vec<u8> {
    let mut out = open(method);
    if let Some(id) = subscription {
        out.extend_from_slice(b",\"params\":{");
        tag(&mut out, id);
        out.push(b'}');
    }
    out.push(b'}');
    out
}

/// `notifications/resources/updated`.
pub(crate) fn resource_updated(uri: &str, subscription: Option<&str>) -> Vec<u8> {
    let mut out = open("notifications/resources/updated");
    out.extend_from_slice(b",\"params\":{");
    if let Some(id) = subscription {
        tag(&mut out, id);
        out.push(b',');
    }
    out.extend_from_slice(b"\"uri\":");
    json::write_str(&mut out, uri);
    out.extend_from_slice(b"}}");
    out
}

/// `notifications/tasks`: the raw task object, tagged.
pub(crate) fn task_notification(task: &str, subscription: &str) -> Vec<u8> {
    let mut out = open("notifications/tasks");
    out.extend_from_slice(b",\"params\":{");
    tag(&mut out, subscription);
    if let Ok(object) = Object::parse(task) {
        for (name, value) in object.iter().filter(|(name, _)| *name != "_meta") {
            out.push(b',');
            member(&mut out, name, value);
        }
    }
    out.extend_from_slice(b"}}");
    out
}

/// The result that ends a subscription gracefully.
pub(crate) fn listen_result(id: &str, server_info: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(192);
    out.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"id\":");
    out.extend_from_slice(id.as_bytes());
    out.extend_from_slice(b",\"result\":{\"resultType\":\"complete\",\"_meta\":{");
    member(&mut out, key::SUBSCRIPTION_ID, id);
    out.push(b',');
    out.extend_from_slice(server_info);
    out.extend_from_slice(b"}}}");
    out
}

/// A notification with raw JSON params.
pub(crate) fn notification_with(method: &str, params: &str) -> Vec<u8> {
    let mut out = open(method);
    out.extend_from_slice(b",\"params\":");
    out.extend_from_slice(params.as_bytes());
    out.push(b'}');
    out
}

fn open(method: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(192);
    out.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"method\":");
    json::write_str(&mut out, method);
    out
}

fn tag(out: &mut Vec<u8>, id: &str) {
    out.extend_from_slice(b"\"_meta\":{");
    member(out, key::SUBSCRIPTION_ID, id);
    out.push(b'}');
}

/// Appends `"name":value` with a raw value.
pub(crate) fn member(out: &mut Vec<u8>, name: &str, value: &str) {
    json::write_str(out, name);
    out.push(b':');
    out.extend_from_slice(value.as_bytes());
}
