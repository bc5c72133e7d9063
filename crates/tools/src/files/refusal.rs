//! Why a file tool did not do what it was asked for, in words for a model: what happened, and what
//! is possible instead. Names paths only as callers address them.

use std::io::{Error, ErrorKind};

use ferromcp_core::Payload;

/// Longest part of a path that is repeated, in characters.
const SHOWN: usize = 200;

/// A tool error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal(String);

impl Refusal {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// `doing` completes "cannot ...": "read", "list the directory".
    pub(super) fn io(doing: &str, path: &str, error: &Error) -> Self {
        let path_shown = quoted(path);
        let why = match error.kind() {
            ErrorKind::NotFound if path.contains('\\') => {
                "it does not exist; names in paths are separated by \"/\"".to_owned()
            }
            ErrorKind::NotFound => "it does not exist; list_dir and search_files show what there is".to_owned(),
            // cap-std's own refusal carries no number of the system.
            ErrorKind::PermissionDenied if error.raw_os_error().is_none() => {
                "it leads out of its root directory through a symbolic link, and only what is inside can be used".to_owned()
            }
            ErrorKind::PermissionDenied => "the server's user has no permission for it".to_owned(),
            ErrorKind::NotADirectory => "it, or a part of it, is not a directory".to_owned(),
            ErrorKind::IsADirectory => "it is a directory".to_owned(),
            ErrorKind::DirectoryNotEmpty => {
                "the directory is not empty; delete what is in it first, file by file".to_owned()
            }
            ErrorKind::AlreadyExists => "something with this name exists".to_owned(),
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "there is no space left on the disk".to_owned(),
            ErrorKind::ReadOnlyFilesystem => "the file system is read-only".to_owned(),
            ErrorKind::InvalidFilename => "the name is not possible on this file system".to_owned(),
            _ => error.to_string(),
        };
        Self(format!("cannot {doing} {path_shown}: {why}"))
    }

    pub(super) fn payload(&self) -> Payload {
        Payload::error_text(&self.0)
    }
}

/// A path for use in a sentence: in quotes, without control characters, not too long.
pub(super) fn quoted(path: &str) -> String {
    match path.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}...", &path[..end]),
        None => format!("{path:?}"),
    }
}

/// A name for use in a line of its own: without control characters, which could fake lines.
pub(super) fn one_line(name: &str) -> std::borrow::Cow<'_, str> {
    if name.contains(char::is_control) {
        name.chars()
            .flat_map(|c| {
                let escaped = c.is_control().then(|| c.escape_default());
                let plain = (!c.is_control()).then_some(c);
                escaped.into_iter().flatten().chain(plain)
            })
            .collect()
    } else {
        name.into()
    }
}
