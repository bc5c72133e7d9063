//! The lock file: JSON, sorted, one member a line, so that a review shows what changed.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::pin::{Kind, Pin};
use super::suspicion::is_invisible;

/// Largest lock file, in bytes.
pub(crate) const MAX_FILE: u64 = 64 << 20;

const FORMAT: &str = "ferromcp-lock/1";

/// What is wrong with a lock file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LockError {
    /// In words.
    pub(crate) message: String,
    /// Line and column, from 1, where the text itself is wrong.
    pub(crate) place: Option<(usize, usize)>,
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Some((line, column)) => write!(f, "line {line}, column {column}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for LockError {}

/// The pins of all servers, by server id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pins {
    /// By server id.
    pub(crate) servers: BTreeMap<String, ServerPins>,
}

/// The pins of one server, by the server's own names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ServerPins {
    /// Tools.
    pub(crate) tools: BTreeMap<String, Pin>,
    /// Prompts.
    pub(crate) prompts: BTreeMap<String, Pin>,
}

impl ServerPins {
    /// The pins of a kind.
    pub(crate) fn of(&self, kind: Kind) -> &BTreeMap<String, Pin> {
        match kind {
            Kind::Tool => &self.tools,
            Kind::Prompt => &self.prompts,
        }
    }

    /// The same, to change them.
    pub(crate) fn of_mut(&mut self, kind: Kind) -> &mut BTreeMap<String, Pin> {
        match kind {
            Kind::Tool => &mut self.tools,
            Kind::Prompt => &mut self.prompts,
        }
    }
}

impl Pins {
    /// The pin of one item.
    pub(crate) fn get(&self, server: &str, kind: Kind, name: &str) -> Option<&Pin> {
        self.servers.get(server)?.of(kind).get(name)
    }

    /// Reads a lock file.
    ///
    /// # Errors
    /// The text is larger than [`MAX_FILE`], no lock file, has a member twice or one that is unknown, or a hash that does
    /// not belong to its definition (then the file was edited by hand, or merged badly).
    pub(crate) fn parse(text: &str) -> Result<Self, LockError> {
        if text.len() as u64 > MAX_FILE {
            return Err(whole(format!("the lock file is larger than {MAX_FILE} bytes")));
        }
        let raw: RawFile = serde_json::from_str(text).map_err(|e| {
            let message = e.to_string();
            // serde_json puts the place at the end, where people do not look for it.
            let message = message.split(" at line ").next().unwrap_or_default().to_owned();
            LockError {
                message,
                place: Some((e.line(), e.column())),
            }
        })?;
        if raw.format != FORMAT {
            let shown: String = raw.format.chars().take(40).collect();
            return Err(whole(format!(
                "the lock file has the format {shown:?}, and this version reads {FORMAT:?}"
            )));
        }
        let mut made = Self::default();
        for (server, raw) in raw.servers.0 {
            let pins = ServerPins {
                tools: checked(&server, Kind::Tool, raw.tools.0)?,
                prompts: checked(&server, Kind::Prompt, raw.prompts.0)?,
            };
            made.servers.insert(server, pins);
        }
        Ok(made)
    }

    /// The text of the lock file. The same pins have the same text.
    pub(crate) fn render(&self) -> String {
        let mut out = format!("{{\n  \"format\": \"{FORMAT}\",\n  \"servers\": {{");
        let mut servers = Commas::default();
        for (server, pins) in &self.servers {
            out.push_str(servers.next());
            out.push_str(&format!("\n    {}: {{", quoted(server)));
            let mut kinds = Commas::default();
            for (key, pins) in [("prompts", &pins.prompts), ("tools", &pins.tools)] {
                if pins.is_empty() {
                    continue;
                }
                out.push_str(kinds.next());
                out.push_str(&format!("\n      \"{key}\": {{"));
                let mut items = Commas::default();
                for (name, pin) in pins {
                    out.push_str(items.next());
                    out.push_str(&format!(
                        "\n        {}: {{\n          \"hash\": \"{}\",\n          \"definition\": ",
                        quoted(name),
                        pin.hash
                    ));
                    pretty(&pin.definition, 10, &mut out);
                    out.push_str("\n        }");
                }
                out.push_str("\n      }");
            }
            out.push_str(if kinds.0 { "\n    }" } else { "}" });
        }
        out.push_str(if servers.0 { "\n  }\n}\n" } else { "}\n}\n" });
        out
    }
}

