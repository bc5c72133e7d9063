//! JSON text to a [`Node`] tree with places. Comments and trailing commas are accepted, as the editors whose files are
//! imported do; everything else is RFC 8259. Duplicate keys are a problem, nesting and size are bounded.

use std::collections::HashMap;
use std::sync::Arc;

use crate::node::{Data, Entry, Node};
use crate::problem::{Problem, Problems, push_index, push_key, quote};
use crate::source::Span;

/// Deepest nesting of arrays and objects.
pub(crate) const MAX_DEPTH: usize = 64;
/// Most values in one file.
pub(crate) const MAX_NODES: usize = 50_000;

/// Reads one JSON value. `None` when that is not possible; the reason is then in `problems`.
pub(crate) fn parse(text: &str, problems: &mut Problems) -> Option<Node> {
    let mut parser = Parser {
        text,
        at: 0,
        path: String::new(),
        depth: 0,
        nodes: 0,
        problems,
    };
    let result = parser.document();
    match result {
        Ok(node) => Some(node),
        Err(problem) => {
            problems.push(*problem);
            None
        }
    }
}

struct Parser<'t, 'p> {
    text: &'t str,
    /// Byte offset of the next character, always on a character boundary.
    at: usize,
    path: String,
    depth: usize,
    nodes: usize,
    problems: &'p mut Problems,
}

type Result<T> = std::result::Result<T, Box<Problem>>;

