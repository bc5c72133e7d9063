//! How each kind is told from other text.

use memchr::{memchr_iter, memmem};

use super::{Sensitive, Span};

/// Finds everything of the kinds in the set. Spans begin and end at ASCII characters, so at character boundaries.
pub(super) fn find(text: &[u8], kinds: u16, spans: &mut Vec<Span>) {
    // Nothing sensitive is shorter.
    const SHORTEST: usize = 6;
    if text.len() < SHORTEST {
        return;
    }
    let mut find = Find { text, kinds, spans };
    for prefix in [&b"AKIA"[..], b"ASIA"] {
        find.prefixed(Sensitive::AwsKey, prefix, upper, 16..=16);
    }
    for prefix in [
        &b"ghp_"[..],
        b"gho_",
        b"ghs_",
        b"ghu_",
        b"ghr_",
        b"github_pat_",
        b"glpat-",
    ] {
        find.prefixed(Sensitive::GitToken, prefix, word, 20..=255);
    }
    for prefix in [&b"xoxb-"[..], b"xoxp-", b"xoxa-", b"xoxr-", b"xoxs-", b"xapp-"] {
        find.prefixed(Sensitive::SlackToken, prefix, word, 10..=255);
    }
    for prefix in [&b"sk-"[..], b"sk_live_", b"rk_live_", b"AIza"] {
        find.prefixed(Sensitive::ApiKey, prefix, word, 20..=255);
    }
    find.private_keys();
    find.jwts();
    find.passwords();
    find.emails();
    find.digits();
    find.ibans();
}

fn upper(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit()
}

/// The alphabet of base64url.
fn word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

fn run(text: &[u8], start: usize, most: usize, wanted: impl Fn(u8) -> bool) -> usize {
    let rest = text.get(start..).unwrap_or_default();
    start + rest.iter().take(most).take_while(|byte| wanted(**byte)).count()
}

/// Whether a name, or text that ends in one, is what secrets are called.
pub(super) fn is_secret_name(text: &[u8]) -> bool {
    const NAMES: [&[u8]; 7] = [
        b"password",
        b"passwd",
        b"secret",
        b"token",
        b"api_key",
        b"apikey",
        b"api-key",
    ];
    NAMES.iter().any(|name| {
        text.len()
            .checked_sub(name.len())
            .is_some_and(|at| text[at..].eq_ignore_ascii_case(name))
    })
}

struct Find<'a, 's> {
    text: &'a [u8],
    kinds: u16,
    spans: &'s mut Vec<Span>,
}

impl Find<'_, '_> {
    fn wants(&self, kind: Sensitive) -> bool {
        self.kinds >> kind as u16 & 1 == 1
    }

    fn push(&mut self, kind: Sensitive, start: usize, end: usize) {
        self.spans.push(Span { start, end, kind });
    }

    /// Whether a word may begin at `start`.
    fn begins(&self, start: usize) -> bool {
        start
            .checked_sub(1)
            .is_none_or(|before| !self.text[before].is_ascii_alphanumeric())
    }

    /// A prefix, then so many of an alphabet, and no more of it.
    fn prefixed(
        &mut self,
        kind: Sensitive,
        prefix: &[u8],
        alphabet: fn(u8) -> bool,
        lengths: std::ops::RangeInclusive<usize>,
    ) {
        if !self.wants(kind) {
            return;
        }
        let mut from = 0;
        while let Some(step) = memmem::find(&self.text[from..], prefix) {
            let start = from + step;
            let body = start + prefix.len();
            from = body;
            if !self.begins(start) {
                continue;
            }
            let end = run(self.text, body, lengths.end() + 1, alphabet);
            let entropy = *lengths.start() < 20 || self.text[body..end].iter().any(u8::is_ascii_digit);
            if lengths.contains(&(end - body)) && entropy {
                self.push(kind, start, end);
                from = end;
            }
        }
    }

    fn private_keys(&mut self) {
        if !self.wants(Sensitive::PrivateKey) {
            return;
        }
        const LABEL_BYTES: usize = 40;
        // ASCII only: the bound must not cut a character in two.
        let named = |byte: u8| byte != b'-' && byte.is_ascii();
        let mut from = 0;
        while let Some(step) = memmem::find(&self.text[from..], b"-----BEGIN ") {
            let start = from + step;
            from = start + 11;
            let label = run(self.text, from, LABEL_BYTES, named);
            if !self.text[from..label].ends_with(b"PRIVATE KEY") {
                continue;
            }
            let end = match memmem::find(&self.text[label..], b"-----END ") {
                Some(step) => {
                    let label = run(self.text, label + step + 9, LABEL_BYTES, named);
                    run(self.text, label, 5, |byte| byte == b'-')
                }
                None => self.text.len(),
            };
            self.push(Sensitive::PrivateKey, start, end);
            from = end;
        }
    }

