//! The table of settings against the model: every key has an effect, every documented default is the real one.

use std::path::Path;
use std::sync::OnceLock;

use crate::Config;
use crate::settings::ROOT;
use crate::spec::{Absent, Field, Kind, Object};
use crate::text::{Form, KeyForm};

/// Every setting that is not a group, with its path. Keys of a table's entries stand under an id.
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

/// A file with a certificate and its key; the test's end leaves it to the system's cleaning of temporary files.
fn identity() -> &'static str {
    static FILE: OnceLock<String> = OnceLock::new();
    FILE.get_or_init(|| {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let pem = made.cert.pem() + &made.signing_key.serialize_pem();
        std::io::Write::write_all(&mut file, pem.as_bytes()).unwrap();
        file.into_temp_path().keep().unwrap().to_str().unwrap().to_owned()
    })
}

/// `listen.tls` with these keys, all of which name that file.
fn tls(keys: &[&'static str]) -> Vec<(Vec<&'static str>, &'static str)> {
    keys.iter()
        .map(|&key| (vec!["listen", "tls", key], identity()))
        .collect()
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
        Kind::Size { min, .. } if *min > 7 << 10 => "7MiB".into(),
        Kind::Size { .. } => "7KiB".into(),
        Kind::Count { min, .. } => 7.max(*min).to_string(),
        Kind::Rate { .. } => "7/s".into(),
        Kind::ByteRate { .. } => "7KiB/s".into(),
        Kind::OneOrMore { item, .. } => sample(item, Absent::Group),
        Kind::List {
            item: Kind::Object(inner),
            ..
        } => {
            let field = &inner.fields[0];
            format!("[{{ {}: {} }}]", field.key, sample(&field.kind, field.default))
        }
        Kind::List { item, .. } => format!("[{}]", sample(item, Absent::Group)),
        Kind::Table {
            key: KeyForm::Rule,
            item,
            ..
        } => format!("{{ pattern.sample: {} }}", sample(item, Absent::Group)),
        Kind::Table { item, .. } => format!("{{ X-Sample: {} }}", sample(item, Absent::Group)),
        Kind::Object(_) => unreachable!("groups have no sample"),
        Kind::Text(form) => match form {
            Form::Listen => "127.0.0.1:7777".into(),
            Form::Host => "sample.example.com".into(),
            Form::Origin | Form::Url | Form::Issuer | Form::Jwks => "https://sample.example.com".into(),
            Form::TenantOrAll => "other".into(),
            Form::KeyHash => format!("\"sha256:{}\"", "7f".repeat(32)),
            Form::Rule => "pattern.sample".into(),
            Form::Secret => "s".repeat(64),
            Form::CertificateRule => "\"dns:sample.example.com\"".into(),
            Form::File => identity().into(),
            Form::Folder => "src".into(),
            Form::KeyFile | Form::Document => "Cargo.toml".into(),
            Form::Directory => "src".into(),
            _ => "sample".into(),
        },
    }
}

