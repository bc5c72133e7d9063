//! Where a file takes its credentials from.

use std::path::{Path, PathBuf};

use crate::import::looks_secret;
use crate::interpolate::{Piece, split};
use crate::node::{Data, Node};
use crate::problem::{Problems, push_index, push_key};
use crate::source::Source;
use crate::yaml;

/// One credential of a file. Holds no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialUse {
    /// Path of the setting, as in `servers.files.env.TOKEN`.
    pub path: String,
    /// Line, counted from 1.
    pub line: usize,
    /// Where the value is.
    pub from: CredentialFrom,
}

/// Where a credential is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialFrom {
    /// In this variable of the environment (`${NAME}`).
    Variable(String),
    /// In this file (`${file:PATH}`), resolved against the config file.
    File(PathBuf),
    /// In the config file itself.
    Literal,
}

/// All `${NAME}` and `${file:PATH}` of a file, and values in it that look like secrets by the name of their key, in the order of the
/// file. Empty for a text that cannot be read.
pub fn credentials(text: &str, origin: &Path) -> Vec<CredentialUse> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut found = Vec::new();
    if let Some(root) = yaml::compose(text, &mut Problems::default()) {
        let source = Source::new(origin, text);
        walk(&root, &mut String::new(), "", &source, &mut found);
    }
    found
}

fn walk(node: &Node, path: &mut String, key: &str, source: &Source<'_>, found: &mut Vec<CredentialUse>) {
    let depth = path.len();
    match &*node.data {
        Data::Map(entries) => {
            for entry in entries {
                push_key(path, &entry.key);
                walk(&entry.value, path, &entry.key, source, found);
                path.truncate(depth);
            }
        }
        Data::Seq(items) => {
            for (index, item) in items.iter().enumerate() {
                push_index(path, index);
                walk(item, path, key, source, found);
                path.truncate(depth);
            }
        }
        Data::Scalar(scalar) => {
            let (line, _) = source.position(node.span.start);
            let mut add = |from| {
                found.push(CredentialUse {
                    path: path.clone(),
                    line,
                    from,
                });
            };
            let mut literal = !scalar.text.is_empty();
            for piece in split(&scalar.text).unwrap_or_default() {
                match piece {
                    Piece::Literal(_) => continue,
                    Piece::Variable(name) => add(CredentialFrom::Variable(name.to_owned())),
                    Piece::File(file) => {
                        let base = source.origin.parent().unwrap_or(Path::new(""));
                        add(CredentialFrom::File(base.join(file)));
                    }
                }
                literal = false;
            }
            if literal && may_be_secret(path, key) {
                add(CredentialFrom::Literal);
            }
        }
    }
}

/// Variables and headers of servers with such a name, and the settings that hold nothing but secrets.
fn may_be_secret(path: &str, key: &str) -> bool {
    let of_server = path.starts_with("servers.") && (path.contains(".env.") || path.contains(".headers."));
    (of_server && looks_secret(key)) || matches!(key, "client_secret" | "secret")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_and_every_literal_secret_is_found() {
        let text = "servers:\n  a:\n    command: x\n    args: [\"--token=${TOKEN}\", \"$${NOT}\"]\n    env: { API_KEY: abc, LANG: C, \
                    EMPTY_TOKEN: '' }\n  b:\n    url: https://h/mcp\n    headers: { Authorization: \"Bearer ${file:k/t}${U}\" }\n\
                    listen: { tls: { key: server.key } }\nauth: { jwt: { secret: s } }\n";
        let found = credentials(text, Path::new("/c/f.yaml"));
        let shown: Vec<(&str, usize, CredentialFrom)> = found
            .iter()
            .map(|one| (one.path.as_str(), one.line, one.from.clone()))
            .collect();
        let variable = |name: &str| CredentialFrom::Variable(name.to_owned());
        assert_eq!(
            shown,
            [
                ("servers.a.args[0]", 4, variable("TOKEN")),
                ("servers.a.env.API_KEY", 5, CredentialFrom::Literal),
                (
                    "servers.b.headers.Authorization",
                    8,
                    CredentialFrom::File("/c/k/t".into())
                ),
                ("servers.b.headers.Authorization", 8, variable("U")),
                ("auth.jwt.secret", 10, CredentialFrom::Literal),
            ]
        );
        assert!(credentials("a: [", Path::new("f")).is_empty());
    }
}
