//! Paths that climb, and hosts in odd notations.

use super::{Subject, run};
use crate::patterns::rules::{COMMAND, CONTENT, DATA, HEADER, QUERY, TEXT, URL};

/// Longest value that counts as a path where it stands in a field for prose, in bytes.
const PATH_BYTES: usize = 4096;
/// Addresses in one string that are looked at.
const HOSTS: usize = 16;
/// Longest host, in bytes (RFC 1035 allows 253).
const HOST_BYTES: usize = 256;

/// What walking a path found.
#[derive(Clone, Copy, Debug, Default)]
struct Walk {
    /// Steps up, in all.
    ups: usize,
    /// Levels above the start at the highest point.
    above: isize,
    /// Steps up that are written to look like names (`....`, `..;`).
    disguised: usize,
    /// An absolute path went back to its root by two steps up or more in a row.
    to_root: bool,
}

fn walk(text: &[u8], url: bool) -> Walk {
    let mut walk = Walk::default();
    let mut depth: isize = 0;
    let mut row = 0;
    let absolute = text.first().is_some_and(|byte| matches!(byte, b'/' | b'\\'));
    let mut segments = text.split(|byte| matches!(byte, b'/' | b'\\')).peekable();
    while let Some(segment) = segments.next() {
        // Behind a parameter or an argument, another path begins.
        let begins = segment
            .iter()
            .rposition(|byte| matches!(byte, b'=' | b' ' | b'?' | b'&' | b'"'));
        let segment = match begins {
            Some(at) if url => {
                depth = 0;
                &segment[at + 1..]
            }
            _ => segment.trim_ascii(),
        };
        let dots = segment.iter().take_while(|byte| **byte == b'.').count();
        let only_dots = dots == segment.len();
        let parameter = dots == 2 && segment.get(2) == Some(&b';');
        let nested = only_dots && dots == 3 && segments.peek() == Some(&&b"."[..]);
        if parameter || nested || (only_dots && dots == 4) {
            walk.disguised += 1;
        } else if !(only_dots && dots == 2) {
            row = 0;
            depth += isize::from(!only_dots);
            continue;
        }
        walk.ups += 1;
        row += 1;
        depth -= 1;
        walk.above = walk.above.max(-depth);
        walk.to_root |= absolute && row >= 2 && depth <= 0;
    }
    walk
}

/// The path of an address, or the text itself.
fn path_part(text: &[u8]) -> &[u8] {
    match memchr::memmem::find(text, b"://") {
        Some(at) if at < 16 => {
            let host = run(text, at + 3, usize::MAX, |byte| {
                !matches!(byte, b'/' | b'?' | b'\\')
            });
            &text[host..]
        }
        _ => text,
    }
}

pub(in crate::patterns) fn traversal(subject: &Subject<'_>) -> bool {
    if memchr::memmem::find(subject.text, b"..").is_none() {
        return false;
    }
    let prose = subject.is_one_of(TEXT | CONTENT | DATA | QUERY | HEADER);
    if prose && (subject.text.len() > PATH_BYTES || subject.text.iter().any(u8::is_ascii_whitespace)) {
        return false;
    }
    let url = subject.is_one_of(URL | COMMAND);
    let found = walk(path_part(subject.text), url);
    if prose {
        return found.above >= 3 || found.disguised >= 3;
    }
    if found.above >= 2 || found.to_root || found.disguised >= 2 {
        return true;
    }
    // Steps up that only unescaping brings out have no honest reason.
    subject.normal && found.ups > 0 && found.ups > walk(path_part(subject.original), url).ups
}

pub(in crate::patterns) fn parent(subject: &Subject<'_>) -> bool {
    memchr::memmem::find(subject.text, b"..").is_some()
        && walk(path_part(subject.text), subject.is_one_of(URL | COMMAND)).above >= 1
}

/// The hosts of the addresses in a text, without user information and port.
fn hosts(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    memchr::memmem::find_iter(text, b"//").take(HOSTS).map(|at| {
        let start = at + 2;
        let end = run(text, start, HOST_BYTES, |byte| {
            !matches!(
                byte,
                b'/' | b'?' | b'#' | b'\\' | b' ' | b'"' | b'\'' | b'<' | b'>' | b',' | b';'
            )
        });
        let authority = &text[start..end];
        let host = match authority.iter().rposition(|byte| *byte == b'@') {
            Some(at) => &authority[at + 1..],
            None => authority,
        };
        if host.first() == Some(&b'[') {
            return host;
        }
        &host[..run(host, 0, HOST_BYTES, |byte| byte != b':')]
    })
}

/// Reads a host as `inet_aton` does: one to four numbers, decimal, octal (`0…`) or hexadecimal (`0x…`), the last of which fills the
/// rest. With it, whether it is plain dotted decimal.
fn number_host(host: &[u8]) -> Option<(u32, bool)> {
    let host = std::str::from_utf8(host.strip_suffix(b".").unwrap_or(host)).ok()?;
    let mut numbers = [0_u64; 4];
    let mut count = 0;
    let mut plain = true;
    for part in host.split('.') {
        let (digits, base) = match part.strip_prefix("0x") {
            Some(digits) => (digits, 16),
            None if part.len() > 1 && part.starts_with('0') => (&part[1..], 8),
            None => (part, 10),
        };
        plain &= base == 10;
        *numbers.get_mut(count)? = u64::from_str_radix(digits, base).ok()?;
        count += 1;
    }
    let (last, first) = numbers[..count].split_last()?;
    if first.iter().any(|number| *number > 255) || *last >= 1 << (8 * (5 - count)) {
        return None;
    }
    let address = first
        .iter()
        .enumerate()
        .fold(*last, |sum, (at, number)| sum | number << (24 - 8 * at));
    Some((u32::try_from(address).ok()?, plain && count == 4))
}

/// Hosts that filters and systems read differently.
pub(in crate::patterns) fn odd_host(subject: &Subject<'_>) -> bool {
    hosts(subject.text).any(|host| {
        number_host(host).is_some_and(|(_, plain)| !plain)
            || host.starts_with(b"[::ffff:")
            || host.starts_with(b"[::]")
            || host.starts_with(b"[0:0:0:0:0:")
    })
}
