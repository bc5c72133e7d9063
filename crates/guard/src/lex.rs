//! Tokens of JSON text (RFC 8259): the byte loops that everything else in this crate stands on.
//!
//! Every function takes the text as bytes that are known to be valid UTF-8 and a position, and returns the position
//! behind the token. Nothing here allocates or recurses.

use crate::violation::FaultKind;

/// Where and why a token is refused. Kept to two words: the text of the message is made only when it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) kind: FaultKind,
    pub(crate) offset: usize,
}

impl Fault {
    #[cold]
    pub(crate) fn new(kind: FaultKind, offset: usize) -> Self {
        Self { kind, offset }
    }
}

/// A string token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StringToken {
    /// Offset behind the closing quote.
    pub(crate) end: usize,
    /// Length of the decoded text in UTF-8 bytes.
    pub(crate) decoded_len: usize,
    pub(crate) escaped: bool,
}

/// First offset at or after `pos` that is not JSON white space.
#[inline(always)]
pub(crate) fn skip_space(bytes: &[u8], mut pos: usize) -> usize {
    while let Some(byte) = bytes.get(pos) {
        // Compact JSON has no white space: one compare settles nearly every call.
        if *byte > b' ' || !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
            break;
        }
        pos += 1;
    }
    pos
}

const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);

/// Marks (in the high bit) bytes of `word` that end the plain run of a string: quote, backslash, control characters.
/// Borrows can mark bytes *above* a true hit, so only the lowest mark is exact, which is all that is used.
#[inline(always)]
fn special_bytes(word: u64) -> u64 {
    let quote = word ^ (ONES * b'"' as u64);
    let backslash = word ^ (ONES * b'\\' as u64);
    let controls = word.wrapping_sub(ONES * 0x20) & !word;
    ((quote.wrapping_sub(ONES) & !quote) | (backslash.wrapping_sub(ONES) & !backslash) | controls) & HIGHS
}

/// First offset at or after `pos` of a quote, a backslash, a control character, or the end of the text.
#[inline(always)]
fn plain_run(bytes: &[u8], mut pos: usize) -> usize {
    // Eight bytes a step, without a call: most strings in tool arguments are shorter than what a memchr call costs.
    while let Some(chunk) = bytes.get(pos..).and_then(<[u8]>::first_chunk::<8>) {
        let marks = special_bytes(u64::from_le_bytes(*chunk));
        if marks != 0 {
            return pos + (marks.trailing_zeros() / 8) as usize;
        }
        pos += 8;
    }
    while let Some(byte) = bytes.get(pos) {
        if matches!(byte, b'"' | b'\\' | 0..=0x1f) {
            break;
        }
        pos += 1;
    }
    pos
}

/// Reads the string whose opening quote is at `open`.
#[inline]
pub(crate) fn string(bytes: &[u8], open: usize) -> Result<StringToken, Fault> {
    let pos = plain_run(bytes, open + 1);
    if bytes.get(pos) == Some(&b'"') {
        return Ok(StringToken {
            end: pos + 1,
            decoded_len: pos - open - 1,
            escaped: false,
        });
    }
    string_slow(bytes, open, pos)
}

#[inline(never)]
fn string_slow(bytes: &[u8], open: usize, mut pos: usize) -> Result<StringToken, Fault> {
    // Bytes of the source that the decoded text does not have.
    let mut shrink = 0;
    let mut escaped = false;
    loop {
        match bytes.get(pos) {
            None => return Err(Fault::new(FaultKind::EndInString, bytes.len())),
            Some(b'"') => {
                return Ok(StringToken {
                    end: pos + 1,
                    decoded_len: pos - open - 1 - shrink,
                    escaped,
                });
            }
            Some(b'\\') => {
                let (_, decoded, end) = escape(bytes, pos)?;
                shrink += end - pos - decoded;
                pos = end;
                escaped = true;
            }
            Some(_) => return Err(Fault::new(FaultKind::ControlCharacter, pos)),
        }
        pos = plain_run(bytes, pos);
    }
}

