//! Client certificates: which tenant's they are. The TLS layer has verified the chain; here only names are compared.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::str::Chars;

use globset::{GlobBuilder, GlobMatcher};

/// Most names of one certificate that are looked at; more match nothing.
pub const MAX_NAMES: usize = 64;

/// What a client certificate that was verified says about its owner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateNames {
    /// The subject as RFC 4514 writes it (`CN=client,O=Company A`), with its escapes, so that no value can pretend to be
    /// two.
    pub subject: String,
    /// DNS names.
    pub dns: Vec<String>,
    /// URIs, as SPIFFE ids are.
    pub uris: Vec<String>,
    /// Mail addresses.
    pub emails: Vec<String>,
    /// When it ends, in Unix seconds: after that it is refused, also on a connection that is still open.
    pub expires: u64,
}

impl CertificateNames {
    /// What audit calls the owner: the first URI, DNS name or address, or the subject.
    pub(crate) fn principal(&self) -> &str {
        let first = self.uris.first().or(self.dns.first()).or(self.emails.first());
        first.unwrap_or(&self.subject)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Subject,
    Dns,
    Uri,
    Email,
}

impl Field {
    const COUNT: usize = 4;

    /// The names of this kind, as they are compared; none if there are too many of them.
    fn of(self, names: &CertificateNames) -> impl Iterator<Item = Cow<'_, str>> {
        let all = match self {
            Self::Subject => std::slice::from_ref(&names.subject),
            Self::Dns => &names.dns,
            Self::Uri => &names.uris,
            Self::Email => &names.emails,
        };
        let all = if all.len() <= MAX_NAMES { all } else { &[] };
        let named = all.iter().filter(|name| !name.is_empty());
        named.map(move |name| match self {
            Self::Dns => Cow::Owned(name.to_ascii_lowercase()),
            _ => Cow::Borrowed(name.as_str()),
        })
    }
}

/// Whether this is a rule for client certificates: `subject:GLOB`, `dns:GLOB`, `uri:GLOB` or `email:GLOB`.
///
/// # Errors
/// What is wrong with it.
pub fn check_certificate_rule(text: &str) -> Result<(), String> {
    CertificateRule::parse(text).map(|_| ())
}

/// `subject:GLOB`, `dns:GLOB`, `uri:GLOB` or `email:GLOB`. `*` matches any characters. DNS names are compared without
/// regard to case.
#[derive(Debug)]
pub(crate) struct CertificateRule {
    field: Field,
    pattern: Pattern,
    /// What a name has to begin and to end with, as far as it is plain text.
    head: Box<[u8]>,
    tail: Box<[u8]>,
}

impl CertificateRule {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (field, pattern) = text.split_once(':').unwrap_or(("", text));
        let field = match field {
            "subject" => Field::Subject,
            "dns" => Field::Dns,
            "uri" => Field::Uri,
            "email" => Field::Email,
            _ => return Err("begin with `subject:`, `dns:`, `uri:` or `email:`".to_owned()),
        };
        if pattern.is_empty() || pattern.len() > crate::acl::MAX_PATTERN_BYTES {
            return Err(format!(
                "behind the colon there must be 1 to {} bytes",
                crate::acl::MAX_PATTERN_BYTES
            ));
        }
        let lowered;
        let pattern = match field {
            Field::Dns => {
                lowered = pattern.to_ascii_lowercase();
                &lowered
            }
            _ => pattern,
        };
        let glob = GlobBuilder::new(pattern)
            .backslash_escape(true)
            .build()
            .map_err(|error| format!("this is no glob: {}", error.kind()))?;
        let (head, tail) = ends(pattern);
        let pattern = match wildcards(pattern) {
            Some(parts) => Pattern::Wildcards(parts),
            None => Pattern::Glob(Box::new(glob.compile_matcher())),
        };
        Ok(Self {
            field,
            pattern,
            head: head.into(),
            tail: tail.into(),
        })
    }
}

/// A compiled glob. A regular expression takes kilobytes, and there may be tens of thousands of rules: it is made only for
/// what `*` and `?` cannot say.
#[derive(Debug)]
enum Pattern {
    Wildcards(Box<[Part]>),
    Glob(Box<GlobMatcher>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Char(char),
    /// `?`
    One,
    /// `*`
    Any,
}

impl Pattern {
    fn matches(&self, name: &str) -> bool {
        match self {
            Self::Wildcards(parts) => fits(parts, name),
            Self::Glob(glob) => glob.is_match(name),
        }
    }
}

/// The parts of a pattern; `None` if it needs more than wildcards.
fn wildcards(pattern: &str) -> Option<Box<[Part]>> {
    if pattern.contains("**") {
        return None;
    }
    let mut parts = Vec::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        parts.push(match c {
            '*' => Part::Any,
            '?' => Part::One,
            '[' | ']' | '{' | '}' => return None,
            '\\' => Part::Char(chars.next()?),
            c => Part::Char(c),
        });
    }
    Some(parts.into())
}

