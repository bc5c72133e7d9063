//! A Rust file seen well enough for house rules: code without comments and literals, functions, test code.
//!
//! Not a parser. It knows comments, strings, characters and braces, which is what the rules need, and it keeps
//! every newline, so that a position in the masked text is a position in the file.

use std::ops::Range;

/// A Rust file, masked.
pub(super) struct Source {
    /// The code: every byte of a comment or a literal's content is a space.
    pub(super) code: String,
    /// Byte ranges of test-only code.
    tests: Vec<Range<usize>>,
    /// Whether the whole file is test code.
    pub(super) is_test: bool,
    /// The text as it is.
    pub(super) text: String,
}

/// A function with a body.
pub(super) struct Function {
    pub(super) name: String,
    /// Byte position of `fn`.
    pub(super) start: usize,
    /// Lines from `fn` to the closing brace.
    pub(super) lines: usize,
}

impl Source {
    pub(super) fn new(path: &str, text: &str) -> Self {
        let code = mask(text);
        let tests = test_ranges(&code);
        Self {
            tests,
            is_test: is_test_path(path),
            code,
            text: text.to_owned(),
        }
    }

    /// The line of a byte position, from 1.
    pub(super) fn line(&self, position: usize) -> usize {
        self.code.as_bytes()[..position]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count()
            + 1
    }

    /// Whether a byte position is in test code.
    pub(super) fn in_test(&self, position: usize) -> bool {
        self.is_test || self.tests.iter().any(|range| range.contains(&position))
    }

    /// Lines of the file that are not test code.
    pub(super) fn product_lines(&self) -> usize {
        if self.is_test {
            return 0;
        }
        let all = self.code.lines().count();
        let tests: usize = self
            .tests
            .iter()
            .map(|range| self.code[range.clone()].lines().count())
            .sum();
        all.saturating_sub(tests)
    }

    /// Every function that has a body.
    pub(super) fn functions(&self) -> Vec<Function> {
        let mut functions = Vec::new();
        for start in words(&self.code, "fn") {
            let name: String = self.code[start + 2..]
                .trim_start()
                .chars()
                .take_while(|character| character.is_alphanumeric() || *character == '_')
                .collect();
            // `fn(u8) -> u8` is a type.
            if name.is_empty() {
                continue;
            }
            if let Some(end) = item_end(&self.code, start)
                && self.code.as_bytes()[end - 1] == b'}'
            {
                functions.push(Function {
                    name,
                    start,
                    lines: self.line(end - 1) - self.line(start) + 1,
                });
            }
        }
        functions
    }
}

/// Positions of `word` as a word of its own.
pub(super) fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    code.match_indices(word)
        .map(|(position, _)| position)
        .filter(move |position| {
            let bytes = code.as_bytes();
            let before = position.checked_sub(1).map(|index| bytes[index]);
            let after = bytes.get(position + word.len()).copied();
            !before.is_some_and(part) && !after.is_some_and(part)
        })
}

fn is_test_path(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name == "tests.rs"
        || name.ends_with("_tests.rs")
        || path
            .split('/')
            .rev()
            .skip(1)
            .any(|part| part == "tests" || part == "testkit")
}

/// The end of the item that starts at `start`: after its `;` or its closing brace.
fn item_end(code: &str, start: usize) -> Option<usize> {
    let bytes = code.as_bytes();
    let mut depth = 0usize;
    for (offset, byte) in bytes[start..].iter().enumerate() {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth = depth.saturating_sub(1),
            b';' if depth == 0 => return Some(start + offset + 1),
            b'{' if depth == 0 => return matching_brace(code, start + offset),
            _ => {}
        }
    }
    None
}