    /// Three parts of base64url, of which the first two are JSON objects (`{"` is `eyJ`).
    fn jwts(&mut self) {
        if !self.wants(Sensitive::Jwt) {
            return;
        }
        let mut from = 0;
        while let Some(step) = memmem::find(&self.text[from..], b"eyJ") {
            let start = from + step;
            let header = run(self.text, start, usize::MAX, word);
            from = header;
            if !self.begins(start) || self.text.get(header..header + 4) != Some(b".eyJ") {
                continue;
            }
            let claims = run(self.text, header + 1, usize::MAX, word);
            from = claims;
            if self.text.get(claims) == Some(&b'.') {
                let end = run(self.text, claims + 1, usize::MAX, word);
                self.push(Sensitive::Jwt, start, end);
                from = end;
            }
        }
    }

    /// `password=value`, `"secret": "value"`. The name stays.
    fn passwords(&mut self) {
        if !self.wants(Sensitive::Password) {
            return;
        }
        const SPACES: usize = 8;
        const VALUE_BYTES: usize = 512;
        let mut done = 0;
        for at in memchr::memchr2_iter(b'=', b':', self.text) {
            let mut end = at;
            while end > at.saturating_sub(SPACES) && matches!(self.text[end - 1], b' ' | b'"' | b'\'') {
                end -= 1;
            }
            if at < done || !is_secret_name(&self.text[..end]) {
                continue;
            }
            let start = run(self.text, at + 1, SPACES, |byte| {
                matches!(byte, b' ' | b'"' | b'\'')
            });
            let stop = run(self.text, start, VALUE_BYTES, |byte| {
                byte > b' ' && !matches!(byte, b'"' | b'\'' | b'&' | b';' | b',' | b')' | b'}' | b'<')
            });
            // Cut at a boundary, should the value be so long.
            let stop = (start..=stop)
                .rev()
                .find(|at| self.text.get(*at).is_none_or(|byte| byte & 0xc0 != 0x80));
            let stop = stop.unwrap_or(start);
            let value = &self.text[start..stop];
            // Variables, types, absent values and words of prose are no secrets.
            let word = start > at + 1 && self.text[at] == b':' && value.iter().all(u8::is_ascii_lowercase);
            let plain = value.len() >= 6
                && !word
                && !matches!(value[0], b'$' | b'{' | b'<' | b'[' | b'%' | b'(' | b'*');
            if plain {
                self.push(Sensitive::Password, start, stop);
                done = stop;
            }
        }
    }