/// What a key cannot do without: settings of the smallest file in which it is allowed.
fn needs(path: &[&str]) -> Vec<(Vec<&'static str>, &'static str)> {
    let jwt = || {
        vec![
            (vec!["auth", "jwt", "issuer"], "https://i.example.com"),
            (vec!["auth", "jwt", "audience"], "a"),
        ]
    };
    let with_keys = |key, value| {
        let mut needs = jwt();
        needs.push((vec!["auth", "jwt", key], value));
        needs
    };
    match path {
        ["servers", _, "base_url"] => vec![(vec!["servers", "id", "openapi"], "Cargo.toml")],
        ["servers", _, "tls", "ca"] => vec![(vec!["servers", "id", "url"], "\"https://localhost\"")],
        ["servers", _, "tls", other] => {
            let other = if *other == "key" { "cert" } else { "key" };
            vec![
                (vec!["servers", "id", "url"], "\"https://localhost\""),
                (vec!["servers", "id", "tls", other], "sample"),
            ]
        }
        ["servers", _, "auth", "oauth", key] => {
            let (id, secret) = (
                vec!["servers", "id", "auth", "oauth", "client_id"],
                ["client_secret", "private_key"],
            );
            let mut needs = vec![(vec!["servers", "id", "url"], "\"http://localhost\"")];
            if *key != "client_id" {
                needs.push((id, "base"));
            }
            for secret in secret.into_iter().filter(|secret| secret != key) {
                needs.push((vec!["servers", "id", "auth", "oauth", secret], "sample"));
            }
            needs
        }
        ["servers", _, "headers"] => vec![(vec!["servers", "id", "url"], "\"http://localhost\"")],
        ["servers", _, "command" | "url" | "openapi" | "grpc"] => vec![],
        ["servers", _, "descriptors" | "services"] => {
            vec![(vec!["servers", "id", "grpc"], "\"http://localhost\"")]
        }
        ["servers", _, "pool", "idle"] => vec![
            (vec!["servers", "id", "command"], "base"),
            (vec!["servers", "id", "pool", "max"], "9"),
        ],
        ["servers", ..] => vec![(vec!["servers", "id", "command"], "base")],
        ["builtin", "files", key] if *key != "roots" => vec![(vec!["builtin", "files", "roots"], "[src]")],
        ["tenants", _, "acts_for"] => vec![(vec!["tenants", "other"], "{}"), (vec!["tenants", "id"], "{}")],
        ["tenants", _, "limits", "burst"] => vec![(vec!["tenants", "id", "limits", "rate"], "5/s")],
        ["tenants", _, "patterns", _] => vec![(vec!["tenants", "id", "patterns"], "{}")],
        ["tenants", _, "certificates"] => {
            let mut needs = tls(&["cert", "key", "client_ca"]);
            needs.push((vec!["tenants", "id"], "{}"));
            needs
        }
        ["tenants", ..] => vec![(vec!["tenants", "id"], "{}")],
        ["listen", "tls", "cert"] => tls(&["key"]),
        ["listen", "tls", "key"] => tls(&["cert"]),
        ["listen", "tls", "client_auth"] => {
            let mut needs = tls(&["cert", "key", "client_ca"]);
            needs.push((vec!["tenants", "id", "certificates"], "[\"dns:a.example.com\"]"));
            needs
        }
        ["listen", "tls", _] => tls(&["cert", "key"]),
        ["auth", "guesses", key] => {
            let mut needs = vec![(
                vec!["tenants", "id", "keys"],
                "[\"sha256:00000000000000000000000000000000000000000000000000000000000000aa\"]",
            )];
            if *key == "burst" {
                needs.push((vec!["auth", "guesses", "rate"], "5/s"));
            }
            needs
        }
        ["auth", "anonymous"] => with_keys("jwks", "https://j.example.com"),
        ["auth", "jwt", "secret"] => jwt(),
        ["auth", "jwt", _] | ["auth", "resource" | "authorization_servers"] => {
            with_keys("jwks", "https://j.example.com")
        }
        ["limits", "burst" | "per"] => vec![(vec!["limits", "rate"], "5/s")],
        ["limits", "global", "burst"] => vec![(vec!["limits", "global", "rate"], "5/s")],
        ["limits", "tenant", "burst"] => vec![(vec!["limits", "tenant", "rate"], "5/s")],
        ["limits", "tools", _, "burst"] => vec![(vec!["limits", "tools", "id", "rate"], "5/s")],
        ["audit", "otlp", "endpoint"] => vec![],
        ["audit", "otlp", _] => vec![(vec!["audit", "otlp", "endpoint"], "\"http://localhost\"")],
        ["audit", "ring"] | ["admin", _] => vec![
            (
                vec!["admin", "keys"],
                "[\"sha256:00000000000000000000000000000000000000000000000000000000000000aa\"]",
            ),
            (vec!["admin", "store"], "src"),
        ],
        ["lock", "on_drift" | "on_new"] => vec![(vec!["lock", "file"], "mcp.lock")],
        ["audit", "max_arguments"] => vec![(vec!["audit", "arguments"], "store")],
        ["audit", "keep", "size"] => vec![
            (vec!["audit", "file"], "src"),
            (vec!["audit", "rotate", "size"], "64KiB"),
        ],
        [
            "audit",
            "on_full" | "on_error" | "sign_key" | "rotate" | "keep" | "commit_delay" | "journal",
            ..,
        ] => {
            vec![(vec!["audit", "file"], "src")]
        }
        _ => vec![],
    }
}