/// Reads the escape whose backslash is at `pos`: the character, its length in UTF-8, the offset behind it.
fn escape(bytes: &[u8], pos: usize) -> Result<(char, usize, usize), Fault> {
    let simple = match bytes.get(pos + 1) {
        Some(b'"') => '"',
        Some(b'\\') => '\\',
        Some(b'/') => '/',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return unicode_escape(bytes, pos),
        Some(_) => return Err(Fault::new(FaultKind::Escape, pos)),
        None => return Err(Fault::new(FaultKind::EndInString, bytes.len())),
    };
    Ok((simple, 1, pos + 2))
}

/// `\uXXXX`, or a surrogate pair of two of them.
fn unicode_escape(bytes: &[u8], pos: usize) -> Result<(char, usize, usize), Fault> {
    let high = hex4(bytes, pos)?;
    let (code, end) = match high {
        0xd800..=0xdbff => {
            if bytes.get(pos + 6) != Some(&b'\\') || bytes.get(pos + 7) != Some(&b'u') {
                return Err(Fault::new(FaultKind::Surrogate, pos));
            }
            let low = hex4(bytes, pos + 6)?;
            if !(0xdc00..=0xdfff).contains(&low) {
                return Err(Fault::new(FaultKind::Surrogate, pos));
            }
            (0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00), pos + 12)
        }
        _ => (high, pos + 6),
    };
    match char::from_u32(code) {
        Some(decoded) => Ok((decoded, decoded.len_utf8(), end)),
        None => Err(Fault::new(FaultKind::Surrogate, pos)),
    }
}

/// The four hexadecimal digits of the `\u` escape at `pos`.
fn hex4(bytes: &[u8], pos: usize) -> Result<u32, Fault> {
    let Some(digits) = bytes.get(pos + 2..pos + 6) else {
        return Err(Fault::new(FaultKind::EndInString, bytes.len()));
    };
    digits
        .iter()
        .try_fold(0, |code, digit| match (*digit as char).to_digit(16) {
            Some(value) => Ok(code << 4 | value),
            None => Err(Fault::new(FaultKind::Escape, pos)),
        })
}

/// Reads the number that starts at `start` (a digit or a minus sign).
#[inline]
pub(crate) fn number(bytes: &[u8], start: usize) -> Result<usize, Fault> {
    let mut pos = start + usize::from(bytes.get(start) == Some(&b'-'));
    let integer = pos;
    match bytes.get(pos) {
        Some(b'0') => pos += 1,
        Some(b'1'..=b'9') => pos = digits(bytes, pos),
        Some(_) => return Err(Fault::new(FaultKind::Number, pos)),
        None => return Err(Fault::new(FaultKind::EndInNumber, pos)),
    }
    let integer_digits = pos - integer;
    if let Some(b'0'..=b'9') = bytes.get(pos) {
        return Err(Fault::new(FaultKind::Number, pos));
    }
    if bytes.get(pos) == Some(&b'.') {
        pos = at_least_one_digit(bytes, pos + 1)?;
    }
    let mut exponent = false;
    if let Some(b'e' | b'E') = bytes.get(pos) {
        exponent = true;
        pos += 1 + usize::from(matches!(bytes.get(pos + 1), Some(b'+' | b'-')));
        pos = at_least_one_digit(bytes, pos)?;
    }
    if pos - start > crate::limits::MAX_NUMBER_BYTES {
        return Err(Fault::new(FaultKind::NumberLength, start));
    }
    // A double holds any integer of 308 digits; only longer ones and exponents can overflow.
    if (exponent || integer_digits > 308) && !finite(&bytes[start..pos]) {
        return Err(Fault::new(FaultKind::NumberRange, start));
    }
    Ok(pos)
}

#[inline(always)]
fn digits(bytes: &[u8], mut pos: usize) -> usize {
    while let Some(b'0'..=b'9') = bytes.get(pos) {
        pos += 1;
    }
    pos
}

