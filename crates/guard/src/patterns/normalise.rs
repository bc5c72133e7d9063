//! Undoes the disguises of a string: percent, HTML entity and backslash escapes, also inside each other, overlong UTF-8,
//! full-width and other stand-ins for ASCII, and characters without width.
//!
//! Time is linear: a fixed number of rounds, each one pass.

use super::look::{UNICODE, look};

/// Escapes inside escapes that are undone. Deployed decoders stack two (proxy and application) or three.
const ROUNDS: usize = 4;

/// Writes the normal form of `text` to `out`, in lower case as far as ASCII goes. False: it is `text` itself in lower case,
/// and `out` means nothing.
pub(crate) fn normalise(text: &[u8], out: &mut Vec<u8>, spare: &mut Vec<u8>) -> bool {
    let mut changed = fold(text, out);
    for _ in 0..ROUNDS {
        if !unescape(out, spare) {
            break;
        }
        changed = true;
        fold(spare, out);
    }
    if changed {
        out.make_ascii_lowercase();
    }
    changed
}

/// One round over the escapes of `text`. False: there was none.
fn unescape(text: &[u8], out: &mut Vec<u8>) -> bool {
    out.clear();
    let mut changed = false;
    let mut pos = 0;
    while let Some(step) = text
        .get(pos..)
        .and_then(|rest| memchr::memchr3(b'%', b'&', b'\\', rest))
    {
        out.extend_from_slice(&text[pos..pos + step]);
        pos += step;
        let rest = &text[pos..];
        let escape = match rest[0] {
            b'%' => percent(rest),
            b'&' => entity(rest),
            _ => backslash(rest),
        };
        match escape {
            Some((Decoded::Byte(byte), len)) => {
                push_byte(out, byte);
                changed = true;
                pos += len;
            }
            Some((Decoded::Char(decoded), len)) => {
                out.extend_from_slice(decoded.encode_utf8(&mut [0; 4]).as_bytes());
                changed = true;
                pos += len;
            }
            None => {
                out.push(rest[0]);
                pos += 1;
            }
        }
    }
    out.extend_from_slice(text.get(pos..).unwrap_or_default());
    changed
}

enum Decoded {
    /// A byte of UTF-8, or of what passes for it.
    Byte(u8),
    Char(char),
}

/// Appends a byte; a sequence that encodes an ASCII character in too many bytes becomes that character.
fn push_byte(out: &mut Vec<u8>, byte: u8) {
    if byte & 0xc0 == 0x80 {
        let low = byte & 0x3f;
        match out.as_slice() {
            [.., lead @ (0xc0 | 0xc1)] => {
                let decoded = (lead & 1) << 6 | low;
                out.pop();
                out.push(decoded);
                return;
            }
            [.., 0xe0, middle @ (0x80 | 0x81)] => {
                let decoded = (middle & 1) << 6 | low;
                out.truncate(out.len() - 2);
                out.push(decoded);
                return;
            }
            // U+560A and U+560D: some servers keep only their low byte, a line break.
            [.., 0xe5, 0x98] if matches!(byte, 0x8a | 0x8d) => {
                out.truncate(out.len() - 2);
                out.push(byte & 0x0f);
                return;
            }
            _ => {}
        }
    }
    out.push(byte);
}

fn hex(digits: Option<&[u8]>) -> Option<u32> {
    digits?.iter().try_fold(0, |value, digit| {
        Some(value << 4 | (*digit as char).to_digit(16)?)
    })
}

