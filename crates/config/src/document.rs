//! A tenant that does not stand in the file: a JSON document, held to the same tables.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use crate::check::Checker;
use crate::import::json;
use crate::model::Tenant;
use crate::problem::{Problem, Problems};
use crate::text::KeyForm;
use crate::{assemble, settings};

/// What is wrong with a document, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentProblem {
    /// JSON Pointer (RFC 6901) into the document.
    pub pointer: String,
    /// What was found, what would be right, what to do next. Never a secret.
    pub message: String,
}

impl Tenant {
    /// Checks a tenant's settings, a JSON object with the fields of `tenants.ID`. `ids` are the tenants that there are,
    /// `keys` whose each key is already, `certificates` whose each rule for client certificates is; `None` if clients are not
    /// asked for one. References (`${...}`) are plain text here: nothing outside the document is read.
    ///
    /// # Errors
    /// All mistakes at once.
    pub fn from_json(
        id: &str,
        text: &str,
        ids: &HashSet<String>,
        keys: &HashMap<[u8; 32], String>,
        certificates: Option<&HashMap<String, String>>,
    ) -> Result<Self, Vec<DocumentProblem>> {
        let mut problems = Problems::default();
        if let Err(wrong) = KeyForm::TenantId.check(id) {
            problems.push(Problem::new(0..0, "id", wrong.message).expected(KeyForm::TenantId.describe()));
        }
        let tenant = json::parse(text, &mut problems).and_then(|root| {
            let env = |_: &str| None;
            let fields = Checker::new(&mut problems, &env, Path::new(""))
                .literal()
                .object(&root, &settings::tenants::TENANT)?;
            Some(assemble::tenants::one(
                id,
                fields,
                ids,
                keys,
                certificates,
                &mut problems,
            ))
        });
        match tenant {
            Some(tenant) if problems.is_empty() => Ok(tenant),
            _ => Err(problems.into_list().iter().map(problem).collect()),
        }
    }
}

fn problem(problem: &Problem) -> DocumentProblem {
    let mut message = problem.message().to_owned();
    if let Some(expected) = problem.expected_text() {
        message.push_str("; expected ");
        message.push_str(expected);
    }
    if let Some(hint) = problem.hint_text() {
        message.push_str("; ");
        message.push_str(hint);
    }
    DocumentProblem {
        pointer: pointer(problem.path()),
        message,
    }
}

/// `quotas.tool_calls` is `/quotas/tool_calls`, `keys[1]` is `/keys/1`, `a["b c"]` is `/a/b c`.
fn pointer(path: &str) -> String {
    let mut out = String::new();
    let mut rest = path;
    while !rest.is_empty() {
        let (part, behind) = if let Some(quoted) = rest.strip_prefix("[\"") {
            quoted.split_once("\"]").unwrap_or((quoted, ""))
        } else if let Some(index) = rest.strip_prefix('[') {
            index.split_once(']').unwrap_or((index, ""))
        } else {
            let plain = rest.strip_prefix('.').unwrap_or(rest);
            plain.split_at(plain.find(['.', '[']).unwrap_or(plain.len()))
        };
        out.push('/');
        out.push_str(&part.replace('~', "~0").replace('/', "~1"));
        rest = behind;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str) -> Result<Tenant, Vec<DocumentProblem>> {
        let ids = HashSet::from(["a".to_owned(), "b".to_owned()]);
        let keys = HashMap::from([([0xbb; 32], "tenants.b.keys".to_owned())]);
        let certificates = HashMap::from([("dns:b.example".to_owned(), "tenants.b.certificates".to_owned())]);
        Tenant::from_json("a", text, &ids, &keys, Some(&certificates))
    }

    #[test]
    fn a_document_means_what_the_same_lines_mean_in_the_file() {
        let text = r#"{"name": "\u0041 \"x\"", "suspended": true, "tools": {"allow": ["echo"], "deny": []},
            "quotas": {"tool_calls": "10/min", "bytes": "1MiB/h", "concurrent": 3}, "limits": {"rate": "5/s", "burst": 9},
            "acts_for": ["b"], "patterns": {"action": "flag"}}"#;
        let tenant = checked(text).unwrap();
        let file = format!(
            "tenants: {{ b: {{}}, a: {} }}",
            text.replace("\\u0041", "A").replace('\n', " ")
        );
        let config = crate::Config::from_yaml(&file, Path::new("x.yaml"), &|_| None).unwrap();
        assert_eq!(
            Some(&tenant),
            config.tenants.iter().find(|tenant| tenant.id == "a")
        );
    }

    #[test]
    fn every_mistake_has_its_place() {
        let hash = "b".repeat(64);
        let text = format!(
            r#"{{"nme": "x", "suspended": "yes", "keys": ["sha256:{hash}", "fmcp_secret"], "tools": {{}},
            "quotas": {{"tool_calls": "many", "concurrent": 0}}, "acts_for": ["a", "nobody"], "patterns": {{"rules": {{"a b": "stop"}}}}}}"#
        );
        let problems = checked(&text).unwrap_err();
        let places: Vec<&str> = problems.iter().map(|problem| problem.pointer.as_str()).collect();
        for place in [
            "/nme",
            "/suspended",
            "/keys/1",
            "/quotas/tool_calls",
            "/quotas/concurrent",
        ] {
            assert!(
                places
                    .iter()
                    .any(|found| *found == place || place.starts_with(found)),
                "{place}: {problems:#?}"
            );
        }
        assert!(!format!("{problems:?}").contains("fmcp_secret"));
        let taken = checked(&format!(r#"{{"keys": ["sha256:{hash}"]}}"#)).unwrap_err();
        assert_eq!(taken[0].pointer, "/keys/0");
        assert!(taken[0].message.contains("tenants.b.keys"), "{taken:?}");
        let claimed = checked(r#"{"certificates": ["dns:a.example", "dns:b.example"]}"#).unwrap_err();
        assert_eq!(claimed[0].pointer, "/certificates/1");
        assert!(
            claimed[0].message.contains("tenants.b.certificates"),
            "{claimed:?}"
        );
        let no_rule = checked(r#"{"certificates": ["a.example"]}"#).unwrap_err();
        assert_eq!(no_rule[0].pointer, "/certificates/0");
        let text = r#"{"certificates": ["dns:a.example"]}"#;
        let not_asked = Tenant::from_json("a", text, &HashSet::new(), &HashMap::new(), None).unwrap_err();
        assert!(
            not_asked.iter().any(|problem| problem.pointer == "/certificates"),
            "{not_asked:?}"
        );
        let unknown = checked(r#"{"acts_for": ["nobody"]}"#).unwrap_err();
        assert_eq!(unknown[0].pointer, "/acts_for/0");
    }

    #[test]
    fn what_is_no_document_is_refused_and_nothing_outside_is_read() {
        let deep = format!("{}1{}", "[".repeat(1000), "]".repeat(1000));
        for bad in [
            "",
            "{",
            "[]",
            "7",
            "null",
            "\"x\"",
            &deep,
            r#"{"name": "a", "name": "b"}"#,
            "{} {}",
        ] {
            assert!(checked(bad).is_err(), "{bad:.40}");
        }
        let tenant = checked(r#"{"name": "${file:/etc/hostname}"}"#).unwrap();
        assert_eq!(tenant.name.as_deref(), Some("${file:/etc/hostname}"));
        assert_eq!(pointer("a[\"b/c\"][0].d"), "/a/b~1c/0/d");
        assert!(Tenant::from_json("No Id", "{}", &HashSet::new(), &HashMap::new(), None).is_err());
    }
}
