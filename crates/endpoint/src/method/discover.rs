//! `server/discover` (2026-07-28 server/discover).

use ferromcp_protocol::json;

use super::initialize::instructions;
use crate::answer::Answer;
use crate::capability;
use crate::cx::Cx;
use crate::modern::supported;
use crate::render::Hints;

pub(super) fn run(cx: &Cx<'_, '_>) -> Answer {
    let settings = &cx.endpoint.settings;
    let mut out = Vec::with_capacity(512);
    out.extend_from_slice(b"\"supportedVersions\":[");
    for (i, version) in supported().iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        json::write_str(&mut out, version);
    }
    out.extend_from_slice(b"],\"capabilities\":");
    let capabilities = capability::announced(cx.snapshot, settings.logging, cx.version);
    out.extend_from_slice(capabilities.to_string().as_bytes());
    if let Some(text) = instructions(cx.snapshot) {
        out.extend_from_slice(b",\"instructions\":");
        json::write_str(&mut out, &text);
    }
    out.push(b',');
    Hints {
        ttl_ms: settings.caching.discover_ttl_ms,
        public: settings.caching.public,
    }
    .write(&mut out);
    cx.result(&out)
}
