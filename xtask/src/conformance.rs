//! `cargo xtask conformance`: the official MCP conformance suites against the fixture server.
//!
//! The suites judge themselves mildly: warnings pass, and pending and extension scenarios are not scored. Here
//! every check of every scenario counts, and a scenario that should have run and left no result has failed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::peers::{START_LIMIT, STOP_LIMIT, Tools, install, tail_of};
use crate::process::{Running, capture, free_address};
use crate::report::{Suite, conclude};
use crate::through::{self, Way};
use crate::{Outcome, suite, workspace};

pub(crate) const HELP: &str = "\
cargo xtask conformance [--client] [--suite NAME] [--scenario NAME] [--url URL | --through WAY] [--release] [--no-build]

Runs @modelcontextprotocol/conformance against the fixture (cargo run -p ferromcp --example conformance), which
it builds, starts on a free port and stops. Suites: `0.1` (version 0.1.16, all scenarios), `2025-11-25` and
`2026-07-28` (version 0.2.0-alpha.12, everything those revisions require and the pending and extension
scenarios that apply). Warnings are failures. Known failures stand in tests/conformance/expected-failures.yml.

--url tests a server that runs already, in place of the fixture. --through puts the gateway in front of the fixture,
which it speaks to in one era over one transport: legacy-stdio, legacy-http, modern-stdio, modern-http, or all of
them; short runs a few scenarios each way, as `cargo xtask test` does; what the protocol makes impossible stands in
tests/conformance/through-legacy.yml and through-modern.yml.
--client runs the client suites of the same names instead, against our upstream client (cargo run -p ferromcp-upstream
--example conformance-client).
--release builds the fixture with optimisation;
--no-build uses it as it was built last.";

/// What is under test.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Server,
    Client,
}

impl Side {
    const fn word(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
        }
    }
}

const SUITES: &[(&str, &str, &[&str])] = &[
    ("0.1", "conformance-0-1", &["--suite", "all"]),
    ("2025-11-25", "conformance-0-2", &["--requirements", "2025-11-25"]),
    ("2026-07-28", "conformance-0-2", &["--requirements", "2026-07-28"]),
];
const LIMIT: Duration = Duration::from_secs(900);
const EXPECTED_FAILURES: &str = "tests/conformance/expected-failures.yml";

#[derive(Default)]
pub(crate) struct Selection {
    suite: Option<String>,
    scenario: Option<String>,
    url: Option<String>,
    through: Option<String>,
    release: bool,
    client: bool,
}

impl Selection {
    /// One scenario against a server that runs.
    pub(crate) fn one(suite: &str, scenario: &str, url: &str) -> Self {
        Self {
            suite: Some(suite.to_owned()),
            scenario: Some(scenario.to_owned()),
            url: Some(url.to_owned()),
            ..Self::default()
        }
    }

    fn side(&self) -> Side {
        if self.client { Side::Client } else { Side::Server }
    }
}

pub(crate) fn main(arguments: &[String]) -> Outcome {
    let mut selection = Selection::default();
    let mut build = true;
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let slot = match argument.as_str() {
            "--release" => {
                selection.release = true;
                continue;
            }
            "--no-build" => {
                build = false;
                continue;
            }
            "--client" => {
                selection.client = true;
                continue;
            }
            "--suite" => &mut selection.suite,
            "--scenario" => &mut selection.scenario,
            "--url" => &mut selection.url,
            "--through" => &mut selection.through,
            other => {
                return Err(format!(
                    "`{other}` is no option; see cargo xtask conformance --help"
                ));
            }
        };
        *slot = Some(
            arguments
                .next()
                .ok_or_else(|| format!("{argument} needs a value"))?
                .clone(),
        );
    }
    if let Some(name) = &selection.suite
        && !SUITES.iter().any(|(suite, ..)| suite == name)
    {
        return Err(format!("no suite `{name}`: 0.1, 2025-11-25, 2026-07-28"));
    }
    if selection.client && (selection.url.is_some() || selection.through.is_some()) {
        return Err("--url and --through are about servers, and --client is not".to_owned());
    }
    let tools = install()?;
    if build && selection.url.is_none() {
        build_program(&selection)?;
    }
    conclude(&suites(&tools, &selection)?)
}