#[derive(Default)]
struct Tree {
    value: String,
    members: Vec<(String, Tree)>,
}

impl Tree {
    fn set(&mut self, path: &[&str], value: &str) {
        let Some((key, rest)) = path.split_first() else {
            value.clone_into(&mut self.value);
            return;
        };
        let at = self
            .members
            .iter()
            .position(|(k, _)| k == key)
            .unwrap_or_else(|| {
                self.members.push(((*key).to_owned(), Tree::default()));
                self.members.len() - 1
            });
        self.members[at].1.set(rest, value);
    }

    fn yaml(&self) -> String {
        if self.members.is_empty() && !self.value.is_empty() {
            return self.value.clone();
        }
        let members: Vec<_> = self
            .members
            .iter()
            .map(|(key, tree)| format!("{key}: {}", tree.yaml()))
            .collect();
        format!("{{ {} }}", members.join(", "))
    }
}

fn base_of(path: &[&str]) -> Tree {
    let mut tree = Tree::default();
    for (path, value) in needs(path) {
        tree.set(&path, value);
    }
    tree
}

/// A file that sets one key to `value`, and nothing else but what that key cannot do without.
fn file_with(path: &[&str], value: &str) -> String {
    // Samples that are out of the bounds of these keys, and ones that would not fit what the keys need.
    let value = match (path, value) {
        (["auth", "jwt", "algorithms"], _) => "[PS256]",
        (["audit", "keep" | "rotate", "size"], "7KiB") => "7MiB",
        (["audit", "keep" | "rotate", "age"] | ["auth", "jwt", "jwks_max_age"], "7s") => "7h",
        (_, value) => value,
    };
    let mut tree = base_of(path);
    tree.set(path, value);
    tree.yaml()
}

fn load(text: &str) -> Config {
    let origin = Path::new(env!("CARGO_MANIFEST_DIR")).join("ferromcp.yaml");
    Config::from_yaml(text, &origin, &|_| None).unwrap_or_else(|error| panic!("{text}\n{error}"))
}

/// Without these keys, their block is refused.
fn is_required(path: &[&str]) -> bool {
    matches!(
        path,
        ["auth", "jwt", "issuer" | "audience" | "jwks" | "secret"]
            | ["servers", _, "auth", "oauth", "client_id"]
            | ["servers", _, "tls", "cert" | "key"]
            | ["admin", "keys" | "store"]
            | ["listen", "tls", "cert" | "key"]
    )
}

#[test]
fn every_key_has_an_effect() {
    let leaves = leaves();
    assert!(leaves.len() > 90, "the walk found only {}", leaves.len());
    for (path, field) in leaves {
        // The type only repeats what `command` or `url` says; that it must fit them is its effect.
        if path == ["servers", "id", "type"] {
            continue;
        }
        let with = file_with(&path, &sample(&field.kind, field.default));
        let base = if is_required(&path) {
            "{}".into()
        } else {
            base_of(&path).yaml()
        };
        assert_ne!(load(&with), load(&base), "{with} changes nothing");
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
        assert_eq!(
            load(&with),
            load(&base_of(&path).yaml()),
            "{with} is not the default"
        );
    }
    assert!(checked > 45, "only {checked} defaults compared");
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
