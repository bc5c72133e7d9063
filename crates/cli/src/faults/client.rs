//! REST calls over one connection that is kept, blocking, with a deadline.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

/// Longest wait for an answer. The gateway's own deadlines are far below.
pub(super) const STUCK: Duration = Duration::from_secs(25);

#[derive(Debug)]
pub(super) struct Client {
    address: SocketAddr,
    stream: Option<BufReader<TcpStream>>,
}

/// How a call ended.
#[derive(Debug)]
pub(super) enum Answer {
    /// The tool's text.
    Text(String),
    /// The gateway said why not.
    Refused {
        rule: String,
        message: String,
        may_have_run: bool,
    },
    /// The connection broke, or there was none.
    Broken,
    /// Nothing came in time.
    Stuck,
}

impl Client {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            stream: None,
        }
    }

    pub(super) fn call(&mut self, tool: &str, arguments: &Value) -> Answer {
        let body = json!({ "tool": tool, "arguments": arguments }).to_string();
        let value = match self.exchange("POST /v1/tools/call", &body) {
            Ok(value) => value,
            Err(error) => {
                self.stream = None;
                return match error.kind() {
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => Answer::Stuck,
                    _ => Answer::Broken,
                };
            }
        };
        if value["success"] == true {
            return Answer::Text(
                value["content"][0]["text"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned(),
            );
        }
        let error = &value["error"];
        Answer::Refused {
            rule: error["rule"]
                .as_str()
                .or(error["code"].as_str())
                .unwrap_or_default()
                .to_owned(),
            message: error["message"].as_str().unwrap_or_default().to_owned(),
            may_have_run: error["details"]["may_have_run"] == true,
        }
    }

    pub(super) fn health(&mut self) -> Option<Value> {
        let answer = self.exchange("GET /health", "");
        if answer.is_err() {
            self.stream = None;
        }
        answer.ok()
    }

    fn exchange(&mut self, what: &str, body: &str) -> std::io::Result<Value> {
        let broken = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect_timeout(&self.address, STUCK)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(STUCK))?;
                BufReader::new(stream)
            }
        };
        let head = format!(
            "{what} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.get_mut().write_all(head.as_bytes())?;
        let mut length = None;
        let mut line = String::new();
        loop {
            line.clear();
            if stream.read_line(&mut line)? == 0 {
                return Err(broken());
            }
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse::<usize>().ok();
            }
        }
        let mut answer = vec![0; length.ok_or_else(broken)?];
        stream.read_exact(&mut answer)?;
        self.stream = Some(stream);
        serde_json::from_slice(&answer).map_err(|_| broken())
    }
}
