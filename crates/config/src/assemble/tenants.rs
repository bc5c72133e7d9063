//! `tenants`, with the rules between them.

use std::collections::{HashMap, HashSet};

use super::limits::limit;
use super::no_effect;
use super::patterns::patterns;
use crate::fields::{Checked, Fields, Text, Value};
use crate::model::{AccessList, ActsFor, KeyHash, Quotas, Tenant};
use crate::problem::{Problem, Problems, push_index, quote};
use crate::suggest;
use crate::text::Parsed;

/// Most unknown names that get a suggestion: one is looked for among all tenants.
const MAX_SUGGESTIONS: usize = 3;

/// `asks`: clients are asked for a certificate.
pub(super) fn tenants(entries: Vec<(String, Checked)>, asks: bool, problems: &mut Problems) -> Vec<Tenant> {
    let ids: HashSet<String> = entries.iter().map(|(id, _)| id.clone()).collect();
    let mut context = Context {
        ids: &ids,
        keys: HashMap::new(),
        certificates: HashMap::new(),
        asks,
        suggestions: 0,
        problems,
    };
    let tenant = |(id, checked): (String, Checked)| match checked.value {
        Some(Value::Object(fields)) => Some(context.tenant(id, fields)),
        _ => None,
    };
    entries.into_iter().filter_map(tenant).collect()
}

/// One tenant outside of the file, among others. `certificates`: whose each rule is already; `None`: clients are not asked
/// for a certificate.
pub(crate) fn one(
    id: &str,
    fields: Fields,
    ids: &HashSet<String>,
    keys: &HashMap<[u8; 32], String>,
    certificates: Option<&HashMap<String, String>>,
    problems: &mut Problems,
) -> Tenant {
    let mut context = Context {
        ids,
        keys: keys.clone(),
        certificates: certificates.cloned().unwrap_or_default(),
        asks: certificates.is_some(),
        suggestions: 0,
        problems,
    };
    context.tenant(id.to_owned(), fields)
}

struct Context<'c> {
    ids: &'c HashSet<String>,
    /// Where each hash was first given.
    keys: HashMap<[u8; 32], String>,
    /// Where each rule for certificates was first given.
    certificates: HashMap<String, String>,
    asks: bool,
    suggestions: usize,
    problems: &'c mut Problems,
}

