//! The server behind a relay, started for a turn.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::Result;
use crate::client::Connection;
use crate::server::{Server, Start, beside_us};
use crate::target::{Behind, Program, Target};

/// How often a child turns its loop for a call: about a millisecond.
const BURN: u64 = 1_000_000;

/// What is behind a target, for as long as it is measured.
#[derive(Debug)]
pub(crate) struct Backed {
    /// How the target is started.
    pub(crate) start: Start,
    upstream: Option<Server>,
}

impl Backed {
    /// Starts what is behind the target, and says how the target itself is started. `others`: the core for everything that is
    /// not the target.
    ///
    /// # Errors
    /// `upstream-echo` is not built, or does not start.
    pub(crate) async fn up(target: Target, start: &Start, others: Option<usize>) -> Result<Self> {
        let mut backed = Self {
            start: Start {
                guards: target.guards,
                grpc: target.shape.is_grpc(),
                ..start.clone()
            },
            upstream: None,
        };
        let Some(behind) = target.behind else {
            return Ok(backed);
        };
        let url = if behind == Behind::Http {
            let how = Start {
                core: others,
                ..Start::default()
            };
            let server = Server::start(Program::UpstreamEcho, &how).await?;
            let url = format!("http://{}/mcp", server.address);
            backed.upstream = Some(server);
            Some(url)
        } else {
            None
        };
        let command = command(behind, others)?;
        if target.program == Program::Ferromcp {
            backed.start.servers = Some(Arc::new(
                json!({ "up": server(behind, url.as_deref(), &command) }),
            ));
        } else {
            backed.start.upstream = url.map_or(command, |url| vec![url]);
        }
        Ok(backed)
    }

    /// Starts the target and waits until calls get through.
    ///
    /// # Errors
    /// It does not start, or nothing gets through within a minute.
    pub(crate) async fn start(&self, target: Target) -> Result<Server> {
        let server = Server::start(target.program, &self.start).await?;
        if target.behind.is_none() {
            return Ok(server);
        }
        let mut connection = Connection::open(server.address).await?;
        let request = target.request(&mut connection, None).await?;
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        loop {
            let answer = connection.exchange(&request).await?;
            // A call that comes too early is refused, or its tool is not known yet: never an answer with the mark.
            if answer.status == 200
                && memchr::memmem::find(answer.body, crate::target::MARK.as_bytes()).is_some()
            {
                return Ok(server);
            }
            if std::time::Instant::now() > deadline {
                let said = String::from_utf8_lossy(answer.body).into_owned();
                return Err(format!("{}: no call gets through: {said}", target.name));
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    /// Ends what was behind the target, which has ended.
    ///
    /// # Errors
    /// It does not end.
    pub(crate) async fn down(self) -> Result<()> {
        match self.upstream {
            Some(upstream) => upstream.stop().await,
            None => Ok(()),
        }
    }
}

/// A child as a command line: away from the target's core, but for those that work, which take any.
fn command(behind: Behind, others: Option<usize>) -> Result<Vec<String>> {
    let program = beside_us("upstream-echo")?.to_string_lossy().into_owned();
    let mut words = Vec::new();
    match (behind, others) {
        (Behind::Burning(_), Some(core)) => {
            words.extend(["taskset".into(), "-c".into(), format!("0-{core}")]);
        }
        (_, Some(core)) => words.extend(["taskset".into(), "-c".into(), core.to_string()]),
        (_, None) => {}
    }
    words.push(program);
    if let Behind::Burning(_) = behind {
        words.extend(["--burn".to_owned(), BURN.to_string()]);
    }
    Ok(words)
}

fn server(behind: Behind, url: Option<&str>, command: &[String]) -> Value {
    let mut server = match url {
        Some(url) => json!({ "url": url }),
        None => json!({ "command": command.first(), "args": command.get(1..) }),
    };
    server["era"] = "modern".into();
    if let Behind::Burning(workers) = behind {
        server["pool"] = json!({ "min": workers, "max": workers });
    }
    server
}
