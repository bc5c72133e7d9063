use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use ferromcp_limits::{LimitSettings, Quotas, TenantSettings};
use serde_json::{Value, json};

use super::*;
use crate::call::{Call, CallContext, Credential, Door};
use crate::client::NoClient;
use crate::record::{CallRecord, Observer};
use crate::reply::{Payload, Reply};
use crate::snapshot::{Identity, Policy};
use crate::source::{Listing, Source, SourceFuture, Spec};
use crate::{Access, AccessSettings, BatchAnswer, Gateway};

mod plans;
mod runs;

/// `tool outcome rule` of every record.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<String>>>);

impl Observer for Notes {
    fn call_ended(&self, record: &CallRecord<'_>) {
        let line = format!(
            "{} {} {}",
            record.name,
            record.ending.as_str(),
            record.rule.unwrap_or("-")
        );
        self.0.lock().unwrap().push(line);
    }
}

impl Notes {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

#[derive(Default)]
struct Tools {
    running: AtomicUsize,
    most: AtomicUsize,
    order: Mutex<Vec<String>>,
}

impl Source for Tools {
    fn call<'a>(&'a self, cx: CallContext<'a>) -> SourceFuture<'a> {
        Box::pin(async move {
            let now = self.running.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(now, Ordering::SeqCst);
            let arguments: Value = serde_json::from_str(cx.arguments.raw).unwrap();
            let label = arguments["n"].to_string();
            self.order.lock().unwrap().push(label);
            let reply = match cx.local_name {
                "wrap" => Payload::tool("[]", Some(cx.arguments.raw), false, None),
                "say" => Payload::text(arguments["text"].as_str().unwrap_or_default()),
                "sorry" => Payload::error_text("it did not work"),
                "slow" => {
                    let ms = arguments["ms"].as_u64().unwrap_or(10);
                    tokio::time::sleep(Duration::from_millis(ms)).await;
                    Payload::text("slept")
                }
                _ => {
                    let asks = crate::InputRequired::default();
                    return Ok(Reply::InputRequired(asks));
                }
            };
            self.running.fetch_sub(1, Ordering::SeqCst);
            Ok(Reply::Complete(reply))
        })
    }
}

struct Rig {
    gateway: Gateway,
    notes: Notes,
    tools: Arc<Tools>,
}

fn rig_with(quotas: Quotas, policy: Policy) -> Rig {
    let notes = Notes::default();
    let limits = LimitSettings {
        tenants: HashMap::from([("local".to_owned(), TenantSettings { rate: None, quotas })]),
        ..LimitSettings::default()
    };
    let access = Access::new(AccessSettings {
        limits,
        ..AccessSettings::default()
    });
    let gateway = Gateway::new(Identity::default(), policy, notes.clone()).with_access(access);
    let tools = Arc::new(Tools::default());
    let mut listing = Listing::new("test", Arc::clone(&tools) as Arc<dyn Source>);
    listing.tools = ["wrap", "say", "sorry", "slow", "asks"]
        .map(|name| {
            let definition = json!({"name": name, "inputSchema": {"type": "object"}});
            Spec::new(name, definition.to_string())
        })
        .into();
    gateway.publish(listing);
    Rig {
        gateway,
        notes,
        tools,
    }
}

fn rig() -> Rig {
    rig_with(Quotas::default(), Policy::default())
}

fn frame() -> Call<'static> {
    Call::tool(Door::Library, Credential::Local, "", None)
}

impl Rig {
    async fn run(&self, body: &Value) -> Result<Value, CallError> {
        let body = body.to_string();
        let batch = Batch::plan(BatchRequest::parse(body.as_bytes())?)?;
        let mut answer = BatchAnswer::new(&batch);
        let summary = self.gateway.batch(&batch, &frame(), &mut answer).await?;
        Ok(serde_json::from_slice(&answer.finish(&summary)).unwrap())
    }

    async fn ran(&self, body: Value) -> Value {
        self.run(&body).await.unwrap()
    }
}

fn plan(body: &Value) -> CallError {
    let body = body.to_string();
    let request = BatchRequest::parse(body.as_bytes());
    request.and_then(Batch::plan).map(|_| ()).unwrap_err()
}
