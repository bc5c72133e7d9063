//! `GET /v1/tools`.

use std::sync::Arc;

use ferromcp_core::{ListKey, ToolEntry, View};
use ferromcp_protocol::json;
use http::{Request, Response, StatusCode};
use percent_encoding::percent_decode_str;

use super::MAX_PAGE;
use crate::body::Body;
use crate::credential::credential;
use crate::refusal::{Refusal, json_response};
use crate::route::Site;

/// Lists the tools that the caller may see, a page at a time.
pub(crate) fn list<B>(site: &Site, request: &Request<B>) -> Response<Body> {
    listed(site, request).unwrap_or_else(|refusal| refusal.rest())
}

fn listed<B>(site: &Site, request: &Request<B>) -> Result<Response<Body>, Refusal> {
    let credential = credential(request.headers(), request.extensions())?;
    let query = Query::parse(request.uri().query().unwrap_or_default())?;
    let view = site.gateway().view(credential).map_err(|e| Refusal::of(&e))?;
    let key = ListKey {
        list: b'R',
        limit: query.limit,
        cursor: query.cursor.as_deref().unwrap_or_default(),
    };
    let page = view.cached(key, || page(&view, &query))?;
    Ok(json_response(StatusCode::OK, page))
}

fn page(view: &View, query: &Query) -> Result<Vec<u8>, Refusal> {
    let tools = view.tools();
    let start = match &query.cursor {
        Some(cursor) => position(&tools, cursor)?,
        None => 0,
    };
    let page = tools.iter().skip(start).take(query.limit);
    let mut out = Vec::with_capacity(64 + page.len() * 512);
    out.extend_from_slice(b"{\"tools\":[");
    for (i, tool) in page.enumerate() {
        if i > 0 {
            out.push(b',');
        }
        tool.write_rest(&mut out);
    }
    out.extend_from_slice(b"],\"next_cursor\":");
    let next = start + query.limit;
    match tools.get(next) {
        Some(tool) => json::write_str(&mut out, &format!("{next}.{}", tool.name)),
        None => out.extend_from_slice(b"null"),
    }
    out.push(b'}');
    Ok(out)
}

/// Where a page begins: at the tool that the cursor names, so that changes of the list before it
/// neither skip nor repeat a tool; if that tool is gone, at its old place.
fn position(tools: &[Arc<ToolEntry>], cursor: &str) -> Result<usize, Refusal> {
    let bad = || Refusal::bad("`cursor` is not one that this server gave; start again without it");
    let (index, name) = cursor.split_once('.').ok_or_else(bad)?;
    let index: usize = index.parse().map_err(|_| bad())?;
    if tools.get(index).is_some_and(|t| &*t.name == name) {
        return Ok(index);
    }
    Ok(tools.iter().position(|t| &*t.name == name).unwrap_or(index))
}

struct Query {
    cursor: Option<String>,
    limit: usize,
}

impl Query {
    fn parse(query: &str) -> Result<Self, Refusal> {
        let mut found = Self {
            cursor: None,
            limit: MAX_PAGE,
        };
        for pair in query.split('&').filter(|p| !p.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = percent_decode_str(value)
                .decode_utf8()
                .map_err(|_| Refusal::bad("the query is not UTF-8"))?;
            match key {
                "cursor" => found.cursor = Some(value.into_owned()),
                "limit" => match value.parse() {
                    Ok(limit) if (1..=MAX_PAGE).contains(&limit) => found.limit = limit,
                    _ => {
                        return Err(Refusal::bad(format!(
                            "`limit` must be a number from 1 to {MAX_PAGE}"
                        )));
                    }
                },
                unknown => {
                    let shown: String = unknown.chars().take(64).collect();
                    return Err(Refusal::bad(format!(
                        "unknown query parameter `{shown}`; there are cursor and limit"
                    )));
                }
            }
        }
        Ok(found)
    }
}
