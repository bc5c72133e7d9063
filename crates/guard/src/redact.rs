//! Redaction of secrets and personal data in the raw JSON of a result.
//!
//! Works on the string values of the text and leaves all else as it is, byte for byte. Time is linear: each place where
//! a secret may begin costs a look at what is there, and what was looked at is not looked at again for the same kind.

mod kinds;
mod quick;

use std::fmt;

use crate::lex;
use crate::limits::ScanLimits;
use crate::scan::{Observer, scan_watched};
use crate::violation::Violation;

/// What is redacted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sensitive {
    /// Access key ids of AWS (`AKIA…`, `ASIA…`).
    AwsKey,
    /// Tokens of GitHub (`ghp_…`, `gho_…`, `ghs_…`, `github_pat_…`) and GitLab (`glpat-…`).
    GitToken,
    /// Private keys in PEM, from the line that begins them to the one that ends them, or to the end of the string.
    PrivateKey,
    /// JSON Web Tokens.
    Jwt,
    /// Tokens of Slack (`xoxb-…`, `xapp-…`).
    SlackToken,
    /// API keys that begin with `sk-` (OpenAI, Anthropic), `sk_live_` (Stripe) or `AIza` (Google).
    ApiKey,
    /// What follows `password`, `secret`, `token` or `api_key` with `=` or `:`, and string members of such a name.
    Password,
    Email,
    /// Payment card numbers of 13 to 19 digits with a sound check digit (Luhn).
    Card,
    /// IBANs with sound check digits (ISO 7064, MOD 97-10).
    Iban,
    /// US social security numbers as `123-45-6789`, less those that are never issued.
    Ssn,
}

impl Sensitive {
    pub const ALL: [Self; 11] = [
        Self::AwsKey,
        Self::GitToken,
        Self::PrivateKey,
        Self::Jwt,
        Self::SlackToken,
        Self::ApiKey,
        Self::Password,
        Self::Email,
        Self::Card,
        Self::Iban,
        Self::Ssn,
    ];
    /// What gives access.
    pub const SECRETS: [Self; 7] = [
        Self::AwsKey,
        Self::GitToken,
        Self::PrivateKey,
        Self::Jwt,
        Self::SlackToken,
        Self::ApiKey,
        Self::Password,
    ];
    /// What is about people.
    pub const PERSONAL: [Self; 4] = [Self::Email, Self::Card, Self::Iban, Self::Ssn];

    /// The name that stands in the text in place of what was there, as in `[redacted:email]`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AwsKey => "aws-key",
            Self::GitToken => "git-token",
            Self::PrivateKey => "private-key",
            Self::Jwt => "jwt",
            Self::SlackToken => "slack-token",
            Self::ApiKey => "api-key",
            Self::Password => "password",
            Self::Email => "email",
            Self::Card => "card",
            Self::Iban => "iban",
            Self::Ssn => "ssn",
        }
    }
}

impl fmt::Display for Sensitive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which kinds are redacted. The default is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Redactor {
    kinds: u16,
}

/// What a redaction did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redacted {
    /// The text with what was found replaced; none where nothing was found.
    pub text: Option<String>,
    counts: [u32; Sensitive::ALL.len()],
}

impl Redacted {
    /// How often a kind was replaced.
    #[must_use]
    pub fn count(&self, kind: Sensitive) -> u32 {
        self.counts[kind as usize]
    }

    /// How often anything was replaced.
    #[must_use]
    pub fn total(&self) -> u32 {
        self.counts
            .iter()
            .fold(0, |sum, count| sum.saturating_add(*count))
    }
}

impl Redactor {
    #[must_use]
    pub fn new(kinds: &[Sensitive]) -> Self {
        Self {
            kinds: kinds.iter().fold(0, |set, kind| set | 1 << *kind as u16),
        }
    }

    /// Whether anything is redacted.
    #[must_use]
    pub fn is_on(self) -> bool {
        self.kinds != 0
    }

