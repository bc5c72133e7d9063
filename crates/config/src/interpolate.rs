//! `${NAME}` from the environment, `${file:PATH}` from a file, `$${` for a literal `${`.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::problem::quote;

/// Largest file that `${file:PATH}` reads, in bytes.
pub const MAX_SECRET_FILE: u64 = 64 * 1024;
/// Most references in one config file.
const MAX_REFERENCES: usize = 4096;
/// Most bytes that all references of one config file may bring in.
const MAX_TOTAL: usize = 8 * 1024 * 1024;

/// A scalar with its references replaced.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Resolved {
    pub(crate) text: String,
    /// At least one reference was replaced, so the text may be a secret.
    pub(crate) interpolated: bool,
}

/// One part of a scalar.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece<'t> {
    Literal(&'t str),
    Variable(&'t str),
    File(&'t str),
}

/// Why a scalar cannot be used: what happened, and what to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) message: String,
    pub(crate) hint: String,
    /// The text is well formed, only what it refers to is not there.
    pub(crate) unresolved: bool,
}

impl Failure {
    fn syntax(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: hint.into(),
            unresolved: false,
        }
    }

    fn unresolved(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: hint.into(),
            unresolved: true,
        }
    }
}

/// Splits a scalar at its references.
pub(crate) fn split(text: &str) -> Result<Vec<Piece<'_>>, Failure> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            pieces.push(Piece::Literal(&rest[..at - 1]));
            pieces.push(Piece::Literal("${"));
            rest = &rest[at + 2..];
            continue;
        }
        pieces.push(Piece::Literal(&rest[..at]));
        let body = &rest[at + 2..];
        let Some(end) = body.find('}') else {
            return Err(Failure::syntax(
                "`${` has no closing `}`",
                "close it, or write `$${` for a literal `${`",
            ));
        };
        pieces.push(reference(&body[..end])?);
        rest = &body[end + 1..];
    }
    pieces.push(Piece::Literal(rest));
    pieces.retain(|piece| *piece != Piece::Literal(""));
    Ok(pieces)
}

fn reference(body: &str) -> Result<Piece<'_>, Failure> {
    if let Some(path) = body.strip_prefix("file:") {
        return if path.is_empty() {
            Err(Failure::syntax(
                "`${file:}` names no file",
                "write `${file:PATH}`, the path relative to the config file",
            ))
        } else {
            Ok(Piece::File(path))
        };
    }
    if is_variable_name(body) {
        return Ok(Piece::Variable(body));
    }
    let hint = if body.contains(":-") || body.contains(":=") || body.contains(":?") {
        "defaults inside `${...}` are not supported: set the variable, or write the value"
    } else if body.starts_with("env:") {
        "write `${NAME}` for an environment variable"
    } else {
        "write `${NAME}` (letters, digits and `_`), `${file:PATH}`, or `$${` for a literal `${`"
    };
    Err(Failure::syntax(
        "`${...}` holds neither a variable name nor `file:PATH`",
        hint,
    ))
}

/// The paths of all `${file:PATH}` of a configuration's text, each once, in the order in which they come. Also of those in
/// comments: the text need not be YAML.
pub fn brought_in(text: &str) -> Vec<&str> {
    let mut paths = Vec::new();
    for part in text.split("${file:").skip(1) {
        if let Some((path, _)) = part.split_once('}')
            && !path.is_empty()
            && !path.contains('\n')
            && !paths.contains(&path)
            && paths.len() < MAX_REFERENCES
        {
            paths.push(path);
        }
    }
    paths
}

pub(crate) fn is_variable_name(text: &str) -> bool {
    text.len() <= 256
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && text.bytes().next().is_some_and(|b| !b.is_ascii_digit())
}

/// Resolves the references of one config file, within limits for the file as a whole.
pub(crate) struct Interpolator<'e> {
    env: &'e dyn Fn(&str) -> Option<String>,
    base: PathBuf,
    references: usize,
    total: usize,
    /// Nothing is replaced.
    pub(crate) literal: bool,
}

impl<'e> Interpolator<'e> {
    pub(crate) fn new(env: &'e dyn Fn(&str) -> Option<String>, base: PathBuf) -> Self {
        Self {
            env,
            base,
            references: 0,
            total: 0,
            literal: false,
        }
    }

    pub(crate) fn resolve(&mut self, text: &str) -> Result<Resolved, Failure> {
        if self.literal {
            return Ok(Resolved {
                text: text.to_owned(),
                interpolated: false,
            });
        }
        let mut out = Resolved {
            text: String::new(),
            interpolated: false,
        };
        for piece in split(text)? {
            let value = match piece {
                Piece::Literal(literal) => {
                    out.text.push_str(literal);
                    continue;
                }
                Piece::Variable(name) => (self.env)(name).ok_or_else(|| {
                    Failure::unresolved(
                        format!("the environment variable `{name}` is not set"),
                        format!("set {name} before starting ferromcp, or write `$${{{name}}}` for that literal text"),
                    )
                })?,
                Piece::File(path) => read_secret(&self.base, path)?,
            };
            self.references += 1;
            self.total = self.total.saturating_add(value.len());
            if self.references > MAX_REFERENCES || self.total > MAX_TOTAL {
                return Err(Failure::syntax(
                    "the `${...}` references of this file bring in too much",
                    format!(
                        "at most {MAX_REFERENCES} references and {} MiB in all",
                        MAX_TOTAL / 1024 / 1024
                    ),
                ));
            }
            out.interpolated = true;
            out.text.push_str(&value);
        }
        Ok(out)
    }
}

/// Reads a small text file, without the line break at its end.
fn read_secret(base: &Path, path: &str) -> Result<String, Failure> {
    let full = base.join(path);
    let hint = "the path is relative to the config file; the file must be readable and hold text";
    let failed =
        |what: String| Failure::unresolved(format!("cannot read the file {}: {what}", quote(path)), hint);
    // Asked before opening: opening a named pipe would wait for a writer.
    let kind = std::fs::metadata(&full).map_err(|e| failed(plain_io(&e)))?;
    if !kind.is_file() {
        return Err(failed("it is not a regular file".into()));
    }
    let file = File::open(&full).map_err(|e| failed(plain_io(&e)))?;
    let mut bytes = Vec::new();
    file.take(MAX_SECRET_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| failed(plain_io(&e)))?;
    if bytes.len() as u64 > MAX_SECRET_FILE {
        return Err(failed(format!(
            "it is larger than {} KiB",
            MAX_SECRET_FILE / 1024
        )));
    }
    let mut text = String::from_utf8(bytes).map_err(|_| failed("it is not UTF-8".into()))?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

/// An I/O error in words that do not differ between systems where we know them.
pub(crate) fn plain_io(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "no such file or directory".into(),
        std::io::ErrorKind::PermissionDenied => "permission denied".into(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
