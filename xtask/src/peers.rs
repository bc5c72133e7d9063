//! `cargo xtask peers`: other people's MCP clients, installed at exact versions and run against us.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::process::{Finished, Line, Running, capture, free_address, run};
use crate::report::{Suite, conclude};
use crate::{Outcome, browser, suite, workspace};

pub(crate) const HELP: &str = "\
cargo xtask peers [--install] [--server NAME] [--client NAME] [--transport stdio|http] [--no-build]

Runs every client in tests/peers, in every era it speaks, over stdio and HTTP, against `ferromcp serve` and the
conformance fixture. --install only installs into .peers/ and prints what to use. --server, --client and
--transport narrow it down: servers are serve, fixture, and (to check the scripts themselves) reference and
everything; clients are sdk-1, client-2, inspector, client_mcp and client_fastmcp. --no-build uses the programs as
they were built last.";

/// One client script takes seconds; this only ends one that hangs.
const SCRIPT_LIMIT: Duration = Duration::from_secs(900);
pub(crate) const START_LIMIT: Duration = Duration::from_secs(60);
pub(crate) const STOP_LIMIT: Duration = Duration::from_secs(40);

/// Script, eras it speaks.
const CLIENTS: &[(&str, &[&str])] = &[
    ("sdk-1", &["legacy"]),
    ("client-2", &["legacy", "modern"]),
    ("inspector", &["legacy", "modern"]),
    ("client_mcp", &["legacy", "modern"]),
    ("client_fastmcp", &["legacy", "modern"]),
];

/// The installed programs.
pub(crate) struct Tools {
    /// The directory with `node_modules` and the scripts.
    pub(crate) node_directory: PathBuf,
    pub(crate) node: PathBuf,
    pub(crate) python: PathBuf,
}

impl Tools {
    /// What Rust tests read to find the peers.
    pub(crate) fn environment(&self) -> Vec<(&'static str, OsString)> {
        vec![
            ("FERROMCP_PEERS_NODE", self.node.clone().into_os_string()),
            (
                "FERROMCP_PEERS_NODE_DIR",
                self.node_directory.clone().into_os_string(),
            ),
            ("FERROMCP_PEERS_PYTHON", self.python.clone().into_os_string()),
        ]
    }

    /// A file of an installed npm package.
    pub(crate) fn module(&self, path: &str) -> PathBuf {
        self.node_directory.join("node_modules").join(path)
    }
}

pub(crate) fn main(arguments: &[String]) -> Outcome {
    let mut selection = Selection::default();
    let mut only_install = false;
    let mut build = true;
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let slot = match argument.as_str() {
            "--install" => {
                only_install = true;
                continue;
            }
            "--no-build" => {
                build = false;
                continue;
            }
            "--server" => &mut selection.server,
            "--client" => &mut selection.client,
            "--transport" => &mut selection.transport,
            other => return Err(format!("`{other}` is no option; see cargo xtask peers --help")),
        };
        *slot = Some(
            arguments
                .next()
                .ok_or_else(|| format!("{argument} needs a value"))?
                .clone(),
        );
    }
    let tools = install()?;
    if only_install {
        browser::install()?;
        for (name, value) in tools.environment() {
            println!("{name}={}", value.display());
        }
        return Ok(());
    }
    if build && !matches!(selection.server.as_deref(), Some("reference" | "everything")) {
        suite::build()?;
    }
    conclude(&suites(&tools, Some(&selection))?)
}

#[derive(Default)]
pub(crate) struct Selection {
    server: Option<String>,
    client: Option<String>,
    transport: Option<String>,
}

/// Installs what is missing or out of date; cheap when nothing is.
pub(crate) fn install() -> Result<Tools, String> {
    let root = workspace::root();
    let peers = root.join(".peers");
    let node_directory = peers.join("node");
    install_npm(&root.join("tests/peers/node"), &node_directory, || Ok(()))?;
    let node = find_node(&node_directory)?;
    let venv = peers.join("venv");
    install_python(&root.join("tests/peers/python/requirements.txt"), &venv)?;
    Ok(Tools {
        node,
        python: venv.join("bin/python"),
        node_directory,
    })
}

