//! YAML text to a [`Node`] tree: one document, bounded depth and size, no tags, no duplicate keys.
//!
//! Aliases share the node they point to, and every alias counts the nodes it stands for against the same budget as
//! written ones: a "billion laughs" file is refused before anybody walks it.

use std::collections::HashMap;
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError};

use crate::node::{Data, Entry, Node};
use crate::problem::{Problem, Problems, push_index, push_key, quote};
use crate::source::{CharIndex, Span};
use crate::text::looks_like_name;

/// Deepest nesting of lists and mappings. The deepest setting needs 5.
pub(crate) const MAX_DEPTH: usize = 32;
/// Most values in one file, aliases expanded.
pub(crate) const MAX_NODES: usize = 400_000;

/// Reads the one document of `text`. An empty text is an empty mapping. `None` when it could not be read to its end;
/// the reason is then in `problems`.
pub(crate) fn compose(text: &str, problems: &mut Problems) -> Option<Node> {
    Composer {
        chars: CharIndex::new(text),
        text,
        problems,
        open: Vec::new(),
        root: None,
        documents: 0,
        anchors: HashMap::new(),
        nodes: 0,
    }
    .run()
}

/// A list or mapping whose end has not been seen.
struct Open {
    start: usize,
    anchor: usize,
    size: usize,
    items: Items,
}

enum Items {
    Seq(Vec<Node>),
    Map {
        entries: Vec<Entry>,
        seen: HashMap<String, usize>,
        key: Option<Key>,
    },
}

/// A key that waits for its value.
enum Key {
    Fresh(String, Span),
    /// A key that was reported already; its value is read and dropped.
    Refused,
}

struct Composer<'t, 'p> {
    text: &'t str,
    chars: CharIndex,
    problems: &'p mut Problems,
    open: Vec<Open>,
    root: Option<Node>,
    documents: usize,
    anchors: HashMap<usize, Node>,
    nodes: usize,
}

impl Composer<'_, '_> {
    fn run(mut self) -> Option<Node> {
        let mut parser = Parser::new_from_str(self.text);
        loop {
            let (event, span) = match parser.next_event()? {
                Ok(found) => found,
                Err(error) => {
                    self.syntax_error(&error);
                    return None;
                }
            };
            let start = self.chars.byte(span.start.index());
            let span = start..self.chars.byte(span.end.index()).max(start);
            match event {
                Event::StreamEnd => break,
                Event::DocumentStart(_) => {
                    self.documents += 1;
                    if self.documents > 1 {
                        self.problems.push(
                            Problem::new(span, "", "a second YAML document starts here")
                                .expected("one document in the file")
                                .hint("remove the `---` line, or move what follows to a file of its own"),
                        );
                        return None;
                    }
                }
                Event::Alias(anchor) => self.alias(anchor, span)?,
                Event::Scalar(value, style, anchor, tag) => {
                    if tag.is_some() {
                        self.refuse_tag(span.clone());
                    }
                    self.count(1, &span)?;
                    // The parser counts blanks behind a quoted scalar to it.
                    let written = self.text[span.clone()].trim_end().len();
                    let span = span.start..span.start + written;
                    let node = Node::scalar(span, value.into_owned(), style == ScalarStyle::Plain);
                    self.finish(node, anchor);
                }
                Event::SequenceStart(anchor, tag) => {
                    self.open(span, anchor, tag.is_some(), Items::Seq(Vec::new()))?;
                }
                Event::MappingStart(anchor, tag) => {
                    let items = Items::Map {
                        entries: Vec::new(),
                        seen: HashMap::new(),
                        key: None,
                    };
                    self.open(span, anchor, tag.is_some(), items)?;
                }
                Event::SequenceEnd | Event::MappingEnd => self.close(&span),
                Event::Nothing | Event::StreamStart | Event::DocumentEnd => {}
            }
        }
        Some(self.root.unwrap_or_else(|| Node {
            span: 0..0,
            data: Arc::new(Data::Map(Vec::new())),
            size: 1,
        }))
    }

    fn open(&mut self, span: Span, anchor: usize, tagged: bool, items: Items) -> Option<()> {
        if tagged {
            self.refuse_tag(span.clone());
        }
        self.count(1, &span)?;
        if self.open.len() >= MAX_DEPTH {
            self.problems.push(too_deep(span, &self.path()));
            return None;
        }
        self.open.push(Open {
            start: span.start,
            anchor,
            size: 1,
            items,
        });
        Some(())
    }

    fn close(&mut self, span: &Span) {
        let Some(open) = self.open.pop() else { return };
        let data = match open.items {
            Items::Seq(items) => Data::Seq(items),
            Items::Map { entries, .. } => Data::Map(entries),
        };
        let node = Node {
            span: open.start..span.end.max(open.start),
            data: Arc::new(data),
            size: open.size,
        };
        self.finish(node, open.anchor);
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Option<()> {
        let Some(target) = self.anchors.get(&anchor) else {
            self.problems.push(
                Problem::new(
                    span,
                    &self.path(),
                    "this alias refers to a value that contains it",
                )
                .expected("an alias of a finished value"),
            );
            return None;
        };
        let node = Node {
            span,
            data: Arc::clone(&target.data),
            size: target.size,
        };
        self.count(node.size, &node.span)?;
        self.finish(node, 0);
        Some(())
    }

    fn count(&mut self, nodes: usize, span: &Span) -> Option<()> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > MAX_NODES {
            self.problems.push(
                Problem::new(
                    span.clone(),
                    &self.path(),
                    "too many values in the file, aliases expanded",
                )
                .expected(format!("at most {MAX_NODES} values")),
            );
            return None;
        }
        Some(())
    }

