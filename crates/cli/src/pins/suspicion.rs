//! Texts in a definition that look as if they were to steer the model that reads them, or hide from the person who does.
//!
//! A help for the eye at lock time, not a guard: who wants to get past it can. What it finds is shown with its place.

use serde_json::Value;

use super::file::quoted;
use super::pin::{Kind, Pin};

/// One thing that a person should look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Suspicion {
    /// Rule id, as in `suspicious.instructions`.
    pub(crate) rule: &'static str,
    /// What the rule looks for, in words.
    pub(crate) what: &'static str,
    /// JSON pointer into the definition.
    pub(crate) pointer: String,
    /// The place and a little around it; what does not print is escaped.
    pub(crate) shown: String,
}

/// Most findings of one definition.
const MAX_FOUND: usize = 20;
/// Bytes that are shown around a finding.
const AROUND: usize = 30;

/// Phrases in lower case, single spaces.
struct Phrases {
    rule: &'static str,
    what: &'static str,
    phrases: &'static [&'static str],
}

const PHRASES: &[Phrases] = &[
    Phrases {
        rule: "suspicious.instructions",
        what: "speaks to the model about its instructions",
        phrases: &[
            "ignore previous",
            "ignore all previous",
            "ignore the previous",
            "ignore any previous",
            "ignore all prior",
            "ignore prior instructions",
            "ignore your instructions",
            "ignore the above",
            "disregard previous",
            "disregard all previous",
            "disregard the above",
            "disregard your",
            "forget your instructions",
            "forget all previous",
            "forget everything",
            "override your instructions",
            "new instructions:",
            "system prompt",
            "you are now ",
            "you must always",
            "always call this tool",
            "always use this tool",
            "before using any other tool",
            "before you use any other tool",
            "before calling any other tool",
            "instead of the other tools",
        ],
    },
    Phrases {
        rule: "suspicious.secrecy",
        what: "asks to keep something from the user",
        phrases: &[
            "do not tell the user",
            "don't tell the user",
            "do not mention",
            "don't mention",
            "do not inform the user",
            "do not show the user",
            "do not reveal",
            "without telling the user",
            "without the user knowing",
            "without asking the user",
            "without user confirmation",
            "hide this from",
            "keep this secret",
            "never tell the user",
            "user must not know",
            "the user does not need to know",
        ],
    },
    Phrases {
        rule: "suspicious.exfiltration",
        what: "asks for secrets or data that a tool has no need of",
        phrases: &[
            ".ssh/",
            "id_rsa",
            "id_ed25519",
            "/etc/passwd",
            "/etc/shadow",
            ".aws/credentials",
            ".cursor/mcp.json",
            "claude_desktop_config",
            "contents of .env",
            "content of .env",
            "environment variables and",
            "all environment variables",
            "private key",
            "api key of the user",
            "conversation history",
            "entire conversation",
            "full conversation",
            "previous messages",
            "chat history",
            "pass the contents",
            "pass its content",
            "send the contents",
            "exfiltrat",
        ],
    },
    Phrases {
        rule: "suspicious.block",
        what: "has a block that looks like an instruction to the model",
        phrases: &[
            "<important>",
            "</important>",
            "<system>",
            "</system>",
            "<instructions>",
            "<instruction>",
            "<secret>",
            "<hidden>",
            "<|im_start|>",
            "<|system|>",
            "[inst]",
            "[system]",
            "<!--",
        ],
    },
];

/// Looks at every text of the definition, the names of members among them. `others`: names of other tools, which a
/// description should not speak of; names shorter than 5 characters, or without a separator, are words and do not count.
pub(crate) fn suspicions(kind: Kind, pin: &Pin, others: &[&str]) -> Vec<Suspicion> {
    let own = pin
        .definition
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let others: Vec<&str> = others
        .iter()
        .copied()
        .filter(|name| *name != own && name.len() >= 5 && name.contains(['_', '-', '.', '/']))
        .collect();
    let mut look = Look {
        others: if kind == Kind::Tool { others } else { Vec::new() },
        found: Vec::new(),
    };
    look.value("", &pin.definition);
    look.found.truncate(MAX_FOUND);
    look.found
}

