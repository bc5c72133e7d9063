use ferromcp_tools::FilesSettings;
use serde_json::json;

use crate::Bench;

#[tokio::test]
async fn one_root_takes_relative_named_and_absolute_paths() {
    let (_outer, data) = crate::data();
    let bench = Bench::reader(&data);
    let absolute = data.join("hello.txt");
    for path in [
        "hello.txt",
        "./hello.txt",
        "data/hello.txt",
        "data//./hello.txt",
        absolute.to_str().unwrap(),
    ] {
        let answer = bench.call("read_file", json!({ "path": path })).await.ok();
        assert_eq!(answer.text(), "hello\nworld\n", "{path}");
    }
    for path in ["", ".", "data", "data/", data.to_str().unwrap()] {
        let answer = bench.call("list_dir", json!({ "path": path })).await.ok();
        assert_eq!(answer.data()["path"], json!("data"), "{path}");
    }
    // Nothing at all is the same as ".".
    assert_eq!(
        bench.call("list_dir", json!({})).await.ok().data()["path"],
        json!("data")
    );
}

#[tokio::test]
async fn the_name_of_the_root_wins_and_answers_lead_back() {
    let (_outer, data) = crate::data();
    std::fs::create_dir(data.join("data")).unwrap();
    std::fs::write(data.join("data/hello.txt"), "inner").unwrap();
    let bench = Bench::reader(&data);
    let read = async |path: &str| {
        let answer = bench.call("read_file", json!({ "path": path })).await.ok();
        answer.text().to_owned()
    };
    assert_eq!(read("data/hello.txt").await, "hello\nworld\n");
    assert_eq!(read("data/data/hello.txt").await, "inner");
    let found = bench
        .call("search_files", json!({"pattern": "hello.txt"}))
        .await
        .ok();
    let mut texts = Vec::new();
    for found in found.data()["matches"].as_array().unwrap() {
        texts.push(read(found["path"].as_str().unwrap()).await);
    }
    assert_eq!(texts, ["inner", "hello\nworld\n"]);
}

#[tokio::test]
async fn several_roots_are_told_apart_by_name() {
    let outer = tempfile::tempdir().unwrap();
    let mut roots = Vec::new();
    for parent in ["a", "b"] {
        let root = outer.path().join(parent).join("src");
        std::fs::create_dir_all(&root).unwrap();
        std::fs::write(root.join("file"), parent).unwrap();
        roots.push(root);
    }
    let inner = roots[0].join("inner");
    std::fs::create_dir(&inner).unwrap();
    std::fs::write(inner.join("file"), "i").unwrap();
    // The first once more: it counts once.
    roots.extend([inner.clone(), roots[0].clone()]);
    let bench = Bench::new(FilesSettings {
        roots,
        ..FilesSettings::default()
    });
    for path in ["", "."] {
        let answer = bench.call("list_dir", json!({ "path": path })).await.ok();
        let entries = answer.data()["entries"].as_array().unwrap();
        let names: Vec<_> = entries.iter().map(|e| e["path"].as_str().unwrap()).collect();
        assert_eq!(names, ["src", "src-2", "inner"]);
        assert!(entries.iter().all(|e| e["type"] == "directory"));
    }
    let absolute = inner.join("file");
    for (path, text) in [
        ("src/file", "a"),
        ("src-2/file", "b"),
        ("inner/file", "i"),
        (absolute.to_str().unwrap(), "i"),
    ] {
        assert_eq!(
            bench.call("read_file", json!({ "path": path })).await.ok().text(),
            text
        );
    }
    let refused = bench.call("read_file", json!({"path": "file"})).await;
    let text = refused.refused();
    assert!(text.contains("\"src\", \"src-2\", \"inner\""), "{text}");
    assert!(!text.contains(outer.path().to_str().unwrap()), "{text}");
    let refused = bench.call("read_file", json!({"path": "."})).await;
    assert!(refused.refused().contains("name one file"));
    let found = bench.call("search_files", json!({"content": "a|b"})).await.ok();
    let paths: Vec<_> = found.data()["matches"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["path"].clone())
        .collect();
    assert_eq!(paths, [json!("src/file"), json!("src-2/file")]);
}

#[cfg(unix)]
#[tokio::test]
async fn a_root_given_by_a_link_is_found_under_both_paths() {
    let (outer, data) = crate::data();
    let link = outer.path().join("link");
    std::os::unix::fs::symlink(&data, &link).unwrap();
    let bench = Bench::reader(&link);
    for path in [
        link.join("hello.txt"),
        data.join("hello.txt"),
        "data/hello.txt".into(),
    ] {
        let path = path.to_str().unwrap();
        assert_eq!(
            bench.call("read_file", json!({ "path": path })).await.ok().text(),
            "hello\nworld\n"
        );
    }
}

#[test]
fn models_are_told_how_to_address() {
    let (_outer, data) = crate::data();
    let bench = Bench::reader(&data);
    let snapshot = bench.gateway.snapshot();
    let instructions = snapshot.catalog.sources()[0].instructions.clone().unwrap();
    assert!(instructions.contains("\"data\""), "{instructions}");
    assert!(!instructions.contains(data.to_str().unwrap()), "{instructions}");
}
