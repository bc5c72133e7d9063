//! Variables of URI templates (RFC 6570): which text of a URI stands for which name.

/// A template whose variables can be read back out of a URI. Understands simple expressions
/// (`{id}`, one path segment), reserved (`{+path}`), fragment (`{#part}`), path (`{/a,b}`), label
/// (`{.ext}`), parameter (`{;a}`) and query (`{?q,page}`, `{&q}`) expressions; matching agrees with
/// the gateway's routing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Expression {
        operator: Option<char>,
        names: Vec<String>,
    },
}

impl Template {
    /// Reads a template, or says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut parts: Vec<Part> = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            let close = rest[open..].find('}').ok_or("a brace is not closed")? + open;
            if open > 0 {
                parts.push(Part::Literal(rest[..open].to_owned()));
            }
            let expression = Self::expression(&rest[open + 1..close])?;
            let query = matches!(
                expression,
                Part::Expression {
                    operator: Some('?' | '&' | '#' | '/' | '.' | ';'),
                    ..
                }
            );
            if matches!(parts.last(), Some(Part::Expression { .. })) && !query {
                return Err("two expressions follow each other with no text between them".into());
            }
            parts.push(expression);
            rest = &rest[close + 1..];
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.to_owned()));
        }
        if !parts.iter().any(|p| matches!(p, Part::Expression { .. })) {
            return Err("it has no {variable}; make it a resource".into());
        }
        Ok(Self { parts })
    }

    fn expression(inner: &str) -> Result<Part, String> {
        let operator = inner.chars().next().filter(|c| "+#./;?&".contains(*c));
        let list = operator.map_or(inner, |c| &inner[c.len_utf8()..]);
        let names: Vec<String> = list
            .split(',')
            .map(|n| n.trim_end_matches('*').to_owned())
            .collect();
        let bad =
            |n: &String| n.is_empty() || !n.chars().all(|c| c.is_ascii_alphanumeric() || "_.%".contains(c));
        if let Some(bad) = names.iter().find(|n| bad(n)) {
            return Err(format!("`{bad}` is no variable name"));
        }
        if operator.is_none() && names.len() > 1 {
            return Err("use one variable for each {expression}".into());
        }
        Ok(Part::Expression { operator, names })
    }

    /// Names of all variables.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.parts
            .iter()
            .flat_map(|part| match part {
                Part::Expression { names, .. } => names.as_slice(),
                Part::Literal(_) => &[],
            })
            .map(String::as_str)
    }

    /// The variables' values, percent-decoded; `None` if the URI is no expansion of the template.
    pub(crate) fn read(&self, uri: &str) -> Option<Vec<(String, String)>> {
        let starts = self.starts(uri)?;
        let mut found = Vec::new();
        for (i, part) in self.parts.iter().enumerate() {
            if let Part::Expression { operator, names } = part {
                let end = starts.get(i + 1).copied().unwrap_or(uri.len());
                assign(*operator, names, &uri[starts[i]..end], &mut found);
            }
        }
        Some(found)
    }

    /// Where each part begins in the URI. Greedy with one point to come back to, so that hostile
    /// URIs cost no more than (length x parts).
    fn starts(&self, uri: &str) -> Option<Vec<usize>> {
        let mut starts = Vec::with_capacity(self.parts.len());
        let mut at = 0;
        // The last expression, and the end of what it has taken.
        let mut resume: Option<(usize, usize)> = None;
        loop {
            let part = starts.len();
            let step = match self.parts.get(part) {
                Some(Part::Literal(text)) if uri[at..].starts_with(text.as_str()) => {
                    starts.push(at);
                    at += text.len();
                    true
                }
                Some(Part::Expression { operator, .. }) if opens(*operator, &uri[at..]) => {
                    starts.push(at);
                    resume = Some((part, at));
                    true
                }
                None if at == uri.len() => return Some(starts),
                _ => false,
            };
            if step {
                continue;
            }
            let (open, taken) = resume?;
            let next = uri[taken..].chars().next()?;
            if next == '/' && matches!(self.parts[open], Part::Expression { operator: None, .. }) {
                return None;
            }
            at = taken + next.len_utf8();
            resume = Some((open, at));
            starts.truncate(open + 1);
        }
    }
}