fn build_program(selection: &Selection) -> Outcome {
    let (package, example) = match selection.side() {
        Side::Server if !selection.release => return suite::build(),
        Side::Server => ("ferromcp", "conformance"),
        Side::Client => ("ferromcp-upstream", "conformance-client"),
    };
    let mut build = workspace::cargo();
    build.args([
        "build",
        "--package",
        package,
        "--all-features",
        "--example",
        example,
    ]);
    if selection.release {
        build.arg("--release");
    }
    crate::process::run(&mut build)
}

/// The suites of both sides, and a few scenarios through the gateway.
pub(crate) fn everything(tools: &Tools) -> Result<Vec<Suite>, String> {
    let mut all = suites(tools, &Selection::default())?;
    let client = Selection {
        client: true,
        ..Selection::default()
    };
    all.extend(suites(tools, &client)?);
    all.extend(through::short(tools)?);
    Ok(all)
}

/// Runs the selected suites; everything but `--through` by default.
fn suites(tools: &Tools, selection: &Selection) -> Result<Vec<Suite>, String> {
    let Some(wanted) = &selection.through else {
        return suites_of(tools, selection, EXPECTED_FAILURES, None);
    };
    if selection.url.is_some() {
        return Err("--through and --url exclude each other".to_owned());
    }
    if wanted == "short" {
        return through::short(tools);
    }
    let mut suites = Vec::new();
    for way in through::WAYS
        .iter()
        .filter(|way| wanted == "all" || *wanted == way.name)
    {
        suites.extend(suites_of(tools, selection, way.expected, Some(way))?);
    }
    if suites.is_empty() {
        let names: Vec<_> = through::WAYS.iter().map(|way| way.name).collect();
        return Err(format!("no way `{wanted}`: {}, all, short", names.join(", ")));
    }
    Ok(suites)
}

pub(crate) fn suites_of(
    tools: &Tools,
    selection: &Selection,
    file: &str,
    way: Option<&Way>,
) -> Result<Vec<Suite>, String> {
    let path = workspace::root().join(file);
    let text = std::fs::read_to_string(&path).map_err(|error| format!("cannot read {file}: {error}"))?;
    let mut expected = Expected::parse(&text, selection.side())?;
    let mut suites = Vec::new();
    // The oldest suite has nothing that the others do not have as well.
    let all = SUITES.iter().filter(|(name, ..)| way.is_none() || *name != "0.1");
    for (name, package, options) in all {
        if selection.suite.as_deref().is_none_or(|wanted| wanted == *name) {
            suites.push(run_suite(
                tools,
                selection,
                way,
                name,
                package,
                options,
                &mut expected,
            )?);
        }
    }
    // Stale entries can only be told apart from skipped ones when everything ran.
    if selection.suite.is_none()
        && selection.scenario.is_none()
        && let Some(last) = suites.last_mut()
    {
        for entry in expected.unused() {
            last.fail(
                entry,
                format!("listed in {file} but does not fail: remove the entry"),
            );
        }
    }
    Ok(suites)
}

