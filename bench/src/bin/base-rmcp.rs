//! Baseline: rmcp, the official Rust SDK, as its examples use it: typed tool, Streamable HTTP, JSON answers, no
//! session for the legacy era. Serves both eras.

use std::process::ExitCode;
use std::sync::Arc;

use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{schemars, tool, tool_router};

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
struct Echo {
    /// What to say again.
    msg: String,
}

#[derive(Debug, Clone)]
struct Server;

#[tool_router(server_handler)]
impl Server {
    #[tool(description = "Says it again")]
    fn echo(&self, Parameters(Echo { msg }): Parameters<Echo>) -> String {
        msg
    }
}

fn main() -> ExitCode {
    let mut config = StreamableHttpServerConfig::default();
    config.legacy_session_mode = false;
    config.json_response = true;
    let mcp = StreamableHttpService::new(|| Ok(Server), Arc::new(LocalSessionManager::default()), config);
    let service = TowerToHyperService::new(mcp);
    ferromcp_bench::baseline::run(move |stream| {
        let service = service.clone();
        async move {
            // A client that goes away is no event here.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        }
    })
}
