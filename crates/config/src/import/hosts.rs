//! Servers of several hosts in one file of ours.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{Note, convert, emit, json};
use crate::interpolate::{Piece, split};
use crate::load::{accept_size, read_text};
use crate::node::{Data, Entry as JsonEntry, Node};
use crate::problem::{ConfigError, Problem, Problems};
use crate::source::Source;

/// Where in its file a host keeps servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// `mcpServers`: most hosts.
    McpServers,
    /// `servers`: the mcp.json of VS Code.
    Servers,
    /// `mcp.servers`: the settings.json of VS Code.
    McpDotServers,
    /// `context_servers`: Zed.
    ContextServers,
}

impl Place {
    /// Names from the top of the file.
    pub const fn path(self) -> &'static [&'static str] {
        match self {
            Self::McpServers => &["mcpServers"],
            Self::Servers => &["servers"],
            Self::McpDotServers => &["mcp", "servers"],
            Self::ContextServers => &["context_servers"],
        }
    }
}

/// How a host is to start us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// Absolute path of the program.
    pub command: String,
    /// Its arguments.
    pub args: Vec<String>,
}

/// A server as a host has it. Holds no values of variables, headers or arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostServer {
    /// Its name in the host.
    pub name: String,
    /// The program, where the host starts one.
    pub command: Option<String>,
    /// The arguments of the program that are strings. Do not print them: they can be secret.
    pub args: Vec<String>,
    /// The address, where the host connects to one. Do not print it: print its origin.
    pub url: Option<String>,
}

/// The file of one host, read.
#[derive(Debug, Clone)]
pub struct Host {
    /// Name for people.
    pub name: String,
    /// Name for options, and behind names that are taken.
    pub slug: String,
    pub(super) place: Place,
    pub(super) origin: PathBuf,
    /// With the byte order mark, if there is one.
    text: String,
    /// `None`: there is nothing in the file.
    root: Option<Node>,
}

impl Host {
    /// Reads the file of a host. Without a place, the first that is there, `mcpServers` if none is.
    ///
    /// # Errors
    /// All mistakes of the file at once: not readable, not JSON (comments and trailing commas are taken), larger than 4 MiB,
    /// nested deeper than 64 levels, duplicate keys, something else than an object where the servers should be.
    pub fn read(name: &str, slug: &str, path: &Path, place: Option<Place>) -> Result<Self, ConfigError> {
        Self::parse(name, slug, path, place, &read_text(path)?)
    }

    /// The same from a text.
    ///
    /// # Errors
    /// Those of [`Host::read`], but for reading.
    pub fn parse(
        name: &str,
        slug: &str,
        origin: &Path,
        place: Option<Place>,
        text: &str,
    ) -> Result<Self, ConfigError> {
        let inner = accept_size(text, origin)?;
        let source = Source::new(origin, inner);
        let mut problems = Problems::default();
        let root = if inner.trim().is_empty() {
            None
        } else {
            match json::parse(inner, &mut problems) {
                Some(root) if problems.is_empty() => Some(root),
                root => return Err(problems.into_error(&source, root.as_ref())),
            }
        };
        let place = place.unwrap_or_else(|| root.as_ref().map_or(Place::McpServers, found));
        let host = Self {
            name: name.to_owned(),
            slug: slug.to_owned(),
            place,
            origin: origin.to_path_buf(),
            root: root.clone(),
            text: text.to_owned(),
        };
        let mut at = root.as_ref();
        for (depth, key) in std::iter::once(&"").chain(place.path()).enumerate() {
            if depth > 0 {
                at = at.and_then(|node| node.get(key));
            }
            let Some(node) = at.filter(|node| !is_null(node)) else {
                break;
            };
            if !matches!(&*node.data, Data::Map(_)) {
                let (start, path) = (node.span.start, place.path()[..depth].join("."));
                problems.push(
                    Problem::new(start..start, &path, format!("found {}", node.noun()))
                        .expected("an object of servers by name"),
                );
                return Err(problems.into_error(&source, root.as_ref()));
            }
        }
        Ok(host)
    }

    /// Where the servers are kept.
    pub fn place(&self) -> Place {
        self.place
    }

    /// The whole file.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The file without a byte order mark: what places in the tree count from.
    pub(super) fn inner(&self) -> &str {
        self.text.strip_prefix('\u{feff}').unwrap_or(&self.text)
    }

    pub(super) fn root(&self) -> Option<&Node> {
        self.root.as_ref()
    }

    pub(super) fn entries(&self) -> &[JsonEntry] {
        let mut at = self.root.as_ref();
        for key in self.place.path() {
            at = at.and_then(|node| node.get(key));
        }
        match at.map(|node| &*node.data) {
            Some(Data::Map(entries)) => entries,
            _ => &[],
        }
    }

    /// Its servers, in the order of the file.
    pub fn servers(&self) -> Vec<HostServer> {
        self.entries().iter().map(server).collect()
    }
}

fn found(root: &Node) -> Place {
    let places = [
        Place::McpServers,
        Place::Servers,
        Place::McpDotServers,
        Place::ContextServers,
    ];
    let is_there = |place: &Place| {
        let mut at = Some(root);
        for key in place.path() {
            at = at.and_then(|node| node.get(key));
        }
        at.is_some()
    };
    places.into_iter().find(is_there).unwrap_or(Place::McpServers)
}

pub(super) fn is_null(node: &Node) -> bool {
    matches!(&*node.data, Data::Scalar(scalar) if scalar.plain && scalar.text == "null")
}