#[inline]
fn at_least_one_digit(bytes: &[u8], pos: usize) -> Result<usize, Fault> {
    match bytes.get(pos) {
        Some(b'0'..=b'9') => Ok(digits(bytes, pos + 1)),
        Some(_) => Err(Fault::new(FaultKind::Number, pos)),
        None => Err(Fault::new(FaultKind::EndInNumber, pos)),
    }
}

#[cold]
fn finite(number: &[u8]) -> bool {
    std::str::from_utf8(number)
        .ok()
        .and_then(|text| text.parse::<f64>().ok())
        .is_some_and(f64::is_finite)
}

/// Reads `word` (`true`, `false`, `null`), whose first byte is known to be at `start`.
#[inline]
pub(crate) fn literal(bytes: &[u8], start: usize, word: &'static [u8]) -> Result<usize, Fault> {
    match bytes.get(start..start + word.len()) {
        Some(found) if found == word => Ok(start + word.len()),
        Some(_) => Err(Fault::new(FaultKind::Literal, start)),
        None if word.starts_with(&bytes[start..]) => Err(Fault::new(FaultKind::EndInLiteral, bytes.len())),
        None => Err(Fault::new(FaultKind::Literal, start)),
    }
}

/// A value that is not a container; `first` is the byte at `pos`.
#[inline]
pub(crate) fn scalar(bytes: &[u8], pos: usize, first: u8) -> Result<usize, Fault> {
    match first {
        b'-' | b'0'..=b'9' => number(bytes, pos),
        b't' => literal(bytes, pos, b"true"),
        b'f' => literal(bytes, pos, b"false"),
        b'n' => literal(bytes, pos, b"null"),
        _ => Err(Fault::new(FaultKind::ExpectedValue, pos)),
    }
}

/// The decoded bytes of the inside of a string token that was read without fault.
#[derive(Clone, Debug)]
pub(crate) struct Decoded<'a> {
    raw: &'a [u8],
    pos: usize,
    pending: [u8; 4],
    pending_at: usize,
    pending_len: usize,
}

impl<'a> Decoded<'a> {
    pub(crate) fn new(raw: &'a [u8]) -> Self {
        Self {
            raw,
            pos: 0,
            pending: [0; 4],
            pending_at: 0,
            pending_len: 0,
        }
    }
}

impl Iterator for Decoded<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        if self.pending_at < self.pending_len {
            self.pending_at += 1;
            return Some(self.pending[self.pending_at - 1]);
        }
        let byte = *self.raw.get(self.pos)?;
        if byte != b'\\' {
            self.pos += 1;
            return Some(byte);
        }
        // The token was read before, so the escape is sound; were it not, the iteration ends here.
        let (decoded, _, end) = escape(self.raw, self.pos).ok()?;
        self.pending_len = decoded.encode_utf8(&mut self.pending).len();
        self.pending_at = 1;
        self.pos = end;
        Some(self.pending[0])
    }
}

/// Decodes the inside of a string token that was read without fault.
pub(crate) fn decode(raw: &[u8]) -> String {
    let bytes: Vec<u8> = Decoded::new(raw).collect();
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// As [`decode`], into a buffer whose contents are replaced. Copies the runs between escapes whole.
pub(crate) fn decode_into(raw: &[u8], out: &mut Vec<u8>) {
    out.clear();
    let mut pos = 0;
    while let Some(step) = raw.get(pos..).and_then(|rest| memchr::memchr(b'\\', rest)) {
        out.extend_from_slice(&raw[pos..pos + step]);
        pos += step;
        let Ok((decoded, _, end)) = escape(raw, pos) else {
            return;
        };
        out.extend_from_slice(decoded.encode_utf8(&mut [0; 4]).as_bytes());
        pos = end;
    }
    out.extend_from_slice(raw.get(pos..).unwrap_or_default());
}
