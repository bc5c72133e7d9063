//! `ferromcp init`: hosts found, merged, pointed at us, and given back; and the page that shows it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Peers, Session, eventually, ferromcp, finish, fixture, program};

/// A home directory with hosts, and a directory to work in.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join("work")).unwrap();
        Self(home)
    }

    fn path(&self, name: &str) -> PathBuf {
        // As the program sees it, also where the temporary directory is a link.
        self.0.path().canonicalize().unwrap().join(name)
    }

    fn put(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    fn surround(&self, command: &mut Command) {
        command
            .env("HOME", self.path(""))
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("APPDATA")
            .current_dir(self.path("work"));
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = ferromcp(arguments);
        self.surround(&mut command);
        command
    }

    fn run(&self, arguments: &[&str]) -> crate::support::Finished {
        finish(self.command(arguments), "")
    }

    /// Names of files in a directory of it.
    fn names(&self, directory: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(directory)).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

const CURSOR: &str = ".cursor/mcp.json";
const CODE: &str = ".config/Code/User/mcp.json";

fn fixture_as_host() -> String {
    let entry =
        json!({ "command": fixture(), "args": ["--stdio"], "env": { "API_TOKEN": "hunter2hunter2" } });
    format!("{{\n  \"theme\": \"x\",\n  \"mcpServers\": {{ \"fix\": {entry} }},\n  \"z\": [1,  2]\n}}\n")
}

/// What the host starts after `init` is a gateway with the host's own tools; after `--undo` the file is what it was.
#[test]
fn a_host_starts_its_servers_through_us_and_gets_them_back() {
    let home = Home::new();
    let before = fixture_as_host();
    let file = home.put(CURSOR, &before);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    let done = home.run(&["init", "--host", "cursor"]);
    assert_eq!(done.code, 0, "{done:?}");
    for text in [&done.stdout, &done.stderr] {
        assert!(!text.contains("hunter2"), "{done:?}");
    }
    let after = home.text(CURSOR);
    assert!(
        after.starts_with("{\n  \"theme\": \"x\",\n  \"mcpServers\": {\n    \"ferromcp\""),
        "{after}"
    );
    assert!(after.ends_with("},\n  \"z\": [1,  2]\n}\n"), "{after}");
    assert_eq!(
        std::fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o640
    );
    let yaml = std::fs::metadata(home.path("work/ferromcp.yaml")).unwrap();
    assert_eq!(yaml.permissions().mode() & 0o777, 0o600);

    // Started as the host would.
    let host: Value = serde_json::from_str(&after).unwrap();
    let entry = &host["mcpServers"]["ferromcp"];
    assert_eq!(entry["command"], program().to_str().unwrap());
    let mut command = Command::new(entry["command"].as_str().unwrap());
    command.args(
        entry["args"]
            .as_array()
            .unwrap()
            .iter()
            .map(|arg| arg.as_str().unwrap()),
    );
    command.current_dir("/");
    let mut session = Session::start(command);
    session.initialize();
    eventually("the server has started", || {
        let listed = session.legacy("tools/list", json!({}));
        listed.to_string().contains("fix__greet").then_some(())
    });
    let answer = session.legacy(
        "tools/call",
        json!({ "name": "fix__greet", "arguments": { "name": "Ada" } }),
    );
    assert!(answer.to_string().contains("Hello, Ada!"), "{answer}");
    drop(session);

    let again = home.run(&["init", "--host", "cursor"]);
    assert!(
        again.code == 0 && again.stdout.contains("starts ferromcp already"),
        "{again:?}"
    );
    assert_eq!(home.text(CURSOR), after);
    let (_, undo) = done.stdout.split_once("To take it back:\n  ferromcp ").unwrap();
    let undo: Vec<&str> = undo.lines().next().unwrap().split(' ').collect();
    let undone = home.run(&undo);
    assert_eq!(undone.code, 0, "{undone:?}");
    assert_eq!(home.text(CURSOR), before);
    assert_eq!(home.names(".cursor"), ["mcp.json"], "nothing is left behind");
}

#[test]
fn nothing_is_changed_without_being_told() {
    let home = Home::new();
    home.put(CURSOR, &fixture_as_host());
    let shown = home.run(&["init", "--dry-run", "--yes"]);
    assert!(
        shown.code == 0 && shown.stdout.contains("would start ferromcp"),
        "{shown:?}"
    );
    assert!(home.names("work").is_empty());
    let done = home.run(&["init"]);
    assert!(
        done.code == 0 && done.stdout.contains("No host was changed"),
        "{done:?}"
    );
    assert_eq!(home.text(CURSOR), fixture_as_host());
    assert_eq!(home.names(".cursor"), ["mcp.json"]);

    // Another server in a host: the file is not replaced without --force, which keeps the old one.
    let written = home.text("work/ferromcp.yaml");
    home.put(CODE, r#"{"servers": {"fix": {"command": "other"}}}"#);
    let refused = home.run(&["init", "--yes"]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(
        refused.stderr.contains("fix-vscode") && refused.stderr.contains("--force"),
        "{refused:?}"
    );
    assert_eq!(home.text("work/ferromcp.yaml"), written);
    assert_eq!(home.text(CURSOR), fixture_as_host());
    let forced = home.run(&["init", "--force"]);
    assert_eq!(forced.code, 0, "{forced:?}");
    assert!(home.text("work/ferromcp.yaml").contains("fix-vscode"));
    let kept = home.names("work");
    let kept = kept.iter().find(|name| name.ends_with(".bak")).expect("a backup");
    assert_eq!(home.text(&format!("work/{kept}")), written);
}

#[test]
fn without_hosts_the_file_has_the_built_in_tools() {
    let home = Home::new();
    let done = home.run(&["init"]);
    assert!(
        done.code == 0 && done.stdout.contains("No MCP host was found"),
        "{done:?}"
    );
    let checked = home.run(&["check"]);
    assert_eq!(checked.code, 0, "{checked:?}");
    let called = home.run(&["call", "echo", r#"{"msg":"hi"}"#, "--config", "ferromcp.yaml"]);
    assert!(called.code == 0 && called.stdout.contains("hi"), "{called:?}");
    for (arguments, said) in [
        (["init", "--host", "cursor"], "there is no"),
        (["init", "--host", "nowhere"], "neither a file nor one of"),
    ] {
        let refused = home.run(&arguments);
        assert!(refused.code == 2 && refused.stderr.contains(said), "{refused:?}");
    }
    let nowhere = home.run(&["init", "--config", "no/such/dir/f.yaml"]);
    assert!(
        nowhere.code == 1 && nowhere.stderr.contains("cannot write no/such/dir/f.yaml"),
        "{nowhere:?}"
    );
}

#[test]
fn bad_files_of_hosts_are_said_with_their_place_and_left_alone() {
    let deep = format!("{{\"mcpServers\": {}", "[".repeat(5000));
    let huge = format!("{{\"mcpServers\": {{}}, \"x\": \"{}\"}}", "y".repeat(5 << 20));
    for (text, said) in [
        ("{\"mcpServers\": {\"a\": {\"command\"", "mcp.json:1:"),
        ("{\"mcpServers\": [1]}", "found a list"),
        (
            "{\"mcpServers\": {\"a\": {\"command\": [\"hunter2hunter2\"]}}}",
            "expected",
        ),
        ("{\"mcpServers\": {}, \"mcpServers\": {}}", "appears twice"),
        (&deep, "nested too deeply"),
        (&huge, "larger than 4 MiB"),
    ] {
        let home = Home::new();
        let file = home.put(CURSOR, text);
        home.put(CODE, r#"{"servers": {"good": {"command": "x"}}}"#);
        let done = home.run(&["init", "--yes"]);
        assert_eq!(done.code, 0, "{done:?}");
        assert!(
            done.stderr.contains(said) && done.stderr.contains("Cursor: left out"),
            "{done:?}"
        );
        assert!(!done.stderr.contains("hunter2"), "{done:?}");
        assert!(home.text("work/ferromcp.yaml").contains("good:"));
        assert_eq!(home.text(CURSOR), text);
        let named = home.run(&["init", "--host", file.to_str().unwrap()]);
        assert!(named.code == 2 && named.stderr.contains(said), "{named:?}");
    }
}

#[test]
fn links_are_followed_and_what_cannot_be_written_stays() {
    let home = Home::new();
    let text = r#"{"mcpServers": {"a": {"command": "x"}}}"#;
    let real = home.put("dotfiles/cursor.json", text);
    std::fs::create_dir(home.path(".cursor")).unwrap();
    std::os::unix::fs::symlink(&real, home.path(CURSOR)).unwrap();
    home.put(CODE, r#"{"servers": {"a": {"command": "x"}}}"#);
    std::fs::set_permissions(home.path(CODE), std::fs::Permissions::from_mode(0o444)).unwrap();
    let done = home.run(&["init", "--yes"]);
    assert_eq!(done.code, 1, "{done:?}");
    assert!(
        done.stderr.contains("read-only") && done.stderr.contains("VS Code"),
        "{done:?}"
    );
    assert!(home.path(CURSOR).is_symlink());
    assert!(home.text("dotfiles/cursor.json").contains("ferromcp"));
    assert!(home.text(CODE).contains("\"command\": \"x\""));

    // What somebody changed since is not given back, and said.
    let changed = format!("{}\n", home.text(CURSOR));
    std::fs::write(&real, &changed).unwrap();
    let refused = home.run(&["init", "--undo", "--host", "cursor"]);
    assert!(
        refused.code == 1 && refused.stderr.contains("was changed since"),
        "{refused:?}"
    );
    assert_eq!(home.text(CURSOR), changed);
    std::fs::write(&real, changed.trim_end()).unwrap();
    let undone = home.run(&["init", "--undo", "--host", "cursor"]);
    assert_eq!(undone.code, 0, "{undone:?}");
    assert!(home.path(CURSOR).is_symlink() && home.text(CURSOR) == text);
}

/// At a terminal, each host is asked for.
#[test]
fn a_terminal_is_asked_host_by_host() {
    let home = Home::new();
    home.put(CURSOR, &fixture_as_host());
    home.put(CODE, r#"{"servers": {"a": {"command": "x"}}}"#);
    home.put(".claude.json", r#"{"mcpServers": {}}"#);
    let spawn = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";
    let mut command = Command::new(Peers::find().python);
    command.args(["-c", spawn]).arg(program()).arg("init");
    home.surround(&mut command);
    let done = finish(command, "what\nn\nyes\n\n");
    assert_eq!(done.code, 0, "{done:?}");
    let said = &done.stdout;
    assert!(
        said.contains("Let Claude Code start ferromcp") && said.contains("Please answer y or n."),
        "{done:?}"
    );
    assert!(home.text(CURSOR).contains("\"ferromcp\""), "{done:?}");
    for untouched in [".claude.json", CODE] {
        assert!(!home.text(untouched).contains("ferromcp"), "{done:?}");
    }
}

fn page() -> Vec<(String, Vec<String>)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .join("docs/first-run.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (_, block) = text.split_once("```console\n").unwrap();
    let block = block.split("\n```").next().unwrap();
    let mut commands: Vec<(String, Vec<String>)> = Vec::new();
    for line in block.lines() {
        match line.strip_prefix("$ ferromcp ") {
            Some(command) => commands.push((command.to_owned(), Vec::new())),
            None => commands.last_mut().unwrap().1.push(line.to_owned()),
        }
    }
    commands
}

/// Hashes, times and ports differ from run to run.
fn without_numbers(line: &str) -> String {
    let words = line.split(' ').map(|word| match word.split_once(".ferromcp-") {
        Some((name, _)) => format!("{name}.bak"),
        None => word.to_owned(),
    });
    let line = words.collect::<Vec<_>>().join(" ");
    let mut out = String::new();
    for c in line.chars() {
        match c {
            c if c.is_ascii_digit() && out.ends_with('0') => {}
            c if c.is_ascii_digit() => out.push('0'),
            c => out.push(c),
        }
    }
    out
}

#[test]
fn the_page_shows_what_is_printed() {
    let home = Home::new();
    let server = |name: &str| json!({ "command": name });
    let everything = server("mcp-server-everything");
    home.put(
        CURSOR,
        &json!({ "mcpServers": { "everything": everything } }).to_string(),
    );
    let code = json!({ "servers": { "everything": everything, "notes": server("mcp-server-notes") } });
    home.put(CODE, &code.to_string());
    let bin = home.path("bin");
    for (name, script) in [
        (
            "mcp-server-everything",
            format!("exec '{}' --stdio", fixture().display()),
        ),
        (
            "mcp-server-notes",
            "echo NOTES_DIR is not set >&2; exit 1".to_owned(),
        ),
    ] {
        let file = home.put(&format!("bin/{name}"), &format!("#!/bin/sh\n{script}\n"));
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    for (arguments, shown) in page() {
        let mut command = Command::new("sh");
        command
            .args(["-c", "ulimit -n 1024; exec \"$@\"", "sh"])
            .arg(program())
            .args(arguments.split(' '));
        home.surround(&mut command);
        let path = std::env::var("PATH").unwrap();
        command.env("PATH", format!("{}:{path}", bin.display()));
        let done = finish(command, "");
        let said = done
            .stdout
            .replace(home.path("").to_str().unwrap().trim_end_matches('/'), "$HOME");
        let said: Vec<String> = said.lines().map(without_numbers).collect();
        let shown: Vec<String> = shown.iter().map(|line| without_numbers(line)).collect();
        assert_eq!(said, shown, "ferromcp {arguments}: {done:?}");
        if arguments.starts_with("init --yes") {
            // Whatever else runs here must not be what the page is about.
            let file = home.text("work/ferromcp.yaml");
            home.put(
                "work/ferromcp.yaml",
                &format!("{file}listen: {{ http: \"127.0.0.1:0\" }}\n"),
            );
        }
    }
}
