//! The shape of a schema: which schemas it applies to a value and to the parts of that value. Serves to bound what the
//! schema costs before the validator sees it.
//!
//! Invariants: nodes are found with a work list, never by recursion; the graph holds every place that the validator
//! may treat as a schema (more does no harm), so its counts bound the validator's from above. Targets of dynamic
//! references are taken to be all candidates together.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::{
    MAX_PATTERNS, MAX_SCHEMA_BYTES, MAX_SCHEMA_DEPTH, MAX_SUBSCHEMAS, MAX_VISITS, SchemaError, known_dialect,
};

/// Depth of instances up to which failures are explained.
const EXPLAIN_DEPTH: usize = 32;
/// Longest part of a reference or dialect URI shown in an error, in characters.
const SHOWN_URI_CHARS: usize = 200;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Edge {
    /// Applies to the same value.
    Same,
    /// Applies to parts of the value that other schemas of the keyword's owner apply to as well.
    Part,
    /// Applies to one part only: of the owner's edges of this kind, no two meet in one part.
    OnePart,
}

/// Keywords that hold one schema, or a list of them, or a map of them.
const KEYWORDS: &[(&str, Edge)] = &[
    ("allOf", Edge::Same),
    ("anyOf", Edge::Same),
    ("oneOf", Edge::Same),
    ("not", Edge::Same),
    ("if", Edge::Same),
    ("then", Edge::Same),
    ("else", Edge::Same),
    ("properties", Edge::OnePart),
    ("prefixItems", Edge::OnePart),
    ("patternProperties", Edge::Part),
    ("additionalProperties", Edge::Part),
    ("unevaluatedProperties", Edge::Part),
    ("propertyNames", Edge::Part),
    ("items", Edge::Part),
    ("additionalItems", Edge::Part),
    ("unevaluatedItems", Edge::Part),
    ("contains", Edge::Part),
    ("contentSchema", Edge::Part),
    ("dependentSchemas", Edge::Same),
    ("dependencies", Edge::Same),
];

/// Of `KEYWORDS`, those whose object value is a map of schemas rather than a schema.
fn is_map(keyword: &str) -> bool {
    matches!(
        keyword,
        "properties" | "patternProperties" | "dependentSchemas" | "dependencies"
    )
}

#[derive(Debug)]
pub(super) struct Graph {
    edges: Vec<Vec<(usize, Edge)>>,
    /// All nodes, every one behind the nodes that it applies to the same value.
    same_order: Vec<usize>,
}

/// What the whole document offers to references, found before any is followed.
#[derive(Default)]
struct Names<'a> {
    /// Schemas with an `$id`, as written, without an empty fragment.
    ids: HashMap<&'a str, &'a Value>,
    /// Schemas by `$anchor`, `$dynamicAnchor` or an `$id` that is a fragment.
    anchors: HashMap<&'a str, Vec<&'a Value>>,
}

struct Builder<'a> {
    names: Names<'a>,
    /// Nodes by address of their value: a schema reached by several references is one node.
    known: HashMap<*const Value, usize>,
    /// Each node with the root of the resource that its references start from.
    nodes: Vec<(&'a Value, &'a Value)>,
    edges: Vec<Vec<(usize, Edge)>>,
    patterns: usize,
}

impl Graph {
    pub(super) fn build(schema: &Value) -> Result<Self, SchemaError> {
        let mut builder = Builder {
            names: survey(schema)?,
            known: HashMap::new(),
            nodes: Vec::new(),
            edges: Vec::new(),
            patterns: 0,
        };
        builder.node(schema, schema)?;
        let mut next = 0;
        while next < builder.nodes.len() {
            builder.expand(next)?;
            next += 1;
        }
        let edges = builder.edges;
        let same_order = order(&edges, |_, edge| edge == Edge::Same);
        if same_order.len() < edges.len() {
            return Err(SchemaError::Loop);
        }
        let graph = Self { edges, same_order };
        if graph.visits() > MAX_VISITS {
            return Err(SchemaError::TooCostly { limit: MAX_VISITS });
        }
        Ok(graph)
    }

    /// Bounds how often one place of an instance is visited to find out whether it passes. The validator remembers
    /// verdicts of schemas that take part in a cycle, so an edge to one counts once; all others multiply.
    fn visits(&self) -> u32 {
        let cyclic = self.cyclic();
        let order = order(&self.edges, |to, _| !cyclic[to]);
        let mut visits = vec![1_u32; self.edges.len()];
        for node in order {
            visits[node] = self.sum(node, |to, _| if cyclic[to] { 1 } else { visits[to] });
        }
        let remembered = cyclic.iter().zip(&visits).filter(|(cyclic, _)| **cyclic);
        remembered.fold(visits[0], |total, (_, visits)| total.saturating_add(*visits))
    }

