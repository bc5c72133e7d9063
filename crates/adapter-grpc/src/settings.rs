//! What an operator can set about the gRPC door.

use std::time::Duration;

use ferromcp_limits::Rate;

/// Settings of the gRPC door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrpcSettings {
    /// Largest message of a request in bytes, before and after it is unpacked. Default 4 MiB.
    pub max_message: usize,
    /// Most open connections; more are closed at once. Default 10,000.
    pub max_connections: usize,
    /// Most requests at a time on one connection. Default 200.
    pub max_streams: u32,
    /// A TLS handshake that takes longer closes the connection. Default 10 s.
    pub handshake_timeout: Duration,
    /// A request that has not arrived after this time is refused. Default 5 min, as long as a large body may take over HTTP.
    pub request_timeout: Duration,
    /// A quiet connection is asked for a sign of life this often, and closed if none comes. Default 30 s.
    pub ping: Duration,
    /// How many keys and tokens that are nobody's one address may show. Default 60 at once and one every 2 s. `None` does not
    /// count.
    pub guesses: Option<Rate>,
}

impl Default for GrpcSettings {
    fn default() -> Self {
        Self {
            max_message: 4 << 20,
            max_connections: 10_000,
            max_streams: 200,
            handshake_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(300),
            ping: Duration::from_secs(30),
            guesses: Rate::new(30, Duration::from_secs(60), 60).ok(),
        }
    }
}
