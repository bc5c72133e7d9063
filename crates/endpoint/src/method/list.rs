//! `tools/list`, `resources/list`, `resources/templates/list`, `prompts/list`.
//!
//! Pages are kept as text with the snapshot, for all who see the same: see [`View::cached`].

use std::borrow::Cow;
use std::sync::Arc;

use ferromcp_core::catalog::listed;
use ferromcp_core::{ListKey, View};
use ferromcp_protocol::json;

use crate::answer::Answer;
use crate::cursor;
use crate::cx::Cx;
use crate::render::Hints;

const TOOLS: u8 = b't';

pub(super) fn tools(cx: &Cx<'_, '_>) -> Answer {
    page(
        cx,
        TOOLS,
        "tools",
        View::tools,
        |t| &t.name,
        |t| t.listed(cx.modern()),
    )
}

pub(super) fn resources(cx: &Cx<'_, '_>) -> Answer {
    page(
        cx,
        b'r',
        "resources",
        View::resources,
        |r| &r.uri,
        |r| listed(&r.definition, &r.source),
    )
}

pub(super) fn templates(cx: &Cx<'_, '_>) -> Answer {
    page(
        cx,
        b'u',
        "resourceTemplates",
        View::templates,
        |t| t.uri.as_str(),
        |t| listed(&t.definition, &t.source),
    )
}

pub(super) fn prompts(cx: &Cx<'_, '_>) -> Answer {
    page(
        cx,
        b'p',
        "prompts",
        View::prompts,
        |p| &p.name,
        |p| listed(&p.definition, &p.source),
    )
}

/// One page of a list: `items` picks the list, `key` names an item, `text` is its raw definition.
fn page<T>(
    cx: &Cx<'_, '_>,
    list: u8,
    member: &str,
    items: impl for<'a> Fn(&'a View) -> Cow<'a, [Arc<T>]>,
    key: impl Fn(&T) -> &str,
    text: impl for<'a> Fn(&'a T) -> Cow<'a, str>,
) -> Answer {
    let view = match cx.endpoint.gateway.view(cx.incoming.credential) {
        Ok(view) => view,
        Err(error) => return Answer::turned_away(Some(cx.id), &error),
    };
    let not_ours = "`params.cursor` is not a cursor of this list: start without one";
    let cursor = match cx.params.get("cursor") {
        // We never give out an empty cursor; clients that send one mean the first page.
        None | Some("null" | "\"\"") => Cow::Borrowed(""),
        Some(raw) => match json::decode_str(raw) {
            Some(cursor) => cursor,
            None => return cx.invalid(not_ours),
        },
    };
    // Mostly the eras' texts are the same, and kept once.
    let own = cx.modern() && list == TOOLS && view.snapshot().catalog.tools_differ_by_era();
    let limit = cx.endpoint.settings.page_size;
    let kept_as = ListKey {
        list: if own { list.to_ascii_uppercase() } else { list },
        limit,
        cursor: &cursor,
    };
    let shown = view.cached(kept_as, || {
        let items = items(&view);
        let start = match &*cursor {
            "" => 0,
            given => cursor::find(list, given, items.len(), |i| key(&items[i])).ok_or(())?,
        };
        Ok::<_, ()>(written(list, member, &items, start, limit, &key, &text))
    });
    let Ok(shown) = shown else {
        return cx.invalid(not_ours);
    };
    let mut hints = Vec::new();
    if cx.modern() {
        let caching = &cx.endpoint.settings.caching;
        hints.push(b',');
        Hints {
            ttl_ms: caching.list_ttl_ms,
            public: caching.public,
        }
        .write(&mut hints);
    }
    cx.result_of(&[&shown, &hints])
}

/// `"<member>":[...]`, and `"nextCursor":"..."` if there is more.
fn written<T>(
    list: u8,
    member: &str,
    items: &[Arc<T>],
    start: usize,
    limit: usize,
    key: &impl Fn(&T) -> &str,
    text: &impl for<'a> Fn(&'a T) -> Cow<'a, str>,
) -> Vec<u8> {
    let end = items.len().min(start.saturating_add(limit));
    let shown = items.get(start..end).unwrap_or_default();
    let mut out = Vec::new();
    json::write_str(&mut out, member);
    out.extend_from_slice(b":[");
    for (i, item) in shown.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        out.extend_from_slice(text(item).as_bytes());
    }
    out.push(b']');
    if let Some(last) = shown.last().filter(|_| end < items.len()) {
        out.extend_from_slice(b",\"nextCursor\":\"");
        out.extend_from_slice(cursor::make(list, end, key(last)).as_bytes());
        out.push(b'"');
    }
    // It is kept for long.
    out.shrink_to_fit();
    out
}
