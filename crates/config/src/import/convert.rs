//! One server of another host at a time to one of ours.

use std::collections::HashSet;
use std::path::Path;

use crate::import::emit::{self, Entry, Field};
use crate::import::{Found, Imported, Note};
use crate::interpolate::is_variable_name;
use crate::node::{Data, Entry as JsonEntry, Meaning, Node};
use crate::problem::{Problem, Problems, push_index, push_key, quote};
use crate::source::{Source, Span};
use crate::text::{Form, KeyForm, Wrong};

/// Names under which hosts keep an HTTP endpoint.
const URL_KEYS: &[&str] = &["url", "serverUrl", "httpUrl"];

pub(super) fn convert(found: &Found<'_>, source: &Source<'_>, problems: &mut Problems) -> Imported {
    let mut converter = Converter::new(found.servers, source, problems);
    let mut head = vec![format!(
        "Converted by `ferromcp import` from {}.",
        file_name(&source.origin)
    )];
    for (parent, entry) in &found.beside {
        converter.path = (*parent).to_owned();
        push_key(&mut converter.path, &entry.key);
        let path = converter.path.clone();
        converter.note(
            &entry.key_span,
            format!(
                "{} was not taken over: it is not a list of servers",
                quote(&entry.key)
            ),
        );
        head.push(format!("Not taken over: {path}"));
    }
    let mut entries = Vec::new();
    for entry in found.servers {
        converter.path = found.path.to_owned();
        push_key(&mut converter.path, &entry.key);
        entries.push(converter.server(entry));
    }
    let mut notes = converter.notes;
    notes.sort_by_key(|note| (note.line, note.column));
    Imported {
        yaml: emit::document(&head, &entries),
        notes,
        servers: entries.len(),
    }
}

/// Only these servers, in our notation, and what there is to say about them.
pub(super) fn entries(
    path: &str,
    servers: &[JsonEntry],
    source: &Source<'_>,
    problems: &mut Problems,
) -> (Vec<Entry>, Vec<Note>) {
    let mut converter = Converter::new(servers, source, problems);
    let mut entries = Vec::new();
    for entry in servers {
        converter.path = path.to_owned();
        push_key(&mut converter.path, &entry.key);
        entries.push(converter.server(entry));
    }
    (entries, converter.notes)
}

fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(
        || "another host's file".into(),
        |name| name.to_string_lossy().into_owned(),
    )
}

struct Converter<'s, 'p> {
    source: &'s Source<'s>,
    problems: &'p mut Problems,
    notes: Vec<Note>,
    /// Ids in use, or kept for servers whose own name is fine.
    taken: HashSet<String>,
    path: String,
    /// The server being converted.
    entry: Entry,
}

impl<'s, 'p> Converter<'s, 'p> {
    fn new(servers: &[JsonEntry], source: &'s Source<'s>, problems: &'p mut Problems) -> Self {
        Self {
            source,
            problems,
            notes: Vec::new(),
            taken: servers
                .iter()
                .map(|e| e.key.clone())
                .filter(|k| KeyForm::ServerId.check(k).is_ok())
                .collect(),
            path: String::new(),
            entry: Entry::default(),
        }
    }
}

impl Converter<'_, '_> {
    fn note(&mut self, span: &Span, message: impl Into<String>) {
        let (line, column) = self.source.position(span.start);
        self.notes.push(Note {
            line,
            column,
            path: self.path.clone(),
            message: message.into(),
        });
    }

    /// A remark for the report and for the output.
    fn remark(&mut self, span: &Span, message: impl Into<String>) {
        let message = message.into();
        self.entry.comments.push(message.clone());
        self.note(span, message);
    }

    fn wrong_type(&mut self, node: &Node, expected: &str) {
        let at = node.span.start;
        self.problems
            .push(Problem::new(at..at, &self.path, format!("found {}", node.noun())).expected(expected));
    }

    fn wrong(&mut self, span: Span, wrong: Wrong, expected: String) {
        let problem = Problem::new(span, &self.path, wrong.message).expected(expected);
        self.problems.push(match wrong.hint {
            Some(hint) => problem.hint(hint),
            None => problem,
        });
    }

    /// Does something with the path of a member, then goes back.
    fn at<T>(&mut self, key: &str, work: impl FnOnce(&mut Self) -> T) -> T {
        let depth = self.path.len();
        push_key(&mut self.path, key);
        let result = work(self);
        self.path.truncate(depth);
        result
    }

