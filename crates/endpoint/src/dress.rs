//! The parts of results that stay the same until the server's identity changes.

use std::sync::Arc;

use ferromcp_core::{Identity, Snapshot};
use ferromcp_protocol::json;
use ferromcp_protocol::meta::key;

/// Prebuilt text for one generation of the snapshot.
#[derive(Debug)]
pub(crate) struct Dress {
    /// The generation of the snapshot that it was made for.
    pub(crate) generation: u64,
    /// `"io.modelcontextprotocol/serverInfo":{...}`: a member of `_meta` in every modern result.
    pub(crate) meta_member: Arc<[u8]>,
    /// The same object alone, for `initialize`.
    pub(crate) server_info: Box<[u8]>,
}

impl Dress {
    pub(crate) fn of(snapshot: &Snapshot) -> Self {
        let server_info = server_info(&snapshot.identity);
        let mut member = json::quote(key::SERVER_INFO).into_bytes();
        member.push(b':');
        member.extend_from_slice(&server_info);
        Self {
            generation: snapshot.generation,
            meta_member: member.into(),
            server_info: server_info.into(),
        }
    }
}

fn server_info(identity: &Identity) -> Vec<u8> {
    let mut out = b"{\"name\":".to_vec();
    json::write_str(&mut out, &identity.name);
    if let Some(title) = &identity.title {
        out.extend_from_slice(b",\"title\":");
        json::write_str(&mut out, title);
    }
    out.extend_from_slice(b",\"version\":");
    json::write_str(&mut out, &identity.version);
    out.push(b'}');
    out
}
