//! The tasks extension (SEP-2663).

use ferromcp_endpoint::NoOutlet;
use serde_json::json;

use crate::support::{body, fixture, headers, params};

fn able() -> serde_json::Value {
    json!({"extensions": {"io.modelcontextprotocol/tasks": {}}})
}

#[tokio::test]
async fn a_task_is_a_flat_result() {
    let fixture = fixture();
    let made = body(
        fixture
            .modern("tools/call", params(able(), json!({"name": "task"})), &NoOutlet)
            .await,
    );
    assert_eq!(made["result"]["resultType"], "task");
    assert_eq!(made["result"]["taskId"], "test.secret");
    assert_eq!(made["result"]["status"], "working");
    let unable = fixture
        .modern(
            "tools/call",
            params(json!({}), json!({"name": "task"})),
            &NoOutlet,
        )
        .await;
    assert_eq!(unable.status, 400);
    assert_eq!(body(unable)["error"]["code"], -32021);
}

#[tokio::test]
async fn get_update_cancel() {
    let fixture = fixture();
    let id = json!({"taskId": "test.secret"});
    let got = body(
        fixture
            .modern("tasks/get", params(able(), id.clone()), &NoOutlet)
            .await,
    );
    assert_eq!(
        (&got["result"]["resultType"], &got["result"]["status"]),
        (&json!("complete"), &json!("completed"))
    );
    let update = json!({"taskId": "test.secret", "inputResponses": {"q": {"action": "accept"}}});
    let updated = body(
        fixture
            .modern("tasks/update", params(able(), update), &NoOutlet)
            .await,
    );
    assert_eq!(updated["result"]["resultType"], "complete");
    assert_eq!(
        fixture.source.updated.lock().unwrap()[..],
        ["{\"q\":{\"action\":\"accept\"}}"]
    );
    let cancelled = body(
        fixture
            .modern("tasks/cancel", params(able(), id), &NoOutlet)
            .await,
    );
    assert_eq!(cancelled["result"]["resultType"], "complete");
}

#[tokio::test]
async fn errors() {
    let fixture = fixture();
    for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
        let members = json!({"taskId": "gate-test", "inputResponses": {}});
        let undeclared = fixture
            .modern(method, params(json!({}), members.clone()), &NoOutlet)
            .await;
        assert_eq!(undeclared.status, 400, "{method}");
        let undeclared = body(undeclared);
        assert_eq!(undeclared["error"]["code"], -32021, "{method}");
        assert_eq!(undeclared["error"]["data"]["requiredCapabilities"], able());
        let unknown = body(fixture.modern(method, params(able(), members), &NoOutlet).await);
        assert_eq!(unknown["error"]["code"], -32602, "{method}");
        let fields = [
            ("mcp-protocol-version", "2026-07-28"),
            ("mcp-method", method),
            ("mcp-name", "another"),
        ];
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params(able(), json!({"taskId": "test.x"}))});
        let mismatch = body(
            fixture
                .http(&headers(&fields), &message.to_string(), &NoOutlet)
                .await,
        );
        assert_eq!(mismatch["error"]["code"], -32020, "{method}");
    }
    let without = body(
        fixture
            .modern(
                "tasks/update",
                params(able(), json!({"taskId": "test.x"})),
                &NoOutlet,
            )
            .await,
    );
    assert_eq!(without["error"]["code"], -32602);
}
