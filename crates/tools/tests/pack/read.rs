use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ferromcp_tools::FilesSettings;
use serde_json::{Value, json};

use crate::Bench;

#[tokio::test]
async fn text_as_it_is() {
    let (_outer, data) = crate::data();
    let bench = Bench::reader(&data);
    for text in [
        "",
        "\n",
        "no end",
        "a\r\nb\r\n",
        "\u{feff}bom",
        "Grüße 世界\n",
        "tab\tand \"quote\"\n",
    ] {
        std::fs::write(data.join("t"), text).unwrap();
        let answer = bench.call("read_file", json!({"path": "t"})).await.ok();
        assert_eq!(answer.text(), text);
        assert_eq!(answer.mark(), None);
    }
}

#[tokio::test]
async fn lines() {
    let (_outer, data) = crate::data();
    std::fs::write(data.join("t"), "1\n2\n3\n4\n5").unwrap();
    let bench = Bench::reader(&data);
    let read = async |offset: Value, limit: Value| {
        let mut arguments = json!({"path": "t"});
        for (name, value) in [("offset", offset), ("limit", limit)] {
            if !value.is_null() {
                arguments[name] = value;
            }
        }
        bench.call("read_file", arguments).await
    };
    let cases = [
        (json!(1), Value::Null, "1\n2\n3\n4\n5", None),
        (json!(3), Value::Null, "3\n4\n5", None),
        (json!(5), Value::Null, "5", None),
        (Value::Null, json!(2), "1\n2\n", Some(3)),
        (json!(2), json!(2), "2\n3\n", Some(4)),
        (json!(4), json!(2), "4\n5", None),
        (json!(4), json!(100), "4\n5", None),
        (json!(1), json!(5), "1\n2\n3\n4\n5", None),
    ];
    for (offset, limit, text, next) in cases {
        let answer = read(offset.clone(), limit.clone()).await.ok();
        assert_eq!(answer.text(), text, "{offset} {limit}");
        let mark = next.map(|n| format!("\"offset\": {n}]"));
        match (answer.mark(), &mark) {
            (Some(got), Some(mark)) => assert!(got.ends_with(mark), "{got}"),
            (got, _) => assert_eq!(got, mark.as_deref()),
        }
    }
    let refused = read(json!(6), Value::Null).await;
    assert!(refused.refused().contains("it has 5 lines"), "{refused:?}");
    std::fs::write(data.join("t"), "1\n2\n").unwrap();
    let refused = read(json!(3), Value::Null).await;
    assert!(refused.refused().contains("it has 2 lines"), "{refused:?}");
    bench.error("read_file", json!({"path": "t", "offset": 0})).await;
    bench.error("read_file", json!({"path": "t", "limit": 0})).await;
}

/// A file over the limit can be read to its end by following the marks.
#[tokio::test]
async fn big_text_in_parts() {
    let (_outer, data) = crate::data();
    let mut whole = String::new();
    for n in 0..20_000 {
        writeln!(whole, "line {n} {}", "é".repeat(n % 40)).unwrap();
    }
    std::fs::write(data.join("big"), &whole).unwrap();
    let bench = Bench::new(FilesSettings {
        roots: vec![data],
        max_read: 100_000,
        ..FilesSettings::default()
    });
    let mut got = String::new();
    let mut offset = 1;
    let mut parts = 0;
    loop {
        let answer = bench
            .call("read_file", json!({"path": "big", "offset": offset}))
            .await
            .ok();
        assert!(answer.text().len() <= 100_000);
        got.push_str(answer.text());
        parts += 1;
        let Some(mark) = answer.mark() else { break };
        assert!(mark.starts_with("[cut: "), "{mark}");
        let next = mark.rsplit_once("\"offset\": ").unwrap().1;
        offset = next.trim_end_matches(']').parse::<u64>().unwrap();
    }
    assert_eq!(parts, whole.len().div_ceil(99_900));
    assert!(got == whole);
}

