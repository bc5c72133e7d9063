//! Pipes, sockets and devices must not block a call, whatever is asked of them.
#![cfg(unix)]

use std::os::unix::net::UnixListener;
use std::process::Command;
use std::time::Duration;

use serde_json::json;

use crate::Bench;

#[tokio::test]
async fn nothing_waits_for_the_other_end() {
    let (_outer, data) = crate::data();
    let made = Command::new("mkfifo").arg(data.join("pipe")).status().unwrap();
    assert!(made.success());
    let _listener = UnixListener::bind(data.join("socket")).unwrap();
    let bench = Bench::writer(&data);
    for (name, kind) in [("pipe", "fifo"), ("socket", "socket")] {
        for (tool, arguments) in [
            ("read_file", json!({ "path": name })),
            ("list_dir", json!({ "path": name })),
            ("search_files", json!({"path": name, "content": "x"})),
            ("write_file", json!({"path": name, "content": "x"})),
            (
                "write_file",
                json!({"path": name, "content": "x", "mode": "append"}),
            ),
            (
                "write_file",
                json!({"path": name, "content": "x", "mode": "create"}),
            ),
            ("delete_file", json!({ "path": name })),
        ] {
            let answer = tokio::time::timeout(Duration::from_secs(20), bench.call(tool, arguments)).await;
            answer.expect(tool).refused();
        }
        let answer = bench.call("list_dir", json!({})).await.ok();
        let entries = answer.data()["entries"].as_array().unwrap();
        let entry = entries.iter().find(|e| e["name"] == name).unwrap();
        assert_eq!(entry["type"], json!(kind));
    }
    let refused = bench.call("read_file", json!({"path": "pipe"})).await;
    assert!(refused.refused().contains("it is a fifo"), "{refused:?}");
    // A search passes them by.
    let answer = bench.call("search_files", json!({"content": "hello"})).await.ok();
    assert_eq!(answer.data()["matches"].as_array().unwrap().len(), 1);
    assert!(data.join("pipe").exists() && data.join("socket").exists());
}
