//! The file of a host, changed so that the host starts us instead of its servers. Everything outside of the member with the
//! servers stays as it is, byte by byte.

use super::hosts::{Host, Launch, Place, is_null};
use crate::json_text::write_string;
use crate::node::{Data, Entry, Node};

/// The name of our entry.
const OWN: &str = "ferromcp";

impl Host {
    /// The file with our entry in place of its servers. Those in `keep` stay, as they are written.
    pub fn handed_over(&self, launch: &Launch, keep: &[String]) -> String {
        let mark = &self.text()[..self.text().len() - self.inner().len()];
        let Some(root) = self.root() else {
            let layout = Layout::of(None, self.inner());
            let member = self.chain(self.place.path(), launch, &[], &layout);
            return format!("{mark}{{{0}{1}{member}{0}}}{0}", layout.line, layout.unit);
        };
        format!("{mark}{}", self.replaced(root, launch, keep))
    }

    fn replaced(&self, root: &Node, launch: &Launch, keep: &[String]) -> String {
        let text = self.inner();
        let layout = Layout::of(Some(root), text);
        let (mut parent, mut path) = (root, self.place.path());
        while let [key, rest @ ..] = path {
            let Data::Map(members) = &*parent.data else {
                break;
            };
            let Some(member) = members.iter().find(|member| member.key == *key) else {
                // Nothing of it is there: it becomes the first member.
                let level = layout.level(self.place.path().len() - path.len() + 1);
                let at = parent.span.start + 1;
                let inner = self.chain(path, launch, &[], &level);
                let (comma, end) = if members.is_empty() {
                    ("", format!("{}{}", level.line, level.outer()))
                } else {
                    (",", String::new())
                };
                let new = format!("{}{}{inner}{comma}{end}", level.line, level.indent);
                return format!("{}{new}{}", &text[..at], &text[at..]);
            };
            path = rest;
            if path.is_empty() || is_null(&member.value) {
                let level = layout.level(self.place.path().len() - path.len());
                let value = if path.is_empty() {
                    let kept: Vec<&str> = kept(&member.value, keep)
                        .map(|one| &text[one.key_span.start..one.value.span.end])
                        .collect();
                    self.block(launch, &kept, &level)
                } else {
                    let deeper = level.deeper();
                    let inner = self.chain(path, launch, &[], &deeper);
                    format!(
                        "{{{}{}{inner}{}{}}}",
                        deeper.line, deeper.indent, level.line, level.indent
                    )
                };
                let span = &member.value.span;
                return format!("{}{value}{}", &text[..span.start], &text[span.end..]);
            }
            parent = &member.value;
        }
        text.to_owned()
    }

    /// A member with all that is below it.
    fn chain(&self, path: &[&str], launch: &Launch, kept: &[&str], level: &Layout) -> String {
        let Some((key, rest)) = path.split_first() else {
            return String::new();
        };
        let value = if rest.is_empty() {
            self.block(launch, kept, level)
        } else {
            let deeper = level.deeper();
            let inner = self.chain(rest, launch, kept, &deeper);
            format!(
                "{{{}{}{inner}{}{}}}",
                deeper.line, deeper.indent, level.line, level.indent
            )
        };
        format!("{}:{}{value}", quoted(key), level.space)
    }

    /// The object of servers: ours, and those that stay.
    fn block(&self, launch: &Launch, kept: &[&str], level: &Layout) -> String {
        let (inner, own) = (level.deeper(), level.deeper().deeper());
        let args: Vec<String> = launch.args.iter().map(|arg| quoted(arg)).collect();
        let mut members = vec![
            ("command", quoted(&launch.command)),
            ("args", format!("[{}]", args.join(&format!(",{}", level.space)))),
        ];
        match self.place {
            Place::McpServers => {}
            // VS Code's reference calls it required.
            Place::Servers | Place::McpDotServers => members.insert(0, ("type", quoted("stdio"))),
            // Older releases take a server of the user's own for an extension without it.
            Place::ContextServers => {
                members.insert(0, ("source", quoted("custom")));
                members.push(("env", "{}".to_owned()));
            }
        }
        let members: Vec<String> = members
            .into_iter()
            .map(|(key, value)| format!("{}{}:{}{value}", own.indent, quoted(key), own.space))
            .collect();
        let comma = format!(",{}", own.line);
        let mut entries = vec![format!(
            "{0}:{1}{{{2}{3}{2}{4}}}",
            quoted(OWN),
            inner.space,
            own.line,
            members.join(&comma),
            inner.indent
        )];
        entries.extend(kept.iter().map(|text| (*text).to_owned()));
        let entries: Vec<String> = entries
            .iter()
            .map(|entry| format!("{}{entry}", inner.indent))
            .collect();
        format!("{{{0}{1}{0}{2}}}", inner.line, entries.join(&comma), level.indent)
    }
}

fn kept<'n>(servers: &'n Node, keep: &'n [String]) -> impl Iterator<Item = &'n Entry> {
    let entries = match &*servers.data {
        Data::Map(entries) => entries.as_slice(),
        _ => &[],
    };
    entries
        .iter()
        .filter(|entry| keep.contains(&entry.key) && entry.key != OWN)
}

pub(super) fn quoted(text: &str) -> String {
    let mut out = String::new();
    write_string(&mut out, text);
    out
}

/// How the file is laid out, at one level of nesting.
struct Layout {
    /// Line break, or nothing where the whole file is one line.
    line: &'static str,
    /// After a colon or a comma.
    space: &'static str,
    /// One level.
    unit: String,
    /// In front of members at this level.
    indent: String,
}

impl Layout {
    /// As the first member of the file has it; two spaces without one.
    fn of(root: Option<&Node>, text: &str) -> Self {
        let line = if text.contains("\r\n") { "\r\n" } else { "\n" };
        let first = match root.map(|root| &*root.data) {
            Some(Data::Map(members)) => members.first(),
            _ => None,
        };
        let Some(first) = first else {
            return Self {
                line,
                space: " ",
                unit: "  ".to_owned(),
                indent: "  ".to_owned(),
            };
        };
        let start = text[..first.key_span.start].rfind('\n').map(|at| at + 1);
        let before = &text[start.unwrap_or(0)..first.key_span.start];
        match start {
            Some(_) if before.chars().all(|c| matches!(c, ' ' | '\t')) => Self {
                line,
                space: " ",
                unit: if before.is_empty() { "  " } else { before }.to_owned(),
                indent: before.to_owned(),
            },
            _ => Self {
                line: "",
                space: if text.contains("\": ") { " " } else { "" },
                unit: String::new(),
                indent: String::new(),
            },
        }
    }

    /// For members so many levels below the top.
    fn level(&self, depth: usize) -> Self {
        let mut level = self.clone_with(self.indent.clone());
        for _ in 1..depth {
            level = level.deeper();
        }
        level
    }

    fn deeper(&self) -> Self {
        self.clone_with(format!("{}{}", self.indent, self.unit))
    }

    /// In front of the brace that closes this level.
    fn outer(&self) -> &str {
        self.indent.strip_suffix(self.unit.as_str()).unwrap_or_default()
    }

    fn clone_with(&self, indent: String) -> Self {
        Self {
            line: self.line,
            space: self.space,
            unit: self.unit.clone(),
            indent,
        }
    }
}