    fn server(&mut self, server: &JsonEntry) -> Entry {
        self.entry = Entry::default();
        self.entry.id = self.id(&server.key, &server.key_span);
        let Data::Map(members) = &*server.value.data else {
            self.wrong_type(&server.value, "an object with `command` or `url`");
            return std::mem::take(&mut self.entry);
        };
        let members = flat(members);
        let urls: Vec<_> = members
            .iter()
            .filter(|m| URL_KEYS.contains(&m.key.as_str()))
            .collect();
        let has_command = members.iter().any(|m| m.key == "command");
        let at = server.key_span.clone();
        match (has_command, urls.len()) {
            (true, 0) | (false, 1) => {}
            (false, 0) => self.problems.push(
                Problem::new(at, &self.path, "the server has neither `command` nor `url`")
                    .expected("`command` for a program to start, or `url` for a running server"),
            ),
            _ => self.problems.push(
                Problem::new(
                    at,
                    &self.path,
                    "the server has more than one of `command`, `url`, `serverUrl`, `httpUrl`",
                )
                .expected("`command` for a program to start, or one `url` for a running server"),
            ),
        }
        for member in &members {
            self.at(&member.key, |this| this.member(member, has_command));
        }
        // With `disabled` where a reader looks first, and the rest in the order in which our own page lists them.
        let order = [
            "disabled", "type", "command", "args", "env", "cwd", "url", "headers",
        ];
        self.entry
            .fields
            .sort_by_key(|(key, _)| order.iter().position(|k| k == key));
        self.entry.fields.dedup_by(|b, a| a.0 == b.0);
        std::mem::take(&mut self.entry)
    }

    fn member(&mut self, member: &JsonEntry, stdio: bool) {
        let value = &member.value;
        let push = |this: &mut Self, key, field| this.entry.fields.push((key, field));
        match member.key.as_str() {
            "command" => {
                if let Some(text) = self.checked_text(value, Form::Command) {
                    push(self, "command", Field::Text(text));
                }
            }
            "args" if stdio => {
                if let Some(items) = self.args(value) {
                    push(self, "args", Field::List(items));
                }
            }
            "env" if stdio => {
                let entries = self.table(value, KeyForm::Variable, Form::EnvValue);
                if !entries.is_empty() {
                    push(self, "env", Field::Table(entries));
                }
            }
            "cwd" if stdio => {
                if let Some(text) = self.text(value, Form::Directory) {
                    if !Path::new(&text).is_absolute() {
                        self.remark(
                            &member.key_span,
                            "`cwd` is relative: here that means relative to this file",
                        );
                    }
                    push(self, "cwd", Field::Text(text));
                }
            }
            key if URL_KEYS.contains(&key) => {
                if let Some(text) = self.checked_text(value, Form::Url) {
                    push(self, "url", Field::Text(text));
                }
            }
            "headers" if !stdio => {
                let entries = self.table(value, KeyForm::Header, Form::HeaderValue);
                if !entries.is_empty() {
                    push(self, "headers", Field::Table(entries));
                }
            }
            "type" | "transport" | "transportType" => self.transport(member, stdio),
            // Zed's word for a server that the user wrote down.
            "source" if matches!(&*value.data, Data::Scalar(word) if word.text == "custom") => {}
            key @ ("disabled" | "enabled") => match scalar_meaning(value) {
                Some(Meaning::Bool(flag)) => {
                    if flag == (key == "disabled") {
                        push(self, "disabled", Field::Flag(true));
                    }
                }
                _ => self.wrong_type(value, "true or false"),
            },
            _ => self.not_taken_over(member, stdio),
        }
    }

    fn not_taken_over(&mut self, member: &JsonEntry, stdio: bool) {
        let key = member.key.as_str();
        let why = match key {
            "args" | "env" | "cwd" => "it has no effect for a server with a URL",
            "headers" => "it has no effect for a server with a command",
            "timeout" => "hosts disagree on its unit; set `timeout` here, as in 60s",
            "envFile" => {
                "set the variables in `env`, as in NAME: ${NAME}, and load the file before starting ferromcp"
            }
            "autoApprove" | "alwaysAllow" | "trust" => {
                "whether a tool may run without asking is for the client to decide"
            }
            "disabledTools" | "excludeTools" => "list these tools in `tools: { deny: [...] }`",
            "includeTools" | "tools" => "list these tools in `tools: { allow: [...] }`",
            "auth" | "oauth" => "send credentials with `headers`",
            _ if stdio => "ferromcp has no such setting for programs",
            _ => "ferromcp has no such setting for URLs",
        };
        self.note(
            &member.key_span,
            format!("{} was not taken over: {why}", quote(key)),
        );
        let value = emit::compact(&member.value).unwrap_or_else(|| "(see the original file)".into());
        self.entry
            .comments
            .push(format!("Not taken over ({why}): {key}: {value}"));
    }

