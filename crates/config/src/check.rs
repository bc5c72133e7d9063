//! Walks the file's tree along the tables of `spec`: every mistake becomes a problem, what is right becomes a value.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::fields::{Checked, Fields, Text, Value};
use crate::interpolate::Interpolator;
use crate::model::{ByteRate, Rate};
use crate::node::{Data, Entry, Meaning, Node, Scalar};
use crate::problem::{Problem, Problems, push_index, push_key, quote};
use crate::scalar::{self, show_duration, show_size};
use crate::source::Span;
use crate::spec::{Absent, Choice, Kind, Object};
use crate::suggest;
use crate::text::{Form, KeyForm};

/// A scalar's text for a kind, references resolved.
struct Source<'n> {
    text: String,
    scalar: &'n Scalar,
    interpolated: bool,
}

pub(crate) struct Checker<'c, 'e> {
    pub(crate) problems: &'c mut Problems,
    interpolator: Interpolator<'e>,
    base: PathBuf,
    path: String,
    /// Inside a disabled server: what the world around would have to provide is not asked for.
    disabled: bool,
}

impl<'c, 'e> Checker<'c, 'e> {
    pub(crate) fn new(
        problems: &'c mut Problems,
        env: &'e dyn Fn(&str) -> Option<String>,
        base: &Path,
    ) -> Self {
        Self {
            problems,
            interpolator: Interpolator::new(env, base.to_path_buf()),
            base: base.to_path_buf(),
            path: String::new(),
            disabled: false,
        }
    }

    /// Takes `${...}` as plain text: what comes over a network must not reach files or the environment.
    pub(crate) fn literal(mut self) -> Self {
        self.interpolator.literal = true;
        self
    }

    fn problem(&self, node: &Node, message: impl Into<String>) -> Problem {
        Problem::new(mark(node), &self.path, message)
    }

    pub(crate) fn check(&mut self, node: &Node, kind: &'static Kind) -> Option<Value> {
        match kind {
            Kind::Object(object) => self.object(node, object).map(Value::Object),
            Kind::Table { key, item, max } => self.table(node, *key, item, *max),
            Kind::List {
                item,
                may_be_empty,
                max,
            } => self.list(node, item, *may_be_empty, *max),
            Kind::OneOrMore { item, max } => match &*node.data {
                Data::Seq(_) => self.list(node, item, false, *max),
                _ => self.check(node, item).map(|value| Value::List(vec![value])),
            },
            Kind::Text(form) => self.text(node, *form).map(Value::Text),
            Kind::Rate { max, max_per } => self.rate(node, *max, *max_per),
            Kind::ByteRate { max, max_per } => self.byte_rate(node, *max, *max_per),
            Kind::Bool => self.boolean(node),
            Kind::Choice(choices) => self.choice(node, choices),
            Kind::Duration { min, max } => {
                let expected = || {
                    format!(
                        "a duration from {} to {}, as in 30s",
                        show_duration(*min),
                        show_duration(*max)
                    )
                };
                let value = self.measure(node, "a duration", expected, scalar::duration)?;
                self.within(node, value, *min, *max, expected)
                    .map(Value::Duration)
            }
            Kind::Size { min, max } => {
                let expected = || {
                    format!(
                        "a size from {} to {}, as in 4MiB",
                        show_size(*min),
                        show_size(*max)
                    )
                };
                let value = self.measure(node, "a size", expected, scalar::size)?;
                self.within(node, value, *min, *max, expected).map(Value::Number)
            }
            Kind::Count { min, max } => {
                let expected = || format!("a whole number from {min} to {max}");
                let value = self.measure(node, "a whole number", expected, |text| {
                    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
                    // More digits than fit are still a number: above any bound.
                    if digits {
                        Ok(text.parse::<u64>().unwrap_or(u64::MAX))
                    } else {
                        Err("write digits only, without quotes")
                    }
                })?;
                self.within(node, value, *min, *max, expected).map(Value::Number)
            }
        }
    }