/// Python with what the tests of the packages need.
pub(crate) fn install_packages() -> Result<PathBuf, String> {
    let root = workspace::root();
    let venv = root.join(".peers/packaging");
    install_python(&root.join("packaging/tests/requirements.txt"), &venv)?;
    Ok(venv.join("bin/python"))
}

/// The npm packages and scripts of `from`, once for each lock file; `finish` makes of them what is used.
pub(crate) fn install_npm(from: &Path, to: &Path, finish: impl FnOnce() -> Outcome) -> Outcome {
    make_directory(to)?;
    // Node resolves imports from where a script lies, so the scripts live beside node_modules.
    for name in names_in(from)? {
        if name.ends_with(".mjs") {
            copy(&from.join(&name), &to.join(&name))?;
        }
    }
    let mut wanted = read(&from.join("package.json"))?;
    wanted.extend(read(&from.join("package-lock.json"))?);
    let stamp = to.join("installed");
    if std::fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    println!("installing npm packages into {}", to.display());
    for name in ["package.json", "package-lock.json"] {
        copy(&from.join(name), &to.join(name))?;
    }
    run(Command::new("npm")
        .current_dir(to)
        .args(["ci", "--no-audit", "--no-fund", "--loglevel", "error"]))
    .map_err(|message| format!("{message}\n  npm comes with Node: install Node 20 or newer"))?;
    finish()?;
    write(&stamp, &wanted)
}

/// Node 22: the one that was installed as an npm package, else the machine's own when it is new enough.
fn find_node(directory: &Path) -> Result<PathBuf, String> {
    let candidates = [
        directory.join("node_modules/node/bin/node"),
        PathBuf::from("node"),
    ];
    for candidate in candidates {
        let output = Command::new(&candidate)
            .arg("--version")
            .stderr(Stdio::null())
            .output();
        let Ok(output) = output else { continue };
        let version = String::from_utf8_lossy(&output.stdout)
            .trim()
            .trim_start_matches('v')
            .to_owned();
        let major = version
            .split('.')
            .next()
            .and_then(|major| major.parse::<u32>().ok());
        if major.is_some_and(|major| major >= 22) {
            return Ok(candidate);
        }
    }
    Err(
        "no Node 22: the npm package `node` did not install its program; is its install script allowed?"
            .to_owned(),
    )
}

/// An environment with exactly what `requirements` lists.
pub(crate) fn install_python(requirements: &Path, venv: &Path) -> Outcome {
    let wanted = read(requirements)?;
    let stamp = venv.join("installed");
    if std::fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    println!("installing Python packages into {}", venv.display());
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(venv))
        .map_err(|message| format!("{message}\n  install Python 3.10 or newer with its venv module"))?;
    run(Command::new(venv.join("bin/python"))
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            "--requirement",
        ])
        .arg(requirements))?;
    write(&stamp, &wanted)
}

/// All clients against the servers of the selection; without one, against both of ours.
pub(crate) fn suites(tools: &Tools, selection: Option<&Selection>) -> Result<Vec<Suite>, String> {
    let everything = Selection::default();
    let selection = selection.unwrap_or(&everything);
    let chosen = |wanted: &Option<String>, name: &str| wanted.as_deref().is_none_or(|wanted| wanted == name);
    let servers = match selection.server.as_deref() {
        None => vec!["serve", "fixture"],
        Some(one) => vec![one],
    };
    let mut suites = Vec::new();
    for server in servers {
        for transport in ["stdio", "http"] {
            if !chosen(&selection.transport, transport) {
                continue;
            }
            let target = Target::start(tools, server, transport)?;
            for (client, eras) in CLIENTS
                .iter()
                .filter(|(client, _)| chosen(&selection.client, client))
            {
                for era in *eras {
                    // A server of one era only is there to check the scripts.
                    if server == "everything" && *era == "modern" {
                        continue;
                    }
                    suites.push(one(tools, server, transport, client, era, &target)?);
                }
            }
            if let Some(mut suite) = target.stop(server) {
                suite.name = format!("{server} {transport}: ends cleanly");
                suites.push(suite);
            }
        }
    }
    Ok(suites)
}

