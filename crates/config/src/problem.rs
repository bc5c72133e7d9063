//! What is wrong with a file: one [`Problem`] per mistake, all of them in one [`ConfigError`].

use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::excerpt::{self, Excerpt};
use crate::node::{Data, Node};
use crate::render;
use crate::source::{Source, Span};

/// Most problems kept for one file; further ones are only counted.
const MAX_PROBLEMS: usize = 100;

/// One mistake, where it is, and what to do about it. Contains no secret: values that could be one are left out of the
/// messages and masked in the excerpt.
#[derive(Clone, PartialEq, Eq)]
pub struct Problem {
    line: usize,
    column: usize,
    path: String,
    message: String,
    expected: Option<String>,
    hint: Option<String>,
    pub(crate) excerpt: Option<Excerpt>,
    span: Span,
    unparsed: bool,
}

impl Problem {
    pub(crate) fn new(span: Span, path: &str, message: impl Into<String>) -> Self {
        Self {
            line: 0,
            column: 0,
            path: path.to_owned(),
            message: message.into(),
            expected: None,
            hint: None,
            excerpt: None,
            span,
            unparsed: false,
        }
    }

    pub(crate) fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Marks a place that no parser could take apart: what of its line is a value, nobody knows.
    pub(crate) fn unparsed(mut self) -> Self {
        self.unparsed = true;
        self
    }

    /// Puts a path that is one key below `parent`.
    pub(crate) fn inside(mut self, parent: &str) -> Self {
        let key = std::mem::replace(&mut self.path, parent.to_owned());
        if !key.is_empty() {
            push_key(&mut self.path, &key);
        }
        self
    }

    /// Line, counted from 1; 0 when the problem is about the whole file.
    pub fn line(&self) -> usize {
        self.line
    }

    /// Column in characters, counted from 1; 0 when the problem is about the whole file.
    pub fn column(&self) -> usize {
        self.column
    }

    /// Path of the setting, as in `servers.files.args[1]`; empty for the file itself.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What was found.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What would have been right.
    pub fn expected_text(&self) -> Option<&str> {
        self.expected.as_deref()
    }

    /// What to do next.
    pub fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Debug for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Problem")
            .field("line", &self.line)
            .field("column", &self.column)
            .field("path", &self.path)
            .field("message", &self.message)
            .field("expected", &self.expected)
            .field("hint", &self.hint)
            .finish_non_exhaustive()
    }
}

/// Everything that is wrong with one file, in the order of the file.
///
/// `Display` is the plain rendering, several lines with excerpts of the source.
#[derive(Clone, PartialEq, Eq)]
pub struct ConfigError {
    origin: PathBuf,
    problems: Vec<Problem>,
    further: usize,
}

impl ConfigError {
    /// A problem of the whole file, with no place in it.
    pub(crate) fn whole_file(origin: &Path, problem: Problem) -> Self {
        Self {
            origin: origin.to_path_buf(),
            problems: vec![problem],
            further: 0,
        }
    }

    /// The file as it was named by the caller.
    pub fn origin(&self) -> &Path {
        &self.origin
    }

    /// The problems, at least one and at most 100.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// How many more there were than [`ConfigError::problems`] holds.
    pub fn further(&self) -> usize {
        self.further
    }

    /// The text for people: every problem with the line it stands in. `colour` adds ANSI escapes.
    pub fn render(&self, colour: bool) -> String {
        render::render(self, colour)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.render(false).trim_end())
    }
}

impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigError")
            .field("origin", &self.origin)
            .field("problems", &self.problems)
            .field("further", &self.further)
            .finish()
    }
}

impl std::error::Error for ConfigError {}

/// Collects problems while a file is read.
#[derive(Default)]
pub(crate) struct Problems {
    list: Vec<Problem>,
    further: usize,
    /// Starts of the scalars that an excerpt may show. All others are masked.
    public: HashSet<usize>,
    /// Values that are not in the tree, as under a duplicate key: masked as well.
    dropped: Vec<Node>,
}

impl Problems {
    pub(crate) fn push(&mut self, problem: Problem) {
        if self.list.len() < MAX_PROBLEMS {
            self.list.push(problem);
        } else {
            self.further += 1;
        }
    }

    /// The problems without places: for a text whose lines nobody sees.
    pub(crate) fn into_list(self) -> Vec<Problem> {
        self.list
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Allows excerpts to show the scalar that starts here.
    pub(crate) fn make_public(&mut self, start: usize) {
        self.public.insert(start);
    }

    /// Keeps a value that will not be in the tree, so that excerpts mask it.
    pub(crate) fn mask(&mut self, node: Node) {
        self.dropped.push(node);
    }

    /// Gives every problem its line, column and excerpt. `root` tells which parts of the source are values.
    pub(crate) fn into_error(mut self, source: &Source<'_>, root: Option<&Node>) -> ConfigError {
        self.list.sort_by_key(|p| p.span.start);
        let mut masked = Vec::new();
        if let Some(root) = root {
            self.collect_masked(root, &mut masked);
            self.dropped
                .iter()
                .for_each(|node| self.collect_masked(node, &mut masked));
            masked.sort_by_key(|span| span.start);
            masked.dedup();
        }
        for problem in &mut self.list {
            (problem.line, problem.column) = source.position(problem.span.start);
            let masked = if problem.unparsed || root.is_none() {
                None
            } else {
                Some(masked.as_slice())
            };
            problem.excerpt = Some(excerpt::cut(source, &problem.span, masked));
        }
        ConfigError {
            origin: source.origin.clone(),
            problems: self.list,
            further: self.further,
        }
    }

    fn collect_masked(&self, node: &Node, out: &mut Vec<Span>) {
        match &*node.data {
            Data::Scalar(_) if self.public.contains(&node.span.start) => {}
            Data::Scalar(_) => out.push(node.span.clone()),
            Data::Seq(items) => items.iter().for_each(|item| self.collect_masked(item, out)),
            Data::Map(entries) => entries
                .iter()
                .for_each(|entry| self.collect_masked(&entry.value, out)),
        }
    }
}

/// Appends a key to a config path: `.name`, or `["name"]` when it is not a plain word.
pub(crate) fn push_key(path: &mut String, key: &str) {
    let word = !key.is_empty()
        && key.len() <= 64
        && key
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    if word {
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(key);
    } else {
        path.push('[');
        path.push_str(&shorten(key, '"'));
        path.push(']');
    }
}

/// Appends a list position to a config path.
pub(crate) fn push_index(path: &mut String, index: usize) {
    path.push_str(&format!("[{index}]"));
}

/// A piece of the file for a message: in backquotes, control characters escaped, at most 60 characters.
pub(crate) fn quote(text: &str) -> String {
    shorten(text, '`')
}

fn shorten(text: &str, mark: char) -> String {
    let mut out = String::from(mark);
    for (count, c) in text.chars().enumerate() {
        if count == 60 {
            out.push('…');
            break;
        }
        if excerpt::is_unprintable(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out.push(mark);
    out
}