    /// Bounds the visits to one place when all errors are collected, where nothing is remembered, for instances of
    /// depth 0, 1, ...
    pub(super) fn explain_visits(&self) -> Vec<u32> {
        let mut below = vec![0_u32; self.edges.len()];
        let mut by_depth = Vec::with_capacity(EXPLAIN_DEPTH + 1);
        for _ in 0..=EXPLAIN_DEPTH {
            let mut here = vec![0_u32; self.edges.len()];
            for &node in &self.same_order {
                here[node] = self.sum(
                    node,
                    |to, edge| if edge == Edge::Same { here[to] } else { below[to] },
                );
            }
            by_depth.push(here[0]);
            below = here;
        }
        by_depth
    }

    fn sum(&self, node: usize, of: impl Fn(usize, Edge) -> u32) -> u32 {
        let (mut sum, mut one_part) = (1_u32, 0);
        for &(to, edge) in &self.edges[node] {
            match edge {
                Edge::OnePart => one_part = of(to, edge).max(one_part),
                Edge::Same | Edge::Part => sum = sum.saturating_add(of(to, edge)),
            }
        }
        sum.saturating_add(one_part)
    }

    /// Nodes on cycles, and between cycles.
    fn cyclic(&self) -> Vec<bool> {
        let mut cyclic = vec![true; self.edges.len()];
        for node in order(&self.edges, |_, _| true) {
            cyclic[node] = false;
        }
        let mut reversed = vec![Vec::new(); self.edges.len()];
        for (from, edges) in self.edges.iter().enumerate() {
            for &(to, edge) in edges {
                reversed[to].push((from, edge));
            }
        }
        for node in order(&reversed, |_, _| true) {
            cyclic[node] = false;
        }
        cyclic
    }
}

/// Nodes behind all that they lead to by the edges that `follow` takes; nodes that lead into a cycle are left out.
fn order(edges: &[Vec<(usize, Edge)>], follow: impl Fn(usize, Edge) -> bool) -> Vec<usize> {
    let mut waiting = vec![0_usize; edges.len()];
    let mut from = vec![Vec::new(); edges.len()];
    for (node, edges) in edges.iter().enumerate() {
        for &(to, edge) in edges {
            if follow(to, edge) {
                waiting[node] += 1;
                from[to].push(node);
            }
        }
    }
    let mut order: Vec<usize> = (0..edges.len()).filter(|node| waiting[*node] == 0).collect();
    let mut next = 0;
    while let Some(&done) = order.get(next) {
        next += 1;
        for &node in &from[done] {
            waiting[node] -= 1;
            if waiting[node] == 0 {
                order.push(node);
            }
        }
    }
    order
}

/// Bounds the document's size and depth, and collects what references can name.
fn survey(schema: &Value) -> Result<Names<'_>, SchemaError> {
    let mut names = Names::default();
    let mut bytes = 0;
    let mut open = vec![(schema, 1)];
    while let Some((value, depth)) = open.pop() {
        if depth > MAX_SCHEMA_DEPTH {
            return Err(SchemaError::TooLarge {
                what: "levels of nesting",
                limit: MAX_SCHEMA_DEPTH,
            });
        }
        bytes += 8;
        match value {
            Value::String(text) => bytes += text.len(),
            Value::Array(items) => open.extend(items.iter().map(|item| (item, depth + 1))),
            Value::Object(members) => {
                bytes += members.keys().map(String::len).sum::<usize>();
                open.extend(members.values().map(|item| (item, depth + 1)));
                names.collect(value, members);
            }
            _ => {}
        }
        if bytes > MAX_SCHEMA_BYTES {
            return Err(SchemaError::TooLarge {
                what: "bytes",
                limit: MAX_SCHEMA_BYTES,
            });
        }
    }
    Ok(names)
}

impl<'a> Names<'a> {
    fn collect(&mut self, value: &'a Value, members: &'a Map<String, Value>) {
        for keyword in ["$id", "id"] {
            if let Some(id) = members.get(keyword).and_then(Value::as_str) {
                match id.split_once('#') {
                    Some(("", anchor)) => self.anchors.entry(anchor).or_default().push(value),
                    Some((id, _)) => drop(self.ids.insert(id, value)),
                    None => drop(self.ids.insert(id, value)),
                }
            }
        }
        for keyword in ["$anchor", "$dynamicAnchor"] {
            if let Some(anchor) = members.get(keyword).and_then(Value::as_str) {
                self.anchors.entry(anchor).or_default().push(value);
            }
        }
    }
}