/// A server under test: a program that each client starts, or one that runs already.
struct Target {
    words: Vec<OsString>,
    running: Option<Running>,
    log: PathBuf,
}

impl Target {
    fn start(tools: &Tools, server: &str, transport: &str) -> Result<Self, String> {
        let log = workspace::target_directory()?.join(format!("peers-{server}.log"));
        if transport == "stdio" {
            let words = program(tools, server, None)?;
            return Ok(Self {
                words,
                running: None,
                log,
            });
        }
        let address = free_address()?;
        let words = program(tools, server, Some(address))?;
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).env("PORT", address.port().to_string());
        let mut running = Running::start(&mut command, &log)?;
        running
            .wait_for_port(address, START_LIMIT)
            .map_err(|message| format!("{server}: {message}\n{}", tail_of(&log)))?;
        Ok(Self {
            words: vec![format!("http://{address}/mcp").into()],
            running: Some(running),
            log,
        })
    }

    /// Stops a server that we started; its unclean end is a failure of its own.
    fn stop(self, server: &str) -> Option<Suite> {
        let mut running = self.running?;
        let mut suite = Suite::new("");
        let started = Instant::now();
        if running.alive() {
            match running.stop(STOP_LIMIT) {
                Ok(status) if status.success() => suite.passed += 1,
                // Only the product promises to answer SIGTERM with a clean end.
                Ok(status) if server != "serve" && status.code().is_none() => suite.passed += 1,
                Ok(status) => suite.fail("stop", format!("{status}\n{}", tail_of(&self.log))),
                Err(message) => suite.fail("stop", format!("{message}\n{}", tail_of(&self.log))),
            }
        } else {
            suite.fail(
                "stop",
                format!("it had ended before it was asked to\n{}", tail_of(&self.log)),
            );
        }
        suite.took = started.elapsed();
        Some(suite)
    }
}

/// The command line of a server, for stdio or for HTTP on `address`.
fn program(
    tools: &Tools,
    server: &str,
    address: Option<std::net::SocketAddr>,
) -> Result<Vec<OsString>, String> {
    let binaries = workspace::target_directory()?.join("debug");
    let node = tools.node.clone().into_os_string();
    let mut words: Vec<OsString> = match server {
        "serve" => vec![binaries.join("ferromcp").into(), "serve".into(), "--mode".into()],
        "fixture" => vec![binaries.join("examples/conformance").into()],
        "reference" => vec![node, tools.node_directory.join("reference-server.mjs").into()],
        "everything" => {
            vec![
                node,
                tools
                    .module("@modelcontextprotocol/server-everything/dist/index.js")
                    .into(),
            ]
        }
        other => {
            return Err(format!(
                "no server `{other}`: serve, fixture, reference, everything"
            ));
        }
    };
    match (server, address) {
        ("serve", None) => words.push("stdio".into()),
        ("serve", Some(address)) => {
            words.extend(["http", "--addr", &address.to_string()].map(OsString::from));
        }
        ("fixture", None) => words.push("--stdio".into()),
        ("fixture", Some(address)) => words.extend(["--addr", &address.to_string()].map(OsString::from)),
        (_, None) => words.push("stdio".into()),
        ("reference", Some(address)) => {
            words.extend(["http", &address.port().to_string()].map(OsString::from));
        }
        (_, Some(_)) => words.push("streamableHttp".into()),
    }
    Ok(words)
}

