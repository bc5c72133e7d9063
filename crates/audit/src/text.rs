//! The small pieces of text that lines are made of: times, hexadecimal, numbers, JSON strings.

use std::time::{Duration, SystemTime};

/// 9999-12-31T23:59:59.999999Z: later times are written as this one, so that the width is fixed.
const LAST_MICROS: u64 = 253_402_300_799_999_999;
/// Characters of a time.
pub(crate) const TIME_LEN: usize = 27;

/// Microseconds since 1970; 0 for anything before it.
pub(crate) fn micros(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

pub(crate) fn from_micros(micros: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_micros(micros.min(LAST_MICROS))
}

/// RFC 3339 in UTC with microseconds, always 27 characters.
pub(crate) fn timestamp(out: &mut Vec<u8>, micros: u64) {
    let micros = micros.min(LAST_MICROS);
    let seconds = micros / 1_000_000;
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let mut text = *b"0000-00-00T00:00:00.000000Z";
    digits(&mut text[0..4], year);
    digits(&mut text[5..7], month);
    digits(&mut text[8..10], day);
    digits(&mut text[11..13], rest / 3600);
    digits(&mut text[14..16], rest / 60 % 60);
    digits(&mut text[17..19], rest % 60);
    digits(&mut text[20..26], micros % 1_000_000);
    out.extend_from_slice(&text);
}

/// [`timestamp`] as a text of its own.
pub(crate) fn time_string(time: SystemTime) -> String {
    let mut out = Vec::with_capacity(TIME_LEN);
    timestamp(&mut out, micros(time));
    String::from_utf8_lossy(&out).into_owned()
}

/// The reverse of [`timestamp`]: only that one form is read.
pub(crate) fn parse_timestamp(text: &[u8]) -> Option<u64> {
    if text.len() != TIME_LEN {
        return None;
    }
    let punctuation = [
        (4, b'-'),
        (7, b'-'),
        (10, b'T'),
        (13, b':'),
        (16, b':'),
        (19, b'.'),
        (26, b'Z'),
    ];
    if punctuation.iter().any(|(at, byte)| text[*at] != *byte) {
        return None;
    }
    let (year, month, day) = (
        decimal(&text[0..4])?,
        decimal(&text[5..7])?,
        decimal(&text[8..10])?,
    );
    let (hour, minute) = (decimal(&text[11..13])?, decimal(&text[14..16])?);
    let (second, micro) = (decimal(&text[17..19])?, decimal(&text[20..26])?);
    if year < 1970 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = days_of(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    Some(seconds * 1_000_000 + micro)
}

/// A number in decimal digits only, at most 19 of them.
pub(crate) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 19 {
        return None;
    }
    text.iter().try_fold(0u64, |sum, byte| {
        byte.is_ascii_digit().then(|| sum * 10 + u64::from(byte - b'0'))
    })
}

/// Fills `place` with the last decimal digits of a number.
fn digits(place: &mut [u8], mut number: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Days since 1970-01-01 to a date of the Gregorian calendar, counting in eras of 400 years that
/// begin in March, so that the leap day comes last.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

/// The reverse of [`civil`].
fn days_of(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let shifted_month = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

const HEX: &[u8; 16] = b"0123456789abcdef";

const HEX_PAIRS: [[u8; 2]; 256] = {
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        pairs[byte] = [HEX[byte >> 4], HEX[byte & 15]];
        byte += 1;
    }
    pairs
};

/// Lower-case hexadecimal.
pub(crate) fn hex(out: &mut Vec<u8>, bytes: &[u8]) {
    let start = out.len();
    out.resize(start + 2 * bytes.len(), 0);
    for (pair, byte) in out[start..].as_chunks_mut().0.iter_mut().zip(bytes) {
        *pair = HEX_PAIRS[usize::from(*byte)];
    }
}

pub(crate) fn hex_string(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| HEX_PAIRS[usize::from(*byte)])
        .map(char::from)
        .collect()
}

/// Lower-case hexadecimal of exactly N bytes.
pub(crate) fn unhex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    if text.len() != 2 * N {
        return None;
    }
    let nibble = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(bytes)
}

