//! `tools/list`, `resources/list`, `resources/templates/list`, `prompts/list`.

use std::borrow::Cow;
use std::sync::Arc;

use ferromcp_core::View;
use ferromcp_protocol::json;

use crate::answer::Answer;
use crate::cursor;
use crate::cx::Cx;
use crate::render::Hints;

pub(super) fn tools(cx: &Cx<'_, '_>) -> Answer {
    page(
        cx,
        b't',
        "tools",
        View::tools,
        |t| &t.name,
        |t, modern| {
            if modern {
                &t.definition
            } else {
                t.legacy_definition()
            }
        },
    )
}

pub(super) fn resources(cx: &Cx<'_, '_>) -> Answer {
    page(
        cx,
        b'r',
        "resources",
        View::resources,
        |r| &r.uri,
        |r, _| &r.definition,
    )
}

pub(super) fn templates(cx: &Cx<'_, '_>) -> Answer {
    page(
        cx,
        b'u',
        "resourceTemplates",
        View::templates,
        |t| t.uri.as_str(),
        |t, _| &t.definition,
    )
}

pub(super) fn prompts(cx: &Cx<'_, '_>) -> Answer {
    page(
        cx,
        b'p',
        "prompts",
        View::prompts,
        |p| &p.name,
        |p, _| &p.definition,
    )
}

/// One page of a list: `items` picks the list, `key` names an item, `text` is its raw definition.
fn page<T>(
    cx: &Cx<'_, '_>,
    list: u8,
    member: &str,
    items: impl for<'a> Fn(&'a View) -> Cow<'a, [Arc<T>]>,
    key: impl Fn(&T) -> &str,
    text: impl Fn(&T, bool) -> &str,
) -> Answer {
    let view = match cx.endpoint.gateway.view(cx.incoming.credential) {
        Ok(view) => view,
        Err(error) => return Answer::turned_away(Some(cx.id), &error),
    };
    let items = items(&view);
    let start = match cx.params.get("cursor") {
        // We never give out an empty cursor; clients that send one mean the first page.
        None | Some("null" | "\"\"") => 0,
        Some(raw) => {
            let cursor = json::decode_str(raw);
            match cursor.and_then(|c| cursor::find(list, &c, items.len(), |i| key(&items[i]))) {
                Some(start) => start,
                None => return cx.invalid("`params.cursor` is not a cursor of this list: start without one"),
            }
        }
    };
    let end = items
        .len()
        .min(start.saturating_add(cx.endpoint.settings.page_size));
    let shown = items.get(start..end).unwrap_or_default();
    let size: usize = shown.iter().map(|i| text(i, cx.modern()).len() + 1).sum();
    let mut out = Vec::with_capacity(size + 128);
    json::write_str(&mut out, member);
    out.extend_from_slice(b":[");
    for (i, item) in shown.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        out.extend_from_slice(text(item, cx.modern()).as_bytes());
    }
    out.push(b']');
    if let Some(last) = shown.last().filter(|_| end < items.len()) {
        out.extend_from_slice(b",\"nextCursor\":\"");
        out.extend_from_slice(cursor::make(list, end, key(last)).as_bytes());
        out.push(b'"');
    }
    if cx.modern() {
        let caching = &cx.endpoint.settings.caching;
        out.push(b',');
        Hints {
            ttl_ms: caching.list_ttl_ms,
            public: caching.public,
        }
        .write(&mut out);
    }
    cx.result(&out)
}
