//! Servers written with the `rmcp` crate, mounted in-process (feature `rmcp`).
//!
//! The handler runs unchanged: it is served by rmcp itself over an in-memory pipe, on whose other
//! end we are a plain MCP client of 2025-11-25. Nothing of rmcp's typed models is used on our side,
//! so whatever its handler sends is passed on as it is.

mod call;
mod wire;

use std::any::Any;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use ferromcp_core::{CallContext, Gateway, Listing, Offers, Source, SourceFuture, SourceState, Spec};
use ferromcp_protocol::json::{Object, elements};
use rmcp::{ServerHandler, ServiceExt};
use tokio::task::AbortHandle;

use crate::mount::Mount;
use wire::{Change, Wire};

/// Bytes in the pipe in either direction.
const PIPE: usize = 64 * 1024;
/// How long the handler may take to answer to `initialize` and to list what it has.
const ANSWER_TIME: Duration = Duration::from_secs(30);
/// Most pages of one list, and most items on one page.
const MAX_PAGES: usize = 100;
const MAX_ITEMS: usize = 10_000;

/// An rmcp `ServerHandler`, connected and ready to be mounted.
///
/// What it can do beside plain answers: progress, logs and changes of its lists are passed on; what
/// it asks of the client (sampling, elicitation, roots) is relayed to clients of the legacy era, as
/// long as it is clear to which call the question belongs, and refused otherwise.
///
/// ```
/// # #[cfg(feature = "rmcp")]
/// # async fn run<H: rmcp::ServerHandler>(handler: H) -> Result<(), Box<dyn std::error::Error>> {
/// use ferromcp::{RmcpServer, Server};
///
/// let counter = RmcpServer::connect("counter", handler).await?.prefix("counter");
/// let server = Server::builder("demo", "1.0.0").mount(counter).build()?;
/// # let _ = server;
/// # Ok(())
/// # }
/// ```
pub struct RmcpServer {
    connection: Arc<Connection>,
    prefix: Arc<str>,
    lists: Lists,
}

/// The connection to one handler, and the source of its listing.
struct Connection {
    name: Arc<str>,
    wire: Arc<Wire>,
    facts: Facts,
    gateways: Mutex<Vec<Weak<Gateway>>>,
    tasks: Vec<AbortHandle>,
    /// The running rmcp service; it ends when this is dropped.
    _service: Box<dyn Any + Send + Sync>,
}

/// What `initialize` told.
struct Facts {
    offers: Offers,
    subscribe: bool,
    instructions: Option<String>,
}

#[derive(Clone, Default)]
struct Lists {
    tools: Vec<Spec>,
    resources: Vec<Spec>,
    templates: Vec<Spec>,
    prompts: Vec<Spec>,
}

impl Lists {
    fn put_into(self, listing: &mut Listing) {
        listing.tools = self.tools;
        listing.resources = self.resources;
        listing.templates = self.templates;
        listing.prompts = self.prompts;
    }
}

/// Why an rmcp handler could not be mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RmcpError {
    message: String,
}

impl RmcpError {
    fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
        }
    }
}

impl fmt::Display for RmcpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the rmcp server cannot be mounted: {}", self.message)
    }
}

impl std::error::Error for RmcpError {}

impl RmcpServer {
    /// Starts the handler and asks it what it has. `name` is that of the source: unique in the
    /// gateway it will be mounted in. Needs a tokio runtime.
    ///
    /// # Errors
    /// The handler refuses to initialize, or cannot list what it announces.
    pub async fn connect<H: ServerHandler>(name: impl Into<Arc<str>>, handler: H) -> Result<Self, RmcpError> {
        let (ours, theirs) = tokio::io::duplex(PIPE);
        let (wire, io) = Wire::start(ours);
        let mut starting = Starting(io.to_vec());
        let serve = handler.serve(theirs);
        let (service, started) = tokio::join!(
            async { tokio::time::timeout(ANSWER_TIME, serve).await },
            tokio::time::timeout(ANSWER_TIME, wire.initialize()),
        );
        let late = |_| RmcpError::new(format!("it did not answer to initialize within {ANSWER_TIME:?}"));
        let service = service
            .map_err(late)?
            .map_err(|e| RmcpError::new(e.to_string()))?;
        let facts = facts(&started.map_err(late)?.map_err(|e| RmcpError::new(e.message()))?)?;
        let lists = tokio::time::timeout(ANSWER_TIME, list(&wire, &facts.offers)).await;
        let lists =
            lists.map_err(|_| RmcpError::new(format!("its lists took longer than {ANSWER_TIME:?}")))??;
        let connection = Arc::new_cyclic(|weak: &Weak<Connection>| {
            starting
                .0
                .push(tokio::spawn(follow(Weak::clone(weak), Arc::clone(&wire))).abort_handle());
            Connection {
                name: name.into(),
                wire,
                facts,
                gateways: Mutex::default(),
                tasks: std::mem::take(&mut starting.0),
                _service: Box::new(service),
            }
        });
        Ok(Self {
            connection,
            prefix: "".into(),
            lists,
        })
    }

    /// Prefix of its tool and prompt names, as `<prefix>__<name>`; none by default.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<Arc<str>>) -> Self {
        self.prefix = prefix.into();
        self
    }
}

/// Tasks that must not outlive a failed start.
struct Starting(Vec<AbortHandle>);

