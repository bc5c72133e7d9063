use std::path::Path;

use ferromcp_tools::FilesSettings;
use serde_json::json;

use crate::Bench;

/// Names of a directory: nothing temporary may stay.
fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    let mut names: Vec<_> = entries
        .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn the_three_modes() {
    let outer = tempfile::tempdir().unwrap();
    let root = outer.path();
    let bench = Bench::writer(root);
    let write = async |mode: &str, content: &str| {
        bench
            .call(
                "write_file",
                json!({"path": "f", "content": content, "mode": mode}),
            )
            .await
    };
    let now = || std::fs::read_to_string(root.join("f")).unwrap();
    assert!(write("create", "one").await.ok().text().starts_with("created"));
    assert_eq!(now(), "one");
    let refused = write("create", "two").await;
    assert!(refused.refused().contains("it exists"), "{refused:?}");
    assert_eq!(now(), "one");
    assert!(write("append", " two").await.ok().text().contains("7 bytes now"));
    assert_eq!(now(), "one two");
    assert!(write("overwrite", "3").await.ok().text().starts_with("replaced"));
    assert_eq!(now(), "3");
    // Without a mode, and with one that makes a file.
    bench
        .call("write_file", json!({"path": "g", "content": "Grüße"}))
        .await
        .ok();
    bench
        .call(
            "write_file",
            json!({"path": "h", "content": "x", "mode": "append"}),
        )
        .await
        .ok();
    assert_eq!(std::fs::read_to_string(root.join("g")).unwrap(), "Grüße");
    assert_eq!(names(root), ["f", "g", "h"]);
    bench
        .error(
            "write_file",
            json!({"path": "f", "content": "x", "mode": "truncate"}),
        )
        .await;
}

#[tokio::test]
async fn directories_on_the_way() {
    let outer = tempfile::tempdir().unwrap();
    let bench = Bench::writer(outer.path());
    let refused = bench
        .call("write_file", json!({"path": "a/b/f", "content": "x"}))
        .await;
    assert!(refused.refused().contains("create_dirs"), "{refused:?}");
    assert!(names(outer.path()).is_empty());
    bench
        .call(
            "write_file",
            json!({"path": "a/b/f", "content": "x", "create_dirs": true}),
        )
        .await
        .ok();
    assert_eq!(std::fs::read_to_string(outer.path().join("a/b/f")).unwrap(), "x");
    let refused = bench
        .call(
            "write_file",
            json!({"path": "a/b/f/g", "content": "x", "create_dirs": true}),
        )
        .await;
    assert!(refused.refused().contains("not a directory"), "{refused:?}");
}

#[tokio::test]
async fn what_cannot_be_written() {
    let (_outer, data) = crate::data();
    let bench = Bench::new(FilesSettings {
        roots: vec![data.clone()],
        write: true,
        max_write: 10,
        ..FilesSettings::default()
    });
    for path in ["sub", ".", "data"] {
        for mode in ["overwrite", "append", "create"] {
            let refused = bench
                .call("write_file", json!({"path": path, "content": "x", "mode": mode}))
                .await;
            refused.refused();
        }
    }
    let refused = bench
        .call("write_file", json!({"path": "f", "content": "12345678901"}))
        .await;
    assert!(
        refused.refused().contains("11 bytes, and at most 10"),
        "{refused:?}"
    );
    bench
        .call("write_file", json!({"path": "f", "content": "1234567890"}))
        .await
        .ok();
    let mut permissions = std::fs::metadata(data.join("f")).unwrap().permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(data.join("f"), permissions).unwrap();
    for mode in ["overwrite", "append"] {
        let refused = bench
            .call("write_file", json!({"path": "f", "content": "x", "mode": mode}))
            .await;
        assert!(refused.refused().contains("read-only"), "{refused:?}");
    }
    assert_eq!(names(&data), [".hidden", "f", "hello.txt", "sub"]);
}