fn matching_brace(code: &str, open: usize) -> Option<usize> {
    let mut depth = 0usize;
    for (offset, byte) in code.as_bytes()[open..].iter().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    return Some(open + offset + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// Items under `#[cfg(test)]` or `#[cfg(all(test, ...))]`.
fn test_ranges(code: &str) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for attribute in ["#[cfg(test)]", "#[cfg(all(test"] {
        for (start, _) in code.match_indices(attribute) {
            if ranges.iter().any(|range| range.contains(&start)) {
                continue;
            }
            let Some(mut after) = closing_bracket(code, start + 1) else {
                continue;
            };
            // More attributes may follow before the item itself.
            while code[after..].trim_start().starts_with("#[") {
                let next = after + code[after..].len() - code[after..].trim_start().len();
                match closing_bracket(code, next + 1) {
                    Some(end) => after = end,
                    None => break,
                }
            }
            if let Some(end) = item_end(code, after) {
                ranges.push(start..end);
            }
        }
    }
    ranges
}

/// After the `]` that closes the `[` at `open`.
fn closing_bracket(code: &str, open: usize) -> Option<usize> {
    let mut depth = 0usize;
    for (offset, byte) in code.as_bytes()[open..].iter().enumerate() {
        match byte {
            b'[' => depth += 1,
            b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(open + offset + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// Replaces comments and the contents of literals by spaces, byte for byte, newlines kept.
fn mask(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut masked = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes[at] {
            b'/' if bytes.get(at + 1) == Some(&b'/') => line_end(bytes, at),
            b'/' if bytes.get(at + 1) == Some(&b'*') => comment_end(bytes, at),
            b'"' => string_end(bytes, at),
            b'r' | b'b' | b'c' if !follows_word(bytes, at) => match raw_string_end(bytes, at) {
                Some(end) => end,
                None => {
                    at += 1;
                    continue;
                }
            },
            b'\'' => match character_end(bytes, at) {
                Some(end) => end,
                None => {
                    at += 1;
                    continue;
                }
            },
            _ => {
                at += 1;
                continue;
            }
        };
        for byte in &mut masked[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end;
    }
    // Whole literals and comments became ASCII spaces, so what is left is valid UTF-8.
    String::from_utf8_lossy(&masked).into_owned()
}

fn follows_word(bytes: &[u8], at: usize) -> bool {
    at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_')
}

fn line_end(bytes: &[u8], at: usize) -> usize {
    bytes[at..]
        .iter()
        .position(|byte| *byte == b'\n')
        .map_or(bytes.len(), |offset| at + offset)
}

fn comment_end(bytes: &[u8], at: usize) -> usize {
    let (mut depth, mut index) = (0usize, at);
    while index < bytes.len() {
        if bytes[index..].starts_with(b"/*") {
            depth += 1;
            index += 2;
        } else if bytes[index..].starts_with(b"*/") {
            depth -= 1;
            index += 2;
            if depth == 0 {
                return index;
            }
        } else {
            index += 1;
        }
    }
    bytes.len()
}

fn string_end(bytes: &[u8], at: usize) -> usize {
    let mut index = at + 1;
    while index < bytes.len() {
        match bytes[index] {
            b'\\' => index += 2,
            b'"' => return index + 1,
            _ => index += 1,
        }
    }
    bytes.len()
}

/// `r"…"`, `r#"…"#`, `br"…"`, `b"…"`, `c"…"`: the end, or `None` when no literal starts here.
fn raw_string_end(bytes: &[u8], at: usize) -> Option<usize> {
    let mut index = at;
    while matches!(bytes.get(index), Some(b'r' | b'b' | b'c')) && index < at + 2 {
        index += 1;
    }
    let hashes = bytes[index..].iter().take_while(|byte| **byte == b'#').count();
    if bytes.get(index + hashes) != Some(&b'"') {
        return None;
    }
    if !bytes[at..index].contains(&b'r') {
        return (hashes == 0).then(|| string_end(bytes, index));
    }
    let mut close = vec![b'"'];
    close.extend(std::iter::repeat_n(b'#', hashes));
    let body = index + hashes + 1;
    bytes[body..]
        .windows(close.len())
        .position(|window| window == close)
        .map_or(Some(bytes.len()), |offset| Some(body + offset + close.len()))
}

/// The end of a character literal, or `None` when the quote opens a lifetime.
fn character_end(bytes: &[u8], at: usize) -> Option<usize> {
    if bytes.get(at + 1) == Some(&b'\\') {
        let close = bytes[at + 3..].iter().position(|byte| *byte == b'\'')?;
        return Some(at + 3 + close + 1);
    }
    let first = *bytes.get(at + 1)?;
    let width = match first {
        0..0x80 => 1,
        0x80..0xE0 => 2,
        0xE0..0xF0 => 3,
        _ => 4,
    };
    (bytes.get(at + 1 + width) == Some(&b'\'')).then_some(at + width + 2)
}

#[cfg(test)]
mod tests;
