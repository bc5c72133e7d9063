//! The settings that a file gives, flat: what each means, to compare, and how it may be shown.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::path::Path;
use std::time::UNIX_EPOCH;

use crate::check::Checker;
use crate::fields::{Fields, Text, Value};
use crate::problem::{Problems, push_key};
use crate::scalar::{show_duration, show_size};
use crate::settings::ROOT;
use crate::spec::{Absent, Field, Kind, Object};
use crate::text::{Form, Parsed};
use crate::yaml;

/// In place of what may be a secret.
const HIDDEN: &str = "(not shown)";

/// All settings that one file gives. Prints no values.
#[derive(Clone, Default)]
pub struct Given {
    pub(super) entries: BTreeMap<String, Entry>,
}

/// One setting.
#[derive(Clone)]
pub(super) struct Entry {
    /// The path with placeholders for keys of the user's choice.
    pub(super) pattern: String,
    /// The keys of the user's choice, from the outside in.
    names: Vec<String>,
    field: &'static Field,
    /// It is one entry of the field's table, so the field's default says nothing about it.
    part: bool,
    /// The same for values that mean the same. May be a secret.
    pub(super) meaning: String,
    pub(super) shown: String,
    /// Of numbers, sizes, durations and rates.
    pub(super) amount: Option<f64>,
}

impl Given {
    pub(crate) fn of(root: &Fields) -> Self {
        let mut walk = Walk::default();
        walk.object(root, &ROOT);
        walk.given
    }

    /// Leaves out a setting and all below it, because something else decides it: an argument of the program.
    pub fn decided_elsewhere(&mut self, path: &str) {
        let below = |key: &str| {
            key.strip_prefix(path)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        self.entries.retain(|key, _| !below(key));
    }
}

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.entries.keys()).finish()
    }
}

impl Entry {
    /// The id of the server, tenant, ... that this belongs to.
    pub(super) fn under(&self, table: &str) -> Option<String> {
        let inside = self.pattern.strip_prefix(table)?.starts_with('.');
        inside.then(|| self.names.first().cloned()).flatten()
    }

    /// More of it lets callers do more.
    pub(super) fn is_limit(&self) -> bool {
        let begins = |with: &[&str]| with.iter().any(|with| self.pattern.starts_with(with));
        begins(&[
            "limits.",
            "tenants.TENANT.quotas.",
            "tenants.TENANT.limits.",
            "validation.max_",
        ])
    }

    /// What holds without the setting, where that is a value.
    pub(super) fn default(&self) -> Option<Self> {
        let Absent::Value(text) = self.field.default else {
            return None;
        };
        if self.part {
            return None;
        }
        let mut problems = Problems::default();
        let root = yaml::compose(text, &mut problems)?;
        let nothing = |_: &str| None;
        let value = Checker::new(&mut problems, &nothing, Path::new("")).check(&root, &self.field.kind)?;
        Some(Self {
            meaning: meaning(&value),
            shown: shown(&value, &self.field.kind),
            amount: amount(&value),
            ..self.clone()
        })
    }

    /// What to say in place of a value where there is none.
    pub(super) fn absent(&self) -> String {
        match self.field.default {
            _ if self.part => "none".to_owned(),
            Absent::Value(text) => format!("{text} (default)"),
            Absent::Words(words) => format!("({})", words.replace('`', "")),
            Absent::Group | Absent::Required => "none".to_owned(),
        }
    }
}

#[derive(Default)]
struct Walk {
    given: Given,
    path: String,
    pattern: String,
    names: Vec<String>,
}

impl Walk {
    fn object(&mut self, fields: &Fields, object: &'static Object) {
        for (key, checked) in &fields.fields {
            let (Some(field), Some(value)) = (object.field(key), &checked.value) else {
                continue;
            };
            let (path, pattern) = (self.path.len(), self.pattern.len());
            push_key(&mut self.path, key);
            push_key(&mut self.pattern, key);
            self.value(value, field);
            self.path.truncate(path);
            self.pattern.truncate(pattern);
        }
    }

    fn value(&mut self, value: &Value, field: &'static Field) {
        match (value, &field.kind) {
            (Value::Object(fields), Kind::Object(object)) => {
                // That the block is there may mean something by itself.
                if fields.fields.is_empty() {
                    self.entry(value, &field.kind, field, false);
                }
                self.object(fields, object);
            }
            (Value::Table(entries), Kind::Table { key, item, .. }) => {
                for (name, checked) in entries {
                    let Some(value) = &checked.value else { continue };
                    let (path, pattern) = (self.path.len(), self.pattern.len());
                    push_key(&mut self.path, name);
                    push_key(&mut self.pattern, key.placeholder());
                    self.names.push(name.clone());
                    match (value, item) {
                        (Value::Object(fields), Kind::Object(object)) if !fields.fields.is_empty() => {
                            self.object(fields, object);
                        }
                        _ => self.entry(value, item, field, true),
                    }
                    self.names.pop();
                    self.path.truncate(path);
                    self.pattern.truncate(pattern);
                }
            }
            _ => self.entry(value, &field.kind, field, false),
        }
    }

    fn entry(&mut self, value: &Value, kind: &'static Kind, field: &'static Field, part: bool) {
        let entry = Entry {
            pattern: self.pattern.clone(),
            names: self.names.clone(),
            field,
            part,
            meaning: meaning(value),
            shown: shown(value, kind),
            amount: amount(value),
        };
        self.given.entries.insert(self.path.clone(), entry);
    }
}

