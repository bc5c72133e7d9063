//! What a check found.

use std::time::Duration;

use ferromcp_config::{AssertionSource, Config, JwtKeys, Secret, Transport};
use serde_json::{Value, json};

/// Shorter values are words such as `true`, which would be cut out of messages that have nothing to do with them.
const SHORTEST_SECRET: usize = 6;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Ok,
    Warn,
    Fail,
    /// It could not be looked at, or does not apply.
    Skipped,
}

#[derive(Debug)]
pub(super) struct Finding {
    check: String,
    pub(super) state: State,
    message: String,
    /// What to do.
    fix: Option<String>,
    time: Option<Duration>,
}

impl Finding {
    fn new(state: State, check: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            check: check.into(),
            state,
            message: message.into(),
            fix: None,
            time: None,
        }
    }

    pub(super) fn ok(check: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(State::Ok, check, message)
    }

    pub(super) fn skipped(check: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(State::Skipped, check, message)
    }

    pub(super) fn warn(check: impl Into<String>, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            fix: Some(fix.into()),
            ..Self::new(State::Warn, check, message)
        }
    }

    pub(super) fn fail(check: impl Into<String>, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            fix: Some(fix.into()),
            ..Self::new(State::Fail, check, message)
        }
    }

    pub(super) fn taking(mut self, time: Duration) -> Self {
        self.time = Some(time);
        self
    }

    /// With every secret of the configuration taken out, whoever put it into the message.
    pub(super) fn without(mut self, secrets: &Secrets) -> Self {
        self.message = secrets.taken_out(&self.message);
        self.fix = self.fix.map(|fix| secrets.taken_out(&fix));
        self
    }

    /// For people, with what to do on a line of its own.
    pub(super) fn line(&self) -> String {
        let state = match self.state {
            State::Ok => "ok",
            State::Warn => "warn",
            State::Fail => "FAIL",
            State::Skipped => "skip",
        };
        let time = self
            .time
            .map(|time| format!(" ({} ms)", time.as_millis()))
            .unwrap_or_default();
        let mut line = format!(
            "{state:<5} {:<16} {}{time}\n",
            self.check,
            one_line(&self.message)
        );
        if let Some(fix) = &self.fix {
            line.push_str(&format!("{:<23}-> {}\n", "", one_line(fix)));
        }
        line
    }

    pub(super) fn json(&self) -> Value {
        let state = match self.state {
            State::Ok => "ok",
            State::Warn => "warn",
            State::Fail => "fail",
            State::Skipped => "skipped",
        };
        let mut out = json!({ "check": self.check, "state": state, "message": self.message });
        if let Some(fix) = &self.fix {
            out["fix"] = fix.as_str().into();
        }
        if let Some(time) = self.time {
            out["ms"] = json!(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        }
        out
    }
}

/// What others said must not drive a terminal.
fn one_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => out.push_str("; "),
            c if c.is_control() => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}

/// The secrets of a configuration, longest first.
pub(super) struct Secrets(Vec<String>);

impl Secrets {
    pub(super) fn of(config: &Config) -> Self {
        let mut found = Self(Vec::new());
        for server in &config.servers {
            match &server.transport {
                Transport::Stdio(command) => {
                    command.env.iter().for_each(|(_, value)| found.add(value));
                    // An argument that prints as it is has nothing to hide.
                    let resolved = command.args.iter();
                    resolved
                        .filter(|arg| arg.to_string() != arg.expose())
                        .for_each(|arg| found.add(arg));
                }
                Transport::Http(endpoint) => {
                    endpoint.headers.iter().for_each(|(_, value)| found.header(value));
                    found.text(endpoint.url.query().unwrap_or_default());
                    found.oauth(endpoint.oauth.as_deref());
                }
                Transport::OpenApi(api) => {
                    api.headers.iter().for_each(|(_, value)| found.header(value));
                    found.oauth(api.oauth.as_deref());
                }
                Transport::Grpc(grpc) => grpc.headers.iter().for_each(|(_, value)| found.header(value)),
            }
        }
        if let Some(otlp) = &config.audit.otlp {
            let headers = otlp.endpoint.headers.iter();
            headers.for_each(|(_, value)| found.header(value));
            found.text(otlp.endpoint.url.query().unwrap_or_default());
        }
        if let Some(JwtKeys::Secret(secret)) = config.auth.jwt.as_ref().map(|jwt| &jwt.keys) {
            found.add(secret);
        }
        found.0.sort_by_key(|text| std::cmp::Reverse(text.len()));
        found
    }

    fn text(&mut self, text: &str) {
        if text.len() >= SHORTEST_SECRET {
            self.0.push(text.to_owned());
        }
    }

    fn add(&mut self, secret: &Secret) {
        self.text(secret.expose());
    }

    /// With and without the word before it, as in `Bearer ...`.
    fn header(&mut self, secret: &Secret) {
        self.add(secret);
        secret
            .expose()
            .split(' ')
            .skip(1)
            .for_each(|part| self.text(part));
    }

    fn oauth(&mut self, oauth: Option<&ferromcp_config::OAuth>) {
        let Some(oauth) = oauth else { return };
        if let Some(secret) = &oauth.client_secret {
            self.add(secret);
        }
        if let Some(AssertionSource::Text(text)) = &oauth.assertion {
            self.add(text);
        }
    }

    fn taken_out(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.0 {
            if text.contains(secret.as_str()) {
                text = text.replace(secret.as_str(), "[redacted]");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn no_secret_of_the_file_is_in_a_line() {
        let text = "servers:\n  a: { command: x, args: [\"--key=${K}\", --plain-argument], env: { T: envenv, S: abc } }\n  \
                    b: { url: \"http://h/m?q=querys\", headers: { Authorization: \"Bearer headerh\" } }\n\
                    audit: { otlp: { endpoint: \"http://c/v1/logs?k=queryc\", headers: { X-Key: \"Basic headerc\" } } }\n";
        let config = Config::from_yaml(text, Path::new("f"), &|_| Some("resolved".to_owned())).unwrap();
        let secrets = Secrets::of(&config);
        let said =
            "--key=resolved --plain-argument envenv abc q=querys headerh Bearer headerh k=queryc headerc";
        let finding = Finding::fail("c", said, said).without(&secrets);
        let clean = "[redacted] --plain-argument [redacted] abc [redacted] [redacted] [redacted] [redacted] [redacted]";
        assert_eq!(
            (finding.message.as_str(), finding.fix.as_deref()),
            (clean, Some(clean))
        );
    }

    #[test]
    fn a_line_is_a_line() {
        let finding = Finding::warn("c", "a\nb\u{1b}[2J", "x\ry").taking(Duration::from_millis(12));
        assert_eq!(
            finding.line(),
            "warn  c                a; b\\u{1b}[2J (12 ms)\n                       -> x\\ry\n"
        );
        assert_eq!(
            finding.json(),
            json!({ "check": "c", "state": "warn", "message": "a\nb\u{1b}[2J", "fix": "x\ry", "ms": 12 })
        );
    }
}
