//! Everything that should not get out, does not, with any of the tools.

use std::path::Path;

use serde_json::{Value, json};

use crate::{Answer, Bench};

/// Calls every tool with a path; none may say more than that it will not.
async fn all_tools(bench: &Bench, path: &str) -> Vec<(&'static str, Answer)> {
    let calls: [(&str, Value); 8] = [
        ("list_dir", json!({ "path": path })),
        ("list_dir", json!({"path": path, "depth": 5})),
        ("read_file", json!({ "path": path })),
        ("search_files", json!({"path": path, "content": "secret"})),
        ("search_files", json!({"path": path, "pattern": "*"})),
        ("write_file", json!({"path": path, "content": "overwritten"})),
        (
            "write_file",
            json!({"path": path, "content": "appended", "mode": "append", "create_dirs": true}),
        ),
        ("delete_file", json!({ "path": path })),
    ];
    let mut answers = Vec::new();
    for (tool, arguments) in calls {
        answers.push((tool, bench.call(tool, arguments).await));
    }
    answers
}

fn tree(dir: &Path) -> Vec<(String, Option<Vec<u8>>)> {
    let mut found = Vec::new();
    let mut left = vec![dir.to_path_buf()];
    while let Some(dir) = left.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let metadata = path.symlink_metadata().unwrap();
            if metadata.is_dir() {
                left.push(path.clone());
            }
            let content = metadata.is_file().then(|| std::fs::read(&path).unwrap());
            found.push((path.to_string_lossy().into_owned(), content));
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn paths_that_lead_out_by_their_text() {
    let (outer, data) = crate::data();
    let bench = Bench::writer(&data);
    let before = tree(outer.path());
    let secret = outer.path().join("secret.txt");
    let sibling = format!("{}-2/secret.txt", data.display());
    let climbing = format!("{}/../secret.txt", data.display());
    let long = "a/".repeat(3000);
    let long_name = "a".repeat(256);
    let cases = [
        ("..", "\"..\""),
        ("../secret.txt", "\"..\""),
        ("sub/../../secret.txt", "\"..\""),
        ("sub/../hello.txt", "\"..\""),
        ("data/../../secret.txt", "\"..\""),
        ("sub/..", "\"..\""),
        (climbing.as_str(), "\"..\""),
        ("/", "not inside"),
        ("//", "not inside"),
        ("/etc/passwd", "not inside"),
        ("/proc/self/environ", "not inside"),
        (secret.to_str().unwrap(), "not inside"),
        (sibling.as_str(), "not inside"),
        ("hello\0.txt", "NUL"),
        ("\0", "NUL"),
        (long.as_str(), ""),
        (long_name.as_str(), "255"),
    ];
    for (path, why) in cases {
        if path.len() > 4096 {
            // The schema is first here.
            let error = bench.error("read_file", json!({ "path": path })).await;
            assert_eq!(error.rule(), Some("schema.arguments"));
            continue;
        }
        for (tool, answer) in all_tools(&bench, path).await {
            let text = answer.refused();
            assert!(text.contains(why), "{tool} {path:?}: {text}");
            assert!(!text.contains("the secret"), "{tool} {path:?}: {text}");
        }
    }
    assert_eq!(tree(outer.path()), before);
}

/// On Unix a backslash is a character like any other, and what looks like a way out is a name of a
/// file that is not there; `~`, `%2e%2e` and URLs are plain names everywhere.
#[cfg(unix)]
#[tokio::test]
async fn paths_that_would_lead_out_elsewhere_are_plain_names() {
    let (outer, data) = crate::data();
    let bench = Bench::reader(&data);
    for path in [
        "..\\secret.txt",
        "sub\\..\\..\\secret.txt",
        "C:\\Windows\\win.ini",
        "\\\\server\\share",
        "~/secret.txt",
        "%2e%2e/secret.txt",
        "..%2fsecret.txt",
        "....//secret.txt",
        "file:///etc/passwd",
        "․․/secret.txt",
    ] {
        for tool in ["read_file", "list_dir", "search_files"] {
            let answer = bench.call(tool, json!({ "path": path })).await;
            let text = answer.refused();
            assert!(text.contains("does not exist"), "{tool} {path:?}: {text}");
            assert_eq!(text.contains("separated by"), path.contains('\\'), "{text}");
            assert!(!text.contains(outer.path().to_str().unwrap()), "{text}");
        }
    }
}

#[cfg(unix)]
#[tokio::test]
async fn links_that_lead_out() {
    use std::os::unix::fs::symlink;
    let (outer, data) = crate::data();
    let other = outer.path().join("other");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("secret.txt"), "the secret").unwrap();
    let secret = outer.path().join("secret.txt");
    let links = [
        (secret.to_str().unwrap(), "absolute"),
        ("../secret.txt", "relative"),
        ("../other", "dir"),
        ("dir", "indirect"),
        ("/", "all"),
        ("/proc/self/root", "magic"),
        ("loop", "loop"),
        ("..", "sub/up"),
    ];
    // Some calls below delete a link, which is inside; the next finds it again.
    let make_links = || {
        for (target, link) in links {
            let link = data.join(link);
            if !link.is_symlink() {
                symlink(target, link).unwrap();
            }
        }
    };
    let bench = Bench::writer(&data);
    let inside = outer.path().display().to_string();
    let paths = [
        "absolute".to_owned(),
        "relative".into(),
        "dir/secret.txt".into(),
        "indirect/secret.txt".into(),
        "magic/etc/passwd".into(),
        "all/etc/passwd".into(),
        format!("all{inside}/secret.txt"),
        "sub/up/../../secret.txt".into(),
        "sub/up/relative".into(),
        "loop".into(),
        "loop/x".into(),
    ];
    let outside = || {
        let mut found = tree(&other);
        found.push((
            "secret".into(),
            std::fs::read(outer.path().join("secret.txt")).ok(),
        ));
        found
    };
    let before = outside();
    for path in &paths {
        make_links();
        for (tool, answer) in all_tools(&bench, path).await {
            let is_link = ["absolute", "relative", "loop", "sub/up/relative"].contains(&path.as_str());
            if tool == "delete_file" && is_link {
                assert!(answer.ok().text().contains("symbolic link"));
                continue;
            }
            let text = answer.refused();
            assert!(!text.contains("the secret"), "{tool} {path}: {text}");
            assert!(
                !text.contains(&inside) || path.contains(&inside),
                "{tool} {path}: {text}"
            );
        }
    }
    assert_eq!(outside(), before);

    let text = bench
        .call("read_file", json!({"path": "sub/up/all/etc/passwd"}))
        .await;
    assert!(text.refused().contains("leads out of its root"), "{text:?}");
    // Walks do not follow links, and say that they are links.
    let answer = bench
        .call("list_dir", json!({"path": ".", "depth": 9}))
        .await
        .ok();
    let entries = answer.data()["entries"].as_array().unwrap();
    assert!(entries.iter().all(|e| e["name"] != "secret.txt"));
    let dir = entries.iter().find(|e| e["name"] == "dir").unwrap();
    assert_eq!((&dir["type"], &dir["size"]), (&json!("symlink"), &Value::Null));
    let answer = bench
        .call("search_files", json!({"content": "the secret"}))
        .await
        .ok();
    assert_eq!(answer.data()["matches"], json!([]));
}