fn amount(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => Some(*number as f64),
        Value::Duration(time) => Some(time.as_secs_f64()),
        Value::Rate(rate) => Some(f64::from(rate.count) / rate.per.as_secs_f64()),
        Value::ByteRate(rate) => Some(rate.bytes as f64 / rate.per.as_secs_f64()),
        _ => None,
    }
}

fn meaning(value: &Value) -> String {
    match value {
        Value::Text(text) => match &text.parsed {
            // Prints less than it is.
            Parsed::KeyHash(key) => {
                let mut out = String::new();
                for byte in key.sha256 {
                    let _ = write!(out, "{byte:02x}");
                }
                let end = key
                    .expires
                    .map(|end| end.duration_since(UNIX_EPOCH).unwrap_or_default());
                format!("{out} {end:?}")
            }
            parsed => format!("{parsed:?}"),
        },
        Value::List(items) => format!("[{}]", items.iter().map(meaning).collect::<Vec<_>>().join(",")),
        Value::Table(entries) => {
            let one = |(name, checked): &(String, crate::fields::Checked)| {
                format!(
                    "{name:?}:{}",
                    checked.value.as_ref().map(meaning).unwrap_or_default()
                )
            };
            format!("{{{}}}", entries.iter().map(one).collect::<Vec<_>>().join(","))
        }
        Value::Object(fields) => {
            let mut parts: Vec<String> = fields
                .fields
                .iter()
                .map(|(key, checked)| {
                    format!(
                        "{key}:{}",
                        checked.value.as_ref().map(meaning).unwrap_or_default()
                    )
                })
                .collect();
            parts.sort_unstable();
            format!("{{{}}}", parts.join(","))
        }
        // Of these, everything is printed.
        Value::Bool(_)
        | Value::Word(_)
        | Value::Duration(_)
        | Value::Number(_)
        | Value::Rate(_)
        | Value::ByteRate(_) => format!("{value:?}"),
    }
}

fn shown(value: &Value, kind: &'static Kind) -> String {
    match (value, kind) {
        (Value::Bool(flag), _) => flag.to_string(),
        (Value::Word(word), _) => (*word).to_owned(),
        (Value::Duration(time), _) => show_duration(*time),
        (Value::Number(bytes), Kind::Size { .. }) => show_size(*bytes),
        (Value::Number(number), _) => number.to_string(),
        (Value::Rate(rate), _) => format!("{}/{}", rate.count, per(rate.per)),
        (Value::ByteRate(rate), _) => format!("{}/{}", show_size(rate.bytes), per(rate.per)),
        (Value::Text(text), Kind::Text(form)) => shown_text(text, *form),
        (Value::List(items), Kind::List { item, .. } | Kind::OneOrMore { item, .. }) => {
            let items: Vec<String> = items.iter().map(|value| shown(value, item)).collect();
            format!("[{}]", items.join(", "))
        }
        (Value::Table(entries), Kind::Table { item, .. }) => {
            let one = |(name, checked): &(String, crate::fields::Checked)| {
                let value = checked.value.as_ref().map(|value| shown(value, item));
                format!("{name}: {}", value.unwrap_or_default())
            };
            format!("{{{}}}", entries.iter().map(one).collect::<Vec<_>>().join(", "))
        }
        (Value::Object(fields), Kind::Object(object)) => {
            let one = |(key, checked): &(&'static str, crate::fields::Checked)| {
                let value = checked.value.as_ref().zip(object.field(key));
                format!(
                    "{key}: {}",
                    value
                        .map(|(value, field)| shown(value, &field.kind))
                        .unwrap_or_default()
                )
            };
            format!(
                "{{{}}}",
                fields.fields.iter().map(one).collect::<Vec<_>>().join(", ")
            )
        }
        _ => HIDDEN.to_owned(),
    }
}

fn per(time: std::time::Duration) -> String {
    let shown = match show_duration(time) {
        // In a rate, `m` reads like milli.
        shown if shown.ends_with('m') => format!("{shown}in"),
        shown => shown,
    };
    match shown.strip_prefix('1') {
        Some(unit) if unit.starts_with(|c: char| c.is_ascii_alphabetic()) => unit.to_owned(),
        _ => shown,
    }
}

fn shown_text(text: &Text, form: Form) -> String {
    match &text.parsed {
        Parsed::KeyHash(key) => key.shown(),
        // As it is written: what references stand for is a secret, that they are there is not.
        _ if form == Form::Argument => quoted(&text.spelling),
        Parsed::Url(url) if !text.interpolated && url.query().is_none() => url.to_string(),
        Parsed::Path(_) if form == Form::Document && !text.interpolated => quoted(&text.spelling),
        _ if form.sensitive() => HIDDEN.to_owned(),
        _ => quoted(&text.spelling),
    }
}

/// On one line, and cut where it is long.
fn quoted(text: &str) -> String {
    const LONG: usize = 200;
    let plain = |c: char| !c.is_control() && !matches!(c, ',' | '"' | '[' | ']' | '{' | '}');
    let cut: String = text.chars().take(LONG).collect();
    let more = if cut.len() < text.len() { "…" } else { "" };
    if !cut.is_empty() && !cut.contains(' ') && cut.chars().all(plain) {
        return format!("{cut}{more}");
    }
    format!("{cut:?}{more}")
}
