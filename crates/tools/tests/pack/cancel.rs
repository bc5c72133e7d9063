use std::sync::Arc;
use std::time::{Duration, Instant};

use ferromcp_core::{Client, Progress};
use ferromcp_protocol::ClientCapabilities;
use ferromcp_tools::{FilesSettings, SearchLimits};
use serde_json::json;
use tokio::sync::Notify;

use crate::Bench;

/// Says when the first report came.
struct First(Arc<Notify>);

static CAPABILITIES: ClientCapabilities = ClientCapabilities {
    sampling: false,
    sampling_tools: false,
    roots: false,
    elicitation_form: false,
    elicitation_url: false,
    tasks: false,
};

impl Client for First {
    fn capabilities(&self) -> &ClientCapabilities {
        &CAPABILITIES
    }

    fn progress(&self, _progress: &Progress<'_>) {
        self.0.notify_one();
    }
}

/// A search that would take minutes ends when its call is dropped: the runtime waits for its blocking
/// threads when it is dropped, so this test would hang for as long otherwise.
#[test]
fn a_dropped_search_stops_its_thread() {
    let (_outer, data) = crate::data();
    let big = data.join("big");
    std::fs::create_dir(&big).unwrap();
    std::fs::write(big.join("0"), "some text to look through\n".repeat(200_000)).unwrap();
    // 100 directories of 100 names for the same file: 52 GB to read.
    for dir in 0..100 {
        let dir = big.join(format!("d{dir}"));
        std::fs::create_dir(&dir).unwrap();
        for n in 0..100 {
            std::fs::hard_link(big.join("0"), dir.join(n.to_string())).unwrap();
        }
    }
    let bench = Bench::new(FilesSettings {
        roots: vec![data],
        search: SearchLimits {
            max_bytes: u64::MAX / 2,
            max_time: Duration::from_secs(3600),
            ..SearchLimits::default()
        },
        ..FilesSettings::default()
    });
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let started = runtime.block_on(async {
        let first = Arc::new(Notify::new());
        let client = First(Arc::clone(&first));
        let arguments = json!({"content": "nothing like [that]"}).to_string();
        let mut search = Box::pin(bench.outcome("search_files", &arguments, &client));
        tokio::select! {
            outcome = &mut search => panic!("the search ended first: {outcome:?}"),
            () = first.notified() => {}
        }
        // The async thread was free all the time: it got the report and does other things.
        let answer = bench.call("echo", json!({"msg": "still here"})).await.ok();
        assert_eq!(answer.text(), "still here");
        drop(search);
        Instant::now()
    });
    drop(runtime);
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "{:?}",
        started.elapsed()
    );
}

/// More dropped searches than run at a time leave room for the next.
#[tokio::test]
async fn dropped_calls_give_their_room_back() {
    let (_outer, data) = crate::data();
    let bench = Bench::reader(&data);
    for _ in 0..300 {
        let search = bench.outcome("search_files", r#"{"content":"x"}"#, &ferromcp_core::NoClient);
        let read = bench.outcome("read_file", r#"{"path":"hello.txt"}"#, &ferromcp_core::NoClient);
        // Polled once, then dropped.
        tokio::select! {
            biased;
            _ = search => {}
            _ = read => {}
            () = std::future::ready(()) => {}
        }
    }
    bench.call("search_files", json!({"content": "x"})).await.ok();
    assert_eq!(
        bench
            .call("read_file", json!({"path": "hello.txt"}))
            .await
            .ok()
            .text(),
        "hello\nworld\n"
    );
}