#[cfg(unix)]
#[tokio::test]
async fn permissions_stay_and_links_do_not_leak_out() {
    use std::os::unix::fs::PermissionsExt;
    let (outer, data) = crate::data();
    let file = data.join("hello.txt");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o4750)).unwrap();
    // A second name outside keeps the old content: the file is replaced, not changed.
    std::fs::hard_link(&file, outer.path().join("second")).unwrap();
    let bench = Bench::writer(&data);
    bench
        .call("write_file", json!({"path": "hello.txt", "content": "new"}))
        .await
        .ok();
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o750);
    assert_eq!(
        std::fs::read_to_string(outer.path().join("second")).unwrap(),
        "hello\nworld\n"
    );
}

#[tokio::test]
async fn delete() {
    let (_outer, data) = crate::data();
    let bench = Bench::writer(&data);
    bench.call("delete_file", json!({"path": "hello.txt"})).await.ok();
    assert!(!data.join("hello.txt").exists());
    let refused = bench.call("delete_file", json!({"path": "hello.txt"})).await;
    assert!(refused.refused().contains("does not exist"), "{refused:?}");
    let refused = bench.call("delete_file", json!({"path": "sub/deep"})).await;
    assert!(refused.refused().contains("not empty"), "{refused:?}");
    assert!(data.join("sub/deep/main.rs").exists());
    bench
        .call("delete_file", json!({"path": "sub/deep/main.rs"}))
        .await
        .ok();
    bench.call("delete_file", json!({"path": "sub/deep"})).await.ok();
    assert!(!data.join("sub/deep").exists());
    for path in [".", "", "data", "data/."] {
        let refused = bench.call("delete_file", json!({ "path": path })).await;
        assert!(refused.refused().contains("root directory"), "{refused:?}");
    }
    assert!(data.is_dir());
}

/// Readers see one whole content or another while many write.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_overwrites_are_atomic() {
    let outer = tempfile::tempdir().unwrap();
    let bench = std::sync::Arc::new(Bench::writer(outer.path()));
    let content = |n: usize| format!("{n}").repeat(30_000);
    bench
        .call("write_file", json!({"path": "f", "content": content(0)}))
        .await
        .ok();
    let mut running = Vec::new();
    for n in 0..8 {
        let writer = std::sync::Arc::clone(&bench);
        running.push(tokio::spawn(async move {
            for _ in 0..10 {
                writer
                    .call("write_file", json!({"path": "f", "content": content(n)}))
                    .await
                    .ok();
            }
        }));
        let reader = std::sync::Arc::clone(&bench);
        running.push(tokio::spawn(async move {
            for _ in 0..20 {
                let answer = reader.call("read_file", json!({"path": "f"})).await.ok();
                let text = answer.text();
                assert_eq!(text.len(), 30_000);
                let first = text.as_bytes()[0];
                assert!(text.bytes().all(|b| b == first));
            }
        }));
    }
    for task in running {
        task.await.unwrap();
    }
    assert_eq!(names(outer.path()), ["f"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_creates_wins_and_no_append_is_lost() {
    let outer = tempfile::tempdir().unwrap();
    let bench = std::sync::Arc::new(Bench::writer(outer.path()));
    let mut running = Vec::new();
    for n in 0..16 {
        let bench = std::sync::Arc::clone(&bench);
        running.push(tokio::spawn(async move {
            let created = bench
                .call(
                    "write_file",
                    json!({"path": "once", "content": n.to_string(), "mode": "create"}),
                )
                .await;
            let line = format!("{n}\n");
            for _ in 0..5 {
                bench
                    .call(
                        "write_file",
                        json!({"path": "log", "content": line, "mode": "append"}),
                    )
                    .await
                    .ok();
            }
            (n, !created.is_error())
        }));
    }
    let mut winners = Vec::new();
    for task in running {
        let (n, won) = task.await.unwrap();
        winners.extend(won.then_some(n.to_string()));
    }
    assert_eq!(winners.len(), 1);
    assert_eq!(
        std::fs::read_to_string(outer.path().join("once")).unwrap(),
        winners[0]
    );
    let log = std::fs::read_to_string(outer.path().join("log")).unwrap();
    for n in 0..16 {
        let line = n.to_string();
        assert_eq!(log.lines().filter(|l| *l == line).count(), 5, "{log}");
    }
    assert_eq!(names(outer.path()), ["log", "once"]);
}