fn text_of(node: Option<&Node>) -> Option<String> {
    match &*node?.data {
        Data::Scalar(scalar) => Some(scalar.text.clone()),
        _ => None,
    }
}

fn server(entry: &JsonEntry) -> HostServer {
    let value = &entry.value;
    let nested = value
        .get("command")
        .filter(|command| command.get("path").is_some());
    let (command, args) = match nested {
        Some(command) => (command.get("path"), command.get("args")),
        None => (value.get("command"), value.get("args")),
    };
    let args = match args.map(|args| &*args.data) {
        Some(Data::Seq(items)) => items.iter().filter_map(|item| text_of(Some(item))).collect(),
        _ => Vec::new(),
    };
    // One of another type is there all the same, and is refused where it is taken over.
    let given = |node: Option<&Node>| node.map(|node| text_of(Some(node)).unwrap_or_default());
    let url = ["url", "serverUrl", "httpUrl"]
        .iter()
        .find_map(|key| given(value.get(key)));
    HostServer {
        name: entry.key.clone(),
        command: given(command),
        args,
        url,
    }
}

/// Servers of all hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// Text of a `ferromcp.yaml`. Literal secrets of the hosts are in it: store it as carefully.
    pub yaml: String,
    /// What was taken over, in the order of the text.
    pub servers: Vec<MergedServer>,
    /// Remarks with the index of the host that they are about. They contain no values.
    pub notes: Vec<(usize, Note)>,
}

/// One server of the new file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergedServer {
    /// Its id there.
    pub id: String,
    /// Its id if no other host had used it for something else.
    pub wanted: String,
    /// Indexes of the hosts that have it.
    pub hosts: Vec<usize>,
    /// Variables that are not set; the server is disabled until they are.
    pub unset: Vec<String>,
}

/// Puts the servers of hosts into one file. The same server under the same name in two hosts is one; another one of the same
/// name gets the host's name behind its own. `wanted` says which are taken over; `env`, which variables are set.
///
/// # Errors
/// The mistakes in the servers of a host, with the index of the host.
pub fn merge(
    hosts: &[Host],
    head: &[String],
    wanted: &dyn Fn(&HostServer) -> bool,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Merged, (usize, ConfigError)> {
    let mut servers: Vec<MergedServer> = Vec::new();
    let mut entries: Vec<emit::Entry> = Vec::new();
    let mut notes = Vec::new();
    for (index, host) in hosts.iter().enumerate() {
        for mut entry in
            converted(host, wanted, &mut |note| notes.push((index, note))).map_err(|error| (index, *error))?
        {
            let same = servers
                .iter()
                .zip(&entries)
                .position(|(server, other)| server.wanted == entry.id && other.is_same_server(&entry));
            if let Some(same) = same {
                servers[same].hosts.push(index);
                continue;
            }
            let wanted = entry.id.clone();
            entry.id = free(&wanted, &host.slug, &servers);
            servers.push(MergedServer {
                id: entry.id.clone(),
                wanted,
                hosts: vec![index],
                unset: unset(&entry, env),
            });
            entries.push(entry);
        }
    }
    for (server, entry) in servers.iter().zip(&mut entries) {
        let names: Vec<&str> = server
            .hosts
            .iter()
            .map(|host| hosts[*host].name.as_str())
            .collect();
        entry.comments.insert(0, format!("From {}.", names.join(", ")));
        if !server.unset.is_empty() {
            entry.disable();
            entry.comments.push(format!(
                "Not set: {}. Set it where ferromcp is started, and remove `disabled`.",
                server.unset.join(", ")
            ));
        }
    }
    Ok(Merged {
        yaml: emit::document(head, &entries),
        servers,
        notes,
    })
}

fn converted(
    host: &Host,
    wanted: &dyn Fn(&HostServer) -> bool,
    note: &mut dyn FnMut(Note),
) -> Result<Vec<emit::Entry>, Box<ConfigError>> {
    let chosen: Vec<JsonEntry> = host
        .entries()
        .iter()
        .filter(|entry| wanted(&server(entry)))
        .cloned()
        .collect();
    let source = Source::new(&host.origin, host.inner());
    let mut problems = Problems::default();
    let path = host.place.path().join(".");
    let (entries, notes) = convert::entries(&path, &chosen, &source, &mut problems);
    if !problems.is_empty() {
        return Err(Box::new(problems.into_error(&source, host.root())));
    }
    notes.into_iter().for_each(note);
    Ok(entries)
}

/// Longest id of a server.
const MAX_ID: usize = 32;

/// An id that no other server has.
fn free(wanted: &str, slug: &str, servers: &[MergedServer]) -> String {
    let is_free = |id: &str| servers.iter().all(|server| server.id != id);
    if is_free(wanted) {
        return wanted.to_owned();
    }
    let mut number = 1;
    loop {
        let end = match number {
            1 => format!("-{slug}"),
            _ => format!("-{slug}-{number}"),
        };
        let room = MAX_ID.saturating_sub(end.len());
        let stem = wanted[..wanted.len().min(room)].trim_end_matches(['-', '_']);
        let id = format!("{stem}{end}");
        if is_free(&id) {
            return id;
        }
        number += 1;
    }
}

fn unset(entry: &emit::Entry, env: &dyn Fn(&str) -> Option<String>) -> Vec<String> {
    let mut names = BTreeSet::new();
    for text in entry.texts() {
        for piece in split(text).unwrap_or_default() {
            if let Piece::Variable(name) = piece
                && env(name).is_none()
            {
                names.insert(name.to_owned());
            }
        }
    }
    names.into_iter().collect()
}

#[cfg(test)]
mod tests;