    /// Hands a complete node to the list or mapping around it.
    fn finish(&mut self, node: Node, anchor: usize) {
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(parent) = self.open.last_mut() else {
            self.root = Some(node);
            return;
        };
        parent.size = parent.size.saturating_add(node.size);
        match &mut parent.items {
            Items::Seq(items) => items.push(node),
            Items::Map { entries, seen, key } => match key.take() {
                None => match accept_key(&node, seen, self.text) {
                    Ok(fresh) => *key = Some(fresh),
                    Err(problem) => {
                        *key = Some(Key::Refused);
                        let path = self.path();
                        self.problems.push((*problem).inside(&path));
                        if !is_name(&node) {
                            self.problems.mask(node);
                        }
                    }
                },
                Some(Key::Refused) => self.problems.mask(node),
                Some(Key::Fresh(key, key_span)) => entries.push(Entry {
                    key,
                    key_span,
                    value: node,
                }),
            },
        }
    }

    /// The path of the list or mapping that is being read.
    fn path(&self) -> String {
        let mut path = String::new();
        for open in &self.open {
            match &open.items {
                Items::Seq(items) => push_index(&mut path, items.len()),
                Items::Map {
                    key: Some(Key::Fresh(key, _)),
                    ..
                } => push_key(&mut path, key),
                Items::Map { .. } => {}
            }
        }
        path
    }

    fn refuse_tag(&mut self, span: Span) {
        self.problems.push(
            Problem::new(span, &self.path(), "this value has a YAML tag (`!...`)")
                .expected("values without tags")
                .hint("remove the tag; write text that looks like a number in quotes"),
        );
    }

    fn syntax_error(&mut self, error: &ScanError) {
        let at = self.chars.byte(error.marker().index());
        let start = self.text[..at].rfind('\n').map_or(0, |i| i + 1);
        let line = self.text[start..].lines().next().unwrap_or("");
        let info = error.info();
        let mut problem = Problem::new(at..at, &self.path(), format!("not valid YAML: {info}")).unparsed();
        if info.contains("recursion limit") {
            // The parser looks ahead of its events and has a limit of its own.
            problem = too_deep(at..at, &self.path()).unparsed();
        } else if self.text[at..].trim().is_empty() || info.contains("end of stream") || info.contains("eof")
        {
            problem =
                problem.hint("the file ends too early: is it cut off, or a quote or bracket not closed?");
        } else if line.contains("${") {
            problem = problem.hint("inside `{ }` and `[ ]`, write \"${NAME}\" in quotes");
        } else if self.text[start..at].contains('\t') {
            problem = problem.hint("YAML does not allow tabs for indentation: use spaces");
        }
        self.problems.push(problem);
    }
}

/// Keys are shown in errors, so only what looks like a name is one: a piece of the file that became a key by mistake
/// could have anything in it.
fn is_name(key: &Node) -> bool {
    matches!(&*key.data, Data::Scalar(scalar) if looks_like_name(&scalar.text))
}

/// The key, or why it cannot be one. The problem's path is the key alone.
fn accept_key(node: &Node, seen: &mut HashMap<String, usize>, text: &str) -> Result<Key, Box<Problem>> {
    let Data::Scalar(scalar) = &*node.data else {
        let at = node.span.start;
        return Err(
            Problem::new(at..at, "", format!("{} is used as a key", node.noun()))
                .expected("a name")
                .into(),
        );
    };
    if !is_name(node) {
        let at = node.span.start;
        return Err(Problem::new(at..at, "", "this text cannot be a key")
            .expected("a name without line breaks, quotes, brackets, colons and backslashes")
            .into());
    }
    if scalar.plain && scalar.text == "<<" {
        return Err(Problem::new(
            node.span.clone(),
            "<<",
            "YAML merge keys (`<<`) are not supported",
        )
        .hint("repeat the settings, or put an alias (`*name`) where one whole value belongs")
        .into());
    }
    if let Some(first) = seen.get(&scalar.text) {
        let line = text[..*first].matches('\n').count() + 1;
        return Err(Problem::new(
            node.span.clone(),
            &scalar.text,
            format!("the key {} appears twice", quote(&scalar.text)),
        )
        .expected("each key once in a mapping")
        .hint(format!("it is first set in line {line}; remove one of them"))
        .into());
    }
    seen.insert(scalar.text.clone(), node.span.start);
    Ok(Key::Fresh(scalar.text.clone(), node.span.clone()))
}

fn too_deep(span: Span, path: &str) -> Problem {
    Problem::new(span, path, "nested too deeply")
        .expected(format!("at most {MAX_DEPTH} levels of lists and mappings"))
}
