//! The answer when a document is refused: which rule, where, and what to do about it.

use std::fmt;

use crate::lex::{self, Fault};
use crate::limits::{MAX_NUMBER_BYTES, ScanLimits};
use crate::pointer;

/// Stable ids of the rules of a scan. They appear in errors, logs and audit records.
pub mod rule {
    /// The text is not valid UTF-8.
    pub const UTF8: &str = "json.utf8";
    /// The text is not JSON as RFC 8259 defines it.
    pub const SYNTAX: &str = "json.syntax";
    /// An object has the same key twice. Keys are compared after decoding their escapes.
    pub const DUPLICATE_KEY: &str = "json.duplicate_key";
    /// A `\u` escape names half of a surrogate pair: no UTF-8 text can hold it (RFC 8259, section 8.2).
    pub const SURROGATE: &str = "json.surrogate";
    /// A number does not fit a finite IEEE 754 double (RFC 8259, section 6, lets a receiver set such a range).
    pub const NUMBER_RANGE: &str = "json.number_range";
    /// The text is longer than `max_bytes`.
    pub const BYTES: &str = "limit.bytes";
    /// Containers are nested deeper than `max_depth`.
    pub const DEPTH: &str = "limit.depth";
    /// A string value is longer than `max_string`.
    pub const STRING: &str = "limit.string";
    /// An object key is longer than `max_key`.
    pub const KEY: &str = "limit.key";
    /// An array or object has more than `max_items` entries.
    pub const ITEMS: &str = "limit.items";
    /// A string matches a pattern rule that blocks. Where a finding comes with the violation, the rule of the finding stands
    /// in its place.
    pub const PATTERN: &str = "pattern";
    /// A number token is longer than [`crate::MAX_NUMBER_BYTES`].
    pub const NUMBER: &str = "limit.number";
}

/// Why a document was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Stable id, one of [`rule`].
    pub rule: &'static str,
    /// JSON Pointer (RFC 6901) of the value at fault; of the container, where an entry is one too many, a key is too
    /// long, or the next key is malformed. A pointer over 512 bytes is cut and ends in `…`.
    pub pointer: String,
    /// Offset of the fault in bytes from the start of the text.
    pub offset: usize,
    /// For people: what is wrong and what would be right. Holds no values of the document, only (shortened) keys.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (rule {}, byte {}", self.message, self.rule, self.offset)?;
        if !self.pointer.is_empty() {
            write!(f, ", at {}", self.pointer)?;
        }
        f.write_str(")")
    }
}

impl std::error::Error for Violation {}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FaultKind {
    Empty,
    EndInValue,
    EndInString,
    EndInNumber,
    EndInLiteral,
    EndInObject,
    EndInArray,
    ExpectedValue,
    ExpectedKey,
    ExpectedColon,
    ExpectedCommaOrBrace,
    ExpectedCommaOrBracket,
    TrailingComma,
    TrailingText,
    ExpectedObject,
    ControlCharacter,
    Escape,
    Number,
    Literal,
    DuplicateKey,
    Surrogate,
    NumberRange,
    NumberLength,
    Bytes,
    Depth,
    String,
    Key,
    Items,
    Pattern,
}

