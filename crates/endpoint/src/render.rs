//! JSON-RPC messages as bytes. Everything is written once, front to back, into one buffer; raw
//! parts (ids, results) are spliced in as they are.

use ferromcp_core::{Payload, TaskWatch, Watch};
use ferromcp_protocol::json::{self, Object};
use ferromcp_protocol::meta::key;

use crate::listen::Filter;

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
pub(crate) fn notification_raw(method: &str, params: &[u8]) -> Vec<u8> {
    let mut out = open(method);
    out.extend_from_slice(b",\"params\":");
    out.extend_from_slice(params);
    out.push(b'}');
    out
}

/// A request to a legacy client. Empty params are left out: some clients refuse them on
/// `roots/list`.
pub(crate) fn request(id: u64, method: &str, params: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(96 + params.len());
    out.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"id\":");
    out.extend_from_slice(itoa::Buffer::new().format(id).as_bytes());
    out.push(b',');
    method_and_params(&mut out, method, params);
    out.push(b'}');
    out
}

/// Appends `"method":..` and, unless they are empty, `"params":..`.
pub(crate) fn method_and_params(out: &mut Vec<u8>, method: &str, params: &str) {
    out.extend_from_slice(b"\"method\":");
    json::write_str(out, method);
    if !matches!(params.trim(), "" | "{}") {
        out.extend_from_slice(b",\"params\":");
        out.extend_from_slice(params.as_bytes());
    }
}

/// Caching hints of 2026-07-28.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hints {
    pub(crate) ttl_ms: u64,
    pub(crate) public: bool,
}

impl Hints {
    /// Appends the two members.
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\"ttlMs\":");
        out.extend_from_slice(itoa::Buffer::new().format(self.ttl_ms).as_bytes());
        self.write_scope(out);
    }

    fn write_scope(self, out: &mut Vec<u8>) {
        out.extend_from_slice(if self.public {
            b",\"cacheScope\":\"public\""
        } else {
            b",\"cacheScope\":\"private\""
        });
    }
}

/// The response of a legacy call: the result as the source gave it, without what only 2026-07-28
/// knows.
pub(crate) fn legacy_response(id: &str, payload: &Payload) -> Vec<u8> {
    // Before 2026-07-28, structured content is an object.
    let odd = payload.structured().is_some_and(|s| !s.starts_with('{'));
    let mut out = start(id, payload.len());
    if odd || payload.has_modern_members() {
        let object = Object::parse(payload.as_str()).unwrap_or_default();
        let unknown = |name: &str| {
            matches!(name, "resultType" | "ttlMs" | "cacheScope") || (odd && name == "structuredContent")
        };
        out.push(b'{');
        write_members(&mut out, &object, unknown);
        out.push(b'}');
    } else {
        out.extend_from_slice(payload.as_bytes());
    }
    out.push(b'}');
    out
}

/// The response of a call of 2026-07-28: `resultType`, the result, caching hints where the method
/// has them, and the server's name in `_meta`. `server_info` is the raw member. `timed`: the result has a `ttlMs` of its
/// own that is no caching hint, as tasks have.
pub(crate) fn modern_response(
    id: &str,
    payload: &Payload,
    result_type: &str,
    hints: Option<Hints>,
    timed: bool,
    server_info: &[u8],
) -> Vec<u8> {
    let mut out = start(id, payload.len() + server_info.len() + 64);
    out.extend_from_slice(b"{\"resultType\":\"");
    out.extend_from_slice(result_type.as_bytes());
    out.push(b'"');
    if payload.has_meta() || payload.has_modern_members() {
        relayed(&mut out, payload, hints, timed, server_info);
    } else {
        let members = payload.members();
        if !members.is_empty() {
            out.push(b',');
            out.extend_from_slice(members);
        }
        if let Some(hints) = hints {
            out.push(b',');
            hints.write(&mut out);
        }
        out.extend_from_slice(b",\"_meta\":{");
        out.extend_from_slice(server_info);
        out.push(b'}');
    }
    out.extend_from_slice(b"}}");
    out
}