    pub(crate) fn object(&mut self, node: &Node, object: &'static Object) -> Option<Fields> {
        let entries = self.entries(node, "a mapping of settings")?;
        let mut out = Fields {
            path: self.path.clone(),
            span: mark(node),
            fields: Vec::new(),
        };
        for entry in entries {
            let depth = self.path.len();
            push_key(&mut self.path, &entry.key);
            if let Some(field) = object.field(&entry.key) {
                let value = self.check(&entry.value, &field.kind);
                out.fields.push((
                    field.key,
                    Checked {
                        span: entry.key_span.clone(),
                        value,
                    },
                ));
            } else {
                let problem = self.unknown_key(entry, object);
                self.problems.push(problem);
            }
            self.path.truncate(depth);
        }
        for field in object.fields {
            if matches!(field.default, Absent::Required) && out.span(field.key).is_none() {
                self.problems.push(
                    Problem::new(
                        mark(node),
                        field.key,
                        format!("the key `{}` is missing", field.key),
                    )
                    .inside(&self.path)
                    .expected(format!("`{}`: {}", field.key, field.doc)),
                );
            }
        }
        Some(out)
    }

    fn rate(&mut self, node: &Node, max: u64, max_per: Duration) -> Option<Value> {
        let expected = || {
            format!(
                "a rate of 1 to {max} in {} to {}, as in 100/s",
                show_duration(scalar::MIN_PERIOD),
                show_duration(max_per)
            )
        };
        let (count, per) = self.measure(node, "a rate", expected, scalar::rate)?;
        let count = self.within(node, count, 1, max, expected)?;
        let per = self.within(node, per, scalar::MIN_PERIOD, max_per, expected)?;
        Some(Value::Rate(Rate {
            count: u32::try_from(count).unwrap_or(u32::MAX),
            per,
            burst: None,
        }))
    }

    fn byte_rate(&mut self, node: &Node, max: u64, max_per: Duration) -> Option<Value> {
        let expected = || {
            format!(
                "a rate of 1B to {} in {} to {}, as in 10MiB/h",
                show_size(max),
                show_duration(scalar::MIN_PERIOD),
                show_duration(max_per)
            )
        };
        let (bytes, per) = self.measure(node, "a rate of bytes", expected, scalar::byte_rate)?;
        let bytes = self.within(node, bytes, 1, max, expected)?;
        let per = self.within(node, per, scalar::MIN_PERIOD, max_per, expected)?;
        Some(Value::ByteRate(ByteRate { bytes, per }))
    }

    fn unknown_key(&self, entry: &Entry, object: &'static Object) -> Problem {
        let problem = |message| Problem::new(entry.key_span.clone(), &self.path, message);
        if let Some(later) = object.later.iter().find(|l| l.key == entry.key) {
            return problem(format!(
                "{} is not supported by this version of FerroMCP yet",
                quote(&entry.key)
            ))
            .hint(later.hint);
        }
        let keys: Vec<&str> = object.keys().collect();
        let problem = problem(format!("unknown key {}", quote(&entry.key))).expected(one_of(&keys));
        match suggest::nearest(&entry.key, object.keys()) {
            Some(near) if entry.key.eq_ignore_ascii_case("mcpServers") => problem.hint(format!(
                "the key is `{near}`; `ferromcp import FILE` converts a host's JSON file"
            )),
            Some(near) => problem.hint(format!("did you mean `{near}`?")),
            None => problem,
        }
    }

    fn table(&mut self, node: &Node, key: KeyForm, item: &'static Kind, max: usize) -> Option<Value> {
        let entries = self.entries(node, "a mapping of names to values")?;
        if entries.len() > max {
            self.problems.push(
                self.problem(node, format!("{} entries", entries.len()))
                    .expected(format!("at most {max} entries")),
            );
            return None;
        }
        let mut out = Vec::with_capacity(entries.len());
        for entry in entries {
            let depth = self.path.len();
            push_key(&mut self.path, &entry.key);
            if let Err(wrong) = key.check(&entry.key) {
                let problem =
                    Problem::new(entry.key_span.clone(), &self.path, wrong.message).expected(key.describe());
                self.problems.push(match wrong.hint {
                    Some(hint) => problem.hint(hint),
                    None => problem,
                });
            }
            let outer = self.disabled;
            self.disabled |= key == KeyForm::ServerId && is_disabled(&entry.value);
            let value = self.check(&entry.value, item);
            self.disabled = outer;
            out.push((
                entry.key.clone(),
                Checked {
                    span: entry.key_span.clone(),
                    value,
                },
            ));
            self.path.truncate(depth);
        }
        Some(Value::Table(out))
    }

