use super::{Service, request};
use crate::otlp::encode::{Fields, Value};

fn field(message: &[u8], wanted: u64) -> Vec<Value<'_>> {
    Fields(message)
        .filter(|(number, _)| *number == wanted)
        .map(|(_, value)| value)
        .collect()
}

fn inner(message: &[u8], wanted: u64) -> Vec<&[u8]> {
    let bytes = |value| match value {
        Value::Bytes(bytes) => bytes,
        other => panic!("{other:?}"),
    };
    field(message, wanted).into_iter().map(bytes).collect()
}

fn attributes(message: &[u8], number: u64) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    inner(message, number)
        .into_iter()
        .map(|pair| {
            let value = inner(pair, 2)[0];
            let value = match Fields(value).next().unwrap() {
                (1, Value::Bytes(string)) => text(string),
                (3, Value::Number(number)) => number.to_string(),
                other => panic!("{other:?}"),
            };
            (text(inner(pair, 1)[0]), value)
        })
        .collect()
}

const CALL: &str = r#"{"seq":7,"time":"2026-01-01T00:00:00.000001Z","kind":"call","request_id":"01","trace_id":"0af7651916cd43dd8448eb211c80319c","door":"rest","tenant":"acme","method":"tools/call","tool":"ech\u00f6","decision":"deny","rule":"acl.tool.default","outcome":"permission_denied","latency_us":12,"bytes_in":1,"bytes_out":0,"prev":"","hash":""}"#;

fn service() -> Service {
    Service {
        name: "gate".into(),
        version: "1.2".into(),
    }
}

#[test]
fn a_line_becomes_a_record() {
    let lines = format!("{CALL}\n");
    let request = request(&service(), lines.as_bytes(), 0);
    let resource_logs = inner(&request, 1)[0];
    let resource = inner(resource_logs, 1)[0];
    let said = attributes(resource, 1);
    assert_eq!(said[0], ("service.name".into(), "gate".into()));
    let scope_logs = inner(resource_logs, 2)[0];
    let records = inner(scope_logs, 2);
    assert_eq!(records.len(), 1);
    let record = records[0];
    assert_eq!(field(record, 2), [Value::Number(13)]);
    assert_eq!(inner(record, 3), [b"WARN"]);
    assert_eq!(inner(inner(record, 5)[0], 1), [CALL.as_bytes()]);
    assert_eq!(inner(record, 9)[0][..2], [0x0a, 0xf7]);
    assert_eq!(inner(record, 12), [b"ferromcp.audit.call"]);
    let said = attributes(record, 6);
    for (key, value) in [
        ("ferromcp.audit.seq", "7"),
        ("ferromcp.tenant", "acme"),
        ("gen_ai.tool.name", "echö"),
        ("ferromcp.rule", "acl.tool.default"),
        ("ferromcp.latency_us", "12"),
    ] {
        assert!(said.contains(&(key.to_owned(), value.to_owned())), "{said:?}");
    }
    let start = request.windows(9).position(|nine| nine[0] == 1 << 3 | 1).unwrap();
    let time = u64::from_le_bytes(request[start + 1..start + 9].try_into().unwrap());
    assert_eq!(time, 1_767_225_600_000_001_000);
}

#[test]
fn losses_come_first_and_rubbish_is_passed_on_as_text() {
    let lines = b"not json\n\xff\xfe\n";
    let request = request(&service(), lines, 3);
    let scope_logs = inner(inner(&request, 1)[0], 2)[0];
    let records = inner(scope_logs, 2);
    assert_eq!(records.len(), 3);
    assert_eq!(
        attributes(records[0], 6),
        [("ferromcp.audit.lost".to_owned(), "3".to_owned())]
    );
    assert_eq!(inner(inner(records[1], 5)[0], 1), [b"not json"]);
    assert!(std::str::from_utf8(inner(inner(records[2], 5)[0], 1)[0]).is_ok());
}
