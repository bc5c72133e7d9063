//! Matching a URI against an RFC 6570 template, as far as routing needs it.

/// A URI template. Expressions match one path segment that is not empty; reserved (`{+x}`), fragment (`{#x}`),
/// path (`{/x}`), query (`{?x}`, `{&x}`) and exploded (`{x*}`) expressions match anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UriTemplate {
    text: Box<str>,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(Box<str>),
    Segment,
    Anything,
}

impl UriTemplate {
    /// Reads a template. An unclosed brace is taken literally.
    pub fn new(text: &str) -> Self {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            let Some(close) = rest[open..].find('}').map(|c| c + open) else {
                break;
            };
            if open > 0 {
                parts.push(Part::Literal(rest[..open].into()));
            }
            let inner = &rest[open + 1..close];
            let wide = inner.starts_with(['+', '#', '/', '?', '&', ';', '.']) || inner.ends_with('*');
            parts.push(if wide { Part::Anything } else { Part::Segment });
            rest = &rest[close + 1..];
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.into()));
        }
        Self {
            text: text.into(),
            parts,
        }
    }

    /// The template as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// True if some expansion of the template could be this URI. Linear in its length for each
    /// expression.
    pub fn matches(&self, uri: &str) -> bool {
        matches(&self.parts, uri)
    }
}

/// Shortest-first matching. Only the last wide expression and the last segment after it can ever
/// need to take more, so hostile URIs cost at most (length x length), with lengths that the scan
/// of the arguments bounds.
fn matches(parts: &[Part], uri: &str) -> bool {
    let (mut part, mut at) = (0, 0);
    let (mut wide, mut segment): (Open, Open) = (None, None);
    loop {
        match parts.get(part) {
            Some(Part::Literal(text)) if uri[at..].starts_with(&**text) => {
                at += text.len();
                part += 1;
                continue;
            }
            Some(Part::Anything) => {
                (wide, segment) = (Some((part, at)), None);
                part += 1;
                continue;
            }
            Some(Part::Segment) if segment_char(uri, at).is_some() => {
                at += segment_char(uri, at).unwrap_or_default();
                segment = Some((part, at));
                part += 1;
                continue;
            }
            None if at == uri.len() => return true,
            _ => {}
        }
        if let Some((open, taken)) = segment
            && let Some(width) = segment_char(uri, taken)
        {
            at = taken + width;
            segment = Some((open, at));
            part = open + 1;
        } else if let Some((open, taken)) = wide
            && let Some(next) = uri[taken..].chars().next()
        {
            at = taken + next.len_utf8();
            (wide, segment) = (Some((open, at)), None);
            part = open + 1;
        } else {
            return false;
        }
    }
}

/// An expression that may take one more character: (part, end of what it has taken).
type Open = Option<(usize, usize)>;

/// Width of the character at `at`, if a segment may contain it.
fn segment_char(uri: &str, at: usize) -> Option<usize> {
    uri[at..].chars().next().filter(|c| *c != '/').map(char::len_utf8)
}
