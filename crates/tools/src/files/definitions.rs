//! What callers are told of the file tools.

use serde_json::{Value, json};

use super::jail::{Jail, MAX_PATH};
use super::walk::Kind;
use super::{FilesSettings, Tool, list, search};

pub(super) fn definition(tool: Tool, settings: &FilesSettings, jail: &Jail) -> Value {
    match tool {
        Tool::List => list_dir(jail),
        Tool::Read => read_file(settings, jail),
        Tool::Write => write_file(settings, jail),
        Tool::Delete => delete_file(jail),
        Tool::Search => search_files(settings, jail),
    }
}

fn path(what: &str, jail: &Jail) -> Value {
    json!({
        "type": "string",
        "maxLength": MAX_PATH,
        "description": format!("{what} Inside of {}. {} \"..\" is not allowed.", jail.names(), jail.addressing()),
    })
}

fn tool(name: &str, title: &str, description: &str, input: &Value, hints: [bool; 3]) -> Value {
    let [read_only, destructive, idempotent] = hints;
    json!({
        "name": name,
        "title": title,
        "description": description,
        "inputSchema": input,
        "annotations": {
            "title": title,
            "readOnlyHint": read_only,
            "destructiveHint": destructive,
            "idempotentHint": idempotent,
            "openWorldHint": false,
        },
    })
}