impl<'a> Builder<'a> {
    /// The node of a schema, made when it is new.
    fn node(&mut self, value: &'a Value, root: &'a Value) -> Result<usize, SchemaError> {
        if let Some(node) = self.known.get(&std::ptr::from_ref(value)) {
            return Ok(*node);
        }
        let node = self.nodes.len();
        if node == MAX_SUBSCHEMAS {
            return Err(SchemaError::TooLarge {
                what: "subschemas",
                limit: MAX_SUBSCHEMAS,
            });
        }
        // An `$id` that is more than an anchor begins a resource of its own.
        let id = value
            .get("$id")
            .or_else(|| value.get("id"))
            .and_then(Value::as_str);
        let root = if id.is_some_and(|id| !id.starts_with('#')) {
            value
        } else {
            root
        };
        self.known.insert(value, node);
        self.nodes.push((value, root));
        self.edges.push(Vec::new());
        Ok(node)
    }

    fn link(&mut self, from: usize, value: &'a Value, edge: Edge) -> Result<(), SchemaError> {
        // Booleans and lists of property names (in `dependencies`) lead nowhere.
        if value.is_object() {
            let to = self.node(value, self.nodes[from].1)?;
            self.edges[from].push((to, edge));
        }
        Ok(())
    }

    fn expand(&mut self, from: usize) -> Result<(), SchemaError> {
        let (value, root) = self.nodes[from];
        let Some(members) = value.as_object() else {
            return Ok(());
        };
        if let Some(uri) = members.get("$schema").and_then(Value::as_str)
            && !known_dialect(uri)
        {
            return Err(SchemaError::Dialect {
                uri: uri.chars().take(SHOWN_URI_CHARS).collect(),
            });
        }
        self.count_patterns(members)?;
        for &(keyword, edge) in KEYWORDS {
            match members.get(keyword) {
                Some(Value::Array(items)) => {
                    // A list under `items` (before 2020-12) is what `prefixItems` is now.
                    let edge = if keyword == "items" { Edge::OnePart } else { edge };
                    for item in items {
                        self.link(from, item, edge)?;
                    }
                }
                Some(Value::Object(map)) if is_map(keyword) => {
                    for item in map.values() {
                        self.link(from, item, edge)?;
                    }
                }
                Some(item) => self.link(from, item, edge)?,
                None => {}
            }
        }
        for keyword in ["$ref", "$dynamicRef", "$recursiveRef"] {
            if let Some(reference) = members.get(keyword).and_then(Value::as_str) {
                self.refer(from, root, reference)?;
            }
        }
        // Definitions cost nothing until referred to, but the validator reads them all.
        for keyword in ["$defs", "definitions"] {
            if let Some(Value::Object(map)) = members.get(keyword) {
                for definition in map.values().filter(|definition| definition.is_object()) {
                    self.node(definition, root)?;
                }
            }
        }
        Ok(())
    }

    fn count_patterns(&mut self, members: &Map<String, Value>) -> Result<(), SchemaError> {
        self.patterns += usize::from(members.contains_key("pattern"));
        self.patterns += members
            .get("patternProperties")
            .and_then(Value::as_object)
            .map_or(0, Map::len);
        if self.patterns > MAX_PATTERNS {
            return Err(SchemaError::TooLarge {
                what: "regular expressions",
                limit: MAX_PATTERNS,
            });
        }
        Ok(())
    }

    fn refer(&mut self, from: usize, root: &'a Value, reference: &str) -> Result<(), SchemaError> {
        let nowhere = || SchemaError::Reference {
            reference: reference.chars().take(SHOWN_URI_CHARS).collect(),
        };
        let (resource, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let root = match resource {
            "" => root,
            id => self.names.ids.get(id).copied().ok_or_else(nowhere)?,
        };
        let fragment = percent_decode(fragment).ok_or_else(nowhere)?;
        let targets = if fragment.is_empty() || fragment.starts_with('/') {
            vec![root.pointer(&fragment).ok_or_else(nowhere)?]
        } else {
            self.names
                .anchors
                .get(fragment.as_str())
                .cloned()
                .ok_or_else(nowhere)?
        };
        for target in targets {
            if target.is_object() {
                let to = self.node(target, root)?;
                self.edges[from].push((to, Edge::Same));
            }
        }
        Ok(())
    }
}

/// Decodes `%XX` in the fragment of a reference; `None` where it is malformed.
fn percent_decode(fragment: &str) -> Option<String> {
    if !fragment.contains('%') {
        return Some(fragment.to_owned());
    }
    let mut decoded = Vec::with_capacity(fragment.len());
    let mut bytes = fragment.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let high = (bytes.next()? as char).to_digit(16)?;
        let low = (bytes.next()? as char).to_digit(16)?;
        decoded.push((high << 4 | low) as u8);
    }
    String::from_utf8(decoded).ok()
}
