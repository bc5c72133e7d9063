//! What a tenant may see and call.
//!
//! Patterns are names, or globs: `*` (any characters, `/` too), `?`, `[a-z]`, `{one,two}`, `\` before a character that
//! stands for itself. What matches a deny pattern is denied, whatever else matches. With allow patterns, only what
//! matches one is allowed. With none, everything is, unless the default is deny.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::reason::shown;
use crate::uri::spellings;

/// Most patterns in one list.
pub const MAX_PATTERNS: usize = 1_000;
/// Longest pattern.
pub const MAX_PATTERN_BYTES: usize = 512;
/// Most globs of a list that are tried one by one; more of them are faster in one automaton.
const MAX_ENDS: usize = 16;
/// What makes a pattern a glob.
const META: [char; 7] = ['*', '?', '[', ']', '{', '}', '\\'];

/// What happens to what no pattern matches, when there is no allow pattern.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AclDefault {
    /// It is allowed.
    #[default]
    Allow,
    /// It is denied.
    Deny,
}

/// The patterns for one kind of thing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List {
    /// What is allowed; when empty, what `default` says.
    pub allow: Vec<String>,
    /// What is denied, even if it is allowed as well.
    pub deny: Vec<String>,
    /// See [`AclDefault`].
    pub default: AclDefault,
}

/// The patterns of a tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AclSettings {
    /// By tool name.
    pub tools: List,
    /// By URI.
    pub resources: List,
    /// By prompt name.
    pub prompts: List,
}

/// What a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A tool, by its name.
    Tool,
    /// A resource, by its URI.
    Resource,
    /// A prompt, by its name.
    Prompt,
}

/// Why a pattern cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}[{index}]: {problem}")]
pub struct AclError {
    /// Which list: `tools.allow`, `resources.deny` and so on.
    pub field: String,
    /// Which pattern of it, from 0.
    pub index: usize,
    /// What is wrong.
    pub problem: String,
}

/// The compiled access lists of a tenant.
#[derive(Debug)]
pub struct Acl {
    tools: Rules,
    resources: Rules,
    prompts: Rules,
}

/// What an access list says of one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision<'a> {
    /// Whether it may be seen and called.
    pub allowed: bool,
    /// Stable id: `acl.tool.allow`, `acl.tool.deny`, `acl.tool.default`, and the same with `resource` and `prompt`;
    /// `acl.resource.form` for a URI that has no single meaning.
    pub rule: &'static str,
    /// The pattern that decided.
    pub pattern: Option<&'a str>,
}

impl Decision<'_> {
    /// A sentence for the operator (not for the caller, to whom what is denied looks unknown).
    pub fn explain(&self) -> String {
        match (self.allowed, self.pattern) {
            (true, Some(pattern)) => format!("allowed by the pattern {}", shown(pattern)),
            (true, None) => "allowed: no allow pattern is set and no deny pattern matches".to_owned(),
            (false, Some(pattern)) => format!("denied by the pattern {}", shown(pattern)),
            (false, None) if self.rule == RESOURCE_FORM => {
                "denied: dot segments, backslashes, control characters or double escapes leave open what it names".to_owned()
            }
            (false, None) => "denied: no allow pattern matches".to_owned(),
        }
    }
}

/// The compiled patterns for one kind of thing.
#[derive(Debug)]
struct Rules {
    allow: Patterns,
    deny: Patterns,
    /// Whether what nothing matches is allowed.
    otherwise: bool,
}

/// Names by hash; globs only where there are any, and those of one `*` by comparing both ends.
#[derive(Debug, Default)]
struct Patterns {
    texts: Vec<String>,
    names: HashMap<String, usize, RandomState>,
    /// Index into `texts`, and where the `*` is.
    ends: Vec<(usize, usize)>,
    globs: GlobSet,
    /// Index into `texts` of each glob.
    glob_texts: Vec<usize>,
}

impl Acl {
    /// Compiles the lists of a tenant.
    ///
    /// # Errors
    /// Every pattern that cannot be used, with its place.
    pub fn new(settings: &AclSettings) -> Result<Self, Vec<AclError>> {
        let mut errors = Vec::new();
        let acl = Self {
            tools: Rules::new("tools", &settings.tools, &mut errors),
            resources: Rules::new("resources", &settings.resources, &mut errors),
            prompts: Rules::new("prompts", &settings.prompts, &mut errors),
        };
        if errors.is_empty() { Ok(acl) } else { Err(errors) }
    }