/// `,"key":123`
pub(crate) fn number(out: &mut Vec<u8>, key: &[u8], value: u64) {
    out.extend_from_slice(key);
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

const PLAIN: [bool; 256] = {
    let mut plain = [true; 256];
    let mut byte = 0;
    while byte < 0x20 {
        plain[byte] = false;
        byte += 1;
    }
    plain[b'"' as usize] = false;
    plain[b'\\' as usize] = false;
    plain[0x7f] = false;
    // First bytes of U+0080..U+00BF and of U+2000..U+2FFF, among which are characters to escape.
    plain[0xc2] = false;
    plain[0xe2] = false;
    plain
};

/// A JSON string without its quotes. Beyond what JSON demands, escapes what changes how a line
/// looks or what a terminal does: DEL, C1 controls, line and paragraph separators, bidi controls.
pub(crate) fn escaped(out: &mut Vec<u8>, text: &[u8]) {
    let mut done = 0;
    let mut at = 0;
    while at < text.len() {
        if PLAIN[usize::from(text[at])] {
            at += 1;
            continue;
        }
        let (width, code) = match (text[at], text.get(at + 1), text.get(at + 2)) {
            (0xc2, Some(next @ 0x80..=0x9f), _) => (2, u32::from(*next)),
            (0xe2, Some(0x80), Some(last @ (0x8e | 0x8f | 0xa8..=0xae))) => {
                (3, 0x2000 + u32::from(last & 0x3f))
            }
            (0xe2, Some(0x81), Some(last @ 0xa6..=0xa9)) => (3, 0x2040 + u32::from(last & 0x3f)),
            (0xc2 | 0xe2, ..) => {
                at += 1;
                continue;
            }
            (byte, ..) => (1, u32::from(byte)),
        };
        out.extend_from_slice(&text[done..at]);
        escape(out, code);
        at += width;
        done = at;
    }
    out.extend_from_slice(&text[done..]);
}

fn escape(out: &mut Vec<u8>, code: u32) {
    let short = match code {
        0x22 => b'"',
        0x5c => b'\\',
        0x0a => b'n',
        0x0d => b'r',
        0x09 => b't',
        _ => {
            out.extend_from_slice(b"\\u");
            hex(out, &[(code >> 8) as u8, code as u8]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_go_there_and_back() {
        for micros in [
            0,
            1,
            951_782_400_000_000,
            1_709_164_800_123_456,
            4_102_444_799_999_999,
            LAST_MICROS,
        ] {
            let mut text = Vec::new();
            timestamp(&mut text, micros);
            assert_eq!(text.len(), TIME_LEN);
            assert_eq!(parse_timestamp(&text), Some(micros));
        }
        let mut text = Vec::new();
        timestamp(&mut text, 951_782_400_000_000);
        assert_eq!(text, b"2000-02-29T00:00:00.000000Z");
        text.clear();
        timestamp(&mut text, u64::MAX);
        assert_eq!(text, b"9999-12-31T23:59:59.999999Z");
    }

    #[test]
    fn only_our_form_of_time_is_read() {
        for wrong in [
            "",
            "2026-01-01T00:00:00Z",
            "2026-13-01T00:00:00.000000Z",
            "2026-01-01 00:00:00.000000Z",
            "1969-01-01T00:00:00.000000Z",
            "2026-01-01T24:00:00.000000Z",
            "2026-01-01T00:00:00.00000aZ",
        ] {
            assert_eq!(parse_timestamp(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn strings_stay_what_they_are_and_lines_stay_lines() {
        let hostile = "a\"b\\c\n\r\t\u{0}\u{1b}[2J\u{7f}\u{85}\u{2028}\u{202e}\u{2066}\u{200f}é€😀½–";
        let mut out = b"\"".to_vec();
        escaped(&mut out, hostile.as_bytes());
        out.push(b'"');
        assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), hostile);
        let text = String::from_utf8(out).unwrap();
        for bad in [
            '\n', '\u{1b}', '\u{7f}', '\u{85}', '\u{2028}', '\u{202e}', '\u{2066}', '\u{200f}',
        ] {
            assert!(!text.contains(bad), "{bad:?}");
        }
        assert!(text.ends_with("é€😀½–\""));
    }

    #[test]
    fn hexadecimal() {
        assert_eq!(hex_string(&[0, 0xab, 0xff]), "00abff");
        assert_eq!(unhex::<3>(b"00abff"), Some([0, 0xab, 0xff]));
        assert_eq!(unhex::<3>(b"00abf"), None);
        assert_eq!(unhex::<1>(b"AB"), None);
    }
}
