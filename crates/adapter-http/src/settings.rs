//! What an operator can set about the HTTP doors.

use std::time::Duration;

use ferromcp_limits::Rate;

use crate::authorization::AuthorizationSettings;

/// Settings of the HTTP server and its doors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpSettings {
    /// Largest request body in bytes; more is answered with 413. Default 4 MiB.
    pub max_body: usize,
    /// Host names, with or without a port, that requests may be addressed to besides loopback and
    /// the bound address. Empty while bound to a wildcard address: every host name is accepted.
    pub allowed_hosts: Vec<String>,
    /// Origins (`https://app.example.com`) whose pages may send requests, besides pages on
    /// loopback. `*` allows every origin.
    pub allowed_origins: Vec<String>,
    /// Most open connections over all listeners; more are answered with 503. Default 10,000.
    pub max_connections: usize,
    /// A request head that is not complete after this time closes the connection; so does a TLS handshake. Default 10 s.
    pub head_timeout: Duration,
    /// A request body that does not grow for this long is answered with 408; the whole body may
    /// take ten times as long. Default 30 s.
    pub body_timeout: Duration,
    /// A kept-alive connection without a request is closed after this time. Default 5 min.
    pub idle_timeout: Duration,
    /// A kept-alive connection without a request gives its buffers back after this time, and gets new
    /// ones when the client speaks again. Default 5 s.
    pub rest_after: Duration,
    /// A call that runs longer than this is answered as an event stream, if the client accepts
    /// one, so that nothing on the way takes the connection for dead. Default 10 s.
    pub stream_after: Duration,
    /// A quiet event stream gets a comment this often. Default 15 s.
    pub keep_alive: Duration,
    /// How long a client is told to wait before it polls a stream that the server released
    /// (2025-11-25 basic/transports, `retry`). Default 1 s.
    pub retry: Duration,
    /// What clients are told about authorization, if tokens are accepted.
    pub authorization: Option<AuthorizationSettings>,
    /// How many keys and tokens that are nobody's one address may show; beyond, further ones of it are answered with 429.
    /// Default 60 at once and one every 2 s. `None` does not count.
    pub guesses: Option<Rate>,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            max_body: 4 << 20,
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            max_connections: 10_000,
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(300),
            rest_after: Duration::from_secs(5),
            stream_after: Duration::from_secs(10),
            keep_alive: Duration::from_secs(15),
            retry: Duration::from_secs(1),
            authorization: None,
            guesses: Rate::new(30, Duration::from_secs(60), 60).ok(),
        }
    }
}