fn one(
    tools: &Tools,
    server: &str,
    transport: &str,
    client: &str,
    era: &str,
    target: &Target,
) -> Result<Suite, String> {
    let root = workspace::root();
    let script = tools.node_directory.join(format!("{client}.mjs"));
    let mut command = if script.exists() {
        let mut command = Command::new(&tools.node);
        command.arg(script);
        command
    } else {
        let mut command = Command::new(&tools.python);
        command.arg(root.join(format!("tests/peers/python/{client}.py")));
        command
    };
    command.current_dir(&root).env("PYTHONDONTWRITEBYTECODE", "1");
    command
        .arg(root.join("tests/peers/profiles.json"))
        .args([server, era, transport])
        .args(&target.words);
    let started = Instant::now();
    let finished = capture(&mut command, SCRIPT_LIMIT, false)?;
    let mut suite = read_cases(&finished);
    suite.name = format!("{server} {transport}: {client} {era}");
    suite.took = started.elapsed();
    if !suite.failures.is_empty() && target.running.is_some() {
        suite.fail("what the server said", tail_of(&target.log));
        // The log is part of the failures above, not one more of them.
        merge_last_failure(&mut suite);
    }
    println!(
        "{:<40} {} passed, {} failed, {:.1} s",
        suite.name,
        suite.passed,
        suite.failures.len(),
        suite.took.as_secs_f64()
    );
    Ok(suite)
}

fn merge_last_failure(suite: &mut Suite) {
    if let Some(log) = suite.failures.pop()
        && let Some(last) = suite.failures.last_mut()
    {
        last.detail.push_str(&format!("\n{}:\n{}", log.name, log.detail));
    }
}

/// The script's JSON lines as passed and failed cases; an end without a verdict is a failure.
fn read_cases(finished: &Finished) -> Suite {
    let mut suite = Suite::new("");
    for Line { text, .. } in finished.lines.iter().filter(|line| line.stdout) {
        let Ok(case) = serde_json::from_str::<Value>(text) else {
            continue;
        };
        let name = case["name"].as_str().unwrap_or("unnamed");
        match case["ok"].as_bool() {
            Some(true) => suite.passed += 1,
            Some(false) => suite.fail(name, case["detail"].as_str().unwrap_or_default()),
            None => {}
        }
    }
    if !finished.success() && suite.failures.is_empty() {
        suite.fail(finished.ending(SCRIPT_LIMIT), finished.tail(40));
    }
    suite
}

/// The end of a server's log.
pub(crate) fn tail_of(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

fn make_directory(path: &Path) -> Outcome {
    std::fs::create_dir_all(path).map_err(|error| format!("cannot create {}: {error}", path.display()))
}

fn names_in(path: &Path) -> Result<Vec<String>, String> {
    let entries =
        std::fs::read_dir(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    Ok(entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect())
}

fn copy(from: &Path, to: &Path) -> Outcome {
    std::fs::copy(from, to)
        .map(|_| ())
        .map_err(|error| format!("cannot copy {} to {}: {error}", from.display(), to.display()))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

fn write(path: &Path, bytes: &[u8]) -> Outcome {
    std::fs::write(path, bytes).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finished(lines: &[&str]) -> Finished {
        let lines = lines
            .iter()
            .map(|text| Line {
                stdout: true,
                text: (*text).to_owned(),
            })
            .collect();
        Finished { status: None, lines }
    }

    #[test]
    fn json_lines_become_cases_and_noise_is_ignored() {
        let suite = read_cases(&finished(&[
            r#"{"name":"a","ok":true,"detail":""}"#,
            "noise",
            r#"{"name":"b","ok":false,"detail":"because"}"#,
        ]));
        assert_eq!((suite.passed, suite.failures.len()), (1, 1));
        assert_eq!(suite.failures[0].name, "b");
        assert_eq!(suite.failures[0].detail, "because");
    }

    #[test]
    fn a_script_that_died_without_a_verdict_has_failed() {
        let suite = read_cases(&finished(&[r#"{"name":"a","ok":true,"detail":""}"#]));
        assert_eq!((suite.passed, suite.failures.len()), (1, 1));
    }
}