/// True if an expression can begin here: one with a sign of its own begins with that sign, or is
/// absent at the end.
fn opens(operator: Option<char>, rest: &str) -> bool {
    match operator {
        None | Some('+') => true,
        Some(sign) => rest.is_empty() || rest.starts_with(sign),
    }
}

/// Gives the text of one expression to its variables.
fn assign(operator: Option<char>, names: &[String], text: &str, found: &mut Vec<(String, String)>) {
    match operator {
        Some(sign @ ('?' | '&' | ';')) => {
            let separator = if sign == ';' { ';' } else { '&' };
            for pair in text.trim_start_matches(sign).split(separator) {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                if names.iter().any(|n| n == name) {
                    found.push((name.to_owned(), decode(value)));
                }
            }
        }
        Some(sign @ ('/' | '.')) if names.len() > 1 => {
            let mut texts = text.strip_prefix(sign).unwrap_or(text).split(sign);
            for name in names {
                if let Some(value) = texts.next() {
                    found.push((name.clone(), decode(value)));
                }
            }
        }
        _ => {
            let text = match operator {
                Some(sign @ ('/' | '.' | '#')) => text.strip_prefix(sign).unwrap_or(text),
                _ => text,
            };
            if let Some(name) = names.first() {
                found.push((name.clone(), decode(text)));
            }
        }
    }
}

/// Percent-decodes; what is not a valid escape, or does not make UTF-8, stays as it is.
fn decode(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let escape = (*byte == b'%')
            .then(|| Some((hex(bytes.get(at + 1))?, hex(bytes.get(at + 2))?)))
            .flatten();
        if let Some((high, low)) = escape {
            out.push(high << 4 | low);
            at += 3;
        } else {
            out.push(*byte);
            at += 1;
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| text.to_owned())
}

fn hex(byte: Option<&u8>) -> Option<u8> {
    char::from(*byte?).to_digit(16).and_then(|d| u8::try_from(d).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(template: &str, uri: &str) -> Option<Vec<(String, String)>> {
        Template::parse(template).unwrap().read(uri)
    }

    fn pairs(list: &[(&str, &str)]) -> Option<Vec<(String, String)>> {
        Some(
            list.iter()
                .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
                .collect(),
        )
    }

    #[test]
    fn variables_come_back_out() {
        assert_eq!(
            read("test://template/{id}/data", "test://template/123/data"),
            pairs(&[("id", "123")])
        );
        assert_eq!(read("a://{x}/{y}", "a://1/2"), pairs(&[("x", "1"), ("y", "2")]));
        assert_eq!(
            read("a://{x}-{y}", "a://1-2-3"),
            pairs(&[("x", "1"), ("y", "2-3")])
        );
        assert_eq!(read("a://{x}-b", "a://1-b-b"), pairs(&[("x", "1-b")]));
        assert_eq!(
            read("file:///{+path}", "file:///etc/a%20b"),
            pairs(&[("path", "etc/a b")])
        );
        assert_eq!(
            read("a://s{?q,page}", "a://s?page=2&q=x%26y&z=1"),
            pairs(&[("page", "2"), ("q", "x&y")])
        );
        assert_eq!(read("a://s{/a,b}", "a://s/1/2"), pairs(&[("a", "1"), ("b", "2")]));
        assert_eq!(
            read("a://{n}{.ext}", "a://x.tar"),
            pairs(&[("n", "x"), ("ext", "tar")])
        );
        assert_eq!(read("a://{n}{?q}", "a://x"), pairs(&[("n", "x")]));
        assert_eq!(read("a://{x}", "a://"), pairs(&[("x", "")]));
    }

    #[test]
    fn other_uris_do_not_match() {
        assert_eq!(
            read("test://template/{id}/data", "test://template/1/2/data"),
            None
        );
        assert_eq!(read("test://template/{id}/data", "test://template/1/dat"), None);
        assert_eq!(read("a://{x}/é", "a://1/e"), None);
    }

    #[test]
    fn broken_escapes_stay() {
        assert_eq!(decode("100%"), "100%");
        assert_eq!(decode("%zz%41"), "%zzA");
        assert_eq!(decode("%ff"), "%ff");
    }

    #[test]
    fn malformed_templates_are_refused() {
        for bad in [
            "a://{x",
            "a://x",
            "a://{x}{y}",
            "a://{}",
            "a://{x,y}",
            "a://{x y}",
        ] {
            assert!(Template::parse(bad).is_err(), "{bad}");
        }
    }
}