impl Parser<'_, '_> {
    fn document(&mut self) -> Result<Node> {
        self.skip_blank()?;
        let node = self.value()?;
        self.skip_blank()?;
        if self.at < self.text.len() {
            return Err(self
                .error("more text after the end of the JSON value")
                .expected("one JSON value in the file")
                .into());
        }
        Ok(node)
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn error(&self, message: impl Into<String>) -> Problem {
        let problem = Problem::new(self.at..self.at, &self.path, message).unparsed();
        if self.text[self.at..].trim().is_empty() {
            problem.hint("the file ends too early: is it cut off?")
        } else {
            problem
        }
    }

    fn skip_blank(&mut self) -> Result<()> {
        loop {
            let rest = &self.text[self.at..];
            if rest.starts_with("//") {
                self.at += rest.find('\n').unwrap_or(rest.len());
            } else if rest.starts_with("/*") {
                match rest.find("*/") {
                    Some(end) => self.at += end + 2,
                    None => return Err(self.error("a comment is not closed").expected("`*/`").into()),
                }
            } else if rest.starts_with([' ', '\t', '\r', '\n']) {
                self.at += 1;
            } else {
                return Ok(());
            }
        }
    }

    fn value(&mut self) -> Result<Node> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(self
                .error("too many values in the file")
                .expected(format!("at most {MAX_NODES} values"))
                .into());
        }
        let start = self.at;
        match self.peek() {
            Some(b'{') => self.nested(start, Self::object),
            Some(b'[') => self.nested(start, Self::array),
            Some(b'"') => {
                let text = self.string()?;
                Ok(Node::scalar(start..self.at, text, false))
            }
            Some(b'-' | b'0'..=b'9') => {
                self.number()?;
                Ok(Node::scalar(
                    start..self.at,
                    self.text[start..self.at].to_owned(),
                    true,
                ))
            }
            _ => {
                for word in ["true", "false", "null"] {
                    if self.text[start..].starts_with(word) {
                        self.at += word.len();
                        return Ok(Node::scalar(start..self.at, word.to_owned(), true));
                    }
                }
                Err(self
                    .error("not valid JSON")
                    .expected("a value: `{`, `[`, a string in double quotes, a number, true, false or null")
                    .into())
            }
        }
    }

    fn nested(&mut self, start: usize, read: fn(&mut Self) -> Result<Data>) -> Result<Node> {
        if self.depth >= MAX_DEPTH {
            return Err(self
                .error("nested too deeply")
                .expected(format!("at most {MAX_DEPTH} levels of arrays and objects"))
                .into());
        }
        self.depth += 1;
        self.at += 1;
        let data = read(self)?;
        self.depth -= 1;
        Ok(Node {
            span: start..self.at,
            data: Arc::new(data),
            size: 1,
        })
    }

    fn array(&mut self) -> Result<Data> {
        let mut items = Vec::new();
        loop {
            self.skip_blank()?;
            if self.peek() == Some(b']') {
                self.at += 1;
                return Ok(Data::Seq(items));
            }
            let depth = self.path.len();
            push_index(&mut self.path, items.len());
            items.push(self.value()?);
            self.path.truncate(depth);
            self.skip_blank()?;
            self.comma_or(b']')?;
        }
    }

    fn object(&mut self) -> Result<Data> {
        let mut entries = Vec::new();
        let mut seen: HashMap<String, usize> = HashMap::new();
        loop {
            self.skip_blank()?;
            if self.peek() == Some(b'}') {
                self.at += 1;
                return Ok(Data::Map(entries));
            }
            let start = self.at;
            if self.peek() != Some(b'"') {
                return Err(self
                    .error("not valid JSON")
                    .expected("a key in double quotes, or `}`")
                    .into());
            }
            let key = self.string()?;
            let key_span = start..self.at;
            self.skip_blank()?;
            if self.peek() != Some(b':') {
                return Err(self.error("not valid JSON").expected("`:` after the key").into());
            }
            self.at += 1;
            self.skip_blank()?;
            let depth = self.path.len();
            push_key(&mut self.path, &key);
            let value = self.value()?;
            self.path.truncate(depth);
            self.accept(key, key_span, value, &mut seen, &mut entries);
            self.skip_blank()?;
            self.comma_or(b'}')?;
        }
    }

    fn accept(
        &mut self,
        key: String,
        key_span: Span,
        value: Node,
        seen: &mut HashMap<String, usize>,
        entries: &mut Vec<Entry>,
    ) {
        if let Some(first) = seen.get(&key) {
            let line = self.text[..*first].matches('\n').count() + 1;
            self.problems.push(
                Problem::new(key_span, &key, format!("the key {} appears twice", quote(&key)))
                    .inside(&self.path)
                    .expected("each key once in an object")
                    .hint(format!("it is first set in line {line}; remove one of them")),
            );
            self.problems.mask(value);
            return;
        }
        seen.insert(key.clone(), key_span.start);
        entries.push(Entry { key, key_span, value });
    }

    fn comma_or(&mut self, end: u8) -> Result<()> {
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                Ok(())
            }
            Some(b) if b == end => Ok(()),
            _ => Err(self
                .error("not valid JSON")
                .expected(format!("`,` or `{}`", char::from(end)))
                .into()),
        }
    }

    fn number(&mut self) -> Result<()> {
        let digits = |this: &mut Self| {
            let from = this.at;
            while this.peek().is_some_and(|b| b.is_ascii_digit()) {
                this.at += 1;
            }
            this.at - from
        };
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let leading_zero = self.peek() == Some(b'0');
        let whole = digits(self);
        let mut good = whole > 0 && (whole == 1 || !leading_zero);
        if self.peek() == Some(b'.') {
            self.at += 1;
            good &= digits(self) > 0;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            good &= digits(self) > 0;
        }
        if good {
            Ok(())
        } else {
            Err(self
                .error("not a valid JSON number")
                .expected("digits, as in 8080 or 1.5")
                .into())
        }
    }

    fn string(&mut self) -> Result<String> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let rest = &self.text[self.at..];
            let end = rest.find(|c: char| c == '"' || c == '\\' || u32::from(c) < 0x20);
            let Some(end) = end else {
                self.at = self.text.len();
                return Err(self
                    .error("a string is not closed")
                    .expected("`\"` at its end")
                    .into());
            };
            out.push_str(&rest[..end]);
            self.at += end;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => out.push(self.escape()?),
                _ => {
                    return Err(self
                        .error("a line break or control character inside a string")
                        .expected(
                            "the string closed with `\"`, or the character written as an escape such as \\n",
                        )
                        .into());
                }
            }
        }
    }

    fn escape(&mut self) -> Result<char> {
        let simple = match self.text.as_bytes().get(self.at + 1) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode_escape(),
            _ => {
                return Err(self
                    .error("unknown escape in a string")
                    .expected(r#"one of \" \\ \/ \b \f \n \r \t \uXXXX"#)
                    .into());
            }
        };
        self.at += 2;
        Ok(simple)
    }

    fn unicode_escape(&mut self) -> Result<char> {
        let unit = |at: usize| -> Option<u32> {
            let digits = self.text.get(at..at + 6)?.strip_prefix("\\u")?;
            if digits.bytes().all(|b| b.is_ascii_hexdigit()) {
                u32::from_str_radix(digits, 16).ok()
            } else {
                None
            }
        };
        let found = match unit(self.at) {
            Some(high @ 0xd800..=0xdbff) => match unit(self.at + 6) {
                Some(low @ 0xdc00..=0xdfff) => {
                    char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)).map(|c| (c, 12))
                }
                _ => None,
            },
            Some(unit) => char::from_u32(unit).map(|c| (c, 6)),
            None => None,
        };
        let Some((c, length)) = found else {
            return Err(self
                .error("an invalid \\u escape in a string")
                .expected("four hexadecimal digits, and a pair of escapes above U+FFFF")
                .into());
        };
        self.at += length;
        Ok(c)
    }
}