#[cfg(unix)]
#[tokio::test]
async fn links_inside_are_followed() {
    use std::os::unix::fs::symlink;
    let (_outer, data) = crate::data();
    symlink("sub/notes.md", data.join("link")).unwrap();
    symlink("../hello.txt", data.join("sub/up.txt")).unwrap();
    symlink("sub/deep", data.join("dir")).unwrap();
    let bench = Bench::writer(&data);
    let read = async |path: &str| {
        bench
            .call("read_file", json!({ "path": path }))
            .await
            .ok()
            .text()
            .to_owned()
    };
    assert!(read("link").await.starts_with("# Notes"));
    assert_eq!(read("sub/up.txt").await, "hello\nworld\n");
    assert_eq!(read("dir/main.rs").await, "fn main() {}\n");
    // Writing goes through the link, which stays a link.
    bench
        .call("write_file", json!({"path": "sub/up.txt", "content": "new"}))
        .await
        .ok();
    bench
        .call(
            "write_file",
            json!({"path": "sub/up.txt", "content": "er", "mode": "append"}),
        )
        .await
        .ok();
    assert_eq!(std::fs::read_to_string(data.join("hello.txt")).unwrap(), "newer");
    assert!(data.join("sub/up.txt").is_symlink());
    // Deleting does not.
    bench.call("delete_file", json!({"path": "link"})).await.ok();
    assert!(!data.join("link").is_symlink() && data.join("sub/notes.md").exists());
}

/// A directory that turns into a link while calls run must never let them out.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_turns_into_a_link() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    let (outer, data) = crate::data();
    let other = outer.path().join("other");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("file.txt"), "the secret").unwrap();
    std::fs::create_dir(data.join("real")).unwrap();
    std::fs::write(data.join("real/file.txt"), "harmless").unwrap();
    std::os::unix::fs::symlink(&other, data.join("bad")).unwrap();
    std::fs::rename(data.join("real"), data.join("turn")).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let turning = std::thread::spawn({
        let (stop, data) = (Arc::clone(&stop), data.clone());
        move || {
            let at = |name: &str| data.join(name);
            while !stop.load(Ordering::Relaxed) {
                std::fs::rename(at("turn"), at("real")).unwrap();
                std::fs::rename(at("bad"), at("turn")).unwrap();
                std::fs::rename(at("turn"), at("bad")).unwrap();
                std::fs::rename(at("real"), at("turn")).unwrap();
            }
        }
    });
    let bench = Bench::writer(&data);
    let mut harmless = 0;
    for _ in 0..300 {
        let answer = bench.call("read_file", json!({"path": "turn/file.txt"})).await;
        assert!(!answer.text().contains("the secret"), "{answer:?}");
        harmless += u32::from(answer.text() == "harmless");
        let answer = bench
            .call("search_files", json!({"content": "secret"}))
            .await
            .ok();
        assert_eq!(answer.data()["matches"], json!([]));
        // Refused or done inside; what is outside stays as it is.
        bench
            .call("write_file", json!({"path": "turn/new.txt", "content": "x"}))
            .await;
        bench.call("delete_file", json!({"path": "turn/new.txt"})).await;
    }
    stop.store(true, Ordering::Relaxed);
    turning.join().unwrap();
    assert!(harmless > 0);
    assert_eq!(std::fs::read_dir(&other).unwrap().count(), 1);
    assert_eq!(
        std::fs::read_to_string(other.join("file.txt")).unwrap(),
        "the secret"
    );
}
