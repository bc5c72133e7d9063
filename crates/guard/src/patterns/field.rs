//! What a field is for, judged by its name and its tool. The same text is an attack in one and the purpose of another.

/// Kinds of fields. A field that says nothing by its name takes the kind of the field around it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum FieldKind {
    /// Files and directories: `path`, `filename`, `cwd`, `output_dir`.
    Path,
    /// Arguments of one command: `args`, `flags`, and `command` outside of shells.
    Command,
    /// The command line of a tool that is a shell: `command` of `bash`, `run_command`, `terminal_exec`.
    Shell,
    /// `url`, `callback_url`, `endpoint`, `href`.
    Url,
    /// What is searched for or filtered by: `query`, `search`, `where`, and `code` outside of programming.
    Query,
    /// SQL by purpose: `sql`, and `query` of tools for databases; any query that begins as a statement.
    Sql,
    /// Goes into a header: `subject`, `to`, `referer`, `headers`.
    Header,
    /// Identifiers and short names: `id`, `username`, `email`, `host`, `branch`, `sort_by`.
    Name,
    /// Prose, and everything not known.
    #[default]
    Text,
    /// What files and programs consist of: `content`, `body`, `diff`, `html`, `new_string`, regular expressions.
    Content,
    /// Documents that the tool will parse: `xml`, `payload`, `data`.
    Data,
    /// An object key, outside of content.
    Key,
}

impl FieldKind {
    pub const ALL: [Self; 12] = [
        Self::Path,
        Self::Command,
        Self::Shell,
        Self::Url,
        Self::Query,
        Self::Sql,
        Self::Header,
        Self::Name,
        Self::Text,
        Self::Content,
        Self::Data,
        Self::Key,
    ];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Command => "command",
            Self::Shell => "shell",
            Self::Url => "url",
            Self::Query => "query",
            Self::Sql => "sql",
            Self::Header => "header",
            Self::Name => "name",
            Self::Text => "text",
            Self::Content => "content",
            Self::Data => "data",
            Self::Key => "key",
        }
    }

    /// The bit of the kind in sets of kinds.
    pub(crate) const fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// What a tool is by its name, as far as it changes what its fields are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Purpose {
    shell: bool,
    sql: bool,
    code: bool,
}

/// Longest name, of a tool or field, that is looked at.
const NAME_BYTES: usize = 64;

impl Purpose {
    pub(crate) fn of(tool: &str) -> Self {
        let mut purpose = Self::default();
        words(tool, |word| {
            purpose.shell |= matches!(
                word,
                "bash"
                    | "shell"
                    | "terminal"
                    | "command"
                    | "commands"
                    | "cmd"
                    | "powershell"
                    | "console"
                    | "ssh"
                    | "zsh"
            );
            purpose.sql |= matches!(
                word,
                "sql"
                    | "query"
                    | "database"
                    | "db"
                    | "postgres"
                    | "postgresql"
                    | "mysql"
                    | "mariadb"
                    | "sqlite"
                    | "mssql"
                    | "bigquery"
                    | "snowflake"
                    | "clickhouse"
                    | "duckdb"
                    | "redshift"
                    | "cypher"
                    | "neo4j"
            );
            purpose.code |= matches!(
                word,
                "code"
                    | "python"
                    | "js"
                    | "javascript"
                    | "typescript"
                    | "node"
                    | "execute"
                    | "exec"
                    | "run"
                    | "eval"
                    | "lint"
                    | "format"
                    | "review"
                    | "script"
                    | "snippet"
                    | "repl"
                    | "notebook"
                    | "cell"
                    | "file"
                    | "write"
                    | "edit"
                    | "sandbox"
                    | "debug"
                    | "compile"
                    | "explain"
                    | "test"
                    | "source"
                    | "program"
            );
        });
        purpose
    }

    /// The kind of field that `name` (decoded) is in this tool; none if the name does not say.
    pub(crate) fn field(self, name: &[u8]) -> Option<FieldKind> {
        let name = std::str::from_utf8(name)
            .ok()
            .filter(|name| name.len() <= NAME_BYTES)?;
        let mut kind = None;
        let mut before = None;
        words(name, |word| {
            before = kind;
            kind = word_kind(word).or_else(|| word_kind(word.strip_suffix('s')?));
        });
        // The last word names the thing, as in `output_file`; one that says nothing, as in `path_prefix`, is described.
        let kind = kind.or(before)?;
        Some(match kind {
            FieldKind::Command if self.shell && !matches!(name, "args" | "arguments") => FieldKind::Shell,
            FieldKind::Query if self.sql => FieldKind::Sql,
            FieldKind::Text if PARTS.iter().any(|part| name.starts_with(part)) => FieldKind::Content,
            _ if name == "code" && !self.code => FieldKind::Query,
            _ => kind,
        })
    }
}

/// What the text of a file is called, as in `file_text`, `newText`, `old_text`.
const PARTS: [&str; 5] = ["file", "new", "old", "insert", "replace"];