    /// Replaces what is sensitive inside the string values (not the keys) of the JSON document `text`. A string that changes is
    /// written anew with its escapes; everything else stays as it is. What is split over several strings is not found.
    ///
    /// # Errors
    /// The text is not JSON, as [`crate::scan()`] with [`ScanLimits::UNBOUNDED`] says. Then nothing may be passed on. (Text in
    /// which nothing could be sensitive, wherever its strings begin and end, is not looked at so closely.)
    pub fn redact(self, text: &str) -> Result<Redacted, Violation> {
        if !self.is_on() || !quick::may_hold(text.as_bytes()) {
            return Ok(Redacted::default());
        }
        let mut walk = Walk {
            bytes: text.as_bytes(),
            kinds: self.kinds,
            out: Vec::new(),
            copied: 0,
            decoded: Vec::new(),
            spans: Vec::new(),
            counts: [0; Sensitive::ALL.len()],
            named: false,
        };
        scan_watched(text, &ScanLimits::UNBOUNDED, &mut walk)?;
        let Walk {
            mut out,
            copied,
            counts,
            ..
        } = walk;
        if copied == 0 {
            return Ok(Redacted { text: None, counts });
        }
        out.extend_from_slice(&text.as_bytes()[copied..]);
        // Spans end between characters. If one did not, nothing would be passed on, rather than something else.
        let text = String::from_utf8(out).map_err(|e| Violation::utf8(e.utf8_error().valid_up_to()))?;
        Ok(Redacted {
            text: Some(text),
            counts,
        })
    }
}

/// Something found in a string.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: usize,
    end: usize,
    kind: Sensitive,
}

struct Walk<'a> {
    bytes: &'a [u8],
    kinds: u16,
    out: Vec<u8>,
    /// How much of the text is in `out`; 0 while nothing was found.
    copied: usize,
    decoded: Vec<u8>,
    spans: Vec<Span>,
    counts: [u32; Sensitive::ALL.len()],
    /// The member at hand has a name that secrets have.
    named: bool,
}

impl Observer for Walk<'_> {
    fn open(&mut self) {
        self.named = false;
    }

    fn close(&mut self) {}

    fn key(&mut self, open: usize, token: &lex::StringToken) -> bool {
        let bytes = self.bytes;
        let inside = bytes.get(open + 1..token.end - 1).unwrap_or_default();
        self.named = if token.escaped {
            lex::decode_into(inside, &mut self.decoded);
            kinds::is_secret_name(&self.decoded)
        } else {
            kinds::is_secret_name(inside)
        };
        true
    }

    fn string(&mut self, open: usize, token: &lex::StringToken) -> bool {
        let bytes = self.bytes;
        let inside = bytes.get(open + 1..token.end - 1).unwrap_or_default();
        self.spans.clear();
        let text = if token.escaped {
            lex::decode_into(inside, &mut self.decoded);
            self.decoded.as_slice()
        } else {
            inside
        };
        let secret = self.named && self.kinds >> Sensitive::Password as u16 & 1 == 1 && !text.is_empty();
        if secret {
            self.spans.push(Span {
                start: 0,
                end: text.len(),
                kind: Sensitive::Password,
            });
        } else if quick::may_hold(text) {
            kinds::find(text, self.kinds, &mut self.spans);
        }
        if !self.spans.is_empty() {
            self.replace(open, token, inside);
        }
        true
    }
}

impl Walk<'_> {
    #[cold]
    fn replace(&mut self, open: usize, token: &lex::StringToken, inside: &[u8]) {
        let text = if token.escaped {
            self.decoded.as_slice()
        } else {
            inside
        };
        // The earlier one wins, of two at one place the longer one.
        self.spans
            .sort_unstable_by_key(|span| (span.start, usize::MAX - span.end));
        self.out.extend_from_slice(&self.bytes[self.copied..=open]);
        let mut done = 0;
        for span in &self.spans {
            if span.start < done {
                continue;
            }
            write_inside(&text[done..span.start], &mut self.out);
            self.out.extend_from_slice(b"[redacted:");
            self.out.extend_from_slice(span.kind.name().as_bytes());
            self.out.push(b']');
            let count = &mut self.counts[span.kind as usize];
            *count = count.saturating_add(1);
            done = span.end;
        }
        write_inside(&text[done..], &mut self.out);
        self.out.push(b'"');
        self.copied = token.end;
    }
}

/// Writes the inside of a JSON string.
fn write_inside(text: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for byte in text {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..=0x1f => {
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(byte >> 4)]);
                out.push(HEX[usize::from(byte & 15)]);
            }
            byte => out.push(*byte),
        }
    }
}