/// A response of 2026-07-28 from raw members, `resultType` among them.
pub(crate) fn modern_raw(id: &str, members: &[u8], server_info: &[u8]) -> Vec<u8> {
    let mut out = start(id, members.len() + server_info.len() + 16);
    out.push(b'{');
    out.extend_from_slice(members);
    out.extend_from_slice(b",\"_meta\":{");
    out.extend_from_slice(server_info);
    out.extend_from_slice(b"}}}");
    out
}

/// The first message of a subscription: what it will deliver.
pub(crate) fn acknowledged(id: &str, filter: &Filter) -> Vec<u8> {
    let mut out = open("notifications/subscriptions/acknowledged");
    out.extend_from_slice(b",\"params\":{");
    tag(&mut out, id);
    out.extend_from_slice(b",\"notifications\":");
    let mut granted = serde_json::Map::new();
    let lists = [
        (filter.tools, "toolsListChanged"),
        (filter.prompts, "promptsListChanged"),
        (filter.resources, "resourcesListChanged"),
    ];
    granted.extend(
        lists
            .iter()
            .filter(|(on, _)| *on)
            .map(|(_, name)| ((*name).into(), true.into())),
    );
    if !filter.watches.is_empty() {
        let uris: Vec<&str> = filter.watches.iter().map(Watch::uri).collect();
        granted.insert("resourceSubscriptions".into(), uris.into());
    }
    if !filter.tasks.is_empty() {
        let ids: Vec<&str> = filter.tasks.iter().map(TaskWatch::id).collect();
        granted.insert("taskIds".into(), ids.into());
    }
    out.extend_from_slice(serde_json::Value::Object(granted).to_string().as_bytes());
    out.extend_from_slice(b"}}");
    out
}

/// Members of a result that has some of ours already: hints of the source count, its `_meta` is
/// kept, and the server's name is ours.
fn relayed(out: &mut Vec<u8>, payload: &Payload, hints: Option<Hints>, timed: bool, server_info: &[u8]) {
    let object = Object::parse(payload.as_str()).unwrap_or_default();
    let own = |name: &str| match name {
        "resultType" | "_meta" => true,
        "ttlMs" | "cacheScope" => !timed,
        _ => false,
    };
    let rest = object.iter().filter(|(name, _)| !own(name)).count();
    if rest > 0 {
        out.push(b',');
        write_members(out, &object, own);
    }
    if let Some(hints) = hints {
        out.push(b',');
        match object.get("ttlMs") {
            Some(ttl) => {
                member(out, "ttlMs", ttl);
                let public = hints.public && object.get("cacheScope") != Some("\"private\"");
                Hints { public, ..hints }.write_scope(out);
            }
            None => hints.write(out),
        }
    }
    out.extend_from_slice(b",\"_meta\":{");
    let meta = object
        .get("_meta")
        .and_then(|raw| Object::parse(raw).ok())
        .unwrap_or_default();
    let ours = |name: &str| name == key::SERVER_INFO;
    let kept = meta.iter().filter(|(name, _)| !ours(name)).count();
    write_members(out, &meta, ours);
    if kept > 0 {
        out.push(b',');
    }
    out.extend_from_slice(server_info);
    out.push(b'}');
}

fn write_members(out: &mut Vec<u8>, object: &Object<'_>, without: impl Fn(&str) -> bool) {
    let mut first = true;
    for (name, value) in object.iter().filter(|(name, _)| !without(name)) {
        if !first {
            out.push(b',');
        }
        first = false;
        member(out, name, value);
    }
}

/// `{"jsonrpc":"2.0","id":<id>,"result":`
fn start(id: &str, room: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(room + id.len() + 48);
    out.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"id\":");
    out.extend_from_slice(id.as_bytes());
    out.extend_from_slice(b",\"result\":");
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