fn whole(message: String) -> LockError {
    LockError { message, place: None }
}

fn checked(
    server: &str,
    kind: Kind,
    raw: BTreeMap<String, RawPin>,
) -> Result<BTreeMap<String, Pin>, LockError> {
    let mut made = BTreeMap::new();
    for (name, raw) in raw {
        let pin = Pin::new(raw.definition);
        if pin.hash != raw.hash {
            let (server, name) = (server.escape_debug(), name.escape_debug());
            return Err(whole(format!(
                "servers.{server}, {} {name}: the hash does not belong to the definition; the file was changed by hand. \
                 Restore it, or look at the definition and accept it with `ferromcp lock --accept`",
                kind.as_str()
            )));
        }
        made.insert(name, pin);
    }
    Ok(made)
}

#[derive(Default)]
struct Commas(bool);

impl Commas {
    fn next(&mut self) -> &'static str {
        if std::mem::replace(&mut self.0, true) {
            ","
        } else {
            ""
        }
    }
}

/// A JSON string in which nothing is invisible.
pub(crate) fn quoted(text: &str) -> String {
    escaped(&Value::from(text).to_string())
}

/// JSON text with what does not print escaped.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_invisible(c) {
            let mut units = [0u16; 2];
            for unit in c.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(c);
        }
    }
    out
}

/// Sorted members, each on a line of its own.
fn pretty(value: &Value, indent: usize, out: &mut String) {
    let line = |out: &mut String, indent: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n(' ', indent));
    };
    match value {
        Value::Object(map) if !map.is_empty() => {
            let mut members: Vec<_> = map.iter().collect();
            members.sort_unstable_by_key(|(key, _)| *key);
            out.push('{');
            let mut commas = Commas::default();
            for (key, value) in members {
                out.push_str(commas.next());
                line(out, indent + 2);
                out.push_str(&quoted(key));
                out.push_str(": ");
                pretty(value, indent + 2, out);
            }
            line(out, indent);
            out.push('}');
        }
        Value::Array(items) if items.iter().any(|i| i.is_object() || i.is_array()) => {
            out.push('[');
            let mut commas = Commas::default();
            for item in items {
                out.push_str(commas.next());
                line(out, indent + 2);
                pretty(item, indent + 2, out);
            }
            line(out, indent);
            out.push(']');
        }
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                out.push_str(if i > 0 { ", " } else { "" });
                pretty(item, indent, out);
            }
            out.push(']');
        }
        Value::String(text) => out.push_str(&quoted(text)),
        other => out.push_str(&super::canonical::text(other)),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    format: String,
    servers: Unique<RawServer>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawServer {
    #[serde(default)]
    tools: Unique<RawPin>,
    #[serde(default)]
    prompts: Unique<RawPin>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPin {
    hash: String,
    definition: Value,
}

/// A map that refuses a key that comes twice: two readers could see two different values.
struct Unique<T>(BTreeMap<String, T>);

impl<T> Default for Unique<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Unique<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<T>(std::marker::PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = Unique<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unique<T>, A::Error> {
                let mut made = BTreeMap::new();
                while let Some((key, value)) = map.next_entry::<String, T>()? {
                    if made.insert(key.clone(), value).is_some() {
                        let shown: String = key.chars().take(100).collect();
                        return Err(A::Error::custom(format_args!(
                            "the key {shown:?} stands here twice"
                        )));
                    }
                }
                Ok(Unique(made))
            }
        }

        deserializer.deserialize_map(Members(std::marker::PhantomData))
    }
}
