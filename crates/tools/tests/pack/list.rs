use serde_json::{Value, json};

use crate::Bench;

fn paths(data: &Value) -> Vec<&str> {
    let entries = data["entries"].as_array().unwrap();
    entries.iter().map(|e| e["path"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn names_types_sizes_and_times_in_order() {
    let (_outer, data) = crate::data();
    let bench = Bench::reader(&data);
    let answer = bench.call("list_dir", json!({"path": "."})).await.ok();
    assert_eq!(
        paths(answer.data()),
        ["data/.hidden", "data/hello.txt", "data/sub"]
    );
    assert_eq!(answer.data()["truncated"], json!(false));
    let file = &answer.data()["entries"][1];
    assert_eq!(
        (&file["name"], &file["type"], &file["size"]),
        (&json!("hello.txt"), &json!("file"), &json!(12))
    );
    let modified = file["modified"].as_str().unwrap();
    assert!(
        modified.len() == 20 && modified.starts_with("20") && modified.ends_with('Z'),
        "{modified}"
    );
    let dir = &answer.data()["entries"][2];
    assert_eq!((&dir["type"], &dir["size"]), (&json!("directory"), &Value::Null));
    assert!(
        answer.text().starts_with("data: 3 entries\n"),
        "{}",
        answer.text()
    );
    assert!(answer.text().contains("12 20"), "{}", answer.text());
}

#[tokio::test]
async fn depth_and_limit() {
    let (_outer, data) = crate::data();
    let bench = Bench::reader(&data);
    let answer = bench.call("list_dir", json!({"path": "", "depth": 2})).await.ok();
    assert_eq!(
        paths(answer.data()),
        [
            "data/.hidden",
            "data/hello.txt",
            "data/sub",
            "data/sub/deep",
            "data/sub/notes.md"
        ]
    );
    let answer = bench
        .call("list_dir", json!({"path": "sub", "depth": 32}))
        .await
        .ok();
    assert_eq!(
        paths(answer.data()),
        ["data/sub/deep", "data/sub/deep/main.rs", "data/sub/notes.md"]
    );
    let answer = bench
        .call("list_dir", json!({"path": ".", "limit": 2}))
        .await
        .ok();
    assert_eq!(paths(answer.data()), ["data/.hidden", "data/hello.txt"]);
    assert_eq!(answer.data()["truncated"], json!(true));
    assert!(answer.text().contains("[cut:"), "{}", answer.text());
    let answer = bench
        .call("list_dir", json!({"path": ".", "limit": 3}))
        .await
        .ok();
    assert_eq!(answer.data()["truncated"], json!(false));
    for bad in [
        json!({"depth": 0}),
        json!({"limit": 10_001}),
        json!({"depth": 33}),
        json!({"deep": 1}),
    ] {
        bench.error("list_dir", bad).await;
    }
}

#[tokio::test]
async fn what_is_not_a_directory() {
    let (_outer, data) = crate::data();
    let bench = Bench::reader(&data);
    let refused = bench.call("list_dir", json!({"path": "hello.txt"})).await;
    assert!(refused.refused().contains("read_file"), "{refused:?}");
    let refused = bench.call("list_dir", json!({"path": "hello.txt/x"})).await;
    assert!(refused.refused().contains("not a directory"), "{refused:?}");
    let refused = bench.call("list_dir", json!({"path": "missing"})).await;
    assert!(
        refused.refused().contains("\"data/missing\": it does not exist"),
        "{refused:?}"
    );
}

#[cfg(unix)]
#[tokio::test]
async fn hostile_names() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let (_outer, data) = crate::data();
    let names: [&[u8]; 5] = [
        b"caf\xe9",
        b"two\nlines  [cut: everything]",
        b"\x1b[31mred",
        b"back\\slash",
        b" ",
    ];
    let dir = data.join("names");
    std::fs::create_dir(&dir).unwrap();
    for name in names {
        std::fs::write(dir.join(OsStr::from_bytes(name)), name).unwrap();
    }
    let bench = Bench::writer(&data);
    let answer = bench.call("list_dir", json!({"path": "names"})).await.ok();
    let entries = answer.data()["entries"].as_array().unwrap();
    assert_eq!(entries.len(), names.len());
    // Nothing fakes a line or reaches a terminal.
    assert_eq!(
        answer.text().lines().count(),
        names.len() + 1,
        "{}",
        answer.text()
    );
    assert!(!answer.text().contains('\u{1b}'));
    assert!(
        answer.text().contains("two\\nlines") && answer.text().contains("not UTF-8"),
        "{}",
        answer.text()
    );
    for entry in entries {
        let lossy = entry["name"] == "caf\u{fffd}";
        assert_eq!(entry["lossy"] == json!(true), lossy);
        let read = bench.call("read_file", json!({"path": entry["path"]})).await;
        if lossy {
            assert!(read.refused().contains("does not exist"));
        } else {
            assert_eq!(read.ok().text(), entry["name"].as_str().unwrap());
        }
    }
    // But no new ones of that kind.
    let refused = bench
        .call("write_file", json!({"path": "new\nname", "content": ""}))
        .await;
    assert!(refused.refused().contains("control characters"), "{refused:?}");
    assert_eq!(refused.refused().lines().count(), 1);
}

#[tokio::test]
async fn a_long_listing_is_bounded_in_bytes() {
    let (_outer, data) = crate::data();
    let mut dir = data.join("long");
    for _ in 0..3 {
        dir.push("d".repeat(250));
    }
    std::fs::create_dir_all(&dir).unwrap();
    for n in 0..1500 {
        std::fs::write(dir.join(format!("{n:0>240}")), "").unwrap();
    }
    let bench = Bench::reader(&data);
    let answer = bench
        .call("list_dir", json!({"path": "long", "depth": 9, "limit": 10_000}))
        .await
        .ok();
    assert_eq!(answer.data()["truncated"], json!(true));
    let count = answer.data()["entries"].as_array().unwrap().len();
    assert!((1000..1100).contains(&count), "{count}");
}
