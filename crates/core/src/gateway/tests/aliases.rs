//! Two sources that have the same resources.

use ferromcp_tenancy::{AclSettings, Directory, List, TenantSettings};

use super::*;

/// A source whose resources say which one they are of, and by which URI they were asked for.
struct Twin {
    name: &'static str,
    watched: Mutex<Vec<(String, bool)>>,
}

impl Source for Twin {
    fn call<'a>(&'a self, cx: CallContext<'a>) -> SourceFuture<'a> {
        Box::pin(async move {
            let uri = cx.local_name;
            let json = match cx.call.operation {
                Operation::ReadResource => {
                    format!(r#"{{"contents":[{{"uri":"{uri}","text":"{} {uri}","n":1.50}}]}}"#, self.name)
                }
                Operation::CompleteResource => format!(r#"{{"completion":{{"values":["{uri}"]}}}}"#),
                _ => r#"{"content":[{"type":"resource_link","uri":"x://r"},{"type":"resource_link","uri":"x://only"}]}"#.to_owned(),
            };
            Ok(Reply::Complete(Payload::relayed(json.into_bytes()).unwrap()))
        })
    }

    fn watch(&self, uri: &str, on: bool) {
        self.watched.lock().unwrap().push((uri.to_owned(), on));
    }
}

fn twins() -> (Arc<Gateway>, Arc<Twin>, Arc<Twin>) {
    let gateway = Arc::new(Gateway::new(Identity::default(), Policy::default(), ()));
    let twin = |name: &'static str| {
        let twin = Arc::new(Twin {
            name,
            watched: Mutex::default(),
        });
        let mut listing = Listing::new(name, Arc::clone(&twin) as Arc<dyn Source>);
        listing.prefix = name.into();
        listing.offers.resources = true;
        let tool = json!({"name": "t", "inputSchema": {"type": "object"}, "_meta": {"ui": {"resourceUri": "x://r"}}});
        listing.tools = vec![Spec::new("t", tool.to_string())];
        listing.resources = vec![Spec::new("x://r", r#"{"uri":"x://r","name":"r","v":1.50}"#)];
        listing.templates = vec![Spec::new(
            "x://t/{id}",
            r#"{"uriTemplate":"x://t/{id}","name":"t"}"#,
        )];
        gateway.publish(listing);
        twin
    };
    let (a, b) = (twin("a"), twin("b"));
    (gateway, a, b)
}

async fn ask(
    gateway: &Gateway,
    operation: Operation,
    name: &str,
    tenant: Option<&str>,
) -> Result<String, ErrorCode> {
    let meta = RequestMeta::default();
    let call = Call {
        operation,
        name,
        arguments: None,
        params: None,
        meta: &meta,
        version: ProtocolVersion::LATEST,
        door: Door::Library,
        credential: tenant.map_or(Credential::Local, Credential::Tenant),
        tenant: None,
        client: &NoClient,
        input: None,
        timeout: None,
    };
    match gateway.call(&call).await.result {
        Ok(Reply::Complete(payload)) => Ok(payload.as_str().to_owned()),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error.code()),
    }
}

const ALIAS: &str = "ferromcp://b/x%3A%2F%2Fr";

#[tokio::test]
async fn both_are_listed_and_read() {
    let (gateway, ..) = twins();
    let snapshot = gateway.snapshot();
    let catalog = &snapshot.catalog;
    let uris: Vec<_> = catalog.resources().iter().map(|r| &*r.uri).collect();
    assert_eq!(uris, ["x://r", ALIAS]);
    let listed = &catalog.resources()[1].definition;
    assert_eq!(**listed, format!(r#"{{"uri":"{ALIAS}","name":"r","v":1.50}}"#));
    let templates: Vec<_> = catalog.templates().iter().map(|t| t.uri.as_str()).collect();
    assert_eq!(templates, ["x://t/{id}", "ferromcp://b/x%3A%2F%2Ft%2F{id}"]);
    // MCP Apps: the page of a tool is the one of its own server.
    assert!(
        catalog
            .tool("a__t")
            .unwrap()
            .definition
            .contains(r#""resourceUri":"x://r""#)
    );
    let page = format!(r#""resourceUri":"{ALIAS}""#);
    assert!(catalog.tool("b__t").unwrap().definition.contains(&page));

    let read = async |uri: &str| ask(&gateway, Operation::ReadResource, uri, None).await.unwrap();
    assert_eq!(
        read("x://r").await,
        r#"{"contents":[{"uri":"x://r","text":"a x://r","n":1.50}]}"#
    );
    let expected = format!(r#"{{"contents":[{{"uri":"{ALIAS}","text":"b x://r","n":1.50}}]}}"#);
    assert_eq!(read(ALIAS).await, expected);
    assert!(read("x://t/7").await.contains("a x://t/7"));
    let expanded = read("ferromcp://b/x%3A%2F%2Ft%2F7").await;
    assert!(
        expanded.contains("b x://t/7") && expanded.contains(r#""uri":"ferromcp://b/x%3A%2F%2Ft%2F7""#),
        "{expanded}"
    );
    // The first owner has such a URI too, and what is not listed leads back as well.
    assert!(read("ferromcp://a/x%3A%2F%2Fr").await.contains("a x://r"));
    assert!(
        read("ferromcp://b/x%3A%2F%2Funlisted")
            .await
            .contains("b x://unlisted")
    );

    let links = ask(&gateway, Operation::CallTool, "b__t", None).await.unwrap();
    assert!(
        links.contains(&format!(r#""uri":"{ALIAS}""#)) && links.contains(r#""uri":"x://only""#),
        "{links}"
    );
    let links = ask(&gateway, Operation::CallTool, "a__t", None).await.unwrap();
    assert!(!links.contains("ferromcp:"), "{links}");
    let completed = ask(&gateway, Operation::CompleteResource, templates[1], None)
        .await
        .unwrap();
    assert!(completed.contains(r#"["x://t/{id}"]"#), "{completed}");
}

#[tokio::test]
async fn each_owner_tells_of_its_own() {
    let (gateway, a, b) = twins();
    // What was published is merged, so that nobody is told of it later.
    gateway.snapshot();
    let mut events = gateway.events();
    let watch = gateway.watch(ALIAS);
    assert_eq!(*b.watched.lock().unwrap(), [("x://r".to_owned(), true)]);
    assert!(a.watched.lock().unwrap().is_empty());
    gateway.resource_updated("b", "x://r");
    gateway.resource_updated("a", "x://r");
    let updated = |event: Event| match event {
        Event::ResourceUpdated { uri } => uri.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(updated(events.recv().await.unwrap()), ALIAS);
    assert_eq!(updated(events.recv().await.unwrap()), "x://r");
    assert!(events.try_recv().is_err());
    // The first owner goes, and the URI is the other's: who watches it follows.
    let plain = gateway.watch("x://r");
    gateway.withdraw("a");
    assert_eq!(
        *a.watched.lock().unwrap(),
        [("x://r".to_owned(), true), ("x://r".to_owned(), false)]
    );
    assert_eq!(gateway.snapshot().catalog.resources().len(), 1);
    drop((watch, plain));
    assert_eq!(
        b.watched.lock().unwrap().last().unwrap(),
        &("x://r".to_owned(), false)
    );
}

#[tokio::test]
async fn access_lists_go_by_the_sources_own_uris() {
    let (gateway, ..) = twins();
    let tenant = TenantSettings {
        id: "t".into(),
        acl: AclSettings {
            resources: List {
                deny: vec!["x://r".into()],
                ..List::default()
            },
            ..AclSettings::default()
        },
        ..TenantSettings::default()
    };
    gateway.set_access(AccessSettings {
        directory: Directory::new(&[tenant]).unwrap(),
        ..AccessSettings::default()
    });
    for uri in [
        "x://r",
        ALIAS,
        "ferromcp://a/x%3A%2F%2Fr",
        "ferromcp://b/%78%3A%2F%2F%72",
    ] {
        let answer = ask(&gateway, Operation::ReadResource, uri, Some("t")).await;
        assert_eq!(answer, Err(ErrorCode::ToolNotFound), "{uri}");
        let view = gateway.view(Credential::Tenant("t")).unwrap();
        assert!(view.resource_source(uri).is_none() && view.resources().is_empty());
        assert!(!gateway.may_read(view.principal(), uri));
    }
    ask(
        &gateway,
        Operation::ReadResource,
        "ferromcp://b/x%3A%2F%2Ft%2F1",
        Some("t"),
    )
    .await
    .unwrap();
}
