//! What the upstream servers of the harness answer: as little as MCP 2026-07-28 allows.

use std::hint::black_box;

use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

/// How it answers.
#[derive(Clone, Copy, Debug)]
pub struct Echo {
    /// How many tools it lists. The first is `echo`; what the others are called with they ignore.
    pub tools: usize,
    /// How often a loop is turned for each call: work of a fixed amount.
    pub burn: u64,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    method: &'a str,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Params<'a> {
    #[serde(borrow)]
    arguments: Arguments<'a>,
}

#[derive(Deserialize)]
struct Arguments<'a> {
    #[serde(borrow)]
    msg: &'a RawValue,
}

/// The answer to a message; `None` to what needs none.
#[must_use]
pub fn answer(message: &[u8], echo: Echo) -> Option<Vec<u8>> {
    let message: Message<'_> = serde_json::from_slice(message).ok()?;
    let id = message.id?.get();
    let result = match message.method {
        "tools/call" => {
            burn(echo.burn);
            let params: Params<'_> = serde_json::from_str(message.params?.get()).ok()?;
            let text = params.arguments.msg.get();
            format!("{{\"resultType\":\"complete\",\"content\":[{{\"type\":\"text\",\"text\":{text}}}]}}")
        }
        "server/discover" => json!({
            "resultType": "complete",
            "supportedVersions": ["2026-07-28"],
            "capabilities": { "tools": {} },
            "serverInfo": { "name": "upstream-echo", "version": "1.0.0" },
            "ttlMs": 60_000,
            "cacheScope": "private",
        })
        .to_string(),
        "tools/list" => json!({
            "resultType": "complete",
            "tools": (0..echo.tools).map(tool).collect::<Vec<_>>(),
            "ttlMs": 60_000,
            "cacheScope": "private",
        })
        .to_string(),
        _ => {
            return Some(
                format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"error\":{{\"code\":-32601,\"message\":\"unknown\"}}}}")
                    .into_bytes(),
            );
        }
    };
    Some(format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{result}}}").into_bytes())
}

/// A tool of ordinary size: some 400 bytes.
fn tool(number: usize) -> serde_json::Value {
    let name = match number {
        0 => "echo".to_owned(),
        n => format!("search_records_{n}"),
    };
    json!({
        "name": name,
        "description": "Finds records that match a query and returns them, newest first, one page at a time.",
        "inputSchema": {
            "type": "object",
            "properties": {
                "msg": { "type": "string", "description": "What to look for." },
                "limit": { "type": "integer", "minimum": 1, "maximum": 100 },
                "after": { "type": "string", "description": "Where the last page ended." },
            },
            "required": ["msg"],
        },
        "annotations": { "readOnlyHint": true },
    })
}

/// The same work each time, whatever the processor's clock does.
fn burn(turns: u64) {
    let mut x = turns;
    for _ in 0..turns {
        x = black_box(x.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(7));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_answers_what_is_asked() {
        let echo = Echo { tools: 3, burn: 10 };
        let ask = |message: &str| {
            let said = answer(message.as_bytes(), echo)?;
            serde_json::from_slice::<serde_json::Value>(&said).ok()
        };
        let listed = ask(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#).unwrap();
        assert_eq!(listed["result"]["tools"].as_array().unwrap().len(), 3);
        let call = r#"{"id":"a","method":"tools/call","params":{"name":"echo","arguments":{"msg":"x\"y"}}}"#;
        let called = ask(call).unwrap();
        assert_eq!(
            (&called["id"], &called["result"]["content"][0]["text"]),
            (&"a".into(), &"x\"y".into())
        );
        assert_eq!(
            ask(r#"{"id":1,"method":"ping"}"#).unwrap()["error"]["code"],
            -32601
        );
        assert!(ask(r#"{"method":"notifications/x"}"#).is_none());
    }
}