impl FaultKind {
    fn rule(self) -> &'static str {
        match self {
            Self::DuplicateKey => rule::DUPLICATE_KEY,
            Self::Surrogate => rule::SURROGATE,
            Self::NumberRange => rule::NUMBER_RANGE,
            Self::NumberLength => rule::NUMBER,
            Self::Bytes => rule::BYTES,
            Self::Depth => rule::DEPTH,
            Self::String => rule::STRING,
            Self::Key => rule::KEY,
            Self::Items => rule::ITEMS,
            Self::Pattern => rule::PATTERN,
            _ => rule::SYNTAX,
        }
    }

    fn message(self, limits: &ScanLimits) -> String {
        let text = match self {
            Self::Empty => "the text is empty where JSON was expected",
            Self::EndInValue => "the text ends where a value was expected",
            Self::EndInString => "the text ends inside a string",
            Self::EndInNumber => "the text ends inside a number",
            Self::EndInLiteral => "the text ends inside true, false or null",
            Self::EndInObject => "the text ends inside an object: its closing brace is missing",
            Self::EndInArray => "the text ends inside an array: its closing bracket is missing",
            Self::ExpectedValue => "a JSON value was expected here",
            Self::ExpectedKey => "an object key in double quotes was expected here",
            Self::ExpectedColon => "a colon was expected after the object key",
            Self::ExpectedCommaOrBrace => "a comma or closing brace was expected after the object member",
            Self::ExpectedCommaOrBracket => "a comma or closing bracket was expected after the array element",
            Self::TrailingComma => "a comma before the closing bracket or brace is not JSON",
            Self::TrailingText => "only white space may follow the JSON value",
            Self::ExpectedObject => "a JSON object was expected",
            Self::ControlCharacter => "control characters in strings must be escaped (as \\n or \\u0000)",
            Self::Escape => {
                "unknown escape in a string; JSON has \\\" \\\\ \\/ \\b \\f \\n \\r \\t and \\uXXXX"
            }
            Self::Number => "malformed number: JSON has no leading zeros or plus, and digits around a point",
            Self::Literal => "a JSON value was expected here: true, false and null are the only bare words",
            Self::Surrogate => "a \\u escape names half of a surrogate pair; write both halves",
            Self::NumberRange => "the number is too large for a 64-bit float; send it as a string",
            Self::NumberLength => {
                return format!("a number is longer than {MAX_NUMBER_BYTES} characters; send it as a string");
            }
            Self::DuplicateKey => "an object has the same key twice; keep one of them",
            Self::Bytes => return format!("the text is longer than the limit of {} bytes", limits.max_bytes),
            Self::Depth => return format!("nesting is deeper than the limit of {} levels", limits.max_depth),
            Self::String => {
                return format!("a string is longer than the limit of {} bytes", limits.max_string);
            }
            Self::Key => {
                return format!(
                    "an object key is longer than the limit of {} bytes",
                    limits.max_key
                );
            }
            Self::Pattern => "a string matches a pattern rule that refuses it",
            Self::Items => return format!("more entries than the limit of {}", limits.max_items),
        };
        text.to_owned()
    }
}

/// Longest key shown in a message, in characters.
const SHOWN_KEY_CHARS: usize = 64;

impl Violation {
    /// Turns a fault into what users see. Walks the text up to the fault again to find its pointer: the hot path keeps
    /// no path, the cold one can afford a second walk.
    #[cold]
    pub(crate) fn from_fault(bytes: &[u8], fault: Fault, limits: &ScanLimits) -> Self {
        let mut message = fault.kind.message(limits);
        let mut path = match fault.kind {
            FaultKind::Bytes | FaultKind::Empty => pointer::Path::default(),
            _ => pointer::path_at(bytes, fault.offset),
        };
        match fault.kind {
            FaultKind::Items => path.pop_index(),
            FaultKind::DuplicateKey => {
                if let Ok(token) = lex::string(bytes, fault.offset) {
                    let raw = &bytes[fault.offset + 1..token.end - 1];
                    path.set_key(raw);
                    message = format!("an object has the key {} twice; keep one of them", shown_key(raw));
                }
            }
            _ => {}
        }
        Self {
            rule: fault.kind.rule(),
            pointer: path.to_pointer(),
            offset: fault.offset,
            message,
        }
    }

    #[cold]
    pub(crate) fn utf8(valid_up_to: usize) -> Self {
        Self {
            rule: rule::UTF8,
            pointer: String::new(),
            offset: valid_up_to,
            message: "the text is not valid UTF-8; JSON must be sent as UTF-8".to_owned(),
        }
    }
}

fn shown_key(raw: &[u8]) -> String {
    let key = lex::decode(raw);
    let mut shown: String = key.chars().take(SHOWN_KEY_CHARS).collect();
    if shown.len() < key.len() {
        shown.push('…');
    }
    format!("{shown:?}")
}
