//! The gateway in front of the conformance fixture, which it speaks to in one era over one transport.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::conformance::{self, Fixture, Selection};
use crate::peers::{START_LIMIT, Tools, tail_of};
use crate::process::{Running, free_address};
use crate::report::Suite;
use crate::workspace;

/// One way from the gateway to the fixture. The suites speak both eras to the gateway, so these are all four directions.
pub(crate) struct Way {
    pub(crate) name: &'static str,
    era: &'static str,
    http: bool,
    /// What the protocol makes impossible.
    pub(crate) expected: &'static str,
}

pub(crate) const WAYS: [Way; 4] = [
    way(
        "legacy-stdio",
        "legacy",
        false,
        "tests/conformance/through-legacy.yml",
    ),
    way(
        "legacy-http",
        "legacy",
        true,
        "tests/conformance/through-legacy.yml",
    ),
    way(
        "modern-stdio",
        "modern",
        false,
        "tests/conformance/through-modern.yml",
    ),
    way(
        "modern-http",
        "modern",
        true,
        "tests/conformance/through-modern.yml",
    ),
];

/// What goes through in the short run: something of everything that is translated on the way.
const SHORT: [(&str, &str); 10] = [
    ("2025-11-25", "tools-call-mixed-content"),
    ("2025-11-25", "tools-call-with-progress"),
    ("2025-11-25", "tools-call-sampling"),
    ("2025-11-25", "tools-call-elicitation"),
    ("2025-11-25", "resources-subscribe"),
    ("2026-07-28", "tools-call-error"),
    ("2026-07-28", "resources-templates-read"),
    ("2026-07-28", "prompts-get-with-args"),
    ("2026-07-28", "completion-complete"),
    ("2026-07-28", "input-required-result-multi-round"),
];

/// A few scenarios each way, in about a minute.
pub(crate) fn short(tools: &Tools) -> Result<Vec<Suite>, String> {
    let target = workspace::target_directory()?;
    let mut all = Vec::new();
    for way in &WAYS {
        let started = Instant::now();
        let fixture = start(&target, false, way)?;
        let mut whole = Suite::new(format!("conformance, short, through {}", way.name));
        for (suite, scenario) in SHORT {
            let one = Selection::one(suite, scenario, &fixture.url);
            for part in conformance::suites_of(tools, &one, way.expected, Some(way))? {
                whole.passed += part.passed;
                whole.failures.extend(part.failures);
            }
        }
        fixture.stop(&mut whole);
        whole.took = started.elapsed();
        all.push(whole);
    }
    Ok(all)
}

const fn way(name: &'static str, era: &'static str, http: bool, expected: &'static str) -> Way {
    Way {
        name,
        era,
        http,
        expected,
    }
}

/// Starts the fixture, where it is not the gateway's child, and the gateway; waits until the fixture is listed.
pub(crate) fn start(target: &Path, release: bool, way: &Way) -> Result<Fixture, String> {
    let programs = target.join(if release { "release" } else { "debug" });
    let (behind, mut server) = if way.http {
        let fixture = Fixture::alone(target, release)?;
        let server = json!({ "url": fixture.url });
        (Some(Box::new(fixture)), server)
    } else {
        let server = json!({ "command": programs.join("examples/conformance"), "args": ["--stdio"] });
        (None, server)
    };
    server["era"] = way.era.into();
    server["prefix"] = "".into();
    let address = free_address()?;
    let config = json!({
        "listen": { "http": address.to_string() },
        "builtin": { "echo": false },
        "servers": { "fixture": server },
    });
    let file = target.join(format!("conformance-{}.yaml", way.name));
    std::fs::write(&file, config.to_string())
        .map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    let log = target.join(format!("conformance-{}.log", way.name));
    let mut command = Command::new(programs.join("ferromcp"));
    command.args(["serve", "--config"]).arg(&file);
    let mut running = Running::start(&mut command, &log)?;
    let fail = |message: String| format!("gateway: {message}\n{}", tail_of(&log));
    running.wait_for_port(address, START_LIMIT).map_err(fail)?;
    until_listed(address).map_err(fail)?;
    Ok(Fixture {
        running,
        url: format!("http://{address}/mcp"),
        log,
        behind,
    })
}

/// The gateway listens before its servers are there.
#[expect(
    clippy::disallowed_methods,
    reason = "no async runtime here: another process can only be asked again and again"
)]
fn until_listed(address: SocketAddr) -> Result<(), String> {
    let end = Instant::now() + START_LIMIT;
    while Instant::now() < end {
        let mut answer = String::new();
        let asked = TcpStream::connect(address).and_then(|mut stream| {
            let head = format!("GET /v1/tools HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
            stream.write_all(head.as_bytes())?;
            stream.read_to_string(&mut answer)
        });
        if asked.is_ok() && answer.contains("\"test_simple_text\"") {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Err("the fixture's tools were not listed in time".to_owned())
}
