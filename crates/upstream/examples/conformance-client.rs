//! The client under test of the official conformance suites: one upstream server behind a gateway, called as a door
//! would call it. `cargo xtask conformance --client` runs it; the suite gives the server's URL as the last argument and
//! names the scenario in the environment.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use ferromcp_core::{
    Call, CallError, Client, Credential, Door, Gateway, Identity, InputKind, InputRequest, Interaction,
    Operation, Policy, SchemaMode, SourceState,
};
use ferromcp_protocol::{ClientCapabilities, ProtocolVersion, RequestMeta};
use ferromcp_upstream::auth::{ClientKey, Grant, Landing, OAuthSpec, Secret, UserAgent};
use ferromcp_upstream::transport::http::HttpSpec;
use ferromcp_upstream::{TransportSpec, UpstreamSpec, Upstreams};
use http::header::LOCATION;
use http_body_util::Empty;
use hyper_util::client::legacy;
use hyper_util::rt::TokioExecutor;
use serde_json::{Map, Value, json};
use url::Url;

const SETTLE: Duration = Duration::from_secs(20);
const CALL: Duration = Duration::from_secs(20);
const REDIRECT: &str = "http://localhost:3000/callback";
const DOCUMENT: &str = "https://conformance-test.local/client-metadata.json";

type Failure = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("conformance-client: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Failure> {
    let url = std::env::args().next_back().ok_or("no URL")?;
    let scenario = std::env::var("MCP_CONFORMANCE_SCENARIO").unwrap_or_default();
    let context: Value = match std::env::var("MCP_CONFORMANCE_CONTEXT") {
        Ok(text) => serde_json::from_str(&text)?,
        Err(_) => Value::Null,
    };
    let mut http = HttpSpec::new("upstream", url);
    if scenario.starts_with("auth/") {
        http = http.oauth(oauth(&scenario, &context));
    }
    // One scenario calls a tool with what its own schema forbids, to see what becomes of `null`.
    let policy = Policy {
        schema: SchemaMode::Off,
        ..Policy::default()
    };
    let gateway = Arc::new(Gateway::new(Identity::default(), policy, ()));
    let mut spec = UpstreamSpec::new("upstream", TransportSpec::Http(http));
    spec.prefix = "".into();
    spec.start_timeout = SETTLE;
    let upstreams = Upstreams::start(&gateway, vec![spec], 1);
    upstreams.settled(SETTLE).await;
    let outcome = use_everything(&gateway, &context).await;
    upstreams.stop().await;
    outcome
}

/// Calls what the scenario names, else everything that the server offers.
async fn use_everything(gateway: &Gateway, context: &Value) -> Result<(), Failure> {
    let snapshot = gateway.snapshot();
    let source = snapshot.catalog.source("upstream").ok_or("no source")?;
    if let SourceState::Down { reason } = &source.state {
        return Err(reason.clone().into());
    }
    let mut calls = Vec::new();
    if let Some(given) = context["toolCalls"].as_array() {
        for call in given {
            let name = call["name"].as_str().unwrap_or_default().to_owned();
            calls.push((Operation::CallTool, name, call["arguments"].to_string()));
        }
    } else {
        for tool in snapshot.catalog.tools() {
            let definition = definition_of(&tool.definition)?;
            // One scenario has us say what we understood of another tool.
            let echoed = snapshot.catalog.tool("json_schema_2020_12_tool");
            let arguments = match echoed.filter(|_| &*tool.name == "json_schema_echo") {
                Some(echoed) => {
                    json!({"schema": definition_of(&echoed.definition)?["inputSchema"]}).to_string()
                }
                None => example(&definition["inputSchema"]).to_string(),
            };
            calls.push((Operation::CallTool, tool.name.to_string(), arguments));
        }
        for resource in snapshot.catalog.resources() {
            calls.push((Operation::ReadResource, resource.uri.to_string(), "{}".to_owned()));
        }
        for prompt in snapshot.catalog.prompts() {
            let definition = definition_of(&prompt.definition)?;
            let mut arguments = Map::new();
            for argument in definition["arguments"].as_array().into_iter().flatten() {
                let name = argument["name"].as_str().unwrap_or_default();
                arguments.insert(name.to_owned(), "text".into());
            }
            let arguments = Value::Object(arguments).to_string();
            calls.push((Operation::GetPrompt, prompt.name.to_string(), arguments));
        }
    }
    let mut failed = None;
    for (operation, name, arguments) in calls {
        match call(gateway, operation, &name, &arguments).await {
            Ok(()) => println!("{} {name}: done", operation.method()),
            Err(error) => {
                println!("{} {name}: {error}", operation.method());
                failed.get_or_insert(error);
            }
        }
    }
    failed.map_or(Ok(()), Err)
}

fn definition_of(raw: &str) -> Result<Value, Failure> {
    Ok(serde_json::from_str(raw)?)
}