#[tokio::test]
async fn a_line_over_the_limit_is_cut_at_a_character() {
    let (_outer, data) = crate::data();
    std::fs::write(data.join("t"), format!("{}\nnext\n", "世".repeat(100))).unwrap();
    let bench = Bench::new(FilesSettings {
        roots: vec![data],
        max_read: 100,
        ..FilesSettings::default()
    });
    let answer = bench.call("read_file", json!({"path": "t"})).await.ok();
    assert_eq!(answer.text(), "世".repeat(33));
    let mark = answer.mark().unwrap();
    assert!(
        mark.contains("line 1 is longer than 100 bytes") && mark.contains("\"offset\": 2]"),
        "{mark}"
    );
    let answer = bench
        .call("read_file", json!({"path": "t", "offset": 2}))
        .await
        .ok();
    assert_eq!((answer.text(), answer.mark()), ("next\n", None));
}

#[tokio::test]
async fn old_encodings_are_marked() {
    let (_outer, data) = crate::data();
    std::fs::write(data.join("t"), b"the caf\xe9 is open, come in and sit down\n").unwrap();
    let bench = Bench::reader(&data);
    let answer = bench.call("read_file", json!({"path": "t"})).await.ok();
    assert_eq!(answer.text(), "the caf\u{fffd} is open, come in and sit down\n");
    assert!(answer.mark().unwrap().contains("not UTF-8"));
}

#[tokio::test]
async fn images_and_binary_files() {
    let (_outer, data) = crate::data();
    let png = [b"\x89PNG\r\n\x1a\n".as_slice(), &[7; 100]].concat();
    // The content counts, not the name.
    std::fs::write(data.join("picture.txt"), &png).unwrap();
    let binary: Vec<u8> = (0..=255).cycle().take(3000).collect();
    std::fs::write(data.join("bin ä.dat"), &binary).unwrap();
    let bench = Bench::reader(&data);
    let answer = bench.call("read_file", json!({"path": "picture.txt"})).await.ok();
    let block = &answer.0["content"][0];
    assert_eq!(
        (&block["type"], &block["mimeType"]),
        (&json!("image"), &json!("image/png"))
    );
    assert_eq!(STANDARD.decode(block["data"].as_str().unwrap()).unwrap(), png);
    let answer = bench.call("read_file", json!({"path": "bin ä.dat"})).await.ok();
    let block = &answer.0["content"][0];
    assert_eq!(block["type"], json!("resource"));
    let resource = &block["resource"];
    assert_eq!(resource["uri"], json!("ferromcp-file:///data/bin%20%C3%A4.dat"));
    assert_eq!(resource["mimeType"], json!("application/octet-stream"));
    assert_eq!(
        STANDARD.decode(resource["blob"].as_str().unwrap()).unwrap(),
        binary
    );
    assert_eq!(answer.mark(), None);
    let refused = bench
        .call("read_file", json!({"path": "picture.txt", "offset": 1}))
        .await;
    assert!(refused.refused().contains("binary"), "{refused:?}");

    let small = Bench::new(FilesSettings {
        roots: vec![data],
        max_read: 50,
        ..FilesSettings::default()
    });
    let answer = small.call("read_file", json!({"path": "bin ä.dat"})).await.ok();
    let blob = answer.0["content"][0]["resource"]["blob"].as_str().unwrap();
    assert_eq!(STANDARD.decode(blob).unwrap(), &binary[..50]);
    assert!(
        answer.mark().unwrap().contains("first 50 of 3000 bytes"),
        "{answer:?}"
    );
    let refused = small.call("read_file", json!({"path": "picture.txt"})).await;
    assert!(refused.refused().contains("108 bytes"), "{refused:?}");
}

/// Far more than memory, and nearly nothing on the disk: only what is returned is kept.
#[cfg(unix)]
#[tokio::test]
async fn a_huge_file() {
    let (_outer, data) = crate::data();
    let file = std::fs::File::create(data.join("huge")).unwrap();
    file.set_len(1 << 40).unwrap();
    let bench = Bench::reader(&data);
    let answer = bench.call("read_file", json!({"path": "huge"})).await.ok();
    assert!(
        answer
            .mark()
            .unwrap()
            .contains("first 1048576 of 1099511627776 bytes")
    );
}

#[tokio::test]
async fn what_is_not_a_file() {
    let (_outer, data) = crate::data();
    let bench = Bench::reader(&data);
    for path in ["sub", ".", "data"] {
        let refused = bench.call("read_file", json!({ "path": path })).await;
        assert!(refused.refused().contains("list_dir"), "{refused:?}");
    }
    let refused = bench.call("read_file", json!({"path": "sub/missing"})).await;
    assert!(
        refused
            .refused()
            .contains("\"data/sub/missing\": it does not exist"),
        "{refused:?}"
    );
}