impl Drop for Starting {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl Mount for RmcpServer {
    fn mount(self: Box<Self>, gateway: &Arc<Gateway>) {
        let mut gateways = self
            .connection
            .gateways
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        gateways.push(Arc::downgrade(gateway));
        drop(gateways);
        gateway.publish(self.connection.listing(&self.prefix, self.lists));
    }
}

impl Source for Connection {
    fn call<'a>(&'a self, cx: CallContext<'a>) -> SourceFuture<'a> {
        Box::pin(call::call(&self.wire, cx))
    }

    fn watch(&self, uri: &str, on: bool) {
        if self.facts.subscribe {
            let method = if on {
                "resources/subscribe"
            } else {
                "resources/unsubscribe"
            };
            self.wire
                .tell(method, &serde_json::json!({ "uri": uri }).to_string());
        }
    }
}

impl Connection {
    fn listing(self: &Arc<Self>, prefix: &Arc<str>, lists: Lists) -> Listing {
        let mut listing = Listing::new(Arc::clone(&self.name), Arc::clone(self) as Arc<dyn Source>);
        listing.prefix = Arc::clone(prefix);
        listing.offers = self.facts.offers;
        listing.instructions.clone_from(&self.facts.instructions);
        lists.put_into(&mut listing);
        listing
    }

    fn gateways(&self) -> Vec<Arc<Gateway>> {
        let gateways = self.gateways.lock().unwrap_or_else(PoisonError::into_inner);
        gateways.iter().filter_map(Weak::upgrade).collect()
    }

    /// Replaces the listing everywhere; the prefix is that of the last one.
    fn republish(self: &Arc<Self>, change: impl Fn(&mut Listing)) {
        for gateway in self.gateways() {
            let Some(mut listing) = gateway
                .snapshot()
                .catalog
                .source(&self.name)
                .map(|l| (**l).clone())
            else {
                continue;
            };
            change(&mut listing);
            gateway.publish(listing);
        }
    }
}

/// Acts on what the handler says by itself, until the connection ends.
async fn follow(connection: Weak<Connection>, wire: Arc<Wire>) {
    loop {
        let change = wire.changed().await;
        let Some(connection) = connection.upgrade() else {
            return;
        };
        match change {
            Change::Lists => match list(&wire, &connection.facts.offers).await {
                Ok(lists) => connection.republish(|listing| lists.clone().put_into(listing)),
                Err(e) => {
                    tracing::warn!(source = %connection.name, error = %e, "changed lists cannot be read");
                }
            },
            Change::Resource(uri) => {
                for gateway in connection.gateways() {
                    gateway.resource_updated(&connection.name, &uri);
                }
            }
            Change::Ended => {
                let reason = "its handler has ended";
                tracing::warn!(source = %connection.name, reason, "rmcp server is gone");
                connection.republish(|listing| {
                    listing.state = SourceState::Down {
                        reason: reason.into(),
                    }
                });
                return;
            }
        }
    }
}

fn facts(initialized: &str) -> Result<Facts, RmcpError> {
    let bad = |e: &dyn fmt::Display| RmcpError::new(format!("its answer to initialize is malformed: {e}"));
    let result = Object::parse(initialized).map_err(|e| bad(&e))?;
    let capabilities = result.get("capabilities").unwrap_or("{}");
    let capabilities = Object::parse(capabilities).map_err(|e| bad(&e))?;
    let has = |key: &str| capabilities.get(key).is_some();
    let resources = capabilities
        .get("resources")
        .and_then(|raw| Object::parse(raw).ok())
        .unwrap_or_default();
    Ok(Facts {
        offers: Offers {
            tools: has("tools"),
            resources: has("resources"),
            prompts: has("prompts"),
            completions: has("completions"),
            tasks: false,
        },
        subscribe: resources.get("subscribe") == Some("true"),
        instructions: result.get_str("instructions").map(String::from),
    })
}

async fn list(wire: &Wire, offers: &Offers) -> Result<Lists, RmcpError> {
    let mut lists = Lists::default();
    if offers.tools {
        lists.tools = pages(wire, "tools/list", "tools", "name").await?;
    }
    if offers.resources {
        lists.resources = pages(wire, "resources/list", "resources", "uri").await?;
        lists.templates = pages(
            wire,
            "resources/templates/list",
            "resourceTemplates",
            "uriTemplate",
        )
        .await?;
    }
    if offers.prompts {
        lists.prompts = pages(wire, "prompts/list", "prompts", "name").await?;
    }
    Ok(lists)
}

async fn pages(wire: &Wire, method: &str, member: &str, key: &str) -> Result<Vec<Spec>, RmcpError> {
    let bad = |e: &dyn fmt::Display| RmcpError::new(format!("{method}: {e}"));
    let mut found = Vec::new();
    let mut params = "{}".to_owned();
    for _ in 0..MAX_PAGES {
        let answer = wire
            .request(method, &params)
            .await
            .map_err(|e| bad(&e.message()))?;
        let page = Object::parse(&answer).map_err(|e| bad(&e))?;
        for raw in elements(page.get(member).unwrap_or("[]"), MAX_ITEMS).map_err(|e| bad(&e))? {
            let item = Object::parse(raw).map_err(|e| bad(&e))?;
            let name = item
                .get_str(key)
                .ok_or_else(|| bad(&format!("an item has no `{key}`")))?;
            found.push(Spec::new(name, raw));
        }
        match page.get("nextCursor") {
            Some(cursor) if cursor != "null" => params = format!("{{\"cursor\":{cursor}}}"),
            _ => return Ok(found),
        }
    }
    Err(bad(&format!("more than {MAX_PAGES} pages")))
}

impl fmt::Debug for RmcpServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RmcpServer")
            .field("name", &self.connection.name)
            .finish_non_exhaustive()
    }
}