fn word_kind(word: &str) -> Option<FieldKind> {
    Some(match word {
        "path" | "file" | "filename" | "filepath" | "dir" | "directory" | "directories" | "folder"
        | "cwd" | "dest" | "destination" | "workdir" | "archive" | "entry" | "outfile" | "infile"
        | "basename" => FieldKind::Path,
        "output" | "root" => FieldKind::Path,
        "command" | "cmd" | "arg" | "args" | "argv" | "argument" | "exec" | "shell" | "flag" | "option" => {
            FieldKind::Command
        }
        "url" | "uri" | "href" | "link" | "endpoint" | "webhook" | "callback" | "redirect" | "src"
        | "site" => FieldKind::Url,
        "query" | "q" | "search" | "filter" | "where" | "condition" => FieldKind::Query,
        "sql" | "statement" | "ddl" | "dml" => FieldKind::Sql,
        "header" | "subject" | "from" | "to" | "cc" | "bcc" | "referer" | "referrer" | "origin"
        | "cookie" | "accept" | "location" | "agent" => FieldKind::Header,
        "id" | "name" | "username" | "user" | "login" | "slug" | "email" | "tag" | "label" | "branch"
        | "ref" | "nickname" | "host" | "hostname" | "domain" | "ip" | "address" | "printer" | "number"
        | "image" | "container" | "database" | "table" | "column" | "sort" | "by" | "category" | "status"
        | "type" | "token" | "password" | "tenant" | "group" | "role" | "city" | "country" => FieldKind::Name,
        "content" | "body" | "code" | "diff" | "patch" | "html" | "css" | "markdown" | "md" | "snippet"
        | "source" | "script" | "string" | "str" | "regex" | "pattern" | "glob" | "include" | "exclude"
        | "expression" | "expr" | "formula" | "jq" | "yaml" | "stdin" | "notebook" | "edit" | "value" => {
            FieldKind::Content
        }
        "xml" | "svg" | "payload" | "data" | "document" | "soap" | "feed" | "rss" | "json" | "row"
        | "record" => FieldKind::Data,
        "text" | "message" | "comment" | "title" | "description" | "note" | "prompt" | "bio" | "summary"
        | "template" => FieldKind::Text,
        _ => return None,
    })
}

/// Calls `each` with the words of a name in lower case: `filePath`, `file_path` and `FILE-PATH` have two.
fn words(name: &str, mut each: impl FnMut(&str)) {
    let mut word = [0_u8; NAME_BYTES];
    let mut len = 0;
    let mut upper = true;
    let mut flush = |word: &[u8]| {
        if let Ok(word) = std::str::from_utf8(word)
            && !word.is_empty()
        {
            each(word);
        }
    };
    for byte in name.bytes().take(4 * NAME_BYTES) {
        let letter = byte.is_ascii_alphanumeric();
        if !letter || (byte.is_ascii_uppercase() && !upper) {
            flush(&word[..len]);
            len = 0;
        }
        upper = byte.is_ascii_uppercase();
        if letter && len < NAME_BYTES {
            word[len] = byte.to_ascii_lowercase();
            len += 1;
        }
    }
    flush(&word[..len]);
}

#[cfg(test)]
mod tests {
    use super::{FieldKind, Purpose};

    fn kind(tool: &str, field: &str) -> Option<FieldKind> {
        Purpose::of(tool).field(field.as_bytes())
    }

    #[test]
    fn names_say_what_a_field_is_for() {
        for name in [
            "path",
            "filePath",
            "output_dir",
            "OUTPUT-DIR",
            "paths",
            "file_path",
            "FILE",
        ] {
            assert_eq!(kind("x", name), Some(FieldKind::Path), "{name}");
        }
        assert_eq!(kind("bash", "command"), Some(FieldKind::Shell));
        assert_eq!(kind("runCommand", "cmd"), Some(FieldKind::Shell));
        assert_eq!(kind("git_log", "args"), Some(FieldKind::Command));
        assert_eq!(kind("execute_query", "query"), Some(FieldKind::Sql));
        assert_eq!(kind("search", "query"), Some(FieldKind::Query));
        assert_eq!(kind("execute_python", "code"), Some(FieldKind::Content));
        assert_eq!(kind("redeem_coupon", "code"), Some(FieldKind::Query));
        assert_eq!(kind("x", "callback_url"), Some(FieldKind::Url));
        assert_eq!(kind("x", "user_agent"), Some(FieldKind::Header));
        assert_eq!(kind("x", "path_prefix"), Some(FieldKind::Path));
        assert_eq!(kind("x", "file_text"), Some(FieldKind::Content));
        assert_eq!(kind("x", "newText"), Some(FieldKind::Content));
        assert_eq!(kind("x", "whatever"), None);
        assert_eq!(kind("x", ""), None);
        assert_eq!(kind("x", &"path_".repeat(13)), None);
    }
}
