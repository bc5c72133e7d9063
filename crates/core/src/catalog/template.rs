//! Matching a URI against an RFC 6570 template, as far as routing needs it.

/// A URI template. Expressions match one path segment; reserved (`{+x}`), fragment (`{#x}`),
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
            let Some(close) = rest[open..].find('}').map(|c| c + open) else { break };
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
        Self { text: text.into(), parts }
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

/// Greedy matching with the classic single backtrack point, so that hostile URIs cost no more
/// than (length x parts).
fn matches(parts: &[Part], uri: &str) -> bool {
    let (mut part, mut at) = (0, 0);
    // Where to resume: the last open expression, and the end of what it has taken.
    let mut resume: Option<(usize, usize)> = None;
    loop {
        let step = match parts.get(part) {
            Some(Part::Literal(text)) if uri[at..].starts_with(&**text) => {
                at += text.len();
                part += 1;
                true
            }
            Some(Part::Segment | Part::Anything) => {
                resume = Some((part, at));
                part += 1;
                true
            }
            None if at == uri.len() => return true,
            _ => false,
        };
        if step {
            continue;
        }
        let Some((open, taken)) = resume else { return false };
        let Some(next) = uri[taken..].chars().next() else { return false };
        if matches!(parts[open], Part::Segment) && next == '/' {
            return false;
        }
        resume = Some((open, taken + next.len_utf8()));
        at = taken + next.len_utf8();
        part = open + 1;
    }
}