/// A UTF-16 unit as a character; halves of pairs become the replacement character.
fn unit(code: u32) -> Decoded {
    Decoded::Char(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
}

/// `%41`, and `%u0041` of old ECMAScript.
fn percent(rest: &[u8]) -> Option<(Decoded, usize)> {
    if let Some(b'u' | b'U') = rest.get(1) {
        return Some((unit(hex(rest.get(2..6))?), 6));
    }
    Some((Decoded::Byte(hex(rest.get(1..3))? as u8), 3))
}

/// `\u0041`, `\u{41}`, `\x41`, and the escapes of RFC 4515 and CSS for characters that the rules know.
fn backslash(rest: &[u8]) -> Option<(Decoded, usize)> {
    match rest.get(1)? {
        b'u' if rest.get(2) == Some(&b'{') => {
            let digits = rest[3..].iter().take(7).position(|byte| *byte == b'}')?;
            Some((unit(hex(rest.get(3..3 + digits))?), digits + 4))
        }
        b'u' => Some((unit(hex(rest.get(2..6))?), 6)),
        b'x' => Some((unit(hex(rest.get(2..4))?), 4)),
        _ => match hex(rest.get(1..3))? {
            code @ (0x00 | 0x28 | 0x29 | 0x2a | 0x3c | 0x5c) => Some((unit(code), 3)),
            _ => None,
        },
    }
}

/// `&#65;`, `&#x41;` and named entities; the semicolon of the numeric ones may be absent, as browsers allow.
fn entity(rest: &[u8]) -> Option<(Decoded, usize)> {
    const LONGEST: usize = 12;
    if rest.get(1) == Some(&b'#') {
        let (base, start) = match rest.get(2)? {
            b'x' | b'X' => (16, 3),
            _ => (10, 2),
        };
        let digits = rest[start..]
            .iter()
            .take(LONGEST)
            .take_while(|byte| (**byte as char).is_digit(base))
            .count();
        let text = std::str::from_utf8(rest.get(start..start + digits)?).ok()?;
        let code = u32::from_str_radix(text, base).ok()?;
        let end = start + digits;
        return Some((unit(code), end + usize::from(rest.get(end) == Some(&b';'))));
    }
    let name = rest
        .get(1..)?
        .iter()
        .take(LONGEST)
        .position(|byte| *byte == b';')?;
    let mut lower = [0; LONGEST];
    let lower = &mut lower[..name];
    lower.copy_from_slice(&rest[1..1 + name]);
    lower.make_ascii_lowercase();
    let decoded = match &*lower {
        b"lt" => '<',
        b"gt" => '>',
        b"quot" => '"',
        b"apos" => '\'',
        b"amp" => '&',
        b"colon" => ':',
        b"semi" => ';',
        b"lpar" => '(',
        b"rpar" => ')',
        b"lcub" | b"lbrace" => '{',
        b"rcub" | b"rbrace" => '}',
        b"newline" => '\n',
        b"tab" => '\t',
        b"nbsp" => ' ',
        b"sol" => '/',
        b"bsol" => '\\',
        b"period" => '.',
        b"equals" => '=',
        b"dollar" => '$',
        b"percnt" => '%',
        b"num" => '#',
        b"grave" => '`',
        b"vert" | b"verbar" => '|',
        _ => return None,
    };
    Some((Decoded::Char(decoded), name + 2))
}

/// Replaces stand-ins for ASCII and drops what has no width. Bytes that are no UTF-8 become the replacement character.
/// False: nothing to replace.
fn fold(text: &[u8], out: &mut Vec<u8>) -> bool {
    out.clear();
    if text.is_ascii() {
        out.extend_from_slice(text);
        return false;
    }
    let mut changed = false;
    for chunk in text.utf8_chunks() {
        let mut plain = 0;
        let valid = chunk.valid();
        for (at, character) in valid.char_indices() {
            if character.is_ascii() {
                continue;
            }
            let stands_for = stand_in(character);
            if stands_for == StandIn::Nothing {
                continue;
            }
            changed = true;
            out.extend_from_slice(&valid.as_bytes()[plain..at]);
            plain = at + character.len_utf8();
            match stands_for {
                StandIn::Nothing | StandIn::NoWidth => {}
                StandIn::Ascii(byte) => out.push(byte),
                StandIn::TwoDots => out.extend_from_slice(b".."),
            }
        }
        out.extend_from_slice(&valid.as_bytes()[plain..]);
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
    changed
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StandIn {
    /// The character is itself.
    Nothing,
    NoWidth,
    Ascii(u8),
    TwoDots,
}

/// What software that is not strict may take a character for (compatibility forms, best-fit mappings, look-alikes).
fn stand_in(character: char) -> StandIn {
    let code = u32::from(character);
    let ascii = match code {
        0xa0 | 0x2000..=0x200a | 0x202f | 0x205f | 0x3000 => b' ',
        0x2018..=0x201b | 0x2032 | 0x2bc | 0x2b9 | 0x2c8 => b'\'',
        0x201c..=0x201f | 0x2033 => b'"',
        0x2044 | 0x2215 | 0x29f8 => b'/',
        0x2216 | 0x29f5 | 0x29f9 | 0xfe68 => b'\\',
        0x2024 | 0xfe52 => b'.',
        0x2025 => return StandIn::TwoDots,
        0x37e | 0xfe54 => b';',
        0xfe55 => b':',
        0xfe59 => b'(',
        0xfe5a => b')',
        0xfe64 => b'<',
        0xfe65 => b'>',
        0xfe60 => b'&',
        0xfe66 => b'=',
        0x2010..=0x2012 | 0x2212 => b'-',
        0xff01..=0xff5e => (code - 0xfee0) as u8,
        0x24ea => b'0',
        0x2460..=0x2468 => b'1' + (code - 0x2460) as u8,
        0x24b6..=0x24cf => b'a' + (code - 0x24b6) as u8,
        0x24d0..=0x24e9 => b'a' + (code - 0x24d0) as u8,
        // Mathematical letters come as runs of A-Z and a-z in 13 styles, the digits in 5.
        0x1d400..=0x1d6a3 => b'a' + ((code - 0x1d400) % 26) as u8,
        0x1d7ce..=0x1d7ff => b'0' + ((code - 0x1d7ce) % 10) as u8,
        _ if no_width(code) => return StandIn::NoWidth,
        _ => return StandIn::Nothing,
    };
    StandIn::Ascii(ascii)
}

/// Whether `text`, which is UTF-8, has characters that stand for others or have no width. Honest text in many scripts has none,
/// although its punctuation begins with the same bytes.
pub(crate) fn has_stand_ins(text: &[u8]) -> bool {
    let mut pos = 0;
    while let Some(step) = text
        .get(pos..)
        .and_then(|rest| rest.iter().position(|byte| look(&[*byte]) & UNICODE != 0))
    {
        pos += step;
        let len = match text[pos] {
            0xf0.. => 4,
            0xe0.. => 3,
            _ => 2,
        };
        let character = text
            .get(pos..pos + len)
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
            .and_then(|text| text.chars().next());
        if character.is_some_and(|character| stand_in(character) != StandIn::Nothing) {
            return true;
        }
        pos += len;
    }
    false
}

/// Soft hyphen, joiners, directional marks, byte order mark, variation selectors, tags.
pub(crate) fn no_width(code: u32) -> bool {
    matches!(
        code,
        0xad | 0x34f | 0x180e | 0x200b..=0x200f | 0x202a..=0x202e | 0x2060..=0x2064 | 0x2066..=0x2069 | 0xfe00..=0xfe0f
            | 0xfeff | 0xe0000..=0xe01ef
    )
}

/// Replaces SQL comments with a space, so that they cannot part the words of a rule; version comments (`/*!50000 x */`)
/// count as what they hold. Works in place on lower-case text; an unclosed comment stays.
pub(crate) fn drop_sql_comments(text: &[u8], out: &mut Vec<u8>) {
    out.clear();
    let mut pos = 0;
    let mut closing = true;
    while let Some(open) = memchr::memmem::find(&text[pos..], b"/*") {
        out.extend_from_slice(&text[pos..pos + open]);
        let inside = pos + open + 2;
        if text.get(inside) == Some(&b'!') {
            let digits = text[inside + 1..]
                .iter()
                .take_while(|byte| byte.is_ascii_digit())
                .count();
            out.push(b' ');
            pos = inside + 1 + digits;
            continue;
        }
        // Once no end was found there is none further on: never search for it twice.
        let end = if closing {
            memchr::memmem::find(&text[inside..], b"*/")
        } else {
            None
        };
        match end {
            Some(end) => {
                out.push(b' ');
                pos = inside + end + 2;
            }
            None => {
                closing = false;
                out.extend_from_slice(b"/*");
                pos = inside;
            }
        }
    }
    let rest = &text[pos..];
    // What is left of version comments.
    let mut from = 0;
    for end in memchr::memmem::find_iter(rest, b"*/") {
        out.extend_from_slice(&rest[from..end]);
        out.push(b' ');
        from = end + 2;
    }
    out.extend_from_slice(&rest[from..]);
}
