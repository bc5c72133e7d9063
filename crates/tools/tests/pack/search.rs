use std::sync::Mutex;
use std::time::Duration;

use ferromcp_core::{Client, NoClient, Progress};
use ferromcp_protocol::ClientCapabilities;
use ferromcp_tools::{FilesSettings, SearchLimits};
use serde_json::{Value, json};

use crate::{Answer, Bench};

fn paths(answer: &Answer) -> Vec<String> {
    let matches = answer.data()["matches"].as_array().unwrap();
    matches
        .iter()
        .map(|m| m["path"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn names_by_glob() {
    let (_outer, data) = crate::data();
    let bench = Bench::reader(&data);
    let cases: [(Value, &[&str]); 9] = [
        (json!({"pattern": "*.rs"}), &["data/sub/deep/main.rs"]),
        (
            json!({"pattern": "*.{rs,md}"}),
            &["data/sub/deep/main.rs", "data/sub/notes.md"],
        ),
        (
            json!({"pattern": "sub/*"}),
            &["data/sub/deep", "data/sub/notes.md"],
        ),
        (json!({"pattern": "**/m*.rs"}), &["data/sub/deep/main.rs"]),
        (
            json!({"path": "sub", "pattern": "deep/*"}),
            &["data/sub/deep/main.rs"],
        ),
        (json!({"pattern": "NOTES.*"}), &[]),
        (
            json!({"pattern": "NOTES.*", "ignore_case": true}),
            &["data/sub/notes.md"],
        ),
        (json!({"pattern": ".h*", "hidden": true}), &["data/.hidden"]),
        (json!({"pattern": ".h*"}), &[]),
    ];
    for (arguments, wanted) in cases {
        let answer = bench.call("search_files", arguments.clone()).await.ok();
        assert_eq!(paths(&answer), wanted, "{arguments}");
        assert_eq!(answer.data()["complete"], json!(true));
    }
}

#[tokio::test]
async fn content_by_expression() {
    let (_outer, data) = crate::data();
    std::fs::write(data.join("crlf.txt"), "one\r\nremember two\r\n").unwrap();
    std::fs::write(data.join("binary"), b"remember\0").unwrap();
    let bench = Bench::reader(&data);
    let answer = bench
        .call("search_files", json!({"content": "^remember \\w+"}))
        .await
        .ok();
    assert_eq!(
        answer.data()["matches"],
        json!([
            {"path": "data/crlf.txt", "type": "file", "line": 2, "text": "remember two"},
            {"path": "data/sub/notes.md", "type": "file", "line": 2, "text": "remember the milk"},
        ])
    );
    assert_eq!(answer.data()["skipped"], json!(1));
    assert!(
        answer.text().contains("data/sub/notes.md:2: remember the milk\n"),
        "{}",
        answer.text()
    );
    let answer = bench
        .call(
            "search_files",
            json!({"content": "REMEMBER", "ignore_case": true, "pattern": "*.md"}),
        )
        .await
        .ok();
    assert_eq!(paths(&answer), ["data/sub/notes.md"]);
    // In one file.
    let answer = bench
        .call("search_files", json!({"path": "hello.txt", "content": "o"}))
        .await
        .ok();
    let lines: Vec<_> = answer.data()["matches"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["line"].clone())
        .collect();
    assert_eq!(lines, [json!(1), json!(2)]);
    let refused = bench
        .call("search_files", json!({"path": "hello.txt", "pattern": "*"}))
        .await;
    assert!(refused.refused().contains("it is a file"), "{refused:?}");
}

#[tokio::test]
async fn long_lines_are_shown_around_the_match() {
    let (_outer, data) = crate::data();
    let line = format!("{}needle{}", "ä".repeat(1000), "世".repeat(1000));
    std::fs::write(data.join("long"), &line).unwrap();
    let bench = Bench::reader(&data);
    let answer = bench
        .call("search_files", json!({"content": "needle"}))
        .await
        .ok();
    let text = answer.data()["matches"][0]["text"].as_str().unwrap();
    assert!(text.contains("ääneedle世世") && text.len() < 320, "{text}");
    assert!(text.starts_with("…ä") && text.ends_with("世…"), "{text}");
}

#[tokio::test]
async fn bad_patterns_are_explained() {
    let (_outer, data) = crate::data();
    let bench = Bench::reader(&data);
    for (arguments, why) in [
        (json!({"pattern": "[a"}), "not a glob"),
        (json!({"pattern": "{a"}), "not a glob"),
        (json!({"content": "("}), "cannot be used"),
        (json!({"content": "(?=x)"}), "Look-around"),
        (json!({"content": "(\\w{1000}){1000}"}), "cannot be used"),
    ] {
        let refused = bench.call("search_files", arguments).await;
        assert!(refused.refused().contains(why), "{refused:?}");
    }
    bench
        .error("search_files", json!({"content": "x".repeat(1025)}))
        .await;
    bench.error("search_files", json!({"content": ""})).await;
}

/// Expressions that take exponential time elsewhere.
#[tokio::test]
async fn hostile_expressions_end() {
    let (_outer, data) = crate::data();
    std::fs::write(data.join("as"), "a".repeat(1 << 20)).unwrap();
    let bench = Bench::reader(&data);
    for expression in ["(a+)+$x", "(a|a)*b", "(.*)(.*)(.*)(.*)[^a]"] {
        let answer = bench
            .call("search_files", json!({"content": expression, "pattern": "as"}))
            .await
            .ok();
        assert_eq!(answer.data()["matches"], json!([]));
        assert_eq!(answer.data()["complete"], json!(true));
    }
}

#[tokio::test]
async fn every_bound_ends_the_search_with_what_was_found() {
    let (_outer, data) = crate::data();
    let dir = data.join("many");
    std::fs::create_dir(&dir).unwrap();
    for n in 0..50 {
        std::fs::write(dir.join(format!("f{n:02}")), "line x\nline x\n").unwrap();
    }
    let bench = |search: SearchLimits| {
        Bench::new(FilesSettings {
            roots: vec![data.clone()],
            search,
            ..FilesSettings::default()
        })
    };
    let plain = SearchLimits::default;
    let cases = [
        (plain(), json!({"content": "x", "max_results": 5}), "results", 5),
        (
            SearchLimits {
                max_entries: 10,
                ..plain()
            },
            json!({"pattern": "f*"}),
            "entries",
            10,
        ),
        (
            SearchLimits {
                max_bytes: 70,
                ..plain()
            },
            json!({"content": "x"}),
            "bytes",
            10,
        ),
        (
            SearchLimits {
                max_time: Duration::ZERO,
                ..plain()
            },
            json!({"content": "x"}),
            "time",
            0,
        ),
    ];
    for (limits, mut arguments, by, count) in cases {
        arguments["path"] = json!("many");
        let answer = bench(limits).call("search_files", arguments).await.ok();
        assert_eq!(answer.data()["stopped_by"], json!(by));
        assert_eq!(answer.data()["complete"], json!(false));
        assert_eq!(paths(&answer).len(), count, "{by}");
        assert!(answer.text().contains("[not complete"), "{}", answer.text());
    }
    // As many as wanted, and no more: that is complete.
    let answer = bench(plain())
        .call(
            "search_files",
            json!({"path": "many", "content": "x", "max_results": 100}),
        )
        .await
        .ok();
    assert_eq!(
        (paths(&answer).len(), &answer.data()["complete"]),
        (100, &json!(true))
    );
    let small = bench(SearchLimits {
        max_file_bytes: 7,
        ..plain()
    });
    let answer = small
        .call("search_files", json!({"path": "many", "content": "x"}))
        .await
        .ok();
    assert_eq!(
        (paths(&answer).len(), &answer.data()["partial"]),
        (50, &json!(50))
    );
}

#[derive(Default)]
struct Watcher(Mutex<Vec<f64>>);

static CAPABILITIES: ClientCapabilities = ClientCapabilities {
    sampling: false,
    sampling_tools: false,
    roots: false,
    elicitation_form: false,
    elicitation_url: false,
    tasks: false,
};

impl Client for Watcher {
    fn capabilities(&self) -> &ClientCapabilities {
        &CAPABILITIES
    }

    fn wants_progress(&self) -> bool {
        true
    }

    fn progress(&self, progress: &Progress<'_>) {
        assert!(progress.message.unwrap().contains("entries searched"));
        self.0.lock().unwrap().push(progress.progress);
    }
}

#[tokio::test]
async fn progress_is_told_and_grows() {
    let (_outer, data) = crate::data();
    let big = data.join("big");
    std::fs::create_dir(&big).unwrap();
    std::fs::write(big.join("0"), "some text to look through\n".repeat(200_000)).unwrap();
    for n in 1..40 {
        std::fs::hard_link(big.join("0"), big.join(n.to_string())).unwrap();
    }
    let bench = Bench::reader(&data);
    let watcher = Watcher::default();
    let arguments = json!({"path": "big", "content": "nothing like [that]"}).to_string();
    bench
        .outcome("search_files", &arguments, &watcher)
        .await
        .result
        .unwrap();
    let reports = watcher.0.into_inner().unwrap();
    assert!(reports.len() > 1, "{reports:?}");
    assert!(reports.is_sorted_by(|a, b| a < b), "{reports:?}");
    // A caller who does not want reports is no trouble.
    bench
        .outcome("search_files", r#"{"pattern":"*"}"#, &NoClient)
        .await
        .result
        .unwrap();
}