fn run_suite(
    tools: &Tools,
    selection: &Selection,
    way: Option<&Way>,
    name: &str,
    package: &str,
    options: &[&str],
    expected: &mut Expected,
) -> Result<Suite, String> {
    let target = workspace::target_directory()?;
    let side = selection.side();
    let name = &match (way, side) {
        (Some(way), _) => format!("{name} through {}", way.name),
        (None, Side::Client) => format!("client {name}"),
        (None, Side::Server) => name.to_owned(),
    };
    let results = target.join(format!("conformance-{}", name.replace(' ', "-")));
    if results.exists() {
        std::fs::remove_dir_all(&results)
            .map_err(|error| format!("cannot empty {}: {error}", results.display()))?;
    }
    let program = tools.module(&format!("{package}/dist/index.js"));
    let fixture = if side == Side::Server && selection.url.is_none() {
        Some(Fixture::start(&target, selection.release, way)?)
    } else {
        None
    };
    let started = Instant::now();
    let mut command = Command::new(&tools.node);
    command
        .current_dir(&target)
        .arg(&program)
        .args([side.word(), "--output-dir"])
        .arg(&results);
    match (side, &selection.url, &fixture) {
        (Side::Server, Some(url), _) => command.args(["--url", url]),
        (Side::Server, None, Some(fixture)) => command.args(["--url", &fixture.url]),
        (Side::Server, None, None) => return Err("neither a fixture nor --url".to_owned()),
        (Side::Client, ..) => {
            let profile = if selection.release { "release" } else { "debug" };
            let client = target.join(profile).join("examples/conformance-client");
            command.arg("--command").arg(client)
        }
    };
    let wanted = match &selection.scenario {
        Some(scenario) => {
            command.args(["--scenario", scenario]);
            if options[0] == "--requirements" {
                command.args(["--spec-version", options[1]]);
            }
            BTreeSet::from([scenario.clone()])
        }
        None => {
            command.args(options);
            listed(tools, &program, options, side)?
        }
    };
    let finished = capture(&mut command, LIMIT, selection.scenario.is_some())?;
    let mut suite = Suite::new(format!("conformance {name}"));
    judge(&mut suite, &results, &wanted, expected)?;
    if suite.failures.is_empty() && suite.passed == 0 {
        suite.fail(finished.ending(LIMIT), finished.tail(40));
    }
    if let Some(fixture) = fixture {
        fixture.stop(&mut suite);
    }
    suite.took = started.elapsed();
    println!(
        "conformance {name}: {} scenarios passed, {} failures",
        suite.passed,
        suite.failures.len()
    );
    Ok(suite)
}

/// The server under test, on a port of its own.
pub(crate) struct Fixture {
    pub(crate) running: Running,
    pub(crate) url: String,
    pub(crate) log: PathBuf,
    /// What it is a gateway for, if that is a process of ours.
    pub(crate) behind: Option<Box<Fixture>>,
}

impl Fixture {
    fn start(target: &Path, release: bool, way: Option<&Way>) -> Result<Self, String> {
        match way {
            Some(way) => through::start(target, release, way),
            None => Self::alone(target, release),
        }
    }

    pub(crate) fn alone(target: &Path, release: bool) -> Result<Self, String> {
        let address = free_address()?;
        let log = target.join("conformance.log");
        let profile = if release { "release" } else { "debug" };
        let mut command = Command::new(target.join(profile).join("examples/conformance"));
        command.args(["--addr", &address.to_string()]);
        let mut running = Running::start(&mut command, &log)?;
        running
            .wait_for_port(address, START_LIMIT)
            .map_err(|message| format!("fixture: {message}\n{}", tail_of(&log)))?;
        Ok(Self {
            running,
            url: format!("http://{address}/mcp"),
            log,
            behind: None,
        })
    }

    pub(crate) fn stop(mut self, suite: &mut Suite) {
        let behind = self.behind.take();
        self.stop_this(suite);
        if let Some(behind) = behind {
            behind.stop_this(suite);
        }
    }

    fn stop_this(mut self, suite: &mut Suite) {
        if !self.running.alive() {
            return suite.fail(
                "fixture",
                format!("it ended during the run\n{}", tail_of(&self.log)),
            );
        }
        match self.running.stop(STOP_LIMIT) {
            Ok(status) if status.success() || status.code().is_none() => {}
            Ok(status) => suite.fail(
                "fixture",
                format!("it ended with {status}\n{}", tail_of(&self.log)),
            ),
            Err(message) => suite.fail("fixture", format!("{message}\n{}", tail_of(&self.log))),
        }
    }
}

/// The scenarios of a side that a run with `options` has to leave results of, by the suite's own list.
fn listed(tools: &Tools, program: &Path, options: &[&str], side: Side) -> Result<BTreeSet<String>, String> {
    let mut command = Command::new(&tools.node);
    command.arg(program).arg("list");
    if options[0] == "--requirements" {
        command.args(options)
    } else {
        command.arg(format!("--{}", side.word()))
    };
    let finished = capture(&mut command, Duration::from_secs(60), false)?;
    let text: Vec<&str> = finished.lines.iter().map(|line| line.text.as_str()).collect();
    let names = scenarios_in(&text, side);
    if names.is_empty() {
        Err(format!("{} lists no scenario", program.display()))
    } else {
        Ok(names)
    }
}