struct Look<'a> {
    others: Vec<&'a str>,
    found: Vec<Suspicion>,
}

impl Look<'_> {
    fn value(&mut self, pointer: &str, value: &Value) {
        if self.found.len() >= MAX_FOUND {
            return;
        }
        match value {
            Value::String(text) => self.text(pointer, text),
            Value::Array(items) => {
                for (i, item) in items.iter().enumerate() {
                    self.value(&format!("{pointer}/{i}"), item);
                }
            }
            Value::Object(map) => {
                for (key, value) in map {
                    let step = quoted(&key.replace('~', "~0").replace('/', "~1"));
                    let below = format!("{pointer}/{}", step.trim_matches('"'));
                    self.text(&below, key);
                    self.value(&below, value);
                }
            }
            _ => {}
        }
    }

    fn text(&mut self, pointer: &str, text: &str) {
        self.characters(pointer, text);
        let plain = plain(text);
        for Phrases { rule, what, phrases } in PHRASES {
            if let Some((at, phrase)) = phrases.iter().find_map(|p| Some((plain.find(p)?, p))) {
                self.add(rule, what, pointer, &plain, at, phrase.len());
            }
        }
        if pointer.ends_with("/description") {
            let other = self.others.iter().find_map(|name| {
                let lower = name.to_lowercase();
                Some((word(&plain, &lower)?, lower.len()))
            });
            if let Some((at, length)) = other {
                self.add(
                    "suspicious.other_tool",
                    "speaks of another tool",
                    pointer,
                    &plain,
                    at,
                    length,
                );
            }
        }
    }

    fn characters(&mut self, pointer: &str, text: &str) {
        let mut seen: Vec<&str> = Vec::new();
        let mut before = ' ';
        for (at, c) in text.char_indices() {
            let found = match c {
                '\u{e0000}'..='\u{e007f}' => {
                    Some(("suspicious.tags", "has tag characters, which only models read"))
                }
                '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => Some((
                    "suspicious.bidi",
                    "has marks that show text in another order than it is read",
                )),
                '\u{1b}' | '\u{9b}' => Some(("suspicious.escape", "has a terminal escape sequence")),
                // Emoji join with U+200D and select with U+FE0F; scripts of their own need U+200C and U+200D.
                '\u{200c}' | '\u{200d}' | '\u{fe0e}' | '\u{fe0f}' if !before.is_ascii() => None,
                c if is_invisible(c) => Some(("suspicious.invisible", "has characters that nobody sees")),
                _ => None,
            };
            before = c;
            if let Some((rule, what)) = found.filter(|(rule, _)| !seen.contains(rule)) {
                seen.push(rule);
                self.add(rule, what, pointer, text, at, c.len_utf8());
            }
        }
    }

    fn add(
        &mut self,
        rule: &'static str,
        what: &'static str,
        pointer: &str,
        text: &str,
        at: usize,
        length: usize,
    ) {
        let start = text.floor_char_boundary(at.saturating_sub(AROUND));
        let end = text.ceil_char_boundary((at + length + AROUND).min(text.len()));
        self.found.push(Suspicion {
            rule,
            what,
            pointer: pointer.to_owned(),
            shown: quoted(text.get(start..end).unwrap_or_default()),
        });
    }
}

/// Lower case, white space and invisible characters evened out, so that neither hides a phrase.
fn plain(text: &str) -> String {
    let mut made = String::with_capacity(text.len());
    for c in text.chars().filter(|c| c.is_whitespace() || !is_invisible(*c)) {
        match c {
            c if c.is_whitespace() => {
                if !made.ends_with(' ') {
                    made.push(' ');
                }
            }
            '\u{2019}' => made.push('\''),
            c => made.extend(c.to_lowercase()),
        }
    }
    made
}

/// Where `name` stands as a word of its own.
fn word(text: &str, name: &str) -> Option<usize> {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(name).map(|(at, _)| at).find(|at| {
        let before = text[..*at].chars().next_back();
        let after = text[*at + name.len()..].chars().next();
        !before.is_some_and(part) && !after.is_some_and(part)
    })
}

/// Characters that a person does not see: format characters, fillers, controls other than line breaks and tabs.
pub(crate) fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
        || (c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
}