/// Whether a name has these parts. After a mismatch, the last `*` takes one character more: all before it fits, and a later
/// place for that could only take away from what follows.
fn fits(parts: &[Part], name: &str) -> bool {
    let (mut at, mut rest) = (0, name.chars());
    let mut retry: Option<(usize, Chars<'_>)> = None;
    loop {
        let before = rest.clone();
        match (parts.get(at), rest.next()) {
            (None, None) => return true,
            (Some(Part::Any), _) => {
                retry = Some((at + 1, before.clone()));
                (at, rest) = (at + 1, before);
                continue;
            }
            (Some(Part::One), Some(_)) => {
                at += 1;
                continue;
            }
            (Some(Part::Char(wanted)), Some(c)) if *wanted == c => {
                at += 1;
                continue;
            }
            _ => {}
        }
        let Some((after, from)) = &mut retry else {
            return false;
        };
        if from.next().is_none() {
            return false;
        }
        (at, rest) = (*after, from.clone());
    }
}

/// The plain text that a pattern begins and ends with.
fn ends(pattern: &str) -> (Vec<u8>, Vec<u8>) {
    let mut head: Option<Vec<u8>> = None;
    let mut plain = Vec::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        let literal = match c {
            '*' | '?' => None,
            // What follows may be inside of a class or an alternative.
            '[' | ']' | '{' | '}' => return (head.unwrap_or(plain), Vec::new()),
            '\\' => chars.next(),
            c => Some(c),
        };
        match literal {
            Some(c) => plain.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            None => {
                let done = std::mem::take(&mut plain);
                head.get_or_insert(done);
            }
        }
    }
    (head.unwrap_or_else(|| plain.clone()), plain)
}

/// The rules of all tenants, found by what a name begins or ends with: a certificate is compared with the few rules that it
/// may fit, however many there are.
#[derive(Debug)]
pub(crate) struct CertificateRules<T> {
    rules: Vec<(CertificateRule, T)>,
    fields: [Index; Field::COUNT],
}

/// The rules for one kind of name, by place in the list.
#[derive(Debug, Default)]
struct Index {
    heads: Ends,
    tails: Ends,
    /// With a wildcard at both ends.
    others: Vec<usize>,
}

/// Rules by length of a text at the end of a name, then by the text.
type Ends = BTreeMap<usize, HashMap<Box<[u8]>, Vec<usize>>>;

impl<T> CertificateRules<T> {
    pub(crate) fn new(rules: Vec<(CertificateRule, T)>) -> Self {
        let mut sharers: HashMap<(u8, bool, &[u8]), usize> = HashMap::new();
        for (rule, _) in &rules {
            for (tail, text) in [(false, &rule.head), (true, &rule.tail)] {
                *sharers.entry((rule.field as u8, tail, text)).or_default() += 1;
            }
        }
        let mut fields: [Index; Field::COUNT] = Default::default();
        for (place, (rule, _)) in rules.iter().enumerate() {
            // The end that fewer others have, and the longer one of two alike: `CN=*,O=a` is found by its organisation.
            let rank = |tail: bool, text: &[u8]| {
                let sharers = sharers.get(&(rule.field as u8, tail, text)).copied();
                (
                    text.is_empty(),
                    sharers.unwrap_or_default(),
                    usize::MAX - text.len(),
                )
            };
            let by_tail = rank(true, &rule.tail) < rank(false, &rule.head);
            let text = if by_tail { &rule.tail } else { &rule.head };
            let index = &mut fields[rule.field as usize];
            if text.is_empty() {
                index.others.push(place);
                continue;
            }
            let ends = if by_tail {
                &mut index.tails
            } else {
                &mut index.heads
            };
            let texts = ends.entry(text.len()).or_default();
            texts.entry(text.clone()).or_default().push(place);
        }
        Self { rules, fields }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// What belongs to each rule that a certificate fits; some may come more than once.
    pub(crate) fn matching<'a>(&'a self, names: &'a CertificateNames) -> impl Iterator<Item = &'a T> {
        let fields = [Field::Subject, Field::Dns, Field::Uri, Field::Email];
        fields.into_iter().flat_map(move |field| {
            let index = &self.fields[field as usize];
            field.of(names).flat_map(move |name| {
                let mut found = Vec::new();
                index.candidates(name.as_bytes(), |place| {
                    let (rule, owner) = &self.rules[place];
                    if rule.pattern.matches(&name) {
                        found.push(owner);
                    }
                });
                found
            })
        })
    }
}

impl Index {
    fn candidates(&self, name: &[u8], mut look: impl FnMut(usize)) {
        for (length, texts) in self.heads.range(..=name.len()) {
            let places = texts.get(&name[..*length]).into_iter().flatten();
            places.copied().for_each(&mut look);
        }
        for (length, texts) in self.tails.range(..=name.len()) {
            let places = texts.get(&name[name.len() - length..]).into_iter().flatten();
            places.copied().for_each(&mut look);
        }
        self.others.iter().copied().for_each(look);
    }
}

impl<T> Default for CertificateRules<T> {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

#[cfg(test)]
mod tests;
