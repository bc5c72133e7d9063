//! `WWW-Authenticate` (RFC 9110, section 11.6.1), as far as it is about tokens.

use http::HeaderMap;
use http::header::WWW_AUTHENTICATE;

/// Bounds: a header beyond them is cut off.
const MAX_HEADER: usize = 8 * 1024;
const MAX_PARAMETERS: usize = 64;

/// What a server says about the token it wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Challenge {
    /// Where its metadata are (RFC 9728).
    pub resource_metadata: Option<String>,
    /// Scopes that the request needs.
    pub scope: Option<String>,
    /// The code of RFC 6750, as `insufficient_scope`.
    pub error: Option<String>,
    /// It wants tokens bound to a key (RFC 9449).
    pub dpop: bool,
}

impl Challenge {
    /// Reads all challenges of the schemes `Bearer` and `DPoP`; of a parameter given twice, the first counts.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let mut out = Self::default();
        for value in headers.get_all(WWW_AUTHENTICATE) {
            if let Ok(text) = value.to_str() {
                out.read(&text[..text.len().min(MAX_HEADER)]);
            }
        }
        out
    }

    fn read(&mut self, text: &str) {
        let mut rest = text;
        let mut ours = false;
        for _ in 0..MAX_PARAMETERS {
            rest = rest.trim_start_matches([' ', '\t', ',']);
            if rest.is_empty() {
                return;
            }
            let end = rest.find([' ', '\t', ',', '=']).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            let spaces = after.trim_start_matches([' ', '\t']);
            match spaces.strip_prefix('=') {
                Some(value) => {
                    let (value, after) = quoted(value.trim_start_matches([' ', '\t']));
                    if ours {
                        self.parameter(word, value);
                    }
                    rest = after;
                }
                // A word without a value begins the next challenge.
                None => {
                    let dpop = word.eq_ignore_ascii_case("dpop");
                    ours = dpop || word.eq_ignore_ascii_case("bearer");
                    self.dpop |= dpop;
                    rest = spaces;
                }
            }
        }
    }

    fn parameter(&mut self, name: &str, value: String) {
        let slot = match name.to_ascii_lowercase().as_str() {
            "resource_metadata" => &mut self.resource_metadata,
            "scope" => &mut self.scope,
            "error" => &mut self.error,
            _ => return,
        };
        slot.get_or_insert(value);
    }
}

/// A token or a quoted string, and what follows. A string without end ends with the text.
fn quoted(text: &str) -> (String, &str) {
    let Some(inner) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut out = String::new();
    let mut chars = inner.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (out, &inner[at + 1..]),
            '\\' => out.extend(chars.next().map(|(_, c)| c)),
            c => out.push(c),
        }
    }
    (out, "")
}
