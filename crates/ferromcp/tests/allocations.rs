//! How many allocations one call costs. In a binary of its own, because it counts all of them.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::task::{Context as Task, Poll, Waker};

use ferromcp::core::{Call, Credential, Door, Gateway, NoClient, Operation};
use ferromcp::{Context, JsonSchema, ProtocolVersion, Server, Tool};
use ferromcp_protocol::RequestMeta;
use serde::Deserialize;

/// Counts the allocations of each thread.
struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

fn count() {
    // Not where the thread is being taken down: nothing is measured then.
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
}

#[expect(unsafe_code, reason = "an allocator can be written no other way")]
// SAFETY: every method passes its arguments unchanged to `System`, which fulfils the contract of
// `GlobalAlloc`, and returns what it returns. Counting neither allocates (the cell is const and has
// no destructor, so it is not registered) nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of `alloc` for this layout.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the block came from `System` through the methods here, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as for `dealloc`; the caller vouches for the new size.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[derive(Deserialize, JsonSchema)]
struct Echo {
    msg: String,
}

/// Allocations of one call, after others have warmed up what is made once.
fn allocations(gateway: &Gateway, name: &str) -> usize {
    let run = || {
        let meta = RequestMeta::default();
        let call = Call {
            operation: Operation::CallTool,
            name,
            arguments: Some(r#"{"msg":"hello, world"}"#),
            params: None,
            meta: &meta,
            version: ProtocolVersion::LATEST,
            door: Door::Library,
            credential: Credential::Local,
            tenant: None,
            client: &NoClient,
            input: None,
            timeout: None,
        };
        let mut future = pin!(gateway.call(&call));
        let Poll::Ready(outcome) = future.as_mut().poll(&mut Task::from_waker(Waker::noop())) else {
            panic!("an echo does not wait")
        };
        assert!(outcome.result.is_ok());
    };
    for _ in 0..10 {
        run();
    }
    let before = COUNT.with(Cell::get);
    run();
    COUNT.with(Cell::get) - before
}

#[test]
fn a_call_stays_within_its_allocations() {
    let gateway = Server::builder("count", "1.0.0")
        .tool(Tool::new("echo", "Echoes", |args: Echo| async move { args.msg }))
        .tool(Tool::new(
            "echo_context",
            "Echoes",
            |args: Echo, _cx: Context| async move { args.msg },
        ))
        .build()
        .unwrap()
        .into_gateway();
    // Three for the tree that the schema check needs, the argument, the future, the result.
    assert!(
        allocations(&gateway, "echo") <= 6,
        "{}",
        allocations(&gateway, "echo")
    );
    // And the context.
    assert!(
        allocations(&gateway, "echo_context") <= 7,
        "{}",
        allocations(&gateway, "echo_context")
    );
}