fn object(properties: &Value, required: &[&str]) -> Value {
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

fn list_dir(jail: &Jail) -> Value {
    let mut made = tool(
        Tool::List.name(),
        "List a directory",
        "Lists what is in a directory, sorted by name: type, size in bytes and time of the last change. With \
         \"depth\" above 1 also what is in its subdirectories. Symbolic links are listed, not followed. The paths \
         in the answer can be used with the other file tools as they are.",
        &object(
            &json!({
                "path": path("The directory; default \".\".", jail),
                "depth": {"type": "integer", "minimum": 1, "maximum": list::MAX_DEPTH, "default": 1,
                    "description": "Levels to list: 1 is the directory itself, 2 its subdirectories too."},
                "limit": {"type": "integer", "minimum": 1, "maximum": list::MAX_LIMIT, "default": list::DEFAULT_LIMIT,
                    "description": "Most entries to return."},
            }),
            &[],
        ),
        [true, false, true],
    );
    let entry = object(
        &json!({
            "name": {"type": "string"},
            "path": {"type": "string", "description": "For use with the other file tools."},
            "type": {"type": "string", "enum": Kind::NAMES},
            "size": {"type": "integer", "minimum": 0, "description": "Bytes; files only."},
            "modified": {"type": "string", "description": "Time of the last change, RFC 3339, UTC."},
            "lossy": {"type": "boolean",
                "description": "The name is not UTF-8; it is shown with replacement characters and cannot be used."},
        }),
        &["name", "path", "type"],
    );
    made["outputSchema"] = object(
        &json!({
            "path": {"type": "string"},
            "entries": {"type": "array", "items": entry},
            "truncated": {"type": "boolean", "description": "There are more entries than were returned."},
            "unreadable": {"type": "integer", "minimum": 0, "description": "Subdirectories that could not be read."},
        }),
        &["path", "entries", "truncated", "unreadable"],
    );
    made
}

fn read_file(settings: &FilesSettings, jail: &Jail) -> Value {
    let max = settings.max_read;
    tool(
        Tool::Read.name(),
        "Read a file",
        &format!(
            "Returns what is in a file: text as it is, PNG, JPEG, GIF and WebP as an image, anything else as base64. \
             At most {max} bytes at a time; a longer text is cut after a whole line, and a second block of text \
             beginning with \"[cut:\" says how to go on. For parts of a text file use \"offset\" and \"limit\"."
        ),
        &object(
            &json!({
                "path": path("The file.", jail),
                "offset": {"type": "integer", "minimum": 1, "default": 1,
                    "description": "First line to return, counted from 1. Text files only."},
                "limit": {"type": "integer", "minimum": 1,
                    "description": "Most lines to return; default as many as fit. Text files only."},
            }),
            &["path"],
        ),
        [true, false, true],
    )
}

fn write_file(settings: &FilesSettings, jail: &Jail) -> Value {
    let max = settings.max_write;
    tool(
        Tool::Write.name(),
        "Write a file",
        &format!(
            "Writes text to a file, as UTF-8. By default the file is made, or replaced as a whole if it exists: \
             readers see the old content or the new, never a part. At most {max} bytes at a time (the server may \
             allow less in one argument); write a longer text in parts with \"mode\": \"append\"."
        ),
        &object(
            &json!({
                "path": path("The file.", jail),
                "content": {"type": "string", "description": "All that is to be in the file, or to be added to it."},
                "mode": {"type": "string", "enum": ["create", "overwrite", "append"], "default": "overwrite",
                    "description": "create: fail if the file exists. overwrite: replace it. append: add to its end, \
                                    or make it."},
                "create_dirs": {"type": "boolean", "default": false,
                    "description": "Make the directories on the way that are missing."},
            }),
            &["path", "content"],
        ),
        [false, true, false],
    )
}

fn delete_file(jail: &Jail) -> Value {
    tool(
        Tool::Delete.name(),
        "Delete a file",
        "Deletes a file or an empty directory, for good. Of a symbolic link the link goes, not what it points to. \
         Directories with something in them are not deleted.",
        &object(
            &json!({"path": path("The file or empty directory.", jail)}),
            &["path"],
        ),
        [false, true, true],
    )
}

fn search_files(settings: &FilesSettings, jail: &Jail) -> Value {
    let limits = &settings.search;
    let mut made = tool(
        Tool::Search.name(),
        "Search files",
        &format!(
            "Finds files and directories by name (\"pattern\"), or lines in text files (\"content\"), or lines in \
             files of certain names (both), in a directory and all below it. Symbolic links are not followed. \
             Content is searched in the first {} bytes of each file. One search ends after {} entries, {} bytes or \
             {} seconds; the answer says if it is not complete.",
            limits.max_file_bytes,
            limits.max_entries,
            limits.max_bytes,
            limits.max_time.as_secs()
        ),
        &object(
            &json!({
                "path": path("Where to search: a directory, or a single file with \"content\"; default \".\".", jail),
                "pattern": {"type": "string", "maxLength": search::MAX_PATTERN,
                    "description": "Glob on names: *, ?, [a-z], {a,b}. With a \"/\" in it, it is matched against the \
                                    path from where the search starts, and ** stands for any directories, as in \
                                    \"src/**/*.rs\". Default: every name."},
                "content": {"type": "string", "minLength": 1, "maxLength": search::MAX_PATTERN,
                    "description": "Regular expression (RE2-like syntax, no look-around, no back-references), matched \
                                    line by line."},
                "ignore_case": {"type": "boolean", "default": false,
                    "description": "Upper and lower case are the same, in pattern and content."},
                "hidden": {"type": "boolean", "default": false,
                    "description": "Search names that begin with a dot too, and what is in such directories."},
                "max_results": {"type": "integer", "minimum": 1, "maximum": search::MAX_RESULTS,
                    "default": search::DEFAULT_RESULTS, "description": "Most matches to return."},
            }),
            &[],
        ),
        [true, false, true],
    );
    let found = object(
        &json!({
            "path": {"type": "string", "description": "For use with the other file tools."},
            "type": {"type": "string", "enum": Kind::NAMES},
            "line": {"type": "integer", "minimum": 1, "description": "Line number, for \"offset\" of read_file."},
            "text": {"type": "string", "description": "The line, or the part of it around the match."},
        }),
        &["path", "type"],
    );
    made["outputSchema"] = object(
        &json!({
            "matches": {"type": "array", "items": found},
            "entries": {"type": "integer", "minimum": 0, "description": "Files and directories looked at."},
            "files": {"type": "integer", "minimum": 0, "description": "Files whose content was searched."},
            "skipped": {"type": "integer", "minimum": 0,
                "description": "Binary or unreadable files, and unreadable directories."},
            "partial": {"type": "integer", "minimum": 0, "description": "Files searched in their first part only."},
            "complete": {"type": "boolean", "description": "Nothing was left out for a limit of the search."},
            "stopped_by": {"type": "string", "enum": ["results", "time", "bytes", "entries", "depth"],
                "description": "The limit, if it is not complete."},
        }),
        &["matches", "entries", "files", "skipped", "partial", "complete"],
    );
    made
}