    /// Whether a tool may be seen and called.
    pub fn tool(&self, name: &str) -> Decision<'_> {
        self.tools
            .decide(name, None)
            .named(["acl.tool.allow", "acl.tool.deny", "acl.tool.default"])
    }

    /// Whether a prompt may be seen and got.
    pub fn prompt(&self, name: &str) -> Decision<'_> {
        let rules = ["acl.prompt.allow", "acl.prompt.deny", "acl.prompt.default"];
        self.prompts.decide(name, None).named(rules)
    }

    /// Whether a resource may be seen and read. Other spellings of one URI (case of scheme and host, percent escapes)
    /// are decided alike; while there is any pattern, one whose meaning depends on who reads it is denied.
    pub fn resource(&self, uri: &str) -> Decision<'_> {
        if self.resources.otherwise && self.resources.is_empty() {
            return Found::Nothing(true).named(RESOURCE_RULES);
        }
        match spellings(uri) {
            Some((normal, decoded)) => self
                .resources
                .decide(&normal, decoded.as_deref())
                .named(RESOURCE_RULES),
            None => Decision {
                allowed: false,
                rule: RESOURCE_FORM,
                pattern: None,
            },
        }
    }

    /// The decision for a thing of any kind.
    pub fn decide(&self, kind: Kind, name: &str) -> Decision<'_> {
        match kind {
            Kind::Tool => self.tool(name),
            Kind::Resource => self.resource(name),
            Kind::Prompt => self.prompt(name),
        }
    }
}

const RESOURCE_RULES: [&str; 3] = ["acl.resource.allow", "acl.resource.deny", "acl.resource.default"];
const RESOURCE_FORM: &str = "acl.resource.form";

enum Found<'a> {
    Allow(&'a str),
    Deny(&'a str),
    Nothing(bool),
}

impl<'a> Found<'a> {
    fn named(self, [allow, deny, default]: [&'static str; 3]) -> Decision<'a> {
        let (allowed, rule, pattern) = match self {
            Self::Allow(pattern) => (true, allow, Some(pattern)),
            Self::Deny(pattern) => (false, deny, Some(pattern)),
            Self::Nothing(allowed) => (allowed, default, None),
        };
        Decision {
            allowed,
            rule,
            pattern,
        }
    }
}

impl Rules {
    fn new(field: &str, list: &List, errors: &mut Vec<AclError>) -> Self {
        Self {
            allow: Patterns::new(&format!("{field}.allow"), &list.allow, errors),
            deny: Patterns::new(&format!("{field}.deny"), &list.deny, errors),
            otherwise: list.allow.is_empty() && list.default == AclDefault::Allow,
        }
    }

    fn is_empty(&self) -> bool {
        self.allow.texts.is_empty() && self.deny.texts.is_empty()
    }

    /// Denied if any spelling is denied, allowed if all are allowed.
    fn decide(&self, name: &str, other: Option<&str>) -> Found<'_> {
        let denied = self.deny.find(name).or_else(|| self.deny.find(other?));
        if let Some(pattern) = denied {
            return Found::Deny(pattern);
        }
        match self.allow.find(name) {
            Some(pattern) if other.is_none_or(|other| self.allow.find(other).is_some()) => {
                Found::Allow(pattern)
            }
            _ => Found::Nothing(self.otherwise),
        }
    }
}

impl Patterns {
    fn new(field: &str, texts: &[String], errors: &mut Vec<AclError>) -> Self {
        let mut say = |index, problem: String| {
            errors.push(AclError {
                field: field.to_owned(),
                index,
                problem,
            });
        };
        if texts.len() > MAX_PATTERNS {
            say(
                MAX_PATTERNS,
                format!("more than {MAX_PATTERNS} patterns; use globs"),
            );
            return Self::default();
        }
        let mut patterns = Self {
            texts: texts.to_vec(),
            ..Self::default()
        };
        let mut globs = GlobSetBuilder::new();
        for (index, text) in texts.iter().enumerate() {
            if text.is_empty() || text.len() > MAX_PATTERN_BYTES {
                say(index, format!("a pattern has 1 to {MAX_PATTERN_BYTES} bytes"));
            } else if !text.contains(META) {
                patterns.names.entry(text.clone()).or_insert(index);
            } else if let Some(star) = only_star(text).filter(|_| patterns.ends.len() < MAX_ENDS) {
                patterns.ends.push((index, star));
            } else {
                match GlobBuilder::new(text).backslash_escape(true).build() {
                    Ok(glob) => {
                        globs.add(glob);
                        patterns.glob_texts.push(index);
                    }
                    Err(error) => say(index, format!("{} is no glob: {}", shown(text), error.kind())),
                }
            }
        }
        match globs.build() {
            Ok(globs) => patterns.globs = globs,
            Err(error) => say(
                0,
                format!("the patterns are too large together: {}", error.kind()),
            ),
        }
        patterns
    }

    fn find(&self, name: &str) -> Option<&str> {
        if let Some(index) = self.names.get(name) {
            return Some(&self.texts[*index]);
        }
        for (index, star) in &self.ends {
            let text = self.texts[*index].as_str();
            let (before, after) = (&text[..*star], &text[*star + 1..]);
            if name
                .strip_prefix(before)
                .is_some_and(|rest| rest.ends_with(after))
            {
                return Some(text);
            }
        }
        if self.glob_texts.is_empty() || !self.globs.is_match(name) {
            return None;
        }
        let index = self.globs.matches(name).into_iter().next()?;
        Some(&self.texts[self.glob_texts[index]])
    }
}

/// Where the `*` is in a pattern that has one, and nothing else that is not a character for itself.
fn only_star(text: &str) -> Option<usize> {
    let (before, after) = text.split_once('*')?;
    (!before.contains(META) && !after.contains(META)).then_some(before.len())
}

#[cfg(test)]
mod tests;
