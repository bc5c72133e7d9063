//! The table of settings against the model: every key has an effect, every documented default is the real one.

use std::path::Path;

use crate::Config;
use crate::settings::ROOT;
use crate::spec::{Absent, Field, Kind, Object};
use crate::text::{Form, KeyForm};

/// Every setting that is not a group, with its path. Keys below `servers` stand under an id.
fn leaves() -> Vec<(Vec<&'static str>, &'static Field)> {
    fn walk(
        path: &[&'static str],
        object: &'static Object,
        out: &mut Vec<(Vec<&'static str>, &'static Field)>,
    ) {
        for field in object.fields {
            let path = [path, &[field.key]].concat();
            match &field.kind {
                Kind::Object(inner) => walk(&path, inner, out),
                Kind::Table {
                    key: KeyForm::ServerId,
                    item: Kind::Object(inner),
                    ..
                } => {
                    walk(&[path.as_slice(), &["id"]].concat(), inner, out);
                }
                _ => out.push((path, field)),
            }
        }
    }
    let mut out = Vec::new();
    walk(&[], &ROOT, &mut out);
    out
}

/// A value that differs from every default.
fn sample(kind: &Kind, absent: Absent) -> String {
    match kind {
        Kind::Bool => if matches!(absent, Absent::Value("true")) {
            "false"
        } else {
            "true"
        }
        .into(),
        Kind::Choice(choices) => {
            let default = if let Absent::Value(word) = absent {
                word
            } else {
                ""
            };
            choices
                .iter()
                .find(|c| c.refused.is_none() && c.word != default)
                .unwrap()
                .word
                .into()
        }
        Kind::Duration { .. } => "7s".into(),
        Kind::Size { .. } => "7KiB".into(),
        Kind::Count { .. } => "7".into(),
        Kind::List { item, .. } => format!("[{}]", sample(item, Absent::Group)),
        Kind::Table { item, .. } => format!("{{ X-Sample: {} }}", sample(item, Absent::Group)),
        Kind::Object(_) => unreachable!("groups have no sample"),
        Kind::Text(form) => match form {
            Form::Listen => "127.0.0.1:7777".into(),
            Form::Host => "sample.example.com".into(),
            Form::Origin | Form::Url => "https://sample.example.com".into(),
            Form::Directory => "src".into(),
            _ => "sample".into(),
        },
    }
}

/// A file that sets one key to `value`, and nothing else but what that key cannot do without.
fn file_with(path: &[&str], value: &str) -> String {
    let nested = |path: &[&str], value: &str| {
        path.iter()
            .rev()
            .fold(value.to_owned(), |inner, key| format!("{{ {key}: {inner} }}"))
    };
    match path {
        ["servers", "id", rest @ ..] => {
            format!("servers: {{ id: {} }}", server_with(rest, &nested(rest, value)))
        }
        ["builtin", "files", key] if *key != "roots" => {
            format!("builtin: {{ files: {{ roots: [src], {key}: {value} }} }}")
        }
        path => nested(path, value),
    }
}

fn server_with(path: &[&str], body: &str) -> String {
    let inner = body.trim_start_matches("{ ").trim_end_matches(" }");
    let closing = "}".repeat(inner.matches('{').count() - inner.matches('}').count());
    match path[0] {
        "command" | "url" => format!("{{ {inner} {closing}}}"),
        "headers" => format!("{{ url: \"http://localhost\", {inner} {closing}}}"),
        _ => format!("{{ command: base, {inner} {closing}}}"),
    }
}

fn base_of(path: &[&str]) -> &'static str {
    match path {
        ["servers", _, "headers"] => "servers: { id: { url: \"http://localhost\" } }",
        ["servers", _, "command" | "url"] => "{}",
        ["servers", ..] => "servers: { id: { command: base } }",
        ["builtin", "files", key] if *key != "roots" => "builtin: { files: { roots: [src] } }",
        _ => "{}",
    }
}

fn load(text: &str) -> Config {
    let origin = Path::new(env!("CARGO_MANIFEST_DIR")).join("ferromcp.yaml");
    Config::from_yaml(text, &origin, &|_| None).unwrap_or_else(|error| panic!("{text}\n{error}"))
}

#[test]
fn every_key_has_an_effect() {
    let leaves = leaves();
    assert!(leaves.len() > 30, "the walk found only {}", leaves.len());
    for (path, field) in leaves {
        // The type only repeats what `command` or `url` says; that it must fit them is its effect.
        if path == ["servers", "id", "type"] {
            continue;
        }
        let with = file_with(&path, &sample(&field.kind, field.default));
        assert_ne!(load(&with), load(base_of(&path)), "{with} changes nothing");
    }
}

#[test]
fn documented_defaults_are_the_real_ones() {
    let mut checked = 0;
    for (path, field) in leaves() {
        let Absent::Value(default) = field.default else {
            continue;
        };
        // Absent, the name is the product's own; the binary decides it.
        if path == ["server", "name"] {
            continue;
        }
        checked += 1;
        let with = file_with(&path, default);
        assert_eq!(load(&with), load(base_of(&path)), "{with} is not the default");
    }
    assert!(checked > 20, "only {checked} defaults compared");
}

#[test]
fn keys_of_later_versions_are_not_keys_of_this_one() {
    fn walk(object: &'static Object) {
        for later in object.later {
            assert!(object.field(later.key).is_none(), "{} is both", later.key);
        }
        for field in object.fields {
            match &field.kind {
                Kind::Object(inner)
                | Kind::Table {
                    item: Kind::Object(inner),
                    ..
                } => walk(inner),
                _ => {}
            }
        }
    }
    walk(&ROOT);
}

#[test]
fn the_example_of_the_reference_is_valid() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("data")).unwrap();
    let env = |name: &str| (name == "SEARCH_TOKEN").then(|| "t".to_owned());
    let config =
        Config::from_yaml(crate::reference::EXAMPLE, &dir.path().join("ferromcp.yaml"), &env).unwrap();
    assert_eq!(config.servers.len(), 2);
    // The example shows at least one setting of every group.
    for field in ROOT.fields.iter().filter(|f| f.key != "server") {
        assert!(crate::reference::EXAMPLE.contains(&format!("\n{}:", field.key)) || field.key == "listen");
    }
}