async fn call(gateway: &Gateway, operation: Operation, name: &str, arguments: &str) -> Result<(), Failure> {
    let params = match operation {
        Operation::ReadResource => json!({"uri": name}).to_string(),
        _ => format!(
            "{{\"name\":{},\"arguments\":{arguments}}}",
            serde_json::to_string(name)?
        ),
    };
    let call = Call {
        operation,
        name,
        arguments: Some(arguments),
        params: Some(&params),
        meta: &RequestMeta::default(),
        version: ProtocolVersion::LATEST_LEGACY,
        door: Door::Mcp,
        credential: Credential::Local,
        tenant: None,
        client: &Person,
        input: None,
        timeout: Some(CALL),
    };
    match gateway.call(&call).await.result {
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string().into()),
    }
}

/// Arguments that a schema accepts: its required properties.
fn example(schema: &Value) -> Value {
    let mut out = Map::new();
    for name in schema["required"].as_array().into_iter().flatten() {
        let name = name.as_str().unwrap_or_default();
        let property = &schema["properties"][name];
        let value = match property["type"].as_str() {
            Some("number" | "integer") => 5.into(),
            Some("boolean") => true.into(),
            Some("array") => json!([]),
            Some("object") => example(property),
            _ => property["enum"].get(0).cloned().unwrap_or_else(|| "text".into()),
        };
        out.insert(name.to_owned(), value);
    }
    Value::Object(out)
}

type Asked<'a> = Pin<Box<dyn Future<Output = Result<Box<str>, CallError>> + Send + 'a>>;

/// Answers every form with its defaults.
struct Person;

impl Client for Person {
    fn capabilities(&self) -> &ClientCapabilities {
        static ALL: ClientCapabilities = ClientCapabilities {
            sampling: true,
            sampling_tools: false,
            roots: true,
            elicitation_form: true,
            elicitation_url: false,
            tasks: false,
        };
        &ALL
    }

    fn speaks_mcp(&self) -> bool {
        true
    }

    fn interaction(&self) -> Interaction {
        Interaction::Direct
    }

    fn ask<'a>(&'a self, request: &'a InputRequest) -> Asked<'a> {
        let answer = match request.kind {
            InputKind::ElicitForm => {
                let params: Value = serde_json::from_str(&request.params).unwrap_or_default();
                let mut content = Map::new();
                for (name, property) in params["requestedSchema"]["properties"]
                    .as_object()
                    .into_iter()
                    .flatten()
                {
                    let value = match (property.get("default"), property["type"].as_str()) {
                        (Some(default), _) => default.clone(),
                        (None, Some("boolean")) => true.into(),
                        (None, Some("number" | "integer")) => 1.into(),
                        _ => "text".into(),
                    };
                    content.insert(name.clone(), value);
                }
                json!({"action": "accept", "content": content})
            }
            InputKind::ElicitUrl => json!({"action": "decline"}),
            InputKind::Sample => json!({
                "role": "assistant", "model": "none", "stopReason": "endTurn",
                "content": {"type": "text", "text": "text"},
            }),
            InputKind::Roots => json!({"roots": []}),
        };
        Box::pin(std::future::ready(Ok(answer.to_string().into())))
    }
}

fn oauth(scenario: &str, context: &Value) -> OAuthSpec {
    let text = |key: &str| context[key].as_str().map(str::to_owned);
    let secret = |key: &str| context[key].as_str().map(Secret::new);
    let grant = match scenario {
        "auth/client-credentials-jwt" | "auth/client-credentials-basic" => Grant::ClientCredentials,
        "auth/enterprise-managed-authorization" | "auth/cross-app-access-complete-flow" => {
            Grant::Enterprise {
                idp_token_url: text("idp_token_endpoint").unwrap_or_default(),
                idp_client_id: text("idp_client_id").unwrap_or_default(),
                id_token: Arc::new(secret("idp_id_token").unwrap_or_else(|| Secret::new(""))),
            }
        }
        "auth/wif-jwt-bearer" => {
            let assertion = ["assertion", "jwt", "workload_jwt", "valid_jwt"]
                .into_iter()
                .find_map(secret);
            Grant::JwtBearer(Arc::new(assertion.unwrap_or_else(|| Secret::new(""))))
        }
        _ => Grant::AuthorizationCode {
            redirect_uri: REDIRECT.to_owned(),
            agent: Arc::new(Browser),
        },
    };
    OAuthSpec {
        client_id: text("client_id"),
        client_secret: secret("client_secret"),
        client_key: secret("private_key_pem").map(|pem| ClientKey { pem, kid: None }),
        metadata_url: Some(DOCUMENT.to_owned()),
        dpop: scenario.starts_with("auth/dpop"),
        ..OAuthSpec::new(grant)
    }
}

/// A browser whose person always agrees.
struct Browser;

impl UserAgent for Browser {
    fn authorize(&self, page: Url) -> Landing {
        Box::pin(async move {
            let client = legacy::Client::builder(TokioExecutor::new()).build_http::<Empty<bytes::Bytes>>();
            let uri = page
                .as_str()
                .parse()
                .map_err(|_| "the page has no usable address")?;
            let answer = client.get(uri).await.map_err(|e| e.to_string())?;
            let location = answer.headers().get(LOCATION).and_then(|v| v.to_str().ok());
            let location = location.ok_or_else(|| format!("HTTP {} without Location", answer.status()))?;
            page.join(location).map_err(|e| e.to_string())
        })
    }
}
