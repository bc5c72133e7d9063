//! Reading everything that a server lists: all pages, within bounds, item by item, with the definitions as they are.

use std::collections::HashSet;

use ferromcp_core::{Offers, Spec};
use ferromcp_protocol::json::{self, Object};
use tracing::warn;

use crate::fault::Fault;
use crate::heard::Lists;
use crate::opening::parse;
use crate::session::Session;
use crate::spec::ToolFilter;
use crate::upstream::Offer;

/// Most pages of one list.
const MAX_PAGES: usize = 500;
/// Most items of one list.
const MAX_ITEMS: usize = 10_000;
/// Most bytes of definitions in one list.
const MAX_BYTES: usize = 32 * 1024 * 1024;
/// Longest instructions that are kept.
const MAX_INSTRUCTIONS: usize = 64 * 1024;

/// One of the four lists.
struct Kind {
    method: &'static str,
    /// Member of the result that holds the items.
    items: &'static str,
    /// Member of an item that is its key.
    key: &'static str,
}

const TOOLS: Kind = Kind {
    method: "tools/list",
    items: "tools",
    key: "name",
};
const RESOURCES: Kind = Kind {
    method: "resources/list",
    items: "resources",
    key: "uri",
};
const TEMPLATES: Kind = Kind {
    method: "resources/templates/list",
    items: "resourceTemplates",
    key: "uriTemplate",
};
const PROMPTS: Kind = Kind {
    method: "prompts/list",
    items: "prompts",
    key: "name",
};

/// Reads the `wanted` lists anew into `offer`. A list that the server answers with an error stays as it was. Any other
/// fault ends the reading.
pub(crate) async fn read(
    session: &Session,
    wanted: Lists,
    filter: &ToolFilter,
    offer: &mut Offer,
) -> Result<(), Fault> {
    let facts = &session.facts;
    offer.offers = Offers {
        tools: facts.tools,
        resources: facts.resources,
        prompts: facts.prompts,
        completions: facts.completions,
        tasks: facts.tasks,
    };
    offer.instructions = facts.instructions.as_ref().map(|text| {
        let end = text.floor_char_boundary(MAX_INSTRUCTIONS);
        text[..end].to_owned()
    });
    if wanted.has(Lists::TOOLS) {
        list(session, &TOOLS, facts.tools, &mut offer.tools).await?;
        offer.tools.retain(|tool| filter(&tool.key));
    }
    if wanted.has(Lists::RESOURCES) {
        list(session, &RESOURCES, facts.resources, &mut offer.resources).await?;
        list(session, &TEMPLATES, facts.resources, &mut offer.templates).await?;
    }
    if wanted.has(Lists::PROMPTS) {
        list(session, &PROMPTS, facts.prompts, &mut offer.prompts).await?;
    }
    Ok(())
}

async fn list(session: &Session, kind: &Kind, offered: bool, into: &mut Vec<Spec>) -> Result<(), Fault> {
    if !offered {
        into.clear();
        return Ok(());
    }
    match pages(session, kind).await {
        Ok(items) => *into = items,
        Err(Fault::Rpc(error)) => {
            // Many servers have resources and know nothing of templates.
            warn!(
                target: "ferromcp::server",
                server = %session.name, method = kind.method, code = error.code, message = error.message,
                "list refused; the last one stays"
            );
        }
        Err(fault) => return Err(fault),
    }
    Ok(())
}

async fn pages(session: &Session, kind: &Kind) -> Result<Vec<Spec>, Fault> {
    let mut read = Reading {
        session,
        kind,
        items: Vec::new(),
        keys: HashSet::new(),
        bytes: 0,
    };
    let mut cursor: Option<String> = None;
    for _ in 0..MAX_PAGES {
        let members = cursor
            .as_deref()
            .map(|raw| format!("\"cursor\":{raw}"))
            .unwrap_or_default();
        let result = session.ask(kind.method, &members).await?;
        let page = parse(&result)?;
        let Some(items) = page.get(kind.items) else {
            return Err(Fault::Protocol(format!(
                "`{}` without `{}`",
                kind.method, kind.items
            )));
        };
        let room = MAX_ITEMS - read.items.len().min(MAX_ITEMS);
        let items = match json::elements(items, room) {
            Ok(items) => items,
            Err(e) if e.message.starts_with("more than") => {
                read.complain("too many items; the rest is left out", &MAX_ITEMS);
                return Ok(read.items);
            }
            Err(e) => return Err(Fault::Protocol(format!("`{}`: {e}", kind.method))),
        };
        for item in items {
            if !read.take(item) {
                return Ok(read.items);
            }
        }
        // The raw text of the string goes back as it came.
        let next = page.get("nextCursor").filter(|raw| raw.starts_with('"'));
        match next {
            None => return Ok(read.items),
            Some(next) if cursor.as_deref() == Some(next) => {
                read.complain("the same cursor twice; the rest is left out", &next);
                return Ok(read.items);
            }
            Some(next) => cursor = Some(next.to_owned()),
        }
    }
    read.complain("too many pages; the rest is left out", &MAX_PAGES);
    Ok(read.items)
}

struct Reading<'a> {
    session: &'a Session,
    kind: &'a Kind,
    items: Vec<Spec>,
    keys: HashSet<String>,
    bytes: usize,
}

impl Reading<'_> {
    /// Takes one item, or leaves it out and says why. False if nothing more fits.
    fn take(&mut self, item: &str) -> bool {
        self.bytes += item.len();
        if self.bytes > MAX_BYTES {
            self.complain("too many bytes; the rest is left out", &MAX_BYTES);
            return false;
        }
        let key = match Object::parse(item) {
            Ok(object) => object.get_str(self.kind.key).map(|key| key.into_owned()),
            Err(e) => {
                self.complain("malformed item left out", &e);
                return true;
            }
        };
        match key {
            None => self.complain("item without its key left out", &self.kind.key),
            Some(key) if key.is_empty() => self.complain("item with an empty key left out", &self.kind.key),
            Some(key) if !self.keys.insert(key.clone()) => {
                let shown: String = key.chars().take(100).collect();
                self.complain("item listed twice; the second is left out", &shown.escape_debug());
            }
            Some(key) => self.items.push(Spec::new(key, item)),
        }
        true
    }

    fn complain(&self, what: &str, detail: &dyn std::fmt::Display) {
        warn!(target: "ferromcp::server", server = %self.session.name, list = self.kind.method, %detail, "{what}");
    }
}