/// Reads the suite's list: names under "Server scenarios", and those marked `[server]` among the unscored; or those of
/// clients.
fn scenarios_in(lines: &[&str], side: Side) -> BTreeSet<String> {
    let (head, mark) = match side {
        Side::Server => ("Server scenarios", "[server]"),
        Side::Client => ("Client scenarios", "[client]"),
    };
    let mut names = BTreeSet::new();
    let mut ours = false;
    for line in lines {
        if !line.starts_with(' ') && !line.is_empty() {
            ours = line.starts_with(head);
        }
        let Some(entry) = line.trim_start().strip_prefix("- ") else {
            continue;
        };
        let name = entry.split(' ').next().unwrap_or(entry);
        if ours || entry.ends_with(mark) {
            names.insert(name.to_owned());
        }
    }
    names
}

/// Judges every scenario by the checks it left in `results`.
fn judge(
    suite: &mut Suite,
    results: &Path,
    wanted: &BTreeSet<String>,
    expected: &mut Expected,
) -> Result<(), String> {
    let mut missing = wanted.clone();
    for (scenario, directory) in result_directories(results) {
        let file = directory.join("checks.json");
        let checks: Vec<Value> = std::fs::read(&file)
            .map_err(|error| error.to_string())
            .and_then(|bytes| serde_json::from_slice(&bytes).map_err(|error| error.to_string()))
            .map_err(|error| format!("cannot read {}: {error}", file.display()))?;
        missing.remove(&scenario);
        judge_scenario(suite, &scenario, &checks, expected);
    }
    for scenario in missing {
        suite.fail(scenario, "the suite lists it but left no result: did it run?");
    }
    Ok(())
}

/// Scenarios and their directories. Names of scenarios may have slashes, which make directories in directories.
fn result_directories(results: &Path) -> Vec<(String, PathBuf)> {
    let list = |path: &Path| -> Vec<PathBuf> {
        let entries =
            std::fs::read_dir(path).map(|entries| entries.flatten().map(|entry| entry.path()).collect());
        entries.unwrap_or_default()
    };
    let name = |path: &Path| {
        path.file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default()
    };
    let mut found = Vec::new();
    for directory in list(results) {
        let group = name(&directory);
        if directory.is_dir() && scenario_of(&group) == group {
            for inner in list(&directory) {
                found.push((format!("{group}/{}", scenario_of(&name(&inner))), inner));
            }
        } else {
            found.push((scenario_of(&group).to_owned(), directory));
        }
    }
    found.sort();
    found
}

fn judge_scenario(suite: &mut Suite, scenario: &str, checks: &[Value], expected: &mut Expected) {
    let mut problems = Vec::new();
    let mut succeeded = false;
    for check in checks {
        let id = check["id"].as_str().unwrap_or("unnamed");
        match check["status"].as_str() {
            Some("SUCCESS") => succeeded = true,
            Some("SKIPPED" | "INFO") => {}
            status => {
                if !expected.covers(scenario, id) {
                    let message = check["errorMessage"]
                        .as_str()
                        .or(check["description"].as_str())
                        .unwrap_or("");
                    problems.push(format!("{} {id}: {message}", status.unwrap_or("no status")));
                }
            }
        }
    }
    if !problems.is_empty() {
        suite.fail(scenario, problems.join("\n"));
    } else if succeeded {
        suite.passed += 1;
    } else {
        println!("conformance: {scenario} checked nothing (all its checks were skipped)");
        suite.skipped += 1;
    }
}

/// `server-tools-list-2026-07-28T10-11-12-131Z` is a result of `tools-list`.
fn scenario_of(directory: &str) -> &str {
    const STAMP: usize = "-2026-07-28T10-11-12-131Z".len();
    let name = directory.strip_prefix("server-").unwrap_or(directory);
    match name.len().checked_sub(STAMP) {
        Some(end) if name.is_char_boundary(end) && name.ends_with('Z') => &name[..end],
        _ => name,
    }
}

/// The known failures, and which of them were seen.
struct Expected {
    entries: Vec<(String, bool)>,
}