    fn emails(&mut self) {
        if !self.wants(Sensitive::Email) {
            return;
        }
        // RFC 5321: local part and domain.
        const LOCAL_BYTES: usize = 64;
        const DOMAIN_BYTES: usize = 255;
        let local = |byte: u8| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'%' | b'+' | b'-' | b'\'')
        };
        let mut done = 0;
        for at in memchr_iter(b'@', self.text) {
            let before = self.text[done.min(at)..at]
                .iter()
                .rev()
                .take(LOCAL_BYTES)
                .take_while(|byte| local(**byte))
                .count();
            let start = run(self.text, at - before, before, |byte| {
                matches!(byte, b'\'' | b'.')
            });
            let mut end = run(self.text, at + 1, DOMAIN_BYTES, |byte| {
                byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-')
            });
            while end > at + 1 && matches!(self.text[end - 1], b'.' | b'-') {
                end -= 1;
            }
            let domain = &self.text[at + 1..end];
            let top = domain.rsplit(|byte| *byte == b'.').next().unwrap_or_default();
            let sound = top.len() >= 2 && top.len() < domain.len() && top.iter().all(u8::is_ascii_alphabetic);
            if start < at && sound && !domain.starts_with(b".") && memmem::find(domain, b"..").is_none() {
                self.push(Sensitive::Email, start, end);
                done = end;
            }
        }
    }

    /// Card and social security numbers: groups of digits parted by single spaces or dashes.
    fn digits(&mut self) {
        if !self.wants(Sensitive::Card) && !self.wants(Sensitive::Ssn) {
            return;
        }
        let mut pos = 0;
        while let Some(step) = self.text[pos..].iter().position(u8::is_ascii_digit) {
            let start = pos + step;
            let mut end = start;
            let mut digits = [0; 20];
            let mut count = 0;
            while let Some(byte) = self.text.get(end) {
                if byte.is_ascii_digit() {
                    if let Some(digit) = digits.get_mut(count) {
                        *digit = byte - b'0';
                    }
                    count += 1;
                } else if !(matches!(byte, b' ' | b'-')
                    && self.text.get(end + 1).is_some_and(u8::is_ascii_digit))
                {
                    break;
                }
                end += 1;
            }
            pos = end;
            let alone = self.begins(start)
                && self
                    .text
                    .get(end)
                    .is_none_or(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_')
                && !start
                    .checked_sub(1)
                    .is_some_and(|at| matches!(self.text[at], b'.' | b'_'));
            if !alone {
                continue;
            }
            let written = &self.text[start..end];
            if self.wants(Sensitive::Card) && (13..=19).contains(&count) && is_card(&digits[..count]) {
                self.push(Sensitive::Card, start, end);
            } else if self.wants(Sensitive::Ssn) && is_ssn(written) {
                self.push(Sensitive::Ssn, start, end);
            }
        }
    }

    fn ibans(&mut self) {
        if !self.wants(Sensitive::Iban) {
            return;
        }
        const SHORTEST: usize = 15;
        const LONGEST: usize = 34;
        let mut done = 0;
        for start in 0..self.text.len().saturating_sub(SHORTEST - 1) {
            let head = &self.text[start..start + 4];
            let country = head[0].is_ascii_uppercase() && head[1].is_ascii_uppercase();
            if start < done
                || !country
                || !head[2].is_ascii_digit()
                || !head[3].is_ascii_digit()
                || !self.begins(start)
            {
                continue;
            }
            let mut compact = [0; LONGEST];
            let mut count = 0;
            let mut pos = start;
            // Groups of four, parted by spaces, or no spaces. The longest sound number counts.
            let mut found = None;
            while count < LONGEST {
                match self.text.get(pos) {
                    Some(byte) if upper(*byte) => {
                        compact[count] = *byte;
                        count += 1;
                        pos += 1;
                        let ends = self
                            .text
                            .get(pos)
                            .is_none_or(|byte| !byte.is_ascii_alphanumeric());
                        if ends && count >= SHORTEST && mod_97(&compact[..count]) {
                            found = Some(pos);
                        }
                    }
                    Some(b' ') if count % 4 == 0 => pos += 1,
                    _ => break,
                }
            }
            if let Some(end) = found {
                self.push(Sensitive::Iban, start, end);
                done = end;
            }
        }
    }
}

/// Luhn (ISO/IEC 7812-1), and a first digit that cards have.
fn is_card(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| {
            let value = u32::from(*digit) << (at % 2);
            if value > 9 { value - 9 } else { value }
        })
        .sum();
    sum.is_multiple_of(10)
        && matches!(digits.first(), Some(2..=6))
        && digits.iter().any(|digit| *digit != digits[0])
}

/// `AAA-GG-SSSS`; area 000, 666 and 900 up, group 00 and serial 0000 are never issued.
fn is_ssn(written: &[u8]) -> bool {
    let [a, b, c, b'-', d, e, b'-', serial @ ..] = written else {
        return false;
    };
    let area = [*a, *b, *c];
    written.iter().filter(|byte| byte.is_ascii_digit()).count() == 9
        && serial.len() == 4
        && &area != b"000"
        && &area != b"666"
        && *a != b'9'
        && [*d, *e] != *b"00"
        && serial != b"0000"
}

/// The check of IBANs: the number, its first four characters moved to the end and letters taken as 10 to 35, is 1 modulo 97.
fn mod_97(iban: &[u8]) -> bool {
    let (head, rest) = iban.split_at(4);
    let remainder = rest.iter().chain(head).fold(0_u32, |sum, byte| match byte {
        b'0'..=b'9' => (sum * 10 + u32::from(byte - b'0')) % 97,
        _ => (sum * 100 + u32::from(byte - b'A') + 10) % 97,
    });
    remainder == 1
}
