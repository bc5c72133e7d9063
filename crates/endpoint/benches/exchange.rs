//! What one exchange costs without a transport: nanoseconds each, or, under callgrind, instructions.
//!
//! ```text
//! cargo bench -p ferromcp-endpoint --bench exchange            # a table
//! valgrind --tool=callgrind <the binary> legacy-call 20000     # one case, so many times
//! ```
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program that prints its findings"
)]

use std::sync::Arc;
use std::time::Instant;

use ferromcp_core::{
    CallContext, Credential, Door, Gateway, Identity, Listing, Offers, Payload, Policy, Reply, Source,
    SourceFuture, Spec,
};
use ferromcp_endpoint::{
    Body, Endpoint, EndpointSettings, HeaderField, Headers, Incoming, Link, NoHeaders, NoOutlet,
};

struct Echo;

impl Source for Echo {
    fn call<'a>(&'a self, cx: CallContext<'a>) -> SourceFuture<'a> {
        Box::pin(async move { Ok(Reply::Complete(Payload::text(cx.arguments.raw))) })
    }
}

const SCHEMA: &str = r#"{"name":"echo","inputSchema":{"type":"object","properties":{"msg":{"type":"string"}},"required":["msg"]}}"#;
const LEGACY: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"msg":"hello, how are you today?"}}}"#;
const MODERN: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"msg":"hello, how are you today?"},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"bench","version":"1.0.0"},"io.modelcontextprotocol/clientCapabilities":{}}}}"#;
const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}"#;

struct Fields<'a>(Vec<(&'a str, &'a str)>);

impl Headers for Fields<'_> {
    fn field(&self, name: &str) -> HeaderField<'_> {
        let found = self.0.iter().find(|(n, _)| *n == name);
        found.map_or(HeaderField::Absent, |(_, value)| {
            HeaderField::Single(value.as_bytes())
        })
    }
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with("--"))
        .collect();
    let (only, count) = match &arguments[..] {
        [only, count] => (Some(only.as_str()), count.parse().unwrap()),
        _ => (None, 200_000_u32),
    };
    runtime.block_on(run(only, count));
}

async fn run(only: Option<&str>, count: u32) {
    let gateway = Arc::new(Gateway::new(Identity::default(), Policy::default(), ()));
    let mut listing = Listing::new("bench", Arc::new(Echo));
    listing.offers = Offers {
        tools: true,
        ..Offers::default()
    };
    listing.tools.push(Spec::new("echo", SCHEMA));
    gateway.publish(listing);
    let endpoint = Endpoint::new(gateway, EndpointSettings::default());
    let opened = endpoint
        .exchange(incoming(INITIALIZE, &NoHeaders))
        .await
        .opened
        .unwrap();
    let legacy = Fields(vec![
        ("mcp-session-id", opened.id()),
        ("mcp-protocol-version", "2025-11-25"),
    ]);
    let modern = Fields(vec![
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "echo"),
    ]);
    for (name, message, headers) in [("legacy-call", LEGACY, &legacy), ("modern-call", MODERN, &modern)] {
        if only.is_some_and(|only| only != name) {
            continue;
        }
        let start = Instant::now();
        for _ in 0..count {
            let answer = endpoint.exchange(incoming(message, headers)).await;
            assert!(matches!(answer.body, Body::Json(_)) && answer.status == 200);
        }
        println!(
            "{name:12} {:6} ns",
            start.elapsed().as_nanos() / u128::from(count)
        );
    }
}

fn incoming<'a>(message: &'a str, headers: &'a dyn Headers) -> Incoming<'a> {
    Incoming {
        body: message.as_bytes(),
        door: Door::Mcp,
        credential: Credential::Local,
        link: Link::Http(headers),
        outlet: &NoOutlet,
    }
}