    fn transport(&mut self, member: &JsonEntry, stdio: bool) {
        let Data::Scalar(scalar) = &*member.value.data else {
            return self.wrong_type(&member.value, "a word such as \"stdio\" or \"http\"");
        };
        let folded: String = scalar
            .text
            .to_ascii_lowercase()
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .collect();
        match folded.as_str() {
            "stdio" | "local" if stdio => {}
            "http" | "streamablehttp" | "remote" if !stdio => {}
            "sse" if !stdio => self.entry.fields.push(("type", Field::Text("sse".into()))),
            _ => {
                let kind = if stdio { "`command`" } else { "a URL" };
                self.remark(
                    &member.key_span,
                    format!(
                        "{} does not fit a server with {kind} and was not taken over",
                        quote(&member.key)
                    ),
                );
            }
        }
    }

    fn args(&mut self, node: &Node) -> Option<Vec<String>> {
        let Data::Seq(items) = &*node.data else {
            self.wrong_type(node, "an array of strings");
            return None;
        };
        if items.len() > 1024 {
            self.wrong_type(node, "an array of at most 1024 strings");
            return None;
        }
        let mut out = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let depth = self.path.len();
            push_index(&mut self.path, index);
            out.extend(self.text(item, Form::Argument));
            self.path.truncate(depth);
        }
        Some(out)
    }

    fn table(&mut self, node: &Node, keys: KeyForm, form: Form) -> Vec<(String, String)> {
        let Data::Map(members) = &*node.data else {
            self.wrong_type(node, "an object of strings");
            return Vec::new();
        };
        let mut out: Vec<(String, String)> = Vec::new();
        for member in members {
            let depth = self.path.len();
            push_key(&mut self.path, &member.key);
            if scalar_meaning(&member.value) == Some(Meaning::Null) {
                self.remark(
                    &member.key_span,
                    format!(
                        "{} is null in the source and was not taken over",
                        quote(&member.key)
                    ),
                );
            } else if let Err(wrong) = keys.check(&member.key) {
                self.wrong(member.key_span.clone(), wrong, keys.describe().into());
            } else if keys == KeyForm::Header
                && out.iter().any(|(name, _)| name.eq_ignore_ascii_case(&member.key))
            {
                self.remark(
                    &member.key_span,
                    format!(
                        "{} was not taken over: the header is already there",
                        quote(&member.key)
                    ),
                );
            } else if let Some(text) = self.checked_text(&member.value, form) {
                if looks_secret(&member.key) && !text.is_empty() && !text.contains("${") {
                    let name = variable_name(&member.key);
                    self.note(
                        &member.key_span,
                        format!("a literal secret? Better set it in the environment and write \"${{{name}}}\" here"),
                    );
                }
                out.push((member.key.clone(), text));
            }
            self.path.truncate(depth);
        }
        out
    }

    /// A string in our notation, after a check of its literal form where it has no references.
    fn checked_text(&mut self, node: &Node, form: Form) -> Option<String> {
        let text = self.text(node, form)?;
        if !text.contains("${")
            && let Err(wrong) = form.parse(&text, Path::new(""))
        {
            self.wrong(node.span.clone(), wrong, form.describe());
            return None;
        }
        Some(text)
    }

    /// A string in our notation. Numbers and booleans are taken where every host takes them for text.
    fn text(&mut self, node: &Node, form: Form) -> Option<String> {
        let Data::Scalar(scalar) = &*node.data else {
            self.wrong_type(node, "a string");
            return None;
        };
        let text_like = match scalar.meaning() {
            Meaning::Text => true,
            Meaning::Number | Meaning::Bool(_) => form.numbers_as_written(),
            Meaning::Null => false,
        };
        if !text_like {
            self.wrong_type(node, "a string");
            return None;
        }
        if scalar.text.contains('\0') {
            self.wrong_type(node, "a string without NUL characters");
            return None;
        }
        Some(self.translate(&scalar.text, &node.span))
    }

    /// Other hosts' references to ours; every other `${` is escaped, so that it stays the text it was.
    fn translate(&mut self, text: &str, span: &Span) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            let dollar_before = rest[..at].ends_with('$');
            out.push_str(&rest[..at]);
            let body = &rest[at + 2..];
            let reference = body.find('}').map(|end| &body[..end]);
            match reference.and_then(|body| self.reference(body, span)) {
                // `$${` would be our escape.
                Some(_) if dollar_before => {
                    self.remark(
                        span,
                        "`$` before a reference cannot be written here: it was taken as literal text",
                    );
                    out.push_str("$${");
                    rest = body;
                }
                Some(ours) => {
                    out.push_str(&ours);
                    rest = &body[reference.map_or(0, str::len) + 1..];
                }
                None => {
                    out.push_str("$${");
                    rest = body;
                }
            }
        }
        out.push_str(rest);
        out
    }

    fn reference(&mut self, body: &str, span: &Span) -> Option<String> {
        if let Some(name) = body.strip_prefix("env:") {
            return is_variable_name(name).then(|| format!("${{{name}}}"));
        }
        if let Some(input) = body.strip_prefix("input:") {
            let name = variable_name(input);
            self.remark(
                span,
                format!(
                    "the host asks for {}; here, set the environment variable {name}",
                    quote(input)
                ),
            );
            return Some(format!("${{{name}}}"));
        }
        if body == "userHome" {
            return Some("${HOME}".into());
        }
        if let Some((name, _)) = body.split_once(":-").filter(|(name, _)| is_variable_name(name)) {
            self.remark(
                span,
                format!(
                    "the default of `${{{name}:-...}}` was not taken over: set {name} in the environment"
                ),
            );
            return Some(format!("${{{name}}}"));
        }
        if body.starts_with("workspaceFolder") {
            self.remark(
                span,
                "there is no workspace here: set the environment variable workspaceFolder, or write the path",
            );
            return Some("${workspaceFolder}".into());
        }
        is_variable_name(body).then(|| format!("${{{body}}}"))
    }

    /// The server's name if our rule accepts it, or the nearest free one that it does.
    fn id(&mut self, name: &str, span: &Span) -> String {
        if KeyForm::ServerId.check(name).is_ok() {
            return name.to_owned();
        }
        let mut id = String::new();
        for c in name.chars().take(256) {
            let c = if c.is_ascii_alphanumeric() || c == '_' {
                c
            } else {
                '-'
            };
            if !(matches!(c, '-' | '_') && id.ends_with(['-', '_'])) {
                id.push(c);
            }
        }
        let trimmed = id.trim_matches(['-', '_']);
        let stem = if trimmed.is_empty() { "server" } else { trimmed };
        // Room for a number behind it.
        let stem = stem[..stem.len().min(26)].trim_end_matches(['-', '_']);
        let mut id = stem.to_owned();
        let mut number = 2;
        while !self.taken.insert(id.clone()) {
            id = format!("{stem}-{number}");
            number += 1;
        }
        self.remark(
            span,
            format!(
                "renamed from {} to `{id}`: ids are {}",
                quote(name),
                Form::Id.describe()
            ),
        );
        id
    }
}