    fn list(&mut self, node: &Node, item: &'static Kind, may_be_empty: bool, max: usize) -> Option<Value> {
        let Data::Seq(items) = &*node.data else {
            let problem = self
                .problem(node, format!("found {}", node.noun()))
                .expected("a list");
            let problem = match &*node.data {
                Data::Scalar(s) if s.meaning() != Meaning::Null => {
                    problem.hint("put the value in brackets: `[ ... ]`")
                }
                _ => problem,
            };
            self.problems.push(problem);
            return None;
        };
        if items.is_empty() && !may_be_empty {
            self.problems.push(
                self.problem(node, "the list is empty")
                    .expected("at least one item, or no key at all"),
            );
            return None;
        }
        if items.len() > max {
            self.problems.push(
                self.problem(node, format!("{} items", items.len()))
                    .expected(format!("at most {max} items")),
            );
            return None;
        }
        let mut out = Vec::with_capacity(items.len());
        for (index, node) in items.iter().enumerate() {
            let depth = self.path.len();
            push_index(&mut self.path, index);
            out.extend(self.check(node, item));
            self.path.truncate(depth);
        }
        (out.len() == items.len()).then_some(Value::List(out))
    }

    fn entries<'n>(&mut self, node: &'n Node, expected: &str) -> Option<&'n [Entry]> {
        if let Data::Map(entries) = &*node.data {
            return Some(entries);
        }
        let problem = self
            .problem(node, format!("found {}", node.noun()))
            .expected(expected);
        let nothing = matches!(&*node.data, Data::Scalar(s) if s.meaning() == Meaning::Null);
        self.problems.push(if nothing {
            problem.hint("write `{}`, or remove the key")
        } else {
            problem
        });
        None
    }

    /// The text of a scalar with its references resolved. Other nodes, and null, are a problem.
    fn scalar<'n>(&mut self, node: &'n Node, expected: &dyn Fn() -> String) -> Option<Source<'n>> {
        let Data::Scalar(scalar) = &*node.data else {
            self.problems.push(
                self.problem(node, format!("found {}", node.noun()))
                    .expected(expected()),
            );
            return None;
        };
        if scalar.meaning() == Meaning::Null {
            let problem = self.problem(node, "found nothing (null)").expected(expected());
            let problem = if scalar.text.is_empty() {
                problem
            } else {
                problem.hint("put it in quotes if you mean the text")
            };
            self.problems.push(problem);
            return None;
        }
        match self.interpolator.resolve(&scalar.text) {
            Ok(resolved) => Some(Source {
                text: resolved.text,
                scalar,
                interpolated: resolved.interpolated,
            }),
            Err(failure) if failure.unresolved && self.disabled => None,
            Err(failure) => {
                self.problems
                    .push(self.problem(node, failure.message).hint(failure.hint));
                None
            }
        }
    }

    /// Lets excerpts show this scalar, and says how a message may name it.
    fn name(&mut self, node: &Node, source: &Source<'_>) -> String {
        self.problems.make_public(node.span.start);
        if source.interpolated {
            format!("what {} stands for", quote(&source.scalar.text))
        } else {
            quote(&source.text)
        }
    }

    fn text(&mut self, node: &Node, form: Form) -> Option<Text> {
        let source = self.scalar(node, &|| form.describe())?;
        let meaning = source.scalar.meaning();
        let accepted = source.interpolated
            || meaning == Meaning::Text
            || (meaning == Meaning::Number && form.numbers_as_written());
        if !accepted {
            self.problems.push(
                self.problem(node, format!("found {}", node.noun()))
                    .expected(form.describe())
                    .hint("put it in quotes if you mean the text"),
            );
            return None;
        }
        let name = if form.sensitive() {
            None
        } else {
            Some(self.name(node, &source))
        };
        match form.parse(&source.text, &self.base) {
            Ok(parsed) => Some(Text {
                span: node.span.clone(),
                parsed,
                spelling: source.scalar.text.clone(),
                interpolated: source.interpolated,
            }),
            Err(_) if self.disabled && form == Form::Directory => None,
            Err(wrong) => {
                let message = match name {
                    Some(name) if !source.text.is_empty() => format!("{}: {name}", wrong.message),
                    _ => wrong.message,
                };
                let problem = self.problem(node, message).expected(form.describe());
                self.problems.push(match wrong.hint {
                    Some(hint) => problem.hint(hint),
                    None => problem,
                });
                None
            }
        }
    }

    fn boolean(&mut self, node: &Node) -> Option<Value> {
        let source = self.scalar(node, &|| "true or false".into())?;
        if let Meaning::Bool(value) = source.scalar.meaning() {
            self.problems.make_public(node.span.start);
            return Some(Value::Bool(value));
        }
        match source.text.as_str() {
            "true" if source.interpolated => return Some(Value::Bool(true)),
            "false" if source.interpolated => return Some(Value::Bool(false)),
            _ => {}
        }
        let name = self.name(node, &source);
        let hint = match source.text.to_ascii_lowercase().as_str() {
            _ if source.interpolated => None,
            "true" | "false" => Some("remove the quotes"),
            "yes" | "on" | "y" | "1" => Some("write `true`"),
            "no" | "off" | "n" | "0" => Some("write `false`"),
            _ => None,
        };
        let problem = self
            .problem(node, format!("not a boolean: {name}"))
            .expected("true or false");
        self.problems.push(match hint {
            Some(hint) => problem.hint(hint),
            None => problem,
        });
        None
    }

    fn choice(&mut self, node: &Node, choices: &'static [Choice]) -> Option<Value> {
        let words: Vec<&str> = choices
            .iter()
            .filter(|c| c.refused.is_none())
            .map(|c| c.word)
            .collect();
        let source = self.scalar(node, &|| one_of(&words))?;
        let name = self.name(node, &source);
        let problem = match choices.iter().find(|c| c.word == source.text) {
            Some(Choice { word, refused: None }) => return Some(Value::Word(word)),
            Some(Choice {
                refused: Some(why), ..
            }) => self
                .problem(node, format!("not supported: {name}"))
                .expected(one_of(&words))
                .hint(*why),
            None => {
                let problem = self
                    .problem(node, format!("not one of the possible words: {name}"))
                    .expected(one_of(&words));
                match suggest::nearest(&source.text, words.iter().copied()) {
                    Some(near) if !source.interpolated => problem.hint(format!("did you mean `{near}`?")),
                    _ => problem,
                }
            }
        };
        self.problems.push(problem);
        None
    }

    fn measure<T>(
        &mut self,
        node: &Node,
        noun: &str,
        expected: impl Fn() -> String,
        parse: impl Fn(&str) -> Result<T, &'static str>,
    ) -> Option<T> {
        let source = self.scalar(node, &expected)?;
        let name = self.name(node, &source);
        // A count in quotes is text; a duration or a size is text either way.
        let quoted_count = noun == "a whole number" && !source.interpolated && !source.scalar.plain;
        let result = if quoted_count {
            Err("write digits only, without quotes")
        } else {
            parse(&source.text)
        };
        match result {
            Ok(value) => Some(value),
            Err(hint) => {
                self.problems.push(
                    self.problem(node, format!("not {noun}: {name}"))
                        .expected(expected())
                        .hint(hint),
                );
                None
            }
        }
    }

    fn within<T: PartialOrd + Copy>(
        &mut self,
        node: &Node,
        value: T,
        min: T,
        max: T,
        expected: impl Fn() -> String,
    ) -> Option<T> {
        if (min..=max).contains(&value) {
            return Some(value);
        }
        let side = if value < max { "too small" } else { "too large" };
        let name = match &*node.data {
            Data::Scalar(s) => quote(&s.text),
            _ => String::new(),
        };
        self.problems
            .push(self.problem(node, format!("{side}: {name}")).expected(expected()));
        None
    }
}

/// What to mark of a value: a scalar whole, a list or mapping only where it begins.
fn mark(node: &Node) -> Span {
    match &*node.data {
        Data::Scalar(_) => node.span.clone(),
        _ => node.span.start..node.span.start,
    }
}

fn is_disabled(server: &Node) -> bool {
    matches!(server.get("disabled").map(|n| &*n.data), Some(Data::Scalar(s)) if s.meaning() == Meaning::Bool(true))
}

fn one_of(words: &[&str]) -> String {
    match words {
        [word] => (*word).to_owned(),
        words => format!("one of {}", words.join(", ")),
    }
}
