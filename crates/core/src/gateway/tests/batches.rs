//! Many sources that publish in a short time.

use super::*;

const SOURCES: usize = 100;

fn of(source: &Arc<Tools>, name: &str, tools: usize) -> Listing {
    let mut listing = Listing::new(name, Arc::clone(source) as Arc<dyn Source>);
    listing.prefix = name.into();
    listing.tools = (0..tools)
        .map(|i| {
            let definition = json!({"name": format!("t{i}"), "inputSchema": {"type": "object"}});
            Spec::new(format!("t{i}"), definition.to_string())
        })
        .collect();
    listing
}

fn empty() -> (Arc<Gateway>, Arc<Tools>) {
    let gateway = Gateway::new(Identity::default(), Policy::default(), Notes::default());
    (Arc::new(gateway), Arc::default())
}

#[tokio::test(start_paused = true)]
async fn a_hundred_sources_that_come_up_together_are_merged_twice() {
    let (gateway, source) = empty();
    let mut events = gateway.events();
    for i in 0..SOURCES {
        gateway.publish(of(&source, &format!("s{i}"), 100));
    }
    // Time stands still, so that the second merge is that of the pause, and has all of them.
    assert!(matches!(events.recv().await, Ok(Event::ToolsChanged)));
    assert!(matches!(events.recv().await, Ok(Event::ToolsChanged)));
    let snapshot = gateway.snapshot();
    assert_eq!(snapshot.catalog.tools().len(), 100 * SOURCES);
    assert_eq!(snapshot.generation, 2);
    assert!(events.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn merges_keep_apart_however_long_sources_go_on_publishing() {
    let (gateway, source) = empty();
    let start = tokio::time::Instant::now();
    for round in 0..300 {
        gateway.publish(of(&source, &format!("s{}", round % 10), 1 + round % 7));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let took = start.elapsed().as_millis() as u64;
    // At the beginning, and once in every 10 ms.
    let merges = gateway.board.latest().generation;
    assert!(merges <= 1 + took / 10, "{merges} merges in {took} ms");
    assert!(merges >= took / 20, "{merges} merges in {took} ms");
}

#[tokio::test(start_paused = true)]
async fn whoever_looks_or_calls_sees_what_was_published() {
    let (gateway, source) = empty();
    gateway.publish(of(&source, "first", 2));
    gateway.publish(of(&source, "second", 2));
    assert_eq!(
        gateway.board.latest().generation,
        1,
        "it waits for the pause to end"
    );
    let other = call(&gateway, "first__t0", None).await;
    assert_ne!(code(&other), ErrorCode::ToolNotFound);
    assert_eq!(gateway.board.latest().generation, 1, "no concern of this call");
    assert_ne!(
        code(&call(&gateway, "second__t1", None).await),
        ErrorCode::ToolNotFound
    );
    assert_eq!(gateway.board.latest().generation, 2);
    gateway.publish(of(&source, "first", 1));
    assert_eq!(
        code(&call(&gateway, "first__t1", None).await),
        ErrorCode::ToolNotFound
    );
    gateway.publish(of(&source, "second", 3));
    let view = gateway.view(Credential::Local).unwrap();
    assert_eq!(view.tools().len(), 4);
    gateway.publish(of(&source, "second", 1));
    gateway.withdraw("first");
    assert_eq!(
        gateway.board.latest().catalog.tools().len(),
        1,
        "withdrawn at once"
    );
}

#[tokio::test(start_paused = true)]
async fn texts_of_lists_are_kept_until_the_catalog_changes() {
    let (gateway, source) = empty();
    gateway.publish(of(&source, "first", 2));
    let key = crate::ListKey {
        list: b't',
        limit: 1,
        cursor: "",
    };
    let text = |made: &'static str| {
        let view = gateway.view(Credential::Local).unwrap();
        view.cached(key, || Ok::<_, ()>(made.into())).unwrap()
    };
    assert_eq!(text("one"), "one");
    assert_eq!(text("two"), "one");
    gateway.publish(of(&source, "first", 3));
    assert_eq!(text("three"), "three");
    let failed = gateway
        .view(Credential::Local)
        .unwrap()
        .cached(crate::ListKey { cursor: "bad", ..key }, || {
            Err::<Vec<u8>, _>("no such page")
        });
    assert_eq!(failed, Err("no such page"));
}