/// Zed once wrote `"command": {"path", "args", "env"}`: its members, as all others write them.
fn flat(members: &[JsonEntry]) -> Vec<JsonEntry> {
    let mut out = Vec::with_capacity(members.len());
    for member in members {
        match &*member.value.data {
            Data::Map(inner) if member.key == "command" && member.value.get("path").is_some() => {
                out.extend(inner.iter().cloned().map(|mut one| {
                    if one.key == "path" {
                        "command".clone_into(&mut one.key);
                    }
                    one
                }));
            }
            _ => out.push(member.clone()),
        }
    }
    out
}

fn scalar_meaning(node: &Node) -> Option<Meaning> {
    match &*node.data {
        Data::Scalar(scalar) => Some(scalar.meaning()),
        _ => None,
    }
}

pub(crate) fn looks_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let words = [
        "token",
        "secret",
        "password",
        "passwd",
        "apikey",
        "api_key",
        "api-key",
        "authorization",
        "credential",
        "private",
    ];
    words.iter().any(|word| name.contains(word))
        || name
            .split(['_', '-'])
            .any(|part| matches!(part, "key" | "pat" | "auth" | "pw"))
}

/// `api-key` to `API_KEY`.
fn variable_name(text: &str) -> String {
    let mut name: String = text
        .chars()
        .take(64)
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_uppercase()
            } else {
                '_'
            }
        })
        .collect();
    if !is_variable_name(&name) {
        name.insert(0, '_');
    }
    name
}