impl Context<'_> {
    fn tenant(&mut self, id: String, mut fields: Fields) -> Tenant {
        Tenant {
            name: fields.string("name"),
            suspended: fields.flag("suspended", false),
            keys: self.keys(&mut fields),
            certificates: self.certificates(&mut fields),
            tools: self.access(fields.object("tools")),
            resources: self.access(fields.object("resources")),
            prompts: self.access(fields.object("prompts")),
            quotas: fields.object("quotas").map(quotas).unwrap_or_default(),
            limits: fields
                .object("limits")
                .and_then(|mut f| limit(&mut f, self.problems)),
            acts_for: self.acts_for(&id, &mut fields),
            patterns: fields.object("patterns").map(|f| patterns(f, self.problems)),
            id,
        }
    }

    fn keys(&mut self, fields: &mut Fields) -> Vec<KeyHash> {
        let mut out = Vec::new();
        for (index, text) in fields.texts("keys").unwrap_or_default().into_iter().enumerate() {
            let Parsed::KeyHash(key) = text.parsed else {
                continue;
            };
            let path = item(&fields.path, "keys", index);
            if let Some(first) = self.keys.get(&key.sha256) {
                let message = format!("the key {} is also `{first}`", key.shown());
                self.problems.push(
                    Problem::new(text.span, &path, message)
                        .expected("each key once: a key belongs to one tenant")
                        .hint("remove one of them, or make another with `ferromcp keys new TENANT`"),
                );
                continue;
            }
            self.keys.insert(key.sha256, path);
            out.push(key);
        }
        out
    }

    fn certificates(&mut self, fields: &mut Fields) -> Vec<String> {
        let Some(texts) = fields.texts("certificates") else {
            return Vec::new();
        };
        if !self.asks {
            let span = fields.span("certificates").unwrap_or_default();
            let why = "clients are not asked for a certificate";
            self.problems.push(
                no_effect(span, &fields.path, "certificates", why)
                    .hint("add `listen.tls` with `client_ca`, or remove the key"),
            );
        }
        let mut out = Vec::new();
        for (index, text) in texts.into_iter().enumerate() {
            let span = text.span.clone();
            let Some(rule) = Text::into_string(text) else {
                continue;
            };
            let path = item(&fields.path, "certificates", index);
            if let Some(first) = self.certificates.get(&rule) {
                self.problems.push(
                    Problem::new(
                        span,
                        &path,
                        format!("the rule {} is also `{first}`", quote(&rule)),
                    )
                    .expected("each rule once in the whole file: a certificate belongs to one tenant")
                    .hint("remove one of them"),
                );
                continue;
            }
            self.certificates.insert(rule.clone(), path);
            out.push(rule);
        }
        out
    }

    fn access(&mut self, fields: Option<Fields>) -> AccessList {
        let Some(mut fields) = fields else {
            return AccessList::default();
        };
        if fields.fields.is_empty() {
            self.problems.push(
                Problem::new(
                    fields.span.clone(),
                    &fields.path,
                    "the block has no effect without `allow` or `deny`",
                )
                .hint("add one of them, or remove the key"),
            );
        }
        AccessList {
            allow: fields.strings("allow"),
            deny: fields.strings("deny").unwrap_or_default(),
        }
    }

    fn acts_for(&mut self, id: &str, fields: &mut Fields) -> ActsFor {
        let texts = fields.texts("acts_for").unwrap_or_default();
        let several = texts.len() > 1;
        let mut out: Vec<String> = Vec::new();
        let mut all = false;
        for (index, text) in texts.into_iter().enumerate() {
            let span = text.span.clone();
            let Some(name) = Text::into_string(text) else {
                continue;
            };
            let path = item(&fields.path, "acts_for", index);
            let problem = |message: String| Problem::new(span, &path, message);
            if name == "*" {
                all = true;
                if several {
                    self.problems.push(
                        problem(
                            "`*` stands for all tenants, so nothing else in the list has an effect".into(),
                        )
                        .hint("write `[\"*\"]`, or remove the `*`"),
                    );
                }
            } else if name == id {
                self.problems.push(
                    problem("a tenant always acts for itself, so this has no effect".into())
                        .hint("remove it"),
                );
            } else if out.contains(&name) {
                self.problems.push(
                    problem(format!("the tenant {} appears twice in the list", quote(&name)))
                        .hint("remove one of them"),
                );
            } else if self.ids.contains(&name) {
                out.push(name);
            } else {
                let problem = problem(format!("there is no tenant {}", quote(&name)))
                    .expected("the id of a tenant, or `*` for all");
                let problem = match self.suggestion(&name) {
                    Some(near) => problem.hint(format!("did you mean `{near}`?")),
                    None => problem,
                };
                self.problems.push(problem);
            }
        }
        if all { ActsFor::All } else { ActsFor::Tenants(out) }
    }

    fn suggestion(&mut self, name: &str) -> Option<String> {
        if self.suggestions == MAX_SUGGESTIONS {
            return None;
        }
        self.suggestions += 1;
        let mut near: Vec<&str> = self
            .ids
            .iter()
            .map(String::as_str)
            .filter(|id| id.len().abs_diff(name.len()) <= 3)
            .collect();
        // The same suggestion in every run.
        near.sort_unstable();
        suggest::nearest(name, near.into_iter()).map(str::to_owned)
    }
}

fn item(parent: &str, key: &str, index: usize) -> String {
    let mut path = format!("{parent}.{key}");
    push_index(&mut path, index);
    path
}

fn quotas(mut fields: Fields) -> Quotas {
    let small = |value: Option<u64>| value.and_then(|v| u32::try_from(v).ok());
    Quotas {
        tool_calls: fields.rate("tool_calls"),
        bytes: fields.byte_rate("bytes"),
        batch_size: small(fields.number("batch_size")),
        concurrent: small(fields.number("concurrent")),
    }
}
