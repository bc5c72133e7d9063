//! Any bytes as a JSON-RPC message, and as a batch.
#![no_main]

use ferromcp_protocol::{Message, message};
use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;

fuzz_target!(|data: &[u8]| {
    if let Ok(message) = Message::parse(data) {
        check(data, &message);
    }
    if let Ok(batch) = message::parse_batch(data) {
        assert!(batch.len() <= message::MAX_BATCH);
        for message in batch.iter().flatten() {
            check(data, message);
        }
    }
});

/// Whatever was accepted is JSON for another parser too, and every raw part is a part of the input.
fn check(data: &[u8], message: &Message<'_>) {
    assert!(
        serde_json::from_slice::<&RawValue>(data).is_ok(),
        "accepted what is no JSON"
    );
    let mut parts: Vec<&str> = Vec::new();
    match message {
        Message::Request(request) => {
            parts.push(request.id);
            parts.extend(request.params_raw);
            parts.extend(request.params.iter().map(|(_, value)| value));
        }
        Message::Notification(notification) => {
            parts.extend(notification.params_raw);
            parts.extend(notification.params.iter().map(|(_, value)| value));
        }
        Message::Response(response) => {
            parts.extend(response.id);
            parts.extend(response.outcome.as_ref().ok());
        }
    }
    let input = data.as_ptr_range();
    for part in parts {
        assert!(
            input.contains(&part.as_ptr()),
            "a raw part is no part of the input"
        );
        assert!(
            serde_json::from_str::<&RawValue>(part).is_ok(),
            "a raw part is no JSON: {part:?}"
        );
    }
}