impl Expected {
    /// Reads the list of one side: `server: []`, or one `- entry` a line.
    fn parse(text: &str, side: Side) -> Result<Self, String> {
        let mut entries = Vec::new();
        let mut ours = false;
        for (index, line) in text.lines().enumerate() {
            let line = line.split(" #").next().unwrap_or(line).trim_end();
            if line.trim_start().starts_with('#') || line.is_empty() {
                continue;
            }
            if let Some(entry) = line.trim_start().strip_prefix("- ") {
                if ours {
                    entries.push((entry.trim().to_owned(), false));
                }
            } else if let Some((key, value)) = line.split_once(':') {
                ours = key == side.word();
                if !matches!(value.trim(), "" | "[]") {
                    return Err(format!(
                        "{EXPECTED_FAILURES}:{}: write one `- entry` a line",
                        index + 1
                    ));
                }
            } else {
                return Err(format!("{EXPECTED_FAILURES}:{}: cannot read `{line}`", index + 1));
            }
        }
        Ok(Self { entries })
    }

    fn covers(&mut self, scenario: &str, check: &str) -> bool {
        let mut covered = false;
        for (entry, seen) in &mut self.entries {
            let matches = match entry.split_once(':') {
                Some((name, id)) => name == scenario && id == check,
                None => entry == scenario,
            };
            if matches {
                *seen = true;
                covered = true;
            }
        }
        covered
    }

    fn unused(&self) -> impl Iterator<Item = String> {
        self.entries
            .iter()
            .filter(|(_, seen)| !seen)
            .map(|(entry, _)| entry.clone())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_warning_fails_and_an_expected_failure_does_not() {
        let mut expected = Expected::parse(
            "server:\n  - known:one # why\n  - stale\nclient:\n  - other\n",
            Side::Server,
        )
        .unwrap();
        let mut suite = Suite::new("s");
        judge_scenario(
            &mut suite,
            "warned",
            &[json!({"id": "a", "status": "WARNING"})],
            &mut expected,
        );
        judge_scenario(
            &mut suite,
            "good",
            &[json!({"id": "a", "status": "SUCCESS"})],
            &mut expected,
        );
        judge_scenario(
            &mut suite,
            "idle",
            &[json!({"id": "a", "status": "SKIPPED"})],
            &mut expected,
        );
        judge_scenario(
            &mut suite,
            "known",
            &[
                json!({"id": "one", "status": "FAILURE"}),
                json!({"id": "two", "status": "SUCCESS"}),
            ],
            &mut expected,
        );
        assert_eq!((suite.passed, suite.skipped, suite.failures.len()), (2, 1, 1));
        assert_eq!(suite.failures[0].name, "warned");
        assert_eq!(expected.unused().collect::<Vec<_>>(), ["stale"]);
    }

    #[test]
    fn names_are_read_from_directories_and_lists() {
        assert_eq!(
            scenario_of("server-tools-list-2026-07-28T10-11-12-131Z"),
            "tools-list"
        );
        let list = [
            "Server scenarios (test against a server):",
            "  - ping [2025-11-25]",
            "",
            "Client scenarios (test against a client):",
            "  - initialize",
            "",
            "Run and reported, but never scored:",
            "  pending (2):",
            "    - caching [server]",
            "    - dpop [client]",
        ];
        assert_eq!(
            scenarios_in(&list, Side::Server).into_iter().collect::<Vec<_>>(),
            ["caching", "ping"]
        );
        assert_eq!(
            scenarios_in(&list, Side::Client).into_iter().collect::<Vec<_>>(),
            ["dpop", "initialize"]
        );
    }

    #[test]
    fn a_scenario_without_a_result_has_failed() {
        let mut suite = Suite::new("s");
        let mut expected = Expected::parse("server: []\n", Side::Server).unwrap();
        let wanted = BTreeSet::from(["ping".to_owned()]);
        judge(&mut suite, Path::new("no/such/directory"), &wanted, &mut expected).unwrap();
        assert_eq!(suite.failures.len(), 1);
    }

    #[test]
    fn an_unreadable_list_names_its_line() {
        let error = Expected::parse("# fine\nserver: [a, b]\n", Side::Server)
            .map(|_| ())
            .unwrap_err();
        assert!(error.contains("expected-failures.yml:2"), "{error}");
    }
}
